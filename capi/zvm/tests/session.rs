//! Programs in C that run guests: as they are, as C++, and under valgrind; and the example, as its README says.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking, its helpers too")]

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use tempfile::TempDir;
use zvfs_abi_tests::{LIMIT, include_folder, run};
use zvfs_test_support::have;

const C: [&str; 2] = ["cc", "-std=gnu99"];

/// Options under which valgrind says nothing but what it found. The engine makes code as it runs, and its stacks are not
/// those that valgrind knows.
const VALGRIND: [&str; 6] = [
    "--quiet",
    "--error-exitcode=99",
    "--smc-check=all-non-file",
    "--leak-check=full",
    "--errors-for-leak-kinds=definite",
    "--show-leak-kinds=definite",
];

/// A folder with libzvm.so and libzvm.so.1, as an installation has them, and an operator's file.
struct Bench(TempDir);

impl Bench {
    fn new() -> Bench {
        let folder = tempfile::tempdir().unwrap();
        let built = std::env::current_exe().unwrap().parent().unwrap().canonicalize().unwrap();
        for name in ["libzvm.so", "libzvm.so.1"] {
            symlink(built.join("libzvm_session.so"), folder.path().join(name)).unwrap();
        }
        let operator = format!("provider-path = [{built:?}]\n[provider.file]\n");
        fs::write(folder.path().join("zvfs.toml"), operator).unwrap();
        Bench(folder)
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    /// Builds a program without a warning.
    fn build(&self, compiler: &[&str], source: &Path) -> PathBuf {
        let program = self.path().join(source.file_stem().unwrap());
        let mut command = Command::new(compiler[0]);
        command
            .args(&compiler[1..])
            .args(["-Wall", "-Wextra", "-pedantic", "-Werror", "-g", "-I"])
            .arg(include_folder())
            .arg("-o")
            .arg(&program)
            .arg(source)
            .arg(format!("-L{}", self.path().display()))
            .arg(format!("-Wl,-rpath,{}", self.path().display()))
            .args(["-lzvm", "-lpthread"]);
        succeeded(command);
        program
    }

    /// The test program's arguments.
    fn arguments(&self) -> [PathBuf; 3] {
        [PathBuf::new(), self.path().join("zvfs.toml"), self.path().to_owned()]
    }
}

/// A build tree had no libzvm.so.1: what was linked there did not start.
#[test]
fn a_program_that_is_linked_in_a_build_tree_starts() {
    let bench = Bench::new();
    let (source, program) = (bench.path().join("a.c"), bench.path().join("a"));
    fs::write(&source, "#include <zvm_session.h>\nint main(void) { zvm_session_free(0); return 0; }\n")
        .unwrap();
    let built = std::env::current_exe().unwrap().parent().unwrap().to_owned();
    let mut cc = Command::new("cc");
    cc.arg("-I")
        .arg(include_folder())
        .arg("-o")
        .arg(&program)
        .arg(&source)
        .arg("-L")
        .arg(&built)
        .arg("-lzvm_session");
    succeeded(cc);
    let mut program = Command::new(program);
    program.env("LD_LIBRARY_PATH", built);
    succeeded(program);
}

fn here(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

fn succeeded(mut command: Command) -> Output {
    let shown = format!("{command:?}");
    command.env_remove("ZVFS_CONFIG");
    // Cargo's leads to the build tree first, whose library may be an earlier build's, and not to the bench.
    if command.get_envs().all(|(name, _)| name != "LD_LIBRARY_PATH") {
        command.env_remove("LD_LIBRARY_PATH");
    }
    let output = run(command, LIMIT).unwrap();
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{shown}: {}\n{out}\n{err}", output.status);
    output
}

#[test]
fn every_function_does_what_the_header_says_and_mistakes_are_errors() {
    for compiler in [&C[..], &["g++", "-std=c++11", "-x", "c++"]] {
        let bench = Bench::new();
        let mut program = Command::new(bench.build(compiler, &here("tests/c/session.c")));
        program.args(bench.arguments());
        assert!(String::from_utf8_lossy(&succeeded(program).stdout).ends_with("checks\n"));
    }
}

/// Found: closes after run and free had returned (1,209 of 3,000), a cancelled session that wrote and committed, and one whose
/// interrupted read was called for ever.
#[test]
fn a_session_that_is_over_calls_no_function_of_its_host() {
    let bench = Bench::new();
    let program = Command::new(bench.build(&C, &here("tests/c/close.c")));
    assert!(String::from_utf8_lossy(&succeeded(program).stdout).ends_with("checks\n"));
}

#[test]
fn a_fork_amid_the_calls_of_another_thread_leaves_nothing_to_wait_for() {
    let bench = Bench::new();
    let program = Command::new(bench.build(&C, &here("tests/c/fork.c")));
    assert!(String::from_utf8_lossy(&succeeded(program).stdout).ends_with("checks\n"));
}

#[test]
fn the_library_exports_what_the_header_declares_and_nothing_else() {
    let bench = Bench::new();
    let mut nm = Command::new("nm");
    nm.args(["-D", "--defined-only", "--format=just-symbols"]).arg(bench.path().join("libzvm.so"));
    let output = String::from_utf8(succeeded(nm).stdout).unwrap();
    let exported: BTreeSet<&str> = output.lines().collect();
    let header = fs::read_to_string(include_folder().join("zvm_session.h")).unwrap();
    // What the example calls has no ZVFS_CALL before it.
    let declared = header.split("ZVFS_CALL zvm_session_").skip(1).map(|rest| rest.split('(').next().unwrap());
    let declared: BTreeSet<String> = declared.map(|name| format!("zvm_session_{name}")).collect();
    assert!(declared.len() >= 9 && declared.contains("zvm_session_run"), "{declared:?}");
    assert_eq!(exported, declared.iter().map(String::as_str).collect());
}

#[test]
fn valgrind_finds_nothing() {
    if !have(&["valgrind"]) {
        return;
    }
    let bench = Bench::new();
    let examples = here("../../examples/host-zvm");
    let suppressions = format!("--suppressions={}", here("tests/valgrind.supp").display());
    let mut test = Command::new("valgrind");
    test.args(VALGRIND)
        .arg(&suppressions)
        .arg(bench.build(&C, &here("tests/c/session.c")))
        .args(bench.arguments());
    let mut example = Command::new("valgrind");
    example.args(VALGRIND).arg(&suppressions).arg(bench.build(&C, &examples.join("request.c")));
    example.arg(examples.join("echo.wat")).arg("shout");
    for (program, words) in [(test, "checks\n"), (example, "SHOUT")] {
        let output = succeeded(program);
        let text = String::from_utf8_lossy(&output.stderr);
        assert!(!text.lines().any(|line| line.starts_with("==")), "{text}");
        assert!(String::from_utf8_lossy(&output.stdout).ends_with(words));
    }
}

#[test]
fn the_example_does_what_its_readme_says() {
    let (bench, examples) = (Bench::new(), here("../../examples/host-zvm"));
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
    let output = zvfs_abi_tests::run(refused, LIMIT).unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("bad program"));
}
