//! A provider's process that lies to its host: each lie ends that process and nothing else.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

use std::fs;
use std::ops::ControlFlow;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::sync::mpsc::channel;
use vfs_core::{
    Code, Configuration, Direction, Error, Host, Level, OpenFile, OpenFlags, OpenOptions, Registry, Result,
    Wall, Walls,
};
use zvfs_test_support::bounded;

/// A registry of providers whose process is the lying one, whatever their library is.
fn registry(folder: &Path) -> Registry {
    registry_telling(folder, |_, _| ())
}

/// The same, with a log.
fn registry_telling(folder: &Path, log: impl Fn(Level, &str) + Send + Sync + 'static) -> Registry {
    symlink(env!("CARGO_BIN_EXE_zvfs-lying-provider"), folder.join("zvfs-provider")).unwrap();
    let mut configuration = Configuration::closed();
    configuration.add_provider_path(folder).unwrap();
    for name in ["lies", "newer", "renamed", "schemeless"] {
        fs::write(folder.join(format!("libzvfs_{name}.so")), "").unwrap();
        configuration
            .place_in_process(name, Walls { may_lack: Wall::ALL.to_vec(), ..Walls::default() })
            .unwrap();
    }
    Registry::with_host(configuration, Host::logging("test", "1", log))
}

fn open(registry: &Registry, descriptor: &str) -> Result<OpenFile> {
    registry.open(descriptor, &OpenOptions::new(OpenFlags::READ | OpenFlags::WRITE))
}

fn read(file: &mut OpenFile) -> Result<()> {
    file.read(&mut [0]).map(drop)
}

fn write(file: &mut OpenFile) -> Result<()> {
    file.write(b"x").map(drop)
}

fn lend(file: &mut OpenFile) -> Result<()> {
    file.lease(Direction::Write).map(drop)
}

fn is_told(error: &Error, words: &str) {
    assert_eq!(error.code(), Code::EIO, "{error:?}");
    let (chain, whole) = (error.chain(), format!("`lies`'s process was killed: broke the protocol: {words}"));
    assert!(chain.contains(&whole), "{chain}\n{whole}");
}

/// A lie, the call that hears it, and what the error says.
type Lie = (&'static str, fn(&mut OpenFile) -> Result<()>, &'static str);

const LIES: [Lie; 19] = [
    ("more", read, "it returned 2 bytes where 1 were asked for"),
    ("most", read, "it returned 18446744073709551615 bytes where 1 were asked for"),
    ("most", write, "it took 18446744073709551615 bytes of 1"),
    ("nothing", write, "it took 0 bytes of 1"),
    ("another", read, "a reply is not one to its call"),
    ("garbage", read, "a message cannot be read"),
    ("unknown", read, "a message is of no known kind"),
    ("longer", read, "a message is longer than the payload"),
    ("surplus", read, "a reply has a descriptor too many, or lacks one"),
    ("lends-nothing", lend, "a reply has a descriptor too many, or lacks one"),
    ("lends-the-other-way", lend, "it lent a file that is not open for the direction"),
    ("goes-on", read, "it goes on with no listing"),
    ("lists", read, "it lists what nobody asked for"),
    ("unannounced", read, "a packet came that was not announced"),
    ("announces", read, "a packet that was announced did not come"),
    ("rings", read, "it rang 1000 times for nothing"),
    ("ahead", read, "its slot has message "),
    ("behind", read, "its slot has message "),
    ("beyond", read, "a message of 4081 bytes in a slot of 4080"),
];

#[test]
fn a_lie_ends_its_process_and_the_next_open_starts_another() {
    bounded(|| {
        for (lie, call, words) in LIES {
            let folder = tempfile::tempdir().unwrap();
            let registry = registry(folder.path());
            let mut other = open(&registry, "lies:honest").unwrap();
            read(&mut other).unwrap();
            let mut file = open(&registry, &format!("lies:{lie}")).unwrap();
            is_told(&call(&mut file).expect_err(lie), words);
            // Nothing that it says of any file can be believed.
            is_told(&read(&mut file).expect_err(lie), words);
            is_told(&read(&mut other).expect_err(lie), words);
            read(&mut open(&registry, "lies:honest").unwrap()).unwrap();
        }
    });
}

#[test]
fn a_slot_that_changes_while_it_is_read_harms_nobody() {
    bounded(|| {
        let folder = tempfile::tempdir().unwrap();
        let registry = registry(folder.path());
        let mut file = open(&registry, "lies:changes").unwrap();
        if let Err(error) = read(&mut file) {
            assert_eq!(error.code(), Code::EIO, "{error:?}");
        }
        drop(file);
        // What is left in the slot may be found in the next call only.
        open(&registry, "lies:honest").or_else(|_| open(&registry, "lies:honest")).unwrap();
    });
}

#[test]
fn a_process_that_ends_while_it_writes_an_answer_has_not_answered() {
    bounded(|| {
        let folder = tempfile::tempdir().unwrap();
        let registry = registry(folder.path());
        let mut file = open(&registry, "lies:dies-in-mid-write").unwrap();
        assert_eq!(read(&mut file).unwrap_err().code(), Code::EIO);
        read(&mut open(&registry, "lies:honest").unwrap()).unwrap();
    });
}

#[test]
fn lies_beyond_the_calls_of_a_file_are_heard_too() {
    bounded(|| {
        let folder = tempfile::tempdir().unwrap();
        let registry = registry(folder.path());
        is_told(&open(&registry, "lies:open").unwrap_err(), "a reply is not one to its call");
        let mut file = open(&registry, "lies:on-control").unwrap();
        is_told(&read(&mut file).unwrap_err(), "a message cannot be read");
    });
}

#[test]
fn a_device_is_not_lent() {
    bounded(|| {
        let folder = tempfile::tempdir().unwrap();
        let registry = registry(folder.path());
        let mut file = open(&registry, "lies:lends-a-device").unwrap();
        assert_eq!(lend(&mut file).unwrap_err().code(), Code::ENOTSUP);
        assert_eq!(lend(&mut file).unwrap_err().code(), Code::ENOTSUP, "the process lives");
    });
}

#[test]
fn names_that_are_none_are_left_out_and_a_listing_ends_when_it_is_told_to() {
    bounded(|| {
        let folder = tempfile::tempdir().unwrap();
        let (tell, told) = channel();
        let registry = registry_telling(folder.path(), move |_, text| tell.send(text.to_owned()).unwrap());
        let mut names = Vec::new();
        let list = |descriptor: &str, names: &mut Vec<String>| {
            registry.list(descriptor, &OpenOptions::default(), &mut |entry| {
                names.push(entry.name.to_owned());
                ControlFlow::Break(())
            })
        };
        list("lies:", &mut names).unwrap();
        assert_eq!(names, ["name"]);
        // Found: those of a library in the host were counted only.
        let left_out =
            |line: &String| line.starts_with("list lies:: left out 5 of its entries, which are no names");
        assert!(told.try_iter().any(|line| left_out(&line)));
        is_told(&list("lies:on-and-on", &mut names).unwrap_err(), "it lists what nobody asked for");
        assert_eq!(names, ["name", "name"]);
        is_told(&list("lies:much", &mut names).unwrap_err(), "a message has too many parts");
    });
}

#[test]
fn what_it_says_of_its_library_must_be_what_a_library_could_say() {
    bounded(|| {
        let folder = tempfile::tempdir().unwrap();
        let registry = registry(folder.path());
        for (name, code, words) in [
            ("newer", Code::EPROTO, "version 4 of the protocol, and this host version 3"),
            ("renamed", Code::ELIBBAD, "calls itself `other`"),
            ("schemeless", Code::ELIBBAD, "no schemes"),
        ] {
            let error = open(&registry, &format!("{name}:x")).unwrap_err();
            assert_eq!(error.code(), code, "{error:?}");
            assert!(error.chain().contains(words), "{}", error.chain());
        }
    });
}
