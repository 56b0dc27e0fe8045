//! A program that is being compiled.

use std::io::Write;
use zvfs_modules_tests::apache::{Answer, Apache};
use zvfs_modules_tests::gate::Gate;
use zvfs_test_support::eventually;

/// Found: whoever came meanwhile waited for its compiler, until the child process had no thread left for others.
#[test]
fn a_program_that_is_being_compiled_holds_up_no_more_requests_than_may_run_and_wait() {
    if !Apache::is_here() {
        return;
    }
    let gate = Gate::new();
    let worker = format!("</Location>\nZvmWorker {}\n<Location /elsewhere>", gate.compiler());
    let apache = Apache::start(&[("large", "Program = $FOLDER/large.wat", &worker), ("guest", "", "")]);
    // More than the child process has threads.
    let mut streams: Vec<_> = (0..40).map(|_| apache.connect()).collect();
    for stream in &mut streams {
        stream.write_all(b"GET /large HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
    }
    assert_eq!(apache.curl(&["--max-time", "60"], false, "/guest?"), "hello\n");
    gate.open();
    let answers: Vec<Answer> = streams.iter_mut().map(Answer::read).collect();
    let with = |status: u16| answers.iter().filter(|answer| answer.status == status).count();
    // Eight run and eight wait by default.
    assert!(with(200) >= 16 && with(200) + with(503) == 40, "{answers:?} {}", apache.log());
    assert!(answers.iter().all(|answer| answer.status != 200 || answer.text().0 == "hello from a guest\n"));
}

/// A stranger's report: the child that compiled went on until Apache killed it, after 13 s.
#[test]
fn a_stop_ends_a_compiler() {
    if !Apache::is_here() {
        return;
    }
    let gate = Gate::new();
    let worker = format!("</Location>\nZvmWorker {}\n<Location /elsewhere>", gate.compiler());
    let mut apache = Apache::start(&[("large", "Program = $FOLDER/large.wat", &worker)]);
    let mut waiting = apache.connect();
    waiting.write_all(b"GET /large HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
    eventually("it is being compiled", || apache.compilers() == 1);
    apache.stop();
    assert!(!apache.log().contains("did not exit"), "{}", apache.log());
}
