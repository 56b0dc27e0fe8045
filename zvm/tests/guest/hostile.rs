//! Hostile guests: each program under `hostile/`, and every call with every pointer wild. None may do more than end itself.

use crate::job::*;
use crate::script::{self, FUNCTIONS};
use crate::shelf::Book;
use std::fs;
use std::path::PathBuf;

/// What a program gets of fuel that does not say `;; fuel: N`.
const FUEL: &str = "10000000";

fn job() -> Job {
    job_with(FUEL)
}

fn job_with(fuel: &str) -> Job {
    let job = Job::over(Book::new(letters(5000)), "3, 999, 99999, 999, 99999");
    job.key("Scratch = 65536").key(&format!("Fuel = {fuel}")).memory(8 << 20).timeout(300)
}

/// What a program's first line says of its end: `;; ends: STATE`, or `;; exits: CODE`.
#[test]
fn each_program_ends_as_it_says() {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/guest/hostile");
    let mut files: Vec<PathBuf> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert!(files.len() >= 10);
    for file in files {
        let (name, program) =
            (file.file_name().unwrap().to_string_lossy().into_owned(), fs::read_to_string(&file).unwrap());
        let fuel = program.lines().find_map(|line| line.strip_prefix(";; fuel: ")).unwrap_or(FUEL);
        let report = job_with(fuel).run(&program);
        let first = program.lines().next().unwrap();
        match (first.strip_prefix(";; ends: "), first.strip_prefix(";; exits: ")) {
            (Some(state), _) => assert!(report.state.contains(state), "{name}: {report:?}"),
            (_, Some(code)) => {
                assert_eq!((report.state.as_str(), report.guest_code), ("ok", code.parse().ok()), "{name}");
            }
            _ => panic!("{name} does not say how it ends"),
        }
    }
}

/// The parameters of a call that are wild in turn; the others are harmless.
const WILD: [&str; 8] =
    ["131072", "131071", "0x7fffffff", "0x80000000", "0xfffffff0", "0xffffffff", "0xffff0000", "65535"];

#[test]
fn no_call_with_a_wild_argument_does_more_than_fail() {
    let job = job();
    let mut script = String::from("open \"x\" 0 66 0\n open \"f\" 1 66 0\n");
    let mut calls = 0;
    for (name, types) in FUNCTIONS {
        for place in 0..types.len() {
            for wild in WILD {
                let arguments: Vec<&str> = (0..types.len())
                    .map(|at| match (at == place, types.as_bytes()[at]) {
                        (true, _) => wild,
                        (false, _) if at == 0 && name.contains("fd_") => "4",
                        (false, _) => "1",
                    })
                    .collect();
                script += &format!("{name} {}\n", arguments.join(" "));
                calls += 1;
            }
        }
        if script.len() > 20_000 || name == "sock_shutdown" {
            let report = job.run(&script::program(&script));
            assert!(report.state == "ok" || report.state.starts_with("fuel: "), "{name}: {report:?}");
            script = String::from("open \"x\" 0 66 0\n open \"f\" 1 66 0\n");
        }
    }
    assert!(calls > 1000, "{calls}");
}

#[test]
fn descriptors_that_were_never_opened_are_bad_in_every_call() {
    let first =
        |name: &str| name.starts_with("fd_") || name.starts_with("path_") || name.starts_with("sock_");
    for (name, types) in FUNCTIONS.iter().filter(|(name, _)| first(name)) {
        // A link's text comes before its directory.
        let place = if *name == "path_symlink" { 2 } else { 0 };
        let mut script = String::new();
        for fd in ["4", "1023", "1024", "0xffff", "0x7fffffff", "0xffffffff"] {
            let arguments: Vec<&str> =
                (0..types.len()).map(|at| if at == place { fd } else { "0" }).collect();
            script += &format!("{name} {}\n", arguments.join(" "));
        }
        assert_eq!(Job::new().told(&script), [BADF; 6], "{name}");
    }
}

#[test]
fn buffers_that_overlap_are_filled_in_order() {
    // Three buffers over one another, over the array of buffers itself, and over the place of the count.
    let script = "put32 64 64\n put32 68 8\n put32 72 66\n put32 76 8\n put32 80 4\n put32 84 8\n fd_read 0 64 3 8\n get32 8\n get64 64\n get64 72";
    let job = Job::new().file("in", Book::pipe(letters(100)));
    let told = job.told(script);
    // 24 letters: a to h at 64, i to p at 66, q to x at 4, and then the count over what was read at 8.
    let word = |text: &[u8; 8]| i64::from_le_bytes(*text);
    assert_eq!(told, [0, 24, word(b"abijklmn"), word(&[b'o', b'p', 0, 0, 8, 0, 0, 0])]);
}

#[test]
fn lengths_near_4_gib_are_faults_or_too_much() {
    let job = job();
    let script = "open \"x\" 0 66 0\n put32 64 4096\n put32 68 0xffffffff\n fd_read 4 64 1 8\n fd_write 4 64 1 8\n fd_pread 4 64 1 0 8\n fd_pwrite 4 64 1 0 8
        put32 64 0xffffffff\n put32 68 0xffffffff\n fd_read 4 64 1 8\n put32 64 0xfffffff8\n put32 68 8\n fd_write 4 64 1 8
        fd_readdir 3 4096 0xffffffff 0 8\n path_readlink 3 \"x\" 4096 0xffffffff 8\n random_get 4096 0xffffffff\n fd_prestat_dir_name 3 4096 0xffffffff
        path_open 3 0 0 0xffffffff 0 2 0 0 8\n poll_oneoff 4096 4096 0xffffffff 8\n path_rename 3 0 0xffffffff 3 0 0xffffffff\n path_symlink 0 0xffffffff 3 0 1";
    let expected = [&[4][..], &[FAULT; 10], &[NAMETOOLONG, INVAL, NAMETOOLONG, NAMETOOLONG]].concat();
    assert_eq!(job.told(script), expected);
}

#[test]
fn tricks_with_paths_lead_nowhere() {
    let deep = "a/".repeat(1200);
    let up = "../".repeat(800);
    for (path, errno) in [
        ("../../../../etc/passwd", NOTCAPABLE),
        ("./../x", NOTCAPABLE),
        ("dev/../../x", NOTCAPABLE),
        ("//etc/passwd", NOTCAPABLE),
        ("dev/stdin/../../x", NOTDIR),
        ("x/.", NOTDIR),
        ("x//", NOTDIR),
        ("...", NOENT),
        (". .", NOENT),
        ("dev\\5c..\\5c..\\5cetc", NOENT),
        ("\\c0\\ae\\c0\\ae/etc", ILSEQ),
        ("%2e%2e/etc", NOENT),
        ("x\\00y", INVAL),
        (&deep, NOENT),
        (&up, NOTCAPABLE),
    ] {
        let told = job().told(&format!("open \"{path}\" 0 2 0"));
        assert_eq!(told, [errno], "{:.40}", path);
    }
}
