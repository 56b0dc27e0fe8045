//! `zvfs run`: guests over providers that were loaded from their libraries.

use crate::support::{Done, Folder, Started, bare, repository, run, run_with, under, zvfs};
use std::collections::BTreeSet;
use std::fs;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use zvfs_test_support::library;

const WORDCOUNT: &str = "examples/jobs/wordcount/wordcount.manifest";
/// The most bytes of a manifest.
const MANIFEST_MAX: usize = 0x80000;

fn wordcount() -> String {
    repository(WORDCOUNT).into_os_string().into_string().unwrap()
}

/// What `wc` says of a text.
fn wc(text: &str) -> String {
    format!("{:7} {:7} {:7}\n", text.lines().count(), text.split_ascii_whitespace().count(), text.len())
}

/// A manifest of a guest with this body, that may write a little.
fn guest(folder: &Folder, name: &str, body: &str) -> String {
    folder.write(
        &format!("{name}.wat"),
        format!(
            r#"(module
                (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
                (memory (export "memory") 1)
                (func (export "_start") {body}))"#
        ),
    );
    folder.write(
        &format!("{name}.manifest"),
        format!(
            "Version = 20140509\nProgram = ${{MANIFEST_DIR}}/{name}.wat\nMemory = 1048576, 0\nTimeout = 60\n\
             Channel = /dev/null, /dev/stdin, 0, 1, 1, 0, 0\n\
             Channel = /dev/null, /dev/stdout, 0, 0, 0, 1, 1\n\
             Channel = /dev/null, /dev/stderr, 0, 0, 0, 1, 1\n"
        ),
    )
}

fn counted(command: Command) -> Done {
    let text = fs::read_to_string(repository("examples/jobs/wordcount/input.txt")).unwrap();
    let done = run(command);
    assert_eq!(done.succeeded().out(), wc(&text));
    done
}

/// Found: with `--exit-code guest` the command ended with 0, though a quota had cut the output and nothing was committed.
#[test]
fn a_guest_that_passes_over_its_quota_is_no_success() {
    let folder = Folder::new();
    folder.write("out", "old");
    folder.write(
        "cut.wat",
        r#"(module
            (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
            (memory (export "memory") 1)
            (data (i32.const 0) "\10\00\00\00\03\00\00\00") (data (i32.const 16) "new")
            (func $put (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8))))
            (func (export "_start") (call $put) (call $put)))"#,
    );
    let lines = "Version = 20140509\nProgram = ${MANIFEST_DIR}/cut.wat\nMemory = 1048576, 0\nTimeout = 60\n\
         Channel = /dev/null, /dev/stdin, 0, 1, 1, 0, 0\n\
         Channel = ${MANIFEST_DIR}/out, /dev/stdout, 0, 0, 0, 1, 99\n\
         Channel = /dev/null, /dev/stderr, 0, 0, 0, 1, 1\n";
    let manifest = folder.write("cut.manifest", lines);
    for options in [&["run"][..], &["run", "--exit-code", "guest"]] {
        let done = run(zvfs(options.iter().copied().chain([manifest.as_str()])));
        done.failed(
            125,
            &["its quota puts refused a write", "(give it more, or let it be cut by `Partial = keep`)"],
        );
        assert_eq!(fs::read_to_string(folder.at("out")).unwrap(), "old");
    }
    let kept = folder.write("kept.manifest", format!("{lines}Partial = keep\n"));
    let done = run(zvfs(["run", "--exit-code", "guest", &kept]));
    assert_eq!(done.code, 0, "{done:?}");
    assert!(done.stderr.contains("the guest reached its quota: puts"), "{done:?}");
    assert_eq!(fs::read_to_string(folder.at("out")).unwrap(), "new");
}

/// Copies its input, passes over refusals, closes its output, and waits for the end of `/answer` if there is one.
const CARELESS: &str = r#"(module
    (import "wasi_snapshot_preview1" "fd_read" (func $read (param i32 i32 i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "fd_close" (func $close (param i32) (result i32)))
    (import "wasi_snapshot_preview1" "path_open"
        (func $open (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
    (memory (export "memory") 1)
    (data (i32.const 32) "answer")
    (func $next (param $from i32)
        (i32.store (i32.const 4) (i32.const 4))
        (drop (call $read (local.get $from) (i32.const 0) (i32.const 1) (i32.const 8))))
    (func (export "_start")
        (i32.store (i32.const 0) (i32.const 1024))
        (loop $more
            (call $next (i32.const 0))
            (i32.store (i32.const 4) (i32.load (i32.const 8)))
            (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 12)))
            (br_if $more (i32.load (i32.const 8))))
        (drop (call $close (i32.const 1)))
        (if (i32.eqz (call $open (i32.const 3) (i32.const 0) (i32.const 32) (i32.const 6) (i32.const 0)
                                 (i64.const 2) (i64.const 0) (i32.const 0) (i32.const 16)))
            (then (call $next (i32.load (i32.const 16)))))))"#;

/// Found: a pipe that its writer's quota had cut ended like a whole one, and its reader's output was committed.
#[test]
fn the_reader_of_a_pipe_that_a_quota_cut_fails() {
    let folder = Folder::new();
    folder.write("careless.wat", CARELESS);
    folder.write("in", "longer than its quota");
    folder.write("out", "old");
    let node = |name: &str, channels: &[&str]| {
        let channels: String = channels.iter().map(|channel| format!("{channel}\n")).collect();
        let text = format!(
            "Version = 20140509\nProgram = ${{MANIFEST_DIR}}/careless.wat\nMemory = 1048576, 0\nTimeout = 60\n\
             {channels}Channel = /dev/null, /dev/stderr, 0, 0, 0, 1, 1\n"
        );
        folder.write(name, text)
    };
    let reads = |name: &str, more: &[&str]| {
        let channels = [
            "Channel = netpipe:data:r, /dev/stdin, 0, 99, 99, 0, 0",
            "Channel = ${MANIFEST_DIR}/out, /dev/stdout, 0, 0, 0, 99, 99",
        ];
        node(name, &[&channels, more].concat())
    };
    let writes = |name: &str, more: &[&str]| {
        let channels = [
            "Channel = ${MANIFEST_DIR}/in, /dev/stdin, 0, 99, 99, 0, 0",
            "Channel = netpipe:data:w, /dev/stdout, 0, 0, 0, 99, 6",
        ];
        node(name, &[&channels, more].concat())
    };
    let told = |done: &Done, words: &[&str]| {
        for words in words {
            assert!(done.stderr.contains(words), "{words}: {done:?}");
        }
    };
    let lost = "reads: channel /dev/stdin: read netpipe:data:r: ";
    let reader = reads("reads", &[]);
    let done = run(zvfs(["run", &writes("writes", &[]), &reader]));
    told(
        &done,
        &["writes: channel /dev/stdout: its quota put_size refused a write, and it is to be whole", lost],
    );
    assert_ne!(done.code, 0);
    assert_eq!(fs::read_to_string(folder.at("out")).unwrap(), "old");
    // Who wants what there is says so.
    let kept = writes("kept", &["Partial = keep, /dev/stdout"]);
    assert_eq!(run(zvfs(["run", &kept, &reader])).code, 0);
    assert_eq!(fs::read_to_string(folder.at("out")).unwrap(), "longer");
    // A writer that waits for its reader's end does not wait for the Timeout.
    let begun = Instant::now();
    let answers = reads("reads", &["Channel = netpipe:answer:w, /answers, 0, 0, 0, 1, 1"]);
    let waits = writes("waits", &["Channel = netpipe:answer:r, /answer, 0, 9, 9, 0, 0"]);
    let done = run(zvfs(["run", &waits, &answers]));
    told(&done, &["waits: /dev/stdout: the guest reached its quota: put_size", lost]);
    assert_ne!(done.code, 0);
    assert!(begun.elapsed() < Duration::from_secs(30), "{done:?}");
}

#[test]
fn the_wordcount_job_counts_a_real_text_over_loaded_providers() {
    counted(zvfs(["run", &wordcount()]));
    // From any folder, by a relative name too.
    let mut command = zvfs(["run", "wordcount.manifest"]);
    command.current_dir(repository("examples/jobs/wordcount"));
    counted(command);
}

#[test]
fn without_its_library_the_job_fails_and_says_which_and_where() {
    let folder = Folder::new();
    let empty = folder.path().to_str().unwrap();
    let mut command = bare();
    command.args(["--provider-path", empty, "run", &wordcount()]);
    let done = run(command);
    done.failed(14, &["unknown scheme `file`", "libzvfs_file.so", empty]);
    assert!(done.stdout.is_empty());
}

/// All sessions in one text: a collector wants the numbers of one kind together.
#[test]
fn metrics_tell_all_sessions_at_the_end() {
    let folder = Folder::new();
    let file = folder.at("metrics");
    let done = run(zvfs(["run", "--report", "metrics", "--report-file", &file, &wordcount(), &wordcount()]));
    assert_eq!(done.code, 0, "{done:?}");
    let text = fs::read_to_string(&file).unwrap();
    let codes: Vec<&str> = text.lines().filter(|line| line.starts_with("zvfs_session_exit_code{")).collect();
    let line =
        |session| format!("zvfs_session_exit_code{{session=\"{session}\",manifest=\"{}\"}} 0", wordcount());
    assert_eq!(codes, [line(1), line(2)]);
    assert!(text.contains("channel=\"/dev/stdin\",way=\"get\"}"), "{text}");
    let families: Vec<&str> = text.lines().filter(|line| line.starts_with("# TYPE")).collect();
    let mut once = families.clone();
    once.sort();
    once.dedup();
    assert_eq!(once.len(), families.len(), "{text}");
    assert!(text.ends_with("# EOF\n"), "{text}");
}

#[test]
fn reports_come_as_text_or_json_to_where_they_are_asked() {
    let folder = Folder::new();
    let done = run(zvfs(["run", "--report", "text", &wordcount()]));
    assert_eq!(done.code, 0, "{done:?}");
    let lines: Vec<&str> = done.stderr.lines().collect();
    assert_eq!(
        (lines.len(), &lines[..4], lines[5], lines[6]),
        (7, &["0", "0", "0", "disabled"][..], "ok", "")
    );

    let file = folder.at("report");
    run(zvfs(["run", "--report", "json", "--report-file", &file, &wordcount()])).succeeded();
    let report: serde_json::Value = serde_json::from_str(&fs::read_to_string(&file).unwrap()).unwrap();
    let size = fs::metadata(repository("examples/jobs/wordcount/input.txt")).unwrap().len();
    assert_eq!((&report["exit_code"], &report["state"]), (&0.into(), &"ok".into()));
    assert_eq!(report["channels"][0]["get_bytes"], size);

    run(zvfs(["run", "--report-file", &file, &wordcount(), &wordcount()]))
        .stdout
        .iter()
        .for_each(|byte| assert!(byte.is_ascii()));
    assert_eq!(fs::read_to_string(&file).unwrap().matches("\nok\n\n").count(), 2);

    let nowhere = folder.at("missing/report");
    let done = run(zvfs(["run", "--report-file", &nowhere, &wordcount()]));
    done.failed(2, &["write the report to", "missing/report"]);
    assert!(done.stdout.is_empty());
}

#[test]
fn a_guests_own_code_is_told_and_returned_if_asked() {
    let folder = Folder::new();
    let three = guest(&folder, "three", "(call $exit (i32.const 3))");
    let large = guest(&folder, "large", "(call $exit (i32.const 256))");
    let trap = guest(&folder, "trap", "unreachable");
    let how = "three.manifest: the guest exited with code 3, which is a good end (--exit-code guest makes it this command's exit code)";
    run(zvfs(["run", &three])).failed(0, &[how]);
    run(zvfs(["run", "--exit-code", "guest", &three]))
        .failed(3, &["three.manifest: the guest exited with code 3\n"]);
    run(zvfs(["run", "--exit-code", "guest", &large])).failed(255, &["code 256"]);
    run(zvfs(["run", "--exit-code", "guest", &trap])).failed(4, &["trap.manifest: trap: "]);
    run(zvfs(["run", "--exit-code", "guest", &wordcount(), &three])).failed(3, &["code 3"]);
    run(zvfs(["run", &wordcount(), &trap, &three])).failed(4, &["trap.manifest: trap", "code 3"]);
}

#[test]
fn manifests_run_side_by_side() {
    let folder = Folder::new();
    // Each waits for the other, through two FIFOs: one after the other they would never end.
    let (there, back) = (folder.fifo("there"), folder.fifo("back"));
    let passes = |name: &str, from: &str, to: &str, first: &str| {
        folder.write(
            &format!("{name}.wat"),
            format!(
                r#"(module
                    (import "wasi_snapshot_preview1" "fd_read" (func $read (param i32 i32 i32 i32) (result i32)))
                    (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
                    (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
                    (memory (export "memory") 1)
                    (data (i32.const 0) "\10\00\00\00\01\00\00\00")
                    (func $check (param i32) (if (local.get 0) (then (call $exit (local.get 0)))))
                    (func $get (call $check (call $read (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 8))))
                    (func $put (call $check (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8))))
                    (func (export "_start") {first}))"#
            ),
        );
        folder.write(
            &format!("{name}.manifest"),
            format!(
                "Version = 20140509\nProgram = ${{MANIFEST_DIR}}/{name}.wat\nMemory = 1048576, 0\nTimeout = 60\n\
                 Channel = {from}, /dev/stdin, 0, 9, 9, 0, 0\n\
                 Channel = {to}, /dev/stdout, 0, 0, 0, 9, 9\n\
                 Channel = /dev/null, /dev/stderr, 0, 0, 0, 1, 1\n"
            ),
        )
    };
    let asks = passes("asks", &back, &there, "(call $put) (call $get)");
    let answers = passes("answers", &there, &back, "(call $get) (call $put)");
    let done = run(zvfs(["run", "--exit-code", "guest", "--report", "json", &asks, &answers]));
    assert_eq!(done.code, 0, "{done:?}");
    assert_eq!(done.stderr.matches("\"state\":\"ok\"").count(), 2, "{done:?}");
}

#[test]
fn what_is_told_has_time_and_level_if_that_is_wanted() {
    let folder = Folder::new();
    let stopped = guest(&folder, "stopped", "unreachable");
    let three = guest(&folder, "three", "(call $exit (i32.const 3))");
    let done = run(zvfs(["run", "--log-format", "text", &stopped, &three]));
    assert_eq!(done.code, 4, "{done:?}");
    for (level, words) in [("error", "stopped.manifest: "), ("warning", "three.manifest: the guest exited")] {
        let told = |line: &str| line.get(24..).is_some_and(|rest| rest.starts_with(&format!(" {level} ")));
        let found = done.stderr.lines().find(|line| line.contains(words));
        assert!(found.is_some_and(told), "{level}: {done:?}");
    }
    // Before a guest there is; and of any command.
    let absent = folder.at("absent");
    for command in [["run", &absent], ["cat", &absent]] {
        let done = run(zvfs([&["--log-format", "json"], &command[..]].concat()));
        let line: serde_json::Value = serde_json::from_str(done.stderr.trim_end()).unwrap();
        assert_eq!(line["level"], "error", "{done:?}");
        assert!(line["message"].as_str().unwrap().contains("absent"), "{done:?}");
    }
}

#[test]
fn a_timeout_ends_a_wait_for_a_fifo_that_nobody_writes() {
    let folder = Folder::new();
    let fifo = folder.fifo("fifo");
    let manifest = folder.wordcount("m", 1, &fifo, "/dev/stdout");
    let start = Instant::now();
    run(zvfs(["run", &manifest])).failed(4, &["m: timeout"]);
    assert!((Duration::from_secs(1)..Duration::from_secs(60)).contains(&start.elapsed()));
}

/// A case report: "timeout" alone told nobody which pipe was waited for, nor why it did not come about.
#[test]
fn a_timeout_says_for_whom_a_pipe_waited() {
    let folder = Folder::new();
    // Nobody listens there.
    let manifest = folder.wordcount("m", 2, "/dev/null", "tcp://127.0.0.1:1");
    let words = ["m: timeout: channel /dev/stdout: ", "tcp://127.0.0.1:1: waited for ", "last refusal: "];
    run(zvfs(["run", &manifest])).failed(4, &words);
}

#[test]
fn standard_input_is_a_channel_like_any_other() {
    let folder = Folder::new();
    let manifest = folder.wordcount("m", 60, "/dev/stdin", "/dev/stdout");
    let text = "one two\nthree\n".repeat(1000);
    assert_eq!(run_with(zvfs(["run", &manifest]), text.as_bytes()).succeeded().out(), wc(&text));
}

#[test]
fn a_bad_manifest_is_told_with_its_line_and_code() {
    let folder = Folder::new();
    let good = fs::read_to_string(folder.wordcount("good", 60, "/dev/null", "/dev/stdout")).unwrap();
    let padded = |size: usize| good.clone() + "#" + &"x".repeat(size - good.len() - 1);
    let long = format!("Channel = file:/{}, /dev/stdin, 0, 9, 9, 0, 0\n", "x".repeat(400_000));
    let library = fs::read(library("null")).unwrap();
    let cases: [(&str, Vec<u8>, i32, &[&str]); 12] = [
        ("empty", Vec::new(), 14, &["MANIFEST 1", "Version"]),
        ("full", padded(MANIFEST_MAX).into(), 0, &[]),
        ("over", padded(MANIFEST_MAX + 1).into(), 14, &["524288 bytes"]),
        ("huge", vec![b'\n'; 4 * MANIFEST_MAX], 14, &["524288 bytes"]),
        ("lines", vec![b'\n'; 0x2001], 14, &["8192 lines"]),
        ("binary", library[..10_000].into(), 14, &["MANIFEST"]),
        ("crlf", good.replace('\n', "\r\n").into(), 0, &[]),
        ("truncated", good[..good.len() - 60].into(), 14, &["MANIFEST 6", "channel"]),
        ("twice", (good.clone() + "Timeout = 5\n").into(), 14, &["MANIFEST 8", "Timeout is given twice"]),
        (
            "long",
            (good.clone() + &long.replace("/dev/stdin", "/x")).into(),
            14,
            &["MANIFEST 8", "400006 bytes"],
        ),
        ("scheme", good.replace("/dev/null,", "unknown:x,").into(), 14, &["unknown scheme `unknown`"]),
        ("nil", good.replace("99999, 99999999, 0, 0", "0, 0, 0, 0").into(), 22, &["/dev/stdin"]),
    ];
    for (name, bytes, code, words) in cases {
        let manifest = folder.write(name, bytes);
        let done = run(zvfs(["run", &manifest]));
        done.failed(code, words);
        assert!(done.stderr.len() < 2000, "{name}: {done:?}");
    }
    run(zvfs(["run", &folder.at("missing")])).failed(2, &["missing: read the manifest: no such file"]);
    run(zvfs(["run", folder.path().to_str().unwrap()])).failed(2, &["read the manifest"]);
}

#[test]
fn nothing_runs_if_one_manifest_is_bad() {
    let folder = Folder::new();
    let bad = folder.write("bad", "Version = 1\n");
    let done = run(zvfs(["run", "--report", "json", &wordcount(), &bad, &folder.at("missing")]));
    assert_eq!((done.code, done.out()), (14, ""), "{done:?}");
    assert!(done.stderr.contains("bad: MANIFEST 1") && done.stderr.contains("\"exit_code\":2"), "{done:?}");
}

fn json_lines(text: &str) -> Vec<serde_json::Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// A case report: reports had no names, and of a good and a bad manifest only the bad one's came, whichever was first.
#[test]
fn each_manifest_has_its_report_in_order_and_by_name_on_a_stream_of_its_own() {
    let folder = Folder::new();
    let (good, missing, file) = (wordcount(), folder.at("missing"), folder.at("report"));
    for (order, exits, states) in [
        ([&good, &missing], [14, 2], ["not started: ", "read the manifest: "]),
        ([&missing, &good], [2, 14], ["read the manifest: ", "not started: "]),
    ] {
        let done = run(zvfs(["run", "--report", "json", "--report-file", &file, order[0], order[1]]));
        done.failed(2, &["missing: read the manifest"]);
        let reports = json_lines(&fs::read_to_string(&file).unwrap());
        assert_eq!(reports.len(), 2);
        for (((report, path), exit), state) in reports.iter().zip(order).zip(exits).zip(states) {
            assert_eq!((&report["manifest"], &report["exit_code"]), (&path.as_str().into(), &exit.into()));
            assert!(report["state"].as_str().unwrap().starts_with(state), "{report}");
        }
    }
    // What the run as a whole fails for is told of each, too.
    let nowhere = folder.at("nowhere.toml");
    let done = run(under(&nowhere, &["run", "--report", "json", "--report-file", &file, &good, &good]));
    assert_ne!(done.code, 0, "{done:?}");
    let reports = json_lines(&fs::read_to_string(&file).unwrap());
    assert!(
        reports.len() == 2
            && reports.iter().all(|report| report["state"].as_str().unwrap().contains("nowhere.toml"))
    );
    // A descriptor of the shell's is a stream of its own: nothing but reports.
    let three = guest(&folder, "three", "(call $exit (i32.const 3))");
    let command = zvfs(["run", "--report", "json", "--report-file", "/dev/fd/3", &three]);
    let mut shell = Command::new("sh");
    shell
        .args(["-c", &format!("exec 3>{file}; exec \"$0\" \"$@\"")])
        .arg(command.get_program())
        .args(command.get_args());
    run(shell).failed(0, &["the guest exited with code 3"]);
    let reports = json_lines(&fs::read_to_string(&file).unwrap());
    assert_eq!((reports.len(), &reports[0]["guest_code"]), (1, &3.into()));
}

/// The keys of an object, with those of what lies in it: `a`, `a.b`, `c[].d`.
fn keys(value: &serde_json::Value, at: &str, list: &mut BTreeSet<String>) {
    if let Some(object) = value.as_object() {
        for (key, value) in object {
            let at = if at.is_empty() { key.clone() } else { format!("{at}.{key}") };
            list.insert(at.clone());
            keys(value, &at, list);
        }
    }
    for item in value.as_array().into_iter().flatten() {
        keys(item, &format!("{at}[]"), list);
    }
}

#[test]
fn the_page_on_reports_has_each_field_and_no_other() {
    let folder = Folder::new();
    let file = folder.at("report");
    run(zvfs(["run", "--report", "json", "--report-file", &file, &wordcount()])).succeeded();
    let mut fields = BTreeSet::new();
    keys(&json_lines(&fs::read_to_string(&file).unwrap())[0], "", &mut fields);
    let page = fs::read_to_string(repository("docs/report.md")).unwrap();
    let told: BTreeSet<String> = page
        .lines()
        // The page's later tables are of other forms.
        .skip_while(|line| !line.starts_with("| Field | Type |"))
        .take_while(|line| line.starts_with('|'))
        .filter_map(|line| Some(line.strip_prefix("| `")?.split_once('`')?.0.to_owned()))
        .collect();
    assert_eq!(fields, told);
}

#[test]
fn a_manifests_warnings_are_told() {
    let folder = Folder::new();
    let manifest = guest(&folder, "fine", "");
    let text = fs::read_to_string(&manifest).unwrap() + "Job = /tmp/socket\n";
    fs::write(&manifest, text).unwrap();
    let told = "fine.manifest: MANIFEST 8: Job has no effect";
    run(zvfs(["run", &manifest])).failed(0, &[told]);
    // Found: not where the run could not start.
    let missing = folder.at("missing");
    run(zvfs(["run", &manifest, &missing])).failed(2, &[told]);
    run(under(&missing, &["run", &manifest])).failed(2, &[told]);
}

/// Found: two manifests with one target were refused only if they overlapped in time; else the last one's content stayed.
#[test]
fn two_manifests_with_one_target_are_refused_before_anything_runs() {
    let folder = Folder::new();
    let (target, other) = (folder.write("target", "before"), folder.at("link"));
    std::os::unix::fs::symlink(&target, &other).unwrap();
    let to = |name: &str, target: &str| {
        let text = fs::read_to_string(guest(&folder, name, "")).unwrap();
        folder.write(name, text.replace("/dev/null, /dev/stdout", &format!("{target}, /dev/stdout")))
    };
    for (one, two) in [
        (target.as_str(), format!("file:{target}")),
        (&target, format!("file:{}", other.replace("link", "%6cink"))),
        ("mem:x", "MEM:x".into()),
    ] {
        let pair = [to("one", one), to("two", &two)];
        let done = run(zvfs(["run", &pair[0], &pair[1]]));
        done.failed(
            16,
            &["is written by channel /dev/stdout of ", "one and by channel /dev/stdout of ", "two: "],
        );
        assert_eq!(fs::read_to_string(&target).unwrap(), "before");
    }
    // A stream that leads to a file is shared on purpose.
    let mut command = zvfs(["run", &to("one", "/dev/stdout"), &to("two", "/dev/stdout")]);
    command.stdout(fs::File::create(folder.at("shared")).unwrap());
    assert_eq!(command.status().unwrap().code(), Some(0));
}

#[test]
fn a_manifests_folder_is_found_through_links_and_dots_and_refused_if_it_would_split() {
    let folder = Folder::new();
    fs::create_dir(folder.path().join("a,b")).unwrap();
    fs::create_dir(folder.path().join("a b%20=")).unwrap();
    guest(&folder, "a,b/fine", "");
    let odd = guest(&folder, "a b%20=/fine", "");
    for name in ["a,b", "a b%20="] {
        let manifest = folder.path().join(name).join("fine.manifest");
        let text = fs::read_to_string(&manifest).unwrap();
        fs::write(&manifest, text.replace(&format!("{name}/fine.wat"), "fine.wat")).unwrap();
    }
    run(zvfs(["run", &odd])).succeeded();
    run(zvfs(["run", &folder.at("a b%20=/../a b%20=/./fine.manifest")])).succeeded();
    run(zvfs(["run", &folder.at("a,b/fine.manifest")])).failed(14, &["${MANIFEST_DIR}", "contains `,`"]);
}

#[test]
fn a_reader_that_leaves_is_the_guests_to_see() {
    let folder = Folder::new();
    let manifest = folder.wordcount("m", 60, "/dev/stdin", "/dev/stdout");
    let mut command = zvfs(["run", "--exit-code", "guest", &manifest]);
    let mut started =
        Started::as_set(command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()));
    drop(started.child.stdout.take());
    drop(started.child.stdin.take());
    assert_eq!(started.end().code, 64, "WASI's EPIPE, which the example returns");
}
