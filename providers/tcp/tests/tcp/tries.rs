//! Pipes of a host with one thread and an event loop.

use crate::common::*;
use crate::tls::Authority;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::time::{Duration, Instant};
use vfs_core::{Capabilities, Code, Events, Finish, Interest, OpenFile, OpenOptions, Wanted};

/// One end of a pipe, and how far it is.
struct End {
    file: OpenFile,
    wanted: Wanted,
    bytes: Vec<u8>,
    done: usize,
}

impl End {
    fn reader(file: OpenFile) -> End {
        End { file, wanted: Wanted::READ, bytes: Vec::new(), done: 0 }
    }

    fn writer(file: OpenFile, bytes: &[u8]) -> End {
        End { file, wanted: Wanted::WRITE, bytes: bytes.to_vec(), done: 0 }
    }

    /// Goes on until that would wait. At its end it wants nothing more.
    fn go(&mut self) {
        assert!(self.file.capabilities().contains(Capabilities::POLL));
        let mut buffer = vec![0; 70_001];
        loop {
            let moved = match self.wanted {
                Wanted::READ => self.file.try_read(&mut buffer).unwrap(),
                Wanted::WRITE => {
                    let piece = self.bytes.len().min(self.done + 50_021);
                    self.file.try_write(&self.bytes[self.done..piece]).unwrap()
                }
                Wanted::FINISH => self.file.try_finish(Finish::Commit).unwrap().map(|()| 0),
                _ => return,
            };
            let Some(count) = moved else { return };
            match self.wanted {
                Wanted::READ if count > 0 => self.bytes.extend_from_slice(&buffer[..count]),
                Wanted::WRITE => {
                    self.done += count;
                    if self.done == self.bytes.len() {
                        self.wanted = Wanted::FINISH;
                    }
                }
                _ => self.wanted = Wanted::empty(),
            }
        }
    }
}

/// Waits as the interests say.
fn wait(interests: &[Interest<'_>]) {
    if interests.iter().any(|interest| !interest.ready.is_empty()) {
        return;
    }
    let mut polled: Vec<_> = interests
        .iter()
        .filter_map(|interest| {
            let mut flags = PollFlags::empty();
            flags.set(PollFlags::IN, interest.events.contains(Events::READ));
            flags.set(PollFlags::OUT, interest.events.contains(Events::WRITE));
            Some(PollFd::from_borrowed_fd(interest.fd?, flags))
        })
        .collect();
    let after = interests.iter().filter_map(|interest| interest.after).min();
    let limit = after.unwrap_or(SLACK).min(SLACK);
    let limit = Timespec { tv_sec: limit.as_secs() as i64, tv_nsec: limit.subsec_nanos().into() };
    let came = poll(&mut polled, Some(&limit)).unwrap();
    assert!(came > 0 || after.is_some(), "nothing occurred");
}

/// Runs all ends on this thread until each is at its end.
fn run(ends: &mut [End]) {
    let until = Instant::now() + 3 * SLACK;
    loop {
        ends.iter_mut().for_each(End::go);
        let interests: Vec<_> = ends
            .iter_mut()
            .filter(|end| !end.wanted.is_empty())
            .map(|end| end.file.interest(end.wanted).unwrap())
            .collect();
        if interests.is_empty() {
            return;
        }
        assert!(Instant::now() < until, "{} ends are not through", interests.len());
        wait(&interests);
    }
}

#[test]
fn twenty_pipes_have_one_thread() {
    each_way(|house| {
        let content = sample(700_000);
        let mut ends = Vec::new();
        for at in 0..20 {
            let name = format!("p{at}");
            ends.push(End::reader(house.reader(&name)));
            ends.push(End::writer(house.writer(&name), &content));
        }
        run(&mut ends);
        assert!(ends.iter().all(|end| end.bytes == content));
    });
}

/// There bytes wait in user space, where no descriptor tells of them.
#[test]
fn pipes_under_tls_are_tried() {
    let authority = Authority::new();
    let house = House::with(None, &authority.peer("one"));
    let content = sample(1_500_000);
    let mut ends = [End::reader(house.reader("a")), End::writer(house.writer("a"), &content)];
    run(&mut ends);
    assert!(ends[0].bytes == content);
}

#[test]
fn several_writers_of_one_pipe_are_tried() {
    each_way(|house| {
        let descriptor = format!("{}?writers=3", house.descriptor("a"));
        let reader = house.reading.open(&descriptor, &OpenOptions::new(READ)).unwrap();
        let mut ends = vec![End::reader(reader)];
        ends.extend((0..3_u8).map(|at| End::writer(house.writer("a"), &vec![at; 500_000])));
        run(&mut ends);
        for at in 0..3_u8 {
            assert_eq!(ends[0].bytes.iter().filter(|byte| **byte == at).count(), 500_000);
        }
    });
}

/// Through memory payload does not touch the connection: what a host awaits is the bell.
#[test]
fn an_end_that_sleeps_over_shared_memory_is_woken_by_the_other() {
    let house = House::with(None, "same-host = \"on\"");
    let (mut reader, mut writer) = house.pair("a");
    for round in 0..200_u8 {
        assert_eq!(reader.try_read(&mut [0; 8]).unwrap(), None);
        let interest = reader.interest(Wanted::READ).unwrap();
        assert!(interest.ready.is_empty(), "nothing was written");
        let written = in_thread(move || {
            writer.write_all(&[round]).unwrap();
            writer
        });
        wait(&[interest]);
        let mut byte = [0; 1];
        assert_eq!(tried(&mut reader, Wanted::READ, |file| file.try_read(&mut byte)).unwrap(), 1);
        assert_eq!(byte, [round]);
        writer = written.recv_timeout(SLACK).unwrap();
    }
}

/// Tries until something else than "not now" comes.
fn tried<T>(
    file: &mut OpenFile,
    wanted: Wanted,
    mut call: impl FnMut(&mut OpenFile) -> vfs_core::Result<Option<T>>,
) -> vfs_core::Result<T> {
    loop {
        if let Some(value) = call(file)? {
            return Ok(value);
        }
        wait(&[file.interest(wanted)?]);
    }
}

#[test]
fn a_full_pipe_is_not_now_until_its_reader_takes_something() {
    each_way(|house| {
        let (mut reader, mut writer) = house.pair("a");
        let (mut written, bytes) = (0, [7; 60_000]);
        while let Some(count) = writer.try_write(&bytes).unwrap() {
            written += count;
        }
        assert!(written > 0);
        assert!(writer.interest(Wanted::WRITE).unwrap().ready.is_empty());
        let read = in_thread(move || (read_exactly(&mut reader, written).len(), reader));
        tried(&mut writer, Wanted::WRITE, |file| file.try_write(&bytes)).unwrap();
        assert_eq!(read.recv_timeout(SLACK).unwrap().0, written);
    });
}

#[test]
fn an_end_that_closes_is_heard_by_the_other_in_tries() {
    each_way(|house| {
        let (reader, mut writer) = house.pair("a");
        drop(reader);
        let error = tried(&mut writer, Wanted::WRITE, |file| {
            // Bytes on their way to nobody are taken.
            file.try_write(b"x").map(|_| None::<()>)
        });
        refused(error, Code::EPIPE, "the reader closed");
        let (mut reader, writer) = house.pair("b");
        drop(writer);
        refused(
            tried(&mut reader, Wanted::READ, |file| file.try_read(&mut [0; 8])),
            Code::ECONNRESET,
            "was lost",
        );
    });
}

#[test]
fn a_pipe_without_its_other_end_is_not_now() {
    each_way(|house| {
        let mut writer = house.writer("a");
        assert_eq!(writer.try_write(b"x").unwrap(), None);
        let mut reader = house.reader("b");
        assert_eq!(reader.try_read(&mut [0; 8]).unwrap(), None);
        let mut other = house.reader("a");
        tried(&mut writer, Wanted::WRITE, |file| file.try_write(b"x")).unwrap();
        assert_eq!(tried(&mut other, Wanted::READ, |file| file.try_read(&mut [0; 8])).unwrap(), 1);
        assert_eq!(writer.try_finish(Finish::End).unwrap(), Some(()));
        assert_eq!(tried(&mut other, Wanted::READ, |file| file.try_read(&mut [0; 8])).unwrap(), 0);
        tried(&mut writer, Wanted::FINISH, |file| file.try_finish(Finish::Commit)).unwrap();
    });
}

#[test]
fn a_try_that_is_cancelled_does_not_begin() {
    let (mut reader, _writer) = House::direct().pair("a");
    reader.control().set_deadline(Some(Instant::now()));
    assert_eq!(reader.try_read(&mut [0; 8]).unwrap_err().code(), Code::ETIMEDOUT);
    assert_eq!(reader.interest(Wanted::READ).map(drop).unwrap_err().code(), Code::ETIMEDOUT);
    reader.control().set_deadline(Some(Instant::now() + Duration::from_secs(60)));
    assert_eq!(reader.try_read(&mut [0; 8]).unwrap(), None);
}
