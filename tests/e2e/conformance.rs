//! `zvfs check` with descriptors: good providers pass, and each kind of defect is one failed line that says what to do.

use crate::support::{Done, Folder, run_long, zvfs};
use serde_json::Value;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use zvfs_test_support::{have, have_walls, library};

fn check(library: &str, more: &[&str]) -> Done {
    run_long(zvfs(["check", library].iter().chain(more)))
}

fn built(name: &str) -> String {
    library(name).display().to_string()
}

/// The lines of an output that start with a word.
fn lines<'a>(done: &'a Done, word: &str) -> Vec<&'a str> {
    done.out().lines().filter(|line| line.starts_with(word)).collect()
}

#[test]
fn good_providers_pass() {
    let folder = Folder::new();
    let (fifo, root) = (folder.fifo("fifo"), format!("root={}", folder.path().display()));
    let (named, file) =
        (format!("file:{}/{{name}}", folder.path().display()), folder.write("a", "some content"));
    for (name, more) in [
        ("mem", &["--write-descriptor", "mem:{name}", "--isolated", "-o", "limit=64m"][..]),
        ("null", &["--descriptor", "null:", "--write-descriptor", "null:"]),
        ("file", &["--write-descriptor", &named, "--blocking-descriptor", &fifo, "-o", &root]),
        ("file", &["--descriptor", &file, "--write-descriptor", "/dev/null", "--filter", "read_"]),
    ] {
        let done = check(&built(name), more);
        done.succeeded();
        assert!(lines(&done, "passed").len() > 5 && done.out().contains("nothing wrong with it"), "{done:?}");
        assert_eq!(lines(&done, "FAILED"), Vec::<&str>::new());
        assert_eq!(folder.names(), ["a", "fifo"], "what the checks made is gone");
    }
}

#[test]
fn json_says_the_same() {
    let done = check(&built("mem"), &["--write-descriptor", "mem:{name}", "--filter", "seek", "--json"]);
    let object: Value = serde_json::from_str(done.succeeded().out()).unwrap();
    let checks = object["checks"].as_array().unwrap();
    assert_eq!(checks[0]["name"], "descriptors_open");
    assert!(checks.len() > 3 && checks.iter().all(|check| check["verdict"] == "passed"), "{object}");
    assert!(checks.iter().skip(1).all(|check| check["name"].as_str().unwrap().contains("seek")), "{object}");
    assert!(object["table"][0].as_str().unwrap().starts_with("mem 0.1.0"), "{object}");
    assert_eq!(object["defects"], Value::Array(vec![]));
    let done = check(&built("file"), &["--descriptor", "/no/such/file", "--json"]);
    let object: Value = serde_json::from_str(done.out()).unwrap();
    assert_eq!((done.code, &object["checks"][0]["verdict"]), (80, &Value::from("failed")), "{object}");
    assert!(object["checks"][0]["fix"].is_string() && object["checks"][0]["text"].is_string(), "{object}");
}

#[test]
fn what_cannot_be_read_is_one_failed_line() {
    let done = check(&built("file"), &["--descriptor", "/no/such/file"]);
    done.failed(80, &["libzvfs_file.so", "1 of 1 checks failed"]);
    let failed = lines(&done, "FAILED");
    assert!(failed.len() == 1 && failed[0].contains("no such file"), "{done:?}");
    assert!(done.out().contains("to fix: give a descriptor"), "{done:?}");
    check(&built("mem"), &["--descriptor", "mem:a", "-o", "limit=plenty"]).failed(80, &["1 of 1"]);
    check(&built("mem"), &["--write-descriptor", "mem:{name}", "--filter", "nothing-like-it"])
        .failed(22, &["no check has `nothing-like-it` in its name"]);
}

#[test]
fn secrets_are_given_as_an_operator_gives_them() {
    let folder = Folder::new();
    let (own, open) = (folder.write("own", "s3cret\n"), folder.write("open", "s3cret\n"));
    for (path, mode) in [(&own, 0o600), (&open, 0o644)] {
        fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
    }
    for (setting, why) in [
        // What only starts with its setting gets as far as the server that is not there.
        (format!("bearer-file={own}"), "connection refused"),
        (format!("bearer-file={open}"), "others may read or change it"),
        ("bearer=s3cret".to_owned(), "write `bearer-file` or `bearer-env` instead"),
    ] {
        let settings = ["-o", &setting, "-o", "credentials-for=127.0.0.1"];
        let done = check(&built("http"), &[&["--descriptor", "http://127.0.0.1:1/"][..], &settings].concat());
        assert!(done.code == 80 && done.out().contains(why) && !done.out().contains("s3cret"), "{done:?}");
    }
}

/// What a -D of `defect.c` makes wrong: the check that fails, and words of its line.
const DEFECTS: &[(&str, &str, &str)] = &[
    ("ONE_INSTANCE", "instances_start_and_stop", "crashed with signal 6 (abort)"),
    ("REFUSES_HINTS", "unknown_hints_are_ignored", "EINVAL"),
    ("TOUCHES_THE_TAIL", "read_stays_inside_the_buffer", "beyond it"),
    ("OVERRUNS", "read_stays_inside_the_buffer", "crashed with signal 11 (bad memory access)"),
    ("UNDERRUNS", "read_stays_inside_the_buffer", "crashed with signal 11"),
    ("EXITS", "read_takes_any_size", "called exit, which a provider must not do"),
    ("ONE_POSITION -DSEEKABLE", "readers_do_not_share_a_position", "the first file"),
    ("SEEK_ABORTS -DSEEKABLE", "seek_to_extremes_is_no_panic", "crashed with signal 6"),
    ("SLEEPS_ON", "cancel_ends_a_blocked_call", ""),
    ("STOPS_WITH_EIO", "deadline_ends_a_blocked_call", "EIO"),
    ("LEAKS", "opens_leak_no_descriptors", "descriptors were open"),
    ("NOT_PARALLEL", "files_work_in_parallel", "crashed with signal 6"),
    ("TWO_LINES", "errors_say_what_happened", "full stop"),
    ("ALLOWS_CONTRADICTIONS", "contradictory_flags_are_einval", "open with READ|CREATE returned 0"),
    ("TAKES_UNKNOWN", "unknown_values_are_einval", "flush with the unknown value 99 returned 0"),
    ("ANY_EXTENSION", "unknown_extensions_are_null", "is not NULL"),
    ("NO_TEXT", "errors_come_with_their_text", "wrote no message"),
    ("ENDLESS_TEXT", "errors_come_with_their_text", "does not end within its 1000 bytes"),
    ("OTHER_CODE", "errors_come_with_their_text", "wrote the code 17"),
    ("NULL_ERROR", "a_null_error_is_borne", "crashed with signal 11"),
    ("OUT_ON_FAILURE", "a_failed_open_leaves_its_output_alone", "wrote *out"),
    ("ERROR_ON_SUCCESS", "success_leaves_the_error_alone", "wrote into err"),
    ("EXACT_SIZE", "larger_structs_are_borne", "EINVAL"),
    ("CLOSE_SLEEPS", "close_waits_for_nothing", "close of a file that was read waits"),
    ("CHANGES_FOLDER", "the_process_is_left_alone", "the working folder from /"),
    ("CHANGES_UMASK", "the_process_is_left_alone", "the umask from 0022 to 0000"),
    // As most programs begin.
    ("CHANGES_LOCALE", "the_process_is_left_alone", "the locale from C to C.UTF-8"),
    ("CHANGES_ENVIRONMENT", "the_process_is_left_alone", "the environment's DEFECT"),
    ("IGNORES_SIGPIPE", "the_process_is_left_alone", "the ignored signals"),
    (
        "RAISES_SIGPIPE",
        "instances_start_and_stop",
        "crashed with signal 13 (SIGPIPE: write sockets with MSG_NOSIGNAL)",
    ),
    ("LEAVES_A_THREAD", "stop_leaves_no_thread", "these threads run on"),
    ("STARTS_A_THREAD_WHEN_LOADED", "loading_changes_nothing", "a thread of it runs"),
    ("CHANGES_UMASK_WHEN_LOADED", "loading_changes_nothing", "the umask from 0022 to 0000"),
    ("USES_THE_REQUEST", "no_pointer_is_kept_past_a_call", "crashed with signal 11"),
];

/// Builds `defect.c` with one defect, and what that needs.
fn defect(folder: &Folder, defines: &str) -> String {
    let defines: Vec<String> = defines.split(" -D").map(|define| format!("-D{define}")).collect();
    folder.plugin("defect", &defines.iter().map(String::as_str).collect::<Vec<_>>())
}

#[test]
fn a_layer_in_c_passes_over_the_file_provider() {
    let Some(folder) = Folder::needing(&["cc"]) else { return };
    let library = folder.plugin("layer", &["-DCLEAN"]);
    let (place, fifo) = (folder.path().display(), folder.fifo("fifo"));
    let (named, blocks) = (format!("layer:pass,file:{place}/{{name}}"), format!("layer:pass,file:{fifo}"));
    let done = check(&library, &["--write-descriptor", &named, "--blocking-descriptor", &blocks]);
    done.succeeded();
    assert!(lines(&done, "passed").len() > 50 && lines(&done, "FAILED").is_empty(), "{done:?}");
    for name in
        ["folders_are_made_and_removed", "layers_pass_folders_on", "times_are_kept", "names_take_times"]
    {
        assert!(done.out().contains(&format!("passed   {name}\n")), "{name}: {done:?}");
    }
    // One of before folders.
    let library = folder.plugin("layer", &["-DCLEAN", "-DFOLDERLESS"]);
    let done = check(&library, &["--write-descriptor", &named, "--filter", "layers_pass_folders_on"]);
    done.failed(80, &["1 of 2 checks failed"]);
    assert!(done.out().contains("zvfs.folders/1"), "{done:?}");
}

/// Such a layer failed 30 of 70 checks, with advice that led nowhere; and what the checks had made stayed.
#[test]
fn a_layer_that_changes_bytes_passes_once_it_is_said_what_comes_back() {
    if !have(&["cc", "tr"]) {
        return;
    }
    let (folder, place) = (Folder::new(), Folder::new());
    let library = folder.plugin("layer", &["-DCLEAN"]);
    let named = format!("layer:capitals,file:{}/{{name}}", place.path().display());
    let done = check(&library, &["--write-descriptor", &named, "--comes-back", "tr a-z A-Z"]);
    done.succeeded();
    assert!(lines(&done, "passed").len() > 50 && lines(&done, "FAILED").is_empty(), "{done:?}");
    assert_eq!(place.names(), Vec::<String>::new());
    let done = check(&library, &["--write-descriptor", &named, "--filter", "write_is_read_back"]);
    done.failed(80, &["1 of 2 checks failed"]);
    assert!(done.out().contains("--comes-back"), "{done:?}");
    assert_eq!(place.names(), Vec::<String>::new());
}

#[test]
fn several_kinds_of_file_are_checked_in_one_run_and_what_was_not_tried_is_told() {
    let folder = Folder::new();
    let (one, other) = (folder.write("one", "some content"), folder.write("other", ""));
    let done =
        check(&built("file"), &["--descriptor", &one, "--descriptor", &other, "--filter", "read_end_is"]);
    let out = done.succeeded().out();
    for word in [&one, &other] {
        assert!(out.contains(&format!("passed   read_end_is_zero_and_stays ({word})")), "{done:?}");
    }
    assert!(
        out.contains("4 checks passed") && out.contains("writing was not tried: give --write-descriptor"),
        "{out}"
    );
    // A provider that writes too is not at fault for what the command line lacks.
    let done = check(&built("file"), &["--descriptor", &one, "--filter", "claims_something"]);
    assert!(done.succeeded().out().contains("2 checks passed"), "{done:?}");
}

#[test]
fn a_library_is_checked_in_every_place_that_it_may_have() {
    if !have_walls() {
        return;
    }
    let named = ["--write-descriptor", "mem:{name}", "--filter", "read_", "--place", "all"];
    let done = check(&built("mem"), &named);
    let out = done.succeeded().out();
    for place in ["in the host", "in a process"] {
        let line = format!("passed   read_end_is_zero_and_stays ({place})");
        assert!(out.contains(&line), "no `{line}` in {out}");
    }

    // Behind the walls, what it may do is what --may says.
    let folder = Folder::new();
    let (file, table) = (folder.write("one", "some content"), format!("read = [{:?}]", folder.path()));
    let reading = ["--descriptor", &file, "--filter", "read_", "--place", "process"];
    check(&built("file"), &[&reading[..], &["--may", &table]].concat()).succeeded();
    let done = check(&built("file"), &reading);
    done.failed(80, &["checks failed"]);
    assert!(done.out().contains("access denied") && done.out().contains("--may"), "{done:?}");
    let done = check(&built("file"), &["--place", "process", "--may", "raed = []"]);
    assert!(done.code == 64 && done.stderr.contains("did you mean `read`?"), "{done:?}");
}

#[test]
fn a_library_that_is_checked_in_a_process_is_loaded_nowhere_else() {
    if !have(&["cc"]) {
        return;
    }
    if !have_walls() {
        return;
    }
    let folder = Folder::new();
    let mark = folder.path().join("mark");
    let constructor = format!(
        "#include <fcntl.h>\n__attribute__((constructor)) static void mark(void) {{ open(\"{}\", O_CREAT, 0600); }}\n",
        mark.display()
    );
    let library = folder.library("libzvfs_mark.so", &constructor);
    for (place, marked) in [("process", false), ("host", true)] {
        check(&library, &["--place", place]).failed(80, &["no symbol zvfs_provider_v1"]);
        assert_eq!(mark.exists(), marked, "{place}");
    }
}

/// A check that crashed could not clean up after itself.
#[test]
fn what_a_crashed_check_made_is_removed_too() {
    if !have(&["cc"]) {
        return;
    }
    let (folder, place) = (Folder::new(), Folder::new());
    let library = folder.plugin("layer", &["-DCRASHES_AFTER_COMMIT"]);
    let named = format!("layer:pass,file:{}/{{name}}", place.path().display());
    let done = check(&library, &["--write-descriptor", &named, "--filter", "write_takes_any_size"]);
    done.failed(80, &["1 of 2 checks failed"]);
    assert!(done.out().contains("crashed with signal 6"), "{done:?}");
    assert_eq!(place.names(), Vec::<String>::new());
}

#[test]
fn what_cannot_be_removed_is_told() {
    if !have(&["cc"]) {
        return;
    }
    let (folder, place) = (Folder::new(), Folder::new());
    let library = folder.plugin("layer", &["-DNAMELESS"]);
    let named = format!("layer:pass,file:{}/{{name}}", place.path().display());
    let done = check(&library, &["--write-descriptor", &named, "--filter", "truncate_flag_empties"]);
    assert!(
        done.code == 0 && done.stderr.contains("could not remove what they made, such as layer:pass,file:"),
        "{done:?}"
    );
    assert_eq!(place.names().len(), 1);
}

const REACH: [&str; 4] = ["--descriptor", "defect:x", "--blocking-descriptor", "defect:block"];

#[test]
fn each_kind_of_defect_is_told_with_what_to_fix() {
    let Some(folder) = Folder::needing(&["cc"]) else { return };
    for (define, name, words) in DEFECTS {
        let done = check(&defect(&folder, define), &[&REACH[..], &["--filter", name]].concat());
        let failed = lines(&done, "FAILED");
        assert_eq!((done.code, failed.len()), (80, 1), "{define}: {done:?}");
        assert!(failed[0].contains(name) && failed[0].contains(words), "{define}: {failed:?}");
        assert!(done.out().contains("         to fix: "), "{define}: {done:?}");
        done.failed(80, &["1 of 2 checks failed"]);
    }
}

#[test]
fn a_crash_and_a_hang_are_one_line_each_and_the_others_go_on() {
    let Some(folder) = Folder::needing(&["cc"]) else { return };
    let clean = check(&defect(&folder, "CLEAN"), &REACH);
    clean.succeeded();
    let all =
        clean.out().lines().filter(|line| line.starts_with("passed") || line.starts_with("skipped")).count();
    assert!(all > 60 && lines(&clean, "passed").len() > 25, "{clean:?}");

    let done = check(&defect(&folder, "DIES_AFTER_THE_END"), &REACH);
    done.failed(80, &[&format!("1 of {all} checks failed")]);
    let failed = lines(&done, "FAILED");
    assert!(
        failed[0].starts_with("FAILED   read_end_is_zero_and_stays: crashed with signal 11"),
        "{failed:?}"
    );

    // Of the checks that have time: one that is done in a moment must not be taken for a hang on a busy machine.
    let some = ["--filter", "unknown", "--timeout", "30s"];
    let done = check(&defect(&folder, "HANGS"), &[&REACH[..], &some].concat());
    done.failed(80, &["1 of 4 checks failed"]);
    let failed = lines(&done, "FAILED");
    assert!(failed[0].starts_with("FAILED   unknown_values_are_einval: hangs"), "{failed:?}");
}
