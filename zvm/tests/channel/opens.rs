//! Opening: flags by type and quotas, kinds of sources, and what a defect is answered with.

use crate::shelf::{Book, PIPE, Shelf, x};
use vfs_core::{Capabilities, Code, Control, Kind, OpenFlags};
use zvm::ExitCode;

#[test]
fn flags_follow_type_and_quotas() {
    let (read, write, create) = (OpenFlags::READ, OpenFlags::WRITE, OpenFlags::CREATE);
    for (rest, flags) in [
        ("0, 1, 1, 0, 0", read),
        ("3, 1, 1, 0, 0", read),
        ("0, 0, 0, 1, 1", write | create | OpenFlags::TRUNCATE | OpenFlags::ATOMIC),
        ("1, 0, 0, 1, 1", write | create | OpenFlags::TRUNCATE | OpenFlags::ATOMIC),
        ("2, 0, 0, 1, 1", write | create | OpenFlags::TRUNCATE),
        ("1, 1, 1, 1, 1", read | write | create | OpenFlags::APPEND),
        ("3, 1, 1, 1, 1", read | write | create),
    ] {
        let shelf = Shelf::new();
        shelf.put("f", Book::new("abc"));
        drop(shelf.open(&format!("test:f, {rest}")));
        assert_eq!(shelf.flags("f"), flags, "{rest}");
    }
}

#[test]
fn a_provider_without_files_is_not_asked_to_create_any() {
    let shelf = Shelf::new();
    shelf.put("f", Book::pipe(""));
    drop(shelf.open("plain:f, 0, 0, 0, 1, 1"));
    assert_eq!(shelf.flags("f"), OpenFlags::WRITE);
    // To append is more than that: it must be understood.
    shelf.put("f", Book::new(""));
    let failure = shelf.try_open("plain:f, /x, 1, 1, 1, 1, 1", "", &Control::new()).unwrap_err();
    assert_eq!(failure.exit(), ExitCode::Manifest);
    assert!(failure.text().contains("APPEND"), "{failure}");
}

#[test]
fn space_is_reserved_where_the_manifest_says_so() {
    let shelf = Shelf::new();
    let open = |more: &str| shelf.try_open("test:new, /x, 0, 0, 0, 1, 4096", more, &Control::new()).unwrap();
    drop(open(""));
    assert_eq!(shelf.log("new"), ["open", "close"]);
    drop(open("Preallocate = 1"));
    assert!(shelf.log("new").contains(&"reserve Some(4096)".to_owned()));
    assert!(!shelf.flags("in").contains(OpenFlags::PREALLOCATE));
    drop(shelf.try_open("plain:new, /x, 0, 0, 0, 1, 4096", "Preallocate = 1", &Control::new()).unwrap());
    assert_eq!(shelf.flags("new"), OpenFlags::WRITE);
}

#[test]
fn what_cannot_be_opened_has_its_exit_code_and_line() {
    let control = Control::new();
    for (code, exit) in [
        (Code::ENOENT, ExitCode::Manifest),
        (Code::EACCES, ExitCode::Manifest),
        (Code::EBUSY, ExitCode::Manifest),
        (Code::EISDIR, ExitCode::SourceKind),
        (Code::EPROTONOSUPPORT, ExitCode::SourceKind),
        (Code::EMFILE, ExitCode::TooManyChannels),
        (Code::EIO, ExitCode::Io),
    ] {
        let shelf = Shelf::new();
        shelf.put("f", Book { open_error: Some(code), ..Book::new("") });
        let failure = shelf.try_open("test:f, /x, 0, 1, 1, 0, 0", "", &control).unwrap_err();
        assert_eq!(failure.exit(), exit, "{failure}");
        assert!(failure.text().starts_with("MANIFEST 6: channel /x: open test:f"), "{failure}");
    }
    let failure = Shelf::new().try_open("nonsense:f, /x, 0, 1, 1, 0, 0", "", &control).unwrap_err();
    assert!(failure.text().contains("nonsense"), "{failure}");
}

#[test]
fn rule_25_sources_that_do_not_exist_or_are_no_files() {
    let shelf = Shelf::new();
    let open = |channel: &str| shelf.try_open(channel, "", &Control::new()).unwrap_err();
    assert_eq!(open("test:absent, /x, 0, 1, 1, 0, 0").exit(), ExitCode::Manifest);
    shelf.put("folder", Book { kind: Kind::Directory, ..Book::new("") });
    assert_eq!(open("test:folder, /x, 0, 1, 1, 0, 0").exit(), ExitCode::SourceKind);
    for kind in [Kind::Stream, Kind::Device, Kind::Terminal] {
        shelf.put("stream", Book { kind, ..Book::new("") });
        let failure = open("test:stream, /x, 3, 1, 1, 1, 1");
        assert_eq!(failure.exit(), ExitCode::Manifest);
        assert!(failure.text().contains("not both"), "{failure}");
    }
}

#[test]
fn a_pipe_is_sequential_whatever_its_type() {
    let shelf = Shelf::new();
    shelf.put("p", Book::pipe("abc"));
    let mut channels = shelf.open("test:p, 3, 9, 99, 0, 0");
    let channel = x(&mut channels);
    assert!(!channel.is_random());
    assert_eq!(channel.size(), Ok(0));
    let mut buffer = [0; 2];
    assert_eq!(channel.read_at(&mut buffer, 70), Ok(2));
    assert_eq!(&buffer, b"ab");
    assert!(channels.notes().next().unwrap().contains("sequential"));
}

#[test]
fn a_file_without_positions_cannot_be_random() {
    let shelf = Shelf::new();
    shelf.put("f", Book { capabilities: PIPE, ..Book::new("abc") });
    for (kind, quotas) in [(1, "1, 1, 0, 0"), (2, "0, 0, 1, 1"), (3, "1, 1, 1, 1")] {
        let failure =
            shelf.try_open(&format!("test:f, /x, {kind}, {quotas}"), "", &Control::new()).unwrap_err();
        assert_eq!(failure.exit(), ExitCode::Manifest);
        assert!(failure.text().contains("no random access"), "{failure}");
    }
    // The direction that the type makes random is not the one in use.
    let mut channels = shelf.open("test:f, 2, 9, 99, 0, 0");
    assert!(!x(&mut channels).is_random());
    shelf.put("g", Book { capabilities: PIPE | Capabilities::POSITIONAL_READ, ..Book::new("abc") });
    assert!(x(&mut shelf.open("test:g, 1, 9, 99, 0, 0")).random_read());
}

#[test]
fn node_and_job_are_offered_to_who_declares_them() {
    let shelf = Shelf::new();
    shelf.put("p", Book::pipe(""));
    drop(shelf.try_open("test:p, /x, 0, 1, 1, 0, 0", "Node = red\nBroker = b", &Control::new()).unwrap());
    shelf.edit("p", |book| assert_eq!(book.settings, ["red", "nightly"]));
    drop(shelf.try_open("plain:p, /x, 0, 1, 1, 0, 0", "Node = red", &Control::new()).unwrap());
    shelf.edit("p", |book| assert!(book.settings.is_empty()));
}

#[test]
fn writers_are_offered_for_their_source_to_who_reads_it() {
    let shelf = Shelf::new();
    shelf.put("many", Book::pipe(""));
    for (channel, seen) in [
        ("test:many, /x, 0, 1, 1, 0, 0", vec!["nightly", "3"]),
        ("test:many, /x, 0, 0, 0, 1, 1", vec!["nightly"]),
    ] {
        drop(shelf.try_open(channel, "", &Control::new()).unwrap());
        shelf.edit("many", |book| assert_eq!(book.settings, seen, "{channel}"));
    }
    shelf.edit("in", |book| assert_eq!(book.settings, ["nightly"]));
}

#[test]
fn a_failed_open_closes_what_was_open() {
    let shelf = Shelf::new();
    shelf.put("f", Book { open_error: Some(Code::EACCES), ..Book::new("") });
    shelf.try_open("test:f, /x, 0, 0, 0, 1, 1", "", &Control::new()).unwrap_err();
    for name in ["in", "out", "err"] {
        assert_eq!(shelf.log(name), ["open", "close"], "{name}");
    }
}

/// An output was emptied, and then a source of the same manifest turned out not to exist.
#[test]
fn sources_are_open_before_a_target_is() {
    let shelf = Shelf::new();
    for name in ["out", "err"] {
        shelf.put(name, Book::new("precious"));
    }
    shelf.try_open("test:absent, /x, 0, 1, 1, 0, 0", "", &Control::new()).unwrap_err();
    assert_eq!(shelf.log("in"), ["open", "close"]);
    for name in ["out", "err"] {
        assert_eq!((shelf.log(name).len(), shelf.data(name)), (0, b"precious".to_vec()), "{name}");
    }
}

#[test]
fn handles_follow_the_aliases_and_meters_the_handles() {
    let shelf = Shelf::new();
    shelf.put("p", Book::pipe(""));
    let channels = shelf.open("test:p, 0, 1, 1, 0, 0");
    let aliases: Vec<&str> = channels.iter().map(|channel| channel.alias()).collect();
    assert_eq!(aliases, ["/dev/stdin", "/dev/stdout", "/dev/stderr", "/x"]);
    let meters = channels.meters();
    assert_eq!(&*meters[3].alias, "/x");
    assert!(meters.iter().all(|meter| meter.network), "`test` is no scheme of this machine");
    assert_eq!((channels.len(), channels.handle_of("/y")), (4, None));
}
