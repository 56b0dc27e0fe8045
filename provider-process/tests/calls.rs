//! What the process does for a host that keeps to the protocol.

mod host;

use host::{Caller, Host, Odd, code, control, failed, mem, on_file, request, start};
use rustix::fs::{OFlags, fcntl_getfl};
use rustix::io::pread;
use std::thread;
use vfs_core::process::wire::{
    CHUNK, Call, FileCall, FromProcess, NameCall, OnConnection, Reply, Seek, ToProcess, Upcall,
};
use vfs_core::{Capabilities, Code, Direction, Finish, OpenFlags, Walls};

const NEW: OpenFlags =
    OpenFlags::from_bits(OpenFlags::READ.bits() | OpenFlags::WRITE.bits() | OpenFlags::CREATE.bits());

fn number(reply: Reply) -> u64 {
    match reply {
        Reply::Number(number) => number,
        other => panic!("{other:?}"),
    }
}

fn write(caller: &mut Caller, file: u64, bytes: &[u8]) {
    caller.put(bytes);
    let count = bytes.len() as u32;
    assert_eq!(number(caller.file(file, FileCall::Write { count })), bytes.len() as u64);
}

#[test]
fn a_file_is_written_read_and_closed() {
    let (_host, mut caller) = Host::running(&mem());
    let capabilities = Capabilities::from_bits(caller.open(7, "mem:a", NEW));
    assert!(capabilities.contains(Capabilities::READABLE | Capabilities::WRITABLE | Capabilities::SEEKABLE));
    let bytes: Vec<u8> = (0..CHUNK).map(|at| at as u8).collect();
    write(&mut caller, 7, &bytes);
    assert_eq!(number(caller.file(7, FileCall::Tell)), CHUNK as u64);
    assert_eq!(number(caller.file(7, FileCall::Seek(Seek::Start(0)))), 0);
    assert_eq!(number(caller.file(7, FileCall::Read { count: CHUNK as u32 })), CHUNK as u64);
    assert!(caller.taken(CHUNK) == bytes);
    caller.put(b"new");
    assert_eq!(number(caller.file(7, FileCall::WriteAt { count: 3, offset: 5 })), 3);
    assert_eq!(number(caller.file(7, FileCall::ReadAt { count: 5, offset: 4 })), 5);
    assert_eq!(caller.taken(5), b"\x04new\x08");
    assert!(matches!(caller.file(7, FileCall::Truncate { size: 2 }), Reply::Done));
    assert!(matches!(caller.file(7, FileCall::Finish(Finish::Commit)), Reply::Done));
    let Reply::Stat(stat) = caller.file(7, FileCall::Stat) else { panic!("no status") };
    assert_eq!(vfs_core::Stat::from(stat).size, Some(2));
    assert!(matches!(caller.ask(&Call::Close { file: 7 }), Reply::Done));
    assert_eq!(code(caller.file(7, FileCall::Tell)), Code::EBADF);
}

#[test]
fn connections_serve_their_calls_at_the_same_time() {
    const CONNECTIONS: u64 = 16;
    const FILES: u64 = 20;
    let (host, _first) = Host::running(&mem());
    thread::scope(|scope| {
        for connection in 1..=CONNECTIONS {
            let mut caller = host.connection();
            scope.spawn(move || {
                for file in (1..=FILES).map(|file| connection * FILES + file) {
                    caller.open(file, &format!("mem:{file}"), NEW);
                    write(&mut caller, file, &file.to_le_bytes());
                    assert_eq!(number(caller.file(file, FileCall::ReadAt { count: 9, offset: 0 })), 8);
                    assert_eq!(caller.taken(8), file.to_le_bytes());
                    assert!(matches!(caller.ask(&Call::Close { file }), Reply::Done));
                }
            });
        }
    });
}

/// With 32 MiB there are not so many threads.
#[test]
fn a_call_that_gets_no_thread_is_refused_and_the_next_one_may_get_one() {
    let odd = Odd::build();
    let (host, mut first) =
        Host::running_behind(Walls { memory: Some(32 << 20), ..Walls::default() }, &odd.path);
    let mut connections: Vec<Caller> = (0..20).map(|_| host.connection()).collect();
    let (mut opened, mut refused) = (0, Vec::new());
    for (at, connection) in connections.iter_mut().enumerate() {
        match connection.ask(&Call::Open(request(at as u64 + 1, "odd:x", OpenFlags::READ))) {
            Reply::Opened { .. } => opened += 1,
            Reply::Failed(failure) => {
                assert!(failure.text.contains("no thread available"), "{failure:?}");
                refused.push(at);
            }
            other => panic!("{other:?}"),
        }
    }
    assert!(opened > 0 && !refused.is_empty(), "{opened} of {} opened", connections.len());
    let mut last = connections.swap_remove(refused[0]);
    // A file is closed without a thread, too.
    assert!(matches!(last.ask(&Call::Close { file: 1 }), Reply::Done));
    drop(connections);
    // The threads of the others end, and this one gets theirs.
    let got_one = (100..100_000).any(|file| {
        first.open(2 * file, "odd:x", OpenFlags::READ);
        let reply = last.ask(&Call::Open(request(2 * file + 1, "odd:x", OpenFlags::READ)));
        matches!(reply, Reply::Opened { .. })
    });
    assert!(got_one);
}

#[test]
fn an_error_of_the_providers_arrives_with_its_text() {
    let (_host, mut caller) = Host::running(&mem());
    let (code, text) = failed(caller.ask(&Call::Open(request(1, "mem:absent", OpenFlags::READ))));
    assert_eq!(code, Code::ENOENT);
    assert!(text.contains("mem:absent"), "{text}");
    // The failed open has left nothing: its name may be used, though no host does that.
    caller.open(1, "mem:there", NEW);
}

#[test]
fn names_are_listed_in_batches_and_removed() {
    let (_host, mut caller) = Host::running(&mem());
    let count = 1000;
    for file in 1..=count {
        caller.open(file, &format!("mem:{file}"), NEW);
    }
    let mut names = Vec::new();
    caller.say(&Call::Name(NameCall::Names, request(5000, "mem:", OpenFlags::empty())));
    let mut batches = 0;
    loop {
        match caller.heard() {
            Some((OnConnection::Upcall(Upcall::Names(batch)), _)) => {
                names.extend(batch.into_iter().map(|entry| entry.bytes));
                batches += 1;
                caller.answer(&Reply::Number(1));
            }
            Some((OnConnection::Reply(Reply::Done), _)) => break,
            other => panic!("{other:?}"),
        }
    }
    names.sort();
    let mut all: Vec<_> = (1..=count).map(|file| file.to_string().into_bytes()).collect();
    all.sort();
    assert!(names == all && batches > 1, "{batches} batches");
    // Broken off.
    caller.say(&Call::Name(NameCall::List, request(5001, "mem:", OpenFlags::empty())));
    assert!(matches!(caller.heard(), Some((OnConnection::Upcall(Upcall::Names(_)), _))));
    caller.answer(&Reply::Number(0));
    assert!(matches!(caller.reply(), Reply::Done));
    let remove = |file| Call::Name(NameCall::Remove, request(file, "mem:1", OpenFlags::empty()));
    assert!(matches!(caller.ask(&remove(5002)), Reply::Done));
    assert_eq!(code(caller.ask(&remove(5003))), Code::ENOENT);
    let stat = Call::Name(NameCall::Stat, request(5004, "mem:2", OpenFlags::empty()));
    assert!(matches!(caller.ask(&stat), Reply::Stat(_)));
}

#[test]
fn a_provider_without_names_says_so() {
    let odd = Odd::build();
    let (_host, mut caller) = Host::running(&odd.path);
    let reply = caller.ask(&Call::Name(NameCall::Stat, request(1, "odd:x", OpenFlags::empty())));
    assert_eq!(failed(reply), (Code::ENOTSUP, "provider `odd` does not support names".into()));
}

#[test]
fn phases_come_in_their_order() {
    let host = Host::with(&mem());
    let mut caller = host.connection();
    let open = Call::Open(request(1, "mem:a", NEW));
    assert_eq!(code(caller.ask(&open)), Code::EINVAL);
    assert_eq!(code(caller.ask(&start(&[]))), Code::EINVAL);
    let load = Call::Load { path: mem() };
    let Reply::Info(info) = caller.ask(&load) else { panic!("not loaded") };
    assert_eq!(info.name, "mem");
    assert_eq!(code(caller.ask(&load)), Code::EINVAL);
    assert_eq!(code(caller.ask(&open)), Code::EINVAL);
    assert!(matches!(caller.ask(&start(&info.settings)), Reply::Done));
    assert_eq!(code(caller.ask(&start(&info.settings))), Code::EINVAL);
    assert!(matches!(caller.ask(&open), Reply::Opened { .. }));
}

#[test]
fn what_is_no_library_is_an_error_that_names_it() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(&file, "no library").unwrap();
    let host = Host::with(file.path());
    let (code, text) = failed(host.connection().ask(&Call::Load { path: "/x/libzvfs_y.so".into() }));
    assert_eq!(code, Code::ELIBBAD);
    assert!(text.contains("/x/libzvfs_y.so"), "{text}");
}

#[test]
fn a_cancel_reaches_a_call_and_the_newest_word_counts() {
    let odd = Odd::build();
    let (host, mut caller) = Host::running(&odd.path);
    caller.open(1, "odd:wait", OpenFlags::READ);
    caller.begin_wait(&on_file(1, FileCall::Read { count: 1 }));
    host.say(&ToProcess::Control { file: 1, control: control(3, true) });
    let (code, text) = failed(caller.end_wait());
    assert_eq!((code, text.as_str()), (Code::ECANCELED, "waited in vain"));
    // An older word, which was on its way when the cancel was made.
    host.say(&ToProcess::Control { file: 1, control: control(2, false) });
    let stale = Call::File { file: 1, control: control(2, false), call: FileCall::Read { count: 1 } };
    caller.begin_wait(&stale);
    assert_eq!(failed(caller.end_wait()).0, Code::ECANCELED);
    // Lifted: it waits again.
    let lifted = Call::File { file: 1, control: control(4, false), call: FileCall::Read { count: 1 } };
    caller.begin_wait(&lifted);
    host.say(&ToProcess::Control { file: 1, control: control(5, true) });
    assert_eq!(failed(caller.end_wait()).0, Code::ECANCELED);
}

/// A cancel on the control socket may be faster than the open that it ends.
#[test]
fn a_word_about_a_file_that_is_to_come_is_kept() {
    let odd = Odd::build();
    let (host, mut caller) = Host::running(&odd.path);
    host.say(&ToProcess::Control { file: 9, control: control(2, true) });
    // Once this connection serves a call, the word before it was heard.
    host.connection().open(1, "odd:x", OpenFlags::READ);
    caller.begin_wait(&Call::Open(request(9, "odd:wait-in-open", OpenFlags::READ)));
    assert_eq!(failed(caller.end_wait()), (Code::ECANCELED, "waited in vain".into()));
}

#[test]
fn a_regular_file_is_lent_and_nothing_else() {
    let odd = Odd::build();
    let (_host, mut caller) = Host::running(&odd.path);
    caller.open(1, "odd:file", OpenFlags::READ);
    caller.say(&on_file(1, FileCall::Lease(Direction::Read)));
    let Some((OnConnection::Reply(Reply::Lease { offset: Some(1), limit: 3 }), descriptors)) = caller.heard()
    else {
        panic!("not lent")
    };
    let [lent] = &descriptors[..] else { panic!("{descriptors:?}") };
    let mut bytes = [0; 3];
    assert_eq!(pread(lent, &mut bytes, 1), Ok(3));
    assert_eq!(&bytes, b"ent");
    assert_eq!(fcntl_getfl(lent).unwrap() & OFlags::RWMODE, OFlags::RDWR);
    let advance = FileCall::Advance { direction: Direction::Read, count: 3 };
    assert!(matches!(caller.file(1, advance), Reply::Done));
    caller.open(2, "odd:pipe", OpenFlags::READ);
    assert_eq!(code(caller.file(2, FileCall::Lease(Direction::Read))), Code::ENOTSUP);
}

#[test]
fn a_log_has_its_limit_and_says_what_is_missing() {
    let odd = Odd::build();
    let (host, mut caller) = Host::running(&odd.path);
    caller.open(1, "odd:log", OpenFlags::READ);
    let mut lines = Vec::new();
    // 150 lines a call, 100 a second: as many calls as it takes for the next second to come.
    while !lines.iter().any(|line: &String| line.contains("were dropped")) {
        caller.say(&on_file(1, FileCall::Read { count: 1 }));
        // Only what is there after the reply: a line is sent before it.
        assert_eq!(number(caller.reply()), 1);
        lines.extend(host.said().into_iter().map(|message| match message {
            FromProcess::Log { level: 20, text } => text,
            other => panic!("{other:?}"),
        }));
    }
    let end = lines.iter().position(|line| line.contains("were dropped")).unwrap();
    assert!(end >= 100 && lines[..end].iter().all(|line| line == "a line"), "{lines:?}");
}
