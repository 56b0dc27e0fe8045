//! What a guest may take, and one more than that.

use crate::job::{DQUOT, Job, letters};
use crate::script::{self, import};
use crate::shelf::Book;
use zvm::{ExitCode, Report};

/// A program of these fields and this body, with one page of memory unless `fields` has some.
fn program(fields: &str, body: &str) -> String {
    let memory = if fields.contains("\"memory\"") { "" } else { "(memory (export \"memory\") 1)" };
    let exit = import("proc_exit", "(param i32)");
    format!("(module {exit} {memory} {fields} (func (export \"_start\") {body}))")
}

fn exit_and_state(report: &Report) -> (ExitCode, &str) {
    (report.exit_code, report.state.as_str())
}

/// The guest's own code.
fn code(job: &Job, program: &str) -> u32 {
    let report = job.run(program);
    assert_eq!(exit_and_state(&report), (ExitCode::Ok, "ok"));
    report.guest_code.unwrap()
}

const PAGE: u64 = 65536;

#[test]
fn each_quota_ends_with_its_last_byte_and_its_last_call() {
    let read = |quotas: &str, script: &str| {
        Job::over(Book::new(letters(100)), quotas).told(&format!("open \"x\" 0 2 0\n {script}"))[1..].to_vec()
    };
    assert_eq!(read("0, 9, 10, 0, 0", "read 4 10\n read 4 1"), [10, DQUOT]);
    assert_eq!(read("0, 2, 99, 0, 0", "read 4 1\n read 4 1\n read 4 1"), [1, 1, DQUOT]);
    assert_eq!(
        read("1, 2, 99, 0, 0", "pread 4 1 0\n pread 4 1 0\n pread 4 1 0\n pread 4 1 100"),
        [1, 1, DQUOT, 0]
    );
    let write = |quotas: &str, script: &str| {
        let job = Job::over(Book::new(""), quotas).key("Partial = keep");
        job.told(&format!("open \"x\" 0 64 0\n {script}"))[1..].to_vec()
    };
    assert_eq!(write("0, 0, 0, 9, 10", "write 4 10\n write 4 1"), [10, DQUOT]);
    assert_eq!(write("0, 0, 0, 2, 99", "write 4 1\n write 4 1\n write 4 1"), [1, 1, DQUOT]);
    assert_eq!(write("2, 0, 0, 2, 99", "write 4 1\n write 4 1\n write 4 1"), [1, 1, DQUOT]);
}

#[test]
fn a_failed_call_costs_no_quota() {
    let told = Job::over(Book::new("abc"), "0, 1, 99, 0, 0").told(
        "open \"x\" 0 2 0\n fd_read 4 131072 1 8\n fd_read 4 0 2000 8\n fd_pread 4 0 0 -1 8\n write 4 1\n read 4 0\n read 4 3",
    );
    assert_eq!(told[5..], [0, 3]);
}

#[test]
fn memory_is_the_manifests() {
    let grow = |pages: i32| program("", &format!("(call $proc_exit (memory.grow (i32.const {pages})))"));
    let job = Job::new().memory(4 * PAGE);
    assert_eq!(code(&job, &grow(3)), 1);
    assert_eq!(code(&job, &grow(4)) as i32, -1);
    assert_eq!(code(&job, &grow(-1)) as i32, -1);
    assert_eq!(code(&Job::new().memory(4 * PAGE - 1), &grow(3)) as i32, -1);
    // Refused once, then granted, then refused beyond any memory of this kind.
    let again = "(drop (memory.grow (i32.const 9))) (drop (memory.grow (i32.const 1))) (drop (memory.grow (i32.const 65535)))
        (call $proc_exit (memory.size))";
    assert_eq!(code(&job, &program("", again)), 2);
}

#[test]
fn a_program_that_needs_more_memory_than_it_has_does_not_start() {
    let job = Job::new().memory(4 * PAGE);
    assert_eq!(code(&job, &program("(memory (export \"memory\") 4)", "")), 0);
    for fields in ["(memory (export \"memory\") 5)", "(memory (export \"memory\") 1) (table 20000 funcref)"] {
        let report = job.run(&program(fields, ""));
        assert_eq!(report.exit_code, ExitCode::Memory, "{report:?}");
        assert!(report.state.contains("Memory"), "{report:?}");
        assert_eq!(job.shelf.log("out").last_chunk(), Some(&["open", "Discard", "close"].map(str::to_owned)));
    }
}

#[test]
fn tables_are_paid_from_the_same_budget() {
    let grow = |elements: i32| {
        program(
            "(table $t 0 funcref)",
            &format!("(call $proc_exit (table.grow $t (ref.null func) (i32.const {elements})))"),
        )
    };
    let job = Job::new().memory(2 * PAGE);
    assert_eq!(code(&job, &grow(4096)), 0);
    assert_eq!(code(&job, &grow(4097)) as i32, -1);
}

#[test]
fn a_guest_without_fuel_stops() {
    let forever = program("", "(loop (br 0))");
    let report = Job::new().key("Fuel = 100000").run(&forever);
    assert!(report.exit_code == ExitCode::Stopped && report.state.starts_with("fuel: all "), "{report:?}");
    assert_eq!((report.fuel, report.nondeterministic), (Some(100_000), false));
}

#[test]
fn host_calls_cost_fuel() {
    let fuel = |script: &str| {
        Job::new().file("in", Book::pipe(letters(9999))).run(&script::program(script)).fuel.unwrap()
    };
    let base = fuel("");
    // What the guest's own instructions around a call cost is at most some tens.
    let calls = fuel("sched_yield\n sched_yield\n sched_yield") - base;
    assert!((300..600).contains(&calls), "{calls}");
    let (short, long) = (fuel("read 0 16"), fuel("read 0 8016"));
    assert_eq!(long - short, 500, "a unit for 16 bytes");
    let (none, thousand) = (fuel("fd_read 0 128 0 8"), fuel("fd_read 0 1024 1000 8"));
    assert_eq!(thousand - none, 1000, "a unit for a buffer");
    let (one, thousand) = (fuel("poll_oneoff 4096 98304 1 8"), fuel("poll_oneoff 4096 98304 1000 8"));
    assert_eq!(thousand - one, 999, "a unit for a subscription");
    let (short, long) = (fuel("path_unlink_file 3 1024 0"), fuel("path_unlink_file 3 1024 4096"));
    assert_eq!(long - short, 256, "a unit for 16 bytes of a path");
    // Found in a review: a look at the blocks that are there cost nothing, nor did the one that finds no space.
    let allocate = |more: &str| {
        let script = format!("open \"f\" 1 66 0\n fd_allocate 4 0 4096000\n {more}");
        Job::new().key("Scratch = 5000000").run(&script::program(&script)).fuel.unwrap()
    };
    let (one, all) = (allocate("fd_allocate 4 0 1"), allocate("fd_allocate 4 0 4096000"));
    assert_eq!(all - one, 999, "a unit for a block that is there");
    let none = allocate("fd_allocate 4 4096000 0x6fffffffffff0000");
    assert!(none >= one + 900, "a unit for a block that is there, without space: {none}, {one}");
    // Ten names more: ten entries, and 338 bytes in place of 78.
    let list = script::program("fd_readdir 3 4096 999 0 8");
    let more = (0..10)
        .fold(Job::new(), |job, index| job.channel(&format!("test:f{index}, /{index}x, 0, 0, 0, 9, 9")));
    let (few, many) = (Job::new().run(&list).fuel.unwrap(), more.run(&list).fuel.unwrap());
    assert_eq!(many - few, 10 + (338 / 16 - 78 / 16), "a unit for an entry");
}

#[test]
fn a_call_that_cannot_be_paid_is_not_made() {
    let needed = Job::new().run(&script::program("write 1 1\n write 1 1")).fuel.unwrap();
    let job = Job::new().key(&format!("Fuel = {needed}"));
    assert_eq!(job.told("write 1 1\n write 1 1"), [1, 1]);
    let report =
        Job::new().key(&format!("Fuel = {}", needed - 1)).run(&script::program("write 1 1\n write 1 1"));
    assert!(report.exit_code == ExitCode::Stopped && report.state.starts_with("fuel: all "), "{report:?}");
}

#[test]
fn the_start_section_runs_under_fuel_and_with_channels() {
    let start = "(func $start (loop (br 0))) (start $start)";
    let report = Job::new().key("Fuel = 100000").run(&program(start, ""));
    assert!(report.exit_code == ExitCode::Stopped && report.state.starts_with("fuel: all "), "{report:?}");
    let early = format!(
        "(module {} {} (memory (export \"memory\") 1) (data (i32.const 0) \"\\10\\00\\00\\00\\02\\00\\00\\00\") (data (i32.const 16) \"ok\")
        (func $start (drop (call $fd_write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8))))
        (start $start) (func (export \"_start\") (call $proc_exit (i32.const 3))))",
        import("fd_write", "(param i32 i32 i32 i32) (result i32)"),
        import("proc_exit", "(param i32)")
    );
    let job = Job::new();
    assert_eq!(code(&job, &early), 3);
    assert_eq!(job.shelf.data("out"), b"ok");
}

#[test]
fn nans_have_one_form() {
    // 0/0 has a sign on some machines; canonical ones have none.
    let body = "(call $proc_exit (i32.reinterpret_f32 (f32.div (local.get $zero) (local.get $zero))))";
    let report = code(&Job::new(), &program("", &format!("(local $zero f32) {body}")));
    assert_eq!(report, 0x7fc0_0000);
}
