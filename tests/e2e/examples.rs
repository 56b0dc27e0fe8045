//! The examples for authors: each README's commands, run in its folder exactly as they stand there.

use crate::support::{repository, run_within};
use std::fs;
use std::process::Command;
use zvfs_test_support::{LIMIT, built, have};

/// A block of commands, and the lines that must be in their output.
#[derive(Debug, Default, PartialEq)]
struct Step {
    commands: String,
    output: Vec<String>,
}

/// Every block of `sh` in a document, each with the block of `text` that follows it.
fn steps(document: &str) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    let mut lines = document.lines();
    while let Some(line) = lines.next() {
        let block: Vec<&str> = match line {
            "```sh" | "```text" => lines.by_ref().take_while(|line| *line != "```").collect(),
            _ => continue,
        };
        match line {
            "```sh" => steps.push(Step { commands: block.join("\n"), output: Vec::new() }),
            _ => steps.last_mut().unwrap().output = block.into_iter().map(str::to_owned).collect(),
        }
    }
    steps
}

/// Runs an example's README in one shell, block by block.
fn follow(example: &str) {
    let folder = repository("examples").join(example);
    let steps = steps(&fs::read_to_string(folder.join("README.md")).unwrap());
    assert!(steps.len() >= 3, "{example}: a README that builds, checks and runs");
    let commands: Vec<&str> = steps.iter().map(|step| step.commands.as_str()).collect();
    for wanted in [" check ", " cat "] {
        assert!(commands.iter().any(|commands| commands.contains(wanted)), "{example}: no `{wanted}`");
    }
    let mark = "=== next step ===";
    let command = std::path::Path::new(env!("CARGO_BIN_EXE_zvfs")).parent().unwrap();
    let path = format!("{}:{}", command.display(), std::env::var("PATH").unwrap());
    let mut shell = Command::new("bash");
    shell.args(["-euo", "pipefail", "-c", &commands.join(&format!("\necho '{mark}'\n"))]);
    shell.current_dir(&folder).env("PATH", path).env("PROVIDERS", built()).env_remove("ZVFS_CONFIG");
    // As a reader's shell: nothing of the cargo that runs this test.
    shell.env_remove("CARGO_TARGET_DIR");
    let done = run_within(10 * LIMIT, shell);
    assert_eq!(done.code, 0, "{example}: {done:?}");
    let outputs: Vec<&str> = done.out().split(&format!("{mark}\n")).collect();
    assert_eq!(outputs.len(), steps.len(), "{example}: {done:?}");
    for (step, output) in steps.iter().zip(outputs) {
        let mut left = output;
        for line in &step.output {
            let at = left.find(line.as_str());
            let at =
                at.unwrap_or_else(|| panic!("{example}: no `{line}` after {}\nin {output}", step.commands));
            left = &left[at + line.len()..];
        }
        if step.commands.contains("zvfs") && step.commands.contains(" check ") {
            assert!(output.contains("nothing wrong with it: ") && !output.contains("FAILED"), "{output}");
        }
    }
}

#[test]
fn the_provider_in_c_works_as_its_readme_says() {
    if have(&["cc", "bash"]) {
        follow("provider-c");
    }
}

#[test]
fn the_provider_in_rust_works_as_its_readme_says() {
    if have(&["cargo", "bash"]) {
        follow("provider-rust");
    }
}

#[test]
fn the_layer_works_as_its_readme_says() {
    if have(&["cargo", "bash", "gzip"]) {
        follow("layer");
    }
}

#[test]
fn steps_are_found_with_their_output() {
    let found = steps("a\n```sh\none\ntwo\n```\n```text\nout\n```\n```sh\nthree\n```\n");
    let first = Step { commands: "one\ntwo".to_owned(), output: vec!["out".to_owned()] };
    assert_eq!(found, [first, Step { commands: "three".to_owned(), output: Vec::new() }]);
}
