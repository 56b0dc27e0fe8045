//! Programs in C that run guests: as they are, as C++, and under valgrind; and the example, as its README says.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking, its helpers too")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use zvfs_abi_tests::{Bench, found_nothing, include_folder, starts_in_a_build_tree, valgrind};
use zvfs_test_support::{built, have, succeeded};

const C: [&str; 2] = ["cc", "-std=gnu99"];

/// The engine makes code as it runs, and its stacks are not those that valgrind knows.
const VALGRIND: &str = "--smc-check=all-non-file";

/// A folder with libzvm.so and libzvm.so.1, as an installation has them, and an operator's file.
fn bench() -> Bench {
    let bench = Bench::new("zvm", "zvm_session");
    let operator = format!("provider-path = [{:?}]\n[provider.file]\n", built());
    fs::write(bench.path().join("zvfs.toml"), operator).unwrap();
    bench
}

/// The test program's arguments.
fn arguments(bench: &Bench) -> [PathBuf; 3] {
    [PathBuf::new(), bench.path().join("zvfs.toml"), bench.path().to_owned()]
}

/// A build tree had no libzvm.so.1: what was linked there did not start.
#[test]
fn a_program_that_is_linked_in_a_build_tree_starts() {
    let source = "#include <zvm_session.h>\nint main(void) { zvm_session_free(0); return 0; }\n";
    starts_in_a_build_tree("zvm_session", source);
}

fn here(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

#[test]
fn every_function_does_what_the_header_says_and_mistakes_are_errors() {
    for compiler in [&C[..], &["g++", "-std=c++11", "-x", "c++"]] {
        let bench = bench();
        let mut program = Command::new(bench.build(compiler, &here("tests/c/session.c")));
        program.args(arguments(&bench));
        assert!(String::from_utf8_lossy(&succeeded(program).stdout).ends_with("checks\n"));
    }
}

/// Found: closes after run and free had returned (1,209 of 3,000), a cancelled session that wrote and committed, and one whose
/// interrupted read was called for ever.
#[test]
fn a_session_that_is_over_calls_no_function_of_its_host() {
    let bench = bench();
    let program = Command::new(bench.build(&C, &here("tests/c/close.c")));
    assert!(String::from_utf8_lossy(&succeeded(program).stdout).ends_with("checks\n"));
}

#[test]
fn a_server_runs_sessions_of_a_template_without_threads_of_its_own() {
    let bench = bench();
    let program = Command::new(bench.build(&C, &here("tests/c/server.c")));
    assert!(String::from_utf8_lossy(&succeeded(program).stdout).ends_with("checks\n"));
}

#[test]
fn what_would_make_a_session_fail_is_known_before_it_runs() {
    let bench = bench();
    let mut program = Command::new(bench.build(&C, &here("tests/c/checked.c")));
    program.arg(bench.path().join("zvfs.toml"));
    assert!(String::from_utf8_lossy(&succeeded(program).stdout).ends_with("checks\n"));
}

#[test]
fn sessions_of_one_host_share_providers_and_the_program_can_add_one() {
    for compiler in [&C[..], &["g++", "-std=c++11", "-x", "c++"]] {
        let bench = bench();
        let mut program = Command::new(bench.build(compiler, &here("tests/c/hosts.c")));
        program.arg(bench.path().join("zvfs.toml"));
        assert!(String::from_utf8_lossy(&succeeded(program).stdout).ends_with("checks\n"));
    }
}

#[test]
fn a_fork_amid_the_calls_of_another_thread_leaves_nothing_to_wait_for() {
    let bench = bench();
    let program = Command::new(bench.build(&C, &here("tests/c/fork.c")));
    assert!(String::from_utf8_lossy(&succeeded(program).stdout).ends_with("checks\n"));
}

#[test]
fn the_library_exports_what_the_header_declares_and_nothing_else() {
    let bench = bench();
    let mut nm = Command::new("nm");
    nm.args(["-D", "--defined-only", "--format=just-symbols"]).arg(bench.path().join("libzvm.so"));
    let output = String::from_utf8(succeeded(nm).stdout).unwrap();
    let exported: BTreeSet<&str> = output.lines().collect();
    let header = fs::read_to_string(include_folder().join("zvm_session.h")).unwrap();
    // What the example calls has no ZVFS_CALL before it.
    let declared = header.split("ZVFS_CALL zvm_").skip(1).map(|rest| rest.split('(').next().unwrap());
    let declared: BTreeSet<String> = declared.map(|name| format!("zvm_{name}")).collect();
    assert!(declared.len() >= 19 && declared.contains("zvm_session_run"), "{declared:?}");
    assert_eq!(exported, declared.iter().map(String::as_str).collect());
}

#[test]
fn valgrind_finds_nothing() {
    if !have(&["valgrind"]) {
        return;
    }
    let bench = bench();
    let examples = here("../../examples/host-zvm");
    let suppressions = format!("--suppressions={}", here("tests/valgrind.supp").display());
    let options = [VALGRIND, &suppressions];
    let mut test = valgrind(&options);
    test.arg(bench.build(&C, &here("tests/c/session.c"))).args(arguments(&bench));
    let mut server = valgrind(&options);
    server.arg(bench.build(&C, &here("tests/c/server.c")));
    let mut example = valgrind(&options);
    example.arg(bench.build(&C, &examples.join("request.c")));
    example.arg(examples.join("echo.wat")).arg("shout");
    for (program, words) in [(test, "checks\n"), (server, "checks\n"), (example, "SHOUT")] {
        let output = succeeded(program);
        found_nothing(&output);
        assert!(String::from_utf8_lossy(&output.stdout).ends_with(words));
    }
}

#[test]
fn the_example_does_what_its_readme_says() {
    let (bench, examples) = (bench(), here("../../examples/host-zvm"));
    let request = bench.build(&C, &examples.join("request.c"));
    let readme = fs::read_to_string(examples.join("README.md")).unwrap();
    let blocks: Vec<&str> = readme.split("```").collect();
    let (commands, said) = (blocks[1], blocks[3].trim_start_matches('\n'));
    let (_, run) = commands.split_once("./request ").unwrap();
    let mut shell = Command::new("sh");
    shell.current_dir(&examples).arg("-c").arg(format!("{} {run}", request.display()));
    assert_eq!(String::from_utf8_lossy(&succeeded(shell).stdout), said);
    let mut refused = Command::new(&request);
    refused.arg(examples.join("README.md")).arg("x");
    let output = zvfs_test_support::run(refused).unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("bad program"));
}
