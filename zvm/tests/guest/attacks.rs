//! What broke a naive host: calls whose numbers are huge, and modules that look small.

use crate::job::Job;
use crate::script::import;
use std::fs;
use std::time::{Duration, Instant};
use zvfs_test_support::alone;
use zvm::Report;

/// A call answers within this, also on a busy machine; each of these once took half a minute, or for ever.
const PROMPT: Duration = Duration::from_secs(15);

fn promptly(job: &Job, program: &str) -> Report {
    let start = Instant::now();
    let report = job.run(program);
    assert!(start.elapsed() < PROMPT, "{:?}", start.elapsed());
    report
}

/// The most memory that this process had at once, in KiB.
fn peak_memory() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

/// A guest with as much memory as there can be, and a call whose errno is its exit code.
fn with_4_gib(imports: &str, call: &str) -> String {
    let exit = import("proc_exit", "(param i32)");
    format!(
        "(module {imports} {exit} (memory (export \"memory\") 65536) (func (export \"_start\") (call $proc_exit {call})))"
    )
}

#[test]
fn a_path_of_4_gib_is_refused_by_its_length() {
    alone(a_path_of_4_gib);
}

fn a_path_of_4_gib() {
    let before = peak_memory();
    let imports = import("path_filestat_get", "(param i32 i32 i32 i32 i32) (result i32)");
    let call = "(call $path_filestat_get (i32.const 3) (i32.const 0) (i32.const 0) (i32.const 0xffffff00) (i32.const 0))";
    let report = promptly(&Job::new().memory(1 << 32), &with_4_gib(&imports, call));
    assert_eq!((report.state.as_str(), report.guest_code), ("ok", Some(37)));
    assert!(peak_memory() - before < 128 << 10, "no host memory is sized by a guest's number");
}

#[test]
fn a_random_fill_of_4_gib_is_paid_for_and_stops_with_its_session() {
    let imports = import("random_get", "(param i32 i32) (result i32)");
    let call = "(call $random_get (i32.const 0) (i32.const 0xffffff00))";
    let program = with_4_gib(&imports, call);
    let report = promptly(&Job::new().memory(1 << 32).key("Fuel = 50000"), &program);
    assert!(report.exit_code.number() == 4 && report.state.starts_with("fuel: "), "{report:?}");
    let report = promptly(&Job::new().memory(1 << 32).timeout(1), &program);
    assert!(report.exit_code.number() == 4 && report.state.starts_with("timeout: in "), "{report:?}");
    // And where there is no such memory, it is a bad address.
    assert_eq!(Job::new().told("random_get 0 0xffffff00"), [-21]);
}

#[test]
fn half_a_billion_empty_buffers_are_too_many() {
    let imports = import("fd_write", "(param i32 i32 i32 i32) (result i32)");
    let call = "(call $fd_write (i32.const 1) (i32.const 0) (i32.const 536870911) (i32.const 8))";
    let report = promptly(&Job::new().memory(1 << 32), &with_4_gib(&imports, call));
    assert_eq!((report.state.as_str(), report.guest_code), ("ok", Some(28)));
    assert!(report.fuel.unwrap() < 1000);
}

#[test]
fn tables_cannot_be_used_as_memory() {
    alone(tables_as_memory);
}

fn tables_as_memory() {
    let tables = |count: usize| {
        let tables = "(table 10000000 funcref)".repeat(count);
        format!("(module (memory (export \"memory\") 1) {tables} (func (export \"_start\")))")
    };
    let before = peak_memory();
    let job = Job::new().memory(65536);
    // 20 are refused by their number, fewer by their size.
    assert_eq!(promptly(&job, &tables(20)).exit_code.number(), 8);
    assert_eq!(promptly(&job, &tables(16)).exit_code.number(), 12);
    assert_eq!(promptly(&job, &tables(1)).exit_code.number(), 12);
    assert!(peak_memory() - before < 128 << 10);
}

#[test]
fn huge_reads_and_writes_are_cut_short() {
    // 3 GiB from an endless source is 1 GiB at most; here the quota is less.
    let imports = import("fd_read", "(param i32 i32 i32 i32) (result i32)");
    let call = "(i32.add (call $fd_read (i32.const 0) (i32.const 64) (i32.const 1) (i32.const 8)) (i32.load (i32.const 8)))";
    let data = "(data (i32.const 64) \"\\00\\10\\00\\00\\00\\00\\00\\c0\")";
    let program = with_4_gib(&imports, call).replace("(func (export", &format!("{data} (func (export"));
    let job = Job::new().memory(1 << 32).file("in", crate::shelf::Book::pipe(crate::job::letters(5000)));
    let report = promptly(&job, &program);
    assert_eq!((report.state.as_str(), report.guest_code), ("ok", Some(5000)));
}

#[test]
fn buffers_that_overlap_add_up_but_allocate_nothing() {
    // 1,024 buffers over the same MiB: 1 GiB in sum, of which one call moves 64 KiB.
    let imports = import("fd_write", "(param i32 i32 i32 i32) (result i32)");
    let program = format!(
        "(module {imports} {} (memory (export \"memory\") 32) (func (export \"_start\") (local $at i32)
          (loop
            (i32.store offset=4 (local.get $at) (i32.const 1048576))
            (br_if 0 (i32.lt_u (local.tee $at (i32.add (local.get $at) (i32.const 8))) (i32.const 8192))))
          (drop (call $fd_write (i32.const 1) (i32.const 0) (i32.const 1024) (i32.const 8192)))
          (call $proc_exit (i32.load (i32.const 8192)))))",
        import("proc_exit", "(param i32)")
    );
    let job = Job::new().channel("test:out, /dev/stdout, 0, 0, 0, 9, 999999999");
    assert_eq!(promptly(&job, &program).guest_code, Some(65536));
}

#[test]
fn polls_of_many_subscriptions_are_refused() {
    let job = Job::new();
    let start = Instant::now();
    assert_eq!(job.told("poll_oneoff 0 0 0x5555555 8"), [-28]);
    assert!(start.elapsed() < PROMPT);
}

#[test]
fn deep_recursion_hits_the_guests_own_stack() {
    // Frames of a hundred values: they must not reach the host's part of the stack.
    let locals = "(local i64) ".repeat(100);
    let uses: String = (1..100)
        .map(|index| format!("(local.set {index} (i64.add (local.get {}) (i64.const {index})))", index - 1))
        .collect();
    let sum: String = (0..100).map(|index| format!("(call $keep (local.get {index}))")).collect();
    let program = format!(
        "(module (memory (export \"memory\") 1) (func $keep (param i64)) (func $f {locals} {uses} (call $f) {sum})
        (func (export \"_start\") (call $f)))"
    );
    let report = promptly(&Job::new(), &program);
    assert!(report.state.starts_with("trap: call stack exhausted, in `f`, called by `f`"), "{report:?}");
}

#[test]
fn a_standard_stream_is_no_terminal() {
    // What wasi-libc's isatty asks for: a character device.
    let told = Job::new()
        .told("fd_fdstat_get 0 16\n get8 16\n fd_fdstat_get 1 16\n get8 16\n fd_fdstat_get 2 16\n get8 16");
    assert!(told.chunks(2).all(|pair| pair[0] == 0 && pair[1] != 2), "{told:?}");
}

/// A guest that makes files with names of so many bytes, each with a second name and so many bytes in it, until there is no
/// space.
fn hoarder(name: usize, content: u8) -> String {
    let open = import("path_open", "(param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)");
    let write = import("fd_write", "(param i32 i32 i32 i32) (result i32)");
    let close = import("fd_close", "(param i32) (result i32)");
    let link = import("path_link", "(param i32 i32 i32 i32 i32 i32 i32) (result i32)");
    let exit = import("proc_exit", "(param i32)");
    format!(
        "(module {open} {write} {close} {link} {exit} (memory (export \"memory\") 1)
          (data (i32.const 0) \"\\10\\00\\00\\00\\{content:02x}\\00\\00\\00\")
          (func $name (param $n i32) (local $digit i32)
            (memory.fill (i32.const 1024) (i32.const 120) (i32.const {name}))
            (loop
              (i32.store8 (i32.add (i32.const 1024) (local.get $digit)) (i32.add (i32.const 97) (i32.and (local.get $n) (i32.const 15))))
              (local.set $n (i32.shr_u (local.get $n) (i32.const 4)))
              (br_if 0 (i32.lt_u (local.tee $digit (i32.add (local.get $digit) (i32.const 1))) (i32.const 6)))))
          (func (export \"_start\") (local $n i32)
            (loop
              (call $name (local.get $n))
              (if (i32.eqz (call $path_open (i32.const 3) (i32.const 0) (i32.const 1024) (i32.const {name}) (i32.const 1) (i64.const 64) (i64.const 0) (i32.const 0) (i32.const 64)))
                (then
                  (drop (call $fd_write (i32.load (i32.const 64)) (i32.const 0) (i32.const 1) (i32.const 68)))
                  (drop (call $fd_close (i32.load (i32.const 64))))
                  (i32.store8 (i32.const 2048) (i32.const 46))
                  (memory.copy (i32.const 2049) (i32.const 1024) (i32.const {name}))
                  (drop (call $path_link (i32.const 3) (i32.const 0) (i32.const 1024) (i32.const {name}) (i32.const 3) (i32.const 2048) (i32.const {name})))
                  (local.set $n (i32.add (local.get $n) (i32.const 1)))
                  (br 1))))
            (call $proc_exit (local.get $n))))"
    )
}

/// In a process of its own, whose memory is then that of the scratch space.
fn hoard(name: usize, content: u8) {
    const SCRATCH: u64 = 64 << 20;
    let job = Job::new().key(&format!("Scratch = {SCRATCH}")).timeout(100);
    let before = peak_memory();
    let report = job.run(&hoarder(name, content));
    let (made, taken) = (report.guest_code.unwrap(), (peak_memory() - before) << 10);
    assert!(made > 5_000, "{report:?}");
    assert!(taken < SCRATCH + (16 << 20), "{made} files take {taken} bytes");
}

#[test]
fn scratch_files_take_no_more_of_the_host_than_they_are_said_to() {
    alone(|| hoard(8, 1));
}

#[test]
fn short_names_take_no_more_of_the_host_than_they_are_said_to() {
    alone(|| hoard(8, 0));
}

#[test]
fn long_names_take_no_more_of_the_host_than_they_are_said_to() {
    alone(|| hoard(250, 0));
}
