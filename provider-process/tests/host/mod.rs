//! A host without its half of the code: sockets, and what is said on them.
#![allow(dead_code, reason = "no test uses all of it")]
#![allow(clippy::unwrap_used, reason = "support of tests: what cannot be prepared fails the test")]

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::{SendFlags, send};
use rustix::process::{PidfdFlags, getpid, pidfd_open};
use serde::de::DeserializeOwned;
use std::fmt::Debug;
use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use vfs_core::process::wire::{
    Call, ControlState, FileCall, FileId, FromProcess, FromSupervisor, OnConnection, Reply, Request,
    ToProcess, VERSION,
};
use vfs_core::process::{Connection, Half, Heard, Limits, OtherEnd, Socket};
use vfs_core::{Code, OpenFlags, Scope, Setting, Settings, Walls};
use zvfs_faults::Plugins;
use zvfs_test_support::{LIMIT, library};

pub const PROGRAM: &str = env!("CARGO_BIN_EXE_zvfs-provider");

/// The host's ends.
pub struct Host {
    pub control: Socket,
    pub supervisor: Socket,
    pub program: Child,
}

/// The host's end of a connection.
pub struct Caller(pub Connection);

/// `tests/odd.c`, built.
pub struct Odd {
    _plugins: Plugins,
    pub path: PathBuf,
}

impl Odd {
    pub fn build() -> Odd {
        let plugins = Plugins::new();
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/odd.c");
        let path = plugins.add("odd", source.to_str().unwrap(), &[]);
        Odd { _plugins: plugins, path }
    }
}

pub fn mem() -> PathBuf {
    library("mem")
}

impl Host {
    /// Runs the program, and says nothing yet.
    pub fn new() -> Host {
        let ((control, theirs), (supervisor, supervisors)) =
            (Socket::pair().unwrap(), Socket::pair().unwrap());
        let host = pidfd_open(getpid(), PidfdFlags::empty()).unwrap();
        // The shell gives descriptors their numbers.
        let line = r#"exec "$0" test 3<&0 4<&1 5<&2 </dev/null >/dev/null 2>&1"#;
        let mut command = Command::new("sh");
        command.args(["-c", line, PROGRAM]).stdin(theirs).stdout(supervisors).stderr(host);
        let program = command.spawn().unwrap();
        Host { control, supervisor, program }
    }

    /// After both hellos.
    pub fn with(library: &Path) -> Host {
        Host::behind(Walls::default(), library)
    }

    /// The same, with what the process may do.
    pub fn behind(walls: Walls, library: &Path) -> Host {
        let host = Host::new();
        let file = File::open(library).unwrap();
        let hello = ToProcess::Hello { version: VERSION, walls };
        host.control.say(&hello, &[file.as_fd()]).unwrap();
        match host.heard() {
            FromProcess::Hello { version: VERSION } => host,
            other => panic!("{other:?}"),
        }
    }

    /// With a library loaded and started, and its first connection.
    pub fn running(library: &Path) -> (Host, Caller) {
        Host::running_behind(Walls::default(), library)
    }

    pub fn running_behind(walls: Walls, library: &Path) -> (Host, Caller) {
        let host = Host::behind(walls, library);
        let mut caller = host.connection();
        let load = Call::Load { path: library.to_owned() };
        let Reply::Info(info) = caller.ask(&load) else { panic!("not loaded") };
        assert!(matches!(caller.ask(&start(&info.settings)), Reply::Done));
        (host, caller)
    }

    pub fn connection(&self) -> Caller {
        self.new_connection(false)
    }

    pub fn new_connection(&self, for_upcalls: bool) -> Caller {
        let (connection, theirs) = Connection::new().unwrap();
        self.control.say(&ToProcess::Connection { for_upcalls }, &theirs.borrowed()).unwrap();
        Caller(connection)
    }

    pub fn say(&self, message: &ToProcess) {
        self.control.say(message, &[]).unwrap();
    }

    /// The same, though the process may not have read what was said before.
    pub fn say_until_taken(&self, message: &ToProcess) {
        while let Err(error) = self.control.say(message, &[]) {
            assert_eq!(error.code(), Code::EAGAIN);
            wait_for_room(&self.control);
        }
    }

    /// What the process has said until now.
    pub fn said(&self) -> Vec<FromProcess> {
        let next = || match self.control.hear().unwrap() {
            Heard::Message(message, _) => Some(message),
            Heard::Nothing | Heard::End => None,
        };
        std::iter::from_fn(next).collect()
    }

    pub fn close_control(&mut self) {
        self.control = Socket::pair().unwrap().0;
    }

    pub fn close_supervisor(&mut self) {
        self.supervisor = Socket::pair().unwrap().0;
    }

    /// The next message of the process.
    pub fn heard(&self) -> FromProcess {
        heard(&self.control).expect("the process has ended")
    }

    /// How the process ended, as wait(2) has it; `None`: its supervisor did not say.
    pub fn ended(&self) -> Option<i32> {
        heard(&self.supervisor).map(|FromSupervisor::Ended { status }| status)
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        // Whatever the test has shown: nothing stays behind.
        let _ = self.supervisor.say(&vfs_core::process::wire::ToSupervisor::Kill, &[]);
        let _ = self.program.wait();
    }
}

impl Caller {
    pub fn say(&mut self, call: &Call) {
        self.0.say(Half::Call, call, None).unwrap();
    }

    /// The next message of the process; `None`: the connection has ended.
    pub fn heard(&mut self) -> Option<(OnConnection, Vec<OwnedFd>)> {
        loop {
            match self.0.hear().unwrap() {
                Heard::Message(message, descriptors) => return Some((message, descriptors)),
                Heard::Nothing => wait(&self.0),
                Heard::End => return None,
            }
        }
    }

    /// The reply to a call that is in progress, and makes no upcalls.
    pub fn reply(&mut self) -> Reply {
        match self.heard() {
            Some((OnConnection::Reply(reply), _)) => reply,
            other => panic!("{other:?}"),
        }
    }

    pub fn ask(&mut self, call: &Call) -> Reply {
        self.say(call);
        self.reply()
    }

    /// Answers an upcall.
    pub fn answer(&mut self, reply: &Reply) {
        self.0.say(Half::Upcall, reply, None).unwrap();
    }

    /// Opens a file. Returns its capabilities.
    pub fn open(&mut self, file: FileId, descriptor: &str, flags: OpenFlags) -> u64 {
        match self.ask(&Call::Open(request(file, descriptor, flags))) {
            Reply::Opened { capabilities, inner: 0 } => capabilities,
            other => panic!("{other:?}"),
        }
    }

    pub fn file(&mut self, file: FileId, call: FileCall) -> Reply {
        self.ask(&on_file(file, call))
    }

    /// Sends a call that waits, until it says so.
    pub fn begin_wait(&mut self, call: &Call) {
        self.say(call);
        match self.heard() {
            Some((OnConnection::Waiting { object: Some(object), refusal: None, .. }, _)) => {
                assert_eq!(object, "a sign")
            }
            other => panic!("{other:?}"),
        }
    }

    /// The reply to a call that has waited.
    pub fn end_wait(&mut self) -> Reply {
        match self.heard() {
            Some((OnConnection::Waiting { object: None, .. }, _)) => self.reply(),
            other => panic!("{other:?}"),
        }
    }

    pub fn put(&mut self, bytes: &[u8]) {
        self.0.payload().put(Half::Call, bytes);
    }

    pub fn taken(&mut self, count: usize) -> Vec<u8> {
        let mut bytes = vec![0; count];
        self.0.payload().take(Half::Call, &mut bytes);
        bytes
    }
}

/// The descriptors that a connection comes with, and our end.
pub fn connection() -> (Connection, [OwnedFd; 4]) {
    let (connection, OtherEnd(theirs)) = Connection::new().unwrap();
    (connection, theirs)
}

/// Sends a packet, whatever is in it, though the process may not have read those before.
pub fn send_raw(to: &impl AsFd, packet: &[u8]) {
    while let Err(errno) = send(to, packet, SendFlags::NOSIGNAL) {
        assert_eq!(errno, Errno::AGAIN);
        wait_for_room(to);
    }
}

/// With the defaults of a schema.
pub fn start(schema: &[Setting]) -> Call {
    let settings = Settings::check(schema, Scope::OPERATOR, &[]).unwrap();
    Call::Start { host: "test".into(), version: "1".into(), settings }
}

pub fn on_file(file: FileId, call: FileCall) -> Call {
    Call::File { file, control: control(1, false), call }
}

pub fn control(generation: u64, cancelled: bool) -> ControlState {
    ControlState { generation, limits: Limits { cancelled, deadline: u64::MAX } }
}

pub fn request(file: FileId, descriptor: &str, flags: OpenFlags) -> Request {
    Request {
        file,
        scheme: descriptor.split(':').next().unwrap().into(),
        descriptor: descriptor.into(),
        flags: flags.bits(),
        expected_size: None,
        settings: Settings::none(),
        control: control(1, false),
    }
}

/// A failure's code and text.
#[track_caller]
pub fn failed(reply: Reply) -> (Code, String) {
    match reply {
        Reply::Failed(failure) => (Code::from_raw(failure.code.into()), failure.text),
        other => panic!("{other:?}"),
    }
}

#[track_caller]
pub fn code(reply: Reply) -> Code {
    failed(reply).0
}

fn heard<T: DeserializeOwned + Debug>(socket: &Socket) -> Option<T> {
    wait(socket);
    match socket.hear().unwrap() {
        Heard::Message(message, _) => Some(message),
        Heard::Nothing => panic!("ready, and nothing came"),
        Heard::End => None,
    }
}

/// Until there is something, or the end.
fn wait(on: &impl AsFd) {
    let ready = poll(&mut [PollFd::new(on, PollFlags::IN)], Some(&limit()));
    assert_eq!(ready, Ok(1), "nothing after {LIMIT:?}");
}

fn wait_for_room(on: &impl AsFd) {
    let room = poll(&mut [PollFd::new(on, PollFlags::OUT)], Some(&limit()));
    assert_eq!(room, Ok(1), "no room after {LIMIT:?}");
}

fn limit() -> Timespec {
    Timespec { tv_sec: LIMIT.as_secs() as i64, tv_nsec: 0 }
}
