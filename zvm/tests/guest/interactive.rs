//! Channels that the manifest has as interactive: what there is, is read, and can be waited for.

use crate::job::*;
use crate::script;
use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;
use vfs_core::{
    Capabilities, Code, Context, Error, File, Host, Info, Instance, Kind, OnCancel, OpenFlags, Provider,
    Request, Result, Settings, Stat,
};

/// Longer than any test waits.
const BOUND: Duration = Duration::from_secs(30);

/// A provider whose reads give one piece each that the test hands over, and wait for the next.
#[derive(Clone, Default)]
struct Feed(Arc<(Mutex<State>, Condvar)>);

#[derive(Default)]
struct State {
    pieces: VecDeque<Vec<u8>>,
    ended: bool,
    reads: Vec<usize>,
    waiting: bool,
    closed: bool,
}

impl Feed {
    fn give(&self, piece: &str) {
        self.change(|state| state.pieces.push_back(piece.into()));
    }

    fn end(&self) {
        self.change(|state| state.ended = true);
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.0.0.lock().unwrap());
        self.0.1.notify_all();
    }

    /// Waits until something is so.
    fn until(&self, is_so: impl Fn(&State) -> bool) {
        let (lock, changed) = &*self.0;
        let (_state, result) =
            changed.wait_timeout_while(lock.lock().unwrap(), BOUND, |state| !is_so(state)).unwrap();
        assert!(!result.timed_out());
    }
}

impl Provider for Feed {
    fn info(&self) -> Info {
        Info::new("feed", "1", "gives what the test gives").supported_flags(OpenFlags::READ)
    }

    fn start(&self, _: Host, _: Settings) -> Result<Box<dyn Instance>> {
        Ok(Box::new(self.clone()))
    }
}

impl Instance for Feed {
    fn open(&self, request: &Request<'_>) -> Result<Box<dyn File>> {
        let feed = self.clone();
        let woken = request.context().on_cancel(move || feed.change(|_| ()))?;
        let (feed, context) = (self.clone(), request.context().clone());
        Ok(Box::new(Fed { feed, context, terminal: request.rest() == "tty", _woken: woken }))
    }
}

struct Fed {
    feed: Feed,
    context: Context,
    terminal: bool,
    _woken: OnCancel,
}

impl File for Fed {
    fn capabilities(&self) -> Capabilities {
        Capabilities::READABLE | Capabilities::CANCEL | Capabilities::STAT
    }

    fn stat(&mut self) -> Result<Stat> {
        Ok(Stat::of_kind(if self.terminal { Kind::Terminal } else { Kind::Stream }))
    }

    fn read(&mut self, buf: &mut [u8]) -> Result<usize> {
        self.feed.change(|state| {
            state.reads.push(buf.len());
            state.waiting = true;
        });
        let (lock, changed) = &*self.feed.0;
        let mut state = lock.lock().unwrap();
        loop {
            self.context.status()?;
            if let Some(mut piece) = state.pieces.pop_front() {
                let rest = piece.split_off(piece.len().min(buf.len()));
                if !rest.is_empty() {
                    state.pieces.push_front(rest);
                }
                buf[..piece.len()].copy_from_slice(&piece);
                state.waiting = false;
                return Ok(piece.len());
            }
            if state.ended {
                return Ok(0);
            }
            let (next, result) = changed.wait_timeout(state, BOUND).unwrap();
            state = next;
            if result.timed_out() {
                return Err(Error::new(Code::EIO, "nobody gave anything"));
            }
        }
    }
}

impl Drop for Fed {
    fn drop(&mut self) {
        self.feed.change(|state| state.closed = true);
    }
}

/// A session whose stdin is interactive, over `feed:...`.
fn job(rest: &str, quotas: &str) -> (Job, Feed) {
    let feed = Feed::default();
    let job = Job::new()
        .channel(&format!("feed:{rest}, /dev/stdin, 0, {quotas}, 0, 0"))
        .key("Interactive = /dev/stdin");
    job.registry.register(Box::new(feed.clone())).unwrap();
    (job, feed)
}

/// A poll of stdin, and of a clock of so many milliseconds; tells the number of events, then each one's userdata and type
/// and the bytes that are there.
fn poll(milliseconds: u64) -> String {
    format!(
        "put64 4096 7\n put64 4104 1\n put64 4112 0\n put64 4144 8\n put64 4152 0\n put64 4160 1\n put64 4168 {}\n put64 4184 0
        poll_oneoff 4096 8192 2 8\n get32 8\n get64 8192\n get8 8202\n get64 8208\n",
        milliseconds * 1_000_000
    )
}

#[test]
fn a_read_gives_what_one_read_of_the_provider_gives() {
    let (job, feed) = job("", "9, 99");
    for piece in ["abc", "de", "f"] {
        feed.give(piece);
    }
    feed.end();
    let report =
        job.run(&script::program("read 0 99\n read 0 1\n read 0 99\n read 0 99\n read 0 99\n read 0 9"));
    assert_eq!(end(&report), (0, "ok"));
    assert_eq!(job.log(), [3, 1, 1, 1, 0, 0]);
    assert!(report.nondeterministic);
    assert_eq!((report.network.gets, report.network.get_bytes), (5, 6));
}

#[test]
fn a_poll_tells_what_is_there_and_a_read_takes_it() {
    let (job, feed) = job("", "9, 99");
    feed.give("hello");
    let script = poll(20_000) + "read 0 2\n" + &poll(20_000) + "read 0 9\n read 0 0";
    let running = job.session(&script::program(&script)).start();
    let report = running.wait();
    assert_eq!(end(&report), (0, "ok"), "{report:?}");
    assert_eq!(job.log(), [0, 1, 7, 1, 5, 2, 0, 1, 7, 1, 3, 3, 0]);
    // A get is counted for each call of the guest, not for what was read ahead.
    assert_eq!((report.network.gets, report.network.get_bytes), (2, 5));
    feed.until(|state| state.closed);
}

#[test]
fn where_nothing_comes_the_clock_fires() {
    let (job, feed) = job("", "9, 99");
    let report = job.run(&script::program(&(poll(30) + "clock_time_get 1 0 16\n get64 16")));
    assert_eq!(end(&report), (0, "ok"), "{report:?}");
    let log = job.log();
    assert_eq!(log[..5], [0, 1, 8, 0, 0]);
    assert_eq!(log[6], 30_001_000, "virtual time moves by the time that was waited");
    feed.until(|state| state.closed);
}

#[test]
fn a_poll_ends_when_something_comes() {
    let (job, feed) = job("", "9, 99");
    let running = job.session(&script::program(&(poll(25_000) + "read 0 9"))).start();
    feed.until(|state| state.waiting);
    feed.give("now");
    assert_eq!(end(&running.wait()), (0, "ok"));
    assert_eq!(job.log(), [0, 1, 7, 1, 3, 3]);
}

#[test]
fn the_end_is_ready_and_stays() {
    let (job, feed) = job("", "9, 99");
    feed.end();
    assert_eq!(
        job.told(&(poll(20_000) + "read 0 9\n" + &poll(20_000) + "read 0 9")),
        [0, 1, 7, 1, 0, 0, 0, 1, 7, 1, 0, 0]
    );
}

#[test]
fn a_descriptor_that_must_not_wait_says_so() {
    let (job, feed) = job("", "9, 99");
    let script = "fd_fdstat_set_flags 0 4\n read 0 9\n ".to_owned()
        + &poll(25_000)
        + "read 0 9\n fd_fdstat_set_flags 0 0\n read 0 9";
    let running = job.session(&script::program(&script)).start();
    feed.until(|state| state.waiting);
    feed.give("abc");
    feed.end();
    let report = running.wait();
    assert_eq!(end(&report), (0, "ok"), "{report:?}");
    let log = job.log();
    // The first read may come before or after what was given.
    assert!(matches!(log[1], AGAIN | 3), "{log:?}");
    assert_eq!(report.network.get_bytes, 3);
    assert_eq!(log.last(), Some(&0));
}

#[test]
fn no_more_is_read_ahead_than_the_quota_allows() {
    let (job, feed) = job("", "9, 5");
    feed.give("abcdefgh");
    let told = job.told(&(poll(20_000) + "read 0 2\n read 0 9\n" + &poll(20_000) + "read 0 9"));
    assert_eq!(told, [0, 1, 7, 1, 5, 2, 3, 0, 1, 7, 1, 0, DQUOT]);
    assert_eq!(feed.0.0.lock().unwrap().reads[0], 5);
}

#[test]
fn only_an_interactive_terminal_passes_for_one() {
    let (job, _feed) = job("tty", "9, 99");
    let script = "fd_fdstat_get 0 16\n get8 16\n get64 24\n fd_fdstat_get 1 16\n get8 16";
    let told = job.told(script);
    assert_eq!((told[1], told[2] & (1 << 2 | 1 << 5), told[4]), (2, 0, 0));
}

#[test]
fn a_cancel_ends_a_poll_and_its_reads() {
    let (job, feed) = job("", "9, 99");
    let running = job.session(&script::program(&(poll(3_600_000) + "read 0 9"))).start();
    feed.until(|state| state.waiting);
    running.control().cancel();
    assert_eq!(end(&running.wait()), (4, "cancelled"));
    feed.until(|state| state.closed);
}

/// Found in a review: a panic on the thread that reads ahead was lost, and the poll waited until the Timeout.
#[test]
fn a_panic_of_a_read_ahead_ends_the_session() {
    let job = Job::new().channel("odd:panic, /dev/stdin, 0, 9, 99, 0, 0").key("Interactive = /dev/stdin");
    let job = job.timeout(60);
    let report = job.run(&script::program(&(poll(3_600_000) + "read 0 9")));
    assert_eq!(report.exit_code.number(), 5, "{report:?}");
    assert!(report.state.contains("/dev/stdin: panic in a read: odd is panic"), "{report:?}");
    job.odd.await_closed();
}
