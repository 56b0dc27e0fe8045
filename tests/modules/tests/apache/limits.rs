//! Guests that reach a limit of their manifest's.

use crate::clients::asked;
use zvfs_modules_tests::apache::Apache;
use zvfs_test_support::{eventually, run};

#[test]
fn a_guest_that_overruns_a_byte_quota_gets_no_more_and_its_answer_is_none() {
    if !Apache::is_here() {
        return;
    }
    let narrow = "Channel = /dev/null, /dev/stdin, 0, 1000, 1000, 0, 0\n\
                  Channel = /dev/null, /dev/stdout, 0, 0, 0, 1000, 100000\n\
                  Channel = $FOLDER/elsewhere, /data, 0, 100, 3, 0, 0";
    let apache = Apache::start(&[("narrow", narrow, ""), ("guest", "", "")]);
    for (version, tls) in [("--http1.1", false), ("--http2", true)] {
        let ask = |path: &str, body: &str| apache.curl(&[version, "--data-binary", body], tls, path);
        // Up to its quota.
        assert_eq!(ask("/narrow?sum", &"x".repeat(1000)), format!("1000 {}\n", 1000 * u64::from(b'x')));
        assert_eq!(ask("/narrow?many=99000", "").len(), 99_000);
        assert_eq!(ask("/narrow?file", ""), "sta");
        // Beyond it: an error, or an answer that breaks off if it had begun.
        for (path, body) in [("/narrow?many=200000", ""), ("/narrow?echo", &*"x".repeat(1001))] {
            let said =
                run(apache.curl_command(&[version, "--fail", "--data-binary", body], tls, path)).unwrap();
            let broken = if tls { 92 } else { 18 };
            assert!([Some(22), Some(broken)].contains(&said.status.code()), "{path} {version}: {said:?}");
            assert!(said.stdout.len() <= 100_000, "{path} {version}: {} bytes", said.stdout.len());
        }
        assert_eq!(ask("/guest?", ""), "hello\n");
    }
    for code in [3, 4] {
        assert!(apache.log().contains(&format!("the guest exited with {code}")), "{}", apache.log());
    }
}

#[test]
fn a_guest_that_spins_holds_up_nobody_and_is_stopped() {
    if !Apache::is_here() {
        return;
    }
    let mut apache = Apache::start(&[
        ("short", "Timeout = 1", "ZvmSessions 1\nZvmQueue 0"),
        ("long", "Timeout = 1000", "ZvmSessions 2\nZvmQueue 0"),
        ("guest", "", ""),
    ]);
    for place in ["/short?", "/long?", "/guest?"] {
        assert_eq!(apache.request(place, b"").text(), ("hello\n".into(), true));
    }
    assert_eq!(apache.request("/short?spin", b"").status, 500);
    assert!(apache.log().contains("timeout: "), "{}", apache.log());
    assert_eq!(apache.request("/short?", b"").status, 200, "its place is free");
    let spinning = [(); 2].map(|()| asked(&apache, "/long?spin"));
    eventually("both spin", || apache.request("/long?", b"").status == 503);
    for _ in 0..20 {
        assert_eq!(apache.request("/guest?", b"").text(), ("hello\n".into(), true));
    }
    // What is left of them computes no more.
    assert!(!apache.falls_quiet());
    drop(spinning);
    eventually("no thread computes", || apache.falls_quiet());
    assert_eq!(apache.request("/long?", b"").text(), ("hello\n".into(), true));
}
