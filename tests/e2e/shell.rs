//! The command at a shell: what is typed, what is printed, and standard streams that are not there.

use crate::support::{Done, Folder, Started, repository, run, zvfs};
use rustix::termios::{Winsize, tcsetwinsize};
use std::ffi::OsStr;
use std::fs::{self, OpenOptions};
use std::io::Read as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::symlink;
use std::process::{Command, Stdio};
use zvfs_test_support::{bounded, terminal};

/// Runs a line of a shell, in which `zvfs` is the command.
fn shell(folder: &Folder, line: &str) -> Done {
    let command = zvfs::<&str>([]);
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    let words: Vec<String> = words.map(|word| format!("'{}'", word.to_str().unwrap())).collect();
    let mut shell = Command::new("bash");
    shell.current_dir(folder.path()).env_remove("ZVFS_CONFIG");
    shell.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
    shell.args(["-c", &format!("zvfs() {{ {} \"$@\"; }}; {line}", words.join(" "))]);
    run(shell)
}

/// Found: "not a descriptor" for `out.bin`, and for `./x`.
#[test]
fn a_relative_path_is_meant_from_here() {
    let Some(folder) = Folder::needing(&["bash"]) else { return };
    folder.write("x", "text");
    fs::create_dir(folder.path().join("sub")).unwrap();
    assert_eq!(shell(&folder, "zvfs cat ./x x sub/../x").succeeded().out(), "texttexttext");
    shell(&folder, "zvfs cp x sub/out.bin && zvfs stat sub/out.bin && cmp x sub/out.bin").succeeded();
    assert_eq!(
        shell(&folder, "zvfs ls sub && zvfs rm sub/out.bin && zvfs ls sub").succeeded().out(),
        "out.bin\n"
    );
    // What looks like a scheme is one, unless it is written as a path.
    folder.write("mem:x", "a file");
    shell(&folder, "zvfs cat mem:x").failed(2, &["mem:x"]);
    assert_eq!(shell(&folder, "zvfs cat ./mem:x").succeeded().out(), "a file");
    assert_eq!(shell(&folder, "echo typed | zvfs cat x - x").succeeded().out(), "texttyped\ntext");
}

#[test]
fn a_path_with_any_bytes_can_be_given() {
    let Some(folder) = Folder::needing(&["bash"]) else { return };
    for name in [&b"a\nb"[..], b"\xff%41", b"a\\nb"] {
        let path = folder.path().join(OsStr::from_bytes(name));
        fs::write(&path, name).unwrap();
        let done = run(zvfs([OsStr::new("cat"), path.as_os_str()]));
        assert_eq!(done.succeeded().stdout, name);
    }
}

/// Found: a newline was escaped and a backslash was not, so two names were printed alike.
#[test]
fn what_ls_prints_can_be_given_back() {
    let Some(folder) = Folder::needing(&["bash"]) else { return };
    for name in ["a\nb", "a\\nb", "it's\\", "\u{85}\u{1b}[2J", "plain name"] {
        folder.write(name, name);
    }
    let done = shell(&folder, "zvfs ls .");
    assert!(!done.succeeded().stdout.contains(&0x1b), "{done:?}");
    assert_eq!(done.out().lines().count(), 5);
    let given_back = shell(&folder, "zvfs ls -0 . | xargs -0 -I{} cat ./{}");
    assert_eq!(given_back.succeeded().out(), "a\nba\\nbit's\\plain name\u{85}\u{1b}[2J");
    let typed = r#"zvfs ls . | grep '\\' | while IFS= read -r name; do eval "zvfs cat \$'$name'"; done"#;
    assert_eq!(shell(&folder, typed).succeeded().out(), "a\nba\\nbit's\\\u{85}\u{1b}[2J");
    let objects = shell(&folder, "zvfs ls --json .");
    let names: Vec<String> = objects
        .succeeded()
        .out()
        .lines()
        .map(|line| {
            let object: serde_json::Value = serde_json::from_str(line).unwrap();
            assert_eq!(
                (object["kind"].as_str(), object["directory"].as_str()),
                (Some("regular"), folder.path().to_str())
            );
            object["name"].as_str().unwrap().to_owned()
        })
        .collect();
    assert_eq!(names, ["a\nb", "a\\nb", "it's\\", "plain name", "\u{85}\u{1b}[2J"]);
}

/// Found: a name that is not UTF-8 was left out of a listing, with a warning.
#[test]
fn a_name_that_is_not_utf8_is_listed_and_can_be_given_back() {
    let Some(folder) = Folder::needing(&["bash"]) else { return };
    for name in [&b"plain"[..], b"odd\xff\xc3", b"\xfe\\\n'\xc3\xa4"] {
        fs::write(folder.path().join(OsStr::from_bytes(name)), name).unwrap();
    }
    let done = shell(&folder, "zvfs ls .");
    assert_eq!(done.succeeded().out(), "odd\\xff\\xc3\nplain\n\\xfe\\\\\\n\\'\u{e4}\n");
    let typed = r#"zvfs ls . | while IFS= read -r name; do eval "zvfs cat \$'$name' && zvfs stat \$'$name' >&2"; done"#;
    let raw = shell(&folder, "zvfs ls -0 . | xargs -0 -I{} cat ./{}");
    let content = &b"odd\xff\xc3plain\xfe\\\n'\xc3\xa4"[..];
    assert_eq!(raw.succeeded().stdout, content);
    let done = shell(&folder, typed);
    assert_eq!(
        (done.code, done.stdout.as_slice(), done.stderr.matches("size").count()),
        (0, content, 3),
        "{done:?}"
    );
    let objects = shell(&folder, "zvfs ls --json .");
    let object = |at: usize| -> serde_json::Value {
        serde_json::from_str(objects.succeeded().out().lines().nth(at).unwrap()).unwrap()
    };
    assert_eq!((object(0)["name"].is_null(), object(0)["name_hex"].as_str()), (true, Some("6f6464ffc3")));
    assert_eq!((object(1)["name"].as_str(), object(1).get("name_hex")), (Some("plain"), None));
}

/// Found: cat stopped at the first failure where rm and stat went on.
#[test]
fn cat_goes_on_after_a_failure_and_says_so() {
    let Some(folder) = Folder::needing(&["bash"]) else { return };
    folder.write("a", "first ");
    folder.write("b", "last");
    let done = shell(&folder, "zvfs cat a nope b unknown:x");
    assert_eq!(done.out(), "first last");
    done.failed(2, &["nope: no such file", "unknown"]);
}

/// Found: `zvfs cat x >> x` fed on itself until the disk was full.
#[test]
fn what_is_appended_to_is_not_read() {
    let Some(folder) = Folder::needing(&["bash"]) else { return };
    folder.write("x", "text");
    for line in ["cat x >> x", "cat - < x >> x", "cp x - >> x", "cp - /dev/stderr < x 2>> x"] {
        shell(&folder, &format!("ulimit -f 100; zvfs {line}")).failed(22, &[]);
        let text = fs::read_to_string(folder.path().join("x")).unwrap();
        assert!(text.starts_with("text") && text.len() < 1000, "{line}: {} bytes", text.len());
    }
    folder.write("x", "text");
    shell(&folder, "zvfs cat x x >> x").failed(22, &["input is output"]);
    // A part that ends before what is written.
    shell(&folder, "zvfs cat --range 1-2 x >> x").succeeded();
    assert_eq!(fs::read_to_string(folder.path().join("x")).unwrap(), "textex");
}

/// Found: `cp -o retries=1 http://... /f` was refused for the file's sake.
#[test]
fn an_option_goes_to_the_side_that_knows_it() {
    let Some(folder) = Folder::needing(&["bash"]) else { return };
    folder.write("f", "x");
    // The connection is refused, not the option: which only http knows.
    shell(&folder, "zvfs cp -o retries=0 http://127.0.0.1:1/x out").failed(111, &["127.0.0.1:1"]);
    shell(&folder, "zvfs cat -o retries=0 f http://127.0.0.1:1/x").failed(111, &["127.0.0.1:1"]);
    let words = ["-o colour: not a per-open setting of `file` or `http`", "--src-o and --dst-o"];
    shell(&folder, "zvfs cp -o colour=red http://127.0.0.1:1/x out").failed(22, &words);
}

/// Found: with standard output closed, cat, cp and stat lost what they wrote, and returned 0.
#[test]
fn a_closed_standard_output_is_an_error() {
    let Some(folder) = Folder::needing(&["bash"]) else { return };
    folder.write("f", "text");
    let closed = "it is closed, or not open for writing";
    for command in ["cat f", "stat f", "ls .", "providers", "--version", "cat --help"] {
        shell(&folder, &format!("zvfs {command} >&-")).failed(9, &["write standard output", closed]);
    }
    for command in ["cp f -", "cp f file:/dev/stdout"] {
        let done = shell(&folder, &format!("zvfs {command} >&-"));
        assert!(done.code != 0 && done.stderr.contains("/dev/stdout"), "{done:?}");
    }
    let done = shell(&folder, "zvfs cat - <&-");
    assert!(done.code != 0 && done.stderr.contains("/dev/stdin"), "{done:?}");
    let manifest = repository("examples/jobs/wordcount/wordcount.manifest");
    let done = shell(&folder, &format!("zvfs run {} >&-", manifest.display()));
    assert!(done.code != 0 && done.stderr.contains("/dev/stdout"), "{done:?}");
    // What does not need it works, and a file that is opened meanwhile does not pass for it.
    shell(&folder, "zvfs cp f g >&- <&- 2>&- && cmp f g").succeeded();
}

/// Found: a report emptied the log that standard output was being appended to.
#[test]
fn a_report_never_empties_what_is_open_elsewhere() {
    let Some(folder) = Folder::needing(&["bash"]) else { return };
    let manifest = repository("examples/jobs/wordcount/wordcount.manifest").display().to_string();
    let runs = |line: &str| {
        shell(&folder, line).succeeded();
    };
    folder.write("log", "before\n");
    for place in ["/dev/stdout", "/dev/fd/1", "log"] {
        runs(&format!("zvfs run --report-file {place} {manifest} >> log"));
    }
    let log = fs::read_to_string(folder.path().join("log")).unwrap();
    assert!(log.starts_with("before\n"), "{log}");
    assert_eq!(log.lines().filter(|line| *line == "ok").count(), 3, "{log}");
    // Without O_APPEND the output and the report follow each other too.
    runs(&format!("zvfs run --report-file /dev/stdout {manifest} > log"));
    let log = fs::read_to_string(folder.path().join("log")).unwrap();
    assert_eq!(log.lines().filter(|line| *line == "ok").count(), 1, "{log}");
    // A file of its own starts anew.
    folder.write("own", "x".repeat(10_000));
    for _ in 0..2 {
        runs(&format!("zvfs run --report-file own {manifest} > log"));
    }
    let own = fs::read_to_string(folder.path().join("own")).unwrap();
    assert!(!own.contains("xxx") && own.lines().filter(|line| *line == "ok").count() == 1, "{own}");
    let fifo = folder.fifo("fifo");
    let _reader = OpenOptions::new().read(true).write(true).open(fifo).unwrap();
    runs(&format!("zvfs run --report-file fifo {manifest} > log"));
}

/// Found: `zvfs run ... > log` told that a standard stream "is written in place: it is not a regular file".
#[test]
fn that_streams_and_devices_are_written_in_place_is_no_news() {
    let Some(folder) = Folder::needing(&["bash"]) else { return };
    folder.fifo("fifo");
    let job = repository("examples/jobs/wordcount");
    let text = fs::read_to_string(job.join("wordcount.manifest")).unwrap();
    let text = text.replace("${MANIFEST_DIR}", job.to_str().unwrap());
    for (target, line) in [
        ("/dev/stdout", "zvfs run job > log"),
        ("/dev/stdout", "zvfs run job >> log"),
        ("/dev/stdout", "zvfs run job | cat > log"),
        ("/dev/stdout", "zvfs run job > /dev/null"),
        ("/dev/null", "zvfs run job"),
        ("fifo", "cat fifo > log & zvfs run job && wait"),
    ] {
        let output = format!("Channel = {target}, /dev/stdout,").replace("fifo", &folder.at("fifo"));
        folder.write("job", text.replace("Channel = /dev/stdout, /dev/stdout,", &output));
        shell(&folder, line).succeeded();
    }
}

/// Found: `zvfs cp -o $'\e[31m...'` sent that to the terminal.
#[test]
fn what_was_typed_does_not_move_the_cursor() {
    let Some(folder) = Folder::needing(&["bash"]) else { return };
    for line in ["zvfs cp -o $'\\e[31m' a b", "zvfs $'fly\\e[2J'", "zvfs cat --x$'\\e[2J' a"] {
        let done = shell(&folder, line);
        assert_eq!(done.code, 64, "{done:?}");
        assert!(!done.stderr.contains('\x1b') && !done.stderr.is_empty(), "{done:?}");
    }
}

/// Found: a command line that was wrong came back on the terminal, and in the logs, with the passwords of its URLs.
#[test]
fn a_wrong_command_line_comes_back_without_its_secrets() {
    let Some(folder) = Folder::needing(&["bash"]) else { return };
    for line in [
        "zvfs http://u:S3CRET@h/",
        "zvfs rm a --http://u:S3CRET@h/",
        "zvfs providers 'http://u:S3CRET@h/x?k=S3CRET#S3CRET'",
        "zvfs providers 'http://h/x;jsessionid=S3CRET'",
        "zvfs cat --timeout http://u:S3CRET@h/ a",
        "zvfs cat --range=https://u:S3CRET@h/ a",
        "zvfs cat -o https://u:S3CRET@h/ a",
        "zvfs providers gzip:http://u:S3CRET@h/",
        "zvfs cat $'http://u:S3CRET@h/\\xff'",
        "zvfs help http://u:S3CRET@h/",
    ] {
        let done = shell(&folder, line);
        assert_eq!(done.code, 64, "{line}: {done:?}");
        assert!(!done.stderr.contains("S3CRET") && !done.stderr.is_empty(), "{line}: {done:?}");
    }
    let done = shell(&folder, "zvfs providers http://u:S3CRET@h/x");
    assert!(done.stderr.contains("'http://***@h/x'"), "{done:?}");
}

/// Found: the line of a copy was longer than a terminal of 80 columns, and each turn of it took a new line.
#[test]
fn the_progress_of_a_copy_fits_its_terminal() {
    let folder = Folder::new();
    let big = folder.write("big", "");
    OpenOptions::new().write(true).open(&big).unwrap().set_len(1 << 28).unwrap();
    let (mut terminal, path) = terminal();
    let size = Winsize { ws_row: 24, ws_col: 80, ws_xpixel: 0, ws_ypixel: 0 };
    tcsetwinsize(&terminal, size).unwrap();
    let other = OpenOptions::new().read(true).write(true).open(path).unwrap();
    let mut command = zvfs(["cp", &big, "null:"]);
    command.env("TERM", "xterm").stdin(Stdio::null()).stdout(Stdio::null()).stderr(other);
    let started = Started::as_set(&mut command);
    // The command alone has the other side now: the read ends when it does.
    drop(command);
    let shown = bounded(move || {
        let (mut text, mut buf) = (Vec::new(), [0; 4096]);
        while let Ok(count @ 1..) = terminal.read(&mut buf) {
            text.extend_from_slice(&buf[..count]);
        }
        String::from_utf8(text).unwrap()
    });
    assert_eq!(started.end().code, 0, "{shown}");
    let lines: Vec<&str> = shown.split(['\r', '\n', '\x1b']).collect();
    assert!(lines.iter().any(|line| line.contains(" of 256.00 MiB")), "{shown:?}");
    for line in lines {
        let line = line.trim_start_matches("[2K");
        assert!(line.chars().count() <= 80, "{} columns: {line:?}", line.chars().count());
    }
}

/// Found: a page's synopsis had options without their values, and its footer no version.
#[test]
fn manual_pages_have_a_synopsis_and_a_footer() {
    let folder = Folder::new();
    run(zvfs(["generate", &folder.at("")])).succeeded();
    let page = |name: &str| fs::read_to_string(folder.path().join("man/man1").join(name)).unwrap();
    let footer = concat!("\"zvfs ", env!("CARGO_PKG_VERSION"), "\"");
    for (name, synopsis) in [
        ("zvfs.1", "\\fBzvfs\\fR [OPTIONS] <COMMAND>"),
        ("zvfs-cat.1", "\\fBzvfs cat\\fR [OPTIONS] <DESCRIPTOR>..."),
        ("zvfs-broker-status.1", "\\fBzvfs broker status\\fR [OPTIONS]"),
    ] {
        let page = page(name);
        assert!(page.contains(synopsis) && page.contains(footer), "{page}");
    }
    assert!(page("zvfs-cat.1").contains("\\fI<DURATION>\\fR"));
    assert!(!folder.path().join("man/man1/zvfs-generate.1").exists(), "hidden");
}

/// Found: where nothing was typed yet bash was offered options only, and no file.
#[test]
fn bash_completes_an_empty_word_by_names() {
    let Some(folder) = Folder::needing(&["bash"]) else { return };
    run(zvfs(["generate", &folder.at("")])).succeeded();
    for (typed, offered) in [
        ("zvfs cat ''", ""), // then bash goes on to files
        ("zvfs cat --ti", "--timeout"),
        ("zvfs broker ''", "status help"),
        ("zvfs ''", "run exec graph cat cp mv mount stat ls rm mkdir rmdir providers broker check help"),
    ] {
        let line = format!(
            ". bash/zvfs.bash; COMP_WORDS=({typed}); COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1)); \
             function=$(complete -p zvfs | sed 's/.*-F \\([^ ]*\\).*/\\1/'); \
             $function zvfs \"${{COMP_WORDS[COMP_CWORD]}}\" \"${{COMP_WORDS[COMP_CWORD - 1]}}\"; echo \"${{COMPREPLY[*]}}\""
        );
        assert_eq!(shell(&folder, &line).succeeded().out().trim(), offered, "{typed}");
    }
}

#[test]
fn mount_becomes_the_program_beside_the_command() {
    // On the command's own disk, for a link: what was copied can be busy when it is to be run.
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let program = folder.path().join("zvfs");
    fs::hard_link(env!("CARGO_BIN_EXE_zvfs"), &program).unwrap();
    let mount = || {
        let mut command = Command::new(&program);
        command.args(["mount", "--timeout", "3s", "mem:x", "/mnt"]);
        command
    };
    run(mount()).failed(2, &["zvfs-mount", "cargo build --release -p zvfs-mount", "make WITH=mount"]);
    symlink("/bin/echo", folder.path().join("zvfs-mount")).unwrap();
    assert_eq!(run(mount()).succeeded().out(), "mount --timeout 3s mem:x /mnt\n");
    // What is wrong with a command line is told by the command itself.
    let mut wrong = Command::new(&program);
    wrong.args(["mount", "--timeout", "3", "mem:x", "/mnt"]);
    assert_eq!(run(wrong).code, 64);
}
