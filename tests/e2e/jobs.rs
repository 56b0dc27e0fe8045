//! The examples, built and run as their own README says.

use crate::support::{Folder, WASM_TOOLS, copy_example, run};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use zvfs_test_support::{built, have};

/// A copy of an example, with `zvfs` on the path of its commands.
struct Example {
    folder: Folder,
    readme: String,
}

impl Example {
    fn new(name: &str) -> Example {
        let folder = Folder::new();
        copy_example(&format!("jobs/{name}"), folder.path());
        let zvfs = folder.path().join("bin/zvfs");
        fs::create_dir(folder.path().join("bin")).unwrap();
        let (command, providers) = (Path::new(env!("CARGO_BIN_EXE_zvfs")), built());
        fs::write(&zvfs, format!("#!/bin/sh\nexec {command:?} --provider-path {providers:?} \"$@\"\n"))
            .unwrap();
        fs::set_permissions(&zvfs, fs::Permissions::from_mode(0o755)).unwrap();
        let readme = fs::read_to_string(folder.at("README.md")).unwrap();
        Example { folder, readme }
    }

    /// The README's fenced blocks, in order: whether they are commands, and their text.
    fn blocks(&self) -> Vec<(bool, String)> {
        let mut parts = self.readme.split("```");
        parts.next();
        let blocks: Vec<&str> = parts.step_by(2).collect();
        blocks
            .iter()
            .map(|block| match block.strip_prefix("sh\n") {
                Some(commands) => (true, commands.to_owned()),
                None => (false, block.trim_start_matches('\n').to_owned()),
            })
            .collect()
    }

    /// Runs commands of the README, and returns what they print.
    fn shell(&self, commands: &str) -> String {
        let path = std::env::var("PATH").unwrap();
        let mut shell = Command::new("sh");
        shell
            .args(["-e", "-c", commands])
            .current_dir(self.folder.path())
            .env("PATH", format!("{}/bin:{path}", self.folder.path().display()))
            .env_remove("ZVFS_CONFIG");
        run(shell).succeeded().out().to_owned()
    }
}

/// The first block are commands, the second one is what they print, as text or as further commands.
fn runs_as_its_readme_says(name: &str) {
    let example = Example::new(name);
    let blocks = example.blocks();
    let [(true, commands), (more, expected), ..] = &blocks[..] else { panic!("{blocks:?}") };
    let printed = example.shell(commands);
    let expected = if *more { example.shell(expected) } else { expected.clone() };
    assert!(!expected.is_empty());
    assert!(printed == expected, "{printed:.2000}\n--- expected\n{expected:.2000}");
}

#[test]
fn wordcount() {
    runs_as_its_readme_says("wordcount");
}

#[test]
fn cat_in_c() {
    if have(&WASM_TOOLS) {
        runs_as_its_readme_says("cat");
    }
}

#[test]
fn sort_in_a_mesh() {
    if have(&WASM_TOOLS) {
        runs_as_its_readme_says("sort");
    }
}

#[test]
fn sort_lines_in_c() {
    if have(&WASM_TOOLS) {
        runs_as_its_readme_says("sort-lines");
    }
}

#[test]
fn sort_lines_in_c_within_its_memory_and_beyond_it() {
    if !have(&WASM_TOOLS) {
        return;
    }
    let example = Example::new("sort-lines");
    let commands = &example.blocks()[0].1;
    let mut lines: Vec<String> =
        (0..100_000u64).map(|n| format!("{:x}", n.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40)).collect();
    example.folder.write("rivers.txt", lines.join("\n"));
    lines.sort();
    assert!(example.shell(commands) == lines.join("\n") + "\n");
    let manifest = fs::read_to_string(example.folder.at("sort-lines.manifest")).unwrap();
    example.folder.write("sort-lines.manifest", manifest.replace("Memory = 16777216", "Memory = 1048576"));
    let told = example.shell("zvfs run --exit-code guest sort-lines.manifest 2>&1 || echo code $?");
    assert!(told.starts_with("sort-lines: read: ") && told.ends_with("code 1\n"), "{told}");
}
