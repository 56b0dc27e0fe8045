//! A layer: `gzip:file:/srv/x.gz` reads what the inner channel holds compressed, and compresses what is written. The inner one
//! is any descriptor: `gzip:http://host/x.gz`, `gzip:netpipe:2:w`.
//!
//! | Module | What it is |
//! |---|---|
//! | `read` | a file open for reading: decompresses, several members one after the other |
//! | `write` | a file open for writing: compresses; END, COMMIT and DISCARD are the inner file's |

mod read;
mod write;

use read::Reader;
use std::ops::ControlFlow;
use std::time::SystemTime;
use vfs_core::{
    Capabilities, Code, Entry, Error, File, Host, Info, Inner, Instance, Name, Namespace, OpenFlags,
    Provider, Request, Result, Scope, Setting, SettingKind, Settings, Stat, export_provider,
};
use write::Writer;

const DEFAULT_LEVEL: u32 = 6;

struct Gzip;

impl Provider for Gzip {
    fn info(&self) -> Info {
        let help = "how hard to compress: 1 (fast) to 9 (small)";
        Info::new("gzip", env!("CARGO_PKG_VERSION"), "gzip over another channel: gzip:file:/srv/x.gz")
            .supported_flags(
                OpenFlags::READ
                    | OpenFlags::WRITE
                    | OpenFlags::CREATE
                    | OpenFlags::TRUNCATE
                    | OpenFlags::EXCLUSIVE
                    | OpenFlags::ATOMIC
                    | OpenFlags::SEQUENTIAL,
            )
            .setting(
                Setting::new("level", SettingKind::Integer, help)
                    .default_value(DEFAULT_LEVEL.to_string())
                    .scope(Scope::OPERATOR | Scope::OPEN),
            )
    }

    fn start(&self, host: Host, settings: Settings) -> Result<Box<dyn Instance>> {
        Ok(Box::new(Running { level: level(&settings)?.unwrap_or(DEFAULT_LEVEL), host }))
    }
}

/// The setting, if it is given and can be.
fn level(settings: &Settings) -> Result<Option<u32>> {
    let Some(level) = settings.integer("level") else { return Ok(None) };
    match u32::try_from(level) {
        Ok(level @ 1..=9) => Ok(Some(level)),
        _ => Err(Error::new(Code::EINVAL, format!("setting `level` is {level}, not 1 to 9"))),
    }
}

struct Running {
    level: u32,
    host: Host,
}

impl Instance for Running {
    fn open(&self, request: &Request<'_>) -> Result<Box<dyn File>> {
        let flags = request.flags();
        if flags.contains(OpenFlags::READ | OpenFlags::WRITE) {
            let text = format!("open {}: a compressed stream goes one way: READ or WRITE", request.shown());
            return Err(Error::new(Code::ENOTSUP, text));
        }
        let level = level(request.settings())?.unwrap_or(self.level);
        let mut inner = self.open_inner(request)?;
        // Where neither was asked for, the inner descriptor has decided. A gzip file of both directions is read.
        if flags.contains(OpenFlags::WRITE) || !inner.capabilities().contains(Capabilities::READABLE) {
            refuse_to_patch(&mut *inner, request)?;
            Ok(Box::new(Writer::new(inner, level)))
        } else {
            Ok(Box::new(Reader::new(inner)))
        }
    }

    fn namespace(&self) -> Option<&dyn Namespace> {
        Some(self)
    }
}

/// Names are the inner provider's: `gzip:file:/srv/x.gz` is there as long as `file:/srv/x.gz` is.
impl Namespace for Running {
    /// All but the size: how much a name holds decompressed is not known before it is read.
    fn stat(&self, request: &Request<'_>) -> Result<Stat> {
        self.host.stat(request.context(), request.rest(), &Inner::default()).map(without_size)
    }

    fn list(&self, request: &Request<'_>, each: &mut dyn FnMut(Entry<'_>) -> ControlFlow<()>) -> Result<()> {
        let mut each = |entry: Entry<'_>| {
            let stat = entry.stat.cloned().map(without_size);
            each(Entry { name: entry.name, stat: stat.as_ref() })
        };
        self.host.list(request.context(), request.rest(), &Inner::default(), &mut each)
    }

    fn names(&self, request: &Request<'_>, each: &mut dyn FnMut(Name<'_>) -> ControlFlow<()>) -> Result<()> {
        let mut each = |name: Name<'_>| {
            let stat = name.stat.cloned().map(without_size);
            each(Name { bytes: name.bytes, stat: stat.as_ref() })
        };
        self.host.names(request.context(), request.rest(), &Inner::default(), &mut each)
    }

    fn remove(&self, request: &Request<'_>) -> Result<()> {
        self.host.remove(request.context(), request.rest(), &Inner::default())
    }

    fn make_folder(&self, request: &Request<'_>) -> Result<()> {
        self.host.make_folder(request.context(), request.rest(), &Inner::default())
    }

    fn remove_folder(&self, request: &Request<'_>) -> Result<()> {
        self.host.remove_folder(request.context(), request.rest(), &Inner::default())
    }

    fn set_modified(&self, request: &Request<'_>, time: SystemTime) -> Result<()> {
        self.host.set_modified(request.context(), request.rest(), &Inner::default(), time)
    }
}

impl Running {
    fn open_inner(&self, request: &Request<'_>) -> Result<Box<dyn File>> {
        let (context, descriptor) = (request.context(), request.rest());
        let supported = self.host.supported_flags(context, descriptor)?;
        let flags = request.flags();
        // A pipe has nothing to create and nothing to empty. All else is passed on: what the inner provider does not honour is
        // then its refusal.
        let for_names = OpenFlags::CREATE | OpenFlags::TRUNCATE;
        let meaningless = if flags.contains(OpenFlags::EXCLUSIVE) {
            OpenFlags::empty()
        } else {
            for_names.without(supported)
        };
        self.host.open(context, descriptor, &Inner::new(flags.without(meaningless)))
    }
}

/// A compressed stream can only be replaced as a whole; over old content, less than that would leave a mixture.
fn refuse_to_patch(inner: &mut dyn File, request: &Request<'_>) -> Result<()> {
    let whole = request.flags().intersects(OpenFlags::TRUNCATE | OpenFlags::ATOMIC);
    if !whole
        && inner.capabilities().contains(Capabilities::STAT)
        && inner.stat()?.size.is_some_and(|size| size > 0)
    {
        let text = format!("open {}: gzip replaces the whole: add TRUNCATE", request.shown());
        return Err(Error::new(Code::ENOTSUP, text));
    }
    Ok(())
}

fn without_size(mut stat: Stat) -> Stat {
    stat.size = None;
    stat
}

/// What a layer passes on of its inner file: that no call of it waits longer than a cancel or the deadline, and that it takes the
/// time of its last change.
fn passed_on(inner: &dyn File) -> Capabilities {
    inner.capabilities() & (Capabilities::CANCEL | Capabilities::TIMES)
}

/// The inner file as std's, for the library.
struct Stream {
    inner: Box<dyn File>,
    /// Set when the file is closed: a library that writes its end in a destructor must not pass partial output for the whole.
    closed: bool,
}

impl std::io::Read for Stream {
    fn read(&mut self, buf: &mut [u8]) -> std::io::Result<usize> {
        Ok(self.inner.read(buf)?)
    }
}

impl std::io::Write for Stream {
    fn write(&mut self, buf: &[u8]) -> std::io::Result<usize> {
        if self.closed { Ok(buf.len()) } else { Ok(self.inner.write(buf)?) }
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// The inner provider's own error where it is one; else the library's, about the data.
fn failure(error: std::io::Error, doing: &str) -> Error {
    if error.get_ref().is_some_and(|inner| inner.is::<Error>()) {
        return error.into();
    }
    let what = if error.kind() == std::io::ErrorKind::UnexpectedEof {
        "it ends too early"
    } else {
        "it is damaged or no gzip"
    };
    Error::new(Code::EBADMSG, format!("{doing}: {what}")).with_source(error)
}

export_provider!(Gzip);
