//! `python/`: its own tests, and its types.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking, its helpers too")]

use std::process::Command;
use zvfs_python_tests::{installation, interpreter, moto, package};
use zvfs_test_support::{skip, succeeded};

/// Every warning is an error: an unclosed file, a leak, a coroutine that nobody awaited.
#[test]
fn its_tests_pass() {
    let Some(python) = interpreter() else { return };
    let prefix = installation(&python);
    let mut pytest = Command::new(&python);
    pytest.args(["-X", "dev", "-m", "pytest", "--quiet", "-rs", "-p", "no:cacheprovider"]);
    pytest.env("ZVFS_PREFIX", &prefix).env("PYTHONPATH", prefix.join("site"));
    if moto().exists() {
        pytest.env("ZVFS_MOTO", moto());
    }
    pytest.current_dir(package());
    let said = String::from_utf8(succeeded(pytest).stdout).unwrap();
    for skipped in said.lines().filter(|line| line.starts_with("SKIPPED")) {
        skip(skipped);
    }
}

#[test]
fn its_types_are_strict() {
    let Some(python) = interpreter() else { return };
    let mut mypy = Command::new(python);
    mypy.args(["-m", "mypy", "--cache-dir", "/dev/null"]).current_dir(package());
    succeeded(mypy);
}
