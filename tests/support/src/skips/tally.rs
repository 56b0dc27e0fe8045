//! The file in which one run of `cargo test` collects what its programs skipped: a line for each test and reason.

use std::collections::BTreeSet;
use std::fmt;
use std::fs;
use std::io::Write;
use std::os::unix::process::parent_id;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::thread;

/// One test that is skipped, and why.
pub struct Skip {
    test: String,
    reason: String,
    packages: Vec<String>,
}

impl Skip {
    /// The harness names a test's thread after it; with one thread only the program's name is left.
    pub fn of_this_test(reason: &str, packages: &[&str]) -> Skip {
        let program = std::env::current_exe().ok();
        let program = program.as_deref().and_then(Path::file_stem).map(|stem| stem.to_string_lossy());
        // Cargo appends a hash.
        let program =
            program.as_deref().map_or("test", |stem| stem.rsplit_once('-').map_or(stem, |(name, _)| name));
        let thread = thread::current();
        let test = match thread.name() {
            Some(name) if name != "main" => format!("{program}::{name}"),
            _ => program.to_owned(),
        };
        let one_line = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
        let packages = packages.iter().flat_map(|names| names.split(' ')).map(str::to_owned).collect();
        Skip { test, reason: one_line(reason), packages }
    }

    fn line(&self) -> String {
        format!("{}\t{}\t{}", self.test, self.reason, self.packages.join(" "))
    }
}

impl fmt::Display for Skip {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "skipped {}: {}", self.test, self.reason)?;
        if self.packages.is_empty() { Ok(()) } else { write!(f, " (from {})", self.packages.join(", ")) }
    }
}

/// Set in the process of a test that is alone: the file in which it counts what it skips, that of its run.
pub const ALONE: &str = "ZVFS_TEST_ALONE";

/// A run's file.
pub struct Tally(PathBuf);

/// What this program has reported already.
static REPORTED: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());

impl Tally {
    /// That of the run that started this program. Its name is the process that did, with its time of start, so that neither a
    /// run at the same time nor a later process of the same number meets it. `None`: the system tells no such thing.
    pub fn of_this_run() -> Option<Tally> {
        if let Some(path) = std::env::var_os(ALONE) {
            return (!path.is_empty()).then(|| Tally(path.into()));
        }
        let stat = fs::read_to_string(format!("/proc/{}/stat", parent_id())).ok()?;
        // Field 22; the name, which may hold spaces, ends with the last parenthesis and is field 2.
        let started = stat.rsplit_once(") ")?.1.split(' ').nth(19)?;
        let program = std::env::current_exe().ok()?;
        // target/<profile>/deps/<program>
        let profile = program.parent()?.parent()?;
        Some(Tally(profile.join(format!("skipped-{}-{started}", parent_id()))))
    }

    /// Where it lies.
    pub fn into_path(self) -> PathBuf {
        self.0
    }

    /// Adds a line; whether it is a new one for this program.
    pub fn add(&self, skip: &Skip) -> bool {
        let line = skip.line();
        let mut reported = REPORTED.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        if !reported.insert(line.clone()) {
            return false;
        }
        let file = fs::OpenOptions::new().create(true).append(true).open(&self.0);
        // One write, which programs at the same time do not split. Without it the summary lacks a line; the reason is said.
        drop(file.and_then(|mut file| file.write_all(format!("{line}\n").as_bytes())));
        true
    }

    /// The file's lines in words, and no file any more.
    pub fn take_summary(&self) -> Option<String> {
        let text = fs::read_to_string(&self.0).ok()?;
        drop(fs::remove_file(&self.0));
        words(&text)
    }
}

fn words(text: &str) -> Option<String> {
    let lines: Vec<Vec<&str>> = text.lines().map(|line| line.split('\t').collect()).collect();
    let (mut tests, mut packages, mut reasons) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
    for line in lines {
        let [test, reason, names] = line[..] else { continue };
        tests.insert(test);
        if names.is_empty() {
            reasons.insert(reason);
        } else {
            packages.extend(names.split(' '));
        }
    }
    let list = |items: BTreeSet<&str>, between: &str| items.into_iter().collect::<Vec<_>>().join(between);
    let mut words = match tests.len() {
        0 => return None,
        1 => "1 test was skipped".to_owned(),
        count => format!("{count} tests were skipped"),
    };
    if !packages.is_empty() {
        words += &format!("; Debian's packages for what they lack: {}", list(packages, " "));
    }
    if !reasons.is_empty() {
        words += &format!("; without a package: {}", list(reasons, "; "));
    }
    Some(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_summary_counts_tests_and_names_each_package_once() {
        assert_eq!(words(""), None);
        assert_eq!(
            words("a\tno clang\tclang\n").unwrap(),
            "1 test was skipped; Debian's packages for what they lack: clang"
        );
        let several = "a\tno x\tlld clang\nb\tno y\tclang\na\tonly root can\t\n";
        let wanted = "2 tests were skipped; Debian's packages for what they lack: clang lld; without a package: only root can";
        assert_eq!(words(several).unwrap(), wanted);
    }
}
