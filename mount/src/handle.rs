//! A file that is open for reading, and the calls on it.

use crate::calls::Call;
use crate::tree::{Node, Tree};
use fuser::FopenFlags;
use parking_lot::{Mutex, RwLock};
use std::collections::BTreeMap;
use std::io::SeekFrom;
use std::sync::Arc;
use std::time::Instant;
use vfs_core::{Capabilities, Code, Control, Error, OpenFile, OpenFlags, Result, Stat};

/// An open file. Reads at positions overlap; everything else takes turns.
pub struct Handle {
    file: RwLock<Positioned>,
    turns: Arc<Turns>,
    is_positional: bool,
    /// Its number.
    pub ino: u64,
    /// What was known of it when it was opened: whoever asks for that of an open file needs no server.
    pub stat: Option<Stat>,
    /// How the kernel is to treat it.
    pub flags: FopenFlags,
}

/// A file, and where it stands as far as it was read or written in order.
pub struct Positioned {
    pub file: OpenFile,
    pub position: u64,
}

/// The calls that are in progress on one file. They share its control: its deadline is that of the oldest.
pub struct Turns {
    control: Control,
    running: Mutex<BTreeMap<u64, Running>>,
}

struct Running {
    deadline: Instant,
    /// Nobody waits for it any more.
    is_unheard: bool,
}

impl Turns {
    /// For a file with this control.
    pub fn new(control: Control) -> Arc<Turns> {
        Arc::new(Turns { control, running: Mutex::default() })
    }

    /// Makes a call on the file within the time of a program's call, and until that is interrupted.
    pub fn during<T>(self: &Arc<Turns>, call: &Call, work: impl FnOnce() -> T) -> T {
        let (turns, id) = (self.clone(), call.id());
        call.on_interrupt(move || {
            let mut running = turns.running.lock();
            let Some(this) = running.get_mut(&id) else { return };
            this.is_unheard = true;
            // The others would end with it.
            if running.values().all(|call| call.is_unheard) {
                turns.control.cancel();
            }
        });
        self.begin(id, call.deadline());
        let result = work();
        self.end(id);
        result
    }

    fn begin(&self, id: u64, deadline: Instant) {
        let mut running = self.running.lock();
        running.insert(id, Running { deadline, is_unheard: false });
        if running.len() == 1 {
            self.control.set_deadline(Some(deadline));
        }
    }

    fn end(&self, id: u64) {
        let mut running = self.running.lock();
        running.remove(&id);
        if running.is_empty() {
            self.control.lift();
        }
        self.control.set_deadline(running.values().map(|call| call.deadline).min());
    }
}

impl Handle {
    /// Opens a file for reading.
    ///
    /// # Errors
    /// ESTALE: it is another version by now than the one that the kernel knows by this number: the kernel looks the name up again.
    /// The provider's.
    pub fn open(tree: &Tree, node: &Node, call: &Call) -> Result<Handle> {
        let mut file = tree.patiently(call, |options| {
            tree.registry().open(&node.descriptor, &options.clone().with_flags(OpenFlags::READ))
        })?;
        call.opened();
        let can = file.capabilities();
        let stat = if can.contains(Capabilities::STAT) { Some(file.stat()?) } else { None };
        let version = stat.as_ref().map_or("", |stat| &stat.version);
        let mut is_other = false;
        if !node.version().is_empty() && !version.is_empty() && version != node.version() {
            // A server may say other things of a file than of its name, each time: then that is no other version.
            is_other = tree.registry().stat(&node.descriptor, &tree.options(call))?.version == node.version();
            if !is_other {
                tree.listings().gone(node.parent, &node.name);
                let text = format!("open {}: it has changed", file.shown());
                return Err(Error::new(Code::ESTALE, text));
            }
        }
        let flags = match &stat {
            _ if !can.intersects(Capabilities::POSITIONAL_READ | Capabilities::SEEKABLE) => {
                FopenFlags::FOPEN_DIRECT_IO | FopenFlags::FOPEN_NONSEEKABLE
            }
            Some(Stat { size: Some(_), .. }) if is_other => FopenFlags::FOPEN_DIRECT_IO,
            Some(Stat { size: Some(_), version, .. }) if !version.is_empty() && version == node.version() => {
                FopenFlags::FOPEN_KEEP_CACHE
            }
            Some(Stat { size: Some(_), .. }) => FopenFlags::empty(),
            // The kernel would read no further than the size that it was told.
            _ => FopenFlags::FOPEN_DIRECT_IO,
        };
        Ok(Handle {
            is_positional: can.contains(Capabilities::POSITIONAL_READ),
            ino: node.ino,
            stat,
            turns: Turns::new(file.control().clone()),
            file: RwLock::new(Positioned { file, position: 0 }),
            flags: flags | FopenFlags::FOPEN_NOFLUSH,
        })
    }

    /// Reads from an offset: all that is asked for but at the end, or what a stream has.
    ///
    /// # Errors
    /// ESPIPE: a stream, and it is not there. The provider's.
    pub fn read(&self, call: &Call, offset: u64, size: usize) -> Result<Vec<u8>> {
        let mut buf = vec![0; size];
        let count = if self.is_positional {
            let held = self.file.read();
            self.turns
                .during(call, || read_all(&mut buf, |rest, done| held.file.read_at(rest, offset + done)))
        } else {
            let mut held = self.file.write();
            self.turns.during(call, || held.read(&mut buf, offset))
        };
        buf.truncate(count?);
        Ok(buf)
    }
}

impl Positioned {
    fn read(&mut self, buf: &mut [u8], offset: u64) -> Result<usize> {
        let is_stream = !self.file.capabilities().contains(Capabilities::SEEKABLE);
        if self.position != offset {
            if is_stream {
                let text = format!(
                    "read {} at {offset}: it has no positions, and stands at {}",
                    self.file.shown(),
                    self.position
                );
                return Err(Error::new(Code::ESPIPE, text));
            }
            self.position = self.file.seek(SeekFrom::Start(offset))?;
        }
        let file = &mut self.file;
        let count = match is_stream {
            true => file.read(buf)?,
            false => read_all(buf, |rest, _| file.read(rest))?,
        };
        self.position += count as u64;
        Ok(count)
    }
}

/// Fills a buffer as far as there is something: the kernel takes less for the end.
pub fn read_all(buf: &mut [u8], mut read: impl FnMut(&mut [u8], u64) -> Result<usize>) -> Result<usize> {
    let mut done = 0;
    while done < buf.len() {
        match read(&mut buf[done..], done as u64) {
            Ok(0) => break,
            Ok(count) => done += count,
            Err(error) => return Err(error),
        }
    }
    Ok(done)
}
