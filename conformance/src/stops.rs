//! How soon a call ends that is stopped.

use rustix::time::{ClockId, clock_gettime};
use std::sync::mpsc::{RecvTimeoutError, TryRecvError, channel};
use std::thread;
use std::time::{Duration, Instant};
use vfs_core::{Code, Control, Error, OpenFile, Result};

/// The rule of CANCEL.
const AT_ONCE: Duration = Duration::from_millis(100);
/// Time enough to be in a state that nobody can see from outside.
const WAITS: Duration = Duration::from_millis(200);
/// Far beyond what a stopped call and a close take: what has not ended by then is stuck.
const LIMIT: Duration = Duration::from_secs(60);
/// A virtual machine stands still now and then. A call that breaks the rule does so each time.
const ATTEMPTS: usize = 3;

/// Lets a call wait, and stops it: by a cancel, and on a control of its own by a deadline. Returns how often it was called.
///
/// A file that the call opens it leaves in its second argument. It is closed after the call, and that is not measured: a close has
/// a limit of its own.
///
/// The 100 ms are processor time of the thread that stops the call, which computes until it has ended. On a quiet machine that is
/// the time by the clock. On a busy one threads of one priority share the processors, so a call that has nothing left to do but
/// to wake up and return gets its turns long before the other thread has had 100 ms.
///
/// # Panics
/// The call does not wait; it ends with another code, or later than 100 ms after it was stopped.
#[track_caller]
pub fn stops(call: impl Fn(&Control, &mut Option<OpenFile>) -> Result<()> + Clone + Send + 'static) -> usize {
    let ways: [fn(&Control); 2] = [Control::cancel, |control| control.set_deadline(Some(Instant::now()))];
    let mut calls = 0;
    for (stop, code) in ways.into_iter().zip([Code::ECANCELED, Code::ETIMEDOUT]) {
        let mut late = Vec::new();
        loop {
            calls += 1;
            let took = time_to_end(call.clone(), stop, code);
            if took < AT_ONCE {
                break;
            }
            late.push(took);
            assert!(
                late.len() < ATTEMPTS,
                "a stopped call ended after {late:?}, and the rule is {AT_ONCE:?}"
            );
        }
    }
    calls
}

/// Stops a call that waits: the processor time that this thread had until it ended.
#[track_caller]
fn time_to_end(
    call: impl Fn(&Control, &mut Option<OpenFile>) -> Result<()> + Send + 'static,
    stop: fn(&Control),
    code: Code,
) -> Duration {
    let control = Control::new();
    let own = control.clone();
    let (done, ended) = channel();
    let calls = move || {
        let mut open = None;
        // The receiver is gone if the test has failed already.
        let _ = done.send(call(&own, &mut open));
        drop(open);
        drop(done);
    };
    if let Err(error) = thread::Builder::new().spawn(calls) {
        panic!("{}", Error::no_thread(&error));
    }
    match ended.recv_timeout(WAITS) {
        Err(RecvTimeoutError::Timeout) => {}
        Err(RecvTimeoutError::Disconnected) => panic!("the call panicked"),
        Ok(outcome) => panic!("the call did not wait: {outcome:?}"),
    }
    let start = processor_time();
    stop(&control);
    let outcome = loop {
        match ended.try_recv() {
            Ok(outcome) => break outcome,
            Err(TryRecvError::Disconnected) => panic!("the call panicked"),
            Err(TryRecvError::Empty) => {
                assert!(processor_time() - start < LIMIT, "a stopped call has not ended for {LIMIT:?}");
            }
        }
    };
    let took = processor_time() - start;
    println!("ended {took:?} after it was stopped");
    let Err(error) = outcome else { panic!("a stopped call returned as if nobody had stopped it") };
    assert_eq!(error.code(), code, "{}", error.chain());
    let closed = ended.recv_timeout(LIMIT);
    assert!(matches!(closed, Err(RecvTimeoutError::Disconnected)), "not closed after {LIMIT:?}");
    took
}

/// The processor time that the calling thread has had.
fn processor_time() -> Duration {
    Duration::try_from(clock_gettime(ClockId::ThreadCPUTime)).expect("it counts from 0")
}
