//! A layer in the process, and the host that opens its inner files.

mod host;

use host::{Caller, Host, failed, request};
use vfs_core::process::Half;
use vfs_core::process::wire::{
    Call, FileCall, FromProcess, InnerRequest, NameCall, NameEntry, OnConnection, Reply, ToProcess, Upcall,
};
use vfs_core::{Capabilities, Code, OpenFlags};
use zvfs_faults::of_tests;

fn upcall(caller: &mut Caller) -> Upcall {
    match caller.heard() {
        Some((OnConnection::Upcall(upcall), _)) => upcall,
        other => panic!("{other:?}"),
    }
}

/// Answers an open with every capability there is.
fn answer_open(caller: &mut Caller, file: u64, inner: u64) {
    match upcall(caller) {
        Upcall::Open(InnerRequest { file: of, descriptor, flags, .. }) => {
            assert_eq!((of, descriptor.as_str(), flags), (file, "x:y", OpenFlags::READ.bits()));
        }
        other => panic!("{other:?}"),
    }
    caller.answer(&Reply::Opened { capabilities: u64::from(u32::MAX), inner });
}

fn answer_read(caller: &mut Caller, inner: u64, bytes: &[u8]) {
    match upcall(caller) {
        Upcall::File { inner: of, call: FileCall::Read { count } } => assert_eq!((of, count), (inner, 100)),
        other => panic!("{other:?}"),
    }
    caller.0.payload().put(Half::Upcall, bytes);
    caller.answer(&Reply::Number(bytes.len() as u64));
}

fn answer_close(caller: &mut Caller, inner: u64) {
    assert!(matches!(upcall(caller), Upcall::Close { inner: of } if of == inner));
    caller.answer(&Reply::Done);
}

#[test]
fn an_inner_file_is_used_on_the_connection_of_the_call() {
    let (_host, mut caller) = Host::running(&of_tests("layering"));
    caller.say(&Call::Open(request(5, "layering:pass,x:y", OpenFlags::READ)));
    answer_open(&mut caller, 5, 77);
    let Reply::Opened { capabilities, .. } = caller.reply() else { panic!("not opened") };
    // No descriptor of the host's goes to a process.
    let lent = Capabilities::FD | Capabilities::SPLICE | Capabilities::POLL;
    assert!(!Capabilities::from_bits(capabilities).intersects(lent));
    caller.say(&host::on_file(5, FileCall::Read { count: 100 }));
    answer_read(&mut caller, 77, b"inner bytes");
    assert!(matches!(caller.reply(), Reply::Number(11)));
    assert_eq!(caller.taken(11), b"inner bytes");
    caller.say(&Call::Close { file: 5 });
    answer_close(&mut caller, 77);
    assert!(matches!(caller.reply(), Reply::Done));
}

#[test]
fn an_inner_error_passes_through() {
    let (_host, mut caller) = Host::running(&of_tests("layering"));
    caller.say(&Call::Open(request(5, "layering:pass,x:y", OpenFlags::READ)));
    assert!(matches!(upcall(&mut caller), Upcall::Open(_)));
    let error = vfs_core::Error::new(Code::EPROTONOSUPPORT, "open x:y: no such scheme");
    caller.answer(&Reply::Failed((&error).into()));
    let (code, text) = failed(caller.reply());
    assert_eq!((code, text.as_str()), (Code::EPROTONOSUPPORT, "open x:y: no such scheme"));
}

/// A thread of the provider's own is in no call, so the host gives it a connection.
#[test]
fn a_thread_of_the_providers_own_gets_a_connection() {
    let (host, mut caller) = Host::running(&of_tests("layering"));
    caller.say(&Call::Open(request(5, "layering:thread,x:y", OpenFlags::READ)));
    assert!(matches!(host.heard(), FromProcess::NeedConnection));
    let mut for_upcalls = host.new_connection(true);
    answer_open(&mut for_upcalls, 5, 77);
    assert!(matches!(caller.reply(), Reply::Opened { .. }));
    // The connection is kept for the next one.
    caller.say(&Call::Open(request(6, "layering:thread,x:y", OpenFlags::READ)));
    answer_open(&mut for_upcalls, 6, 78);
    assert!(matches!(caller.reply(), Reply::Opened { .. }));
}

#[test]
fn a_thread_that_waits_for_a_connection_is_cancelled() {
    let (host, mut caller) = Host::running(&of_tests("layering"));
    caller.say(&Call::Open(request(5, "layering:thread,x:y", OpenFlags::READ)));
    assert!(matches!(host.heard(), FromProcess::NeedConnection));
    host.say(&ToProcess::Control { file: 5, control: host::control(2, true) });
    assert_eq!(failed(caller.reply()).0, Code::ECANCELED);
}

#[test]
fn a_context_that_is_not_the_hosts_opens_nothing() {
    let (_host, mut caller) = Host::running(&of_tests("layering"));
    let (code, _) = failed(caller.ask(&Call::Open(request(5, "layering:foreign,x:y", OpenFlags::READ))));
    assert_eq!(code, Code::EINVAL);
}

#[test]
fn an_inner_listing_goes_through_in_both_directions() {
    let (_host, mut caller) = Host::running(&of_tests("layering"));
    caller.say(&Call::Name(NameCall::List, request(5, "layering:pass,x:y", OpenFlags::empty())));
    assert!(matches!(upcall(&mut caller), Upcall::Name(NameCall::List, InnerRequest { file: 5, .. })));
    let entry = |name: &str| NameEntry { bytes: name.into(), stat: None };
    for name in ["a", "b"] {
        caller.answer(&Reply::Names(vec![entry(name)]));
        assert!(matches!(caller.heard(), Some((OnConnection::GoOn(true), _))));
    }
    caller.answer(&Reply::Done);
    // Both together: the layer passes them on while it lists.
    match upcall(&mut caller) {
        Upcall::Names(names) => assert_eq!(names, [entry("a"), entry("b")]),
        other => panic!("{other:?}"),
    }
    caller.answer(&Reply::Number(1));
    assert!(matches!(caller.reply(), Reply::Done));
}

/// A host that answers with nonsense.
#[test]
fn an_answer_of_another_kind_is_an_error_of_the_call() {
    let (_host, mut caller) = Host::running(&of_tests("layering"));
    for answer in [Reply::Done, Reply::Number(7), Reply::Names(Vec::new())] {
        caller.say(&Call::Open(request(5, "layering:pass,x:y", OpenFlags::READ)));
        assert!(matches!(upcall(&mut caller), Upcall::Open(_)));
        caller.answer(&answer);
        assert_eq!(failed(caller.reply()).0, Code::EIO, "{answer:?}");
    }
    // More than was asked for.
    caller.say(&Call::Open(request(6, "layering:pass,x:y", OpenFlags::READ)));
    answer_open(&mut caller, 6, 77);
    assert!(matches!(caller.reply(), Reply::Opened { .. }));
    caller.say(&host::on_file(6, FileCall::Read { count: 100 }));
    assert!(matches!(upcall(&mut caller), Upcall::File { .. }));
    caller.answer(&Reply::Number(101));
    assert_eq!(failed(caller.reply()).0, Code::EIO);
}
