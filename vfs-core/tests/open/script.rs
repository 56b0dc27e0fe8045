//! A provider that does as a test tells it, and remembers what it was asked.

use std::collections::VecDeque;
use std::io::SeekFrom;
use std::ops::ControlFlow;
use std::sync::{Arc, Mutex};
use std::time::SystemTime;
use vfs_core::{
    Capabilities, Code, Configuration, Context, Control, Entry, Error, File, Finish, Flush, Host, Info,
    Instance, Kind, Namespace, OpenFile, OpenFlags, OpenOptions, Provider, Registry, Request, Result,
    Settings, Stat,
};

/// What the provider is to answer next, and what it was asked.
#[derive(Clone, Default)]
pub struct Script {
    answers: Arc<Mutex<VecDeque<Result<usize>>>>,
    asked: Arc<Mutex<Vec<String>>>,
    /// Cancelled in the middle of the next call.
    cancels: Arc<Mutex<Option<Control>>>,
}

impl Script {
    pub fn answer(&self, answers: impl IntoIterator<Item = Result<usize>>) {
        self.answers.lock().unwrap().extend(answers);
    }

    pub fn at_the_next_call(&self, cancels: &Control) {
        *self.cancels.lock().unwrap() = Some(cancels.clone());
    }

    fn cancel(&self) {
        if let Some(control) = self.cancels.lock().unwrap().take() {
            control.cancel();
        }
    }

    fn next(&self, call: String) -> Result<usize> {
        self.cancel();
        self.asked.lock().unwrap().push(call);
        self.answers.lock().unwrap().pop_front().unwrap_or(Ok(0))
    }

    pub fn asked(&self) -> Vec<String> {
        std::mem::take(&mut self.asked.lock().unwrap())
    }
}

struct Scripted(Script);

impl Provider for Scripted {
    fn info(&self) -> Info {
        let flags = OpenFlags::READ | OpenFlags::WRITE | OpenFlags::CREATE | OpenFlags::TRUNCATE;
        Info::new("script", "1", "does as it is told").supported_flags(flags)
    }

    fn start(&self, _: Host, _: Settings) -> Result<Box<dyn Instance>> {
        Ok(Box::new(Scripted(self.0.clone())))
    }
}

impl Instance for Scripted {
    fn open(&self, request: &Request<'_>) -> Result<Box<dyn File>> {
        self.0.cancel();
        let capabilities = Capabilities::from_bits(request.rest().parse().unwrap());
        let context = request.context().clone();
        Ok(Box::new(Opened { script: self.0.clone(), capabilities, context }))
    }

    fn namespace(&self) -> Option<&dyn Namespace> {
        Some(self)
    }
}

impl Namespace for Scripted {
    fn stat(&self, _: &Request<'_>) -> Result<Stat> {
        Ok(Stat::of_kind(Kind::Directory))
    }

    fn list(&self, request: &Request<'_>, each: &mut dyn FnMut(Entry<'_>) -> ControlFlow<()>) -> Result<()> {
        if request.rest() == "endless" {
            let name = "n".repeat(60_000);
            while each(Entry { name: &name, stat: None }).is_continue() {}
            return Err(Code::EIO.into());
        }
        for name in ["a", "b", "c"] {
            if each(Entry { name, stat: None }).is_break() {
                break;
            }
        }
        Ok(())
    }
}

struct Opened {
    script: Script,
    capabilities: Capabilities,
    context: Context,
}

impl Opened {
    fn done(&self, call: &str) -> Result<()> {
        self.script.next(call.to_owned()).map(drop)
    }
}

impl Drop for Opened {
    fn drop(&mut self) {
        self.script.asked.lock().unwrap().push("close".to_owned());
    }
}

impl File for Opened {
    fn capabilities(&self) -> Capabilities {
        self.capabilities
    }

    fn read(&mut self, buf: &mut [u8]) -> Result<usize> {
        self.script.next(format!("read {}", buf.len()))
    }

    fn write(&mut self, buf: &[u8]) -> Result<usize> {
        self.script.next(format!("write {}", buf.len()))
    }

    fn seek(&mut self, to: SeekFrom) -> Result<u64> {
        self.script.next(format!("seek {to:?}")).map(|position| position as u64)
    }

    fn truncate(&mut self, size: u64) -> Result<()> {
        self.done(&format!("truncate {size}"))
    }

    fn set_modified(&mut self, time: SystemTime) -> Result<()> {
        self.done(&format!("set_modified {:?}", time.duration_since(SystemTime::UNIX_EPOCH).unwrap()))
    }

    fn flush(&mut self, level: Flush) -> Result<()> {
        self.done(&format!("flush {level:?}"))
    }

    fn finish(&mut self, how: Finish) -> Result<()> {
        let left = self
            .context
            .time_left()
            .map_or("no deadline".to_owned(), |left| format!("{} s", left.as_secs_f64().round()));
        let status = self.context.status().map_err(|error| error.code());
        self.done(&format!("finish {how:?}: {status:?}, {left}"))
    }
}

/// Every capability.
pub const ALL: u64 = 0xff;

/// A registry that has such a provider, under `script`.
pub fn scripted() -> (Script, Registry) {
    let script = Script::default();
    let registry = Registry::new(Configuration::default());
    registry.register(Box::new(Scripted(script.clone()))).expect("a provider");
    (script, registry)
}

/// Opens something of it that claims these capabilities.
pub fn open(capabilities: u64, how: &OpenOptions) -> (Script, Result<OpenFile>) {
    let (script, registry) = scripted();
    let file = registry.open(&format!("script:{capabilities}"), how);
    (script, file)
}

/// The same, open for reading.
pub fn opened(capabilities: Capabilities) -> (Script, OpenFile) {
    let (script, file) = open(capabilities.bits(), &OpenOptions::default());
    (script, file.expect("an open file"))
}

/// An answer.
pub fn failure(code: Code) -> Result<usize> {
    Err(Error::new(code, "as told"))
}
