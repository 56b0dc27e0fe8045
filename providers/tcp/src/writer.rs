//! The writing end, as an open file.

mod tries;

use crate::failure::{Outcome, lost};
use crate::outgoing::{Outgoing, Reports, Rest};
use crate::pipe::WriterPipe;
use crate::queue::{Command, Queue};
use crate::splice::{FilePart, Sent};
use netpipe::Header;
use netpipe::frame::{ATOMIC, HEADER, Kind};
use netpipe::pairing::LastWord;
use rustix::io::Errno;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tries::Tries;
use vfs_core::{Capabilities, Code, Error, Events, File, Finish, Flush, Interest, Result, Wanted};
use zvfs_net::caller::{Caller, WaitedFor};
use zvfs_net::failure::Failure;

/// The most payload bytes that one write puts into a frame: then the reader begins before a larger write is all sent.
const FRAME_MAX: usize = 256 << 10;

/// How long a lost connection may take to show the reader's last word.
const LAST_WORD: Duration = Duration::from_secs(2);

/// An open writer.
pub struct Writer {
    pipe: Arc<WriterPipe>,
    queue: Arc<Queue>,
    caller: Caller,
    /// The file has said its last word.
    finished: bool,
    /// For a host with an event loop.
    tries: Tries,
}

impl Writer {
    /// Begins with a pipe that the service thread knows.
    pub fn new(pipe: Arc<WriterPipe>, queue: Arc<Queue>, caller: Caller) -> Writer {
        Writer { pipe, queue, caller, finished: false, tries: Tries::default() }
    }

    fn fail(&self, doing: &str, outcome: &Outcome) -> Error {
        let shown = &self.caller.shown;
        match outcome {
            Outcome::Closed => Failure::new(Code::EPIPE, "the reader closed").error(doing, shown),
            Outcome::Failed(failure) => failure.error(doing, shown),
            Outcome::Done => Failure::new(Code::EPIPE, "the pipe has ended").error(doing, shown),
        }
    }

    /// Waits until `ready` gives something. It is asked again after each news.
    fn wait_until<T>(
        &self,
        doing: &str,
        what: impl Fn() -> WaitedFor,
        mut ready: impl FnMut() -> Option<T>,
    ) -> Result<T> {
        loop {
            self.pipe.signal.clear();
            if let Some(value) = ready() {
                return Ok(value);
            }
            match self.pipe.outgoing() {
                Some(outgoing) => return self.listen_until(outgoing, doing, &what, &mut ready),
                None => self.caller.wait(self.pipe.signal.as_fd(), Events::READ, doing, &what)?,
            }
        }
    }

    /// As `wait_until`, with a reader. Its word is heard here, on the caller's own thread. The service thread hears nothing
    /// meanwhile, so all that can change comes through the connection.
    fn listen_until<T>(
        &self,
        outgoing: &Outgoing,
        doing: &str,
        what: &impl Fn() -> WaitedFor,
        ready: &mut impl FnMut() -> Option<T>,
    ) -> Result<T> {
        let mut reports = outgoing.listen();
        loop {
            if let Some(value) = ready() {
                return Ok(value);
            }
            if self.hear(outgoing, &mut reports, true) {
                self.caller.check(doing, what)?;
            } else if ready().is_none() {
                if outgoing.say_full() {
                    self.queue.ask(Command::Flush(self.pipe.id));
                }
                self.caller.wait(outgoing.link.as_fd(), Events::READ, doing, what)?;
            }
        }
    }

    /// Hears what the reader says; true: something came. `waits`: or waits for a moment until something does.
    fn hear(&self, outgoing: &Outgoing, reports: &mut Reports, waits: bool) -> bool {
        let heard = reports.receive(outgoing, waits);
        if let Some(outcome) = heard.outcome {
            self.pipe.settle(outcome);
        }
        if heard.over {
            self.queue.ask(Command::HeardAll(self.pipe.id));
        }
        heard.came
    }

    /// The connection, once there is a reader.
    fn reader(&self, doing: &str) -> Result<Arc<Outgoing>> {
        let look = || match (self.pipe.outcome(), self.pipe.outgoing()) {
            (Some(outcome), _) => Some(Err(self.fail(doing, outcome))),
            (None, Some(outgoing)) => Some(Ok(outgoing.clone())),
            (None, None) => None,
        };
        match look() {
            Some(found) => found,
            None => self.wait_until(doing, || self.pipe.waits_for(), look)?,
        }
    }

    /// The connection, for a call that may write.
    fn ready_to_write(&self) -> Result<Arc<Outgoing>> {
        self.caller.context.status()?;
        self.check_unfinished()?;
        self.reader("write")
    }

    fn check_unfinished(&self) -> Result<()> {
        if self.finished {
            return Err(Failure::new(Code::EBADF, "finished already").error("write", &self.caller.shown));
        }
        Ok(())
    }

    /// Makes way for a frame.
    fn begin_frame(&self, outgoing: &Outgoing, rest: &mut Rest) -> Result<()> {
        outgoing.approach(rest);
        self.clear(outgoing, rest, "write")?;
        if outgoing.is_finished() {
            // Whoever heard the reader break a rule has refused it, and is about to say why.
            return Err(self.broken(outgoing, "write", Errno::PIPE));
        }
        Ok(())
    }

    /// How many of `wanted` bytes may go into a frame now: all, if that is a write that arrives whole.
    fn room(&self, outgoing: &Outgoing, wanted: usize) -> Result<usize> {
        let least = wanted.min(ATOMIC) as u64;
        let look = || match self.pipe.outcome() {
            Some(outcome) => Some(Err(self.fail("write", outcome))),
            None => {
                Some(Ok(outgoing.window.room())).filter(|room| matches!(room, Ok(room) if *room >= least))
            }
        };
        let room = match look() {
            Some(room) => room?,
            None => {
                self.wait_until("write", || WaitedFor::from("the reader to take what is on its way"), look)??
            }
        };
        Ok(wanted.min(FRAME_MAX).min(usize::try_from(room).unwrap_or(usize::MAX)))
    }

    /// Waits until the kernel takes more.
    fn wait_for_kernel(&self, outgoing: &Outgoing, doing: &str) -> Result<()> {
        let what = || WaitedFor::from("the network, or the reader, to take more");
        let (fd, events) = outgoing.link.writable();
        outgoing.while_stuck(|| self.caller.wait(fd, events, doing, what))
    }

    /// Sends what is left of the last frame.
    fn clear(&self, outgoing: &Outgoing, rest: &mut Rest, doing: &str) -> Result<()> {
        loop {
            match outgoing.push(rest) {
                Ok(true) => return Ok(()),
                Ok(false) => self.wait_for_kernel(outgoing, doing)?,
                Err(errno) => return Err(self.broken(outgoing, doing, errno)),
            }
        }
    }

    /// Sends one frame. A caller that cannot wait leaves the rest of it behind: a frame begun is finished.
    fn send(
        &self,
        outgoing: &Outgoing,
        rest: &mut Rest,
        header: &[u8; HEADER],
        payload: &[u8],
    ) -> Result<()> {
        let mut sent = 0;
        while sent < HEADER + payload.len() {
            let (head, body) = (&header[sent.min(HEADER)..], &payload[sent.saturating_sub(HEADER)..]);
            match outgoing.link.send_or_wait(head, body) {
                Ok(0) => {
                    if self.wait_for_kernel(outgoing, "write").is_err() {
                        rest.keep(head);
                        rest.keep(body);
                        self.queue.ask(Command::Flush(self.pipe.id));
                        return Ok(());
                    }
                }
                Ok(count) => sent += count,
                Err(errno) => return Err(self.broken(outgoing, "write", errno)),
            }
        }
        // What TLS still has of it is sent before the next frame, or by the service thread.
        match outgoing.link.flush() {
            Ok(true) => {}
            Ok(false) => self.queue.ask(Command::Flush(self.pipe.id)),
            Err(errno) => return Err(self.broken(outgoing, "write", errno)),
        }
        Ok(())
    }

    /// Sends one frame whose payload is a part of a file.
    fn send_part(
        &self,
        outgoing: &Outgoing,
        rest: &mut Rest,
        header: &[u8; HEADER],
        part: &mut FilePart<'_>,
    ) -> Result<()> {
        let mut head = &header[..];
        while !head.is_empty() || part.left() > 0 {
            let sent = match head.is_empty() {
                true => part.send(&outgoing.link),
                false => outgoing.link.send_head(head).map(|count| {
                    head = &head[count..];
                    if count == 0 { Sent::Nothing } else { Sent::Some }
                }),
            };
            let must_read = match sent {
                Ok(Sent::Some) => false,
                Ok(Sent::Unable) => true,
                Ok(Sent::Nothing) => self.wait_for_kernel(outgoing, "write").is_err(),
                Err(Errno::NODATA) => return Err(self.torn(outgoing)),
                Err(errno) => return Err(self.broken(outgoing, "write", errno)),
            };
            if must_read {
                // A frame begun is finished, as with a buffer.
                rest.keep(head);
                rest.keep(&part.read().map_err(|_| self.torn(outgoing))?);
                self.queue.ask(Command::Flush(self.pipe.id));
                return Ok(());
            }
        }
        Ok(())
    }

    /// The file ended in the middle of a frame that was begun: nothing that follows could be understood.
    fn torn(&self, outgoing: &Outgoing) -> Error {
        outgoing.link.cut();
        Failure::new(Code::EIO, "the file that was being sent became shorter")
            .error("write", &self.caller.shown)
    }

    /// What a failed send means: the reader's last word, if there is one.
    fn broken(&self, outgoing: &Outgoing, doing: &str, errno: Errno) -> Error {
        let until = Instant::now() + LAST_WORD;
        // Its frame is never finished: nobody waits for that to refuse.
        outgoing.while_stuck(|| {
            let mut reports = outgoing.listen();
            loop {
                if let Some(outcome) = self.pipe.outcome() {
                    return self.fail(doing, outcome);
                }
                if Instant::now() >= until || self.caller.context.status().is_err() {
                    return lost(errno).error(doing, &self.caller.shown);
                }
                self.hear(outgoing, &mut reports, true);
            }
        })
    }

    fn say_last(&mut self, word: LastWord) {
        self.finished = true;
        if self.pipe.say_last(word) {
            self.queue.ask(Command::Finished(self.pipe.id));
        }
    }

    /// Waits until the reader has taken everything, END too.
    fn wait_for_done(&self) -> Result<()> {
        let what = || match self.pipe.outgoing() {
            Some(_) => WaitedFor::from("the reader to take everything"),
            None => self.pipe.waits_for(),
        };
        self.wait_until("commit", what, || self.committed())?
    }

    /// What COMMIT gives, once that is known.
    fn committed(&self) -> Option<Result<()>> {
        let all_taken = self.pipe.outgoing().is_some_and(|outgoing| outgoing.is_all_taken());
        match self.pipe.outcome() {
            None => all_taken.then_some(Ok(())),
            Some(Outcome::Done) => Some(Ok(())),
            // It closed, with everything in its hands.
            Some(Outcome::Closed) if all_taken => Some(Ok(())),
            Some(outcome) => Some(Err(self.fail("commit", outcome))),
        }
    }

    /// Waits until the reader has taken what was written.
    fn wait_for_taken(&self) -> Result<()> {
        let Some(outgoing) = self.pipe.outgoing() else {
            // Nothing was written yet: a write waits for the reader.
            return match self.pipe.outcome() {
                Some(outcome) if *outcome != Outcome::Done => Err(self.fail("flush", outcome)),
                _ => Ok(()),
            };
        };
        let what = || WaitedFor::from("the reader to take everything");
        self.wait_until("flush", what, || match self.pipe.outcome() {
            Some(Outcome::Done) => Some(Ok(())),
            Some(Outcome::Closed) if outgoing.window.taken() == outgoing.window.sent() => Some(Ok(())),
            Some(outcome) => Some(Err(self.fail("flush", outcome))),
            None => (outgoing.window.taken() == outgoing.window.sent()).then_some(Ok(())),
        })?
    }
}

impl File for Writer {
    fn capabilities(&self) -> Capabilities {
        Capabilities::WRITABLE | Capabilities::CANCEL | Capabilities::SPLICE | Capabilities::POLL
    }

    fn write(&mut self, buf: &[u8]) -> Result<usize> {
        let outgoing = self.ready_to_write()?;
        let payload = &buf[..self.room(&outgoing, buf.len())?];
        let mut rest = outgoing.sending();
        self.begin_frame(&outgoing, &mut rest)?;
        let header = Header::data(payload, outgoing.crc).encode();
        outgoing.count(payload);
        self.send(&outgoing, &mut rest, &header, payload)?;
        Ok(payload.len())
    }

    fn send_from(&mut self, from: BorrowedFd<'_>, offset: u64, count: usize) -> Result<usize> {
        let outgoing = self.ready_to_write()?;
        let link = &outgoing.link;
        let must_see = || {
            let text = "checksums, digests, TLS and shared memory need to see the bytes";
            Failure::new(Code::ENOTSUP, text).error("write", &self.caller.shown)
        };
        if outgoing.crc || outgoing.has_digest() || link.is_secure() || link.is_shared() {
            return Err(must_see());
        }
        let unreadable = |errno| Failure::system(errno).error("write", &self.caller.shown);
        let mut part = FilePart::new(from, offset, count).map_err(unreadable)?;
        if part.left() == 0 {
            return Ok(0);
        }
        part.shorten(self.room(&outgoing, part.left())?);
        let length = part.left();
        let mut rest = outgoing.sending();
        self.begin_frame(&outgoing, &mut rest)?;
        if link.is_shared() {
            return Err(must_see());
        }
        let header = Header { kind: Kind::Data, crc: None, length: length as u32 }.encode();
        outgoing.window.send(length as u64);
        self.send_part(&outgoing, &mut rest, &header, &mut part)?;
        Ok(length)
    }

    fn flush(&mut self, level: Flush) -> Result<()> {
        if let Some(outgoing) = self.pipe.outgoing() {
            let mut rest = outgoing.sending();
            match level {
                Flush::Sync => self.clear(outgoing, &mut rest, "flush")?,
                Flush::Push => {
                    if let Ok(false) = outgoing.push(&mut rest) {
                        self.queue.ask(Command::Flush(self.pipe.id));
                    }
                }
            }
        }
        if level == Flush::Sync { self.wait_for_taken() } else { Ok(()) }
    }

    fn finish(&mut self, how: Finish) -> Result<()> {
        match how {
            Finish::End => self.say_last(LastWord::End),
            Finish::Commit => {
                self.say_last(LastWord::End);
                self.wait_for_done().inspect_err(|_| self.pipe.abandon())?;
            }
            Finish::Discard => {
                self.say_last(LastWord::Discard);
                self.pipe.abandon();
            }
        }
        Ok(())
    }

    fn interest(&mut self, wanted: Wanted) -> Result<Interest<'_>> {
        self.next_try(wanted)
    }

    fn try_write(&mut self, buf: &[u8]) -> Result<Option<usize>> {
        self.write_now(buf)
    }

    fn try_finish(&mut self, how: Finish) -> Result<Option<()>> {
        match how {
            Finish::Commit => self.commit_now(),
            how => self.finish(how).map(Some),
        }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.queue.ask(Command::Closed(self.pipe.id));
    }
}
