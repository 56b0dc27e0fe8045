//! cat, cp, stat, ls and rm, as a person at a shell meets them.

use crate::support::{Folder, Started, run, run_with, zvfs};
use std::fs;
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::process::{Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use zvfs_test_support::{bounded, eventually, library, terminal};

#[test]
fn cat_writes_files_one_after_the_other() {
    let folder = Folder::new();
    let (a, b) = (folder.write("a", "one\n"), folder.write("b", "two\n"));
    let done = run(zvfs(["cat", &a, &format!("file:{b}"), &a]));
    assert_eq!(done.succeeded().out(), "one\ntwo\none\n");
}

#[test]
fn cat_needs_no_other_provider_for_its_own_output() {
    let folder = Folder::new();
    fs::copy(library("null"), folder.at("libzvfs_null.so")).unwrap();
    let with = |file: &str, arguments: &[&str]| {
        let mut command = crate::support::bare();
        command.args(["--config", file, "--provider-path"]).arg(folder.path()).args(arguments);
        run(command)
    };
    let config = folder.write("zvfs.toml", "[provider.null]");
    with(&config, &["cat", "null:", "null:"]).succeeded();
    with(&config, &["cat", "file:/dev/null"]).failed(93, &["unknown scheme `file`"]);
}

#[test]
fn cat_takes_ranges_of_files_and_of_streams() {
    let folder = Folder::new();
    let text = folder.write("a", "0123456789");
    for (range, part) in [
        ("0-0", "0"),
        ("2-5", "2345"),
        ("7-", "789"),
        ("7-99", "789"),
        ("9-9", "9"),
        ("10-20", ""),
        ("1000-", ""),
        ("0-18446744073709551615", "0123456789"),
    ] {
        assert_eq!(run(zvfs(["cat", "--range", range, &text])).succeeded().out(), part, "{range}");
        let streamed = run_with(zvfs(["cat", "--range", range, "file:/dev/stdin"]), b"0123456789");
        assert_eq!(streamed.succeeded().out(), part, "{range} of a stream");
    }
}

#[test]
fn a_range_that_is_none_is_a_wrong_command_line() {
    for range in ["", "5", "-5", "5-4", "a-b", "1-2-3", "0x1-2", "99999999999999999999-"] {
        let done = run(zvfs(["cat", &format!("--range={range}"), "/dev/null"]));
        assert_eq!(done.code, 64, "{range}: {done:?}");
    }
    run(zvfs(["cat", "--range", "9223372036854775808-", "/dev/null"])).succeeded();
    let folder = Folder::new();
    let file = folder.write("a", "x");
    run(zvfs(["cat", "--range", "9223372036854775808-", &file])).failed(75, &["9223372036854775808"]);
}

#[test]
fn cat_ends_quietly_when_its_reader_leaves() {
    let folder = Folder::new();
    let big = folder.write("big", vec![b'x'; 4 << 20]);
    for command in ["cat", "cp"] {
        let mut arguments = vec![command, &big];
        arguments.extend(Some("-").filter(|_| command == "cp"));
        let mut started = Started::as_set(
            zvfs(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()),
        );
        started.child.stdout.take().unwrap().read_exact(&mut [0; 5]).unwrap();
        let done = started.end();
        assert_eq!((done.code, done.stderr.as_str()), (32, ""), "{command}");
    }
}

#[test]
fn a_full_disk_is_told() {
    let folder = Folder::new();
    let text = folder.write("a", "text");
    for arguments in [vec!["cat", &text], vec!["stat", &text], vec!["providers"], vec!["--help"]] {
        let full = fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
        let mut command = zvfs(&arguments);
        let started = Started::as_set(command.stdin(Stdio::null()).stdout(full).stderr(Stdio::piped()));
        assert_eq!(started.end().code, 28, "{arguments:?}");
    }
}

#[test]
fn cp_copies_between_files_streams_and_providers() {
    let folder = Folder::new();
    let content: Vec<u8> = (0..3_000_000u32).flat_map(u32::to_le_bytes).collect();
    let (source, target) = (folder.write("source", &content), folder.at("target"));
    run(zvfs(["cp", &source, &target])).succeeded();
    assert!(fs::read(&target).unwrap() == content);
    assert!(run(zvfs(["cp", &source, "-"])).succeeded().stdout == content);
    run_with(zvfs(["cp", "-", &target]), b"short").succeeded();
    assert_eq!(fs::read(&target).unwrap(), b"short");
    run(zvfs(["cp", &source, "null:"])).succeeded();
    run(zvfs(["cp", &source, "mem:buffer"])).succeeded();
    run(zvfs(["cp", "null:", &target])).succeeded();
    assert_eq!(fs::read(&target).unwrap(), b"");
    assert_eq!(folder.names(), ["source", "target"]);
}

#[test]
fn cp_copies_files_of_proc_which_say_that_they_are_empty() {
    let folder = Folder::new();
    let target = folder.at("target");
    run(zvfs(["cp", "/proc/version", &target])).succeeded();
    assert_eq!(fs::read(&target).unwrap(), fs::read("/proc/version").unwrap());
}

#[test]
fn a_copy_that_fails_leaves_the_target_as_it_was() {
    let folder = Folder::new();
    let target = folder.write("target", "before");
    // A directory opens on no provider; /proc/self/mem opens, and its first read fails.
    for (source, code) in [("/", 21), ("/proc/self/mem", 5), ("file:/missing", 2)] {
        let done = run(zvfs(["cp", source, &target]));
        done.failed(code, &[source]);
        assert_eq!(fs::read_to_string(&target).unwrap(), "before");
        let done = run(zvfs(["cp", source, &folder.at("new")]));
        done.failed(code, &[source]);
        assert_eq!(folder.names(), ["target"], "{done:?}");
    }
}

/// "no such file", EACCES, EBUSY after the whole copy, and hard links torn apart.
#[test]
fn cp_writes_in_place_what_cannot_be_replaced() {
    let folder = Folder::new();
    let (source, target) = (folder.write("source", "new"), folder.write("target", "the old one"));
    fs::hard_link(&target, folder.at("other")).unwrap();
    run(zvfs(["cp", &source, &target])).succeeded();
    assert_eq!(fs::read_to_string(folder.at("other")).unwrap(), "new");

    // A file of /proc, where no other can be made.
    run(zvfs(["cp", &folder.write("name", "renamed"), "/proc/self/comm"])).succeeded();

    // What a shell has open: a file was replaced by another, and a pipe was "no such file".
    let copy = zvfs(["cp", &source, "/dev/fd/3"]);
    let mut shell = Command::new("sh");
    shell.args(["-c", "\"$0\" \"$@\" 3>&1 | cat"]).arg(copy.get_program()).args(copy.get_args());
    assert_eq!(run(shell).succeeded().out(), "new");
    let inode = fs::metadata(&target).unwrap().ino();
    let mut shell = Command::new("sh");
    shell.args(["-c", &format!("\"$0\" \"$@\" 3>>{target}")]);
    shell.arg(copy.get_program()).args(copy.get_args());
    run(shell).succeeded();
    assert_eq!(
        (fs::read_to_string(&target).unwrap().as_str(), fs::metadata(&target).unwrap().ino()),
        ("new", inode)
    );
}

/// The file was emptied before it was read.
#[test]
fn cp_of_a_file_onto_itself_leaves_it_alone() {
    let folder = Folder::new();
    let source = folder.write("source", "precious");
    fs::hard_link(&source, folder.at("other")).unwrap();
    for arguments in [&["cp", &source, &folder.at("other")][..], &["cp", "--in-place", &source, &source]] {
        run(zvfs(arguments)).failed(22, &["the same file"]);
        assert_eq!(fs::read_to_string(&source).unwrap(), "precious");
    }
}

/// A stranger's report: it was copied over itself, and nobody said that this is no copy.
#[test]
fn cp_says_that_both_are_the_same_file_by_whatever_name() {
    let folder = Folder::new();
    let source = folder.write("source", "precious");
    symlink("source", folder.at("link")).unwrap();
    symlink(".", folder.at("here")).unwrap();
    let inode = fs::metadata(&source).unwrap().ino();
    let url = format!("file:{source}");
    for target in [&source, &url, &folder.at("link"), &folder.at("here/source"), &folder.at(""), "."] {
        for options in [&[][..], &["-r"], &["--json"], &["--partial"]] {
            let mut cp = zvfs([&["cp"], options, &["./source", target]].concat());
            cp.current_dir(folder.path());
            let done = run(cp);
            assert!(done.code == 22 && done.stderr.contains("they are the same file"), "{target}: {done:?}");
        }
    }
    // A folder by another name: each of its files.
    fs::create_dir(folder.at("tree")).unwrap();
    folder.write("tree/a", "a");
    symlink("tree", folder.at("alias")).unwrap();
    let done = run(zvfs(["cp", "-rT", &folder.at("tree"), &folder.at("alias")]));
    done.failed(22, &["they are the same file", "1 failed"]);
    assert_eq!(fs::metadata(&source).unwrap().ino(), inode);
    assert_eq!(fs::read_to_string(folder.at("tree/a")).unwrap(), "a");
    // Of one content and one time, but two files.
    let other = folder.write("other", "precious");
    run(zvfs(["cp", &source, &other])).succeeded();
}

#[test]
fn cp_in_place_keeps_the_file_that_others_have_open() {
    let folder = Folder::new();
    let (source, target) = (folder.write("source", "new"), folder.write("target", "the old one"));
    let before = fs::metadata(&target).unwrap().ino();
    run(zvfs(["cp", "--in-place", &source, &target])).succeeded();
    assert_eq!(
        (fs::read_to_string(&target).unwrap().as_str(), fs::metadata(&target).unwrap().ino()),
        ("new", before)
    );
    run(zvfs(["cp", &source, &target])).succeeded();
    assert_ne!(fs::metadata(&target).unwrap().ino(), before);
}

/// The copy ended with 0, as long as neither the old source nor the new one.
#[test]
fn a_source_that_is_cut_while_it_is_copied_is_stale() {
    let folder = Folder::new();
    let (source, fifo) = (folder.write("source", vec![7; 1 << 20]), folder.fifo("fifo"));
    // The target takes nothing until somebody reads it, so that the source can be cut first.
    let started = Started::new(&mut zvfs(["cp", &source, &fifo]));
    let mut reader = fs::File::open(&fifo).unwrap();
    let mut byte = [0];
    reader.read_exact(&mut byte).unwrap();
    fs::File::options().write(true).open(&source).unwrap().set_len(1000).unwrap();
    let mut rest = Vec::new();
    reader.read_to_end(&mut rest).unwrap();
    started.end().failed(116, &["truncated while it was being read"]);
}

#[test]
fn a_copy_that_times_out_leaves_no_target() {
    let folder = Folder::new();
    let (fifo, target) = (folder.fifo("fifo"), folder.at("target"));
    run(zvfs(["cp", "--timeout", "200ms", &fifo, &target])).failed(110, &["copy", "timed out"]);
    assert_eq!(folder.names(), ["fifo"]);
}

#[test]
fn a_copy_shows_its_progress_on_a_terminal_only() {
    let folder = Folder::new();
    let (fifo, target) = (folder.fifo("fifo"), folder.at("target"));
    let (terminal, path) = terminal();
    let other = fs::OpenOptions::new().read(true).write(true).open(path);
    let mut command = zvfs(["cp", &fifo, &target]);
    let command = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(other.unwrap());
    let started = Started::as_set(command.env("TERM", "xterm"));
    let mut writer = bounded(move || fs::OpenOptions::new().write(true).open(fifo).unwrap());
    let shown = shown_by(terminal);
    let mut seen = String::new();
    eventually("the bar shows bytes", || {
        std::io::Write::write_all(&mut writer, b"0123456789").unwrap();
        seen.extend(shown.try_iter());
        seen.contains(" B") && seen.contains("/s")
    });
    drop(writer);
    assert_eq!(started.end().code, 0);
    assert!(fs::read_to_string(&target).unwrap().starts_with("0123456789"));
}

/// What comes out at a terminal, until the other side is closed.
fn shown_by(mut terminal: fs::File) -> Receiver<String> {
    let (send, shown) = channel();
    std::thread::spawn(move || {
        let mut buf = [0; 4096];
        while let Ok(count @ 1..) = terminal.read(&mut buf) {
            if send.send(String::from_utf8_lossy(&buf[..count]).into_owned()).is_err() {
                break;
            }
        }
    });
    shown
}

/// The first bytes of a copy seemed to have come in no time: 400 MiB/s where 100 KiB/s were allowed.
#[test]
fn the_rate_that_is_shown_is_not_above_the_one_that_is_allowed() {
    let folder = Folder::new();
    let (source, target) = (folder.write("source", vec![b'x'; 60_000]), folder.at("target"));
    for options in [&[][..], &["--json"]] {
        let (terminal, path) = terminal();
        let other = fs::OpenOptions::new().read(true).write(true).open(path).unwrap();
        let mut command =
            zvfs([&["cp", "-T", "--limit-rate", "100k"], options, &[&source, &target]].concat());
        let command = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(other);
        let started = Started::as_set(command.env("TERM", "xterm"));
        let shown = shown_by(terminal);
        assert_eq!(started.end().code, 0);
        // The command's own side is closed with it; this test's is in `command`.
        let mut seen = String::new();
        eventually("a rate is shown", || {
            seen.extend(shown.try_iter());
            seen.contains("/s")
        });
        let rates: Vec<f64> = seen.split("/s").filter_map(rate).collect();
        assert!(rates.iter().all(|rate| *rate < 150e3), "{options:?}: {rates:?}");
        assert!(rates.iter().any(|rate| *rate > 10e3), "{options:?}: {rates:?}: {seen}");
    }
}

/// The bytes that a text ends with, such as `12 of 34, 97.66 KiB`.
fn rate(text: &str) -> Option<f64> {
    let mut words = text.rsplit(' ');
    let factor = match words.next()? {
        "B" => 1.0,
        "KiB" => 1024.0,
        "MiB" => 1024.0 * 1024.0,
        "GiB" | "TiB" | "PiB" => 1024.0 * 1024.0 * 1024.0,
        _ => return None,
    };
    Some(words.next()?.replace(',', "").parse::<f64>().ok()? * factor)
}

#[test]
fn stat_tells_kind_and_size() {
    let folder = Folder::new();
    let file = folder.write("a", "12345");
    let done = run(zvfs(["stat", &file]));
    for words in [file.as_str(), "kind      regular", "size      5", "modified  20"] {
        assert!(done.succeeded().out().contains(words), "{done:?}");
    }
    let done = run(zvfs(["stat", "--json", &file, "/dev/null"]));
    let lines: Vec<serde_json::Value> =
        done.succeeded().out().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((&lines[0]["descriptor"], &lines[0]["size"]), (&file.as_str().into(), &5.into()));
    assert_eq!((&lines[0]["kind"], &lines[1]["kind"]), (&"regular".into(), &"device".into()));
    assert_eq!(lines[1]["size"], serde_json::Value::Null);
}

#[test]
fn stat_and_rm_go_on_after_a_failure_and_the_first_one_counts() {
    let folder = Folder::new();
    let (a, b) = (folder.write("a", ""), folder.write("b", ""));
    let done = run(zvfs(["stat", &folder.at("missing"), &a, "unknown:"]));
    done.failed(2, &["missing: no such file", "unknown scheme `unknown`"]);
    assert!(done.out().contains(&a));
    let done = run(zvfs(["rm", &a, &folder.at("missing"), folder.path().to_str().unwrap(), &b]));
    done.failed(2, &["missing: no such file", "is a directory"]);
    assert_eq!(folder.names(), [""; 0]);
}

#[test]
fn ls_lists_names_in_order_and_none_can_move_the_cursor() {
    let folder = Folder::new();
    folder.write("b", "12345");
    folder.write("a\x1b[2J\n", "");
    fs::create_dir(folder.path().join("c")).unwrap();
    fs::set_permissions(folder.path().join("b"), fs::Permissions::from_mode(0o600)).unwrap();
    let path = folder.path().to_str().unwrap();
    assert_eq!(run(zvfs(["ls", path])).succeeded().out(), "a\\x1b[2J\\n\nb\nc\n");
    let done = run(zvfs(["ls", "-l", path]));
    let lines: Vec<Vec<&str>> =
        done.succeeded().out().lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!((lines[1][0], lines[1][1], lines[1][3]), ("regular", "5", "b"));
    assert_eq!((lines[2][0], lines[2][1], lines[2][3]), ("directory", "-", "c"));
    run(zvfs(["ls", &folder.at("b")])).failed(20, &["list"]);
    run(zvfs(["ls", "null:"])).failed(95, &["list null:"]);
}

#[test]
fn what_is_no_descriptor_is_refused_and_told() {
    let long = format!("file:/{}", "x".repeat(100_000)); // the kernel passes 128 KiB in an argument at most
    for (descriptor, code, words) in [
        ("", 22, "not a descriptor"),
        ("relative/path", 2, "/relative/path: no such file"),
        ("c:\\x", 2, "c:\\x"),
        ("file:/a\nb", 22, "control character at byte 7"),
        ("file:/a\x1b[2J", 22, "percent-encode"),
        (long.as_str(), 36, "100006 bytes"),
        ("file:relative", 22, "relative"),
        ("file:/%zz", 22, "%zz"),
        ("file:/a%00b", 22, "a%00b"),
        ("unknown:x", 93, "libzvfs_unknown.so"),
        ("unknown://user:password@host/x?key=secret", 93, "libzvfs_unknown.so"),
    ] {
        for command in ["cat", "stat", "ls", "rm"] {
            let done = run(zvfs([command, descriptor]));
            done.failed(code, &[words]);
            assert_eq!(done.stderr.lines().count(), 1, "{done:?}");
            assert!(!done.stderr.contains("password") && !done.stderr.contains("secret"), "{done:?}");
            assert!(!done.stderr.contains('\x1b') && done.stderr.len() < 2000, "{done:?}");
        }
        run(zvfs(["cp", descriptor, "null:"])).failed(code, &[words]);
        if code != 2 {
            run(zvfs(["cp", "null:", descriptor])).failed(code, &[words]);
        }
    }
    let odd = std::ffi::OsStr::from_bytes(b"file:/\xff");
    assert_eq!(run(zvfs([std::ffi::OsStr::new("cat"), odd])).code, 64);
}

#[test]
fn settings_of_an_open_reach_only_those_who_take_them() {
    let done = run(zvfs(["cat", "-o", "colour=red", "/dev/null"]));
    done.failed(22, &["-o colour: not a per-open setting of `file`"]);
    let done = run(zvfs(["cat", "-o", "root=/srv", "/dev/null"]));
    done.failed(22, &["root"]);
    run(zvfs(["cp", "--src-o", "a=b", "null:", "null:"])).failed(22, &["`a`"]);
    run(zvfs(["cp", "--dst-o", "c=d", "null:", "null:"])).failed(22, &["`c`"]);
    assert_eq!(run(zvfs(["cat", "-o", "nothing", "/dev/null"])).code, 64);
}

#[test]
fn wrong_command_lines_are_64_and_help_is_0() {
    for arguments in [&[][..], &["fly"], &["cat"], &["cp", "a"], &["cat", "--timeout", "5", "/x"], &["--fly"]]
    {
        assert_eq!(run(zvfs(arguments)).code, 64, "{arguments:?}");
    }
    for arguments in [&["--help"][..], &["cat", "--help"], &["help", "run"], &["--version"]] {
        let done = run(zvfs(arguments));
        assert!(!done.succeeded().stdout.is_empty());
    }
}
