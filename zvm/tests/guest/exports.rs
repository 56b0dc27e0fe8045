//! Exports: what a guest made goes to a folder of a provider, as a whole and only if its session ends well.

use crate::job::*;
use crate::script::{self, READ, WRITE};
use crate::vault::{Fault, Vault};
use std::time::{Duration, Instant};
use vfs_core::{Code, Control};
use zvm::{OutputState, Report};

const CREATE: u32 = 1;
const BOTH: u64 = READ | WRITE;

/// A session whose `/out` goes to `vault:root/result`.
fn job(vault: &Vault, quotas: &str) -> Job {
    Job::new()
        .key("Scratch = 64m")
        .key(&format!("Export = vault:root/result, /out, {quotas}"))
        .over_provider(vault.clone())
}

/// A script that makes files, each with so many zeros.
fn files(names: &[(&str, usize)]) -> String {
    let file = |(name, size): &(&str, usize)| {
        let write = if *size > 0 { format!("write 4 {size}\n") } else { String::new() };
        format!("open \"{name}\" {CREATE} {WRITE} 0\n{write}fd_close 4\n")
    };
    names.iter().map(file).collect()
}

fn output(report: &Report) -> OutputState {
    report.channels.last().unwrap().outputs[0].state
}

#[track_caller]
fn nothing_is_left(vault: &Vault, report: &Report) {
    assert_eq!(vault.content(), ["root/"], "{report:?}");
    assert_eq!((output(report), vault.open_files().1), (OutputState::Discarded, 0), "{report:?}");
}

#[test]
fn what_was_made_is_written_with_its_folders_and_reported() {
    let vault = Vault::new();
    let job = job(&vault, "99, 9999");
    let script = format!(
        "path_create_directory 3 \"out/a\"\n path_create_directory 3 \"out/a/empty\"\n{}open \"tmp\" {CREATE} {WRITE} 0\n write 4 9",
        files(&[("out/z", 3), ("out/a/deep", 2), ("out/none", 0)])
    );
    let report = job.run(&script::program(&script));
    assert_eq!(end(&report), (0, "ok"), "{report:?}");
    let expected = [
        "root/",
        "root/result/",
        "root/result/a/",
        "root/result/a/deep=\0\0",
        "root/result/a/empty/",
        "root/result/none=",
        "root/result/z=\0\0\0",
    ];
    assert_eq!(vault.content(), expected);
    let line = report.channels.last().unwrap();
    let counts = (&*line.alias, line.counts.puts, line.counts.put_bytes, line.counts.gets);
    assert_eq!((counts, output(&report)), (("/out", 5, 5, 0), OutputState::Committed));
    assert_eq!(report.notes, [""; 0]);
    // All are written, then all are committed, in the order in which they were first opened.
    let log: Vec<String> = vault.log().into_iter().filter(|call| !call.starts_with("mkdir")).collect();
    let names = ["z", "a/deep", "none"].map(|name| format!("root/result/{name}"));
    let written = ["z", "a/deep"].map(|name| format!("write root/result/{name}"));
    let [one, two, three] = names.clone().map(|name| format!("create {name}"));
    assert_eq!(log[..5], [one, written[0].clone(), two, written[1].clone(), three]);
    assert_eq!(log[5..], names.map(|name| format!("commit {name}")));
}

/// Found: what `tar` and `cp -p` in a guest had said of their files' times was lost.
#[test]
fn a_time_that_the_guest_gave_goes_with_its_file() {
    // 4: modified, to this; 8: to now; 1: accessed. Of the virtual clock 1000 is a reading, and of a tree's files 0 is the time: a copy that
    // keeps times would hand them out.
    let script = format!(
        "open \"out/given\" {CREATE} {WRITE} 0\n write 4 1\n fd_filestat_set_times 4 7 1234567890 5\n fd_close 4\n\
         open \"out/written\" {CREATE} {WRITE} 0\n fd_filestat_set_times 4 0 5 4\n write 4 1\n fd_close 4\n\
         open \"out/now\" {CREATE} {WRITE} 0\n fd_filestat_set_times 4 0 5 4\n fd_filestat_set_times 4 0 0 8\n fd_close 4\n\
         open \"out/before\" {CREATE} {WRITE} 0\n fd_close 4\n path_filestat_set_times 3 0 \"out/before\" 0 7700000000 4\n\
         open \"out/told\" {CREATE} {WRITE} 0\n fd_filestat_set_times 4 0 1000 4\n fd_close 4\n\
         open \"out/zero\" {CREATE} {WRITE} 0\n fd_filestat_set_times 4 0 0 4\n fd_close 4\n\
         path_rename 3 \"out/before\" 3 \"out/moved\"\n path_filestat_set_times 3 0 \"out/moved\" 9 0 1"
    );
    let times = |vault: &Vault| {
        let log = vault.log();
        log.into_iter().filter(|call| call.starts_with("time ")).collect::<Vec<_>>()
    };
    let given = ["time 1234567890 root/result/given", "time 7700000000 root/result/moved"];
    let vault = Vault::new();
    let report = job(&vault, "99, 99").run(&script::program(&script));
    assert_eq!((end(&report), &report.notes), ((0, "ok"), &vec![]));
    assert_eq!(times(&vault), given);
    // Before the first byte: some stores take none later.
    let log = vault.log();
    let at = |call: &str| log.iter().position(|other| other == call).unwrap();
    assert!(at(given[0]) < at("write root/result/given"));
    // A file without its time is worth more than none.
    let vault =
        given.iter().fold(Vault::new(), |vault, call| vault.fault(call, Fault::Fails(Code::EOVERFLOW)));
    let report = job(&vault, "99, 99").run(&script::program(&script));
    assert_eq!((end(&report), output(&report)), ((0, "ok"), OutputState::Committed), "{report:?}");
    let [note] = &report.notes[..] else { panic!("{report:?}") };
    let begin = "export /out: times that the guest gave its files are not kept: vault:root/result/given: ";
    assert!(note.starts_with(begin), "{note}");
}

#[test]
fn a_file_that_is_there_is_replaced_and_others_stay() {
    let vault = Vault::new().folder("root/result").file("root/result/old", "old").file("root/result/x", "x");
    assert_eq!(job(&vault, "9, 99").told(&files(&[("out/old", 1)])), [4, 1, 0]);
    assert_eq!(vault.content()[2..], ["root/result/old=\0", "root/result/x=x"]);
}

#[test]
fn a_guest_that_made_nothing_touches_nothing() {
    let vault = Vault::new();
    job(&vault, "9, 99").told("sched_yield");
    let report = job(&vault, "9, 99").run(&script::program("proc_exit 1"));
    assert_eq!((report.notes.len(), output(&report)), (0, OutputState::Committed), "{report:?}");
    assert_eq!((vault.content(), vault.log()), (vec!["root/".to_owned()], Vec::new()));
}

#[test]
fn names_move_within_an_export_and_not_across_it() {
    let vault = Vault::new();
    let script = format!(
        "{}path_rename 3 \"out/.tmp\" 3 \"out/final\"\n path_rename 3 \"out/final\" 3 \"x\"\n path_rename 3 \"mine\" 3 \"out/mine\"
        path_link 3 0 \"out/final\" 3 \"out/link\"\n path_link 3 0 \"mine\" 3 \"out/link\"\n path_link 3 0 \"out/final\" 3 \"link\"
        path_symlink \"final\" 3 \"out/link\"\n path_unlink_file 3 \"out/gone\"\n path_create_directory 3 \"out/d\"
        path_rename 3 \"out/d\" 3 \"out/e\"\n path_rename 3 \"out/e\" 3 \"e\"\n path_remove_directory 3 \"out/e\"\n path_remove_directory 3 \"out\"",
        files(&[("out/.tmp", 1), ("out/gone", 1), ("mine", 1)])
    );
    let told = job(&vault, "9, 99").told(&script);
    assert_eq!(told[9..], [0, XDEV, XDEV, PERM, PERM, PERM, PERM, 0, 0, 0, XDEV, 0, ROFS]);
    assert_eq!(vault.content(), ["root/", "root/result/", "root/result/final=\0"]);
}

#[test]
fn nothing_is_written_if_the_session_fails() {
    let made = files(&[("out/a", 1), ("out/b", 1)]);
    let vault = Vault::new();
    // A code of the guest's own is no failure of the session, but it says that what it made is not to be used.
    let report = job(&vault, "9, 99").run(&script::program(&format!("{made}proc_exit 3")));
    assert_eq!((end(&report), report.guest_code), ((0, "ok"), Some(3)));
    assert!(
        report.notes.iter().any(|note| note == "export /out: the guest exited with code 3"),
        "{report:?}"
    );
    nothing_is_left(&vault, &report);
    let trap = script::program(&made).replace("(call $flush)))", "unreachable))");
    let report = job(&vault, "9, 99").run(&trap);
    assert_eq!(report.exit_code.number(), 4, "{report:?}");
    nothing_is_left(&vault, &report);
    let stops = script::program(&made).replace("(call $flush)))", "(loop (br 0))))");
    let report = job(&vault, "9, 99").timeout(1).run(&stops);
    assert!(report.state.starts_with("timeout"), "{report:?}");
    nothing_is_left(&vault, &report);
    assert_eq!(vault.log(), [""; 0]);
}

/// A guest that is ended while it writes: by its host, in the middle of a file.
#[test]
fn a_guest_that_is_killed_leaves_nothing() {
    let vault = Vault::new();
    let job = job(&vault, "9, 99");
    let control = Control::new();
    let busy = script::program(&format!("open \"out/a\" {CREATE} {WRITE} 0\n write 4 1")).replace(
        "(call $flush)))",
        "(call $flush) (loop (call $write (i32.const 4) (i32.const 1)) (br 0))))",
    );
    let running = job.session(&busy).control(&control).start();
    let deadline = Instant::now() + Duration::from_secs(60);
    while job.shelf.data("err").is_empty() && Instant::now() < deadline {
        std::thread::yield_now();
    }
    control.cancel();
    let report = running.wait();
    assert_eq!(report.state, "cancelled", "{report:?}");
    nothing_is_left(&vault, &report);
}

#[test]
fn a_failure_before_the_first_commit_leaves_nothing() {
    for (call, code, words) in [
        ("mkdir root/result/d", Code::EACCES, "make folder"),
        ("create root/result/d/b", Code::EINVAL, "vault:root/result/d/b"),
        ("write root/result/d/b", Code::ENOSPC, "write vault:root/result/d/b"),
    ] {
        let vault = Vault::new().fault(call, Fault::Fails(code));
        let script = format!("path_create_directory 3 \"out/d\"\n{}", files(&[("out/a", 1), ("out/d/b", 1)]));
        let report = job(&vault, "9, 99").run(&script::program(&script));
        assert_eq!((report.exit_code.number(), report.errno), (5, Some(code.raw())), "{call}: {report:?}");
        let state = &report.state;
        assert!(state.starts_with("export /out: ") && state.contains(words), "{call}: {report:?}");
        assert!(!vault.log().iter().any(|call| call.starts_with("commit")), "{:?}", vault.log());
        nothing_is_left(&vault, &report);
    }
}

/// A disk may be full only when the data has to be kept.
#[test]
fn a_failed_commit_ends_the_session_and_says_what_is_in_place() {
    let vault = Vault::new().fault("commit root/result/b", Fault::Fails(Code::ENOSPC));
    let job = job(&vault, "9, 99").key("Commit = success");
    let report = job.run(&script::program(&files(&[("out/a", 1), ("out/b", 1), ("out/c", 1)])));
    assert_eq!(report.exit_code.number(), 5, "{report:?}");
    assert!(report.state.starts_with("export /out: commit vault:root/result/b: "), "{report:?}");
    assert_eq!(vault.content(), ["root/", "root/result/", "root/result/a=\0"]);
    assert_eq!((output(&report), vault.open_files().1), (OutputState::Partial, 0));
    assert!(report.notes.contains(&"export /out: in place are 1 of 3 files: a".to_owned()), "{report:?}");
    assert!(report.notes.contains(&"/out: vault:root/result is incomplete".to_owned()), "{report:?}");
    let first = Vault::new().fault("commit root/result/a", Fault::Fails(Code::ENOSPC));
    let report = self::job(&first, "9, 99").run(&script::program(&files(&[("out/a", 1), ("out/b", 1)])));
    nothing_is_left(&first, &report);
}

#[test]
fn a_failed_export_discards_what_is_only_renamed() {
    let vault = Vault::new().fault("commit root/result/a", Fault::Fails(Code::ENOSPC));
    let job = job(&vault, "9, 99").channel("vault:root/whole, /whole, 0, 0, 0, 9, 99");
    let script = format!("open \"whole\" 0 {WRITE} 0\n write 4 1\n fd_close 4\n{}", files(&[("out/a", 1)]));
    let report = job.run(&script::program(&script));
    assert_eq!(report.exit_code.number(), 5, "{report:?}");
    assert_eq!(vault.content(), ["root/"], "{report:?}");
}

#[test]
fn an_export_that_hangs_ends_with_the_timeout() {
    for call in ["mkdir root/result", "create root/result/a", "write root/result/a", "commit root/result/a"] {
        let vault = Vault::new().fault(call, Fault::Hangs);
        let begun = Instant::now();
        let report = job(&vault, "9, 99").timeout(1).run(&script::program(&files(&[("out/a", 1)])));
        assert_eq!(report.exit_code.number(), 4, "{call}: {report:?}");
        assert!(report.state.starts_with("timeout: export /out: "), "{call}: {report:?}");
        assert!(begun.elapsed() < Duration::from_secs(30) && !report.left_behind, "{call}: {report:?}");
        assert_eq!(vault.content(), ["root/"], "{call}: {report:?}");
    }
}

#[test]
fn quotas_are_what_would_be_written() {
    let vault = Vault::new();
    let job = job(&vault, "3, 10").key("Partial = keep, /out");
    let script = format!(
        "{}open \"out/b\" {CREATE} {BOTH} 0\n write 4 20\n write 4 1\n fd_filestat_set_size 4 9\n fd_filestat_set_size 4 4\n size 4
        fd_allocate 4 0 9\n path_create_directory 3 \"out/d\"\n open \"out/e\" {CREATE} {WRITE} 0\n path_create_directory 3 \"out/e\"
        path_unlink_file 3 \"out/a\"\n path_create_directory 3 \"out/e\"\n fd_filestat_set_size 4 10\n pwrite 4 1 10\n pwrite 4 1 0",
        files(&[("out/a", 4)])
    );
    let report = job.run(&script::program(&script));
    let told = [4, 4, 0, 4, 6, DQUOT, DQUOT, 0, 4, DQUOT, 0, DQUOT, DQUOT, 0, 0, 0, DQUOT, 1];
    assert_eq!((end(&report), job.log()), ((0, "ok"), told.to_vec()));
    let line = report.channels.last().unwrap();
    assert_eq!(format!("{:?}", line.exhausted), "[Puts, PutSize]");
    assert_eq!((line.counts.puts, line.counts.put_bytes), (3, 10));
}

/// Found: CPython passes over an error of a file that it closes by itself, and half of the file was exported, with exit code 0.
#[test]
fn nothing_is_exported_where_a_quota_refused_something() {
    let written = format!("open \"out/a\" {CREATE} {WRITE} 0\n write 4 20\n write 4 1");
    let made = files(&[("out/a", 4), ("out/b", 4)]);
    for (quotas, script, quota) in [("9, 10", &written, "put_size"), ("1, 99", &made, "puts")] {
        let vault = Vault::new();
        let report = job(&vault, quotas).run(&script::program(script));
        let why = format!(
            "export /out: its quota {quota} refused a write, and it is to be whole, so nothing is committed"
        );
        assert_eq!((end(&report), report.guest_code), ((125, why.as_str()), Some(0)), "{report:?}");
        assert_eq!(vault.content(), ["root/"], "{report:?}");
        assert_eq!(report.channels.last().unwrap().outputs[0].state, OutputState::Discarded);
        for keep in ["Partial = keep", "Partial = keep, /out", "Partial = keep, /out/"] {
            let vault = Vault::new();
            let report = job(&vault, quotas).key(keep).run(&script::program(script));
            assert_eq!(end(&report), (0, "ok"), "{report:?}");
            assert!(vault.content().iter().any(|file| file.starts_with("root/result/a=")), "{keep}");
            let told = format!("/out: the guest reached its quota: {quota}");
            assert!(report.notes.contains(&told), "{report:?}");
        }
    }
}

/// Found: a guest that passed over ENOSPC had the half of its file exported, with exit code 0.
#[test]
fn nothing_is_exported_where_the_scratch_space_was_full() {
    let a = format!("open \"out/a\" {CREATE} {WRITE} 0\n");
    // Of two blocks and three names, what is left is room for one short name.
    let full =
        format!("open \"big\" {CREATE} {WRITE} 0\n write 5 30000\n path_create_directory 3 \"out/b\"\n");
    let scripts = [
        format!("{a} write 4 30000\n write 4 30000"),
        format!("{a} write 4 9\n fd_allocate 4 0 30000"),
        format!("{a} {full} path_create_directory 3 \"out/c\""),
        format!("{a} {full} path_rename 3 \"out/a\" 3 \"out/{}\"", "long".repeat(50)),
    ];
    let of = |vault: &Vault| {
        let export = "Export = vault:root/result, /out, 9, 99999";
        Job::new().key("Scratch = 12k").key(export).over_provider(vault.clone())
    };
    for script in scripts {
        let vault = Vault::new();
        let job = of(&vault);
        let report = job.run(&script::program(&script));
        let why = "export /out: the scratch space had no room for a write, and it is to be whole, so nothing is committed";
        assert_eq!((end(&report), report.guest_code), ((125, why), Some(0)), "{report:?}");
        assert_eq!(job.log().last(), Some(&NOSPC), "{script}");
        nothing_is_left(&vault, &report);
        let told = "/out: the guest reached its quota: scratch".to_owned();
        assert!(report.notes.contains(&told) && report.to_json().contains(r#""exhausted":["scratch"]"#));
        for keep in ["Partial = keep", "Partial = keep, /out"] {
            let vault = Vault::new();
            let report = of(&vault).key(keep).run(&script::program(&script));
            assert_eq!((end(&report), report.notes.contains(&told)), ((0, "ok"), true), "{report:?}");
            assert!(vault.content().iter().any(|file| file.starts_with("root/result/a=")), "{keep}");
        }
    }
    // Beside the export it is the guest's own business.
    let vault = Vault::new();
    let script = format!("{a} write 4 9\n open \"tmp\" {CREATE} {WRITE} 0\n write 5 30000\n write 5 30000");
    let job = of(&vault);
    assert_eq!((job.told(&script).pop(), vault.content().len()), (Some(NOSPC), 3));
}

/// A hole costs no scratch space, but its zeros would be written.
#[test]
fn a_hole_counts_as_what_would_be_written() {
    let vault = Vault::new();
    let script = format!(
        "open \"out/a\" {CREATE} {BOTH} 0\n fd_filestat_set_size 4 0x10000000000\n pwrite 4 1 0x10000000000\n pwrite 4 1 300000"
    );
    let job = job(&vault, "9, 1000000").key("Partial = keep");
    assert_eq!(job.told(&script), [4, DQUOT, DQUOT, 1]);
    assert_eq!(vault.content()[2].len(), "root/result/a=".len() + 300_001);
}

#[test]
fn no_name_of_a_guest_leads_out_of_the_folder() {
    let vault = Vault::new().file("root/safe", "safe");
    let script = format!(
        "open \"out/../safe\" {CREATE} {WRITE} 0\n open \"../safe\" {CREATE} {WRITE} 0\n open \"out/..\" {CREATE} {WRITE} 0
        open \"out/%2e%2e\" {CREATE} {WRITE} 0\n open \"out/a\\5cb?x#y\" {CREATE} {WRITE} 0\n open \"out/..a\" {CREATE} {WRITE} 0"
    );
    assert_eq!(job(&vault, "9, 99").told(&script), [4, NOTCAPABLE, ISDIR, 5, 6, 7]);
    // Each name as a descriptor writes it: this provider does not decode.
    let names = ["%252e%252e=", "..a=", "a%5Cb%3Fx%23y="].map(|name| format!("root/result/{name}"));
    let content = vault.content();
    assert!(names.iter().all(|name| content.contains(name)), "{content:?}");
    assert!(content.contains(&"root/safe=safe".to_owned()) && content.len() == 6, "{content:?}");
}

#[test]
fn a_store_without_folders_gets_files_and_a_note() {
    let vault = Vault::default().without_folders();
    let job = job(&vault, "9, 99");
    let script = format!(
        "path_create_directory 3 \"out/a\"\n path_create_directory 3 \"out/a/none\"\n path_create_directory 3 \"out/b\"\n{}",
        files(&[("out/a/x", 1)])
    );
    let report = job.run(&script::program(&script));
    assert_eq!((end(&report), vault.content()), ((0, "ok"), vec!["root/result/a/x=\0".to_owned()]));
    assert_eq!(report.notes, ["export /out: left out: 2 empty folders: the provider has none"]);
}

/// So many that they are not open all at once.
#[test]
fn ten_thousand_files_are_written_by_few_descriptors() {
    let vault = Vault::new();
    let program = r#"(module
        (import "wasi_snapshot_preview1" "path_open"
            (func $open (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
        (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
        (import "wasi_snapshot_preview1" "fd_close" (func $close (param i32) (result i32)))
        (memory (export "memory") 1)
        (data (i32.const 16) "out/00000") (data (i32.const 0) "\14\00\00\00\05\00\00\00")
        (func $good (param i32) (if (local.get 0) (then unreachable)))
        (func (export "_start") (local $number i32) (local $rest i32) (local $at i32)
            (loop $next
                (local.set $rest (local.get $number))
                (local.set $at (i32.const 24))
                (loop $digit
                    (i32.store8 (local.get $at) (i32.add (i32.const 48) (i32.rem_u (local.get $rest) (i32.const 10))))
                    (local.set $rest (i32.div_u (local.get $rest) (i32.const 10)))
                    (local.set $at (i32.sub (local.get $at) (i32.const 1)))
                    (br_if $digit (i32.ge_u (local.get $at) (i32.const 20))))
                (call $good (call $open (i32.const 3) (i32.const 0) (i32.const 16) (i32.const 9) (i32.const 1)
                    (i64.const 64) (i64.const 0) (i32.const 0) (i32.const 8)))
                (call $good (call $write (i32.load (i32.const 8)) (i32.const 0) (i32.const 1) (i32.const 12)))
                (call $good (call $close (i32.load (i32.const 8))))
                (local.set $number (i32.add (local.get $number) (i32.const 1)))
                (br_if $next (i32.lt_u (local.get $number) (i32.const 10000))))))"#;
    let report = job(&vault, "10000, 50000").run(program);
    assert_eq!(end(&report), (0, "ok"), "{report:?}");
    let content = vault.content();
    assert_eq!((content.len(), content[10_001].as_str()), (10_002, "root/result/09999=09999"));
    assert_eq!(vault.open_files(), (256, 0));
    // One less is a quota that the guest is told of.
    let report = job(&Vault::new(), "9999, 50000").run(program);
    assert_eq!(report.exit_code.number(), 4, "{report:?}");
}

#[test]
fn what_cannot_be_exported_to_fails_before_anything_runs() {
    let run = |job: Job| job.run(&script::program("sched_yield"));
    for (target, words) in [
        ("none:x", "export /out: "),
        ("plain:x", "writes no files that appear as a whole"),
        ("vault:root/file", "vault:root/file is not a folder"),
        ("vault:root?x", "it has a query"),
    ] {
        let vault = Vault::new().file("root/file", "x");
        let job = Job::new().key("Scratch = 1m").key(&format!("Export = {target}, /out, 9, 99"));
        let report = run(job.over_provider(vault.clone()));
        assert!(report.exit_code.number() == 14 && report.state.contains(words), "{target}: {report:?}");
    }
    let vault = Vault::new();
    let report = run(job(&vault, "9, 99").channel("test:in, /out, 0, 9, 99, 0, 0"));
    assert!(report.state.contains("export /out: a channel has its name"), "{report:?}");
}

#[test]
fn two_exports_are_written_together() {
    let vault = Vault::new().fault("create root/other/b", Fault::Fails(Code::EACCES));
    let job = job(&vault, "9, 99").key("Export = vault:root/other, /more, 9, 99");
    let report = job.run(&script::program(&files(&[("out/a", 1), ("more/b", 1)])));
    assert!(report.state.starts_with("export /more: "), "{report:?}");
    nothing_is_left(&vault, &report);
}

#[test]
fn a_digest_is_of_all_that_was_written() {
    let vault = Vault::new();
    let report = job(&vault, "9, 99")
        .key("Digest = sha256")
        .run(&script::program(&files(&[("out/b", 2), ("out/a", 1)])));
    let zeros = "709e80c88487a2411e1ee4dfb9f22a861492d20c4765150c0c794abd70f8147c";
    assert_eq!(report.channels.last().unwrap().digest.as_deref(), Some(zeros), "{report:?}");
}
