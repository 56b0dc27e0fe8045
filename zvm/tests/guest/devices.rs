//! `/dev/null`, `/dev/zero`, `/dev/random` and `/dev/urandom`.

use crate::job::*;
use crate::script::{self, READ, WRITE};
use crate::shelf::Book;

const CHARACTER_DEVICE: i64 = 2;

fn out(job: &Job, script: &str) -> Vec<u8> {
    job.told(script);
    job.shelf.data("out")
}

#[test]
fn devices_are_there_without_a_channel() {
    let both = READ | WRITE;
    let told = Job::new().told(&format!(
        "open \"dev/null\" 0 {both} 0\n open \"dev/zero\" 8 {both} 0\n open \"dev/urandom\" 0 {both} 0\n open \"dev/random\" 0 {READ} 0
        put8 4096 7\n read 4 9\n get8 4096\n read 5 9\n get8 4096\n read 6 9\n read 7 9
        write 4 9\n write 5 9\n write 6 9\n write 7 9\n fd_sync 4\n fd_filestat_set_size 5 0\n fd_allocate 5 0 9"
    ));
    assert_eq!(told, [4, 5, 6, 7, 0, 7, 9, 0, 9, 9, 9, 9, 9, BADF, 0, INVAL, INVAL]);
    let told = Job::new().told(&format!(
        "open \"dev/null\" 2 {READ} 0\n open \"dev/null/x\" 0 {READ} 0\n open \"dev/full\" 0 {READ} 0"
    ));
    assert_eq!(told, [NOTDIR, NOTDIR, NOENT]);
}

/// libc takes a character device that cannot seek for a terminal.
#[test]
fn a_device_is_no_terminal() {
    let told = Job::new().told(&format!(
        "open \"dev/null\" 0 {READ} 0\n fd_fdstat_get 4 16\n get8 16\n get64 24\n fd_filestat_get 4 16\n get8 32\n size 4\n seek 4 5 0\n tell 4"
    ));
    let (seek, tell) = (1 << 2, 1 << 5);
    assert_eq!(told[..3], [4, 0, CHARACTER_DEVICE]);
    assert_eq!(told[3] & (seek | tell), seek | tell);
    assert_eq!(told[4..], [0, CHARACTER_DEVICE, 0, 5, 5]);
}

/// The stream is one: what the device gives and what `random_get` gives come from it in turn.
#[test]
fn random_numbers_of_the_device_are_those_of_random_get() {
    let open = format!("open \"dev/urandom\" 0 {READ} 0\n");
    let by_call = out(&Job::new(), &format!("{open} random_get 4096 64\n write 1 64"));
    let program = |middle: &str| format!("{open} {middle}\n write 1 64");
    // The program is a part of the seed, so the scripts are compared with themselves.
    let by_device = out(&Job::new(), &program("read 4 64"));
    assert_eq!(by_device, out(&Job::new(), &program("read 4 64")));
    assert!(by_device != vec![0; 64] && by_device.len() == 64 && by_call.len() == 64);
    let seeded = out(&Job::new().key("Seed = 7"), &program("read 4 64"));
    assert_ne!(seeded, by_device);
    let real = || out(&Job::new().key("Deterministic = 0"), &program("read 4 64"));
    assert_ne!(real(), real());
}

#[test]
fn what_a_device_gives_is_paid_for() {
    for device in ["zero", "urandom"] {
        let script = format!("open \"dev/{device}\" 0 {READ} 0\n read 4 60000\n read 4 60000");
        let report = Job::new().key("Fuel = 6000").run(&script::program(&script));
        assert_eq!(report.stopped, Some(zvm::Stopped::Fuel), "{report:?}");
    }
}

#[test]
fn a_channel_of_a_devices_name_is_the_device() {
    let job = Job::new().file("noise", Book::new("noise"));
    let told = job.channel("test:noise, /dev/urandom, 1, 9, 99, 0, 0").told(&format!(
        "open \"dev/urandom\" 0 {READ} 0\n read 4 99\n get8 4096\n open \"dev/urandom\" 0 {WRITE} 0"
    ));
    assert_eq!(told, [4, 5, i64::from(b'n'), ACCES]);
}

#[test]
fn devices_are_neither_removed_nor_replaced() {
    let told = Job::new().key("Scratch = 1m").told(&format!(
        "path_unlink_file 3 \"dev/null\"\n path_rename 3 \"dev/null\" 3 \"x\"\n path_link 3 0 \"dev/null\" 3 \"x\"
        open \"x\" 1 {WRITE} 0\n path_rename 3 \"x\" 3 \"dev/null\"\n open \"dev/null\" 5 {WRITE} 0"
    ));
    assert_eq!(told, [ROFS, ROFS, ROFS, 4, ROFS, EXIST]);
}
