//! docs/wasi.md tells the truth: every function is in it, and every test that it names is there.

use crate::script::FUNCTIONS;
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

fn document() -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/wasi.md");
    fs::read_to_string(path).unwrap()
}

/// The names of all test functions of this folder, and of the rules that the command's tests show.
fn tests() -> BTreeSet<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/guest");
    let files: Vec<PathBuf> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    let mut names = BTreeSet::new();
    for file in files.iter().filter(|file| file.extension().is_some_and(|extension| extension == "rs")) {
        let text = fs::read_to_string(file).unwrap();
        for part in text.split("#[test]\nfn ").skip(1) {
            names.insert(part.split('(').next().unwrap().to_owned());
        }
    }
    names
}

#[test]
fn every_function_is_documented_and_can_be_imported() {
    let document = document();
    let documented: BTreeSet<&str> =
        document.lines().filter_map(|line| line.strip_prefix("### `")?.strip_suffix('`')).collect();
    let functions: BTreeSet<&str> = FUNCTIONS.iter().map(|(name, _)| *name).chain(["proc_exit"]).collect();
    assert_eq!(documented, functions);
    assert_eq!(functions.len(), 46);
    // A program that imports them all starts.
    assert!(crate::job::Job::new().told("sched_yield").ends_with(&[0]));
}

#[test]
fn every_errno_is_shown_by_a_test_that_is_there() {
    let (document, tests) = (document(), tests());
    let mut rows = 0;
    for section in document.split("\n### `").skip(1) {
        let function = section.split('`').next().unwrap();
        let section = section.split("\n## ").next().unwrap();
        let named: Vec<&str> = section
            .lines()
            .filter_map(|line| match line.strip_prefix("No errno; test: `") {
                Some(test) => test.strip_suffix("`."),
                None => line.strip_suffix("` |")?.rsplit_once("| `").map(|(_, test)| test),
            })
            .collect();
        assert!(!named.is_empty(), "{function} shows no test");
        for test in named {
            assert!(tests.contains(test), "{function}: there is no test `{test}`");
            rows += 1;
        }
        let errnos =
            section.lines().filter(|line| line.starts_with("| ") && !line.starts_with("| Errno")).count();
        assert!(
            errnos == 0 || section.matches("` |\n").count() >= errnos,
            "{function}: an errno without a test"
        );
    }
    assert!(rows > 200, "{rows}");
}
