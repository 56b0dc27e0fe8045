//! What goes wrong with an upload: nothing of it stays, and it is not taken for done.

use crate::common::*;
use std::collections::BTreeMap;
use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use vfs_core::{Code, Control, Finish, OpenFlags, OpenOptions};
use zvfs_http_servers::{After, Answer, FaultServer, pattern};
use zvfs_test_support::eventually;

/// One request.
const SMALL: u64 = 100_000;
/// Three parts.
const LARGE: u64 = 11 << 20;
const EXCLUSIVE: OpenFlags = UPLOAD.union(OpenFlags::EXCLUSIVE);

/// Answers a step in another way, so many times.
fn spoiling_step(step: Step, times: usize, how: impl Fn() -> Answer + Send + Sync + 'static) -> FaultServer {
    let spoilt = AtomicUsize::new(0);
    taking(move |_, now, peer| (now == step && is_early(&spoilt, times)).then(|| peer.send(&how())))
}

#[test]
fn transient_refusals_of_each_step_are_tried_again() {
    for step in [Step::Put, Step::Begin, Step::Part, Step::Complete] {
        let size = if step == Step::Put { SMALL } else { LARGE };
        let server = spoiling_step(step, 2, || refusal(503, "SlowDown", "wait"));
        upload(&quick(&server), UPLOAD, size).unwrap();
        let parts = if step == Step::Part { 3 } else { 0 };
        assert_eq!(count(&server, step), parts.max(1) + 2, "{step:?}");
    }
}

#[test]
fn final_refusals_of_each_step_are_errors_and_the_parts_are_removed() {
    for (status, name, code) in [
        (507, "InsufficientStorage", Code::ENOSPC),
        (403, "QuotaExceeded", Code::ENOSPC),
        (400, "XMinioAdminBucketQuotaExceeded", Code::ENOSPC),
        (403, "AccessDenied", Code::EACCES),
        (413, "EntityTooLarge", Code::EFBIG),
        (500, "InternalError", Code::EIO),
    ] {
        for step in [Step::Put, Step::Begin, Step::Part, Step::Complete] {
            let size = if step == Step::Put { SMALL } else { LARGE };
            let server = spoiling_step(step, usize::MAX, move || refusal(status, name, "no"));
            let error = refused(upload(&quick(&server), UPLOAD, size), code);
            let text = error.chain();
            assert!(text.contains(name) && text.contains(NAME), "{text}");
            if matches!(step, Step::Part | Step::Complete) {
                eventually("the parts are removed", || count(&server, Step::Abort) == 1);
            }
        }
    }
}

/// Parts cost requests, and some stores copy them once more.
#[test]
fn an_object_whose_size_is_known_is_one_request_up_to_a_limit() {
    for (told, limit, size, parts) in [
        (Some(LARGE), "11m", LARGE, 0),
        (Some(LARGE), "11m", LARGE - 1, 0),
        (Some(LARGE), "10m", LARGE, 3),
        (Some(LARGE), "0", 5 << 20, 0),
        (None, "11m", LARGE, 3),
        // More than was told.
        (Some(LARGE), "11m", LARGE + 1, 3),
        (Some(LARGE), "11m", LARGE + (5 << 20), 4),
        (Some(0), "11m", LARGE, 3),
    ] {
        let (put, content) = (Arc::new(Mutex::new(Vec::new())), Arc::new(Mutex::new(BTreeMap::new())));
        let (sent, pieces) = (put.clone(), content.clone());
        let server = FaultServer::http(move |request, peer| {
            let body = peer.body(request)?;
            match Step::of(request) {
                Step::Put => *sent.lock().unwrap() = body,
                Step::Part => drop(pieces.lock().unwrap().insert(request.target.clone(), body)),
                _ => {}
            }
            peer.send(&Step::of(request).answer())
        });
        let registry =
            registry(&server.url(""), &format!(r#"part-size = "5m", parallel = 2, put-size = "{limit}""#));
        let case = format!("{told:?}, {limit}, {size}");
        in_time(move || {
            let options = OpenOptions::new(UPLOAD);
            let options = told.iter().fold(options, |options, size| options.expected_size(*size));
            let mut file = registry.open(NAME, &options).unwrap();
            write_all(&mut file, size).unwrap();
            file.finish(Finish::Commit).unwrap();
        });
        assert_eq!(
            (count(&server, Step::Part), count(&server, Step::Put)),
            (parts, usize::from(parts == 0)),
            "{case}"
        );
        let content = content
            .lock()
            .unwrap()
            .values()
            .fold(put.lock().unwrap().clone(), |all, part| [all, part.clone()].concat());
        assert!(content == pattern::bytes(0..size), "{case}: {} bytes", content.len());
    }
}

/// S3 answers 200 before it has completed an object, and what went wrong comes in the body.
#[test]
fn an_error_in_the_body_of_a_200_is_one() {
    let server = spoiling_step(Step::Complete, 1, || refusal(200, "InternalError", "try again"));
    upload(&quick(&server), UPLOAD, LARGE).unwrap();
    for (name, code) in [
        ("InternalError", Code::EIO),
        ("SlowDown", Code::EBUSY),
        ("InvalidPart", Code::EIO),
        ("InsufficientStorage", Code::ENOSPC),
    ] {
        let server = spoiling_step(Step::Complete, usize::MAX, move || refusal(200, name, "no"));
        let error = refused(upload(&quick(&server), UPLOAD, LARGE), code);
        assert!(error.chain().contains(name), "{}", error.chain());
    }
}

#[test]
fn an_answer_that_is_lost_is_asked_for_again() {
    for (step, size) in [(Step::Put, SMALL), (Step::Part, LARGE), (Step::Complete, LARGE)] {
        let lost = AtomicUsize::new(0);
        let server = taking(move |_, now, _| (now == step && is_early(&lost, 1)).then_some(Ok(After::Reset)));
        upload(&quick(&server), UPLOAD, size).unwrap();
    }
}

/// A second attempt would find the first one's object, and take it for somebody else's.
#[test]
fn an_exclusive_upload_whose_answer_is_lost_is_not_sent_again() {
    for (step, size) in [(Step::Put, SMALL), (Step::Complete, LARGE)] {
        let server = taking(move |_, now, _| (now == step).then_some(Ok(After::Reset)));
        refused(upload(&quick(&server), EXCLUSIVE, size), Code::ECONNRESET);
        assert_eq!(count(&server, step), 1, "{step:?}");
    }
}

#[test]
fn exclusive_uploads_have_the_stores_condition() {
    for (step, size) in [(Step::Put, SMALL), (Step::Complete, LARGE)] {
        let server = spoiling_step(step, usize::MAX, || refusal(412, "PreconditionFailed", "there"));
        refused(upload(&quick(&server), EXCLUSIVE, size), Code::EEXIST);
        let has_condition =
            |request: &zvfs_http_servers::Request| request.header("If-None-Match") == Some("*");
        assert!(
            server.requests().iter().all(|request| has_condition(request) == (Step::of(request) == step))
        );
        let server = taking(|_, _, _| None);
        upload(&quick(&server), UPLOAD, size).unwrap();
        assert!(!server.requests().iter().any(has_condition));
    }
}

#[test]
fn an_upload_that_the_store_knows_no_more_is_not_done() {
    let server = spoiling_step(Step::Complete, usize::MAX, || refusal(404, "NoSuchUpload", "gone"));
    refused(upload(&quick(&server), UPLOAD, LARGE), Code::EIO);
}

#[test]
fn an_upload_that_is_not_taken_is_econnreset() {
    let server = FaultServer::http(|_, peer| {
        // Reads nothing: the kernel's buffers fill.
        peer.pause(SLACK)?;
        Ok(After::Close)
    });
    let registry = registry(&server.url(""), r#"retries = 0, part-size = "64m", stall-timeout = "200ms""#);
    refused(upload(&registry, UPLOAD, 60 << 20), Code::ECONNRESET);
}

#[test]
fn a_late_commit_goes_on_and_the_next_one_waits_for_it() {
    for size in [SMALL, LARGE] {
        let last = if size == SMALL { Step::Put } else { Step::Complete };
        let server = taking(move |_, now, peer| {
            (now == last).then(|| {
                peer.pause(Duration::from_millis(300))?;
                peer.send(&now.answer())
            })
        });
        let registry = quick(&server);
        in_time(move || {
            let control = Control::new();
            let mut file = registry.open(NAME, &OpenOptions::new(UPLOAD).control(&control)).unwrap();
            write_all(&mut file, size).unwrap();
            control.set_deadline(Some(Instant::now() + Duration::from_millis(50)));
            refused(file.finish(Finish::Commit), Code::ETIMEDOUT);
            control.set_deadline(None);
            file.finish(Finish::Commit).unwrap();
        });
        assert_eq!(count(&server, last), 1);
    }
}

#[test]
fn a_discard_after_a_late_commit_says_that_nobody_knows() {
    let server = taking(|_, now, peer| (now == Step::Put).then(|| peer.stall()));
    let registry = quick(&server);
    in_time(move || {
        let control = Control::new();
        let mut file = registry.open(NAME, &OpenOptions::new(UPLOAD).control(&control)).unwrap();
        write_all(&mut file, SMALL).unwrap();
        control.set_deadline(Some(Instant::now() + Duration::from_millis(50)));
        refused(file.finish(Finish::Commit), Code::ETIMEDOUT);
        control.set_deadline(None);
        refused(file.finish(Finish::Discard), Code::EIO);
    });
}

/// A case report: a store that lets nobody abort kept the parts, and nobody heard of it.
#[test]
fn parts_that_a_store_does_not_remove_are_told_with_their_upload() {
    let words = ["the parts of the upload id stay at the store", NAME, "have a rule of the bucket expire it"];
    for (status, code) in [(403, Code::EACCES), (405, Code::ENOTSUP)] {
        for is_discarded in [true, false] {
            let server = spoiling_step(Step::Abort, usize::MAX, move || refusal(status, "Refused", "no"));
            let log = Arc::new(Mutex::new(String::new()));
            let heard = log.clone();
            let registry = told_to(
                move |level, text| *heard.lock().unwrap() += &format!("{level:?} {text}\n"),
                &server.url(""),
                QUICK,
            );
            in_time(move || {
                let mut file = open(&registry, UPLOAD).unwrap();
                write_all(&mut file, LARGE).unwrap();
                if is_discarded {
                    let error = refused(file.finish(Finish::Discard), code).chain();
                    assert!(words.iter().all(|words| error.contains(words)), "{error}");
                }
            });
            eventually("the log has it", || {
                let log = log.lock().unwrap();
                log.contains("Warning") && words.iter().all(|words| log.contains(words))
            });
        }
    }
}

/// What the store began is aborted, though nobody waits for its name any more.
#[test]
fn an_upload_that_is_discarded_while_it_begins_is_aborted() {
    let server = taking(|_, now, peer| {
        (now == Step::Begin).then(|| {
            peer.pause(Duration::from_millis(300))?;
            peer.send(&now.answer())
        })
    });
    let registry = quick(&server);
    let mut file = open(&registry, UPLOAD).unwrap();
    write_all(&mut file, 6 << 20).unwrap();
    drop(file);
    eventually("the upload is aborted", || count(&server, Step::Abort) == 1);
}

#[test]
fn what_was_not_committed_is_not_put() {
    let server = taking(|_, _, _| None);
    let registry = quick(&server);
    for how in [Some(Finish::Discard), Some(Finish::End), None] {
        let mut file = open(&registry, UPLOAD).unwrap();
        write_all(&mut file, SMALL).unwrap();
        if let Some(how) = how {
            file.finish(how).unwrap();
        }
    }
    assert!(server.requests().is_empty());
}
