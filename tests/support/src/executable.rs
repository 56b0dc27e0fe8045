//! Programs of this project, built if need be: a test whose package does not contain them runs them too.

use crate::skip;
use std::collections::BTreeSet;
use std::env::{current_exe, var_os};
use std::fs::read_to_string;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// Whether this kernel has every wall of a provider's process. If not, the test is skipped: the caller returns.
///
/// # Panics
/// It lacks one, and `CI` is set.
pub fn have_walls() -> bool {
    let tried = Command::new(provider_process()).arg("--walls").output().expect("zvfs-provider");
    if !tried.status.success() {
        skip(String::from_utf8_lossy(&tried.stderr).trim_end());
    }
    tried.status.success()
}

/// `zvfs-provider`, which runs a provider in a process, of the running test's own build.
///
/// # Panics
/// Cargo does not build it.
pub fn provider_process() -> &'static Path {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| program("zvfs-provider", "zvfs-provider"))
}

/// `zvfs`, the command, of the running test's own build.
///
/// # Panics
/// Cargo does not build it.
pub fn command() -> &'static Path {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| program("zvfs-cli", "zvfs"))
}

/// `zvfs-mount`, which `zvfs mount` becomes, of the running test's own build.
///
/// # Panics
/// Cargo does not build it.
pub fn mount_program() -> &'static Path {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| program("zvfs-mount", "zvfs-mount"))
}

/// A program of a package, up to date. What `cargo test --workspace` built is taken as it is: by itself the package may want other
/// features of the crates that it shares with the rest, and so an engine of its own.
fn program(package: &str, name: &str) -> PathBuf {
    let test = current_exe().expect("the path of this test");
    let folder = test.ancestors().nth(2).expect("target/<profile>/deps/<test>");
    let program = folder.join(name);
    if is_current(&program) != Some(true) {
        build(package, name, folder);
    }
    program
}

/// Whether nothing that a program was made of has changed since, by the list that Cargo leaves beside it; `None`: there is no such list.
/// A list of another folder's program, as a copied `target` has it, counts for nothing.
fn is_current(program: &Path) -> Option<bool> {
    let modified = |path: &Path| path.metadata().ok()?.modified().ok();
    let rule = read_to_string(program.with_extension("d")).ok()?;
    let (target, sources) = rule.trim_end().split_once(": ")?;
    if Path::new(target) != program {
        return None;
    }
    // A name with a space is two that don't exist, so the program is built again.
    let mut paths: BTreeSet<PathBuf> = sources.split(' ').map(PathBuf::from).collect();
    let folders: BTreeSet<&Path> = paths.iter().flat_map(|source| source.ancestors().skip(1)).collect();
    let manifests =
        folders.iter().flat_map(|folder| ["Cargo.toml", "Cargo.lock"].map(|name| folder.join(name)));
    let manifests: Vec<PathBuf> = manifests.filter(|path| path.exists()).collect();
    paths.extend(manifests);
    let built = modified(program)?;
    Some(paths.iter().all(|path| modified(path).is_some_and(|changed| changed <= built)))
}

fn build(package: &str, name: &str, folder: &Path) {
    let profile = match folder.file_name().and_then(|name| name.to_str()) {
        Some("debug") | None => "dev",
        Some(profile) => profile,
    };
    let mut build = Command::new(var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    build.args(["build", "--quiet", "--package", package, "--bin", name, "--profile", profile]);
    build.arg("--target-dir").arg(folder.parent().expect("the target folder"));
    let built = build.current_dir(env!("CARGO_MANIFEST_DIR")).status();
    assert!(built.is_ok_and(|status| status.success()), "cargo does not build {name}");
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::{File, write};
    use std::time::{Duration, SystemTime};

    #[test]
    fn a_program_is_current_until_a_source_or_a_manifest_changes() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        let [program, source, manifest] = ["made", "main.rs", "Cargo.toml"].map(path);
        for path in [&program, &source, &manifest] {
            write(path, "").unwrap();
        }
        assert_eq!(is_current(&program), None, "no list");
        let list =
            |program: &Path| write(path("made.d"), format!("{}: {}\n", program.display(), source.display()));
        list(&path("elsewhere")).unwrap();
        assert_eq!(is_current(&program), None, "another program's list");
        list(&program).unwrap();
        let now = SystemTime::now();
        let earlier = |path: &Path, seconds| {
            File::open(path).unwrap().set_modified(now - Duration::from_secs(seconds)).unwrap();
        };
        earlier(&program, 100);
        for changed in [&source, &manifest] {
            for path in [&source, &manifest] {
                earlier(path, 200);
            }
            assert_eq!(is_current(&program), Some(true));
            earlier(changed, 50);
            assert_eq!(is_current(&program), Some(false), "{} is newer", changed.display());
        }
        std::fs::remove_file(&source).unwrap();
        earlier(&manifest, 200);
        assert_eq!(is_current(&program), Some(false), "a source is gone");
    }
}
