//! Guests with atomic instructions, which programs have that were built for threads and start none.

use crate::job::{Job, end};
use zvm::{ExitCode, Stopped};

/// The widths: the type, what its instructions are called, the suffix of those that change, and the bits.
const WIDTHS: [(&str, &str, &str, u32); 7] = [
    ("i32", "", "", 32),
    ("i32", "8", "_u", 8),
    ("i32", "16", "_u", 16),
    ("i64", "", "", 64),
    ("i64", "8", "_u", 8),
    ("i64", "16", "_u", 16),
    ("i64", "32", "_u", 32),
];

/// What changes a value in memory, of the old one and an operand.
type Change = fn(u64, u64) -> u64;

const CHANGES: [(&str, Change); 6] = [
    ("add", u64::wrapping_add),
    ("sub", u64::wrapping_sub),
    ("and", |old, by| old & by),
    ("or", |old, by| old | by),
    ("xor", |old, by| old ^ by),
    ("xchg", |_, by| by),
];

/// What is there before, in eight bytes of which an instruction sees the lower ones.
const BEFORE: u64 = 0xfedc_ba98_7654_3210;
/// What it is changed by.
const BY: u64 = 0x0f1e_2d3c_4b5a_6978;

/// A program of one page that runs this.
fn program(body: &str) -> String {
    format!(
        r#"(module
            (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
            (memory (export "memory") 1 1)
            (func $expect (param $number i32) (param $is i64) (param $should i64)
                (if (i64.ne (local.get $is) (local.get $should)) (then (call $exit (local.get $number)))))
            (func $_start (export "_start") {body}))"#
    )
}

/// A number that an instruction of this width sees.
fn seen(bits: u32, number: u64) -> u64 {
    number & (u64::MAX >> (64 - bits))
}

/// A constant of a type, and an expression of it as an i64.
fn constant(kind: &str, number: u64) -> String {
    match kind {
        "i32" => format!("(i32.const {})", number as u32),
        _ => format!("(i64.const {number})"),
    }
}

fn wide(kind: &str, expression: &str) -> String {
    match kind {
        "i32" => format!("(i64.extend_i32_u {expression})"),
        _ => expression.to_owned(),
    }
}

#[test]
fn atomic_instructions_compute_what_their_plain_ones_would() {
    let (mut body, mut number) = (String::new(), 0);
    let mut case = |kind: &str, bits: u32, instruction: String, gives: u64, leaves: u64| {
        let leaves = BEFORE & !seen(bits, u64::MAX) | seen(bits, leaves);
        body += &format!("(i64.store (i32.const 64) (i64.const {BEFORE}))");
        for (is, should) in
            [(wide(kind, &instruction), seen(bits, gives)), ("(i64.load (i32.const 64))".into(), leaves)]
        {
            number += 1;
            body += &format!("(call $expect (i32.const {number}) {is} (i64.const {should}))\n");
        }
    };
    for (kind, width, suffix, bits) in WIDTHS {
        let by = constant(kind, seen(bits, BY));
        for (change, of) in CHANGES {
            let instruction = format!("({kind}.atomic.rmw{width}.{change}{suffix} (i32.const 64) {by})");
            case(kind, bits, instruction, BEFORE, of(BEFORE, BY));
        }
        for (expected, leaves) in [(BEFORE, BY), (BY, BEFORE)] {
            let expected = constant(kind, seen(bits, expected));
            let instruction =
                format!("({kind}.atomic.rmw{width}.cmpxchg{suffix} (i32.const 64) {expected} {by})");
            case(kind, bits, instruction, BEFORE, leaves);
        }
        case(kind, bits, format!("({kind}.atomic.load{width}{suffix} (i32.const 64))"), BEFORE, BEFORE);
        let store = format!("({kind}.atomic.store{width} (i32.const 64) {by}) {}", constant(kind, 0));
        case(kind, bits, format!("(block (result {kind}) {store})"), 0, BY);
    }
    assert_eq!(number, 140);
    let report = Job::new().run(&program(&body));
    assert_eq!((end(&report), report.guest_code), ((0, "ok"), Some(0)), "the number of the case: {report:?}");
}

#[test]
fn a_fence_does_nothing_and_a_notify_finds_nobody() {
    let notify = "(memory.atomic.notify (i32.const 64) (i32.const -1))";
    let report = Job::new().run(&program(&format!("(atomic.fence) (call $exit {notify})")));
    assert_eq!((end(&report), report.guest_code), ((0, "ok"), Some(0)), "{report:?}");
}

/// Nobody could end it: there is no other thread. So it never blocks, not even for its own timeout, and whatever is in the memory.
#[test]
fn a_wait_for_another_thread_is_a_trap_at_once() {
    for (bits, kind) in [(32, "i32"), (64, "i64")] {
        for timeout in ["-1", "0", "3600000000000"] {
            for expected in [0, 1] {
                let wait = format!(
                    "(memory.atomic.wait{bits} (i32.const 64) ({kind}.const {expected}) (i64.const {timeout}))"
                );
                let report = Job::new().run(&program(&format!("(drop {wait})")));
                assert_eq!((report.exit_code, report.stopped), (ExitCode::Stopped, Some(Stopped::Trap)));
                assert_eq!(
                    report.state, "trap: a wait for another thread, of which a guest has none, in `_start`",
                    "{wait}"
                );
            }
        }
    }
}

#[test]
fn an_atomic_access_out_of_line_or_of_bounds_is_a_trap() {
    for (access, words) in [
        ("(i32.atomic.load (i32.const 65))", "unaligned atomic"),
        ("(i32.atomic.load16_u (i32.const 65))", "unaligned atomic"),
        ("(i32.atomic.rmw.add (i32.const 66) (i32.const 1))", "unaligned atomic"),
        ("(i32.atomic.rmw.cmpxchg (i32.const 63) (i32.const 0) (i32.const 1))", "unaligned atomic"),
        ("(memory.atomic.notify (i32.const 66) (i32.const 1))", "unaligned atomic"),
        ("(memory.atomic.wait32 (i32.const 66) (i32.const 0) (i64.const 0))", "unaligned atomic"),
        ("(i32.wrap_i64 (i64.atomic.load (i32.const 4)))", "unaligned atomic"),
        ("(i32.atomic.load (i32.const 65536))", "out of bounds memory access"),
        ("(i32.atomic.rmw8.xchg_u (i32.const -1) (i32.const 1))", "out of bounds memory access"),
        ("(memory.atomic.notify (i32.const 65536) (i32.const 1))", "out of bounds memory access"),
    ] {
        let report = Job::new().run(&program(&format!("(drop {access})")));
        assert_eq!(end(&report), (4, format!("trap: {words}, in `_start`").as_str()), "{access}");
    }
}

/// An instruction that asks the engine costs as much as any: a program that does nothing else meets its fuel.
#[test]
fn notifies_without_end_meet_the_fuel() {
    let storm = "(loop $again (drop (memory.atomic.notify (i32.const 64) (i32.const 1))) (br $again))";
    let report = Job::new().key("Fuel = 100000").run(&program(storm));
    assert!(report.state.starts_with("fuel: all 100000 units are used up"), "{report:?}");
}

/// With its instructions allowed, what threads need is still refused, before it is compiled.
#[test]
fn a_memory_that_could_be_shared_is_refused() {
    let start = "(func (export \"_start\"))";
    for (memory, words) in [
        (
            "(memory (export \"memory\") 1 2 shared)",
            "bad program: its memory is shared: build it without threads",
        ),
        (
            "(import \"env\" \"memory\" (memory 1 2 shared))",
            "bad program: it imports its memory, env::memory, which is shared: build it without threads",
        ),
        (
            "(import \"wasi\" \"thread-spawn\" (func (param i32) (result i32))) (memory (export \"memory\") 1)",
            "bad program: it imports wasi::thread-spawn, which starts a thread: build it without threads",
        ),
    ] {
        let report = Job::new().run(&format!("(module {memory} {start})"));
        assert_eq!(report.exit_code, ExitCode::BadProgram, "{report:?}");
        assert!(report.state.starts_with(words), "{}", report.state);
    }
}
