//! A provider that keeps whole files and folders in memory, and fails where a test says so.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use vfs_core::{
    Capabilities, Code, Context, Entry, Error, File, Finish, Host, Info, Instance, Kind, Namespace,
    OpenFlags, Provider, Request, Result, Settings, Stat,
};

/// All that it has, by the text behind `vault:`.
#[derive(Clone, Default)]
pub struct Vault(Arc<Mutex<Rooms>>);

#[derive(Default)]
struct Rooms {
    /// A file's content and its version, or a folder.
    names: BTreeMap<String, Option<(Vec<u8>, u64)>>,
    next: u64,
    /// What a call of a name does instead, by `call name`.
    faults: BTreeMap<String, Fault>,
    log: Vec<String>,
    /// Files that are open to be written.
    open: usize,
    most_open: usize,
    no_folders: bool,
    /// A name that no listing has.
    hidden: String,
    /// What somebody else does once the first listing has been given.
    after_list: Option<Box<dyn FnOnce() + Send>>,
}

/// What a call does instead.
#[derive(Clone, Copy)]
pub enum Fault {
    Fails(Code),
    /// Until its session ends it.
    Hangs,
}

impl Vault {
    /// With the folder `root`.
    pub fn new() -> Vault {
        Vault::default().folder("root")
    }

    pub fn folder(self, name: &str) -> Vault {
        self.rooms().names.insert(name.to_owned(), None);
        self
    }

    pub fn file(self, name: &str, data: &str) -> Vault {
        self.put(name, data);
        self
    }

    /// A store of objects: a folder is there as soon as a name lies below.
    pub fn without_folders(self) -> Vault {
        self.rooms().no_folders = true;
        self
    }

    pub fn fault(self, call: &str, fault: Fault) -> Vault {
        self.rooms().faults.insert(call.to_owned(), fault);
        self
    }

    /// Somebody else writes a file.
    pub fn put(&self, name: &str, data: &str) {
        self.rooms().put(name, data.into());
    }

    /// With a file that no listing has.
    pub fn hidden(self, name: &str, data: &str) -> Vault {
        self.rooms().hidden = name.to_owned();
        self.file(name, data)
    }

    /// Somebody else does something once the first listing has been given.
    pub fn on_first_list(&self, call: impl FnOnce() + Send + 'static) {
        self.rooms().after_list = Some(Box::new(call));
    }

    /// Somebody else removes a file.
    pub fn lose(&self, name: &str) {
        self.rooms().names.remove(name);
    }

    /// All names, each folder with a slash behind it, each file with `=` and its content.
    pub fn content(&self) -> Vec<String> {
        let shown = |(name, file): (&String, &Option<(Vec<u8>, u64)>)| match file {
            Some((data, _)) => format!("{name}={}", String::from_utf8_lossy(data)),
            None => format!("{name}/"),
        };
        self.rooms().names.iter().map(shown).collect()
    }

    /// The calls so far.
    pub fn log(&self) -> Vec<String> {
        self.rooms().log.clone()
    }

    /// How many files were open to be written at one time at most, and how many are now.
    pub fn open_files(&self) -> (usize, usize) {
        let rooms = self.rooms();
        (rooms.most_open, rooms.open)
    }

    fn rooms(&self) -> MutexGuard<'_, Rooms> {
        self.0.lock().unwrap()
    }

    /// Logs a call, and does what a test says.
    fn call(&self, call: &str, name: &str, context: &Context) -> Result<()> {
        let call = format!("{call} {name}");
        let fault = {
            let mut rooms = self.rooms();
            rooms.log.push(call.clone());
            rooms.faults.get(&call).copied()
        };
        match fault {
            None => Ok(()),
            Some(Fault::Fails(code)) => Err(Error::new(code, format!("{call}: as the test says"))),
            Some(Fault::Hangs) => {
                context.sleep(Duration::from_secs(60))?;
                Err(Error::new(Code::EIO, "nobody ended it"))
            }
        }
    }
}

impl Rooms {
    fn put(&mut self, name: &str, data: Vec<u8>) {
        self.next += 1;
        let version = self.next;
        self.names.insert(name.to_owned(), Some((data, version)));
    }

    fn is_folder(&self, name: &str) -> bool {
        self.names.get(name).is_some_and(Option::is_none)
            || self.no_folders && self.names.keys().any(|other| below(name, other).is_some())
    }

    fn stat(&self, name: &str) -> Result<Stat> {
        match self.names.get(name) {
            Some(Some((data, version))) => {
                Ok(Stat::of_kind(Kind::Regular).size(data.len() as u64).version(version.to_string()))
            }
            _ if self.is_folder(name) => Ok(Stat::of_kind(Kind::Directory)),
            _ => Err(Code::ENOENT.into()),
        }
    }
}

/// What leads from a folder to a name in it.
fn below<'a>(folder: &str, name: &'a str) -> Option<&'a str> {
    name.strip_prefix(folder)?.strip_prefix('/')
}

fn parent(name: &str) -> &str {
    name.rsplit_once('/').map_or("", |(parent, _)| parent)
}

impl Provider for Vault {
    fn info(&self) -> Info {
        let flags = OpenFlags::READ
            | OpenFlags::WRITE
            | OpenFlags::CREATE
            | OpenFlags::TRUNCATE
            | OpenFlags::EXCLUSIVE
            | OpenFlags::ATOMIC;
        Info::new("vault", "1", "whole files of a test").supported_flags(flags)
    }

    fn start(&self, _: Host, _: Settings) -> Result<Box<dyn Instance>> {
        Ok(Box::new(self.clone()))
    }
}

impl Instance for Vault {
    fn open(&self, request: &Request<'_>) -> Result<Box<dyn File>> {
        let (name, flags, context) = (request.rest().to_owned(), request.flags(), request.context().clone());
        let writes = flags.contains(OpenFlags::WRITE);
        self.call(if writes { "create" } else { "open" }, &name, &context)?;
        let mut rooms = self.rooms();
        let there = rooms.stat(&name).ok();
        let exclusive = flags.contains(OpenFlags::EXCLUSIVE);
        match there.map(|stat| stat.kind) {
            Some(Kind::Directory) => return Err(Code::EISDIR.into()),
            Some(_) if exclusive => return Err(Code::EEXIST.into()),
            None if !writes => return Err(Code::ENOENT.into()),
            None if !rooms.no_folders && !rooms.is_folder(parent(&name)) => return Err(Code::ENOENT.into()),
            _ => {}
        }
        assert!(!writes || flags.contains(OpenFlags::ATOMIC), "written in place: {name}");
        let data = match rooms.names.get(&name) {
            Some(Some(file)) if !writes => file.clone(),
            _ => Default::default(),
        };
        if writes {
            rooms.open += 1;
            rooms.most_open = rooms.most_open.max(rooms.open);
        }
        Ok(Box::new(Leaf { vault: self.clone(), name, data, at: 0, writes, exclusive, context }))
    }

    fn namespace(&self) -> Option<&dyn Namespace> {
        Some(self)
    }
}

impl Namespace for Vault {
    fn stat(&self, request: &Request<'_>) -> Result<Stat> {
        self.rooms().stat(request.rest())
    }

    fn list(&self, request: &Request<'_>, each: &mut dyn FnMut(Entry<'_>) -> ControlFlow<()>) -> Result<()> {
        let folder = request.rest();
        self.call("list", folder, request.context())?;
        let mut rooms = self.rooms();
        if !rooms.is_folder(folder) {
            return Err(Code::ENOENT.into());
        }
        let shown = rooms.names.keys().filter(|name| **name != rooms.hidden);
        let names: BTreeSet<&str> = shown.filter_map(|name| below(folder, name)?.split('/').next()).collect();
        for name in names {
            let stat = rooms.stat(&format!("{folder}/{name}"))?;
            if each(Entry { name, stat: Some(&stat) }).is_break() {
                break;
            }
        }
        let after = rooms.after_list.take();
        drop(rooms);
        if let Some(call) = after {
            call();
        }
        Ok(())
    }

    fn remove(&self, request: &Request<'_>) -> Result<()> {
        self.call("remove", request.rest(), request.context())?;
        let mut rooms = self.rooms();
        match rooms.stat(request.rest())?.kind {
            Kind::Directory => Err(Code::EISDIR.into()),
            _ => {
                rooms.names.remove(request.rest());
                Ok(())
            }
        }
    }

    fn make_folder(&self, request: &Request<'_>) -> Result<()> {
        let name = request.rest();
        if self.rooms().no_folders {
            return Err(Code::ENOTSUP.into());
        }
        self.call("mkdir", name, request.context())?;
        let mut rooms = self.rooms();
        match rooms.stat(name) {
            Ok(_) => Err(Code::EEXIST.into()),
            Err(_) if name.contains('/') && !rooms.is_folder(parent(name)) => Err(Code::ENOENT.into()),
            Err(_) => {
                rooms.names.insert(name.to_owned(), None);
                Ok(())
            }
        }
    }

    fn remove_folder(&self, request: &Request<'_>) -> Result<()> {
        let name = request.rest();
        if self.rooms().no_folders {
            return Err(Code::ENOTSUP.into());
        }
        self.call("rmdir", name, request.context())?;
        let mut rooms = self.rooms();
        if rooms.stat(name)?.kind != Kind::Directory {
            return Err(Code::ENOTDIR.into());
        }
        if rooms.names.keys().any(|other| parent(other) == name) {
            return Err(Code::ENOTEMPTY.into());
        }
        rooms.names.remove(name);
        Ok(())
    }
}

/// An open file; what is written shows at its COMMIT.
struct Leaf {
    vault: Vault,
    name: String,
    data: (Vec<u8>, u64),
    at: usize,
    writes: bool,
    exclusive: bool,
    context: Context,
}

impl Drop for Leaf {
    fn drop(&mut self) {
        if self.writes {
            self.vault.rooms().open -= 1;
        }
    }
}

impl File for Leaf {
    fn capabilities(&self) -> Capabilities {
        let both = Capabilities::STAT | Capabilities::CANCEL;
        both | match self.writes {
            true => Capabilities::WRITABLE | Capabilities::TIMES,
            false => Capabilities::READABLE | Capabilities::POSITIONAL_READ,
        }
    }

    fn stat(&mut self) -> Result<Stat> {
        let (data, version) = &self.data;
        Ok(Stat::of_kind(Kind::Regular).size(data.len() as u64).version(version.to_string()))
    }

    fn read(&mut self, buf: &mut [u8]) -> Result<usize> {
        let count = self.read_at(buf, self.at as u64)?;
        self.at += count;
        Ok(count)
    }

    fn read_at(&self, buf: &mut [u8], offset: u64) -> Result<usize> {
        self.vault.call("read", &self.name, &self.context)?;
        let data = usize::try_from(offset).ok().and_then(|at| self.data.0.get(at..)).unwrap_or_default();
        let count = data.len().min(buf.len());
        buf[..count].copy_from_slice(&data[..count]);
        Ok(count)
    }

    fn write(&mut self, buf: &[u8]) -> Result<usize> {
        self.vault.call("write", &self.name, &self.context)?;
        self.data.0.extend_from_slice(buf);
        Ok(buf.len())
    }

    fn set_modified(&mut self, time: SystemTime) -> Result<()> {
        let since = time.duration_since(UNIX_EPOCH).map_err(|_| Error::from(Code::EOVERFLOW))?;
        self.vault.call(&format!("time {}", since.as_nanos()), &self.name, &self.context)
    }

    fn finish(&mut self, how: Finish) -> Result<()> {
        match how {
            Finish::Commit => {
                self.vault.call("commit", &self.name, &self.context)?;
                let mut rooms = self.vault.rooms();
                if self.exclusive && rooms.names.contains_key(&self.name) {
                    return Err(Code::EEXIST.into());
                }
                rooms.put(&self.name, self.data.0.clone());
                Ok(())
            }
            Finish::Discard => self.vault.call("discard", &self.name, &self.context),
            Finish::End => Ok(()),
        }
    }
}
