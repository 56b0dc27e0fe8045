//! What waiting costs. Alone in its process: the kernel counts the time of the whole process.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

mod circle;

use circle::Circle;
use rustix::time::{ClockId, clock_gettime};
use std::time::{Duration, Instant};
use vfs_core::{Code, Configuration, Finish, OpenFlags, OpenOptions, Registry};
use zvfs_p2p::P2p;
use zvfs_test_support::in_thread;

/// How long this process has computed.
fn computed() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

#[test]
fn files_that_wait_compute_nothing() {
    let circle = Circle::new(2);
    let hosts = [0, 1].map(|at| {
        let text = format!("[provider.p2p]\nsettings = {{ {} }}\n", circle.settings(at));
        let host = Registry::new(Configuration::parse(&text).unwrap());
        host.register(Box::new(P2p)).unwrap();
        host
    });
    let open = |at: usize, name: &str, flags| {
        hosts[at].open(&format!("p2p:{name}"), &OpenOptions::new(flags)).unwrap()
    };
    let (mut reader, mut writer) = (open(0, "a", OpenFlags::READ), open(1, "a", OpenFlags::WRITE));
    writer.write_all(b"x").unwrap();
    assert_eq!(reader.read(&mut [0; 8]).unwrap(), 1);
    let (mut unread, mut full) = (open(0, "b", OpenFlags::READ), open(1, "b", OpenFlags::WRITE));
    let mut alone = open(1, "c", OpenFlags::WRITE);
    let before = computed();
    let until = Some(Instant::now() + Duration::from_secs(2));
    for file in [&reader, &full, &alone] {
        file.control().set_deadline(until);
    }
    let calls = [
        in_thread(move || reader.read(&mut [0; 8]).map(drop)),
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
