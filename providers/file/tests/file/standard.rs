//! `/dev/stdin`, `/dev/stdout`, `/dev/stderr`: whatever the host's fds 0 to 2 are. Each test runs itself as a child with other
//! ones. What the child copies goes to its stderr, since the test harness writes to its stdout.
#![expect(unsafe_code, reason = "a test closes the standard input, as a host in C may have done")]

use crate::common::*;
use rustix::fs::{FlockOperation, OFlags, fcntl_getfl, flock};
use std::fs::{self, File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::net::Shutdown;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::process::Stdio;
use std::thread;
use std::time::Duration;
use vfs_core::{Capabilities, Code, Control, Direction, Finish, Kind, OpenFlags};

/// Copies stdin to stderr as a job would; the root, which allows neither, is no matter.
fn copy(wanted: &str) {
    let instance = start(&[("root", "/proc/self")]).unwrap();
    let mut from = open_in(&*instance, "/dev/stdin", READ).unwrap();
    let flags = NEW | OpenFlags::PREALLOCATE;
    let mut to = request("file:///dev/stderr", &Control::new(), |request| {
        instance.open(&request.with_flags(flags).with_expected_size(Some(1 << 20)))
    })
    .unwrap();
    let kinds = format!("{:?} {:?}", from.stat().unwrap().kind, to.stat().unwrap().kind);
    assert_eq!(kinds, wanted);
    let mut buffer = vec![0; 100_000];
    loop {
        match from.read(&mut buffer).unwrap() {
            0 => break,
            count => write_all(&mut *to, &buffer[..count]),
        }
    }
    to.finish(Finish::End).unwrap();
    to.finish(Finish::Commit).unwrap();
    assert_eq!(from.read(&mut buffer).unwrap(), 0);
}

fn bytes() -> Vec<u8> {
    (0..1_000_000_u32).map(|n| (n ^ (n >> 8)) as u8).collect()
}

#[test]
fn pipes_are_copied_and_stay_blocking() {
    if let Some(kinds) = child_argument() {
        return copy(&kinds);
    }
    let (stdin, mut input) = std::io::pipe().unwrap();
    let (mut output, stderr) = std::io::pipe().unwrap();
    let mut command = child("standard::pipes_are_copied_and_stay_blocking", "Stream Stream");
    let modes = [stdin.try_clone().unwrap().into(), OwnedFd::from(stderr.try_clone().unwrap())];
    command.stdin(stdin).stdout(Stdio::null()).stderr(stderr);
    let process = command.spawn().unwrap();
    drop(command);
    let feeder = thread::spawn(move || input.write_all(&bytes()).unwrap());
    // Both ends share their modes with the child's descriptors.
    let mut copied = vec![0; bytes().len()];
    output.read_exact(&mut copied).unwrap();
    assert!(copied == bytes());
    for fd in &modes {
        assert!(!fcntl_getfl(fd).unwrap().contains(OFlags::NONBLOCK));
    }
    feeder.join().unwrap();
    assert!(finished(process).success());
    assert!(!fcntl_getfl(&modes[0]).unwrap().contains(OFlags::NONBLOCK));
}

#[test]
fn files_are_continued_where_they_are() {
    if let Some(kinds) = child_argument() {
        return copy(&kinds);
    }
    let house = House::new().with("in", "skipped, taken").with("out", "kept, overwritten, kept too");
    let mut stdin = File::open(house.path("in")).unwrap();
    let mut stderr = OpenOptions::new().read(true).write(true).open(house.path("out")).unwrap();
    stdin.seek(SeekFrom::Start(9)).unwrap();
    stderr.seek(SeekFrom::Start(6)).unwrap();
    // Somebody else's lock is no matter to a standard stream.
    let other = File::open(house.path("out")).unwrap();
    flock(&other, FlockOperation::LockExclusive).unwrap();
    let process = child("standard::files_are_continued_where_they_are", "Regular Regular")
        .stdin(stdin.try_clone().unwrap())
        .stdout(Stdio::null())
        .stderr(stderr.try_clone().unwrap())
        .spawn()
        .unwrap();
    assert!(finished(process).success());
    assert_eq!(house.content("out"), "kept, takenritten, kept too");
    assert_eq!((stdin.stream_position().unwrap(), stderr.stream_position().unwrap()), (14, 11));
}

#[test]
fn sockets_are_streams() {
    if let Some(kinds) = child_argument() {
        return copy(&kinds);
    }
    let (mut ours, theirs) = UnixStream::pair().unwrap();
    let both = OwnedFd::from(theirs);
    let mut command = child("standard::sockets_are_streams", "Stream Stream");
    command.stdin(both.try_clone().unwrap()).stdout(Stdio::null()).stderr(both.try_clone().unwrap());
    let process = command.spawn().unwrap();
    drop(command);
    let mut feeding = ours.try_clone().unwrap();
    let feeder = thread::spawn(move || {
        feeding.write_all(&bytes()).unwrap();
        feeding.shutdown(Shutdown::Write).unwrap();
    });
    let mut copied = vec![0; bytes().len()];
    ours.read_exact(&mut copied).unwrap();
    assert!(copied == bytes());
    feeder.join().unwrap();
    assert!(finished(process).success());
    assert!(!fcntl_getfl(&both).unwrap().contains(OFlags::NONBLOCK));
}

#[test]
fn a_terminal_is_read_by_lines() {
    if let Some(kinds) = child_argument() {
        return copy(&kinds);
    }
    let (mut master, path) = terminal();
    let (stdin, mut output) = (File::open(path).unwrap(), std::io::pipe().unwrap());
    let mut command = child("standard::a_terminal_is_read_by_lines", "Terminal Stream");
    command.stdin(stdin).stdout(Stdio::null()).stderr(output.1);
    let process = command.spawn().unwrap();
    drop(command);
    let mut line = [0; 7];
    for text in [b"line 1\n", b"line 2\n"] {
        master.write_all(text).unwrap();
        output.0.read_exact(&mut line).unwrap();
        assert_eq!(&line, text);
    }
    master.write_all(b"\x04").unwrap(); // end of file, as a person types it
    assert!(finished(process).success());
    assert!(!fcntl_getfl(&master).unwrap().contains(OFlags::NONBLOCK));
}

#[test]
fn a_full_blocking_pipe_can_be_cancelled() {
    if child_argument().is_some() {
        let instance = start(&[]).unwrap();
        let control = Control::new();
        let mut file = open_under(&*instance, &control, "/dev/stderr", WRITE).unwrap();
        assert!(file.capabilities().contains(Capabilities::CANCEL));
        let outcome = in_thread(move || {
            loop {
                if let Err(error) = file.write(&[0; 100_000]) {
                    break error.code();
                }
            }
        });
        assert!(outcome.recv_timeout(Duration::from_millis(200)).is_err(), "it did not wait");
        control.cancel();
        assert_eq!(outcome.recv_timeout(SLACK), Ok(Code::ECANCELED));
        return;
    }
    let (output, stderr) = std::io::pipe().unwrap();
    let mut command = child("standard::a_full_blocking_pipe_can_be_cancelled", "-");
    let process = command.stdout(Stdio::null()).stderr(stderr).spawn().unwrap();
    assert!(finished(process).success());
    drop(output);
}

#[test]
fn each_goes_one_way() {
    if child_argument().is_some() {
        let instance = start(&[]).unwrap();
        for (path, flags, words) in [
            ("/dev/stdin", WRITE, "can only be read"),
            ("/dev/stdin", READ | WRITE, "can only be read"),
            ("/dev/stdout", READ, "can only be written"),
            ("/dev/stderr", READ | WRITE, "can only be written"),
            // The parent gave us the wrong ends.
            ("/dev/stdin", READ, "is not open in this direction"),
            ("/dev/stderr", WRITE, "is not open in this direction"),
        ] {
            refused(open_in(&*instance, path, flags), Code::EBADF, words);
        }
        refused(open_in(&*instance, "/dev/stdout", NEW | OpenFlags::EXCLUSIVE), Code::EEXIST, "exists");
        return;
    }
    let house = House::new().with("f", "");
    let process = child("standard::each_goes_one_way", "-")
        .stdin(OpenOptions::new().write(true).open(house.path("f")).unwrap())
        .stdout(Stdio::null())
        .stderr(File::open(house.path("f")).unwrap())
        .spawn()
        .unwrap();
    assert!(finished(process).success());
}

#[test]
fn a_closed_one_is_ebadf_and_no_file_takes_its_place() {
    if let Some(path) = child_argument() {
        let instance = start(&[]).unwrap();
        // SAFETY: nothing in this process owns fd 0 but std's stdin, which is not used.
        assert_eq!(unsafe { libc::close(0) }, 0);
        let file = open_in(&*instance, &path, READ).unwrap();
        refused(open_in(&*instance, "/dev/stdin", READ), Code::EBADF, "the host has closed it");
        // What somebody else in the host opens gets the free number.
        let other = File::open("/dev/zero").unwrap();
        assert_eq!(other.as_raw_fd(), 0);
        refused(open_in(&*instance, "/dev/stdin", READ), Code::EBADF, "the host has closed it");
        drop((file, other));
        std::process::exit(42);
    }
    let house = House::new().with("f", "secret");
    let process = child("standard::a_closed_one_is_ebadf_and_no_file_takes_its_place", &house.bare("f"))
        .stdin(Stdio::null())
        .spawn()
        .unwrap();
    assert_eq!(finished(process).code(), Some(42));
}

#[test]
fn a_folder_is_eisdir() {
    if child_argument().is_some() {
        let instance = start(&[]).unwrap();
        return refused(open_in(&*instance, "/dev/stdin", READ), Code::EISDIR, "is a directory");
    }
    let folder = File::open("/").unwrap();
    let process = child("standard::a_folder_is_eisdir", "-").stdin(folder).spawn().unwrap();
    assert!(finished(process).success());
}

#[test]
fn what_is_opened_to_append_is_not_lent() {
    if child_argument().is_some() {
        let instance = start(&[]).unwrap();
        let mut file = open_in(&*instance, "/dev/stderr", WRITE).unwrap();
        assert_eq!(file.stat().unwrap().kind, Kind::Regular);
        refused(file.lease(Direction::Write), Code::ENOTSUP, "append");
        write_all(&mut *file, b" and more");
        return;
    }
    let house = House::new().with("f", "old");
    let stderr = OpenOptions::new().append(true).open(house.path("f")).unwrap();
    let process =
        child("standard::what_is_opened_to_append_is_not_lent", "-").stderr(stderr).spawn().unwrap();
    assert!(finished(process).success());
    assert_eq!(fs::read_to_string(house.path("f")).unwrap(), "old and more");
}
