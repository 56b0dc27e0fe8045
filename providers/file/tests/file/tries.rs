//! Streams without waiting: what a host with an event loop does with them.

use crate::common::*;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{OFlags, fcntl_getfl, open};
use rustix::io::fcntl_getfd;
use std::fs::{File as StdFile, OpenOptions};
use std::io::{Read, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::net::UnixStream;
use std::process::Stdio;
use std::thread;
use vfs_core::{Capabilities, Code, Events, File, Finish, Wanted};

/// The other end of a FIFO, opened without a wait.
fn end(house: &House, write: bool) -> StdFile {
    let mut options = OpenOptions::new();
    options.read(!write).write(write).custom_flags(OFlags::NONBLOCK.bits() as i32);
    options.open(house.path("fifo")).unwrap()
}

/// Polls as an interest says, for a time.
fn polled(fd: BorrowedFd<'_>, events: Events, seconds: i64) -> PollFlags {
    let mut flags = PollFlags::empty();
    flags.set(PollFlags::IN, events.contains(Events::READ));
    flags.set(PollFlags::OUT, events.contains(Events::WRITE));
    let mut polled = [PollFd::from_borrowed_fd(fd, flags)];
    poll(&mut polled, Some(&Timespec { tv_sec: seconds, tv_nsec: 0 })).unwrap();
    polled[0].revents()
}

/// What occurs on the interest's descriptor at this moment.
fn occurs(file: &mut dyn File, wanted: Wanted) -> PollFlags {
    let interest = file.interest(wanted).unwrap();
    assert!(interest.ready.is_empty() && interest.after.is_none());
    polled(interest.fd.unwrap(), interest.events, 0)
}

/// Waits as an interest says.
fn wait(file: &mut dyn File, wanted: Wanted) {
    let interest = file.interest(wanted).unwrap();
    if !interest.ready.is_empty() {
        return;
    }
    match interest.fd {
        Some(fd) => assert!(!polled(fd, interest.events, 60).is_empty(), "nothing occurred"),
        None => thread::sleep(interest.after.unwrap()),
    }
}

#[test]
fn a_fifo_is_read_in_tries() {
    let house = House::new().with_fifo("fifo");
    let mut file = house.open("fifo", READ).unwrap();
    assert!(file.capabilities().contains(Capabilities::POLL));
    let mut buffer = [0; 100];
    assert_eq!(file.try_read(&mut buffer).unwrap(), None, "nobody writes it yet");
    assert_eq!(occurs(&mut *file, Wanted::READ), PollFlags::empty());
    let mut writer = end(&house, true);
    assert_eq!(file.try_read(&mut buffer).unwrap(), None, "nothing is written yet");
    writer.write_all(b"bytes").unwrap();
    assert_eq!(occurs(&mut *file, Wanted::READ), PollFlags::IN);
    assert_eq!(file.try_read(&mut buffer).unwrap(), Some(5));
    assert_eq!(file.try_read(&mut buffer).unwrap(), None);
    drop(writer);
    assert_eq!(occurs(&mut *file, Wanted::READ), PollFlags::HUP);
    assert_eq!(file.try_read(&mut buffer).unwrap(), Some(0));
    assert_eq!(file.interest(Wanted::READ).unwrap().ready, Wanted::READ, "the end is not waited for");
    let _late = end(&house, true);
    assert_eq!(file.try_read(&mut buffer).unwrap(), Some(0), "the end stays");
}

#[test]
fn a_fifo_is_written_in_tries() {
    let house = House::new().with_fifo("fifo");
    let mut file = house.open("fifo", WRITE).unwrap();
    assert_eq!(file.try_write(b"bytes").unwrap(), None, "nobody reads it yet");
    let interest = file.interest(Wanted::WRITE).unwrap();
    assert!(interest.fd.is_none() && interest.after.is_some(), "there is nothing to poll yet");
    let mut reader = end(&house, false);
    let mut taken = 0;
    while let Some(count) = file.try_write(&[7; 10_000]).unwrap() {
        taken += count;
    }
    assert_eq!(occurs(&mut *file, Wanted::WRITE), PollFlags::empty());
    let mut came = vec![0; taken];
    reader.read_exact(&mut came).unwrap();
    assert_eq!(occurs(&mut *file, Wanted::WRITE), PollFlags::OUT);
    let number = file.interest(Wanted::WRITE).unwrap().fd.unwrap().as_raw_fd();
    assert_eq!(file.try_finish(Finish::Commit).unwrap(), Some(()));
    assert_eq!(reader.read(&mut came).unwrap(), 0);
    // A host may still have the number in its poller: it must not become another file's.
    let others: Vec<_> = (0..20).map(|_| StdFile::open("/dev/null").unwrap()).collect();
    assert!(others.iter().all(|other| other.as_raw_fd() != number));
    refused(file.try_write(b"x"), Code::EBADF, "already finished");
    drop(file);
    let again: Vec<_> = (0..20).map(|_| StdFile::open("/dev/null").unwrap()).collect();
    assert!(again.iter().all(|again| fcntl_getfd(again).is_ok()));
}

#[test]
fn a_commit_is_tried_until_somebody_reads() {
    let house = House::new().with_fifo("fifo");
    for ended in [false, true] {
        let mut file = house.open("fifo", WRITE).unwrap();
        if ended {
            assert_eq!(file.try_finish(Finish::End).unwrap(), Some(()), "END does not wait");
        }
        assert_eq!(file.try_finish(Finish::Commit).unwrap(), None);
        assert!(file.interest(Wanted::FINISH).unwrap().after.is_some());
        let mut reader = end(&house, false);
        assert_eq!(file.try_finish(Finish::Commit).unwrap(), Some(()));
        assert_eq!(reader.read(&mut [0; 8]).unwrap(), 0);
    }
    let mut file = house.open("fifo", WRITE).unwrap();
    let reader = end(&house, false);
    file.try_write(b"bytes").unwrap().unwrap();
    drop(reader);
    refused(file.try_write(b"x"), Code::EPIPE, "the reader closed");
}

#[test]
fn what_may_wait_after_all_has_no_poll() {
    let house = House::new().with("regular", "text");
    let (_master, path) = terminal();
    for (descriptor, flags, polls) in [
        (house.bare("regular"), READ, false),
        ("/dev/null".to_owned(), READ, true),
        ("/dev/null".to_owned(), WRITE, true),
        (path, READ, true),
    ] {
        let file = open_in(&*start(&[]).unwrap(), &descriptor, flags).unwrap();
        assert_eq!(file.capabilities().contains(Capabilities::POLL), polls, "{descriptor}");
    }
    let mut null = open_in(&*start(&[]).unwrap(), "/dev/null", READ | WRITE).unwrap();
    let both = Wanted::READ | Wanted::WRITE;
    assert_eq!(null.interest(both).unwrap().ready, both, "a device without poll is ready");
    assert_eq!(null.try_write(b"bytes").unwrap(), Some(5));
    assert_eq!(null.try_read(&mut [0; 8]).unwrap(), Some(0));
}

/// Copies stdin to stderr without a call that waits.
fn copy_in_tries() {
    let instance = start(&[]).unwrap();
    let mut from = open_in(&*instance, "/dev/stdin", READ).unwrap();
    let mut to = open_in(&*instance, "/dev/stderr", WRITE).unwrap();
    for file in [&from, &to] {
        assert!(file.capabilities().contains(Capabilities::POLL));
    }
    let mut buffer = vec![0; 100_000];
    loop {
        let count = match from.try_read(&mut buffer).unwrap() {
            Some(0) => break,
            Some(count) => count,
            None => {
                wait(&mut *from, Wanted::READ);
                continue;
            }
        };
        let mut done = 0;
        while done < count {
            match to.try_write(&buffer[done..count]).unwrap() {
                Some(taken) => done += taken,
                None => wait(&mut *to, Wanted::WRITE),
            }
        }
    }
    assert_eq!(to.try_finish(Finish::Commit).unwrap(), Some(()));
}

/// Its modes are shared with the shell that made it: a host that set O_NONBLOCK there broke the next program.
#[test]
fn inherited_streams_are_tried_and_stay_blocking() {
    if child_argument().is_some() {
        return copy_in_tries();
    }
    let house = House::new().with_fifo("fifo");
    let bytes: Vec<u8> = (0..1_000_000_u32).map(|n| (n ^ (n >> 8)) as u8).collect();
    let pipes = || std::io::pipe().map(|(from, to)| (OwnedFd::from(from), OwnedFd::from(to))).unwrap();
    let sockets = || UnixStream::pair().map(|(from, to)| (OwnedFd::from(from), OwnedFd::from(to))).unwrap();
    // Opened by its name, as a shell does: the kernel cannot be asked there not to wait.
    let fifo = || {
        let both =
            open(house.path("fifo"), OFlags::RDWR | OFlags::CLOEXEC, rustix::fs::Mode::empty()).unwrap();
        let by_name =
            |flags| open(house.path("fifo"), flags | OFlags::CLOEXEC, rustix::fs::Mode::empty()).unwrap();
        let ends = (by_name(OFlags::RDONLY), by_name(OFlags::WRONLY));
        drop(both);
        ends
    };
    // One FIFO cannot be both: its output is a pipe.
    for (kind, (stdin, input), (output, stderr)) in
        [("pipes", pipes(), pipes()), ("sockets", sockets(), sockets()), ("a fifo", fifo(), pipes())]
    {
        let shared = [stdin.try_clone().unwrap(), stderr.try_clone().unwrap()];
        let mut command = child("tries::inherited_streams_are_tried_and_stay_blocking", "-");
        let process = command.stdin(stdin).stdout(Stdio::null()).stderr(stderr).spawn().unwrap();
        drop(command);
        let (mut input, mut output) = (StdFile::from(input), StdFile::from(output));
        let copied = thread::scope(|scope| {
            let feeder = scope.spawn(|| {
                input.write_all(&bytes).unwrap();
                drop(input);
            });
            let mut copied = vec![0; bytes.len()];
            output.read_exact(&mut copied).unwrap();
            feeder.join().unwrap();
            copied
        });
        assert!(copied == bytes, "{kind}");
        for fd in &shared {
            assert!(!fcntl_getfl(fd.as_fd()).unwrap().contains(OFlags::NONBLOCK), "{kind}");
        }
        assert!(finished(process).success(), "{kind}");
    }
}
