//! Uploads: what is sent, when COMMIT succeeds, and that what was given up leaves no trace.

use crate::common::*;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use vfs_core::{Code, Finish, OpenOptions, Registry, Result};
use zvfs_http_servers::{After, Answer, Authority, FaultServer, Request, pattern};

/// The bodies that came whole.
type Taken = Arc<Mutex<Vec<Vec<u8>>>>;

/// Takes uploads; keeps those that came whole, and answers with this.
fn taking(answer: Answer) -> (FaultServer, Taken) {
    let taken = Taken::default();
    let keep = taken.clone();
    let server = FaultServer::http(move |request, peer| {
        if request.method != "PUT" {
            return peer.send(&Answer::new(404));
        }
        let body = peer.body(request)?;
        keep.lock().unwrap().push(body);
        peer.send(&answer)
    });
    (server, taken)
}

/// Writes this and commits.
fn upload(registry: &Registry, server: &FaultServer, bytes: &[u8]) -> Result<()> {
    upload_with(registry, server, bytes, OpenOptions::new(UPLOAD))
}

fn upload_with(registry: &Registry, server: &FaultServer, bytes: &[u8], how: OpenOptions) -> Result<()> {
    let (registry, url, bytes) = (registry.clone(), server.url("/x"), bytes.to_vec());
    in_time(move || {
        let mut file = registry.open(&url, &how)?;
        write_all(&mut file, &bytes)?;
        file.finish(Finish::Commit)
    })
}

fn uploads(requests: &[Request]) -> Vec<&Request> {
    requests.iter().filter(|request| request.method == "PUT").collect()
}

#[test]
fn an_upload_of_unknown_length_comes_whole() {
    for size in [0, 1, 3_000_000] {
        let (server, taken) = taking(Answer::new(201));
        let bytes = pattern::bytes(0..size);
        upload(&quick(), &server, &bytes).unwrap();
        assert!(*taken.lock().unwrap() == [bytes]);
    }
}

#[test]
fn an_upload_of_known_length_says_it() {
    let (server, taken) = taking(Answer::new(204).without("Content-Length"));
    let bytes = pattern::bytes(0..3_000_000);
    upload_with(&quick(), &server, &bytes, OpenOptions::new(UPLOAD).expected_size(3_000_000)).unwrap();
    assert!(*taken.lock().unwrap() == [bytes]);
    let requests = server.requests();
    assert_eq!(uploads(&requests)[0].header("Content-Length"), Some("3000000"));
}

#[test]
fn an_upload_under_tls_comes_whole() {
    let (authority, taken) = (Authority::new(), Taken::default());
    let keep = taken.clone();
    let server = FaultServer::https(&authority.good(), move |request, peer| {
        let body = peer.body(request)?;
        keep.lock().unwrap().push(body);
        peer.send(&Answer::new(201))
    });
    let registry = registry(&format!("ca-file = {:?}", authority.ca_file()));
    let bytes = pattern::bytes(0..3_000_000);
    upload(&registry, &server, &bytes).unwrap();
    assert!(*taken.lock().unwrap() == [bytes]);
}

#[test]
fn commit_succeeds_only_if_the_server_says_so() {
    for (status, code) in [
        (401, Some(Code::EACCES)),
        (403, Some(Code::EACCES)),
        (404, Some(Code::ENOENT)),
        (409, None),
        (413, None),
        (500, None),
        (507, None),
        // "Accepted" was taken for stored, and a part for the whole.
        (202, Some(Code::EIO)),
        (206, Some(Code::EPROTO)),
        (207, Some(Code::EPROTO)),
    ] {
        let (server, _) = taking(Answer::new(status).body("no"));
        let error = upload(&quick(), &server, b"bytes").unwrap_err();
        assert!(error.chain().contains(&status.to_string()), "{}", error.chain());
        if let Some(code) = code {
            assert_eq!(error.code(), code, "{status}: {}", error.chain());
        }
    }
}

/// Takes uploads that say their length, and answers 411 to others: before their body, or only behind it.
fn wanting_lengths(before_the_body: bool) -> (FaultServer, Taken) {
    let taken = Taken::default();
    let keep = taken.clone();
    let server = FaultServer::http(move |request, peer| {
        let refused = request.header("Content-Length").is_none();
        if refused && before_the_body {
            return peer.cut(&Answer::new(411).body("say how long it is"), u64::MAX, After::Close);
        }
        let body = peer.body(request)?;
        if refused {
            return peer.send(&Answer::new(411).body("say how long it is"));
        }
        keep.lock().unwrap().push(body);
        peer.send(&Answer::new(201))
    });
    (server, taken)
}

/// Empty uploads went out in chunks, which servers that want a length refused.
#[test]
fn a_server_that_wants_a_length_gets_one_for_what_is_small() {
    for before_the_body in [true, false] {
        for size in [0, 1, 50_000] {
            let (server, taken) = wanting_lengths(before_the_body);
            let bytes = pattern::bytes(0..size);
            upload(&quick(), &server, &bytes).unwrap();
            assert!(*taken.lock().unwrap() == [bytes], "{size}");
        }
    }
}

#[test]
fn a_server_that_wants_a_length_refuses_what_is_large_in_its_own_words() {
    for before_the_body in [true, false] {
        let (server, taken) = wanting_lengths(before_the_body);
        let bytes = pattern::bytes(0..3_000_000);
        let error = refused(upload(&quick(), &server, &bytes), Code::ENOTSUP);
        assert!(error.chain().contains("411 length required"), "{}", error.chain());
        assert!(taken.lock().unwrap().is_empty());
    }
}

#[test]
fn an_upload_that_is_known_to_be_empty_says_so_and_takes_nothing() {
    let (server, taken) = taking(Answer::new(201));
    upload_with(&quick(), &server, b"", OpenOptions::new(UPLOAD).expected_size(0)).unwrap();
    assert!(*taken.lock().unwrap() == [b""]);
    let requests = server.requests();
    assert_eq!(uploads(&requests)[0].header("Content-Length"), Some("0"));
    assert_eq!(uploads(&requests)[0].header("Expect"), None);
    let url = server.url("/x");
    in_time(move || {
        let mut file = quick().open(&url, &OpenOptions::new(UPLOAD).expected_size(0)).unwrap();
        assert_eq!(file.write(b"x").unwrap_err().code(), Code::EFBIG);
        let mut file = quick().open(&url, &OpenOptions::new(UPLOAD).expected_size(0)).unwrap();
        file.finish(Finish::Discard).unwrap();
    });
    assert_eq!(server.requests().len(), 1, "what was given up was sent");
}

#[test]
fn a_refused_upload_says_why_before_within_and_behind_its_body() {
    const WHY: &str = "quota of team seven is used up";
    // Before the body; with most of it unread; behind it.
    for (expects, reads) in [(true, 0), (false, 100_000), (false, u64::MAX)] {
        let server = FaultServer::http(move |request, peer| {
            let answer = Answer::new(507).with("Content-Type", "text/plain").body(WHY);
            if reads == u64::MAX {
                peer.body(request)?;
            } else if reads > 0 {
                peer.take_some(reads)?;
            }
            peer.cut(&answer, u64::MAX, After::Close)
        });
        let settings = if expects { QUICK.to_owned() } else { format!("{QUICK}, expect-timeout = \"0s\"") };
        let bytes = pattern::bytes(0..5_000_000);
        let error = refused(upload(&registry(&settings), &server, &bytes), Code::ENOSPC);
        assert!(error.chain().contains(WHY), "{expects} {reads}: {}", error.chain());
    }
}

#[test]
fn a_connection_that_breaks_before_the_word_is_no_success() {
    for how in [After::Close, After::Reset] {
        let server = FaultServer::http(move |request, peer| {
            peer.body(request)?;
            Ok(how)
        });
        refused(upload(&registry("retries = 0"), &server, b"bytes"), Code::ECONNRESET);
    }
}

#[test]
fn a_connection_that_breaks_midway_fails_the_write_and_stays_failed() {
    let server = FaultServer::http(|request, peer| {
        peer.let_begin(request)?;
        Ok(After::Reset)
    });
    with_file(quick(), server.url("/x"), UPLOAD, |file| {
        let error =
            (0..1_000).find_map(|_| file.write_all(&[7; 65_536]).err()).expect("writes into nothing succeed");
        assert!(matches!(error.code(), Code::ECONNRESET | Code::EPIPE), "{}", error.chain());
        assert!(file.write(b"more").is_err());
        assert!(file.finish(Finish::Commit).is_err());
    });
}

#[test]
fn an_early_refusal_is_the_error_and_not_the_broken_pipe() {
    // Says no and closes, with most of the body unread.
    let server = FaultServer::http(|_, peer| {
        peer.send(&Answer::new(403).body("not here").with("Connection", "close"))?;
        Ok(After::Close)
    });
    for size in [10, 20_000_000] {
        refused(upload(&quick(), &server, &pattern::bytes(0..size)), Code::EACCES);
    }
}

#[test]
fn what_is_given_up_never_looks_whole() {
    for known in [false, true] {
        for how in [Some(Finish::Discard), None] {
            let (server, taken) = taking(Answer::new(201));
            let url = server.url("/x");
            in_time(move || {
                let open = OpenOptions::new(UPLOAD);
                let open = if known { open.expected_size(400_000) } else { open };
                let mut file = quick().open(&url, &open).unwrap();
                write_all(&mut file, &pattern::bytes(0..300_000)).unwrap();
                if let Some(how) = how {
                    file.finish(how).unwrap();
                }
            });
            assert!(server.wait_until(SLACK, |_, _, open| open == 0), "the connection stays open");
            assert!(taken.lock().unwrap().is_empty(), "partial output was taken for the whole");
        }
    }
}

#[test]
fn fewer_bytes_than_were_announced_are_no_success() {
    let (server, taken) = taking(Answer::new(201));
    let outcome = upload_with(&quick(), &server, b"bytes", OpenOptions::new(UPLOAD).expected_size(100));
    let bodies = taken.lock().unwrap().clone();
    match outcome {
        // The expected size is a hint: then they were sent without a length.
        Ok(()) => assert_eq!(bodies, [b"bytes".to_vec()]),
        Err(_) => assert!(bodies.is_empty()),
    }
}

#[test]
fn a_server_that_wants_to_be_asked_first_gets_its_body() {
    let (server, taken) = taking(Answer::new(201));
    upload(&quick(), &server, b"bytes").unwrap();
    assert_eq!(*taken.lock().unwrap(), [b"bytes".to_vec()]);
    // One that knows nothing of `Expect` says nothing until it has all.
    let taken = Taken::default();
    let keep = taken.clone();
    let server = FaultServer::http(move |request, peer| {
        let headers = request.headers.iter().filter(|(name, _)| !name.eq_ignore_ascii_case("Expect"));
        let plain = Request { headers: headers.cloned().collect(), ..request.clone() };
        let body = peer.body(&plain)?;
        keep.lock().unwrap().push(body);
        peer.send(&Answer::new(200))
    });
    upload(&registry(r#"expect-timeout = "50ms""#), &server, b"bytes").unwrap();
    assert_eq!(*taken.lock().unwrap(), [b"bytes".to_vec()]);
}

#[test]
fn an_upload_that_stands_still_is_econnreset() {
    let server = FaultServer::http(|request, peer| {
        peer.let_begin(request)?;
        peer.pause(Duration::from_secs(600))?;
        peer.stall()
    });
    let registry = registry(r#"stall-timeout = "200ms", first-byte-timeout = "200ms", retries = 0"#);
    // Not ETIMEDOUT: that would say that the write may be repeated.
    refused(upload(&registry, &server, &vec![7; 30_000_000]), Code::ECONNRESET);
}

#[test]
fn an_upload_that_is_taken_too_slowly_ends_by_the_least_rate() {
    let server = FaultServer::http(|request, peer| {
        peer.let_begin(request)?;
        for _ in 0..100_000 {
            peer.take_some(60_000)?;
            peer.pause(Duration::from_millis(10))?;
        }
        peer.stall()
    });
    let registry = registry(r#"least-rate = "1g", least-rate-time = "300ms", retries = 0"#);
    let error = refused(upload(&registry, &server, &vec![7; 100_000_000]), Code::ECONNRESET);
    assert!(error.chain().contains("`least-rate`"), "{}", error.chain());
}

#[test]
fn an_upload_s_redirect_keeps_method_and_body_or_is_an_error() {
    let (target, taken) = taking(Answer::new(201));
    for status in [301, 302, 303, 307, 308] {
        taken.lock().unwrap().clear();
        let to = target.url("/there");
        let server = FaultServer::http(move |request, peer| {
            if request.header("Expect").is_none() {
                peer.body(request)?;
            }
            peer.send(&Answer::redirect(status, &to).with("Connection", "close"))
        });
        let outcome = upload(&quick(), &server, b"bytes");
        let bodies = taken.lock().unwrap().clone();
        match outcome {
            Ok(()) => assert_eq!(bodies, [b"bytes".to_vec()], "{status}"),
            Err(_) => assert!(bodies.is_empty(), "{status}"),
        }
    }
    assert!(target.requests().iter().all(|request| request.method != "GET"), "a PUT became a GET");
}

/// "Is a redirect that cannot be followed" did not say where to.
#[test]
fn a_redirect_behind_the_body_says_where_to_upload_to() {
    let registry = registry(&format!("{QUICK}, expect-timeout = \"0s\""));
    for size in [5, 20_000_000] {
        for (status, words) in
            [(307, "upload to http://127.0.0.1:1/there?key=***"), (302, "change the request's method")]
        {
            let server = FaultServer::http(move |request, peer| {
                match size {
                    5 => peer.body(request).map(drop)?,
                    _ => peer.take_some(100_000)?,
                }
                let answer = Answer::redirect(status, "http://127.0.0.1:1/there?key=S3CRET");
                peer.cut(&answer, u64::MAX, After::Close)
            });
            let error = refused(upload(&registry, &server, &pattern::bytes(0..size)), Code::EPROTO);
            assert!(error.chain().contains(words), "{status} {size}: {}", error.chain());
        }
    }
}

#[test]
fn remove_deletes_and_says_what_is_not_there() {
    let server = FaultServer::http(|request, peer| {
        let status = match (request.method.as_str(), request.target.as_str()) {
            ("DELETE", "/there") => 204,
            ("DELETE", "/later") => 202,
            ("DELETE", _) => 404,
            _ => 405,
        };
        peer.send(&Answer::new(status).without("Content-Length").with("Connection", "close"))
    });
    let registry = quick();
    registry.remove(&server.url("/there"), &OpenOptions::default()).unwrap();
    refused(registry.remove(&server.url("/absent"), &OpenOptions::default()), Code::ENOENT);
    refused(registry.remove(&server.url("/later"), &OpenOptions::default()), Code::EIO);
}
