//! An object open for writing: one PUT, whose body is what is written.
//!
//! The end is the server's to see only at COMMIT: with a length the last byte is held back until then, with chunks the last
//! one. So whatever ends before that breaks the upload, and no server takes a part for the whole.

use crate::answer::Answer;
use crate::caller::Asker;
use crate::client::Client;
use crate::connection::Connection;
use crate::failure::{Again, Attempt, Failure};
use crate::request::Place;
use crate::response::Head;
use crate::status;
use crate::upload;
use crate::waiting::Waiting;
use std::io::IoSlice;
use std::sync::Arc;
use vfs_core::{Capabilities, Code, Error, Events, File, Finish, Flush, Result};

/// What one write takes at most: what could not be sent of it is kept.
const PIECE: usize = 1 << 20;
/// What is gathered of smaller writes before it is sent: a chunk and a system call for each line would be dear.
const GATHERED: usize = 64 << 10;

/// An object open for writing.
pub struct Writer {
    client: Arc<Client>,
    asker: Asker,
    connection: Option<Connection>,
    framing: Framing,
    /// What small writes brought: it goes out together.
    gathered: Vec<u8>,
    /// What was framed and not yet sent, from `sent` on.
    pending: Vec<u8>,
    sent: usize,
    taken: u64,
    stage: Stage,
    /// Only if there was none: what 412 means.
    exclusive: bool,
}

enum Framing {
    /// Bytes that were announced, those that went out, and the last one, which is held back.
    Length {
        of: u64,
        framed: u64,
        held: Option<u8>,
    },
    Chunks,
}

enum Stage {
    /// Takes bytes.
    Open,
    /// The end was sent, or waits to be.
    Ending,
    /// The server said that it has it.
    Done,
    Broken(Failure),
}

impl Writer {
    /// Begins an upload; `size`: bytes that will be written, if that is known.
    ///
    /// # Errors
    /// As [`upload::begin`].
    pub fn open(
        client: &Arc<Client>,
        place: &Place,
        asker: Asker,
        size: Option<u64>,
        exclusive: bool,
    ) -> Result<Writer> {
        // Of an empty object nothing could be held back.
        let length = size.filter(|size| *size > 0);
        let connection = upload::begin(client, place, length, exclusive, asker.caller())
            .map_err(|failure| failure.error("open", &asker.shown))?;
        let framing = match length {
            Some(of) => Framing::Length { of, framed: 0, held: None },
            None => Framing::Chunks,
        };
        Ok(Writer {
            client: client.clone(),
            asker,
            connection: Some(connection),
            framing,
            gathered: Vec::new(),
            pending: Vec::new(),
            sent: 0,
            taken: 0,
            stage: Stage::Open,
            exclusive,
        })
    }

    /// Ends the upload for a failure that is not just the caller's time.
    fn broken(&mut self, failure: Failure, doing: &str) -> Error {
        if is_callers(&failure) {
            return failure.error(doing, &self.asker.shown);
        }
        // ETIMEDOUT would say that the call may be repeated.
        let code = if failure.code == Code::ETIMEDOUT { Code::ECONNRESET } else { failure.code };
        let text = match failure.again {
            Again::No => failure.text,
            _ => format!("{} (after {} bytes; an upload is not repeated)", failure.text, self.taken),
        };
        let failure = Failure::new(code, text);
        let error = failure.error(doing, &self.asker.shown);
        self.connection = None;
        self.stage = Stage::Broken(failure);
        error
    }

    fn usable(&self, doing: &str) -> Result<()> {
        match &self.stage {
            Stage::Open => Ok(()),
            Stage::Broken(failure) => Err(failure.error(doing, &self.asker.shown)),
            Stage::Ending | Stage::Done => {
                Err(Error::new(Code::EBADF, format!("{doing} {}: the upload has ended", self.asker.shown)))
            }
        }
    }

    /// Sends what is kept.
    fn drain(&mut self) -> Attempt<()> {
        let waiting = taken(&self.asker);
        let Some(connection) = &mut self.connection else { return Ok(()) };
        while self.sent < self.pending.len() {
            match connection.try_send(&[IoSlice::new(&self.pending[self.sent..])])? {
                Some(count) => self.sent += count,
                None => await_room(connection, waiting)?,
            }
        }
        self.pending.clear();
        self.sent = 0;
        while !connection.flush()? {
            await_room(connection, waiting)?;
        }
        Ok(())
    }

    /// Sends pieces; what the caller's time does not suffice for is kept.
    fn send(&mut self, pieces: [&[u8]; 3]) -> Attempt<()> {
        let all: usize = pieces.iter().map(|piece| piece.len()).sum();
        let mut connection =
            self.connection.take().ok_or_else(|| Failure::new(Code::EBADF, "it has ended"))?;
        let (mut done, waiting) = (0, taken(&self.asker));
        let outcome = loop {
            if done == all {
                break Ok(());
            }
            let rest = after(pieces, done);
            match connection.try_send(&rest.map(IoSlice::new)) {
                Ok(Some(count)) => done += count,
                Ok(None) => match await_room(&mut connection, waiting) {
                    Ok(()) => {}
                    Err(failure) => break Err(failure),
                },
                Err(failure) => break Err(said_before(&mut connection).unwrap_or(failure)),
            }
        };
        self.connection = Some(connection);
        match outcome {
            Err(failure) if is_callers(&failure) => {
                after(pieces, done).iter().for_each(|piece| self.pending.extend_from_slice(piece));
                Ok(())
            }
            outcome => outcome,
        }
    }

    fn take(&mut self, buf: &[u8]) -> Attempt<usize> {
        let buf = &buf[..buf.len().min(PIECE)];
        let count = match self.framing {
            Framing::Chunks => buf.len(),
            Framing::Length { of, .. } if of == self.taken => {
                let text = format!("more than the {of} bytes that were announced");
                return Err(Failure::new(Code::EFBIG, text));
            }
            Framing::Length { of, .. } => {
                usize::try_from(of - self.taken).unwrap_or(usize::MAX).min(buf.len())
            }
        };
        if self.gathered.len() + count > GATHERED {
            self.push()?;
        }
        match count > GATHERED {
            true => self.send_body(&buf[..count])?,
            false => self.gathered.extend_from_slice(&buf[..count]),
        }
        self.taken += count as u64;
        Ok(count)
    }

    /// Sends what small writes have left.
    fn push(&mut self) -> Attempt<()> {
        self.drain()?;
        if self.gathered.is_empty() {
            return Ok(());
        }
        let gathered = std::mem::take(&mut self.gathered);
        let outcome = self.send_body(&gathered);
        self.gathered = gathered;
        self.gathered.clear();
        outcome
    }

    /// Frames a part of the body, and sends it.
    fn send_body(&mut self, data: &[u8]) -> Attempt<()> {
        self.drain()?;
        match &mut self.framing {
            Framing::Chunks => {
                let size = format!("{:x}\r\n", data.len());
                self.send([size.as_bytes(), data, b"\r\n"])
            }
            Framing::Length { of, framed, held } => {
                *framed += data.len() as u64;
                let data = match data.split_last() {
                    Some((last, data)) if framed == of => {
                        *held = Some(*last);
                        data
                    }
                    _ => data,
                };
                self.send([data, b"", b""])
            }
        }
    }

    /// Ends the body and waits for the server's word.
    fn complete(&mut self) -> Attempt<()> {
        if matches!(self.stage, Stage::Open) {
            self.push()?;
            match &self.framing {
                Framing::Chunks => self.pending.extend_from_slice(b"0\r\n\r\n"),
                Framing::Length { held: Some(last), .. } => self.pending.push(*last),
                Framing::Length { of, held: None, .. } => {
                    let text = format!("{} bytes were written of the {of} that were announced", self.taken);
                    return Err(Failure::new(Code::EIO, text));
                }
            }
            self.stage = Stage::Ending;
        }
        self.drain()?;
        let Some(mut connection) = self.connection.take() else { return Ok(()) };
        let limit = self.asker.tuning.first_byte_timeout;
        let waiting = Waiting::until(&self.asker.context, limit, "answer to the upload");
        let head = match Head::receive(&mut connection, waiting) {
            Ok(head) => head,
            Err(failure) => {
                self.connection = Some(connection); // a repeated COMMIT goes on waiting
                return Err(failure);
            }
        };
        let answer = Answer::new(head, connection, self.client.pool().clone())?;
        let status = answer.head.status;
        let failure = status::failure(&answer.head);
        answer.dismiss(self.asker.caller());
        match status {
            200..=299 => Ok(()),
            412 if self.exclusive => Err(Failure::new(Code::EEXIST, "412: it exists already")),
            _ => Err(Failure { again: Again::No, ..failure }),
        }
    }
}

impl File for Writer {
    fn capabilities(&self) -> Capabilities {
        Capabilities::WRITABLE | Capabilities::CANCEL
    }

    fn write(&mut self, buf: &[u8]) -> Result<usize> {
        self.usable("write")?;
        self.asker.context.status()?;
        self.take(buf).map_err(|failure| self.broken(failure, "write"))
    }

    fn flush(&mut self, _: Flush) -> Result<()> {
        match self.stage {
            // All that a client can do is to send it: whether it is kept, the answer to COMMIT says.
            Stage::Open => self.push().map_err(|failure| self.broken(failure, "flush")),
            _ => Ok(()),
        }
    }

    fn finish(&mut self, how: Finish) -> Result<()> {
        match (how, &self.stage) {
            // The server learns it from COMMIT.
            (Finish::End, _) | (Finish::Commit, Stage::Done) => Ok(()),
            (Finish::Commit, Stage::Broken(failure)) => Err(failure.error("commit", &self.asker.shown)),
            (Finish::Commit, _) => match self.complete() {
                Ok(()) => {
                    self.stage = Stage::Done;
                    Ok(())
                }
                Err(failure) => Err(self.broken(failure, "commit")),
            },
            (Finish::Discard, Stage::Ending) => {
                self.connection = None;
                let text = format!(
                    "discard {}: it was sent whole, and the server has not said what became of it",
                    self.asker.shown
                );
                Err(Error::new(Code::EIO, text))
            }
            (Finish::Discard, _) => {
                self.connection = None;
                if matches!(self.stage, Stage::Open) {
                    self.stage = Stage::Broken(Failure::new(Code::EBADF, "it was discarded"));
                }
                Ok(())
            }
        }
    }
}

/// The caller's own time or cancel: the upload itself is well.
fn is_callers(failure: &Failure) -> bool {
    failure.again == Again::No && matches!(failure.code, Code::ETIMEDOUT | Code::ECANCELED)
}

/// What is left of three pieces after so many bytes.
fn after(mut pieces: [&[u8]; 3], mut done: usize) -> [&[u8]; 3] {
    for piece in &mut pieces {
        let gone = done.min(piece.len());
        *piece = &piece[gone..];
        done -= gone;
    }
    pieces
}

/// Waits for the server to take something.
fn taken(asker: &Asker) -> Waiting<'_> {
    Waiting::silence(&asker.context, asker.tuning.stall_timeout, "byte taken by the server")
}

/// Waits until more can be sent; a server that answers meanwhile does not want it.
fn await_room(connection: &mut Connection, waiting: Waiting<'_>) -> Attempt<()> {
    let events = connection.ready(Events::READ | Events::WRITE, waiting)?;
    if events.contains(Events::READ)
        && let Some(failure) = said_before(connection)
    {
        return Err(failure);
    }
    Ok(())
}

/// What a server said before the upload was at its end, if it did.
fn said_before(connection: &mut Connection) -> Option<Failure> {
    loop {
        match Head::take(connection) {
            Ok(Some(head)) if head.status >= 200 => {
                let failure = match head.status {
                    200..=299 => {
                        Failure::protocol(format!("{} before the upload was at its end", head.status))
                    }
                    _ => Failure { again: Again::No, ..status::failure(&head) },
                };
                return Some(failure);
            }
            Ok(Some(_)) => continue,
            Ok(None) => {}
            Err(failure) => return Some(failure),
        }
        match connection.try_fill() {
            Ok(None) => return None,
            Ok(Some(0)) => return Some(Failure::later(Code::ECONNRESET, "the server ended the connection")),
            Ok(Some(_)) => {}
            Err(failure) => return Some(failure),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_of_three_pieces() {
        let pieces: [&[u8]; 3] = [b"ab", b"cde", b"f"];
        for done in 0..=6 {
            assert_eq!(after(pieces, done).concat(), b"abcdef"[done..], "{done}");
        }
    }
}
