//! `zvm.h` between processes: a C program plays both ends, over the tcp provider, without a broker.

mod support;

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::thread;
use support::{Bench, address, valgrind};
use zvfs_abi_tests::found_nothing;
use zvfs_test_support::{built, have, run, succeeded};

fn end(address: &str, mode: &str) -> String {
    format!("tcp://{address}?mode={mode}")
}

fn built_pipe(bench: &Bench) -> PathBuf {
    bench.build(&["cc", "-std=gnu99"], "pipe.c")
}

/// Runs the program in several roles at once, each in a process of its own, to their ends.
fn together(roles: &[(&str, &[String])]) {
    let bench = Bench::new();
    let program = built_pipe(&bench);
    thread::scope(|scope| {
        for (role, descriptors) in roles {
            let mut command = Command::new(&program);
            command.arg(role).args(*descriptors);
            scope.spawn(move || {
                let output = succeeded(command);
                assert_eq!(String::from_utf8_lossy(&output.stderr), "", "{role:?}");
            });
        }
    });
}

fn pair(writer: &str, reader: &str) {
    let address = address();
    together(&[(writer, &[end(&address, "w")]), (reader, &[end(&address, "r")])]);
}

#[test]
fn what_was_closed_arrives_though_the_writer_exits_at_once() {
    pair("write", "read");
}

#[test]
fn a_reader_that_leaves_is_epipe_and_no_signal() {
    pair("break", "leave");
}

#[test]
fn a_writer_that_forgets_its_close_is_no_end() {
    pair("exit", "lost");
}

#[test]
fn a_writer_that_dies_is_no_end() {
    pair("die", "lost");
}

#[test]
fn two_that_write_to_each_other_first_end_both() {
    let (to, back) = (address(), address());
    together(&[
        ("exchange", &[end(&to, "w"), end(&back, "r")]),
        ("exchange", &[end(&back, "w"), end(&to, "r")]),
    ]);
}

#[test]
fn a_close_ends_another_threads_read_or_write() {
    together(&[("close", &[end(&address(), "r")]), ("abandon", &[end(&address(), "w")])]);
}

/// A host that outlived a failed session could only end its pipe, as if all had been well.
#[test]
fn a_writer_that_aborts_is_no_end() {
    let (broken, ended) = (address(), address());
    together(&[
        ("abort", &[end(&broken, "w"), end(&ended, "w")]),
        ("refuse", &[end(&broken, "r"), end(&ended, "r")]),
    ]);
}

#[test]
fn a_wait_can_be_bounded_and_says_for_whom_it_was() {
    let address = address();
    together(&[("patience", &[end(&address, "r"), address])]);
}

#[test]
fn a_forked_child_has_pipes_of_its_own_only() {
    let (own, childs) = (address(), address());
    together(&[("fork", &[end(&own, "r"), end(&childs, "w")]), ("read", &[end(&childs, "r")])]);
}

/// The operator decides, also for a program that asks nobody.
#[test]
fn the_operators_file_says_what_a_program_may_open() {
    let bench = Bench::new();
    let program = built_pipe(&bench);
    let file = bench.path().join("zvfs.toml");
    let close = |allowed: &str| {
        fs::write(&file, format!("provider-path = [{:?}]\n[provider.{allowed}]\n", built())).unwrap();
        let mut command = Command::new(&program);
        command.args(["close", &end(&address(), "r")]).env("ZVFS_CONFIG", &file);
        run(command).unwrap()
    };
    let refused = close("mem");
    assert!(!refused.status.success());
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(said.contains("Permission denied"), "{said}");
    let allowed = close("tcp");
    assert!(allowed.status.success(), "{}", String::from_utf8_lossy(&allowed.stderr));
}

#[test]
fn valgrind_finds_nothing_at_either_end() {
    if !have(&["valgrind"]) {
        return;
    }
    let bench = Bench::new();
    let program = built_pipe(&bench);
    let address = address();
    thread::scope(|scope| {
        for (role, mode) in [("write", "w"), ("read", "r")] {
            let mut valgrind = valgrind();
            valgrind.arg(&program).arg(role).arg(end(&address, mode));
            scope.spawn(move || {
                found_nothing(&succeeded(valgrind));
            });
        }
    });
}
