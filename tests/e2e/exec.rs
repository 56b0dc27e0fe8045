//! `zvfs exec`: a guest without a manifest.

use crate::support::{Done, Folder, Started, WASM_TOOLS, repository, run, run_with, zvfs};
use rustix::process::Signal;
use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::symlink;
use std::process::{Command, Stdio};
use zvfs_test_support::{SmallDisk, bounded, eventually};

/// A folder with the guest in it, `guest.wasm`.
fn guest() -> Option<Folder> {
    let folder = Folder::needing(&WASM_TOOLS)?;
    let mut clang = Command::new("clang");
    clang.args(["--target=wasm32-wasi", "-O1", "-o", &folder.at("guest.wasm")]);
    clang.arg(repository("tests/e2e/guests/exec.c"));
    run(clang).succeeded();
    Some(folder)
}

/// The command in that folder.
fn exec(folder: &Folder, arguments: &[&str]) -> Command {
    let mut command = zvfs(["exec"]);
    command.args(arguments).current_dir(folder.path());
    command
}

fn read(folder: &Folder, name: &str) -> String {
    fs::read_to_string(folder.at(name)).unwrap()
}

#[test]
fn a_program_has_the_commands_streams_and_its_own_exit_code() {
    let Some(folder) = guest() else { return };
    let text = "one\ntwo\n".repeat(10_000);
    assert_eq!(run_with(exec(&folder, &["guest.wasm"]), text.as_bytes()).succeeded().out(), text);
    for (given, code) in [("0", 0), ("3", 3), ("255", 255), ("256", 255)] {
        let done = run(exec(&folder, &["guest.wasm", "exit", given]));
        assert_eq!((done.code, done.stderr.as_str()), (code, "told by the guest\n"), "{done:?}");
    }
}

#[test]
fn streams_lead_where_the_options_say() {
    let Some(folder) = guest() else { return };
    folder.write("from", "a text");
    run(exec(&folder, &["--in", "from", "--out", "to", "guest.wasm"])).succeeded();
    assert_eq!(read(&folder, "to"), "a text");
    let source = format!("file:{}", folder.at("from"));
    assert_eq!(run(exec(&folder, &["--in", &source, "guest.wasm"])).succeeded().out(), "a text");
}

#[test]
fn arguments_that_are_files_can_be_read_and_nothing_else() {
    let Some(folder) = guest() else { return };
    fs::create_dir(folder.path().join("below")).unwrap();
    let absolute = folder.write("c", "C");
    folder.write("a", "A");
    folder.write("below/b", "B");
    let done = run(exec(&folder, &["guest.wasm", "cat", "a", "./below/b", "a", &absolute]));
    assert_eq!(done.succeeded().out(), "ABAC");
    // No argument names it.
    let done = run(exec(&folder, &["guest.wasm", "cat", "below/../a"]));
    assert_eq!((done.code, done.out()), (1, ""), "{done:?}");
    assert!(
        done.stderr.contains(
            "zvfs: below/../a: the guest cannot read this file: no guest can open a name with `..`"
        ),
        "{done:?}"
    );
    let done = run(exec(&folder, &["--no-argument-files", "guest.wasm", "cat", "a"]));
    assert_eq!((done.code, done.stderr.as_str()), (1, "a: No such file or directory\n"), "{done:?}");
    let done = run(exec(&folder, &["guest.wasm", "add", "a", "more"]));
    assert_eq!((done.code, read(&folder, "a").as_str()), (1, "A"), "{done:?}");
    // What an option gives under this name stays.
    let done = run(exec(&folder, &["--read", "a=c", "guest.wasm", "cat", "a"]));
    assert_eq!(done.succeeded().out(), "C");
}

/// `a` here and `/a` are one name to a guest, whose working directory is its root.
#[test]
fn two_files_of_one_name_are_told() {
    let Some(folder) = guest() else { return };
    fs::create_dir_all(folder.path().join("here").join(&folder.at("x")[1..]).parent().unwrap()).unwrap();
    let absolute = folder.write("x", "absolute");
    fs::write(folder.path().join("here").join(&absolute[1..]), "relative").unwrap();
    let mut command = zvfs(["exec", "../guest.wasm", "cat", &absolute, &absolute[1..]]);
    command.current_dir(folder.path().join("here"));
    let done = run(command);
    assert_eq!((done.code, done.out()), (0, "absoluteabsolute"), "{done:?}");
    assert!(done.stderr.contains("cannot read this file: another argument is "), "{done:?}");
}

#[test]
fn channels_are_read_written_and_changed_in_place() {
    let Some(folder) = guest() else { return };
    folder.write("from", "a text");
    let options = ["--read", "in=from", "--stream", "/dir/again=from"];
    let done = run(exec(&folder, &[&options[..], &["guest.wasm", "cat", "in", "dir/again"]].concat()));
    assert_eq!(done.succeeded().out(), "a texta text");
    run(exec(&folder, &["--write", "out=to", "guest.wasm", "put", "out", "whole"])).succeeded();
    assert_eq!(read(&folder, "to"), "whole");
    run(exec(&folder, &["--channel", "db=to", "guest.wasm", "add", "db", " and more"])).succeeded();
    assert_eq!(read(&folder, "to"), "whole and more");
    // A program that fails halfway leaves what was there.
    run(exec(&folder, &["--write", "out=to", "guest.wasm", "put-and-trap", "out", "half"]))
        .failed(4, &["guest.wasm: trap"]);
    assert_eq!(read(&folder, "to"), "whole and more");
}

#[test]
fn a_folder_is_shown_under_its_name() {
    let Some(folder) = guest() else { return };
    fs::create_dir_all(folder.path().join("data/below")).unwrap();
    folder.write("data/a", "A");
    folder.write("data/below/b c", "B");
    symlink("/etc/passwd", folder.path().join("data/link")).unwrap();
    let options = ["--dir", "in=data", "--no-argument-files"];
    let program = ["guest.wasm", "cat", "in/a", "in/below/b c"];
    let done = run(exec(&folder, &[&options[..], &program].concat()));
    assert_eq!((done.code, done.out()), (0, "AB"), "{done:?}");
    assert!(done.stderr.contains("tree /in: left out of /in: 1 (links"), "{done:?}");
    let printed = run(exec(&folder, &[&options[..], &["--print-manifest"], &program].concat()));
    assert!(printed.succeeded().out().contains("/data\", /in, ro, 1000000000, "), "{printed:?}");
    let manifest = folder.write("manifest", printed.out());
    assert_eq!(run(zvfs(["run", &manifest])).out(), "AB");
    for denied in ["in/link", "in/../data/a", "in/none"] {
        let done = run(exec(&folder, &[&options[..], &["guest.wasm", "cat", denied]].concat()));
        assert_eq!((done.code, done.out()), (1, ""), "{done:?}");
    }
    let done = run(exec(&folder, &[&options[..], &["guest.wasm", "add", "in/a", "more"]].concat()));
    assert_eq!((done.code, read(&folder, "data/a").as_str()), (1, "A"), "{done:?}");
    let few = ["--dir", "in=data", "--entries", "2", "guest.wasm", "cat", "in/a"];
    run(exec(&folder, &few)).failed(14, &["the tree has more than 2 names"]);
    run(exec(&folder, &["--dir", "in=none", "guest.wasm", "cat", "in/a"])).failed(14, &["tree /in: list "]);
}

/// What the guest itself says stands between the command's lines.
#[track_caller]
fn not_committed(done: &Done, words: &[&str]) {
    assert_eq!(done.code, 125, "{done:?}");
    for words in words {
        assert!(done.stderr.contains(words), "no `{words}` in {done:?}");
    }
}

#[test]
fn what_it_makes_in_a_directory_is_taken_out() {
    let Some(folder) = guest() else { return };
    let is_there = |folder: &Folder, place: &str| {
        for (name, content) in [("a", "A"), ("sub/b", "B"), ("sub/c d", "C")] {
            assert_eq!(read(folder, &format!("{place}/{name}")), content, "{place}");
        }
        assert_eq!(fs::read_dir(folder.at(&format!("{place}/sub"))).unwrap().count(), 2, "{place}");
    };
    let options = ["--out-dir", "out=new/result"];
    let program = ["guest.wasm", "make", "out"];
    // Nothing of what a guest made that says that it failed.
    let done = run(exec(&folder, &[&options[..], &program, &["3"]].concat()));
    assert!(done.code == 3 && done.stderr.contains("/out: the guest exited with code 3"), "{done:?}");
    assert!(!fs::exists(folder.at("new")).unwrap(), "{done:?}");
    let done = run(exec(&folder, &[&options[..], &program].concat()));
    assert_eq!((done.code, done.stderr.as_str()), (0, ""), "{done:?}");
    is_there(&folder, "new/result");
    // Into a folder that is there: others' files stay, its own are replaced.
    folder.write("new/result/a", "old");
    folder.write("new/result/other", "other");
    let printed = run(exec(&folder, &[&options[..], &["--print-manifest"], &program].concat()));
    assert!(printed.succeeded().out().contains("/new/result\", /out, 1000000000, "), "{printed:?}");
    let manifest = folder.write("manifest", printed.out());
    run(zvfs(["run", &manifest])).succeeded();
    is_there(&folder, "new/result");
    assert_eq!(read(&folder, "new/result/other"), "other");
    let few = run(exec(&folder, &[&["--puts", "3"], &options[..], &program].concat()));
    not_committed(
        &few,
        &["export /out: its quota puts refused a write", "nothing is committed", "give it more by --puts"],
    );
}

/// Found: yosys ended with a failed assertion, since it makes its files in /tmp.
#[test]
fn files_of_its_own_may_be_in_tmp() {
    let Some(folder) = guest() else { return };
    let put = ["guest.wasm", "put", "/tmp/x", "text"];
    run(exec(&folder, &[&["--scratch", "64k"], &put[..]].concat())).succeeded();
    run(exec(&folder, &[&["--out-dir", "out=result"], &put[..]].concat())).succeeded();
    assert_eq!(run(exec(&folder, &put)).code, 1);
    // What the options have there is there.
    folder.write("from", "a text");
    fs::create_dir(folder.at("data")).unwrap();
    folder.write("data/y", "Y");
    for options in [["--scratch", "64k", "--read", "tmp=from"], ["--scratch", "64k", "--write", "tmp/x=to"]] {
        let done = run(exec(&folder, &[&options[..], &["guest.wasm", "cat"]].concat()));
        assert_eq!(done.succeeded().out(), "", "{done:?}");
    }
    let shown = ["--scratch", "64k", "--dir", "tmp=data", "guest.wasm", "cat", "tmp/y"];
    assert_eq!(run(exec(&folder, &shown)).succeeded().out(), "Y");
}

/// Found: what a guest had left of a file when its scratch space was full was in place, with exit code 0.
#[test]
fn a_guest_that_passes_over_a_full_scratch_space_leaves_nothing() {
    let Some(folder) = guest() else { return };
    let options = ["--scratch", "4k", "--out-dir", "out=result"];
    let full = run(exec(&folder, &[&options[..], &["guest.wasm", "fill", "out/a"]].concat()));
    let why = "export /out: the scratch space had no room for a write";
    not_committed(&full, &[why, "nothing is committed", "give it more by --scratch"]);
    assert!(!fs::exists(folder.at("result")).unwrap(), "{full:?}");
    let options = [&options[..], &["--keep-partial"]].concat();
    let kept = run(exec(&folder, &[&options[..], &["guest.wasm", "fill", "out/a"]].concat()));
    assert!(kept.code == 0 && fs::exists(folder.at("result/a")).unwrap(), "{kept:?}");
}

#[test]
fn a_folder_is_changed_once_it_has_ended() {
    let Some(folder) = guest() else { return };
    fs::create_dir_all(folder.path().join("data/sub")).unwrap();
    folder.write("data/a", "A");
    folder.write("data/sub/gone", "x");
    folder.write("data/sub/b", "B");
    let few = run(exec(&folder, &["--dir-rw", "in=data", "--puts", "3", "guest.wasm", "change", "in"]));
    not_committed(
        &few,
        &["tree /in: its quota puts refused a write", "nothing is committed", "give it more by --puts"],
    );
    assert_eq!((read(&folder, "data/a"), read(&folder, "data/sub/gone")), ("A".into(), "x".into()));
    let done = run(exec(&folder, &["--dir-rw", "in=data", "guest.wasm", "change", "in"]));
    assert_eq!((done.code, done.out(), done.stderr.as_str()), (0, "A+", ""), "{done:?}");
    assert_eq!((read(&folder, "data/a"), read(&folder, "data/sub/new")), ("A+".into(), "N".into()));
    let names = fs::read_dir(folder.at("data/sub")).unwrap().map(|entry| entry.unwrap().file_name());
    let mut names: Vec<_> = names.collect();
    names.sort();
    assert_eq!(names, ["b", "new"]);
}

/// What a guest is given to fill may hold links that lead out of it.
#[test]
fn what_is_taken_out_goes_through_no_link() {
    let Some(folder) = guest() else { return };
    fs::create_dir(folder.at("outside")).unwrap();
    let outside = folder.write("outside/a", "safe");
    let make = || run(exec(&folder, &["--out-dir", "out=result", "guest.wasm", "make", "out"]));
    for (name, leads_to) in
        [("a", outside.as_str()), ("sub", &folder.at("outside")), ("sub", &folder.at("none"))]
    {
        fs::create_dir(folder.at("result")).unwrap();
        symlink(leads_to, folder.at(&format!("result/{name}"))).unwrap();
        make().failed(5, &["export /out: ", &format!("result/{name}: "), "link"]);
        assert_eq!(fs::read_dir(folder.at("outside")).unwrap().count(), 1, "{name}");
        assert_eq!(read(&folder, "outside/a"), "safe");
        assert_eq!(fs::read_dir(folder.at("result")).unwrap().count(), 1, "{name}");
        fs::remove_dir_all(folder.at("result")).unwrap();
    }
    // The folder itself may be one: whoever named it has chosen where it leads.
    symlink(folder.at("outside"), folder.at("result")).unwrap();
    make().succeeded();
    assert_eq!(read(&folder, "outside/sub/b"), "B");
}

/// A link of the folder is not shown, and a file of its name is not written through it.
#[test]
fn a_file_of_a_links_name_is_not_written_through_it() {
    let Some(folder) = guest() else { return };
    fs::create_dir(folder.path().join("data")).unwrap();
    let outside = folder.write("outside", "safe");
    symlink(&outside, folder.path().join("data/link")).unwrap();
    let done = run(exec(&folder, &["--dir-rw", "in=data", "guest.wasm", "put", "in/link", "new"]));
    done.failed(5, &["tree /in: ", "data/link"]);
    assert_eq!(read(&folder, "outside"), "safe");
}

/// The disk takes the first file, and has no room for the others.
#[test]
fn a_full_disk_leaves_nothing_of_what_it_made() {
    let Some(folder) = guest() else { return };
    let disk = folder.path().join("disk");
    fs::create_dir(&disk).unwrap();
    // A page for each file.
    let Some(disk) = SmallDisk::mount(&disk, "4k") else { return };
    let done = run(exec(&folder, &["--out-dir", "out=disk/result", "guest.wasm", "make", "out"]));
    let left: Vec<_> = fs::read_dir(folder.at("disk")).unwrap().collect();
    drop(disk);
    done.failed(5, &["export /out: write ", "no space left"]);
    assert!(left.is_empty(), "{left:?}: {done:?}");
}

#[test]
fn the_manifest_that_it_prints_runs_the_same() {
    let Some(folder) = guest() else { return };
    folder.write("from", "a text");
    let options =
        ["--in", "from", "--env", "A=b = c", "--env", "EMPTY=", "--scratch", "64k", "--timeout", "5m"];
    let program = ["guest.wasm", "tell", "", "two words", "a\"b\\c\\", "from"];
    let direct = run(exec(&folder, &[&options[..], &program].concat()));
    let out = direct.succeeded().out();
    assert!(out.starts_with("[]\n[two words]\n[a\"b\\c\\]\n[from]\n<A=b = c>\n<EMPTY=>\n0 "), "{out}");
    let printed = run(exec(&folder, &[&options[..], &["--print-manifest"], &program].concat()));
    let manifest = folder.write("manifest", printed.succeeded().out());
    assert!(printed.out().contains("Timeout = 300\n"), "{printed:?}");
    assert_eq!(run(zvfs(["run", &manifest])).succeeded().out(), out);
    let real = run(exec(&folder, &["--nondeterministic", "guest.wasm", "tell"]));
    assert!(!real.succeeded().out().starts_with("0 "), "{real:?}");
}

#[test]
fn arguments_that_no_manifest_can_hold_are_passed_on() {
    let Some(folder) = guest() else { return };
    let program = ["guest.wasm", "tell", "a\nFuel = 1"];
    let done = run(exec(&folder, &[&["--env", "A= x\n"][..], &program].concat()));
    assert!(done.succeeded().out().starts_with("[a\nFuel = 1]\n<A= x\n>\n"), "{done:?}");
    for options in [&[][..], &["--env", "A=x\nSeed=7"], &["--env", "A= x"]] {
        let program = if options.is_empty() { &program[..] } else { &["guest.wasm"] };
        let done = run(exec(&folder, &[options, &["--print-manifest"], program].concat()));
        done.failed(22, &["--print-manifest: ", "line end"]);
    }
}

#[test]
fn a_quota_that_is_reached_names_its_option() {
    let Some(folder) = guest() else { return };
    folder.write("from", "a text".repeat(10_000));
    for (option, quota) in [("--put-size", "4"), ("--puts", "1"), ("--get-size", "4"), ("--gets", "1")] {
        let done = run(exec(&folder, &[option, quota, "--in", "from", "guest.wasm"]));
        assert_eq!(done.code, 1, "{done:?}");
        let hint = format!("zvfs: guest.wasm: the guest reached a quota: give it more by {option}\n");
        assert!(done.stderr.contains(&hint), "{done:?}");
    }
}

/// A stranger's report: what a quota had cut took the old file's place, and nobody said so.
#[test]
fn what_a_quota_cut_takes_no_files_place() {
    let Some(folder) = guest() else { return };
    folder.write("to", "old");
    folder.write("from", "a text");
    let stream: &[&str] = &["--in", "from", "--out", "to", "guest.wasm"];
    for (arguments, alias) in
        [(&["--write", "out=to", "guest.wasm", "put", "out", "whole"][..], "/out"), (stream, "/dev/stdout")]
    {
        let done = run(exec(&folder, &[&["--put-size", "3"], arguments].concat()));
        let why = format!("channel {alias}: its quota put_size refused a write");
        assert_eq!(done.code, 125, "{done:?}");
        let keep = "(or keep what there is by --keep-partial)";
        for words in [why.as_str(), "nothing is committed", "give it more by --put-size", keep] {
            assert!(done.stderr.contains(words), "{words}: {done:?}");
        }
        assert_eq!(read(&folder, "to"), "old");
    }
    // Nor a folder's: the file that was cut, and those beside it.
    fs::create_dir(folder.at("folder")).unwrap();
    folder.write("folder/a", "old");
    for (option, what) in [("--out-dir", "export"), ("--dir-rw", "tree")] {
        let arguments = ["--put-size", "3", option, "d=folder", "guest.wasm", "put", "d/a", "whole"];
        let why = format!("{what} /d: its quota put_size refused a write");
        not_committed(
            &run(exec(&folder, &arguments)),
            &[&why, "nothing is committed", "give it more by --put-size"],
        );
        assert_eq!(read(&folder, "folder/a"), "old");
    }
    // What the command names keeps it.
    let done = run(exec(&folder, &[&["--keep-partial", "--put-size", "3"], stream].concat()));
    assert_ne!(done.code, 125, "{done:?}");
    assert!(done.stderr.contains("give it more by --put-size"), "{done:?}");
    assert_eq!(read(&folder, "to"), "a t");
    let printed = run(exec(&folder, &[&["--print-manifest", "--keep-partial"], stream].concat()));
    assert!(printed.succeeded().out().lines().any(|line| line == "Partial = keep"));
}

#[test]
fn an_interrupted_program_ends_by_the_signal() {
    let Some(folder) = guest() else { return };
    for (signal, code) in [(Signal::INT, 130), (Signal::TERM, 143)] {
        let fifo = folder.fifo("fifo");
        let mut command = exec(&folder, &["--interactive", "--in", "fifo", "--out", "to", "guest.wasm"]);
        let mut started = Started::new(command.stdin(Stdio::null()));
        let path = fifo.clone();
        let mut writer = bounded(move || OpenOptions::new().write(true).open(path).unwrap());
        writer.write_all(b"half of it").unwrap();
        eventually("the guest has read", || {
            started.still_runs();
            rustix::io::ioctl_fionread(&writer).unwrap() == 0
        });
        started.signal(signal);
        started.end().failed(code, &["ended by signal"]);
        assert_eq!(folder.names(), ["fifo", "guest.wasm"]);
        fs::remove_file(fifo).unwrap();
    }
}

#[test]
fn a_program_that_does_not_end_times_out() {
    let Some(folder) = guest() else { return };
    run(exec(&folder, &["--timeout", "1s", "guest.wasm", "spin"]))
        .failed(4, &["guest.wasm: timeout", "(give it more by --timeout)"]);
}

/// What a person gets wrong: a code, and words that say what to do.
#[test]
fn what_is_wrong_is_told() {
    let Some(folder) = guest() else { return };
    folder.write("text", "no module");
    let cases: [(&[&str], i32, &[&str]); 28] = [
        (&[], 64, &["PROGRAM"]),
        (&["nosuch.wasm"], 2, &["nosuch.wasm: ", "no such file"]),
        (&["text"], 8, &["text: "]),
        (&["."], 8, &[".: program: ", "is a directory"]),
        (&["nosuch:x"], 14, &["unknown scheme `nosuch`"]),
        (&["--timout", "1s", "guest.wasm"], 64, &["'--timout'", "'--timeout'"]),
        (&["--env", "A", "guest.wasm"], 64, &["key=value"]),
        (&["--env", "A=1", "--env", "A=2", "guest.wasm"], 22, &["--env A: given twice"]),
        (&["--read", "x=text", "--write", "./x=to", "guest.wasm"], 22, &["--write /x: ", "choose another"]),
        (&["--read", "/dev/stdin=text", "guest.wasm"], 22, &["--read /dev/stdin: "]),
        (&["--read", "x", "guest.wasm"], 64, &["ALIAS=DESCRIPTOR"]),
        (&["--read", "../x=text", "guest.wasm"], 64, &["`..`"]),
        (&["--read", "a,b=text", "guest.wasm"], 64, &["comma"]),
        (&["--read", "x=nosuch:y", "guest.wasm"], 14, &["unknown scheme `nosuch`"]),
        (&["--read", "x=none", "guest.wasm"], 14, &["/x", "no such file"]),
        (&["--in", "a\"b", "guest.wasm"], 64, &["percent-encode"]),
        (&["--memory", "5g", "guest.wasm"], 64, &["at most 4g"]),
        (
            &["--memory", "64k", "guest.wasm"],
            12,
            &["Memory: the program needs more to start than the 65536 bytes", "(give it more by --memory)"],
        ),
        // These spoke of lines that nobody had written.
        (
            &["--dir", "in=.", "--dir", "./in=/tmp", "guest.wasm"],
            22,
            &["--dir /in: --dir has given the guest a directory of this name: choose another"],
        ),
        (
            &["--dir", "in=.", "--out-dir", "in=x", "guest.wasm"],
            22,
            &["--out-dir /in: --dir has given the guest a directory of this name"],
        ),
        (
            &["--dir-rw", "a=.", "--out-dir", "b=./x", "guest.wasm"],
            22,
            &["--out-dir /b: --dir-rw /a writes into the same folder"],
        ),
        (&["--read", "a=text", "--dir", "a/b=.", "guest.wasm"], 22, &["--dir /a/b: the guest has a file of"]),
        (&["--dir", "dev/stdin=.", "guest.wasm"], 22, &["--dir /dev/stdin: the guest has a file of"]),
        (&["--out-dir", "dev=x", "guest.wasm"], 14, &["--out-dir: export /dev: channels and devices"]),
        (&["--timeout", "500ms", "guest.wasm"], 64, &["whole seconds"]),
        (&["--timeout", "2", "guest.wasm"], 64, &["with their unit", "30s"]),
        (&["--put-size", "0", "guest.wasm"], 64, &["number of bytes"]),
        (&["--gets", "0", "guest.wasm"], 64, &["0"]),
    ];
    let told = |done: &Done, code, words: &[&str]| {
        let said = |word: &str| done.stderr.contains(word);
        let says_manifest = done.stderr.to_lowercase().contains("manifest"); // which nobody has seen
        (done.code, done.out()) == (code, "") && words.iter().all(|word| said(word)) && !says_manifest
    };
    let wrong: Vec<String> = cases
        .into_iter()
        .map(|(arguments, code, words)| (arguments, code, words, run(exec(&folder, arguments))))
        .filter(|(_, code, words, done)| !told(done, *code, words))
        .map(|(arguments, code, words, done)| format!("{arguments:?}: not {code} with {words:?}: {done:?}"))
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// What was built for threads runs as long as it starts none. What would need them is told before anything is compiled.
#[test]
fn a_program_with_threads_is_refused_and_one_that_waits_for_one_is_stopped() {
    let folder = Folder::new();
    let program = |name: &str, head: &str, body: &str| {
        folder.write(name, format!("(module {head} (func $_start (export \"_start\") {body}))"))
    };
    let own = "(memory (export \"memory\") 1)";
    program("shared.wat", "(memory (export \"memory\") 1 2 shared)", "");
    program("imported.wat", "(import \"env\" \"memory\" (memory 1 2 shared))", "");
    let spawn = "(import \"wasi\" \"thread-spawn\" (func (param i32) (result i32)))";
    program("spawns.wat", &format!("{spawn} {own}"), "");
    for (name, words) in [
        ("shared.wat", "its memory is shared: build it without threads"),
        ("imported.wat", "it imports its memory, env::memory, which is shared: build it without threads"),
        ("spawns.wat", "it imports wasi::thread-spawn, which starts a thread: build it without threads"),
    ] {
        run(exec(&folder, &[name])).failed(8, &[&format!("{name}: bad program: {words}")]);
    }
    let wait = "(drop (memory.atomic.wait32 (i32.const 64) (i32.const 0) (i64.const -1)))";
    program("waits.wat", own, wait);
    let told = "waits.wat: trap: a wait for another thread, of which a guest has none, in `_start`";
    run(exec(&folder, &["waits.wat"])).failed(4, &[told]);
    program("counts.wat", own, "(drop (i32.atomic.rmw.add (i32.const 64) (i32.const 1)))");
    run(exec(&folder, &["counts.wat"])).succeeded();
}

/// Found: `--out-dir mem:x` was refused when the guest had done its work, and `mem:` took it to be gone with the command.
#[test]
fn an_output_that_would_be_gone_with_the_command_is_refused_before_the_guest_runs() {
    let Some(folder) = guest() else { return };
    for (options, words) in [
        (["--out-dir", "out=mem:"], "--out-dir /out: mem: is in this command's memory"),
        (["--out-dir", "out=mem:x/y"], "--out-dir /out: mem:x/y is in this command's memory"),
        (["--write", "out=mem:x"], "--write /out: mem:x is in this command's memory"),
        (["--out", "mem:x"], "--out /dev/stdout: mem:x is in this command's memory"),
    ] {
        // The guest would say a line of its own.
        let done = run(exec(&folder, &[&options[..], &["guest.wasm", "exit", "0"]].concat()));
        done.failed(22, &[words, "name a target that stays, or let the guest write into --scratch"]);
    }
    // A place to work in.
    run(exec(&folder, &["--channel", "db=mem:x", "guest.wasm", "add", "db", "more"])).succeeded();
}

/// Found: a folder that takes no file was told when the guest had done its work, which may be hours.
#[test]
fn a_folder_that_takes_no_file_is_told_before_the_guest_runs() {
    let Some(folder) = guest() else { return };
    folder.write("file", "x");
    fs::create_dir(folder.path().join("there")).unwrap();
    for (target, words) in [
        ("/proc", "no file can be written into /proc"),
        ("/proc/none/deep", "no file can be written into /proc"),
        ("file", "is not a folder"),
        ("file/below", "/file"),
        ("null:", "writes no files that appear as a whole"),
    ] {
        let out_dir = format!("out={target}");
        let done = run(exec(&folder, &["--out-dir", &out_dir, "guest.wasm", "exit", "0"]));
        done.failed(14, &["guest.wasm: export /out: ", words]);
    }
    // Looking leaves nothing behind, in a folder that is there and in one that is not.
    for target in ["there", "none/deep"] {
        let out_dir = format!("out={target}");
        let done = run(exec(&folder, &["--out-dir", &out_dir, "guest.wasm", "exit", "0"]));
        assert_eq!((done.code, done.stderr.as_str()), (0, "told by the guest\n"), "{done:?}");
    }
    assert_eq!(folder.names(), ["file", "guest.wasm", "there"]);
    assert_eq!(fs::read_dir(folder.path().join("there")).unwrap().count(), 0);
}
