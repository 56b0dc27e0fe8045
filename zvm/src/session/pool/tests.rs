use super::*;
use std::cell::RefCell;
use std::sync::Barrier;
use std::sync::mpsc::{Sender, channel};
use std::thread;

#[test]
fn no_more_permits_are_given_than_may_be_in_use() {
    let pool = SessionPool::new(2);
    let (first, _second) = (pool.permit().unwrap(), pool.permit().unwrap());
    assert_eq!(pool.clone().permit().unwrap_err().code(), Code::EMFILE);
    drop(first);
    pool.permit().unwrap();
}

/// Work that comes before the only thread is idle waits for it; later work finds it idle. Either way it is the same one.
#[test]
fn a_thread_does_one_work_after_the_other() {
    let pool = SessionPool::new(1);
    let (sender, done) = channel();
    let mut ids = Vec::new();
    for _ in 0..100 {
        let (sender, permit) = (sender.clone(), pool.permit().unwrap());
        pool.run(move || {
            drop(permit);
            sender.send(thread::current().id()).unwrap();
        })
        .unwrap();
        ids.push(done.recv().unwrap());
    }
    ids.dedup();
    assert_eq!(ids.len(), 1);
}

/// Sessions that wait for each other: none of them may wait for the thread of another.
#[test]
fn work_does_not_wait_for_work_that_does_not_end() {
    const ALL: usize = 50;
    let pool = SessionPool::new(ALL as u32);
    let rounds = 20;
    for _ in 0..rounds {
        wait_together(&pool, ALL);
    }
    assert!(pool.0.shared.lock().threads <= ALL);
}

/// Those that run short sessions are left to take what waits, but not for long: the one that watches takes it.
#[test]
fn work_does_not_wait_behind_work_that_is_long_among_short_ones() {
    const ALL: usize = 5;
    let pool = SessionPool::new(ALL as u32);
    let together = Arc::new(Barrier::new(ALL + 1));
    let (sender, runs) = channel();
    for _ in 0..20 {
        pool.0.shared.lock().average = Duration::ZERO;
        for _ in 0..ALL {
            let (together, permit, sender) = (together.clone(), permit(&pool), sender.clone());
            pool.run(move || {
                sender.send(()).unwrap();
                together.wait();
                drop(permit);
            })
            .unwrap();
        }
        (0..ALL).for_each(|_| runs.recv_timeout(Duration::from_secs(60)).unwrap());
        // The first that had to be waited for told the others, who took theirs at once.
        assert!(pool.0.shared.lock().average >= SHORT);
        together.wait();
    }
}

/// The one that watches has seen all work taken when more comes: it watches on, though nothing is taken meanwhile.
#[test]
fn work_that_comes_while_a_long_session_is_watched_does_not_wait_for_it() {
    let pool = SessionPool::new(3);
    let start = |work: Box<dyn FnOnce() + Send>| {
        let permit = permit(&pool);
        pool.run(move || {
            work();
            drop(permit);
        })
        .unwrap();
    };
    for round in 0..100 {
        pool.0.shared.lock().average = Duration::ZERO;
        let ((short_ends, short), (long_ends, long), (last_ran, last)) = (channel(), channel(), channel());
        start(Box::new(move || short.recv().unwrap()));
        start(Box::new(move || long.recv().unwrap()));
        short_ends.send(()).unwrap();
        thread::sleep(Duration::from_micros(10 * round));
        start(Box::new(move || last_ran.send(()).unwrap()));
        last.recv_timeout(Duration::from_secs(60)).unwrap();
        long_ends.send(()).unwrap();
    }
}

/// Runs so much work of which none ends before all of it runs.
fn wait_together(pool: &SessionPool, count: usize) {
    let together = Arc::new(Barrier::new(count + 1));
    for _ in 0..count {
        let (together, permit) = (together.clone(), permit(pool));
        pool.run(move || {
            together.wait();
            drop(permit);
        })
        .unwrap();
    }
    together.wait();
}

/// One whose predecessor has a report, and may not have left its thread yet.
fn permit(pool: &SessionPool) -> Permit {
    loop {
        match pool.permit() {
            Ok(permit) => return permit,
            Err(_) => thread::yield_now(),
        }
    }
}

#[test]
fn threads_end_with_their_pool() {
    thread_local! {
        static ALIVE: RefCell<Option<Sender<()>>> = const { RefCell::new(None) };
    }
    let (sender, ended) = channel::<()>();
    let pool = SessionPool::new(3);
    for _ in 0..3 {
        let sender = sender.clone();
        pool.run(move || ALIVE.set(Some(sender))).unwrap();
    }
    drop((pool, sender));
    assert!(ended.recv().is_err());
}

/// Work that comes one after the other is one thread's, though others sleep too: each would come with cold caches.
#[test]
fn the_thread_that_worked_last_is_woken_first() {
    const ALL: usize = 8;
    let pool = SessionPool::new(ALL as u32);
    wait_together(&pool, ALL);
    let asleep = || pool.0.shared.lock().asleep.len();
    let (sender, done) = channel();
    let mut ids = Vec::new();
    for _ in 0..100 {
        while asleep() < ALL {
            thread::yield_now();
        }
        let (sender, permit) = (sender.clone(), permit(&pool));
        pool.run(move || {
            drop(permit);
            sender.send(thread::current().id()).unwrap();
        })
        .unwrap();
        ids.push(done.recv().unwrap());
    }
    ids.dedup();
    assert_eq!(ids.len(), 1);
}
