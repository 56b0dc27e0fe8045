//! `zvfs cp --partial`: a copy that broke is gone on with by the next run, or begun anew, and is right either way.

use crate::support::{Done, Folder, Started, run_long, run_timed, zvfs};
use rustix::process::Signal;
use std::fs;
use std::os::unix::fs::{FileExt as _, MetadataExt as _, symlink};
use std::path::Path;
use std::process::Stdio;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use zvfs_http_servers::{FaultServer, Object, Server, pattern};
use zvfs_test_support::{SmallDisk, eventually};

const MIB: u64 = 1 << 20;
const SIZE: u64 = 8 * MIB + 12_345;
/// What comes of the object before the server falls silent.
const SENT: u64 = 3 * MIB + 7;
/// Where the bytes of a part begin.
const DATA: u64 = 4096;

fn cp(arguments: &[&str]) -> Done {
    run_long(zvfs([&["cp"], arguments].concat()))
}

/// A server of one object, which falls silent before a byte of it.
struct Silent {
    server: FaultServer,
    before: Arc<AtomicU64>,
    tag: Arc<Mutex<String>>,
}

impl Silent {
    fn new() -> Silent {
        let (before, tag) = (Arc::new(AtomicU64::new(SENT)), Arc::new(Mutex::new("\"one\"".to_owned())));
        let (silent, tagged) = (before.clone(), tag.clone());
        let server = FaultServer::http(move |request, peer| {
            let answer = Object::new(SIZE).tagged(&tagged.lock().unwrap()).answer(request);
            let sent = silent.load(Ordering::SeqCst).saturating_sub(request.first());
            if request.method == "HEAD" || answer.body.size() <= sent {
                return peer.send(&answer);
            }
            peer.raw(&answer.head())?;
            peer.send_body(&answer.body, sent)?;
            peer.stall()
        });
        Silent { server, before, tag }
    }

    /// Begins a copy, and waits until it has all that comes before this byte.
    fn begin(&self, folder: &Folder, target: &str, before: u64) -> Started {
        self.before.store(before, Ordering::SeqCst);
        let mut command = zvfs(["cp", "--partial", &self.server.url("/object"), target]);
        let mut started = Started::new(command.stdin(Stdio::null()));
        eventually("a part with all that came", || {
            started.still_runs();
            part(folder).is_some_and(|part| fs::metadata(part).unwrap().len() == DATA + before)
        });
        started
    }

    /// Lets a copy break: the process is killed once it has all that comes. Returns the part.
    fn break_one(&self, folder: &Folder, target: &str, before: u64) -> String {
        let started = self.begin(folder, target, before);
        started.signal(Signal::KILL);
        assert_eq!(started.end().code, 137);
        part(folder).unwrap()
    }

    /// The server is well again.
    fn mend(&self) {
        self.before.store(u64::MAX, Ordering::SeqCst);
    }

    /// Copies again, and checks what came of it. Returns what was said, and where the reading of the object began.
    fn again(&self, folder: &Folder, target: &str) -> (String, u64) {
        self.mend();
        let before = self.server.requests().len();
        let done = cp(&["--partial", &self.server.url("/object"), target]);
        assert_eq!(done.code, 0, "{done:?}");
        assert!(fs::read(target).unwrap() == pattern::bytes(0..SIZE));
        assert_eq!(part(folder), None);
        // The first request opens the object.
        (done.stderr, self.server.requests().get(before + 1).map_or(0, |request| request.first()))
    }
}

/// The part in a folder.
fn part(folder: &Folder) -> Option<String> {
    folder.names().into_iter().find(|name| name.starts_with(".zvfs-part-")).map(|name| folder.at(&name))
}

/// What the records of a part say, the newest last.
fn recorded(part: &str) -> Vec<u64> {
    let content = fs::read(part).unwrap_or_default();
    let mut counts: Vec<u64> = content
        .chunks(512)
        .take(2)
        .filter_map(|text| serde_json::from_slice::<serde_json::Value>(text).ok()?["bytes"].as_u64())
        .collect();
    counts.sort_unstable();
    counts
}

/// A kill costs a MiB at most, beside what one read gives.
fn is_most_of(kept: u64, sent: u64) -> bool {
    (sent - MIB - MIB / 4..=sent).contains(&kept)
}

#[test]
fn a_copy_that_was_killed_is_gone_on_with() {
    let (folder, silent) = (Folder::new(), Silent::new());
    let target = folder.write("target", "old");
    let part = silent.break_one(&folder, &target, SENT);
    let kept = *recorded(&part).last().unwrap();
    // The target is as it was; nothing but the part is left.
    assert_eq!(fs::read_to_string(&target).unwrap(), "old");
    assert_eq!(folder.names().len(), 2);
    let (said, first) = silent.again(&folder, &target);
    assert!(said.contains("goes on after the ") && said.contains(" MiB"), "{said}");
    assert!(first == kept && is_most_of(kept, SENT), "{kept}");
    assert_eq!(folder.names(), ["target"]);
}

/// The target itself is what is kept: it needs no room beside it, and no record, since what it has is compared.
#[test]
fn a_target_in_its_place_is_gone_on_with() {
    let folder = Folder::new();
    let content = pattern::bytes(0..SIZE);
    let (source, target) = (folder.write("source", &content), folder.at("target"));
    let go_on = |options: &[&str]| cp(&[&["--partial", "--in-place"], options, &[&source, &target]].concat());
    // Killed in the middle.
    let slow = ["cp", "--partial", "--in-place", "--limit-rate", "2m", &source, &target];
    let mut started = Started::new(zvfs(slow).stdin(Stdio::null()));
    eventually("some of it", || {
        started.still_runs();
        fs::metadata(&target).is_ok_and(|target| target.len() > 0)
    });
    started.signal(Signal::KILL);
    started.end();
    let had = fs::metadata(&target).unwrap().len();
    let done = go_on(&[]);
    assert!(done.code == 0 && done.stderr.contains("goes on after the "), "{had}: {done:?}");
    assert!(fs::read(&target).unwrap() == content && folder.names().len() == 2, "{had}");
    // A hole that an upload left, what is behind the source's end, and what is another file from the start on.
    for (had, said) in [
        ([&content[..3_000_000], &[0; 500_000][..]].concat(), "goes on after the 2.86 MiB"),
        ([&content[..], b"more"].concat(), "goes on after the "),
        (content[..4_000_000].iter().map(|byte| !byte).collect(), "begins anew: what "),
        (Vec::new(), ""),
    ] {
        fs::write(&target, &had).unwrap();
        let done = go_on(&["-r"]);
        assert!(done.code == 0 && done.stderr.contains(said), "{} {said}: {done:?}", had.len());
        assert!(fs::read(&target).unwrap() == content, "{} {said}", had.len());
    }
    // What a signal says.
    fs::write(&target, &content[..1000]).unwrap();
    let mut started = Started::new(zvfs(slow).stdin(Stdio::null()));
    eventually("more of it", || {
        started.still_runs();
        fs::metadata(&target).is_ok_and(|target| target.len() > 1000)
    });
    started.signal(Signal::INT);
    started.end().failed(130, &["ended by signal 2"]);
    let kept = fs::read(&target).unwrap();
    assert!(kept.len() > 1000 && content.starts_with(&kept), "{}", kept.len());
    cp(&["--partial", "--in-place", &source, "/dev/null"]).failed(95, &["leave out --in-place"]);
}

#[test]
fn a_copy_that_broke_twice_has_the_parts_of_both_runs() {
    let (folder, silent) = (Folder::new(), Silent::new());
    let target = folder.at("target");
    let first = *recorded(&silent.break_one(&folder, &target, SENT)).last().unwrap();
    let second = *recorded(&silent.break_one(&folder, &target, 2 * SENT)).last().unwrap();
    assert!(is_most_of(first, SENT) && is_most_of(second, 2 * SENT), "{first} {second}");
    let (said, begun) = silent.again(&folder, &target);
    assert!(said.contains("goes on") && begun == second, "{begun}: {said}");
}

#[test]
fn a_signal_says_what_is_kept() {
    let (folder, silent) = (Folder::new(), Silent::new());
    let target = folder.at("target");
    let started = silent.begin(&folder, &target, SENT);
    started.signal(Signal::INT);
    assert_eq!(started.end().code, 130);
    let (said, first) = silent.again(&folder, &target);
    assert!(said.contains("goes on") && is_most_of(first, SENT), "{first}: {said}");
}

#[test]
fn a_failure_says_what_is_kept() {
    let (folder, silent) = (Folder::new(), Silent::new());
    let target = folder.at("target");
    let url = silent.server.url("/object");
    let kept = "are kept for the next run";
    let done = run_timed(kept, |seconds| {
        zvfs(["cp", "--partial", "--timeout", &format!("{seconds}s"), &url, &target])
    });
    done.failed(110, &[kept, "--timeout"]);
    silent.again(&folder, &target);
}

#[test]
fn a_source_that_has_changed_is_copied_anew() {
    let (folder, silent) = (Folder::new(), Silent::new());
    let target = folder.at("target");
    silent.break_one(&folder, &target, SENT);
    *silent.tag.lock().unwrap() = "\"two\"".to_owned();
    let (said, first) = silent.again(&folder, &target);
    assert!(said.contains("begins anew") && said.contains("changed since"), "{said}");
    assert_eq!(first, 0);
    // Another object's tag may be the same.
    silent.break_one(&folder, &target, SENT);
    silent.mend();
    let done = cp(&["--partial", &silent.server.url("/another"), &target]);
    assert!(done.code == 0 && done.stderr.contains("of another source"), "{done:?}");
    assert_eq!(part(&folder), None);
}

#[test]
fn a_source_that_changes_meanwhile_leaves_no_part() {
    let (from, to) = (Folder::new(), Folder::new());
    let source = from.write("a", pattern::bytes(0..SIZE));
    let mut command = zvfs(["cp", "--partial", "--limit-rate", "2m", &source, &to.at("a")]);
    let started = Started::new(command.stdin(Stdio::null()));
    eventually("a record", || part(&to).is_some_and(|part| !recorded(&part).is_empty()));
    fs::File::options().write(true).open(&source).unwrap().write_all_at(b"x", 0).unwrap();
    started.end_within(10 * zvfs_test_support::LIMIT).failed(116, &["changed while it was read"]);
    assert_eq!(to.names(), Vec::<String>::new());
}

#[test]
fn a_part_that_somebody_changed_is_not_gone_on_with() {
    let (folder, silent) = (Folder::new(), Silent::new());
    let target = folder.at("target");
    let spoil = |part: &str, byte: u64| {
        let file = fs::File::options().read(true).write(true).open(part).unwrap();
        let mut there = [0];
        file.read_exact_at(&mut there, byte).unwrap();
        file.write_all_at(&[there[0] ^ 1], byte).unwrap();
    };
    // In the first of its bytes: neither record is proved.
    spoil(&silent.break_one(&folder, &target, SENT), DATA + 5);
    let (said, first) = silent.again(&folder, &target);
    assert!(said.contains("not as an earlier run left it") && first == 0, "{first}: {said}");
    // In the last: the record before is.
    let part = silent.break_one(&folder, &target, SENT);
    let counts = recorded(&part);
    spoil(&part, DATA + counts[1] - 1);
    let (said, first) = silent.again(&folder, &target);
    assert!(said.contains("goes on after") && first == counts[0], "{first}, {counts:?}: {said}");
    // A file of somebody else's.
    fs::write(silent.break_one(&folder, &target, SENT), vec![b'x'; 10_000]).unwrap();
    let (said, first) = silent.again(&folder, &target);
    assert!(said.contains("not as an earlier run left it") && first == 0, "{first}: {said}");
}

/// As after a kill in the middle of writing it.
/// Whoever may write beside the target may put a link where the part was.
#[test]
fn what_a_link_in_a_parts_place_leads_to_is_not_written() {
    let (folder, silent) = (Folder::new(), Silent::new());
    let target = folder.at("target");
    let kept = silent.break_one(&folder, &target, SENT);
    let victim = folder.write("victim", "x".repeat(MIB as usize));
    for hard in [true, false] {
        fs::remove_file(&kept).unwrap();
        if hard {
            fs::hard_link(&victim, &kept).unwrap()
        } else {
            symlink(&victim, &kept).unwrap()
        }
        let (said, first) = silent.again(&folder, &target);
        assert!(said.contains("begins anew") && first == 0, "{said}");
        assert!(fs::read(&victim).unwrap() == "x".repeat(MIB as usize).as_bytes());
        fs::write(&kept, "").unwrap();
    }
    // Too small for a record: that was not told.
    fs::remove_file(&kept).unwrap();
    let small = folder.write("small", "x");
    symlink(&small, &kept).unwrap();
    let (said, first) = silent.again(&folder, &target);
    assert!(said.contains("begins anew") && first == 0, "{said}");
    assert_eq!(fs::read_to_string(&small).unwrap(), "x");
    symlink(folder.at("nowhere"), &kept).unwrap();
    cp(&["--partial", &silent.server.url("/object"), &target]).failed(17, &["link"]);
    assert!(!Path::new(&folder.at("nowhere")).exists());
}

/// All of a sparse file was written, to the part and to the target.
#[test]
fn holes_stay_holes_in_a_part_and_in_what_comes_of_it() {
    let folder = Folder::new();
    let (source, target) = (folder.at("source"), folder.at("target"));
    let sparse = fs::File::create(&source).unwrap();
    // The last piece takes so long that there is time to break it.
    sparse.set_len(54 * MIB).unwrap();
    for (at, size) in [(0, 2 * MIB), (42 * MIB, 12 * MIB)] {
        sparse.write_all_at(&vec![b'x'; size as usize], at).unwrap();
    }
    let blocks = |path: &str| fs::metadata(path).unwrap().blocks();
    for breaks in [false, true] {
        if breaks {
            let slow = ["cp", "--partial", "--limit-rate", "1m", &source, &target];
            let mut started = Started::new(zvfs(slow).stdin(Stdio::null()));
            eventually("a part with the hole", || {
                started.still_runs();
                part(&folder).is_some_and(|part| fs::metadata(part).unwrap().len() > 42 * MIB + DATA)
            });
            started.signal(Signal::KILL);
            started.end();
            assert!(blocks(&part(&folder).unwrap()) <= blocks(&source) + 32, "the part");
        }
        let done = cp(&["--partial", &source, &target]);
        assert!(done.code == 0 && done.stderr.contains("goes on after") == breaks, "{done:?}");
        assert!(fs::read(&target).unwrap() == fs::read(&source).unwrap(), "{breaks}");
        // What is read in one piece may begin with data and end in the hole.
        assert!(blocks(&target) <= blocks(&source) + 1024, "{breaks}: {} blocks", blocks(&target));
    }
}

#[test]
fn a_torn_record_leaves_the_one_before() {
    let (folder, silent) = (Folder::new(), Silent::new());
    let target = folder.at("target");
    let part = silent.break_one(&folder, &target, SENT);
    let counts = recorded(&part);
    let mut records = fs::read(&part).unwrap()[..1024].to_vec();
    let newest =
        if String::from_utf8_lossy(&records[..512]).contains(&counts[1].to_string()) { 0 } else { 512 };
    records[newest + 70..newest + 72].copy_from_slice(b"#\"");
    fs::File::options().write(true).open(&part).unwrap().write_all_at(&records, 0).unwrap();
    assert_eq!(recorded(&part).len(), 1);
    let (said, first) = silent.again(&folder, &target);
    assert!(said.contains("goes on after") && first == counts[0], "{first}, {counts:?}: {said}");
}

#[test]
fn of_two_copies_at_once_the_second_is_refused() {
    let (folder, silent) = (Folder::new(), Silent::new());
    let (target, url) = (folder.at("target"), silent.server.url("/object"));
    let started = silent.begin(&folder, &target, SENT);
    cp(&["--partial", &url, &target]).failed(16, &["another copy to the same target is running"]);
    // Without it: it has nothing of the first one's, and takes nothing from it.
    silent.mend();
    cp(&[&url, &target]).succeeded();
    started.signal(Signal::KILL);
    drop(started);
    let (said, first) = silent.again(&folder, &target);
    assert!(said.contains("goes on") && is_most_of(first, SENT), "{first}: {said}");
}

#[test]
fn what_was_kept_on_a_full_disk_is_used_when_there_is_room() {
    let (from, to) = (Folder::new(), Folder::new());
    let Some(_disk) = SmallDisk::mount(to.path(), "20m") else { return };
    let source = from.write("a", pattern::bytes(0..SIZE));
    // Target and part take twice the room.
    let filler = to.write("filler", vec![b'x'; 11 << 20]);
    let done = cp(&["--partial", &source, &to.at("a")]);
    done.failed(28, &["are kept for the next run"]);
    assert_eq!(to.names().len(), 2);
    fs::remove_file(filler).unwrap();
    let done = cp(&["--partial", &source, &to.at("a")]);
    assert!(done.code == 0 && done.stderr.contains("goes on after"), "{done:?}");
    assert!(fs::read(to.at("a")).unwrap() == pattern::bytes(0..SIZE));
    assert_eq!(to.names(), ["a"]);
}

#[test]
fn folders_are_gone_on_with_file_by_file() {
    let (from, to) = (Folder::new(), Folder::new());
    for name in ["a", "b"] {
        from.write(name, pattern::bytes(0..SIZE));
    }
    from.write("small", "no part is worth it");
    let mut command = zvfs(["cp", "-rT", "--partial", "--limit-rate", "1m", &from.at(""), &to.at("")]);
    let started = Started::new(command.stdin(Stdio::null()));
    let kept = || to.names().iter().filter(|name| !recorded(&to.at(name)).is_empty()).count();
    eventually("two parts", || kept() == 2);
    started.signal(Signal::KILL);
    drop(started);
    let done = cp(&["-rT", "--partial", &from.at(""), &to.at("")]);
    assert_eq!((done.code, done.stderr.matches("goes on after").count()), (0, 2), "{done:?}");
    assert_eq!(to.names(), ["a", "b", "small"]);
    for name in ["a", "b"] {
        assert!(fs::read(to.at(name)).unwrap() == pattern::bytes(0..SIZE));
    }
}

#[test]
fn parts_of_a_target_elsewhere_are_kept_in_a_folder_of_this_machine() {
    let Some(server) = Server::nginx() else { return };
    let (folder, silent) = (Folder::new(), Silent::new());
    let (source, target) = (silent.server.url("/object"), server.http("target"));
    cp(&["--partial", &source, &target]).failed(95, &["--partial-dir"]);
    assert!(!server.root().join("target").exists());
    let arguments = ["cp", "--partial-dir", &folder.at(""), &source, &target];
    let started = Started::new(zvfs(arguments).stdin(Stdio::null()));
    eventually("a part", || {
        part(&folder).is_some_and(|part| fs::metadata(part).unwrap().len() == DATA + SENT)
    });
    started.signal(Signal::KILL);
    drop(started);
    silent.mend();
    let done = run_long(zvfs(arguments));
    assert!(done.code == 0 && done.stderr.contains("goes on after"), "{done:?}");
    assert!(fs::read(server.root().join("target")).unwrap() == pattern::bytes(0..SIZE));
    assert_eq!(part(&folder), None);
}

#[test]
fn what_no_run_could_go_on_with_is_told() {
    let folder = Folder::new();
    let asked = Arc::new(AtomicUsize::new(0));
    let count = asked.clone();
    let server = FaultServer::http(move |request, peer| {
        count.fetch_add(1, Ordering::SeqCst);
        peer.send(&Object::new(SIZE).untagged().unversioned().answer(request))
    });
    let done = cp(&["--partial", &server.url("/object"), &folder.at("target")]);
    assert!(done.code == 0 && done.stderr.contains("no part is kept"), "{done:?}");
    assert_eq!((folder.names(), asked.load(Ordering::SeqCst)), (vec!["target".to_owned()], 1));
    let source = folder.write("source", pattern::bytes(0..SIZE));
    cp(&["--partial", &source, "-"]).failed(22, &["a stream"]);
    cp(&["--partial", "-", &source]).failed(22, &["a stream"]);
    cp(&["--partial", &source, "null:"]).failed(95, &["--partial-dir"]);
    assert!(
        !Path::new("/dev")
            .read_dir()
            .unwrap()
            .flatten()
            .any(|entry| entry.file_name().to_string_lossy().starts_with(".zvfs-part"))
    );
    cp(&["--partial", &source, "/dev/null"]).failed(95, &["--partial-dir"]);
}
