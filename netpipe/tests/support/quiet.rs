//! What waiting costs a process. Alone in its own: the kernel counts the time of the whole process.

use rustix::time::{ClockId, clock_gettime};
use std::time::{Duration, Instant};
use vfs_core::{Code, Finish, OpenFlags, OpenOptions, Registry};
use zvfs_test_support::in_thread;

/// How long this process has computed.
fn computed() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

/// Pipes of a scheme from one host to the other: a reader that waits for data, a writer whose reader takes nothing, and one without a reader.
pub fn files_that_wait_compute_nothing(reading: &Registry, writing: &Registry, scheme: &str) {
    let open = |host: &Registry, name: &str, flags| {
        host.open(&format!("{scheme}:{name}"), &OpenOptions::new(flags)).unwrap()
    };
    let reader = |name: &str| open(reading, name, OpenFlags::READ);
    let writer = |name: &str| open(writing, name, OpenFlags::WRITE);
    let (mut idle, mut met) = (reader("a"), writer("a"));
    met.write_all(b"x").unwrap();
    assert_eq!(idle.read(&mut [0; 8]).unwrap(), 1);
    let (mut unread, mut full, mut alone) = (reader("b"), writer("b"), writer("c"));
    let before = computed();
    let until = Some(Instant::now() + Duration::from_secs(2));
    for file in [&idle, &full, &alone] {
        file.control().set_deadline(until);
    }
    let calls = [
        in_thread(move || idle.read(&mut [0; 8]).map(drop)),
        in_thread(move || full.write_all(&[7; 4 << 20])),
        in_thread(move || alone.finish(Finish::Commit)),
    ];
    for call in calls {
        assert_eq!(call.recv().unwrap().unwrap_err().code(), Code::ETIMEDOUT);
    }
    let took = computed() - before;
    assert!(took < Duration::from_millis(500), "three files that waited for 2 s computed for {took:?}");
    unread.control().set_deadline(Some(Instant::now() + Duration::from_secs(60)));
    assert!(unread.read(&mut [0; 8]).unwrap() > 0);
}
