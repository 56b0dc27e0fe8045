//! `modules/redis` in Debian's Redis.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking, its helpers too")]

mod ends;
mod keys;
mod meanwhile;
mod programs;
mod replies;
mod servers;

use std::fs::{self, File, OpenOptions};
use zvfs_modules_tests::redis::{Redis, Reply};
use zvfs_test_support::{eventually, fifo};

/// Copies key 1 to key 2.
const COPIES: &str = "Channel = redis:optional/1, /in, 0, 1000000, 1m, 0, 0\nChannel = redis:key/2, /out, 0, 0, 0, 1000000, 1m";

/// The same, and waits for the FIFO `gate` before.
const GATED: &str = "Channel = redis:optional/1, /in, 0, 1000000, 1m, 0, 0\nChannel = redis:key/2, /out, 0, 0, 0, 1000000, 1m\n\
                     Channel = $FOLDER/gate, /wait, 0, 9, 1, 0, 0";

fn ok() -> Reply {
    Reply::Simple("OK".into())
}

/// The writing side of a FIFO that guests wait for. Open for both directions, so that no open waits for the other.
fn gate(redis: &Redis) -> File {
    let path = redis.folder().join("gate");
    fifo(path.clone());
    OpenOptions::new().read(true).write(true).open(path).unwrap()
}

/// Waits until so many calls run.
fn until_running(redis: &Redis, program: &str, count: i64) {
    eventually(format!("{count} calls of {program} run"), || {
        let Reply::Array(fields) = redis.client().call(&["ZVM.INFO", program]) else { panic!("no ZVM.INFO") };
        let at = fields.iter().position(|field| *field == Reply::bulk("running")).unwrap();
        fields[at + 1] == Reply::Integer(count)
    });
}

/// Whether a guest of this server has the FIFO open.
fn waits(redis: &Redis) -> bool {
    let mut client = redis.client();
    let Reply::Bulk(Some(info)) = client.call(&["INFO", "server"]) else { panic!("no INFO") };
    let info = String::from_utf8(info).unwrap();
    let process = info.lines().find_map(|line| line.strip_prefix("process_id:")).unwrap();
    let gate = redis.folder().join("gate");
    let descriptors = fs::read_dir(format!("/proc/{process}/fd")).unwrap();
    descriptors.flatten().any(|entry| fs::read_link(entry.path()).is_ok_and(|path| path == gate))
}
