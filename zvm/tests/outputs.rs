//! What becomes of what a guest writes: whole or not there, over the providers `file` and `mem`, loaded from their libraries.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::time::{Duration, Instant};
use tempfile::TempDir;
use vfs_core::{Configuration, Control, OpenFlags, OpenOptions, Registry};
use zvm::{Channels, ExitCode, Manifest, OutputState, Quota, Report, RunOptions, Session};

const LONG: Duration = Duration::from_secs(20);

/// Ends of a guest that has written `new` to its standard output.
const RETURN: &str = "";
const TRAP: &str = "unreachable";
const FOREVER: &str = "(loop (br 0))";
const EXIT_19: &str = "(call $exit (i32.const 19))";

struct Bench {
    folder: TempDir,
    registry: Registry,
}

impl Bench {
    fn new() -> Bench {
        let registry = Registry::new(Configuration::with_provider_path([zvfs_test_support::built()]));
        Bench { folder: TempDir::new().unwrap(), registry }
    }

    fn at(&self, name: &str) -> String {
        self.folder.path().join(name).into_os_string().into_string().unwrap()
    }

    fn with(self, name: &str, content: &str) -> Bench {
        fs::write(self.at(name), content).unwrap();
        self
    }

    fn content(&self, name: &str) -> Option<String> {
        fs::read_to_string(self.at(name)).ok()
    }

    /// The standard output goes to `out`; `more` are lines in which `$` stands for the folder.
    fn manifest(&self, out: &str, quotas: &str, more: &str) -> Manifest {
        let text = format!(
            "Version = 20140509\nProgram = /none\nMemory = 65536, 0\nTimeout = 20\n\
             Channel = /dev/null, /dev/stdin, 0, 9, 99, 0, 0\nChannel = {out}, /dev/stdout, 0, 0, 0, {quotas}\n\
             Channel = /dev/null, /dev/stderr, 0, 0, 0, 9, 99\n{more}\n"
        );
        Manifest::parse(text.replace('$', self.folder.path().to_str().unwrap()).as_bytes()).unwrap()
    }

    fn session(&self, manifest: Manifest, end: &str) -> Session {
        let program = format!(
            r#"(module
                (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
                (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
                (memory (export "memory") 1)
                (data (i32.const 0) "\10\00\00\00\03\00\00\00") (data (i32.const 16) "new")
                (func $put (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8))))
                (func (export "_start") (call $put) {end}))"#
        );
        Session::new(manifest).registry(self.registry.clone()).program(program)
    }

    fn run(&self, out: &str, more: &str, end: &str) -> Report {
        self.session(self.manifest(out, "9, 99", more), end).run()
    }

    fn open(&self, out: &str, more: &str, run: &str) -> Result<Channels, zvm::Failure> {
        let options = RunOptions::new().run(run);
        Channels::open(&self.manifest(out, "9, 99", more), &self.registry, &options, &Control::new())
    }
}

fn state(report: &Report, alias: &str) -> OutputState {
    report.channels.iter().find(|channel| &*channel.alias == alias).unwrap().outputs[0].state
}

fn told(report: &Report, note: &str) -> bool {
    report.notes.iter().any(|told| told.contains(note))
}

#[test]
fn a_good_end_shows_what_was_written_whatever_the_guests_code() {
    for (end, code) in [(RETURN, 0), (EXIT_19, 19)] {
        for more in ["", "Sync = 1", "Preallocate = 1"] {
            let bench = Bench::new().with("old", "precious");
            for out in ["old", "absent"] {
                let report = bench.run(&format!("$/{out}"), more, end);
                assert_eq!((report.exit_code, report.guest_code), (ExitCode::Ok, Some(code)), "{report:?}");
                assert_eq!(bench.content(out).unwrap(), "new");
                assert_eq!(state(&report, "/dev/stdout"), OutputState::Committed);
            }
        }
    }
}

/// A trap, a Timeout, SIGTERM or a lost input left half a new file in the place of the old one.
#[test]
fn a_session_that_fails_leaves_the_old_content() {
    for (more, end) in [("", TRAP), ("Fuel = 100000", FOREVER), ("Sync = 1", TRAP)] {
        let bench = Bench::new().with("old", "precious");
        for out in ["old", "absent"] {
            let report = bench.run(&format!("$/{out}"), &format!("{more}\nDigest = sha256"), end);
            assert_eq!(report.exit_code, ExitCode::Stopped, "{report:?}");
            assert_eq!(state(&report, "/dev/stdout"), OutputState::Discarded);
            let note = format!("{} is unchanged, or not made: what was written is discarded", bench.at(out));
            assert!(told(&report, &note), "{:?}", report.notes);
            assert!(report.to_string().lines().nth(3).unwrap().contains("/dev/stdout discarded"), "{report}");
        }
        assert_eq!((bench.content("old").unwrap().as_str(), bench.content("absent")), ("precious", None));
    }
    let bench = Bench::new().with("old", "precious");
    let running = bench.session(bench.manifest("$/old", "9, 99", ""), FOREVER).start();
    running.control().cancel();
    assert_eq!(running.wait().exit_code, ExitCode::Stopped);
    assert_eq!(bench.content("old").unwrap(), "precious");
}

#[test]
fn a_failed_session_keeps_a_part_where_the_manifest_says_so() {
    for more in ["Partial = keep", "Partial = keep, /dev/stdout"] {
        let bench = Bench::new().with("old", "precious");
        let report = bench.run("$/old", more, TRAP);
        assert_eq!((bench.content("old").unwrap().as_str(), report.exit_code), ("new", ExitCode::Stopped));
        assert_eq!(state(&report, "/dev/stdout"), OutputState::Partial);
        let why = report.channels[1].outputs[0].in_place.as_deref();
        assert_eq!(why, Some("the manifest says `Partial = keep`"));
        let note = format!("{} is incomplete", bench.at("old"));
        assert!(told(&report, &note), "{:?}", report.notes);
    }
}

/// Half an upload was committed by a guest that had stopped at its quota, and the run returned 0.
#[test]
fn only_a_success_is_committed_where_the_manifest_says_so() {
    let bench = Bench::new().with("old", "precious");
    let short = "Commit = success\nChannel = /dev/null, /x, 0, 0, 0, 9, 99";
    let report = bench.run("$/old", short, EXIT_19);
    assert_eq!((report.exit_code.number(), report.guest_code), (125, Some(19)), "{report:?}");
    assert!(report.state.contains("exited with code 19") && report.state.contains("Commit = success"));
    assert_eq!(bench.content("old").unwrap(), "precious");
    assert_eq!(bench.run("$/old", short, RETURN).exit_code, ExitCode::Ok);
    assert_eq!(bench.content("old").unwrap(), "new");
}

/// A stranger's report: what a quota had cut took the place of the old file, and nobody said so.
#[test]
fn an_output_that_its_quota_cut_is_not_committed() {
    for (quotas, quota) in [("1, 99", "puts"), ("9, 3", "put_size")] {
        for (end, code) in [(RETURN, 0), (EXIT_19, 19)] {
            let bench = Bench::new().with("old", "precious").with("other", "precious");
            let second = "Channel = $/other, /x, 0, 0, 0, 9, 99";
            let manifest = bench.manifest("$/old", quotas, second);
            let report = bench.session(manifest, &format!("(call $put) {end}")).run();
            assert_eq!((report.exit_code.number(), report.guest_code), (125, Some(code)), "{report:?}");
            let why = format!("channel /dev/stdout: its quota {quota} refused a write");
            assert!(report.state.starts_with(&why), "{report:?}");
            // One output without another may be worth nothing.
            assert_eq!([state(&report, "/dev/stdout"), state(&report, "/x")], [OutputState::Discarded; 2]);
            for name in ["old", "other"] {
                assert_eq!(bench.content(name).unwrap(), "precious", "{report:?}");
            }
            // Who wants what there is says so, and is told all the same.
            let kept = bench.manifest("$/old", quotas, "Partial = keep, /dev/stdout");
            let report = bench.session(kept, &format!("(call $put) {end}")).run();
            assert_eq!((report.exit_code, report.guest_code), (ExitCode::Ok, Some(code)), "{report:?}");
            assert!(
                told(&report, &format!("/dev/stdout: the guest reached its quota: {quota}")),
                "{report:?}"
            );
            assert_eq!(bench.content("old").unwrap(), "new");
        }
    }
}

#[test]
fn the_report_tells_which_quota_refused_which_channel() {
    let bench = Bench::new();
    for (quotas, quota) in [("1, 99", Quota::Puts), ("9, 3", Quota::PutSize)] {
        let manifest = bench.manifest("$/out", quotas, "");
        let report = bench.session(manifest, &format!("(call $put) {EXIT_19}")).run();
        assert_eq!(report.channels[1].exhausted, [quota], "{report:?}");
        let note = format!("/dev/stdout: the guest reached its quota: {quota}");
        assert!(told(&report, &note), "{:?}", report.notes);
        assert!(report.channels[2].exhausted.is_empty());
    }
}

/// A source that does not exist was found after an output had been emptied.
#[test]
fn nothing_is_touched_before_everything_is_open() {
    let missing = "Channel = $/missing, /in, 0, 9, 9, 0, 0";
    let no_tar = "Channel = $/old, /a, 0, 9, 99, 0, 0\nMount = /a, /lib";
    for defect in [missing, no_tar] {
        for in_place in ["", "Partial = keep", "Channel = $/random, /r, 2, 0, 0, 9, 99"] {
            let bench = Bench::new().with("out", "precious").with("old", "x").with("random", "precious");
            fs::hard_link(bench.at("out"), bench.at("linked")).unwrap();
            let more = format!("{in_place}\nChannel = $/linked, /l, 0, 0, 0, 9, 99\n{defect}");
            let report = bench.run("$/out", &more, RETURN);
            assert_ne!(report.exit_code, ExitCode::Ok, "{report:?}");
            for name in ["out", "linked", "random"] {
                assert_eq!(bench.content(name).unwrap(), "precious", "{name} {defect} {in_place}");
            }
        }
    }
}

#[test]
fn what_is_written_in_place_unasked_is_told() {
    let bench = Bench::new().with("out", "precious");
    fs::hard_link(bench.at("out"), bench.at("other")).unwrap();
    let report = bench.run("$/out", "", RETURN);
    assert_eq!(bench.content("other").unwrap(), "new");
    assert_eq!((report.exit_code, state(&report, "/dev/stdout")), (ExitCode::Ok, OutputState::Committed));
    assert!(told(&report, "is written in place: it has 2 names"), "{:?}", report.notes);
}

/// Each replaced the other's, and which of the two stayed was chance.
#[test]
fn two_channels_of_one_run_cannot_have_one_target() {
    let bench = Bench::new().with("old", "precious");
    fs::create_dir(bench.at("folder")).unwrap();
    symlink(bench.at("folder"), bench.at("link")).unwrap();
    symlink(bench.at("old"), bench.at("old-link")).unwrap();
    for (one, other) in [
        ("$/old", "$/old"),
        ("$/old", "file:$/old"),
        ("$/old", "$/folder/../old"),
        ("$/old", "$/old-link"),
        ("$/folder/new", "$/link/new"),
        ("mem:x", "mem:x"),
    ] {
        let more = |run: &str| bench.open(one, &format!("Channel = {other}, /b, 0, 0, 0, 9, 99"), run);
        let failure = more("run").unwrap_err();
        assert_eq!(failure.exit(), ExitCode::Manifest, "{one} {other}");
        assert!(failure.text().contains("channel /b") && failure.text().contains("this run"), "{failure}");
        // Sessions of one run as well; of two the last COMMIT wins.
        let first = bench.open(one, "", "run").unwrap();
        bench.open(other, "", "run").unwrap_err();
        bench.open(other, "", "another").unwrap();
        drop(first);
        bench.open(other, "", "run").unwrap();
    }
    // Also where one of the two is written in place.
    for (out, other) in [("$/new", "file:$/new"), ("$/old", "$/old-link"), ("mem:x", "mem:x")] {
        let second = format!("Channel = {other}, /b, 0, 0, 0, 9, 99\nPartial = keep, /b");
        bench.open(out, &second, "run").unwrap_err();
    }
    assert_eq!((bench.content("old").unwrap().as_str(), bench.content("new")), ("precious", None));
    // A device has room for all.
    bench.open("/dev/null", "Channel = /dev/null, /b, 0, 0, 0, 9, 99", "run").unwrap();
}

/// A stranger's report: a file with two names was read by one channel and emptied for another, and the run ended with 0.
#[test]
fn what_is_read_is_not_emptied_for_another_channel() {
    let bench = Bench::new().with("old", "precious");
    fs::hard_link(bench.at("old"), bench.at("other")).unwrap();
    for (source, target, keep) in [
        ("$/old", "$/other", ""),
        ("$/old", "file:$/old", "\nPartial = keep"),
        ("mem:x", "mem:x", "\nPartial = keep"),
    ] {
        if source == "mem:x" {
            drop(
                bench
                    .registry
                    .open("mem:x", &OpenOptions::new(OpenFlags::WRITE | OpenFlags::CREATE))
                    .unwrap(),
            );
        }
        let more = format!("Channel = {source}, /in, 0, 9, 99, 0, 0{keep}");
        let failure = bench.open(target, &more, "run").unwrap_err();
        assert_eq!(failure.exit(), ExitCode::Manifest, "{failure}");
        assert!(failure.text().contains("is read by channel /in as well"), "{failure}");
        assert_eq!(bench.content("old").unwrap(), "precious", "{source} {target}");
    }
    // Whole, it takes the place of what is read on.
    fs::remove_file(bench.at("other")).unwrap();
    bench.open("$/old", "Channel = $/old, /in, 0, 9, 99, 0, 0", "run").unwrap();
}

#[test]
fn the_first_failed_commit_discards_the_rest() {
    let bench = Bench::new();
    let more = "Channel = $/c, /c, 0, 0, 0, 9, 99";
    let mut channels = bench.open("$/a;$/b", more, "run").unwrap();
    let meters = channels.meters();
    for handle in [1, 3] {
        channels.by_handle(handle).unwrap().write_at(b"new", 0).unwrap();
    }
    fs::create_dir(bench.at("b")).unwrap();
    channels.end_all().unwrap();
    channels.close_readers();
    let failure = channels.commit_all(Some(Instant::now() + LONG)).unwrap_err();
    assert!(failure.text().contains("/b"), "{failure}");
    channels.discard_all();
    let states =
        |handle: usize| meters[handle].outputs().iter().map(|output| output.state).collect::<Vec<_>>();
    assert_eq!(states(1), [OutputState::Committed, OutputState::Discarded]);
    assert_eq!(states(3), [OutputState::Discarded]);
    assert_eq!((bench.content("a").unwrap().as_str(), bench.content("c")), ("new", None));
    assert!(Path::new(&bench.at("b")).is_dir());
}

#[test]
fn a_buffer_in_memory_is_whole_or_not_there_too() {
    let bench = Bench::new();
    let there = || bench.registry.open("mem:out", &OpenOptions::new(OpenFlags::READ)).is_ok();
    bench.run("mem:out", "", TRAP);
    assert!(!there());
    bench.run("mem:out", "", RETURN);
    assert!(there());
}
