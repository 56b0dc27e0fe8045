//! What waiting costs. Alone in its process: the kernel counts the time of the whole process.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

use rustix::time::{ClockId, clock_gettime};
use std::time::{Duration, Instant};
use vfs_core::{Code, Configuration, Finish, OpenFlags, OpenOptions, Registry};
use zvfs_engines::NatsServer;
use zvfs_nats::Nats;
use zvfs_test_support::in_thread;

/// How long this process has computed.
fn computed() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

/// A file that waited once asked the service to look, which woke the file, which asked again.
#[test]
fn files_that_wait_compute_nothing() {
    let Some(server) = NatsServer::debian() else { return };
    let text = format!("[provider.nats]\nsettings.servers = [{:?}]\n", server.address());
    let host = Registry::new(Configuration::parse(&text).unwrap());
    host.register(Box::new(Nats)).unwrap();
    let open = |name: &str, flags| host.open(&format!("nats:{name}"), &OpenOptions::new(flags)).unwrap();
    let (mut reader, mut writer) = (open("a", OpenFlags::READ), open("a", OpenFlags::WRITE));
    writer.write_all(b"x").unwrap();
    assert_eq!(reader.read(&mut [0; 8]).unwrap(), 1);
    let (mut unread, mut full) = (open("b", OpenFlags::READ), open("b", OpenFlags::WRITE));
    let mut alone = open("c", OpenFlags::WRITE);
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
