//! `zvm.h` between processes: a C program plays both ends, over the tcp provider, without a broker.

mod support;

use std::fs;
use std::path::Path;
use std::process::Command;
use std::thread;
use support::{Bench, address, succeeded};
use zvfs_abi_tests::{LIMIT, run};
use zvfs_test_support::have;

fn end(address: &str, mode: &str) -> String {
    format!("tcp://{address}?mode={mode}")
}

/// Runs the program in several roles at once, each in a process of its own, to their ends.
fn together(program: &Path, roles: &[Vec<String>]) {
    thread::scope(|scope| {
        for role in roles {
            scope.spawn(move || {
                let mut command = Command::new(program);
                command.args(role);
                let output = succeeded(command);
                assert_eq!(String::from_utf8_lossy(&output.stderr), "", "{role:?}");
            });
        }
    });
}

fn role(name: &str, descriptors: &[String]) -> Vec<String> {
    std::iter::once(name.to_owned()).chain(descriptors.iter().cloned()).collect()
}

fn pair(writer: &str, reader: &str) {
    let bench = Bench::new();
    let program = bench.build(&["cc", "-std=gnu99"], "pipe.c");
    let address = address();
    together(&program, &[role(writer, &[end(&address, "w")]), role(reader, &[end(&address, "r")])]);
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
    let bench = Bench::new();
    let program = bench.build(&["cc", "-std=gnu99"], "pipe.c");
    let (to, back) = (address(), address());
    together(
        &program,
        &[
            role("exchange", &[end(&to, "w"), end(&back, "r")]),
            role("exchange", &[end(&back, "w"), end(&to, "r")]),
        ],
    );
}

#[test]
fn a_close_ends_another_threads_read_or_write() {
    let bench = Bench::new();
    let program = bench.build(&["cc", "-std=gnu99"], "pipe.c");
    together(&program, &[role("close", &[end(&address(), "r")]), role("abandon", &[end(&address(), "w")])]);
}

/// A host that outlived a failed session could only end its pipe, as if all had been well.
#[test]
fn a_writer_that_aborts_is_no_end() {
    let bench = Bench::new();
    let program = bench.build(&["cc", "-std=gnu99"], "pipe.c");
    let (broken, ended) = (address(), address());
    together(
        &program,
        &[
            role("abort", &[end(&broken, "w"), end(&ended, "w")]),
            role("refuse", &[end(&broken, "r"), end(&ended, "r")]),
        ],
    );
}

#[test]
fn a_wait_can_be_bounded_and_says_for_whom_it_was() {
    let bench = Bench::new();
    let program = bench.build(&["cc", "-std=gnu99"], "pipe.c");
    let address = address();
    together(&program, &[role("patience", &[end(&address, "r"), address])]);
}

#[test]
fn a_forked_child_has_pipes_of_its_own_only() {
    let bench = Bench::new();
    let program = bench.build(&["cc", "-std=gnu99"], "pipe.c");
    let (own, childs) = (address(), address());
    together(
        &program,
        &[role("fork", &[end(&own, "r"), end(&childs, "w")]), role("read", &[end(&childs, "r")])],
    );
}

/// The operator decides, also for a program that asks nobody.
#[test]
fn the_operators_file_says_what_a_program_may_open() {
    let bench = Bench::new();
    let program = bench.build(&["cc", "-std=gnu99"], "pipe.c");
    let file = bench.folder.path().join("zvfs.toml");
    let close = |allowed: &str| {
        fs::write(&file, format!("provider-path = [{:?}]\n[provider.{allowed}]\n", support::built()))
            .unwrap();
        let mut command = Command::new(&program);
        command.args(["close", &end(&address(), "r")]).env("ZVFS_CONFIG", &file);
        run(command, LIMIT).unwrap()
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
    let program = bench.build(&["cc", "-std=gnu99"], "pipe.c");
    let address = address();
    thread::scope(|scope| {
        for (role, mode) in [("write", "w"), ("read", "r")] {
            let mut valgrind = Command::new("valgrind");
            valgrind.args(support::VALGRIND).arg(&program).arg(role).arg(end(&address, mode));
            scope.spawn(move || {
                support::found_nothing(&succeeded(valgrind));
            });
        }
    });
}
