//! In the place of `zvfs-provider`: a process that a hostile library has taken over, and that says to its host what it likes.
//!
//! It loads nothing. What it calls itself is the provider's name, but for `newer`, which speaks another version of the protocol, and
//! `renamed`. A descriptor's rest says which lie its file tells; `honest` tells none.
#![expect(unsafe_code, reason = "takes over the descriptors that a host gives it")]

use rustix::fs::{Mode, OFlags, open};
use rustix::net::{SendFlags, send};
use std::fs::File;
use std::os::fd::{AsFd, FromRawFd, OwnedFd};
use std::os::unix::fs::FileExt;
use std::process::exit;
use std::sync::Arc;
use std::thread;
use vfs_core::process::wire::{
    Call, FileCall, FromProcess, FromSupervisor, NameCall, NameEntry, OnConnection, Reply, ToProcess,
    ToSupervisor, Upcall, VERSION,
};
use vfs_core::process::{Connection, Half, Heard, Socket};
use vfs_core::{Capabilities, Info, OpenFlags};

fn main() {
    let name = std::env::args().nth(1).unwrap_or_default();
    // SAFETY: a host gives the program these two, and nobody else has them.
    let [control, supervisor] = [3, 4].map(|number| Socket::from(unsafe { OwnedFd::from_raw_fd(number) }));
    thread::spawn(move || supervise(&supervisor));
    let control = Arc::new(control);
    while let Ok(Heard::Message(message, descriptors)) = control.hear() {
        match message {
            ToProcess::Hello { .. } => {
                let version = if name == "newer" { VERSION + 1 } else { VERSION };
                let _ = control.say(&FromProcess::Hello { version }, &[]);
                if version != VERSION {
                    exit(1);
                }
            }
            ToProcess::Connection { .. } => {
                let (name, control) = (name.clone(), control.clone());
                let slot = Slot(File::from(descriptors[3].try_clone().expect("a descriptor")));
                let connection = Connection::try_from(descriptors).expect("a connection");
                thread::spawn(move || serve(connection, &slot, &name, &control));
            }
            ToProcess::Control { .. } => {}
        }
    }
    exit(0)
}

/// Dies as it is told to.
fn supervise(socket: &Socket) {
    if let Ok(Heard::Message(ToSupervisor::Kill, _)) = socket.hear() {
        let _ = socket.say(&FromSupervisor::Ended { status: libc::SIGKILL }, &[]);
    }
    exit(0)
}

fn serve(mut connection: Connection, slot: &Slot, name: &str, control: &Socket) {
    // A test has one file at a time.
    let mut lie = String::new();
    while let Ok(Heard::Message(call, _)) = connection.hear() {
        let reply = match call {
            Call::Load { .. } => Reply::Info(info(name)),
            Call::Open(request) => {
                lie =
                    request.descriptor.split_once(':').map_or_else(String::new, |(_, rest)| rest.to_owned());
                open_reply(&lie)
            }
            Call::File { call, .. } => match tell(&mut connection, slot, &lie, call, control) {
                Some(reply) => reply,
                None => continue,
            },
            Call::Name(NameCall::List, request) => {
                list(&mut connection, &request.descriptor);
                Reply::Done
            }
            _ => Reply::Done,
        };
        let _ = connection.say(Half::Call, &OnConnection::Reply(reply), None);
    }
}

fn info(name: &str) -> Info {
    let name = if name == "renamed" { "other" } else { name };
    let info = Info::new(name, "1", "lies").supported_flags(OpenFlags::READ | OpenFlags::WRITE);
    if name == "schemeless" { info.schemes([""; 0]) } else { info }
}

fn open_reply(lie: &str) -> Reply {
    let all = Capabilities::from_bits(0x3ff).bits();
    if lie == "open" { Reply::Done } else { Reply::Opened { capabilities: all, inner: 0 } }
}

/// Answers a call of a file; `None`: in a way of its own.
fn tell(
    connection: &mut Connection,
    slot: &Slot,
    lie: &str,
    call: FileCall,
    control: &Socket,
) -> Option<Reply> {
    let raw = |connection: &mut Connection, message: &[u8]| {
        let _ = connection.say_bytes(message);
        None
    };
    let packet = |connection: &Connection, packet: &[u8]| {
        let _ = send(connection.as_fd(), packet, SendFlags::empty());
        None
    };
    let beside = |connection: &mut Connection, reply: Reply, path: &str, flags: OFlags| {
        let file = open(path, flags, Mode::empty()).expect(path);
        let _ = connection.say(Half::Call, &OnConnection::Reply(reply), Some(file.as_fd()));
        None
    };
    let lease = Reply::Lease { offset: Some(0), limit: u64::MAX };
    match (lie, call) {
        ("more", FileCall::Read { count }) => Some(Reply::Number(u64::from(count) + 1)),
        ("most", _) => Some(Reply::Number(u64::MAX)),
        ("nothing", FileCall::Write { .. }) => Some(Reply::Number(0)),
        ("another", FileCall::Read { .. }) => Some(Reply::Done),
        ("garbage", _) => raw(connection, &[0, 99]),
        ("unknown", _) => raw(connection, &[7]),
        ("longer", _) => raw(connection, &[1, 0xff, 0xff, 0xff, 0x7f]),
        ("surplus", _) => beside(connection, Reply::Number(0), "/dev/null", OFlags::RDONLY),
        ("lends-nothing", _) => Some(lease),
        ("lends-a-device", _) => beside(connection, lease, "/dev/zero", OFlags::RDWR),
        ("lends-the-other-way", FileCall::Lease(_)) => {
            beside(connection, lease, "/etc/passwd", OFlags::RDONLY)
        }
        ("goes-on", _) => {
            let _ = connection.say(Half::Call, &OnConnection::GoOn(true), None);
            None
        }
        ("lists", _) => {
            let _ = connection.say(Half::Upcall, &OnConnection::Upcall(Upcall::Names(Vec::new())), None);
            None
        }
        ("on-control", _) => {
            let _ = send(control.as_fd(), &[99], SendFlags::empty());
            None
        }
        ("unannounced", _) => packet(connection, &[0, 0, 1, 1]),
        ("rings", _) => (0..2000).find_map(|_| packet(connection, RING)),
        ("ahead" | "behind" | "beyond" | "announces" | "dies-in-mid-write" | "changes", _) => {
            slot.lie(lie);
            packet(connection, RING)
        }
        (_, FileCall::Read { .. } | FileCall::Write { .. }) => Some(Reply::Number(1)),
        _ => Some(Reply::Done),
    }
}

/// Has the host look into the slot.
const RING: &[u8] = &[3];

/// The process's own slot, past the code that keeps to the protocol. `docs/placement.md` has what stands where.
struct Slot(File);

impl Slot {
    /// Tells one of the lies about it.
    fn lie(&self, lie: &str) {
        let [messages, packets] = [0, 4].map(|at| self.word(at));
        let honest = |number: u8| self.say(&[0, 0, 1, number], 4, messages + 1);
        match lie {
            "ahead" => self.say(&[], 0, messages + 2),
            "behind" => self.say(&[], 0, messages - 1),
            "beyond" => self.say(&[], 4081, messages + 1),
            "announces" => {
                self.write(&(packets + 1).to_ne_bytes(), 4);
                honest(1);
            }
            "dies-in-mid-write" => {
                self.write(&[0, 0], 16);
                exit(3);
            }
            // The host takes one of the two, or a part of each.
            _ => {
                for odd in [0, 1].repeat(50_000) {
                    self.say(&[0, 0, 1, odd], 4 + u32::from(odd), messages + u32::from(odd));
                }
            }
        }
    }

    fn say(&self, message: &[u8], length: u32, messages: u32) {
        self.write(message, 16);
        self.write(&length.to_ne_bytes(), 12);
        self.write(&messages.to_ne_bytes(), 0);
    }

    fn word(&self, at: u64) -> u32 {
        let mut word = [0; 4];
        self.0.read_exact_at(&mut word, at).expect("a word of the slot");
        u32::from_ne_bytes(word)
    }

    fn write(&self, bytes: &[u8], at: u64) {
        self.0.write_all_at(bytes, at).expect("room in the slot");
    }
}

/// Lists names that are none, one that is, and goes on after the host has had enough; or as many as a message holds.
fn list(connection: &mut Connection, descriptor: &str) {
    let names = ["", ".", "..", "a/b", "a\0b", "name"];
    let mut names: Vec<_> = names.map(|name| NameEntry { bytes: name.into(), stat: None }).into();
    if descriptor.ends_with("much") {
        names = vec![NameEntry { bytes: Vec::new(), stat: None }; 500_000];
    }
    let times = if descriptor.ends_with("on-and-on") { 2 } else { 1 };
    for _ in 0..times {
        let _ = connection.say(Half::Upcall, &OnConnection::Upcall(Upcall::Names(names.clone())), None);
        let _ = connection.hear::<Reply>();
    }
}
