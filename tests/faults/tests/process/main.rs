//! Hostile libraries in a process of their own: whatever they do there, the host goes on, other files are untouched, and the error
//! names what happened.

mod deaths;
mod messages;
mod walls;

use rustix::fs::fcntl_getfl;
use rustix::process::{Pid, Signal, kill_process};
use std::fs;
use std::net::TcpListener;
use std::ops::ControlFlow;
use std::path::Path;
use std::process::Command;
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};
use vfs_core::{
    Code, Configuration, Control, Error, Finish, Flush, Level, Name, OpenFile, OpenFlags, OpenOptions,
    Registry, Settings, Walls,
};
use zvfs_faults::Plugins;
use zvfs_test_support::{bounded, eventually, have_walls, provider_process, run};

type Call = fn(&Host, &str) -> Result<(), Error>;

/// As [`bounded`], where the kernel has all walls.
fn bounded_behind_walls(body: impl FnOnce() + Send + 'static) {
    if have_walls() {
        bounded(body);
    }
}

/// What a provider can be called for, each as a call of a host.
const CALLS: [(&str, Call); 12] = [
    ("open", |host, what| host.open(what).map(drop)),
    ("read", |host, what| host.open(what)?.read(&mut [0; 8]).map(drop)),
    ("write", |host, what| host.open(what)?.write(b"12345678").map(drop)),
    ("seek", |host, what| host.open(what)?.seek(std::io::SeekFrom::Start(7)).map(drop)),
    ("tell", |host, what| host.open(what)?.tell().map(drop)),
    ("truncate", |host, what| host.open(what)?.truncate(1)),
    ("flush", |host, what| host.open(what)?.flush(Flush::Sync)),
    ("commit", |host, what| host.open(what)?.finish(Finish::Commit)),
    ("stat", |host, what| host.open(what)?.stat().map(drop)),
    ("name-stat", |host, what| host.registry.stat(&host.descriptor(what), &host.options()).map(drop)),
    ("list", |host, what| {
        host.registry.list(&host.descriptor(what), &host.options(), &mut |_| ControlFlow::Continue(()))
    }),
    ("remove", |host, what| host.registry.remove(&host.descriptor(what), &host.options())),
];

/// A registry with a hostile provider and a good one, each in a process.
struct Host {
    plugins: Plugins,
    registry: Registry,
    control: Control,
    log: Lines,
}

/// What a host's log was told.
type Lines = Arc<Mutex<Vec<String>>>;

impl Host {
    /// With what the hostile one may do, and how it is built.
    fn new(may: &str, defines: &[&str]) -> Host {
        let plugins = Plugins::new();
        plugins.add("hostile", "hostile", defines);
        plugins.add("behave", "behave", &[]);
        plugins.add_program(provider_process());
        Host::over(plugins, may)
    }

    fn over(plugins: Plugins, may: &str) -> Host {
        let log = Lines::default();
        let registry = registry(&plugins, may, log.clone());
        Host { plugins, registry, control: Control::new(), log }
    }

    /// Another host of the same providers, which knows of no death.
    fn again(&self) -> Host {
        Host::over(self.plugins.clone(), "")
    }

    fn descriptor(&self, what: &str) -> String {
        format!("hostile:{what}")
    }

    fn options(&self) -> OpenOptions {
        OpenOptions::new(OpenFlags::READ | OpenFlags::WRITE).control(&self.control)
    }

    fn open(&self, what: &str) -> Result<OpenFile, Error> {
        self.registry.open(&self.descriptor(what), &self.options())
    }

    fn read(&self, what: &str) -> Result<usize, Error> {
        self.open(what)?.read(&mut [0; 8])
    }
}

fn registry(plugins: &Plugins, may: &str, log: Lines) -> Registry {
    let folder = plugins.path().display().to_string();
    let text = format!(
        "provider-path = [{folder:?}]\n[provider.hostile]\nplace = \"process\"\nmay = {{ {may} }}\n\
         [provider.behave]\nplace = \"process\""
    );
    let tell = move |level: Level, text: &str| {
        if level <= Level::Warning {
            log.lock().expect("no panic").push(text.to_owned());
        }
    };
    let configuration = Configuration::parse(&text).expect("a configuration");
    Registry::with_host(configuration, vfs_core::Host::logging("test", "1", tell))
}

/// A file of the good provider goes on as it was.
fn bystander(host: &Host) -> OpenFile {
    host.registry.open("behave:good", &OpenOptions::new(OpenFlags::READ)).expect("the good one")
}

fn goes_on(bystander: &mut OpenFile) {
    let mut buf = [0; 8];
    assert_eq!(bystander.read(&mut buf).expect("the good one"), 3);
    assert_eq!(&buf[..3], b"rrr");
}

/// The error of a call whose process died, and of the other files of that process.
fn is_told(error: &Error, words: &str) {
    assert_eq!(error.code(), Code::EIO, "{}", error.chain());
    let wanted = format!("provider `hostile`'s process {words}");
    assert!(error.chain().contains(&wanted), "no `{wanted}` in `{}`", error.chain());
}

/// The error of another file once the process was killed for a call that is late. A deadline that is over before the call has reached
/// the process kills nothing, as on a busy machine: then the call gets more time.
fn end_of(host: &Host, neighbour: &mut OpenFile, late: impl Fn()) -> Error {
    let mut time = Duration::from_millis(100);
    loop {
        host.control.set_deadline(Some(Instant::now() + time));
        late();
        host.control.set_deadline(None);
        match neighbour.read(&mut [0; 8]) {
            Ok(_) => time *= 4,
            Err(error) => return error,
        }
    }
}
