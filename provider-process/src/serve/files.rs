//! The files that are open, and the contexts of those, of opens and of calls on names.

use super::file::{HeldFile, busy};
use super::own::own;
use parking_lot::Mutex;
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use vfs_core::process::wire::{ControlState, FileId, OnConnection};
use vfs_core::process::{FileContext, Half, Limits, SayWaiting};
use vfs_core::{Code, Error, File, Result};

/// The most words about files that have not come that are kept: as many as calls may be in progress.
const EARLY: usize = 256;
/// The most of a text about a wait that goes to the host, in characters.
const TEXT_MAX: usize = 500;

pub(super) struct Files {
    table: Mutex<Table>,
    say: SayWaiting,
}

#[derive(Default)]
struct Table {
    entries: HashMap<FileId, Entry>,
    /// What was said of files whose open is still on its connection: a control's change comes on another socket and may be faster. Words
    /// that came too late for a file that is closed stand here, too, so that there is a limit.
    early: VecDeque<(FileId, ControlState)>,
}

struct Entry {
    context: FileContext,
    /// `None`: it is being opened, or this is a call on a name.
    file: Option<Arc<HeldFile>>,
}

impl Files {
    pub(super) fn new() -> Files {
        Files { table: Mutex::default(), say: Arc::new(say_waiting) }
    }

    /// A context for an open or a call on a name, which begins.
    ///
    /// # Errors
    /// EINVAL: the name is in use, or none.
    pub(super) fn enter(&self, file: FileId, state: ControlState) -> Result<FileContext> {
        let mut table = self.table.lock();
        if file == 0 || table.entries.contains_key(&file) {
            return Err(Error::new(Code::EINVAL, format!("file {file}: the name is in use")));
        }
        let context = FileContext::new(file, state, self.say.clone());
        let entry = Entry { context: context.clone(), file: None };
        table.entries.insert(file, entry);
        // Nobody has the context yet, so nothing of a provider's runs here.
        table.early.iter().filter(|(of, _)| *of == file).for_each(|(_, state)| context.hear(*state));
        table.early.retain(|(of, _)| *of != file);
        Ok(context)
    }

    /// Keeps what an open gave.
    pub(super) fn opened(&self, file: FileId, opened: Box<dyn File>) {
        if let Some(entry) = self.table.lock().entries.get_mut(&file) {
            entry.file = Some(Arc::new(HeldFile::new(opened)));
        }
    }

    /// Forgets an open that failed, or a call on a name that is over.
    pub(super) fn leave(&self, file: FileId) {
        let left = self.table.lock().entries.remove(&file);
        drop(left); // without the lock
    }

    /// Takes the host's word about a control.
    pub(super) fn hear(&self, file: FileId, state: ControlState) {
        let mut table = self.table.lock();
        let Some(entry) = table.entries.get(&file) else {
            if table.early.len() == EARLY {
                table.early.pop_front();
            }
            table.early.push_back((file, state));
            return;
        };
        let context = entry.context.clone();
        drop(table); // a cancel's function may run
        context.hear(state);
    }

    /// An open file, at the beginning of a call.
    ///
    /// # Errors
    /// EBADF: there is none.
    pub(super) fn find(&self, file: FileId, state: ControlState) -> Result<Arc<HeldFile>> {
        let table = self.table.lock();
        let entry = table.entries.get(&file);
        let (context, held) = entry
            .and_then(|entry| Some((entry.context.clone(), entry.file.clone()?)))
            .ok_or_else(|| not_open(file))?;
        drop(table);
        context.hear(state);
        Ok(held)
    }

    /// Closes a file.
    ///
    /// # Errors
    /// EBADF: there is none. EBUSY: a call of it is in progress.
    pub(super) fn close(&self, file: FileId) -> Result<()> {
        let mut table = self.table.lock();
        let held = table.entries.get_mut(&file).and_then(|entry| entry.file.take());
        match Arc::try_unwrap(held.ok_or_else(|| not_open(file))?) {
            Ok(held) => {
                let entry = table.entries.remove(&file);
                drop(table);
                drop(held); // first: its context is there for as long as it
                drop(entry);
                Ok(())
            }
            Err(held) => {
                if let Some(entry) = table.entries.get_mut(&file) {
                    entry.file = Some(held);
                }
                Err(busy())
            }
        }
    }

    /// Closes all files.
    ///
    /// # Errors
    /// EBUSY: a call of one is in progress; that one stays open.
    pub(super) fn close_all(&self) -> Result<()> {
        self.close_where(|_| true)
    }

    /// Closes all files but those that are only read.
    ///
    /// # Errors
    /// As [`Files::close_all`].
    pub(super) fn close_written(&self) -> Result<()> {
        self.close_where(|entry| entry.file.as_ref().is_some_and(|file| file.writes()))
    }

    fn close_where(&self, which: impl Fn(&Entry) -> bool) -> Result<()> {
        let table = self.table.lock();
        let files: Vec<FileId> =
            table.entries.iter().filter(|(_, entry)| which(entry)).map(|(file, _)| *file).collect();
        drop(table);
        let closed: Vec<Result<()>> = files.into_iter().map(|file| self.close(file)).collect();
        // EBADF: an open in progress, or a file that somebody else has just closed.
        closed
            .into_iter()
            .find(|closed| closed.as_ref().is_err_and(|error| error.code() == Code::EBUSY))
            .unwrap_or(Ok(()))
    }

    /// Cancels whatever is in progress, for good.
    pub(super) fn cancel_all(&self) {
        let contexts: Vec<FileContext> =
            self.table.lock().entries.values().map(|entry| entry.context.clone()).collect();
        let limits = Limits { cancelled: true, deadline: u64::MAX };
        let last = ControlState { generation: u64::MAX, limits };
        contexts.iter().for_each(|context| context.hear(last));
    }
}

/// Tells the host what the call in progress on this thread waits for.
fn say_waiting(file: FileId, object: Option<&str>, refusal: Option<&str>) {
    let line = |text: &str| text.chars().take(TEXT_MAX).collect();
    let waiting = OnConnection::Waiting { object: object.map(line), refusal: refusal.map(line), file };
    // A host that does not hear it is gone, or does not want to.
    let _ = own(|connection| connection.say_aside(Half::Call, &waiting));
}

fn not_open(file: FileId) -> Error {
    Error::new(Code::EBADF, format!("file {file}: not open"))
}
