//! A provider that does everything right, in memory, but for the one fault it is given.

use crate::fault::Fault;
use crate::file::Open;
use std::collections::{HashMap, HashSet};
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime};
use vfs_core::{
    Code, Entry, Error, File, Host, Info, Inner, Instance, Kind, Name, Namespace, OpenFlags, Provider,
    Request, Result, Setting, SettingKind, Settings, Stat,
};

/// The name whose reads wait for ever (here: longer than a check waits).
pub const BLOCKING: &str = "blocking";

#[derive(Default)]
pub struct Data {
    pub bytes: Vec<u8>,
    pub version: u64,
    /// The time that it was given.
    pub modified: Option<SystemTime>,
    /// For `SharedPosition` and `ReadAtMovesThePosition` only.
    pub position: u64,
}

pub type Shared = Arc<Mutex<Data>>;
pub type Names = Arc<Mutex<HashMap<String, Shared>>>;

pub struct Model {
    fault: Fault,
    names: Names,
    calls: AtomicUsize,
}

impl Model {
    pub fn with(fault: Fault) -> Model {
        Model { fault, names: Names::default(), calls: AtomicUsize::new(0) }
    }
}

impl Model {
    /// How many names there are, if instances share them.
    pub fn count(&self) -> usize {
        self.names.lock().unwrap().len()
    }
}

impl Provider for Model {
    fn info(&self) -> Info {
        let call = self.calls.fetch_add(1, Ordering::Relaxed);
        let name = if self.fault == Fault::BadName { "Model" } else { "model" };
        let default = if self.fault == Fault::BadDefault { "plenty" } else { "1k" };
        let version = if self.fault == Fault::InfoChanges { call.to_string() } else { "1".to_owned() };
        Info::new(name, version, "right in all but one thing")
            .schemes(["model"])
            .supported_flags(OpenFlags::from_bits(0xff))
            .setting(Setting::new("unused", SettingKind::Size, "of no use").default_value(default))
    }

    fn start(&self, host: Host, _: Settings) -> Result<Box<dyn Instance>> {
        if self.fault == Fault::OneInstanceOnly && self.calls.swap(1 << 20, Ordering::Relaxed) >= 1 << 20 {
            return Err(Error::new(Code::EBUSY, "start: started already"));
        }
        let shared = self.fault == Fault::InstancesShareNames;
        let names = if shared { self.names.clone() } else { Names::default() };
        let (folders, meeting) = (Mutex::default(), Arc::default());
        Ok(Box::new(Running { fault: self.fault, names, folders, meeting, host }))
    }
}

struct Running {
    fault: Fault,
    names: Names,
    folders: Mutex<HashSet<String>>,
    meeting: Arc<AtomicUsize>,
    host: Host,
}

impl Running {
    fn refuse<T>(&self, code: Code, text: &'static str) -> Result<T> {
        match self.fault {
            Fault::TextOfTwoLines => Err(Error::new(code, "open: first\nsecond")),
            Fault::ReturnsEintr => Err(Error::new(Code::EINTR, text)),
            _ => Err(Error::new(code, text)),
        }
    }

    fn find(&self, name: &str, flags: OpenFlags) -> Result<Shared> {
        let mut names = self.names.lock().unwrap();
        let create = flags.contains(OpenFlags::CREATE) || self.fault == Fault::OpensAbsentNames;
        match names.get(name) {
            Some(_) if flags.contains(OpenFlags::EXCLUSIVE) && self.fault != Fault::IgnoresExclusive => {
                self.refuse(Code::EEXIST, "open: exists already")
            }
            Some(data) => Ok(data.clone()),
            None if !create => self.refuse(Code::ENOENT, "open: no such name"),
            None if self.fault == Fault::CreatesAtFirstWrite => Ok(Shared::default()),
            None => Ok(names.entry(name.to_owned()).or_default().clone()),
        }
    }
}

impl Instance for Running {
    fn open(&self, request: &Request<'_>) -> Result<Box<dyn File>> {
        let (flags, name, fault) = (request.flags(), request.rest(), self.fault);
        if fault == Fault::KeepsFoldersFromBeneath {
            // A layer, though it has its bytes elsewhere.
            let _ = self.host.open(request.context(), "beneath:x", &Inner::default());
        }
        if fault == Fault::WantsADirection && flags.is_empty() {
            return self.refuse(Code::EBADF, "open: say READ or WRITE");
        }
        if fault == Fault::RefusesUnknownHints && flags.bits() >> 34 != 0 {
            return self.refuse(Code::EINVAL, "open: unknown flags");
        }
        if fault == Fault::LeaksDescriptors {
            std::mem::forget(std::fs::File::open("/dev/null")?);
        }
        if fault == Fault::RefusesParallelOpens && meet(&self.meeting) {
            return self.refuse(Code::EBUSY, "open: another open is in progress");
        }
        let reserves = flags.contains(OpenFlags::PREALLOCATE);
        let too_much = reserves && request.expected_size().is_some_and(|size| size > 1 << 40);
        if too_much && !matches!(fault, Fault::PreallocatesAnything | Fault::EmptiesBeforeItReserves) {
            return self.refuse(Code::ENOSPC, "open: no room");
        }
        let atomic = flags.contains(OpenFlags::ATOMIC) && fault != Fault::AtomicIsOrdinary;
        let anew = atomic && fault != Fault::AtomicInPlace || name == BLOCKING;
        let data = if anew { Shared::default() } else { self.find(name, flags)? };
        if atomic && self.names.lock().unwrap().contains_key(name) && flags.contains(OpenFlags::EXCLUSIVE) {
            return self.refuse(Code::EEXIST, "open: exists already");
        }
        let empties = flags.contains(OpenFlags::TRUNCATE) && fault != Fault::IgnoresTruncateFlag;
        if empties || fault == Fault::CreateEmpties && flags.contains(OpenFlags::CREATE) {
            data.lock().unwrap().bytes.clear();
        }
        if too_much && fault == Fault::EmptiesBeforeItReserves {
            return self.refuse(Code::ENOSPC, "open: no room");
        }
        if reserves {
            let size = request.expected_size().unwrap_or(0);
            if fault == Fault::PreallocateGrows {
                data.lock().unwrap().bytes.resize(size as usize, 0);
            }
        }
        let end = data.lock().unwrap().bytes.len() as u64;
        let cancelled = Arc::new(AtomicBool::new(false));
        let on_cancel = match fault {
            Fault::CancelIsForEver => {
                let theirs = cancelled.clone();
                Some(request.context().on_cancel(move || theirs.store(true, Ordering::Relaxed))?)
            }
            _ => None,
        };
        Ok(Box::new(Open {
            fault,
            flags,
            name: name.to_owned(),
            names: self.names.clone(),
            unpublished: atomic,
            context: request.context().clone(),
            meeting: self.meeting.clone(),
            data,
            position: 0,
            write_position: 0,
            end_at_open: end,
            calls: 0,
            ended: false,
            kernel_file: None,
            committed: false,
            cancelled,
            _on_cancel: on_cancel,
            cut: (0, Vec::new()),
            modified: None,
            tries: 0,
            awaited: Vec::new(),
        }))
    }

    fn namespace(&self) -> Option<&dyn Namespace> {
        Some(self)
    }
}

impl Namespace for Running {
    fn stat(&self, request: &Request<'_>) -> Result<Stat> {
        if request.rest().is_empty() || self.folders.lock().unwrap().contains(request.rest()) {
            return Ok(Stat::of_kind(Kind::Directory));
        }
        match self.names.lock().unwrap().get(request.rest()) {
            Some(data) => {
                let data = data.lock().unwrap();
                let mut stat = Stat::of_kind(Kind::Regular).size(data.bytes.len() as u64);
                stat.modified = data.modified;
                Ok(stat)
            }
            None if self.fault == Fault::StatsAbsentNames => Ok(Stat::of_kind(Kind::Regular)),
            None => self.refuse(Code::ENOENT, "stat: no such name"),
        }
    }

    fn list(&self, request: &Request<'_>, each: &mut dyn FnMut(Entry<'_>) -> ControlFlow<()>) -> Result<()> {
        if !request.rest().is_empty() {
            return self.refuse(Code::ENOTDIR, "list: not a directory");
        }
        let names: Vec<String> = self.names.lock().unwrap().keys().cloned().collect();
        let times = if self.fault == Fault::ListsTwice { 2 } else { 1 };
        for name in names.iter().flat_map(|name| std::iter::repeat_n(name, times)) {
            if each(Entry { name, stat: None }).is_break() {
                break;
            }
        }
        Ok(())
    }

    fn names(&self, request: &Request<'_>, each: &mut dyn FnMut(Name<'_>) -> ControlFlow<()>) -> Result<()> {
        let leaves_out = self.fault == Fault::NamesLeaveOut;
        self.list(request, &mut |entry| {
            if leaves_out { ControlFlow::Continue(()) } else { each(entry.into()) }
        })
    }

    fn remove(&self, request: &Request<'_>) -> Result<()> {
        if self.folders.lock().unwrap().contains(request.rest()) {
            return self.refuse(Code::EISDIR, "remove: a folder");
        }
        let mut names = self.names.lock().unwrap();
        let there = match self.fault {
            Fault::RemovesNothing => names.contains_key(request.rest()),
            _ => names.remove(request.rest()).is_some(),
        };
        if there { Ok(()) } else { self.refuse(Code::ENOENT, "remove: no such name") }
    }

    fn set_modified(&self, request: &Request<'_>, time: SystemTime) -> Result<()> {
        match self.names.lock().unwrap().get(request.rest()) {
            Some(data) if self.fault != Fault::NamesForgetTimes => data.lock().unwrap().modified = Some(time),
            Some(_) => {}
            None => return self.refuse(Code::ENOENT, "set a time: no such name"),
        }
        Ok(())
    }

    fn make_folder(&self, request: &Request<'_>) -> Result<()> {
        if self.fault == Fault::KeepsFoldersFromBeneath {
            return self.refuse(Code::ENOTSUP, "make folder: not through this layer");
        }
        let is_file = self.names.lock().unwrap().contains_key(request.rest());
        let is_new = !is_file && self.folders.lock().unwrap().insert(request.rest().to_owned());
        match is_new || self.fault == Fault::MakesFoldersTwice {
            true => Ok(()),
            false => self.refuse(Code::EEXIST, "make folder: exists already"),
        }
    }

    fn remove_folder(&self, request: &Request<'_>) -> Result<()> {
        if self.folders.lock().unwrap().remove(request.rest()) {
            return Ok(());
        }
        match self.names.lock().unwrap().contains_key(request.rest()) {
            true => self.refuse(Code::ENOTDIR, "remove folder: a file"),
            false => self.refuse(Code::ENOENT, "remove folder: no such name"),
        }
    }
}

/// Waits, bounded, for another thread to be in here too; says whether one was.
pub fn meet(meeting: &AtomicUsize) -> bool {
    let here = meeting.fetch_add(1, Ordering::SeqCst) + 1;
    let until = Instant::now() + Duration::from_secs(5);
    while meeting.load(Ordering::SeqCst) < here.max(2) && Instant::now() < until {
        std::thread::yield_now();
    }
    meeting.load(Ordering::SeqCst) >= 2
}
