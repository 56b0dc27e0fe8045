//! What `mem` promises beyond the suite: its limit, its names, and what happens to a name that others have open.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

use std::ops::ControlFlow;
use std::thread;
use vfs_core::{Code, Configuration, Finish, Kind, OpenFile, OpenFlags, OpenOptions, Registry, Result, copy};
use zvfs_mem::Mem;

type F = OpenFlags;

const NEW: OpenFlags = F::WRITE.union(F::CREATE).union(F::TRUNCATE);

/// An instance whose buffers may hold 1000 bytes.
fn registry() -> Registry {
    let configuration = Configuration::parse("[provider.mem]\nsettings = { limit = \"1000\" }").unwrap();
    let registry = Registry::new(configuration);
    registry.register(Box::new(Mem)).unwrap();
    registry
}

fn open(registry: &Registry, descriptor: &str, flags: OpenFlags) -> Result<OpenFile> {
    registry.open(descriptor, &OpenOptions::new(flags))
}

fn write(registry: &Registry, descriptor: &str, bytes: &[u8]) -> Result<()> {
    let mut file = open(registry, descriptor, NEW)?;
    file.write_all(bytes)?;
    file.finish(Finish::Commit)
}

fn content(registry: &Registry, descriptor: &str) -> Vec<u8> {
    let mut file = open(registry, descriptor, F::READ).unwrap();
    let mut bytes = Vec::new();
    std::io::Read::read_to_end(&mut file, &mut bytes).unwrap();
    bytes
}

fn code<T>(result: Result<T>) -> Code {
    result.map(drop).unwrap_err().code()
}

fn names(registry: &Registry) -> Vec<String> {
    let mut names = Vec::new();
    let mut each = |entry: vfs_core::Entry<'_>| {
        assert!(entry.stat.unwrap().size.is_some());
        names.push(entry.name.to_owned());
        ControlFlow::Continue(())
    };
    registry.list("mem:", &OpenOptions::new(F::empty()), &mut each).unwrap();
    names
}

#[test]
fn the_limit_is_for_all_buffers_together() {
    let registry = registry();
    write(&registry, "mem:a", &[1; 600]).unwrap();
    assert_eq!(code(write(&registry, "mem:b", &[2; 401])), Code::ENOSPC);
    write(&registry, "mem:b", &[2; 400]).unwrap();
    let mut file = open(&registry, "mem:b", F::WRITE).unwrap();
    assert_eq!(code(file.write_at(&[3], 400)), Code::ENOSPC);
    assert_eq!(code(file.truncate(401)), Code::ENOSPC);
    assert_eq!(content(&registry, "mem:b"), [2; 400]);
    assert_eq!(content(&registry, "mem:a"), [1; 600]);
}

#[test]
fn bytes_given_up_can_be_used_again() {
    let registry = registry();
    let how = OpenOptions::new(F::empty());
    write(&registry, "mem:a", &[1; 1000]).unwrap();
    write(&registry, "mem:a", &[2; 1000]).unwrap(); // TRUNCATE
    let reader = open(&registry, "mem:a", F::READ).unwrap();
    registry.remove("mem:a", &how).unwrap();
    assert_eq!(code(write(&registry, "mem:b", &[3; 1])), Code::ENOSPC); // still open
    drop(reader);
    write(&registry, "mem:b", &[3; 1000]).unwrap();
    open(&registry, "mem:b", F::WRITE).unwrap().truncate(0).unwrap();

    let mut atomic = open(&registry, "mem:c", NEW | F::ATOMIC).unwrap();
    atomic.write_all(&[4; 1000]).unwrap();
    assert_eq!(code(write(&registry, "mem:b", &[5; 1])), Code::ENOSPC);
    atomic.finish(Finish::Discard).unwrap();
    drop(atomic);
    write(&registry, "mem:b", &[5; 1000]).unwrap();
}

#[test]
fn a_reservation_counts_and_a_reserved_write_succeeds() {
    let registry = registry();
    let reserve = |bytes| OpenOptions::new(NEW | F::PREALLOCATE).expected_size(bytes);
    assert_eq!(code(registry.open("mem:a", &reserve(1001))), Code::ENOSPC);
    let mut file = registry.open("mem:b", &reserve(900)).unwrap();
    assert_eq!(code(write(&registry, "mem:c", &[1; 101])), Code::ENOSPC);
    file.write_all(&[2; 900]).unwrap();
    assert_eq!(content(&registry, "mem:b"), [2; 900]);
    file.truncate(0).unwrap();
    write(&registry, "mem:c", &[1; 1000]).unwrap();
}

/// The old content was gone, and a new name there, before it turned out that there is no room.
#[test]
fn an_open_that_fails_for_lack_of_room_changes_nothing() {
    let registry = registry();
    write(&registry, "mem:a", b"precious").unwrap();
    let version = |name: &str| registry.stat(name, &OpenOptions::new(F::empty())).unwrap().version;
    let before = version("mem:a");
    for flags in [F::empty(), F::ATOMIC] {
        for name in ["mem:a", "mem:new"] {
            let how = OpenOptions::new(NEW | F::PREALLOCATE | flags).expected_size(1001);
            assert_eq!(code(registry.open(name, &how)), Code::ENOSPC, "{name}");
        }
    }
    assert_eq!((names(&registry), version("mem:a")), (vec!["a".to_owned()], before));
    write(&registry, "mem:b", &[1; 992]).unwrap();
}

/// Each provider had answers of its own where there was nothing to copy.
#[test]
fn a_copy_tells_a_wrong_direction_and_an_earlier_failure_at_its_edges_too() {
    let registry = registry();
    write(&registry, "mem:from", b"").unwrap();
    let writer = |name: &str| open(&registry, name, NEW).unwrap();
    let reader = || open(&registry, "mem:from", F::READ).unwrap();
    for limit in [None, Some(0)] {
        let copied = |mut from: OpenFile, mut to: OpenFile| copy(&mut from, &mut to, limit, &mut |_| ());
        assert_eq!(code(copied(writer("mem:x"), writer("mem:y"))), Code::EBADF);
        assert_eq!(code(copied(reader(), reader())), Code::EBADF);
        let mut failed = writer("mem:y");
        assert_eq!(code(failed.write(&[0; 1001])), Code::ENOSPC);
        assert_eq!(code(copied(reader(), failed)), Code::ENOSPC);
        assert_eq!(copied(reader(), writer("mem:y")).unwrap(), 0);
    }
}

#[test]
fn two_writers_of_one_run_do_not_replace_each_other() {
    let registry = registry();
    let open = |run: &str| registry.open("mem:a", &OpenOptions::new(NEW | F::ATOMIC).offer("run", run));
    let first = open("one").unwrap();
    assert_eq!(code(open("one")), Code::EBUSY);
    open("two").unwrap();
    drop(first);
    open("one").unwrap().finish(Finish::Commit).unwrap();
    open("one").unwrap();
}

#[test]
fn names_are_flat_and_listed() {
    let registry = registry();
    for name in ["b", "a", "c d"] {
        write(&registry, &format!("mem:{name}"), b"x").unwrap();
    }
    assert_eq!(names(&registry), ["a", "b", "c d"]);
    for odd in ["mem:a/b", "mem:/a", "mem:..", "mem:."] {
        assert_eq!(code(open(&registry, odd, NEW)), Code::EINVAL, "{odd}");
    }
    let how = OpenOptions::new(F::empty());
    assert_eq!(code(open(&registry, "mem:", F::READ)), Code::EISDIR);
    assert_eq!(code(registry.remove("mem:", &how)), Code::EISDIR);
    assert_eq!(registry.stat("mem:", &how).unwrap().kind, Kind::Directory);
}

#[test]
fn a_removed_name_lives_on_for_who_has_it_open() {
    let registry = registry();
    write(&registry, "mem:a", b"old").unwrap();
    let mut file = open(&registry, "mem:a", F::READ | F::WRITE).unwrap();
    registry.remove("mem:a", &OpenOptions::new(F::empty())).unwrap();
    write(&registry, "mem:a", b"another").unwrap();
    file.write_all(b"OL").unwrap();
    let mut buffer = [0; 3];
    assert_eq!(file.read_at(&mut buffer, 0).unwrap(), 3);
    assert_eq!((&buffer, content(&registry, "mem:a")), (b"OLd", b"another".to_vec()));
}

#[test]
fn an_exclusive_atomic_file_loses_against_a_name_made_meanwhile() {
    let registry = registry();
    let mut atomic = open(&registry, "mem:a", NEW | F::EXCLUSIVE | F::ATOMIC).unwrap();
    atomic.write_all(b"late").unwrap();
    write(&registry, "mem:a", b"first").unwrap();
    assert_eq!(code(atomic.finish(Finish::Commit)), Code::EEXIST);
    drop(atomic);
    assert_eq!(content(&registry, "mem:a"), b"first");
}

#[test]
fn appends_from_many_threads_all_arrive_whole() {
    let registry = registry();
    write(&registry, "mem:log", b"").unwrap();
    thread::scope(|scope| {
        for letter in b'a'..b'e' {
            let registry = &registry;
            scope.spawn(move || {
                let mut file = open(registry, "mem:log", F::WRITE | F::APPEND).unwrap();
                for _ in 0..20 {
                    file.write_all(&[letter; 10]).unwrap();
                }
            });
        }
    });
    let log = content(&registry, "mem:log");
    assert_eq!(log.len(), 800);
    assert!(log.chunks(10).all(|line| line.iter().all(|letter| *letter == line[0])));
}
