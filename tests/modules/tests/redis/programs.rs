//! Programs and the module's arguments.

use crate::{COPIES, ok};
use std::fs;
use zvfs_abi_tests::project;
use zvfs_modules_tests::guest;
use zvfs_modules_tests::redis::{Redis, Reply, manifest};
use zvfs_test_support::built;

/// A program that does nothing.
const EMPTY: &str = "(module (memory (export \"memory\") 1) (func (export \"_start\")))";

#[test]
fn the_example_counts() {
    if !Redis::is_here() {
        return;
    }
    let redis = Redis::start(&[], &[]);
    let manifest = fs::read(project().join("modules/redis/examples/counter.manifest")).unwrap();
    let program = fs::read(guest("modules/redis/examples/counter.c")).unwrap();
    let mut client = redis.client();
    assert_eq!(client.call_bytes(&[b"ZVM.LOAD", b"counter", &manifest, b"PROGRAM", &program]), ok());
    assert_eq!(client.call(&["ZVM.CALL", "counter", "1", "visits", "5"]), Reply::Integer(5));
    assert_eq!(client.call(&["ZVM.CALL", "counter", "1", "visits", "7"]), Reply::Integer(12));
    assert_eq!(client.call(&["GET", "visits"]), Reply::bulk("12"));
    client
        .call(&["ZVM.CALL", "counter", "1", "visits"])
        .is_error("ZVM", &["counter", "exited with 1", "usage"]);
    assert_eq!(client.call(&["GET", "visits"]), Reply::bulk("12"));
    // Found: it counted from 0 where a key held `abc`, and over the largest number.
    let (min, max) = (&i64::MIN.to_string(), &i64::MAX.to_string());
    for (value, number, why) in [
        ("abc", "1", "the key's value is not an integer"),
        ("1x", "1", "the key's value is not an integer"),
        (" 1", "1", "the key's value is not an integer"),
        ("9223372036854775808", "1", "the key's value is not an integer or out of range"),
        ("1", "x", "the argument is not an integer"),
        ("1", "", "the argument is not an integer"),
        (max, "1", "the sum would overflow"),
        (min, "-1", "the sum would overflow"),
    ] {
        client.call(&["SET", "visits", value]);
        client.call(&["ZVM.CALL", "counter", "1", "visits", number]).is_error("ZVM", &["exited with 1", why]);
        assert_eq!(client.call(&["GET", "visits"]), Reply::bulk(value));
    }
    client.call(&["SET", "visits", max]);
    assert_eq!(client.call(&["ZVM.CALL", "counter", "1", "visits", min]), Reply::Integer(-1));
}

/// Found: `redis:key/0` was loaded, and each call failed.
#[test]
fn what_no_call_could_open_is_refused_at_load() {
    if !Redis::is_here() {
        return;
    }
    let redis = Redis::start(&[], &[]);
    let mut client = redis.client();
    let written = "/x, 0, 0, 0, 9, 9";
    let read = "/x, 0, 9, 9, 0, 0";
    for (source, rest, words) in [
        ("redis:key/0", read, "redis:key/0 names nothing: write redis:key/N"),
        ("redis:key/1x", read, "names nothing"),
        ("redis:key/", read, "names nothing"),
        ("redis:key/-1", read, "names nothing"),
        ("redis:key/99999999999999999999", read, "names nothing"),
        ("redis:key/4294967297", read, "names nothing"),
        ("redis:key/1;redis:optional/1", written, "redis:optional/1: channel /x writes this key too"),
        ("redis:secret", read, "names nothing"),
        ("REDIS:key/0", read, "names nothing"),
        ("REDIS:key/1;redis:key/1", written, "redis:key/1: channel /x writes this key too"),
        ("redis:optional/1;redis:key/0", written, "redis:key/0 names nothing"),
        ("redis:argument/1", written, "redis:argument/1 can only be read"),
        ("redis:resp", read, "redis:resp can only be written"),
        ("redis:resp", written, "another channel writes the reply"),
    ] {
        let text = manifest(&format!("Channel = {source}, {rest}"));
        client.call(&["ZVM.LOAD", "odd", &text]).is_error("ERR", &["zvm.load: channel /", words]);
    }
    assert_eq!(client.call(&["ZVM.LIST"]), Reply::Array(vec![]));
}

/// A stranger's report: such programs were loaded, and each call failed.
#[test]
fn what_no_provider_serves_and_what_does_not_fit_is_refused_at_load() {
    if !Redis::is_here() {
        return;
    }
    let redis = Redis::start(&[], &[]);
    let mut client = redis.client();
    for (line, words) in [
        (
            "Channel = nosuch://host/x, /x, 0, 9, 9, 0, 0",
            ["MANIFEST 3: channel /x: ", "unknown scheme `nosuch`"],
        ),
        (
            "Channel = http://127.0.0.1:1/x, /x, 0, 9, 9, 0, 0",
            ["MANIFEST 3: channel /x: ", "`http` is not allowed"],
        ),
        ("Memory = 1k, 0", ["MANIFEST 3: Memory: ", "the program starts with 65536"]),
    ] {
        let text = manifest(line);
        client.call(&["ZVM.LOAD", "odd", &text, "PROGRAM", EMPTY]).is_error("ERR", &words);
    }
    // Nobody looks for what it leads to.
    let text = manifest("Channel = /does/not/exist, /x, 0, 9, 9, 0, 0");
    assert_eq!(client.call(&["ZVM.LOAD", "later", &text, "PROGRAM", EMPTY]), ok());
    assert_eq!(client.call(&["ZVM.LIST"]), Reply::Array(vec![Reply::bulk("later")]));
}

#[test]
fn a_call_gives_the_keys_and_arguments_that_the_manifest_names() {
    if !Redis::is_here() {
        return;
    }
    let redis = Redis::start(&[], &[]);
    redis.load("copies", COPIES);
    redis.load("reads", "Channel = redis:argument/3, /third, 0, 9, 9, 0, 0");
    let mut client = redis.client();
    client
        .call(&["ZVM.CALL", "copies", "1", "a", "copy"])
        .is_error("ERR", &["zvm.call: copies needs 2 keys and was given 1"]);
    client
        .call(&["ZVM.CALL", "reads", "1", "a", "say", "x"])
        .is_error("ERR", &["zvm.call: reads needs 3 arguments after its keys and was given 2"]);
    assert_eq!(client.call(&["ZVM.CALL", "reads", "1", "a", "say", "x", "y"]), Reply::bulk("x y"));
    assert_eq!(redis.counter("started"), 1);
}

#[test]
fn a_program_is_loaded_with_the_module_if_the_operator_allows_it() {
    if !Redis::is_here() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    fs::copy(guest("modules/redis/examples/counter.c"), at("counter.wasm")).unwrap();
    let text = fs::read_to_string(project().join("modules/redis/examples/counter.manifest")).unwrap();
    fs::write(at("manifest"), text.replace("/srv/guests/counter.wasm", &at("counter.wasm"))).unwrap();
    let load = ["load", "counter", &at("manifest")];
    let refused = Redis::try_start(&[], &load).err().unwrap();
    assert!(refused.contains("argument load") && refused.contains("root"), "{refused}");
    let operator = format!("provider-path = [{:?}]\n[provider.file]\n", built());
    fs::write(at("zvfs.toml"), operator).unwrap();
    let redis = Redis::start(&[], &["config", &at("zvfs.toml"), load[0], load[1], load[2]]);
    assert_eq!(redis.client().call(&["ZVM.CALL", "counter", "1", "n", "2"]), Reply::Integer(2));
}

/// A stranger's report: "provider-path is empty", and no word of what would set it.
#[test]
fn without_an_operators_file_errors_say_which_argument_names_it() {
    if !Redis::is_here() {
        return;
    }
    let hint = "no operator's file is named: give the module the argument config";
    let redis = Redis::without_operators_file(&["nice", "0"]).unwrap();
    let mut client = redis.client();
    client.call(&["ZVM.LOAD", "tool", &manifest("")]).is_error("ERR", &["unknown scheme", hint]);
    let reads = manifest("Channel = /etc/hostname, /file, 0, 9, 9, 0, 0");
    client
        .call(&["ZVM.LOAD", "reads", &reads, "PROGRAM", EMPTY])
        .is_error("ERR", &["MANIFEST 3: channel /file: ", "unknown scheme", hint]);
    let file = redis.at("manifest");
    fs::write(&file, manifest("")).unwrap();
    let said = Redis::without_operators_file(&["load", "tool", &file]).err().unwrap();
    assert!(said.contains("unknown scheme") && said.contains(hint), "{said}");
}

#[test]
fn programs_are_checked_when_they_are_loaded() {
    if !Redis::is_here() {
        return;
    }
    let redis = Redis::start(&[], &[]);
    redis.load("tool", "");
    let mut client = redis.client();
    let text = manifest("");
    client.call(&["ZVM.LOAD", "tool", &text, "PROGRAM", "x"]).is_error("ERR", &["tool is loaded", "REPLACE"]);
    client.call(&["ZVM.LOAD", "new", "Version = 1"]).is_error("ERR", &["MANIFEST"]);
    client.call(&["ZVM.LOAD", "new", &text, "PROGRAM", "no program"]).is_error("ERR", &["bad program"]);
    client.call(&["ZVM.LOAD", "new", &text]).is_error("ERR", &["/given"]);
    client.call(&["ZVM.LOAD", "a name", &text]).is_error("ERR", &["a name has 1 to 64"]);
    client.call(&["ZVM.LOAD", "new", &text, "PROGRAMM", "x"]).is_error("ERR", &["write ZVM.LOAD"]);
    assert_eq!(client.call(&["ZVM.LIST"]), Reply::Array(vec![Reply::bulk("tool")]));
    // A replaced one keeps its running calls.
    assert_eq!(client.call(&["ZVM.LOAD", "tool", &text, "REPLACE", "PROGRAM", EMPTY]), ok());
    assert_eq!(client.call(&["ZVM.CALL", "tool", "0", "say", "x"]), Reply::bulk(""));
    let Reply::Array(info) = client.call(&["ZVM.INFO", "tool"]) else { panic!("no ZVM.INFO") };
    assert_eq!(info[1], Reply::bulk(&text));
    assert_eq!(client.call(&["ZVM.UNLOAD", "tool"]), ok());
    client.call(&["ZVM.UNLOAD", "tool"]).is_error("NOPROGRAM", &[]);
}

#[test]
fn arguments_of_the_module_are_checked() {
    if !Redis::is_here() {
        return;
    }
    for (arguments, words) in [
        (&["threads", "0"][..], "`0` is not a number from 1 to 1024"),
        (&["threads"], "its value is missing"),
        (&["value-limit", "1t"], "`1t` is not a number"),
        (&["colour", "red"], "argument `colour`: unknown"),
        (&["worker", "zvfs"], "not an absolute path"),
        (&["threads", "4", "load", "a", "b", "threads", "5"], "argument threads: given twice: `4` and `5`"),
        (&["worker", "/nope"], "argument worker: compile the program by /nope: "),
        (&["worker", "/bin/true"], "argument worker: compile the program by /bin/true: "),
        (&["config", "/a", "config", "/b"], "argument config: given twice: `/a` and `/b`"),
        (&["load", "x"], "load NAME FILE"),
        (&["load", "x", "/does/not/exist"], "read /does/not/exist"),
        (&["cache-folder", "/tmp/x"], "cache-folder and cache-key go together: cache-key is missing"),
        (&["cache-key", "/tmp/x"], "cache-folder and cache-key go together: cache-folder is missing"),
    ] {
        let text = Redis::try_start(&[], arguments).err().unwrap();
        assert!(text.contains(words), "{arguments:?}: {text}");
    }
}
