//! FIFOs and character devices.
#![expect(unsafe_code, reason = "a test of SIGPIPE gives it its default action, as in a host written in C")]

use crate::common::*;
use rustix::fs::OFlags;
use std::fs::{self, File as StdFile, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::process::ExitStatusExt;
use std::process::Command;
use std::time::{Duration, Instant};
use vfs_core::{Capabilities, Code, Control, Direction, File, Finish, Flush, Kind, OpenFlags};

/// A cancel ends a wait within 100 ms; a loaded machine gets more.
const CANCEL_SLACK: Duration = Duration::from_secs(2);

fn reader(house: &House) -> StdFile {
    // Without O_NONBLOCK this would wait for a writer.
    OpenOptions::new()
        .read(true)
        .custom_flags(OFlags::NONBLOCK.bits() as i32)
        .open(house.path("fifo"))
        .unwrap()
}

/// One read, which gives its file back.
fn read_once(mut file: Box<dyn File>) -> impl FnOnce() -> (Box<dyn File>, Vec<u8>) + Send {
    move || {
        let mut buffer = [0; 100];
        let count = file.read(&mut buffer).unwrap();
        (file, buffer[..count].to_vec())
    }
}

#[test]
fn a_reader_waits_for_its_first_writer_and_the_end_is_the_end() {
    let house = House::new().with_fifo("fifo");
    let file = house.open("fifo", READ).unwrap();
    let mut writer = None;
    let path = house.path("fifo");
    let (file, first) = waits_until(read_once(file), || {
        let mut opened = OpenOptions::new().write(true).open(&path).unwrap();
        opened.write_all(b"first").unwrap();
        writer = Some(opened);
    });
    assert_eq!(first, b"first");
    let mut writer = writer.unwrap();
    let (mut file, second) = waits_until(read_once(file), || writer.write_all(b"second").unwrap());
    assert_eq!(second, b"second");
    writer.write_all(b"last").unwrap();
    drop(writer);
    assert_eq!(read_all(&mut *file), b"last");
    let mut late = OpenOptions::new().write(true).open(&path).unwrap();
    late.write_all(b"late").unwrap();
    assert_eq!(file.read(&mut [0; 8]).unwrap(), 0, "the end came before");
}

#[test]
fn a_writer_that_comes_and_goes_at_once_is_the_end() {
    let house = House::new().with_fifo("fifo");
    let mut file = house.open("fifo", READ).unwrap();
    drop(OpenOptions::new().write(true).open(house.path("fifo")).unwrap());
    assert_eq!(file.read(&mut [0; 8]).unwrap(), 0);
}

#[test]
fn real_programs_are_peers() {
    let house = House::new().with_fifo("fifo");
    let bytes: Vec<u8> = (0..1_000_000_u32).map(|n| n as u8).collect();
    let out = StdFile::create(house.path("out")).unwrap();
    let cat = Command::new("cat").arg(house.path("fifo")).stdout(out).spawn().unwrap();
    let mut file = house.open("fifo", WRITE).unwrap();
    write_all(&mut *file, &bytes);
    file.finish(Finish::Commit).unwrap();
    assert!(finished(cat).success());
    assert_eq!(fs::read(house.path("out")).unwrap(), bytes);

    let fifo = StdFile::open(house.path("out")).unwrap();
    let mut file = house.open("fifo", READ).unwrap();
    let cat =
        Command::new("sh").args(["-c", "cat > \"$0\""]).arg(house.path("fifo")).stdin(fifo).spawn().unwrap();
    assert_eq!(read_all(&mut *file), bytes);
    assert!(finished(cat).success());
}

#[test]
fn a_writer_opens_at_once_and_waits_for_its_reader_in_write() {
    let house = House::new().with_fifo("fifo");
    let mut file = house.open("fifo", NEW | OpenFlags::APPEND | OpenFlags::PREALLOCATE).unwrap();
    assert_eq!(file.stat().unwrap().kind, Kind::Stream);
    let mut reading = None;
    let mut file = waits_until(
        move || {
            write_all(&mut *file, b"bytes");
            file
        },
        || reading = Some(reader(&house)),
    );
    file.finish(Finish::End).unwrap();
    refused(file.write(b"x"), Code::EBADF, "already finished");
    let mut text = String::new();
    reading.unwrap().read_to_string(&mut text).unwrap();
    assert_eq!(text, "bytes");
}

#[test]
fn commit_of_nothing_waits_for_a_reader_and_end_does_not() {
    let house = House::new().with_fifo("fifo");
    let mut file = house.open("fifo", WRITE).unwrap();
    file.finish(Finish::End).unwrap();
    let mut reading = None;
    waits_until(move || file.finish(Finish::Commit).unwrap(), || reading = Some(reader(&house)));
    assert_eq!(reading.unwrap().read(&mut [0; 8]).unwrap(), 0);
    let mut file = house.open("fifo", WRITE).unwrap();
    file.finish(Finish::Discard).unwrap();
}

#[test]
fn without_a_reader_any_more_a_write_is_epipe() {
    let house = House::new().with_fifo("fifo");
    let reading = reader(&house);
    let mut file = house.open("fifo", WRITE).unwrap();
    write_all(&mut *file, b"bytes");
    // Blocked on a full pipe when the reader goes.
    let (mut file, error) = waits_until(
        move || {
            let error = loop {
                if let Err(error) = file.write(&[0; 10_000]) {
                    break error;
                }
            };
            (file, error)
        },
        || drop(reading),
    );
    assert_eq!(error.code(), Code::EPIPE);
    refused(file.write(b"x"), Code::EPIPE, "the reader closed");
}

#[test]
fn a_broken_fifo_raises_no_sigpipe() {
    if let Some(path) = child_argument() {
        // SAFETY: the default action is no function of ours.
        unsafe { libc::signal(libc::SIGPIPE, libc::SIG_DFL) };
        let instance = start(&[]).unwrap();
        let options = OpenOptions::new().read(true).custom_flags(OFlags::NONBLOCK.bits() as i32).open(&path);
        let mut file = open_in(&*instance, &path, WRITE).unwrap();
        write_all(&mut *file, b"bytes");
        drop(options.unwrap());
        refused(file.write(b"x"), Code::EPIPE, "the reader closed");
        refused(file.write(b"x"), Code::EPIPE, "the reader closed");
        // The same through a pipe that is the host's stderr; its reader is gone.
        let mut stderr = open_in(&*instance, "/dev/stderr", WRITE).unwrap();
        refused(stderr.write(b"x"), Code::EPIPE, "the reader closed");
        std::process::exit(42);
    }
    let house = House::new().with_fifo("fifo");
    // Gone before the child is there, which may be the first to write.
    let (reader, stderr) = std::io::pipe().unwrap();
    drop(reader);
    let mut child = child("stream::a_broken_fifo_raises_no_sigpipe", &house.bare("fifo"));
    let status = finished(child.stderr(stderr).spawn().unwrap());
    assert_eq!((status.code(), status.signal()), (Some(42), None));
}

#[test]
fn a_fifo_goes_one_way() {
    let house = House::new().with_fifo("fifo");
    let _reading = reader(&house);
    refused(house.open("fifo", READ | WRITE), Code::EINVAL, "one direction");
    refused(house.open("fifo", NEW | OpenFlags::EXCLUSIVE), Code::EEXIST, "exists already");
    let reading = house.open("fifo", OpenFlags::empty()).unwrap();
    assert!(reading.capabilities().contains(Capabilities::READABLE | Capabilities::CANCEL));
    let mut writing = house.open("fifo", WRITE).unwrap();
    refused(writing.read(&mut [0; 8]), Code::EBADF, "not open for reading");
    refused(writing.seek(std::io::SeekFrom::Start(0)), Code::ESPIPE, "seek");
}

#[test]
fn a_fifo_that_is_replaced_while_waiting_is_estale() {
    let house = House::new().with_fifo("fifo");
    let mut file = house.open("fifo", WRITE).unwrap();
    let error = waits_until(
        move || file.write(b"x").unwrap_err(),
        || {
            fs::write(house.path("other"), "kept").unwrap();
            fs::rename(house.path("other"), house.path("fifo")).unwrap();
        },
    );
    assert_eq!(error.code(), Code::ESTALE);
    assert_eq!(house.content("fifo"), "kept");
}

#[test]
fn sync_waits_until_the_reader_has_taken_everything() {
    let house = House::new().with_fifo("fifo");
    let mut reading = reader(&house);
    let mut file = house.open("fifo", WRITE).unwrap();
    write_all(&mut *file, b"bytes");
    file.flush(Flush::Push).unwrap();
    let mut file = waits_until(
        move || {
            file.flush(Flush::Sync).unwrap();
            file
        },
        || assert_eq!(reading.read(&mut [0; 8]).unwrap(), 5),
    );
    write_all(&mut *file, b"more");
    let error = waits_until(move || file.flush(Flush::Sync).unwrap_err(), || drop(reading));
    assert_eq!(error.code(), Code::EPIPE);
}

#[test]
fn a_lease_for_reading_waits_for_the_first_writer() {
    let house = House::new().with_fifo("fifo");
    let mut file = house.open("fifo", READ).unwrap();
    let mut writer = None;
    let (mut file, limit) = waits_until(
        move || {
            let lease = file.lease(Direction::Read).unwrap();
            let (offset, limit) = (lease.offset, lease.limit);
            assert_eq!(offset, None);
            (file, limit)
        },
        || {
            let mut opened = OpenOptions::new().write(true).open(house.path("fifo")).unwrap();
            opened.write_all(b"bytes").unwrap();
            writer = Some(opened);
        },
    );
    assert_eq!(limit, u64::MAX);
    assert_eq!(file.read(&mut [0; 8]).unwrap(), 5);
    drop(writer);
    assert_eq!(file.lease(Direction::Read).unwrap().limit, 0);
}

#[test]
fn a_cancel_or_deadline_ends_every_wait() {
    type Call = fn(&mut dyn File) -> vfs_core::Result<()>;
    let waits: [(OpenFlags, Call); 6] = [
        (READ, |file| file.read(&mut [0; 8]).map(drop)),
        (READ, |file| file.lease(Direction::Read).map(drop)),
        (WRITE, |file| file.write(b"x").map(drop)),
        (WRITE, |file| file.lease(Direction::Write).map(drop)),
        (WRITE, |file| file.finish(Finish::Commit)),
        (WRITE, |file| file.finish(Finish::End).and_then(|()| file.finish(Finish::Commit))),
    ];
    for (at, (flags, call)) in waits.into_iter().enumerate() {
        for code in [Code::ECANCELED, Code::ETIMEDOUT] {
            let house = House::new().with_fifo("fifo");
            let control = Control::new();
            let mut file = open_under(&*house.instance, &control, &house.bare("fifo"), flags).unwrap();
            let mut since = None;
            let error = waits_until(
                move || call(&mut *file).unwrap_err(),
                || {
                    since = Some(Instant::now());
                    match code {
                        Code::ECANCELED => control.cancel(),
                        _ => control.set_deadline(Some(Instant::now())),
                    }
                },
            );
            assert!(since.unwrap().elapsed() < CANCEL_SLACK);
            assert_eq!(error.code(), code, "call {at}");
        }
    }
}

#[test]
fn the_memory_devices_are_streams() {
    let instance = start(&[]).unwrap();
    let open = |path, flags| open_in(&*instance, path, flags).unwrap();
    let mut null = open("/dev/null", NEW | OpenFlags::PREALLOCATE);
    assert_eq!(null.write(&[1; 100_000]).unwrap(), 100_000);
    assert_eq!(null.capabilities(), {
        type C = Capabilities;
        C::WRITABLE | C::STAT | C::FD | C::CANCEL | C::POLL
    });
    assert_eq!((null.stat().unwrap().kind, null.stat().unwrap().size), (Kind::Device, None));
    null.finish(Finish::Commit).unwrap();
    assert_eq!(open("/dev/null", READ).read(&mut [0; 8]).unwrap(), 0);
    let mut buffer = [1; 100];
    assert_eq!(open("/dev/zero", READ).read(&mut buffer).unwrap(), 100);
    assert_eq!(buffer, [0; 100]);
    assert!(open("/dev/urandom", READ).read(&mut buffer).unwrap() > 0);
    refused(open("/dev/full", WRITE).write(b"x"), Code::ENOSPC, "no space left");
    refused(open("/dev/null", READ).write(b"x"), Code::EBADF, "not open for writing");
    let mut both = open("/dev/null", READ | WRITE);
    assert_eq!((both.write(b"x").unwrap(), both.read(&mut buffer).unwrap()), (1, 0));
}

#[test]
fn a_terminal_can_be_waited_for_and_cancelled() {
    let (mut master, path) = terminal();
    let instance = start(&[]).unwrap();
    let control = Control::new();
    let mut file = open_under(&*instance, &control, &path, READ).unwrap();
    assert!(file.capabilities().contains(Capabilities::CANCEL));
    assert_eq!(file.stat().unwrap().kind, Kind::Terminal);
    let (mut file, line) = waits_until(read_once(file), || master.write_all(b"a line\n").unwrap());
    assert_eq!(line, b"a line\n");
    let error = waits_until(move || file.read(&mut [0; 8]).unwrap_err(), || control.cancel());
    assert_eq!(error.code(), Code::ECANCELED);
}
