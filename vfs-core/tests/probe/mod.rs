//! A provider that writes down what it is asked.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use vfs_core::{
    Capabilities, Code, Error, File, Host, Info, Instance, OpenFlags, Provider, Request, Result, Scope,
    Setting, SettingKind, Settings, Threads,
};

/// What a probe was asked. Clones share it.
#[derive(Clone, Default)]
pub struct Log {
    events: Arc<Mutex<Vec<(&'static str, String)>>>,
    /// Makes the next starts fail with EBUSY.
    pub failing: Arc<AtomicBool>,
}

impl Log {
    fn add(&self, event: &'static str, detail: String) {
        self.events.lock().unwrap_or_else(PoisonError::into_inner).push((event, detail));
    }

    fn of(&self, wanted: &str) -> Vec<String> {
        let events = self.events.lock().unwrap_or_else(PoisonError::into_inner);
        events.iter().filter(|(event, _)| *event == wanted).map(|(_, detail)| detail.clone()).collect()
    }

    /// What happened, in order: `start`, `open`, `close`, `stop`.
    pub fn events(&self) -> Vec<&'static str> {
        let events = self.events.lock().unwrap_or_else(PoisonError::into_inner);
        events.iter().map(|(event, _)| *event).filter(|event| *event != "settings").collect()
    }

    /// Each start's settings.
    pub fn starts(&self) -> Vec<String> {
        self.of("start")
    }

    /// Each open's `scheme:rest`, as the provider saw them.
    pub fn opened(&self) -> Vec<String> {
        self.of("open")
    }

    /// Each open's settings.
    pub fn open_settings(&self) -> Vec<String> {
        self.of("settings")
    }
}

/// The provider. It reads as nothing and takes every write, unless the descriptor says otherwise: `too-much` claims a byte
/// more than it was asked for, `nothing` none.
pub struct Probe {
    pub info: Info,
    log: Log,
}

impl Probe {
    pub fn new(name: &str) -> Probe {
        let info = Info::new(name, "1.0", "writes down what it is asked")
            .setting(Setting::new("root", SettingKind::Path, "operator's"))
            .setting(Setting::new("depth", SettingKind::Integer, "operator's"))
            .setting(Setting::new("key", SettingKind::Text, "operator's secret").secret())
            .setting(Setting::new("mode", SettingKind::Integer, "each open's").scope(Scope::OPEN))
            .setting(Setting::new("node", SettingKind::Text, "the host's name").scope(Scope::OPEN));
        Probe { info, log: Log::default() }
    }

    pub fn schemes(mut self, schemes: &[&str]) -> Probe {
        self.info = self.info.schemes(schemes.iter().copied());
        self
    }

    pub fn supported_flags(mut self, flags: OpenFlags) -> Probe {
        self.info = self.info.supported_flags(flags);
        self
    }

    pub fn threads(mut self, threads: Threads) -> Probe {
        self.info = self.info.threads(threads);
        self
    }

    pub fn log(&self) -> Log {
        self.log.clone()
    }
}

fn shown(settings: &Settings, names: &[&str]) -> String {
    let given = names.iter().filter_map(|name| Some(format!("{name}={}", settings.text(name)?)));
    given.collect::<Vec<_>>().join(" ")
}

impl Provider for Probe {
    fn info(&self) -> Info {
        self.info.clone()
    }

    fn start(&self, _: Host, settings: Settings) -> Result<Box<dyn Instance>> {
        if self.log.failing.load(Ordering::SeqCst) {
            return Err(Error::new(Code::EBUSY, "not now"));
        }
        self.log.add("start", shown(&settings, &["depth", "key", "root", "mode", "node"]));
        Ok(Box::new(Started(self.log.clone())))
    }
}

struct Started(Log);

impl Drop for Started {
    fn drop(&mut self) {
        self.0.add("stop", String::new());
    }
}

impl Instance for Started {
    fn open(&self, request: &Request<'_>) -> Result<Box<dyn File>> {
        self.0.add("open", format!("{}:{}", request.scheme(), request.rest()));
        let names = ["mode", "node", "job", "broker", "root", "key", "depth"];
        self.0.add("settings", shown(request.settings(), &names));
        Ok(Box::new(Opened { log: self.0.clone(), rest: request.rest().to_owned() }))
    }
}

struct Opened {
    log: Log,
    rest: String,
}

impl Drop for Opened {
    fn drop(&mut self) {
        self.log.add("close", String::new());
    }
}

impl File for Opened {
    fn capabilities(&self) -> Capabilities {
        Capabilities::READABLE | Capabilities::WRITABLE | Capabilities::CANCEL
    }

    fn read(&mut self, buf: &mut [u8]) -> Result<usize> {
        Ok(if self.rest == "too-much" { buf.len() + 1 } else { 0 })
    }

    fn write(&mut self, buf: &[u8]) -> Result<usize> {
        Ok(match self.rest.as_str() {
            "too-much" => buf.len() + 1,
            "nothing" => 0,
            _ => buf.len(),
        })
    }
}
