//! ZeroVM's rules for jobs of several nodes and for manifests, by their numbers: 19 to 22, 24 and 25. The others are about one
//! channel each: `zvm/tests/channel/rules.rs` and `zvm/tests/guest/rules.rs`.

use crate::support::{Folder, run, run_with, zvfs};
use std::fs;
use zvfs_test_support::Random;

/// Copies fd 0 to fd 1 in chunks of random sizes up to 64 KiB, and works for each chunk, the longer the more arguments it has.
const COPY: &str = r#"(module
  (import "wasi_snapshot_preview1" "fd_read" (func $read (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "random_get" (func $random (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "args_sizes_get" (func $args (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
  (memory (export "memory") 3)
  (func $check (param i32) (if (local.get 0) (then (call $exit (local.get 0)))))
  (func $work (param $rounds i32)
    (loop (if (local.get $rounds) (then (local.set $rounds (i32.sub (local.get $rounds) (i32.const 1))) (br 1)))))
  (func $put (param $at i32) (param $count i32)
    (loop
      (if (local.get $count) (then
        (i32.store (i32.const 0) (local.get $at))
        (i32.store (i32.const 4) (local.get $count))
        (call $check (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8)))
        (local.set $at (i32.add (local.get $at) (i32.load (i32.const 8))))
        (local.set $count (i32.sub (local.get $count) (i32.load (i32.const 8))))
        (br 1)))))
  (func (export "_start")
    (call $check (call $args (i32.const 16) (i32.const 20)))
    (block $end (loop $next
      (call $check (call $random (i32.const 24) (i32.const 2)))
      (i32.store (i32.const 0) (i32.const 65536))
      (i32.store (i32.const 4) (i32.add (i32.load16_u (i32.const 24)) (i32.const 1)))
      (call $check (call $read (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 8)))
      (br_if $end (i32.eqz (i32.load (i32.const 8))))
      (call $work (i32.mul (i32.load (i32.const 16)) (i32.const 2000)))
      (call $put (i32.const 65536) (i32.load (i32.const 8)))
      (br $next)))))"#;

/// Copies fd 0 to every channel of `/out/`, whose number is its argument's length, or all of `/in/` to fd 1, one after the
/// other, if there are two arguments.
const BUNCH: &str = r#"(module
  (import "wasi_snapshot_preview1" "fd_read" (func $read (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "path_open" (func $open (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "args_sizes_get" (func $args (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
  (memory (export "memory") 3)
  (data (i32.const 64) "in/0out/0")
  (func $check (param i32) (if (local.get 0) (then (call $exit (local.get 0)))))
  (func $get (param $fd i32) (result i32)
    (i32.store (i32.const 0) (i32.const 65536))
    (i32.store (i32.const 4) (i32.const 65536))
    (call $check (call $read (local.get $fd) (i32.const 0) (i32.const 1) (i32.const 8)))
    (i32.load (i32.const 8)))
  (func $put (param $fd i32) (param $count i32)
    (i32.store (i32.const 0) (i32.const 65536))
    (i32.store (i32.const 4) (local.get $count))
    (call $check (call $write (local.get $fd) (i32.const 0) (i32.const 1) (i32.const 8))))
  ;; Opens the channel of this number; descriptors follow from 4.
  (func $named (param $path i32) (param $length i32) (param $number i32) (param $right i64)
    (i32.store8 (i32.add (local.get $path) (i32.sub (local.get $length) (i32.const 1)))
      (i32.add (i32.const 49) (local.get $number)))
    (call $check (call $open (i32.const 3) (i32.const 0) (local.get $path) (local.get $length) (i32.const 0)
      (local.get $right) (i64.const 0) (i32.const 0) (i32.const 8))))
  (func (export "_start") (local $number i32) (local $count i32) (local $all i32)
    (call $check (call $args (i32.const 16) (i32.const 20)))
    ;; argv[0] is `p`: what is left is the argument and its NUL.
    (local.set $all (i32.sub (i32.load (i32.const 20)) (i32.const 3)))
    (if (i32.eq (i32.load (i32.const 16)) (i32.const 3)) (then
      (local.set $all (i32.sub (local.get $all) (i32.const 2)))
      (loop $each
        (call $named (i32.const 64) (i32.const 4) (local.get $number) (i64.const 2))
        (block $end (loop $next
          (local.set $count (call $get (i32.add (i32.const 4) (local.get $number))))
          (br_if $end (i32.eqz (local.get $count)))
          (call $put (i32.const 1) (local.get $count))
          (br $next)))
        (local.set $number (i32.add (local.get $number) (i32.const 1)))
        (br_if $each (i32.lt_u (local.get $number) (local.get $all)))))
    (else
      (loop $each
        (call $named (i32.const 68) (i32.const 5) (local.get $number) (i64.const 64))
        (local.set $number (i32.add (local.get $number) (i32.const 1)))
        (br_if $each (i32.lt_u (local.get $number) (local.get $all))))
      (block $end (loop $next
        (local.set $count (call $get (i32.const 0)))
        (br_if $end (i32.eqz (local.get $count)))
        (local.set $number (i32.const 0))
        (loop $each
          (call $put (i32.add (i32.const 4) (local.get $number)) (local.get $count))
          (local.set $number (i32.add (local.get $number) (i32.const 1)))
          (br_if $each (i32.lt_u (local.get $number) (local.get $all))))
        (br $next)))))))"#;

const QUOTA: &str = "99999999, 999999999";

/// A manifest of a node; the standard channels that these channels lack are /dev/null.
fn node(folder: &Folder, name: &str, program: &str, args: &str, channels: &[String]) -> String {
    let mut text = format!(
        "Version = 20140509\nProgram = ${{MANIFEST_DIR}}/{program}\nMemory = 1048576, 0\nTimeout = 100\nNode = {name}\nArgs = {args}\n"
    );
    for channel in channels {
        text += &format!("Channel = {channel}\n");
    }
    for (standard, quotas) in
        [("/dev/stdin", "1, 1, 0, 0"), ("/dev/stdout", "0, 0, 1, 1"), ("/dev/stderr", "0, 0, 1, 1")]
    {
        if !channels.iter().any(|channel| channel.contains(standard)) {
            text += &format!("Channel = /dev/null, {standard}, 0, {quotas}\n");
        }
    }
    folder.write(&format!("{name}.manifest"), text)
}

fn reads(source: &str, alias: &str) -> String {
    format!("{source}, {alias}, 0, {QUOTA}, 0, 0")
}

fn writes(target: &str, alias: &str) -> String {
    format!("{target}, {alias}, 0, 0, 0, {QUOTA}")
}

/// Runs nodes in one run, each of which must end well.
fn all_end_well(nodes: &[String]) {
    let arguments = ["run", "--exit-code", "guest"].into_iter().chain(nodes.iter().map(String::as_str));
    run(zvfs(arguments)).succeeded();
}

#[test]
fn rule_19_a_file_goes_through_two_hops_in_random_chunks_each_node_slower() {
    let folder = Folder::new();
    folder.write("copy.wat", COPY);
    let data = Random(19).noise(32 << 20);
    let (from, to) = (folder.write("from", &data), folder.at("to"));
    let nodes = [
        node(
            &folder,
            "1",
            "copy.wat",
            "",
            &[reads(&from, "/dev/stdin"), writes("netpipe:2:w", "/dev/stdout")],
        ),
        node(
            &folder,
            "2",
            "copy.wat",
            "a b",
            &[reads("netpipe:1:r", "/dev/stdin"), writes("netpipe:3:w", "/dev/stdout")],
        ),
        node(
            &folder,
            "3",
            "copy.wat",
            "a b c d",
            &[reads("netpipe:2:r", "/dev/stdin"), writes(&to, "/dev/stdout")],
        ),
    ];
    all_end_well(&nodes);
    assert!(fs::read(&to).unwrap() == data);
}

#[test]
fn rule_20_a_bunch_of_writers_has_one_reader() {
    for count in [2, 3, 9] {
        let folder = Folder::new();
        folder.write("copy.wat", COPY);
        folder.write("p", BUNCH);
        let (mut nodes, mut channels, mut all) = (Vec::new(), Vec::new(), Vec::new());
        for number in 1..=count {
            let data = Random(number as u64).noise(300_000 + 1000 * number);
            let from = folder.write(&format!("from{number}"), &data);
            all.extend_from_slice(&data);
            let name = format!("w{number}");
            nodes.push(node(
                &folder,
                &name,
                "copy.wat",
                "",
                &[reads(&from, "/dev/stdin"), writes("netpipe:reader:w", "/dev/stdout")],
            ));
            channels.push(reads(&format!("netpipe:{name}:r"), &format!("/in/{number}")));
        }
        let to = folder.at("to");
        channels.push(writes(&to, "/dev/stdout"));
        nodes.push(node(&folder, "reader", "p", &format!("{} x", "n".repeat(count)), &channels));
        all_end_well(&nodes);
        assert!(fs::read(&to).unwrap() == all, "{count} writers");
    }
}

#[test]
fn rule_21_one_writer_has_a_bunch_of_readers() {
    let folder = Folder::new();
    folder.write("copy.wat", COPY);
    folder.write("p", BUNCH);
    let data = Random(21).noise(1 << 20);
    let from = folder.write("from", &data);
    let mut channels = vec![reads(&from, "/dev/stdin")];
    let mut nodes = Vec::new();
    for number in 1..=3 {
        let name = format!("r{number}");
        channels.push(writes(&format!("netpipe:{name}:w"), &format!("/out/{number}")));
        let to = writes(&folder.at(&name), "/dev/stdout");
        nodes.push(node(&folder, &name, "copy.wat", "", &[reads("netpipe:writer:r", "/dev/stdin"), to]));
    }
    nodes.push(node(&folder, "writer", "p", "nnn", &channels));
    all_end_well(&nodes);
    for number in 1..=3 {
        assert!(fs::read(folder.at(&format!("r{number}"))).unwrap() == data, "reader {number}");
    }
}

#[test]
fn rule_22_what_goes_into_one_session_comes_out_of_another() {
    let folder = Folder::new();
    folder.write("copy.wat", COPY);
    let data = Random(22).noise(1 << 20);
    let to = folder.at("g");
    let nodes = [
        node(
            &folder,
            "first",
            "copy.wat",
            "",
            &[reads("/dev/stdin", "/dev/stdin"), writes("netpipe:second:w", "/dev/stdout")],
        ),
        node(
            &folder,
            "second",
            "copy.wat",
            "",
            &[reads("netpipe:first:r", "/dev/stdin"), writes(&to, "/dev/stdout")],
        ),
    ];
    run_with(zvfs(["run", "--exit-code", "guest", &nodes[0], &nodes[1]]), &data).succeeded();
    assert!(fs::read(&to).unwrap() == data);
}

#[test]
fn rule_24_one_process_runs_many_manifests_with_outputs_of_their_own() {
    let folder = Folder::new();
    folder.write("copy.wat", COPY);
    let nodes: Vec<String> = (0..8)
        .map(|number| {
            let from =
                folder.write(&format!("from{number}"), Random(24 + number as u64).noise(100_000 + number));
            let to = folder.at(&format!("to{number}"));
            node(
                &folder,
                &format!("n{number}"),
                "copy.wat",
                "",
                &[reads(&from, "/dev/stdin"), writes(&to, "/dev/stdout")],
            )
        })
        .collect();
    all_end_well(&nodes);
    for number in 0..8 {
        let read = |name: &str| fs::read(folder.at(&format!("{name}{number}"))).unwrap();
        assert!(read("from") == read("to"), "session {number}");
    }
}

#[test]
fn rule_25_each_bad_manifest_has_its_exit_code() {
    let folder = Folder::new();
    folder.write("p.wat", r#"(module (memory (export "memory") 1) (func (export "_start")))"#);
    folder.write("f", "x");
    let socket = folder.at("socket");
    let _listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
    let good = "Version = 20130611\nProgram = ${MANIFEST_DIR}/p.wat\nMemory = 4294967296, 0\nTimeout = 10
Channel = /dev/null, /dev/stdin, 0, 0, 9, 9, 0, 0\nChannel = /dev/null, /dev/stdout, 0, 0, 0, 0, 9, 9
Channel = /dev/null, /dev/stderr, 0, 0, 0, 0, 9, 9\nChannel = ${MANIFEST_DIR}/f, /f, 3, 0, 9, 9, 9, 9\n";
    let f = "${MANIFEST_DIR}/f, /f, 3, 0, 9, 9, 9, 9";
    let stdin = "Channel = /dev/null, /dev/stdin, 0, 0, 9, 9, 0, 0\n";
    let cases = [
        ("good", f, f.to_owned(), 0),
        ("duplicate alias", f, f.replace("/f, 3", "/dev/stdin, 0"), 14),
        ("type 5", f, f.replace("/f, 3", "/f, 5"), 14),
        ("relative path", f, f.replace("${MANIFEST_DIR}/f", "f"), 14),
        ("relative alias", f, f.replace(" /f, 3", " f, 3"), 14),
        ("negative limit", f, f.replace("9, 9, 9, 9", "9, -9, 9, 9"), 14),
        ("bad memory tag", "4294967296, 0", "4294967296, 2".into(), 14),
        ("timeout 0", "Timeout = 10", "Timeout = 0".into(), 14),
        ("timeout -1", "Timeout = 10", "Timeout = -1".into(), 14),
        ("missing standard channel", stdin, String::new(), 14),
        ("no Version", "Version = 20130611\n", String::new(), 14),
        ("nonexistent path", f, f.replace("/f, /f, 3, 0, 9, 9, 9, 9", "/nothing, /f, 3, 0, 9, 9, 0, 0"), 14),
        ("too few fields", f, f.replace("9, 9, 9, 9", "9, 9, 9"), 14),
        ("too many fields", f, f.replace("9, 9, 9, 9", "9, 9, 9, 9, 9"), 14),
        ("nil channel", f, f.replace("9, 9, 9, 9", "0, 9, 0, 9"), 22),
        (
            "a socket",
            f,
            f.replace("${MANIFEST_DIR}/f, /f, 3, 0, 9, 9, 9, 9", &format!("{socket}, /f, 0, 0, 9, 9, 0, 0")),
            93,
        ),
        ("memory -1", "4294967296, 0", "-1, 0".into(), 12),
        ("no such program", "p.wat", "none.wat".into(), 2),
    ];
    for (what, from, to, code) in cases {
        let text = good.replace(from, &to);
        assert!(what == "good" || text != good, "{what}");
        let manifest = folder.write("m.manifest", text);
        let done = run(zvfs(["run", &manifest]));
        assert_eq!(done.code, code, "{what}: {done:?}");
    }
    for (what, text) in
        [("empty", ""), ("no channels", "Version = 20130611\nProgram = /p\nMemory = 1, 0\nTimeout = 1\n")]
    {
        let done = run(zvfs(["run", &folder.write("m.manifest", text)]));
        assert_eq!(done.code, 14, "{what}: {done:?}");
    }
}
