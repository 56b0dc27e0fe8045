//! Guests that throw and catch.

use crate::job::Job;
use zvm::ExitCode;

/// Throws in `$raise`, four calls down, with a number that is the exit code of whoever catches it.
const CATCHES: &str = r#"(module
    (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
    (memory (export "memory") 1)
    (tag $error (param i32))
    (func $raise (param i32)
        (if (i32.eqz (local.get 0)) (then (throw $error (i32.const 42))))
        (call $raise (i32.sub (local.get 0) (i32.const 1))))
    (func (export "_start")
        (call $exit (block $caught (result i32)
            (try_table (catch $error $caught) (call $raise (i32.const 4)))
            (i32.const 0)))))"#;

/// Throws and catches for ever, keeping nothing.
pub const CATCHES_FOR_EVER: &str = r#"(module
    (memory (export "memory") 1)
    (tag $error (param i64 i64))
    (func (export "_start") (loop $again
        (block $caught (result i64 i64)
            (try_table (catch $error $caught) (throw $error (i64.const 1) (i64.const 2)))
            (unreachable))
        (drop) (drop) (br $again))))"#;

/// Keeps what it throws, in a table that grows.
const KEEPS: &str = r#"(module
    (memory (export "memory") 1)
    (tag $error (param i64 i64))
    (table $kept 1000000 exnref)
    (func (export "_start") (local $at i32) (loop $again
        (table.set $kept (local.get $at)
            (block $caught (result exnref)
                (try_table (catch_all_ref $caught) (throw $error (i64.const 1) (i64.const 2)))
                (unreachable)))
        (local.set $at (i32.add (local.get $at) (i32.const 1)))
        (br_if $again (i32.lt_u (local.get $at) (i32.const 1000000))))))"#;

#[test]
fn an_exception_is_caught_where_the_program_says() {
    let report = Job::new().run(CATCHES);
    assert_eq!((report.exit_code.number(), report.guest_code), (0, Some(42)), "{report:?}");
}

#[test]
fn an_exception_that_nothing_catches_ends_the_guest_and_says_where() {
    let report = Job::new().run(&CATCHES.replace("(catch $error $caught) ", ""));
    assert_eq!(report.exit_code, ExitCode::Stopped, "{report:?}");
    assert!(
        report.state.starts_with("trap: an exception that nothing caught, in `raise`, called by `raise`"),
        "{}",
        report.state
    );
}

/// What is thrown costs fuel and, while somebody keeps it, memory: neither is without end.
#[test]
fn exceptions_without_end_meet_the_fuel_and_the_memory() {
    let report = Job::new().key("Fuel = 200000").run(CATCHES_FOR_EVER);
    assert!(report.state.starts_with("fuel: all 200000 units are used up"), "{}", report.state);
    let report = Job::new().run(KEEPS);
    assert_eq!(report.exit_code, ExitCode::Memory, "{report:?}");
    let expected =
        "Memory: the exceptions that are kept do not fit into the 16777216 bytes that it may have, in ";
    assert!(report.state.starts_with(expected), "{}", report.state);
}
