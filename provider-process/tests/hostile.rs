//! What the process does for a host that does not keep to the protocol: whatever it is, it neither panics nor hangs.

mod host;

use host::{Caller, Host, Odd, code, connection, control, failed, mem, on_file, request, send_raw};
use std::fs::File;
use std::os::fd::AsFd;
use vfs_core::process::wire::{CHUNK, Call, FileCall, FromProcess, OnConnection, Reply, ToProcess, VERSION};
use vfs_core::{Code, OpenFlags, Walls};

/// As wait(2) has it.
const EXIT_1: i32 = 1 << 8;
const EXIT_2: i32 = 2 << 8;

/// What a host does.
type Act<'a> = &'a dyn Fn(&Host);

#[test]
fn a_message_that_cannot_be_read_ends_its_connection_only() {
    let (host, mut caller) = Host::running(&mem());
    let too_long = (CHUNK as u32 + 1).to_le_bytes();
    let messages: [&[u8]; 8] = [
        &[],
        &[9],
        &[0],
        &[0, 0xff],
        &[0, 5, 1, 2, 3],
        &[1, 0, 0],
        &[&[1][..], &too_long].concat(),
        &[&[0][..], &[0xff; 40]].concat(),
    ];
    for message in messages {
        let mut broken = host.connection();
        broken.0.say_bytes(message).unwrap();
        ends(&mut broken, "broke the protocol: a message ");
    }
    // Past what says how many packets there are.
    let mut broken = host.connection();
    send_raw(&broken.0, &[0, 5, 1]);
    ends(&mut broken, "broke the protocol: a packet came that was not announced");
    caller.open(1, "mem:a", OpenFlags::READ | OpenFlags::WRITE | OpenFlags::CREATE);
}

/// The next answer is a failure, and the last of its connection.
fn ends(broken: &mut Caller, words: &str) {
    let (code, text) = failed(broken.reply());
    assert_eq!(code, Code::EIO, "{text}");
    assert!(text.starts_with(words), "{text}");
    assert!(broken.heard().is_none(), "{text}: the connection goes on");
}

/// Each ring is answered by a look into the slot, and there is nothing.
#[test]
fn a_host_that_rings_for_nothing_ends_its_connection_only() {
    let (host, mut caller) = Host::running(&mem());
    let mut broken = host.connection();
    for _ in 0..=1000 {
        send_raw(&broken.0, &[3]);
    }
    ends(&mut broken, "broke the protocol: it rang 1000 times for nothing");
    caller.open(1, "mem:a", OpenFlags::READ | OpenFlags::WRITE | OpenFlags::CREATE);
}

#[test]
fn a_call_with_descriptors_ends_its_connection() {
    let (_host, mut caller) = Host::running(&mem());
    let file = File::open("/dev/null").unwrap();
    let close = Call::Close { file: 1 };
    caller.0.say(vfs_core::process::Half::Call, &close, Some(file.as_fd())).unwrap();
    assert_eq!(code(caller.reply()), Code::EIO);
    assert!(caller.heard().is_none());
}

#[test]
fn unknown_names_and_impossible_counts_are_refused() {
    let (_host, mut caller) = Host::running(&mem());
    let new = OpenFlags::READ | OpenFlags::WRITE | OpenFlags::CREATE;
    caller.open(1, "mem:a", new);
    for file in [0, 2, u64::MAX] {
        assert_eq!(code(caller.file(file, FileCall::Tell)), Code::EBADF, "{file}");
        assert_eq!(code(caller.ask(&Call::Close { file })), Code::EBADF, "{file}");
    }
    for file in [0, 1] {
        assert_eq!(code(caller.ask(&Call::Open(request(file, "mem:b", new)))), Code::EINVAL, "{file}");
    }
    for count in [0, CHUNK as u32 + 1, u32::MAX] {
        for call in [
            FileCall::Read { count },
            FileCall::Write { count },
            FileCall::ReadAt { count, offset: 0 },
            FileCall::WriteAt { count, offset: 0 },
        ] {
            assert_eq!(code(caller.file(1, call)), Code::EINVAL, "{call:?}");
        }
    }
    let far = FileCall::ReadAt { count: 1, offset: u64::MAX };
    assert_eq!(code(caller.file(1, far)), Code::EINVAL);
    assert_eq!(code(caller.ask(&Call::Open(request(3, "", new)))), Code::EINVAL);
    assert!(matches!(caller.ask(&Call::Close { file: 1 }), Reply::Done));
}

#[test]
fn calls_that_overlap_on_one_file_are_busy() {
    let odd = Odd::build();
    let (host, mut caller) = Host::running(&odd.path);
    let mut other = host.connection();
    caller.open(1, "odd:wait", OpenFlags::READ);
    caller.begin_wait(&on_file(1, FileCall::Read { count: 1 }));
    let read_at = FileCall::ReadAt { count: 1, offset: 0 };
    for call in [FileCall::Read { count: 1 }, read_at, FileCall::Stat] {
        assert_eq!(code(other.file(1, call)), Code::EBUSY, "{call:?}");
    }
    assert_eq!(code(other.ask(&Call::Close { file: 1 })), Code::EBUSY);
    assert_eq!(code(other.ask(&Call::Stop)), Code::EBUSY);
    host.say(&ToProcess::Control { file: 1, control: control(2, true) });
    assert_eq!(code(caller.end_wait()), Code::ECANCELED);
    assert!(matches!(other.ask(&Call::Close { file: 1 }), Reply::Done));
    // So are a stop and an open.
    caller.begin_wait(&Call::Open(request(2, "odd:wait-in-open", OpenFlags::READ)));
    assert_eq!(code(other.ask(&Call::Stop)), Code::EBUSY);
    assert_eq!(code(other.ask(&Call::Open(request(2, "odd:x", OpenFlags::READ)))), Code::EINVAL);
    host.say(&ToProcess::Control { file: 2, control: control(2, true) });
    assert_eq!(code(caller.end_wait()), Code::ECANCELED);
    assert!(matches!(other.ask(&Call::Stop), Reply::Done));
    assert_eq!(host.ended(), Some(0));
}

/// Words about files that never come are forgotten.
#[test]
fn words_about_unknown_files_do_no_harm() {
    let (host, mut caller) = Host::running(&mem());
    for file in 10..2000 {
        host.say_until_taken(&ToProcess::Control { file, control: control(1, true) });
    }
    caller.open(1, "mem:a", OpenFlags::READ | OpenFlags::WRITE | OpenFlags::CREATE);
}

#[test]
fn a_control_socket_that_breaks_the_protocol_ends_the_process() {
    let (_connection, [socket, memory, ours, theirs]) = connection();
    let cases: [(&str, Act<'_>); 6] = [
        ("garbage", &|host| send_raw(&host.control, &[0xff; 3])),
        ("a second hello", &|host| {
            host.say(&ToProcess::Hello { version: VERSION, walls: Walls::default() });
        }),
        ("a connection without descriptors", &|host| host.say(&ToProcess::Connection { for_upcalls: false })),
        ("a connection without a payload", &|host| {
            let connection = ToProcess::Connection { for_upcalls: true };
            host.control.say(&connection, &[socket.as_fd()]).unwrap();
        }),
        ("a connection the wrong way round", &|host| {
            let connection = ToProcess::Connection { for_upcalls: false };
            let backwards = [&theirs, &ours, &memory, &socket].map(AsFd::as_fd);
            host.control.say(&connection, &backwards).unwrap();
        }),
        ("a connection whose slots are none", &|host| {
            let connection = ToProcess::Connection { for_upcalls: false };
            let payloads = [&socket, &memory, &memory, &memory].map(AsFd::as_fd);
            host.control.say(&connection, &payloads).unwrap();
        }),
    ];
    for (what, act) in cases {
        let (host, _caller) = Host::running(&mem());
        act(&host);
        match host.heard() {
            FromProcess::Log { level: 10, .. } => {}
            other => panic!("{what}: {other:?}"),
        }
        assert_eq!(host.ended(), Some(EXIT_2), "{what}");
    }
}

#[test]
fn a_first_word_of_another_version_is_answered_with_ours() {
    let file = File::open(mem()).unwrap();
    let hello = ToProcess::Hello { version: VERSION + 1, walls: Walls::default() };
    let other: [Act<'_>; 3] = [
        &|host| host.control.say(&hello, &[file.as_fd()]).unwrap(),
        &|host| send_raw(&host.control, &[0, 99, 1, 2, 3]),
        &|host| host.say(&ToProcess::Connection { for_upcalls: false }),
    ];
    for say in other {
        let host = Host::new();
        say(&host);
        assert!(matches!(host.heard(), FromProcess::Hello { version: VERSION }));
        assert_eq!(host.ended(), Some(EXIT_1));
    }
}

#[test]
fn a_hello_without_a_library_ends_the_process() {
    let host = Host::new();
    host.say(&ToProcess::Hello { version: VERSION, walls: Walls::default() });
    assert_eq!(host.ended(), Some(EXIT_1));
}

/// A reply in the middle of nothing is a call that cannot be read, or another call.
#[test]
fn a_reply_that_nobody_asked_for_does_no_harm() {
    let (host, _caller) = Host::running(&mem());
    let mut odd = host.connection();
    odd.answer(&Reply::Names(Vec::new()));
    match odd.heard() {
        Some((OnConnection::Reply(Reply::Failed(_)), _)) => {}
        other => panic!("{other:?}"),
    }
    let mut well: Caller = host.connection();
    well.open(1, "mem:a", OpenFlags::READ | OpenFlags::WRITE | OpenFlags::CREATE);
}
