//! Providers that were built when version 1 froze: today's host loads them, into itself or into processes of their own, and uses all that
//! they have.
#![cfg(all(target_arch = "x86_64", target_os = "linux"))]
#![allow(clippy::unwrap_used, reason = "clippy takes only the #[test] functions of this file for tests")]

use std::fs;
use std::io::{SeekFrom, read_to_string};
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::mpsc::channel;
use std::thread;
use std::time::{Duration, Instant, SystemTime};
use vfs_core::{
    Capabilities, Code, Configuration, Control, Direction, Finish, Flush, Kind, Library, OpenFile, OpenFlags,
    OpenOptions, Provider, Refusal, Registry,
};
use zvfs_abi_tests::{Language, compilers, project};
use zvfs_test_support::provider_process;

/// The library of version 1, and one as a later version would have it.
const BOTH: [&str; 2] = ["frozen", "future"];

/// Where a provider runs.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Place {
    Host,
    Process,
}

const PLACES: [Place; 2] = [Place::Host, Place::Process];

impl Place {
    /// A provider's section in an operator's file. `may`: what it needs in a process.
    fn section(self, name: &str, may: &str) -> String {
        match self {
            Place::Host => format!("[provider.{name}]\n"),
            Place::Process => format!(
                "[provider.{name}]\nplace = \"process\"\nmay-lack = [\"landlock\", \"landlock-net\", \"seccomp\"]\nmay = {{ {may} }}\n"
            ),
        }
    }

    fn sections(self) -> String {
        BOTH.map(|name| self.section(name, "open = [\"file\", \"frozen\", \"future\", \"nosuch\"]")).concat()
    }
}

/// Whether a thread waits in the kernel.
fn is_asleep(task: &Path) -> bool {
    let stat = fs::read_to_string(task.join("stat")).unwrap_or_default();
    stat.rsplit(')').next().is_some_and(|rest| rest.starts_with(" S"))
}

/// The folder, copied: a checkout's may be one that the loader does not trust.
fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::os::unix::fs::symlink(provider_process(), folder.path().join("zvfs-provider")).unwrap();
    for name in ["frozen", "future", "short"] {
        let file = format!("libzvfs_{name}.so");
        let bytes = fs::read(project().join("tests/abi/frozen").join(&file)).unwrap();
        assert!(bytes.len() < 32 * 1024, "{file} is to stay small");
        fs::write(folder.path().join(file), bytes).unwrap();
    }
    folder
}

fn registry(folder: &Path, sections: &str) -> Registry {
    let text = format!("provider-path = [{:?}]\n{sections}", folder.canonicalize().unwrap());
    Registry::new(Configuration::parse(&text).unwrap())
}

fn open(registry: &Registry, descriptor: &str) -> OpenFile {
    registry.open(descriptor, &OpenOptions::new(OpenFlags::READ)).unwrap()
}

#[test]
fn everything_of_version_1_works() {
    let folder = folder();
    for place in PLACES {
        everything_works(&registry(folder.path(), &place.sections()));
    }
}

fn everything_works(registry: &Registry) {
    for name in BOTH {
        let mut file = open(registry, &format!("{name}:0123456789"));
        let wanted = Capabilities::READABLE
            | Capabilities::SEEKABLE
            | Capabilities::POSITIONAL_READ
            | Capabilities::STAT
            | Capabilities::CANCEL;
        assert_eq!(file.capabilities().bits() & 0xffff, wanted.bits(), "{name}");
        let mut buf = [0; 4];
        assert_eq!((file.read(&mut buf).unwrap(), &buf), (4, b"0123"));
        assert_eq!((file.seek(SeekFrom::End(-2)).unwrap(), file.tell().unwrap()), (8, 8));
        assert_eq!((file.read(&mut buf).unwrap(), &buf[..2]), (2, &b"89"[..]));
        assert_eq!(file.read(&mut buf).unwrap(), 0);
        assert_eq!((file.read_at(&mut buf, 5).unwrap(), &buf), (4, b"5678"));
        let stat = file.stat().unwrap();
        let modified = SystemTime::UNIX_EPOCH + Duration::from_secs(1);
        assert_eq!((stat.kind, stat.size, stat.modified), (Kind::Regular, Some(10), Some(modified)));
        assert_eq!(stat.version, "v1");
        file.flush(Flush::Push).unwrap();
        file.flush(Flush::Sync).unwrap();
        for how in [Finish::End, Finish::Commit] {
            file.finish(how).unwrap();
        }
        assert_eq!(file.lease(Direction::Read).unwrap_err().code(), Code::ENOTSUP);

        let error = registry.open(&format!("{name}:absent"), &OpenOptions::new(OpenFlags::READ)).unwrap_err();
        assert_eq!((error.code(), error.chain()), (Code::ENOENT, format!("open {name}:absent: absent")));
        let how = OpenOptions::new(OpenFlags::READ).setting("text", "given");
        let given = read_to_string(registry.open(&format!("{name}:x"), &how).unwrap()).unwrap();
        assert_eq!(given, "given");
        let mut seen = Vec::new();
        let each = &mut |entry: vfs_core::Entry<'_>| {
            seen.push((entry.name.to_owned(), entry.stat.and_then(|stat| stat.size)));
            ControlFlow::Continue(())
        };
        registry.list(&format!("{name}:"), &OpenOptions::default(), each).unwrap();
        assert_eq!(seen, [("first".to_owned(), Some(5)), ("second".to_owned(), None)]);
        // It knows nothing of names as bytes.
        let mut bytes = Vec::new();
        let each = &mut |name: vfs_core::Name<'_>| {
            bytes.push(name.bytes.to_owned());
            ControlFlow::Continue(())
        };
        registry.names(&format!("{name}:"), &OpenOptions::default(), each).unwrap();
        assert_eq!(bytes, [&b"first"[..], b"second"]);
        assert_eq!(registry.stat(&format!("{name}:abc"), &OpenOptions::default()).unwrap().size, Some(3));
        assert_eq!(
            registry.remove(&format!("{name}:abc"), &OpenOptions::default()).unwrap_err().code(),
            Code::EROFS
        );
    }
}

#[test]
fn settings_of_version_1_reach_it() {
    let folder = folder();
    for name in BOTH {
        let info =
            Library::load(&folder.path().join(format!("libzvfs_{name}.so")), name, None).unwrap().info();
        let names: Vec<&str> = info.settings.iter().map(|setting| setting.name.as_str()).collect();
        assert_eq!(names, ["limit", "text"], "{name}: a setting of a type to come is left out");
        for place in PLACES {
            let section = format!("{}settings = {{ limit = \"4\" }}", place.section(name, ""));
            let registry = registry(folder.path(), &section);
            open(&registry, &format!("{name}:four"));
            let how = OpenOptions::new(OpenFlags::READ);
            let error = registry.open(&format!("{name}:fiver"), &how).unwrap_err();
            assert_eq!(error.code(), Code::EFBIG, "{place:?}");
        }
    }
}

#[test]
fn cancel_and_deadline_of_version_1_work() {
    let folder = folder();
    for place in PLACES {
        cancel_and_deadline_work(&registry(folder.path(), &place.sections()));
    }
}

fn cancel_and_deadline_work(registry: &Registry) {
    for name in BOTH {
        for code in [Code::ECANCELED, Code::ETIMEDOUT] {
            let control = Control::new();
            let how = OpenOptions::new(OpenFlags::READ).control(&control);
            let mut file = registry.open(&format!("{name}:wait"), &how).unwrap();
            let (begins, began) = channel();
            let error = thread::scope(|scope| {
                let reading = scope.spawn(move || {
                    begins.send(fs::read_link("/proc/thread-self").unwrap()).unwrap();
                    file.read(&mut [0; 4]).unwrap_err()
                });
                let task = Path::new("/proc").join(began.recv().unwrap());
                while !reading.is_finished() && !is_asleep(&task) {
                    thread::yield_now();
                }
                match code {
                    Code::ECANCELED => control.cancel(),
                    _ => control.set_deadline(Some(Instant::now())),
                }
                reading.join().unwrap()
            });
            assert_eq!(error.code(), code, "{name}");
            assert!(error.chain().contains("read: stopped"), "{name}: {}", error.chain());
        }
    }
}

#[test]
fn a_layer_of_version_1_works() {
    let folder = folder();
    let path = folder.path().canonicalize().unwrap();
    let built = zvfs_test_support::built();
    for layers in PLACES {
        for below in PLACES {
            let file = below.section("file", &format!("write = [{path:?}]"));
            let text = format!("provider-path = [{path:?}, {built:?}]\n{}{file}", layers.sections());
            let registry = Registry::new(Configuration::parse(&text).unwrap());
            // A host lends no process a kernel file, so a layer there has none to lend.
            a_layer_works(&registry, &path, layers == Place::Host);
        }
    }
}

fn a_layer_works(registry: &Registry, folder: &Path, lends: bool) {
    for (name, other) in [("frozen", "future"), ("future", "frozen")] {
        let path = folder.join(format!("written-through-{name}"));
        let descriptor = format!("{name}:over,{other}:over,file:{}", path.display());
        let flags = OpenFlags::READ | OpenFlags::WRITE | OpenFlags::CREATE | OpenFlags::TRUNCATE;
        let mut file = registry.open(&descriptor, &OpenOptions::new(flags)).unwrap();
        file.write_all(b"0123456789").unwrap();
        file.write_at(b"xy", 2).unwrap();
        file.seek(SeekFrom::Start(1)).unwrap();
        let mut buf = [0; 3];
        assert_eq!((file.read(&mut buf).unwrap(), &buf), (3, b"1xy"));
        assert_eq!((file.read_at(&mut buf, 7).unwrap(), &buf), (3, b"789"));
        file.truncate(5).unwrap();
        assert_eq!((file.stat().unwrap().size, file.tell().unwrap()), (Some(5), 4));
        if lends {
            assert_eq!(file.lease(Direction::Read).unwrap().offset, Some(4));
            file.advance(Direction::Read, 1).unwrap();
        } else {
            assert_eq!(file.lease(Direction::Read).unwrap_err().code(), Code::ENOTSUP);
        }
        file.flush(Flush::Sync).unwrap();
        file.finish(Finish::Commit).unwrap();
        drop(file);
        assert_eq!(fs::read(&path).unwrap(), b"01xy4");
        let error =
            registry.open(&format!("{name}:over,nosuch:x"), &OpenOptions::new(OpenFlags::READ)).unwrap_err();
        assert_eq!(error.code(), Code::EPROTONOSUPPORT);
    }
}

#[test]
fn what_was_written_for_version_1_still_compiles() {
    let folder = tempfile::tempdir().unwrap();
    let source = project().join("tests/abi/frozen/frozen.c");
    for tool in compilers().into_iter().filter(|tool| tool.language == Language::C) {
        for more in ["-DTABLE_SIZE=sizeof(zvfs_provider)", "-DFUTURE"] {
            let arguments = ["-shared", "-fPIC", "-DNAME=\"frozen\"", more];
            // Built from a copy, so that it finds today's header and not the one beside it.
            let copy = folder.path().join("frozen.c");
            fs::copy(&source, &copy).unwrap();
            tool.build(&copy, &folder.path().join("libzvfs_frozen.so"), &arguments).unwrap();
        }
    }
}

#[test]
fn a_table_smaller_than_version_1s_is_refused_with_words() {
    let folder = folder();
    let refusal =
        Library::load(&folder.path().join("libzvfs_short.so"), "short", None).map(drop).unwrap_err();
    assert!(matches!(refusal, Refusal::Defect { .. }), "{refusal:?}");
    assert!(refusal.to_string().contains("struct_size is"), "{refusal}");
    let registry = registry(folder.path(), &Place::Process.section("short", ""));
    let error = registry.open("short:x", &OpenOptions::new(OpenFlags::READ)).unwrap_err();
    assert!(error.chain().contains("struct_size is"), "{}", error.chain());
}
