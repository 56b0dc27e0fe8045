//! What goes into a guest as arguments and comes out as a reply.

use zvfs_modules_tests::redis::{Redis, Reply};

#[test]
fn replies_have_any_type_and_what_is_none_is_an_error() {
    if !Redis::is_here() {
        return;
    }
    let redis = Redis::start(&[], &[]);
    redis.load("resp", "Channel = redis:resp, /dev/stdout, 0, 0, 0, 1000000, 1m");
    let mut client = redis.client();
    let mut say = |text: &str| client.call(&["ZVM.CALL", "resp", "0", "say", text]);
    let text = |text: &str| Reply::Simple(text.into());
    assert_eq!(say("+fine\r\n"), text("fine"));
    say("-CODE words\n").is_error("CODE", &["words"]);
    assert_eq!(say(":-42\n"), Reply::Integer(-42));
    assert_eq!(say("$5\r\na\nb\rc\r\n"), Reply::bulk("a\nb\rc"));
    assert_eq!(say("_\n"), Reply::Bulk(None));
    assert_eq!(say("#t\n"), Reply::Integer(1));
    assert_eq!(say(",1.5\n"), Reply::bulk("1.5"));
    assert_eq!(say(",-15e-1\n"), Reply::bulk("-1.5"));
    assert_eq!(say(",-inf\n"), Reply::bulk("-inf"));
    assert_eq!(say("-CODE\n"), Reply::Error("CODE".into()));
    let nested = Reply::Array(vec![Reply::Integer(1), Reply::Array(vec![text("x"), Reply::Integer(2)])]);
    assert_eq!(say("*2\n:1\n%1\n+x\n:2\n"), nested);
    for (wrong, words) in [
        ("", "byte 0: it ends where a value should follow"),
        ("hello\n", "byte 0, 'hello': a value begins with one of"),
        (":1", "byte 0, ':1': a line without an end"),
        (":1\n:2\n", "byte 3, ':2': something follows"),
        (":1x\n", "not a number"),
        (": 1\n", "not a number"),
        ("$5\nabc\n", "longer than what follows"),
        ("$3\nabcd\n", "no line end"),
        ("*2\n:1\n", "byte 6: it ends where"),
        ("*2\n:1\n$x\u{7}\n", "byte 6, '$x.': not a number"),
        ("*999999999\n", "more than what follows"),
        ("*-1\n", "more than what follows"),
        ("#maybe\n", "#t or #f"),
        (",1e400\n", "not a decimal number that a double holds"),
        (",0x1p3\n", "not a decimal number"),
        (",infinity\n", "not a decimal number"),
        (",\n", "not a decimal number"),
        ("-\n", "an error begins with a code"),
        ("- x\n", "an error begins with a code"),
        ("-MOVED 1 evil.example:6379\n", "only the server may use"),
        ("-MOVED\t1 evil.example:6379\n", "only the server may use"),
        ("*1\n-ask 1 evil.example:6379\n", "only the server may use"),
        (&"*1\n".repeat(30), "too deep"),
    ] {
        say(wrong).is_error("ZVM", &["resp: malformed reply, so nothing was written: byte ", words]);
    }
    // Without a channel for it there is null.
    redis.load("mute", "Channel = redis:log, /dev/stdout, 0, 0, 0, 9, 9");
    assert_eq!(client.call(&["ZVM.CALL", "mute", "0", "say", "x"]), Reply::Bulk(None));
}

/// A stranger's report: the keys were written before the reply was found to be none.
#[test]
fn a_malformed_reply_writes_nothing() {
    if !Redis::is_here() {
        return;
    }
    let redis = Redis::start(&["--loglevel", "verbose"], &[]);
    let channels = "Channel = redis:resp, /dev/stdout, 0, 0, 0, 9, 99\n\
                    Channel = redis:key/1, /out, 0, 0, 0, 9, 99\nChannel = $FOLDER/file, /file, 0, 0, 0, 9, 99";
    redis.load("writes", channels);
    redis.load("commits", &format!("Commit = success\n{channels}"));
    let mut client = redis.client();
    client.call(&["SET", "key", "old"]);
    for program in ["writes", "commits"] {
        client
            .call(&["ZVM.CALL", program, "1", "key", "say", "hello"])
            .is_error("ZVM", &[program, "malformed reply, so nothing was written: byte 0, 'hello'"]);
        // One that fails says so, and its reply is none either.
        client
            .call(&["ZVM.CALL", program, "1", "key", "fail", "3"])
            .is_error("ZVM", &[program, "exited with 3"]);
        assert_eq!(client.call(&["GET", "key"]), Reply::bulk("old"));
        assert!(!redis.folder().join("file").exists());
    }
    assert!(redis.log().contains("malformed reply: byte 0, 'hello'"), "{}", redis.log());
    assert_eq!(client.call(&["ZVM.CALL", "writes", "1", "key", "say", "+x\n"]), Reply::Simple("x".into()));
    assert_eq!(client.call(&["GET", "key"]), Reply::bulk(""));
}

#[test]
fn arguments_reach_the_guest_whole_one_way_or_the_other() {
    if !Redis::is_here() {
        return;
    }
    let redis = Redis::start(&[], &[]);
    redis.load("both", "Channel = redis:argument/2, /second, 0, 1000000, 1m, 0, 0");
    let mut client = redis.client();
    let odd = b"a\0b\r\n\xff".to_vec();
    let call = |verb: &str, odd: &[u8], last: &str| {
        let words = [&b"ZVM.CALL"[..], b"both", b"0", verb.as_bytes(), odd, last.as_bytes()];
        redis.client().call_bytes(&words)
    };
    assert_eq!(call("arguments", &odd, "\u{e4}\n"), Reply::bulk("0,3,"));
    let large = vec![b'x'; 100_000];
    assert_eq!(call("arguments", &large, "y"), Reply::bulk("0,1,"));
    let words = [&b"ZVM.CALL"[..], b"both", b"0", b"copy", b"/second"];
    assert_eq!(client.call_bytes(&words), Reply::bulk("/second"));
}
