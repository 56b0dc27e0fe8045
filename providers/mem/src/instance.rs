//! The provider, and what its opens become.

use crate::buffer::{Budget, Buffer};
use crate::file::MemFile;
use crate::names::{Claim, Names};
use std::collections::hash_map::Entry as Slot;
use std::ops::ControlFlow;
use std::sync::Arc;
use vfs_core::{
    Code, Entry, Error, File, Host, Info, Instance, Kind, Namespace, OpenFlags, Provider, Request, Result,
    Scope, Setting, SettingKind, Settings, Stat,
};

/// The provider.
#[derive(Debug)]
pub struct Mem;

impl Provider for Mem {
    fn info(&self) -> Info {
        Info::new("mem", env!("CARGO_PKG_VERSION"), "named buffers in memory, shared within an instance")
            .supported_flags(
                OpenFlags::READ
                    | OpenFlags::WRITE
                    | OpenFlags::CREATE
                    | OpenFlags::TRUNCATE
                    | OpenFlags::EXCLUSIVE
                    | OpenFlags::APPEND
                    | OpenFlags::ATOMIC
                    | OpenFlags::PREALLOCATE,
            )
            .without_times()
            .setting(
                Setting::new("limit", SettingKind::Size, "bytes that all buffers together may hold")
                    .default_value("1g"),
            )
            .setting(
                Setting::new(
                    "run",
                    SettingKind::Text,
                    "the run that opens: no two writers of one run may have the same name",
                )
                .scope(Scope::OPEN),
            )
    }

    fn start(&self, _: Host, settings: Settings) -> Result<Box<dyn Instance>> {
        let limit = settings.size("limit").ok_or_else(|| {
            Error::new(Code::EINVAL, "start mem: the setting `limit` is missing, though it has a default")
        })?;
        Ok(Box::new(Memory { budget: Budget::new(limit), names: Arc::default() }))
    }
}

/// One instance: names and their buffers.
struct Memory {
    budget: Arc<Budget>,
    names: Arc<Names>,
}

impl Memory {
    /// The buffer of an ordinary open, made if it is asked for, with the room and as empty as it is asked for: or nothing
    /// has changed.
    fn find(&self, request: &Request<'_>, name: &str) -> Result<Arc<Buffer>> {
        let flags = request.flags();
        match self.names.buffers.lock().entry(name.to_owned()) {
            Slot::Occupied(_) if flags.contains(OpenFlags::EXCLUSIVE) => Err(taken(request)),
            Slot::Occupied(slot) => {
                begin(slot.get(), request)?;
                Ok(slot.get().clone())
            }
            Slot::Vacant(slot) if flags.contains(OpenFlags::CREATE) => {
                let buffer = Buffer::new(&self.budget);
                begin(&buffer, request)?;
                Ok(slot.insert(buffer).clone())
            }
            Slot::Vacant(_) => Err(absent("open", request)),
        }
    }

    /// Whether an atomic open may go on; its buffer gets no name before COMMIT.
    fn check_atomic(&self, request: &Request<'_>, name: &str) -> Result<()> {
        let flags = request.flags();
        match self.names.buffers.lock().contains_key(name) {
            true if flags.contains(OpenFlags::EXCLUSIVE) => Err(taken(request)),
            false if !flags.contains(OpenFlags::CREATE) => Err(absent("open", request)),
            _ => Ok(()),
        }
    }
}

impl Instance for Memory {
    fn open(&self, request: &Request<'_>) -> Result<Box<dyn File>> {
        let flags = request.flags();
        let name = name("open", request)?;
        let claim = match request.settings().text("run").filter(|_| flags.contains(OpenFlags::WRITE)) {
            Some(run) => Some(Claim::of(run, name, &self.names).ok_or_else(|| claimed(request))?),
            None => None,
        };
        if !flags.contains(OpenFlags::ATOMIC) {
            return Ok(Box::new(MemFile::new(self.find(request, name)?, claim, flags)));
        }
        self.check_atomic(request, name)?;
        let buffer = Buffer::new(&self.budget);
        begin(&buffer, request)?;
        let exclusive = flags.contains(OpenFlags::EXCLUSIVE);
        let file = MemFile::new(buffer, claim, flags);
        Ok(Box::new(file.unpublished(name, self.names.clone(), exclusive)))
    }

    fn namespace(&self) -> Option<&dyn Namespace> {
        Some(self)
    }
}

impl Namespace for Memory {
    fn stat(&self, request: &Request<'_>) -> Result<Stat> {
        if request.rest().is_empty() {
            return Ok(Stat::of_kind(Kind::Directory));
        }
        let name = name("stat", request)?;
        self.names.buffers.lock().get(name).map(|buffer| buffer.stat()).ok_or_else(|| absent("stat", request))
    }

    fn list(&self, request: &Request<'_>, each: &mut dyn FnMut(Entry<'_>) -> ControlFlow<()>) -> Result<()> {
        if !request.rest().is_empty() {
            self.stat(request)?;
            let text = format!("list {}: not a directory; `mem:` is the only one", request.shown());
            return Err(Error::new(Code::ENOTDIR, text));
        }
        // Collected first: `each` may open or remove what it is told of.
        let mut found: Vec<(String, Stat)> =
            self.names.buffers.lock().iter().map(|(name, buffer)| (name.clone(), buffer.stat())).collect();
        found.sort_unstable_by(|(one, _), (other, _)| one.cmp(other));
        for (name, stat) in &found {
            if each(Entry { name, stat: Some(stat) }).is_break() {
                break;
            }
        }
        Ok(())
    }

    fn remove(&self, request: &Request<'_>) -> Result<()> {
        let name = name("remove", request)?;
        self.names.buffers.lock().remove(name).map(drop).ok_or_else(|| absent("remove", request))
    }
}

/// Reserves and empties, as the request asks.
fn begin(buffer: &Buffer, request: &Request<'_>) -> Result<()> {
    let flags = request.flags();
    let room = request.expected_size().filter(|_| flags.contains(OpenFlags::PREALLOCATE)).unwrap_or(0);
    let begun = buffer.begin(flags.contains(OpenFlags::TRUNCATE), room);
    begun.map_err(|error| error.context(format!("open {}: reserve {room} bytes", request.shown())))
}

/// The name in a descriptor.
fn name<'a>(operation: &str, request: &Request<'a>) -> Result<&'a str> {
    let refuse =
        |code: Code, why: &str| Err(Error::new(code, format!("{operation} {}: {why}", request.shown())));
    match request.rest() {
        "" => refuse(Code::EISDIR, "is the directory of all names; add one: `mem:name`"),
        "." | ".." => refuse(Code::EINVAL, "not a name"),
        name if name.contains('/') => refuse(Code::EINVAL, "names are flat; leave out the `/`"),
        name => Ok(name),
    }
}

fn absent(operation: &str, request: &Request<'_>) -> Error {
    Error::new(Code::ENOENT, format!("{operation} {}: no such name", request.shown()))
}

fn taken(request: &Request<'_>) -> Error {
    Error::new(Code::EEXIST, format!("open {}: exists already", request.shown()))
}

fn claimed(request: &Request<'_>) -> Error {
    Error::new(Code::EBUSY, format!("open {}: another channel of this run writes it", request.shown()))
}
