//! What belongs to the whole process: a library that is loaded, started and stopped leaves it as it was.
#![expect(
    unsafe_code,
    reason = "sets a signal's disposition and asks for the locale, which std and rustix do not"
)]

use std::collections::BTreeMap;
use std::ffi::{CStr, OsString};
use std::fs;
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

/// How long a thread that was joined may still stand in the kernel's list. One that stays is there for good.
const PARTING: Duration = Duration::from_secs(10);
/// How often the list is looked at.
const STEP: Duration = Duration::from_millis(5);

/// Lets SIGPIPE end this process, as it does in a host that is written in C: a provider has to write without it. (Rust's
/// runtime ignores it at its start.)
pub fn as_a_host_in_c() {
    // SAFETY: the default disposition runs no code of this process.
    unsafe { libc::signal(libc::SIGPIPE, libc::SIG_DFL) };
}

/// What a provider must leave alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProcessState {
    folder: Option<PathBuf>,
    environment: BTreeMap<OsString, OsString>,
    locale: String,
    /// Lines of the kernel's: the umask, and which signals are ignored, caught, and blocked by the calling thread.
    status: BTreeMap<&'static str, String>,
}

/// Lines of /proc/thread-self/status, and what they say.
const STATUS: [(&str, &str); 4] = [
    ("Umask", "the umask"),
    ("SigIgn", "the ignored signals"),
    ("SigCgt", "the signals with a handler"),
    ("SigBlk", "the signals that the calling thread blocks"),
];

impl ProcessState {
    /// What it is now.
    pub fn now() -> ProcessState {
        let text = fs::read_to_string("/proc/thread-self/status").unwrap_or_default();
        let line = |name: &str| text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        let status = STATUS.map(|(name, what)| (what, line(name).unwrap_or_default().trim().to_owned()));
        ProcessState {
            folder: std::env::current_dir().ok(),
            environment: std::env::vars_os().collect(),
            locale: locale(),
            status: status.into(),
        }
    }

    /// What has changed since, in words; `None`: nothing.
    pub fn changes(&self) -> Option<String> {
        let now = ProcessState::now();
        let mut changes = Vec::new();
        if self.folder != now.folder {
            let [before, after] = [self, &now].map(|state| {
                state.folder.as_ref().map_or("none".to_owned(), |folder| folder.display().to_string())
            });
            changes.push(format!("the working folder from {before} to {after}"));
        }
        if self.locale != now.locale {
            changes.push(format!("the locale from {} to {}", self.locale, now.locale));
        }
        for name in self.environment.keys().chain(now.environment.keys()) {
            if self.environment.get(name) != now.environment.get(name) {
                changes.push(format!("the environment's {}", name.display()));
            }
        }
        for (what, before) in &self.status {
            let after = &now.status[what];
            if before != after {
                changes.push(format!("{what} from {before} to {after}"));
            }
        }
        changes.dedup();
        (!changes.is_empty()).then(|| changes.join(", "))
    }
}

/// The locale of the process, as the C library names it.
fn locale() -> String {
    // SAFETY: without a name the call changes nothing, and returns a string of the C library's that stays until the next one that
    // does; the checks of a process run one after the other.
    unsafe {
        let name = libc::setlocale(libc::LC_ALL, std::ptr::null());
        if name.is_null() { String::new() } else { CStr::from_ptr(name).to_string_lossy().into_owned() }
    }
}

/// The threads of this process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Threads(BTreeMap<u32, String>);

impl Threads {
    /// Those that run now, with their names.
    pub fn now() -> Threads {
        let entries = fs::read_dir("/proc/self/task").into_iter().flatten().flatten();
        let threads = entries.filter_map(|entry| {
            let id = entry.file_name().to_str()?.parse().ok()?;
            let name = fs::read_to_string(entry.path().join("comm")).ok()?;
            Some((id, name.trim().to_owned()))
        });
        Threads(threads.collect())
    }

    /// The names of those that have come since.
    pub fn arrived(&self) -> Vec<String> {
        let now = Threads::now().0;
        now.into_iter().filter(|(id, _)| !self.0.contains_key(id)).map(|(_, name)| name).collect()
    }

    /// The same once those that are just ending have ended.
    pub fn left_behind(&self) -> Vec<String> {
        let until = Instant::now() + PARTING;
        loop {
            let arrived = self.arrived();
            if arrived.is_empty() || Instant::now() >= until {
                return arrived;
            }
            thread::sleep(STEP);
        }
    }
}

/// A process at one moment: all of the above.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Before {
    /// What a provider must leave alone.
    pub state: ProcessState,
    /// The threads.
    pub threads: Threads,
}

impl Before {
    /// Now.
    pub fn now() -> Before {
        Before { state: ProcessState::now(), threads: Threads::now() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc::channel;

    #[test]
    fn a_thread_is_left_behind_until_it_has_ended() {
        let (before, (end, ended), (say, named)) = (Threads::now(), channel::<()>(), channel());
        let thread = thread::Builder::new().name("stays".to_owned());
        let thread = thread.spawn(move || say.send(()).is_ok() && ended.recv().is_err()).unwrap();
        named.recv().unwrap(); // it has its name once it runs
        assert!(before.arrived().contains(&"stays".to_owned()));
        drop(end);
        thread.join().unwrap();
        // Other tests' threads come and go; this one goes.
        let until = Instant::now() + PARTING;
        while before.arrived().contains(&"stays".to_owned()) {
            assert!(Instant::now() < until);
            thread::sleep(STEP);
        }
    }

    #[test]
    fn what_has_not_changed_is_not_told() {
        assert_eq!(ProcessState::now().changes(), None);
    }
}
