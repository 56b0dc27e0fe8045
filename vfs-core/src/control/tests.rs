#![allow(clippy::unwrap_used, reason = "clippy takes only the #[test] functions of this file for tests")]

use super::*;
use crate::context::Limits;
use crate::provider::Host;
use parking_lot::Mutex;
use rustix::pipe::pipe;
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::channel;
use std::thread;

const SHORT: Duration = Duration::from_millis(20);
const LONG: Duration = Duration::from_secs(20);

#[test]
fn a_wait_ends_with_its_event() {
    let (read, write) = pipe().unwrap();
    let context = Control::new().context();
    assert_eq!(context.wait(Some(read.as_fd()), Events::READ, Some(SHORT)).unwrap(), Events::empty());
    rustix::io::write(&write, b"x").unwrap();
    assert_eq!(context.wait(Some(read.as_fd()), Events::READ, None).unwrap(), Events::READ);
    drop(write);
    let events = context.wait(Some(read.as_fd()), Events::READ, None).unwrap();
    assert!(events.contains(Events::HANGUP));
}

#[test]
fn a_cancel_ends_every_wait_and_a_lift_undoes_it() {
    let control = Control::new();
    let waiting: Vec<_> = (0..3)
        .map(|_| {
            let context = control.context();
            thread::spawn(move || context.sleep(LONG).unwrap_err().code())
        })
        .collect();
    thread::sleep(SHORT);
    control.cancel();
    for waiter in waiting {
        assert_eq!(waiter.join().unwrap(), Code::ECANCELED);
    }
    control.lift();
    control.context().sleep(SHORT).unwrap();
}

#[test]
fn a_deadline_moved_during_a_wait_counts() {
    let control = Control::new();
    control.set_deadline(Some(Instant::now() + LONG));
    let context = control.context();
    let waiter = thread::spawn(move || context.sleep(LONG).unwrap_err().code());
    thread::sleep(SHORT);
    control.set_deadline(Some(Instant::now()));
    assert_eq!(waiter.join().unwrap(), Code::ETIMEDOUT);
    assert_eq!(control.context().time_left(), Some(Duration::ZERO));
    control.set_deadline(None);
    control.context().status().unwrap();
}

#[test]
fn one_control_cancels_every_follower_and_none_of_them_another() {
    let (control, count) = (Control::new(), Arc::new(AtomicU64::new(0)));
    let followers = [control.follower(), control.follower()];
    let _guards = followers.each_ref().map(|follower| {
        let count = count.clone();
        let add = move || {
            count.fetch_add(1, Ordering::SeqCst);
        };
        follower.context().on_cancel(add).unwrap()
    });
    followers[0].set_deadline(Some(Instant::now()));
    followers[1].context().status().unwrap();
    control.context().status().unwrap();
    control.cancel();
    assert_eq!(count.load(Ordering::SeqCst), 2);
    followers[0].lift();
    assert!(followers[1].is_cancelled() && control.is_cancelled());
}

#[test]
fn the_cancel_function_runs_once_and_not_after_its_guard() {
    let (control, count) = (Control::new(), Arc::new(AtomicU64::new(0)));
    let add = |count: &Arc<AtomicU64>| {
        let count = count.clone();
        move || {
            count.fetch_add(1, Ordering::SeqCst);
        }
    };
    drop(control.context().on_cancel(add(&count)).unwrap());
    let guard = control.context().on_cancel(add(&count)).unwrap();
    control.cancel();
    control.cancel();
    assert_eq!(count.load(Ordering::SeqCst), 1);
    drop(guard);
    assert_eq!(control.context().on_cancel(add(&count)).unwrap_err().code(), Code::ECANCELED);
}

#[test]
fn a_control_says_what_is_waited_for_longest_under_it() {
    let control = Control::new();
    assert_eq!(control.waiting(), None);
    let contexts = [control.follower(), control.follower()].map(|follower| (follower.context(), follower));
    let first = contexts[0].0.waits_for("a reader of `a`");
    thread::sleep(Duration::from_millis(1)); // so that the two do not begin in the same instant
    let second = contexts[1].0.waits_for("a reader of `b`");
    second.refused("connect: connection\nrefused");
    assert_eq!(control.waiting().unwrap().object, "a reader of `a`");
    drop(first);
    let waiting = control.waiting().unwrap();
    assert_eq!(
        (waiting.object.as_str(), waiting.refusal.as_deref()),
        ("a reader of `b`", Some("connect: connection refused"))
    );
    drop(second);
    assert_eq!(control.waiting(), None);
}

/// "read: stopped" told nobody whether a deadline or a cancel ended a read, nor what it had waited for.
#[test]
fn an_error_says_which_end_it_was_and_what_was_waited_for() {
    let control = Control::new();
    let wait = |ended: fn(&Control), code| {
        let waits = control.context().waits_for("a writer of `a`");
        waits.refused("nobody there");
        ended(&control);
        let error = control.context().status().unwrap_err();
        assert_eq!(error.code(), code);
        drop(waits);
        control.explain(Error::new(code, "read: stopped")).chain()
    };
    let text = wait(Control::cancel, Code::ECANCELED);
    assert!(text.starts_with("cancelled waiting for a writer of `a` for "), "{text}");
    assert!(text.contains("(last refusal: nobody there)"), "{text}");
    control.lift();
    let text = wait(|control| control.set_deadline(Some(Instant::now())), Code::ETIMEDOUT);
    assert!(text.starts_with("timed out waiting for a writer of `a` for "), "{text}");
    // Said once: what comes next waited for nothing.
    assert_eq!(
        control.explain(Error::new(Code::ETIMEDOUT, "read: stopped")).chain(),
        "timed out: read: stopped"
    );
    assert_eq!(control.explain(Error::new(Code::ETIMEDOUT, "read: timed out")).chain(), "read: timed out");
    control.set_deadline(None);
    // A time of the provider's own.
    assert_eq!(control.explain(Error::new(Code::ETIMEDOUT, "no answer")).chain(), "no answer");
}

#[test]
fn a_wait_that_lasts_is_logged_once() {
    let lines = Arc::new(Mutex::new(Vec::new()));
    let logged = lines.clone();
    let host = Host::logging("test", "1", move |level, text| logged.lock().push(format!("{level:?} {text}")));
    let control = Control::of(Origin::default(), Log::new(host, "netpipe:a:w".into()));
    let context = control.context();
    let waits = context.waits_for("a reader of netpipe `a`");
    context.sleep(Duration::from_millis(1)).unwrap();
    assert!(lines.lock().is_empty(), "after a millisecond");
    control.0.waits().age(Duration::from_secs(7));
    waits.refused("connection refused");
    for _ in 0..3 {
        context.sleep(Duration::from_millis(1)).unwrap();
    }
    let line =
        "Warning netpipe:a:w: waiting for a reader of netpipe `a` for 7 s (last refusal: connection refused)";
    assert_eq!(*lines.lock(), [line]);
}

#[test]
fn a_cancel_function_may_ask_about_its_control_and_a_withdrawal_waits_for_it() {
    let control = Control::new();
    let (entered, inside) = channel();
    let (release, released) = channel::<()>();
    let asked = control.clone();
    let guard = control.context().on_cancel(move || {
        // Under a lock this would be for ever.
        entered.send((asked.is_cancelled(), asked.waiting(), asked.context().time_left())).unwrap();
        released.recv().unwrap();
    });
    let guard = guard.unwrap();
    let cancelling = thread::spawn({
        let control = control.clone();
        move || control.cancel()
    });
    assert_eq!(inside.recv().unwrap(), (true, None, None));
    // The function runs, and the control still answers.
    control.set_deadline(Some(Instant::now() + LONG));
    let (gone, left) = channel();
    let withdrawing = thread::spawn(move || {
        drop(guard);
        gone.send(()).unwrap();
    });
    assert!(left.recv_timeout(SHORT).is_err(), "withdrawn while it runs");
    release.send(()).unwrap();
    left.recv().unwrap();
    withdrawing.join().unwrap();
    cancelling.join().unwrap();
}

#[test]
fn an_older_word_of_the_leader_does_not_undo_a_newer_one() {
    let follower = Control::new();
    let cancelled = Limits { cancelled: true, ..Limits::NONE };
    Follower::follow(&*follower.0, 3, cancelled);
    Follower::follow(&*follower.0, 2, Limits::NONE);
    assert!(follower.is_cancelled());
    Follower::follow(&*follower.0, 4, Limits::NONE);
    assert!(!follower.is_cancelled());
}

/// A deadline on a shared control took away the time that a DISCARD had been given.
#[test]
fn what_is_detached_ends_by_its_own_time_only() {
    let control = Control::new();
    let (file, sibling) = (control.follower(), control.follower());
    let inner = file.follower();
    control.cancel();
    let left = file.detached(LONG, || {
        control.set_deadline(Some(Instant::now()));
        control.cancel();
        file.status().unwrap();
        inner.status().unwrap();
        assert!(sibling.is_cancelled(), "a sibling's cancel was lifted");
        file.context().time_left().unwrap()
    });
    assert!(left > LONG / 2);
    assert!(file.is_cancelled() && inner.is_cancelled() && control.is_cancelled());
    let code = file.detached(LONG, || {
        file.cancel();
        inner.status().unwrap_err().code()
    });
    assert_eq!(code, Code::ECANCELED, "its own cancel still ends it");
}
