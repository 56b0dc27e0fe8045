//! The guides for authors and operators: their programs and commands work as they stand there, and what they say of settings is so.

use crate::support::{Folder, repository, run, run_long, under, zvfs};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use vfs_core::{Library, Provider, Scope, Setting};
use zvfs_test_support::{built, have, library, providers};

/// A fenced block, with what the comment in the line above it says.
struct Block<'a> {
    mark: &'a str,
    language: &'a str,
    text: String,
}

fn blocks(document: &str) -> Vec<Block<'_>> {
    let (mut found, mut mark) = (Vec::new(), "");
    let mut lines = document.lines();
    while let Some(line) = lines.next() {
        match line.strip_prefix("```") {
            Some(language) if !language.is_empty() => {
                let text: Vec<&str> = lines.by_ref().take_while(|line| *line != "```").collect();
                found.push(Block { mark, language, text: text.join("\n") + "\n" });
            }
            _ => {}
        }
        mark = line.strip_prefix("<!-- ").and_then(|rest| rest.strip_suffix(" -->")).unwrap_or_default();
    }
    found
}

fn document(name: &str) -> String {
    fs::read_to_string(repository("docs").join(name)).unwrap()
}

/// Writes the files that a document shows, runs its commands in one shell in a folder of its own, and looks for the output that
/// it shows, block by block.
fn follow(name: &str, folder: &Path) {
    let document = document(name);
    let blocks = blocks(&document);
    let mut steps: Vec<(String, String)> = Vec::new();
    for block in &blocks {
        match (block.language, block.mark.strip_prefix("file: ")) {
            // Written when its turn comes: a command before it may have made its folder.
            (_, Some(file)) => {
                steps.push((
                    format!("cat > {file} <<'END_OF_THE_FILE'\n{}END_OF_THE_FILE", block.text),
                    String::new(),
                ));
            }
            ("sh", _) => steps.push((block.text.clone(), String::new())),
            ("text", _) => steps.last_mut().unwrap().1.clone_from(&block.text),
            _ => {}
        }
    }
    let mark = "=== next step ===";
    let script: Vec<&str> = steps.iter().map(|(commands, _)| commands.as_str()).collect();
    let command = Path::new(env!("CARGO_BIN_EXE_zvfs")).parent().unwrap();
    let path = format!("{}:{}", command.display(), std::env::var("PATH").unwrap());
    let mut shell = Command::new("bash");
    shell.args(["-euo", "pipefail", "-c", &script.join(&format!("\necho '{mark}'\n"))]);
    shell.current_dir(folder).env("PATH", path).env_remove("ZVFS_CONFIG").env_remove("CARGO_TARGET_DIR");
    // A folder that stays, so that the SDK is compiled once.
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join("documents");
    shell.env("ZVFS", repository(".").canonicalize().unwrap()).env("TARGET", target);
    let done = run_long(shell);
    assert_eq!(done.code, 0, "{name}: {done:?}");
    let outputs: Vec<&str> = done.out().split(mark).collect();
    for ((commands, wanted), output) in steps.iter().zip(outputs) {
        let mut left = output;
        for line in wanted.lines() {
            let at = left
                .find(line)
                .unwrap_or_else(|| panic!("{name}: no `{line}` after {commands}\nin {output}"));
            left = &left[at + line.len()..];
        }
    }
}

#[test]
fn the_authors_guide_works_as_it_stands() {
    if have(&["cc", "cargo", "bash"]) {
        follow("providers.md", Folder::new().path());
    }
}

#[test]
fn the_authors_guides_fragments_compile() {
    if !have(&["cc"]) {
        return;
    }
    let document = document("providers.md");
    let fragments: Vec<_> = blocks(&document).into_iter().filter(|block| block.mark == "fragment").collect();
    assert!(fragments.len() >= 2);
    let folder = Folder::new();
    for fragment in fragments {
        let prelude = "#include \"zvfs_provider.h\"\n#include <errno.h>\n#include <string.h>\n#include <sys/socket.h>\n\
                       struct zvfs_file { int fd; const zvfs_host *host; zvfs_context *context; };\n";
        folder.library("libzvfs_fragment.so", &format!("{prelude}{}", fragment.text));
    }
}

#[test]
fn the_operators_file_is_one() {
    let document = document("operators.md");
    let folder = Folder::new();
    let file = blocks(&document).into_iter().find(|block| block.mark == "file: zvfs.toml").unwrap();
    // The folders of the guide's machine, and those that this one has.
    let text = file.text.replace("/usr/lib/zvfs", &built().display().to_string());
    let text =
        ["/srv/jobs", "/srv/shared", "/var/log/jobs"].iter().fold(text, |text, root| text.replace(root, "/"));
    let config = folder.write("zvfs.toml", text);
    let done = run(under(&config, &["providers"]));
    let out = done.succeeded().out();
    for words in ["file 0.1.0", "mem 0.1.0", "null 0.1.0", "aliases   scratch", "aliases   logs"] {
        assert!(out.contains(words), "no `{words}` in {out}");
    }
}

#[test]
fn the_stores_of_the_page_about_objects_are_configured() {
    if !providers().contains(&"object".to_owned()) {
        return;
    }
    let document = document("object.md");
    let folder = Folder::new();
    let file = blocks(&document).into_iter().find(|block| block.mark == "file: stores.toml").unwrap();
    for secret in ["s3", "minio", "google.json", "azure"] {
        let path = folder.write(secret, "c2VjcmV0");
        fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
    }
    // The folders of the guide's machine, and those that this one has.
    let text = file.text.replace("/etc/zvfs", &folder.path().display().to_string());
    let config = folder.write("zvfs.toml", format!("provider-path = [\"{}\"]\n{text}", built().display()));
    let done = run(under(&config, &["providers"]));
    assert!(done.succeeded().out().contains("aliases   az, gs, minio, s3"), "{done:?}");
}

/// A setting's line in the guide.
fn row(setting: &Setting) -> String {
    let Setting { name, list, default, help, secret, scope, .. } = setting;
    let key = if *secret { format!("`{name}-file` or `{name}-env`") } else { format!("`{name}`") };
    let list = if *list { ", repeatable" } else { "" };
    let secret = if *secret { ", secret" } else { "" };
    let by = match (scope.contains(Scope::OPERATOR), scope.contains(Scope::OPEN)) {
        (true, true) => "operator, open",
        (false, true) => "open",
        _ => "operator",
    };
    let default = default.as_ref().map(|default| format!("`{default}`")).unwrap_or_default();
    format!("| {key} | {}{list}{secret} | {by} | {default} | {} |", setting.takes(), help.replace('|', "\\|"))
}

/// The lines of a section's table.
fn rows<'a>(document: &'a str, section: &str) -> Vec<&'a str> {
    let heading = format!("## {section}");
    let lines = document.lines().skip_while(|line| *line != heading).skip(1);
    lines.take_while(|line| !line.starts_with("## ")).filter(|line| line.starts_with("| `")).collect()
}

#[test]
fn the_operators_guide_has_every_providers_settings() {
    let document = document("operators.md");
    let mut wrong = Vec::new();
    for name in providers() {
        let info = Library::load(&library(&name), &name, None).unwrap().info();
        assert!(
            document.contains(&format!("\n## {name}\n")),
            "docs/operators.md needs a section `## {name}`"
        );
        let link = format!("[{name}](#{name})");
        assert!(document.contains(&link), "docs/operators.md needs {link} in the list at its top");
        let (wanted, found): (Vec<String>, _) =
            (info.settings.iter().map(row).collect(), rows(&document, &name));
        wrong.extend(
            wanted
                .iter()
                .filter(|row| !found.contains(&row.as_str()))
                .map(|row| format!("add to {name}:\n{row}")),
        );
        let known = |row: &&&str| !wanted.iter().any(|wanted| wanted == **row);
        wrong.extend(found.iter().filter(known).map(|row| format!("take out of {name}:\n{row}")));
    }
    assert!(wrong.is_empty(), "docs/operators.md:\n{}", wrong.join("\n"));
}

/// What both guides promise of the command.
#[test]
fn check_has_the_options_of_the_guides() {
    let help = run(zvfs(["check", "--help"]));
    for option in [
        "--descriptor",
        "--write-descriptor",
        "--blocking-descriptor",
        "--comes-back",
        "--isolated",
        "-o",
        "--json",
        "--filter",
        "--place",
        "--may",
    ] {
        assert!(help.out().contains(option), "no {option} in {help:?}");
    }
}
