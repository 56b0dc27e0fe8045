//! What the command says when something is wrong: in our words, and with nothing in it that a terminal obeys.

use crate::support::{Done, Folder, foreign_word, run, under, zvfs};
use vfs_core::is_printable;
use zvfs_test_support::built;

/// What is in a message that should be in none.
fn wrong_in(text: &str) -> Option<String> {
    let word = foreign_word(text).map(str::to_owned);
    let odd = |character: &char| *character != '\n' && !is_printable(*character);
    word.or_else(|| text.chars().find(odd).map(|character| character.escape_unicode().to_string()))
}

#[track_caller]
fn told(what: &str, done: &Done) {
    assert!(done.code != 0 && !done.stderr.is_empty(), "{what:?}: {done:?}");
    let wrong = wrong_in(&done.stderr).or_else(|| wrong_in(done.out()));
    assert_eq!(wrong, None, "{what:?}: {done:?}");
}

#[test]
fn errors_of_an_operators_file_are_in_our_words() {
    let folder = Folder::new();
    for text in [
        &b"[provider]\nmem = 7"[..],
        b"[provider.mem]\nsettings = { limit = 99999999999999999999 }",
        b"[provider.mem]\nsettings = { limit = 1979-05-27 }",
        b"[provider.mem]\nsettings = { limit = { a = 1 } }",
        b"[provider.mem]\nsettings = { limit = \"\xe2\x80\xae\" }",
        b"[provider.mem]\nsettings = { \"\x1b\" = 1 }",
        b"[provider.mem]\nsetings = 1",
        b"provider-path = 7",
        b"provider-path = [\"/\", 7]",
        b"[alias]\n\"\xe2\x80\xae\" = \"mem\"",
        b"[alias]\nxx = { provider = 7 }",
        b"alias = []",
        b"\"\\u202e\" = 1",
        b"a = \xff",
        b"a = ",
        b"[provider.mem]\n[provider.mem]",
        b"[provider.mem]\nsha256 = 1",
    ] {
        let config = folder.write("zvfs.toml", text);
        told(&String::from_utf8_lossy(text), &run(under(&config, &["stat", "mem:x"])));
    }
    told("no file", &run(under(&folder.at("none\u{202e}"), &["providers"])));
}

#[test]
fn errors_of_a_manifest_are_in_our_words() {
    let folder = Folder::new();
    let good = "Version = 20140509\nProgram = /none\nMemory = 1m, 0\nTimeout = 1\n\
                Channel = /dev/null, /dev/stdin, 0, 1, 1, 0, 0\nChannel = /dev/null, /dev/stdout, 0, 0, 0, 1, 1\n\
                Channel = /dev/null, /dev/stderr, 0, 0, 0, 1, 1\n";
    for (line, instead) in [
        ("Version = 20140509", "Version = \u{202e}"),
        ("Memory = 1m, 0", "Memory = 99999999999999999999, 0"),
        ("Memory = 1m, 0", "Memory = 1x, 0"),
        ("Memory = 1m, 0", "Memory = -1, 0"),
        ("Timeout = 1", "Timeout = \u{1b}[31m"),
        ("Timeout = 1", "Tiemout = 1"),
        ("Timeout = 1", "Timeout = 1\n\u{2028} = 1"),
        ("Timeout = 1", "Timeout = 1\nDigest = \u{202e}"),
        ("Program = /none", "Program = none\u{202e}"),
        ("Program = /none", "Program = /none\u{202e}"),
        ("Program = /none", "Program = mem:\u{1b}"),
    ] {
        let manifest = folder.write("manifest", good.replace(line, instead));
        told(instead, &run(zvfs(["run", &manifest])));
        told(instead, &run(zvfs(["run", "--report", "json", &manifest])));
    }
    told("bytes", &run(zvfs(["run", &folder.write("manifest", b"Version = \xff")])));
    told("none", &run(zvfs(["run", &folder.at("none")])));
    told("a folder", &run(zvfs(["run", &folder.at("")])));
}

/// `zvfs cp -o $'\e[31m...'` coloured the terminal, and `zvfs compile` suggested a command that is no user's.
#[test]
fn errors_of_a_command_line_are_in_our_words() {
    let folder = Folder::new();
    let file = folder.write("file", "x");
    let only = built().display().to_string();
    for arguments in [
        &["\u{1b}[31mred"][..],
        &["cat", "--\u{202e}option"],
        &["cat", "-o", "\u{1b}[31m=1", &file],
        &["cat", "-o", "\u{202e}", &file],
        &["cat", "--timeout", "\u{1b}[31m", &file],
        &["cat", "--timeout", "99999999999999999999s", &file],
        &["cat", "--range", "\u{2028}", &file],
        &["cat", "mem:\u{202e}"],
        &["cat", "\u{202e}none:x"],
        &["cat", "nothing:\u{2028}"],
        &["cat", "http://\u{202e}:x/"],
        &["cat", "http://h:99999/"],
        &["cat", "netpipe:"],
        &["stat", "file:/%zz"],
        &["ls", "/none/\u{202e}"],
        &["rm", "mem:\u{1b}"],
        &["broker", "--listen", "\u{1b}"],
        &["exec", "--read", "\u{202e}=mem:x", "none"],
        &["exec", "--env", "\u{1b}", "none"],
        &["exec", "/none\u{202e}", "\u{1b}"],
        &["check", &file],
        &["check", "/none\u{202e}"],
        &["--provider-path", "/none\u{202e}", "providers"],
        &["cp", &file, "file:relative"],
        &["compile"],
    ] {
        let done = run(zvfs(arguments));
        told(&format!("{arguments:?} {only}"), &done);
        assert!(!done.stderr.contains("-child"), "{done:?}");
    }
}

/// A panic's text was all that somebody saw whose limit of processes was reached: `thread::spawn` and `Scope::spawn` panic there,
/// builders give an error.
#[test]
fn no_thread_is_started_by_a_call_that_panics() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let sources = ["vfs-core", "netpipe", "zvm", "capi", "cli", "providers", "conformance"];
    let mut folders: Vec<_> = sources.iter().map(|folder| root.join(folder)).collect();
    let (mut seen, mut wrong) = (0, Vec::new());
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).unwrap().map(Result::unwrap) {
            let (path, name) = (entry.path(), entry.file_name());
            if entry.file_type().unwrap().is_dir() {
                if name != "tests" && name != "target" {
                    folders.push(path);
                }
            } else if path.extension().is_some_and(|extension| extension == "rs") && name != "tests.rs" {
                let text = std::fs::read_to_string(&path).unwrap();
                let own = text.split("#[cfg(test)]").next().unwrap();
                let code = own.lines().filter(|line| !line.trim_start().starts_with("//"));
                seen += 1;
                wrong.extend(
                    code.filter(|line| line.contains("thread::spawn(") || line.contains("scope.spawn("))
                        .map(|line| format!("{}: {}", path.display(), line.trim())),
                );
            }
        }
    }
    assert!(seen > 100, "{seen} files of source text");
    assert_eq!(wrong, Vec::<String>::new());
}
