//! An object open for writing: one PUT, whose body is what is written.
//!
//! The end is the server's to see only at COMMIT: with a length the last byte is held back until then, with chunks the last
//! one. So whatever ends before that breaks the upload, and no server takes a part for the whole.

mod sending;
mod upload;

use crate::client::Client;
use crate::client::answer::Answer;
use crate::client::caller::Caller;
use crate::client::error_text::Secrets;
use crate::client::least_rate::LeastRate;
use crate::client::redirect;
use crate::client::status;
use crate::wire::connection::Connection;
use crate::wire::head::Head;
use crate::wire::request::Place;
use std::sync::Arc;
use vfs_core::{Capabilities, Code, Error, File, Finish, Flush, Result};
use zvfs_net::failure::{Attempt, Failure, Retry};
use zvfs_net::waiting::Waiting;

/// What one write takes at most: what could not be sent of it is kept.
const PIECE: usize = 1 << 20;
/// What is gathered of smaller writes before it is sent: a chunk and a system call for each line would be dear.
const GATHERED: usize = 64 << 10;
/// What is kept for a server that takes nothing without its length.
const KEPT: usize = 1 << 20;

/// An object open for writing.
pub struct Writer {
    client: Arc<Client>,
    place: Place,
    caller: Caller,
    /// What must not come back in the server's words.
    secrets: Secrets,
    connection: Option<Connection>,
    framing: UploadFraming,
    /// What small writes brought: it goes out together.
    gathered: Vec<u8>,
    /// What was framed and not yet sent, from `sent` on.
    pending: Vec<u8>,
    sent: usize,
    taken: u64,
    rate: LeastRate,
    stage: Stage,
    /// Only if there was none: what 412 means.
    exclusive: bool,
}

enum UploadFraming {
    /// Bytes that were announced, those that went out, and the last one, which is held back.
    Length {
        of: u64,
        framed: u64,
        held: Option<u8>,
    },
    Chunks,
    /// Nothing is sent before all of it is there: it is empty, as far as is known, or the server wants a length (411).
    Kept {
        announced: Option<u64>,
    },
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
        caller: Caller,
        size: Option<u64>,
        exclusive: bool,
    ) -> Result<Writer> {
        let begun = match size {
            // Of an empty object nothing could be held back: its head is all of it.
            Some(0) => None,
            _ => upload::begin(client, place, size, exclusive, &caller)
                .map_err(|failure| failure.error("open", &caller.shown))?,
        };
        let framing = match (size, &begun) {
            (_, None) => UploadFraming::Kept { announced: size },
            (Some(of), _) => UploadFraming::Length { of, framed: 0, held: None },
            (None, _) => UploadFraming::Chunks,
        };
        Ok(Writer {
            client: client.clone(),
            place: place.clone(),
            secrets: client.secrets(&place.target, &caller),
            caller,
            connection: begun,
            framing,
            gathered: Vec::new(),
            pending: Vec::new(),
            sent: 0,
            taken: 0,
            rate: LeastRate::default(),
            stage: Stage::Open,
            exclusive,
        })
    }

    /// Ends the upload for a failure that is not just the caller's time.
    fn broken(&mut self, failure: Failure, doing: &str) -> Error {
        if is_callers(&failure) {
            return failure.error(doing, &self.caller.shown);
        }
        // ETIMEDOUT would say that the call may be repeated.
        let code = if failure.code == Code::ETIMEDOUT { Code::ECONNRESET } else { failure.code };
        let text = match failure.retry {
            Retry::No => failure.text,
            _ => format!("{} (after {} bytes; an upload is not repeated)", failure.text, self.taken),
        };
        let failure = Failure::new(code, text);
        let error = failure.error(doing, &self.caller.shown);
        self.connection = None;
        self.stage = Stage::Broken(failure);
        error
    }

    fn usable(&self, doing: &str) -> Result<()> {
        match &self.stage {
            Stage::Open => Ok(()),
            Stage::Broken(failure) => Err(failure.error(doing, &self.caller.shown)),
            Stage::Ending | Stage::Done => {
                Err(Error::new(Code::EBADF, format!("{doing} {}: the upload has ended", self.caller.shown)))
            }
        }
    }

    fn take(&mut self, buf: &[u8]) -> Attempt<usize> {
        let buf = &buf[..buf.len().min(PIECE)];
        let count = match self.framing {
            UploadFraming::Length { of, .. } | UploadFraming::Kept { announced: Some(of) }
                if of == self.taken =>
            {
                let text = format!("more than the {of} bytes that were announced");
                return Err(Failure::new(Code::EFBIG, text));
            }
            UploadFraming::Kept { .. } if self.gathered.len() + buf.len() > KEPT => {
                let text = format!(
                    "411 length required: the server takes no upload of unknown size, and more than {} KiB are not kept for it",
                    KEPT >> 10
                );
                return Err(Failure::new(Code::ENOTSUP, text));
            }
            UploadFraming::Kept { .. } => {
                self.gathered.extend_from_slice(buf);
                self.taken += buf.len() as u64;
                return Ok(buf.len());
            }
            UploadFraming::Chunks => buf.len(),
            UploadFraming::Length { of, .. } => {
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
        if self.gathered.is_empty() || matches!(self.framing, UploadFraming::Kept { .. }) {
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
            UploadFraming::Chunks => {
                let size = format!("{:x}\r\n", data.len());
                self.send([size.as_bytes(), data, b"\r\n"])
            }
            UploadFraming::Length { of, framed, held } => {
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
            UploadFraming::Kept { .. } => Ok(()), // `push` sends none
        }
    }

    /// Sends what was kept, now that its length is known.
    fn send_kept(&mut self) -> Attempt<()> {
        let of = self.gathered.len() as u64;
        let begun = upload::begin(&self.client, &self.place, Some(of), self.exclusive, &self.caller)?;
        self.connection = begun;
        self.framing = UploadFraming::Length { of, framed: of, held: None };
        self.pending = std::mem::take(&mut self.gathered);
        Ok(())
    }

    /// Ends the body and waits for the server's word.
    fn complete(&mut self) -> Attempt<()> {
        // As long as nothing was sent, a server that now wants a length can have one.
        let mut kept = None;
        if matches!(self.stage, Stage::Open) {
            if matches!(self.framing, UploadFraming::Chunks) && self.gathered.len() as u64 == self.taken {
                kept = Some(self.gathered.clone());
            }
            self.push()?;
            match &self.framing {
                UploadFraming::Kept { .. } => self.send_kept()?,
                UploadFraming::Chunks => self.pending.extend_from_slice(b"0\r\n\r\n"),
                UploadFraming::Length { held: Some(last), .. } => self.pending.push(*last),
                UploadFraming::Length { of, held: None, .. } => {
                    let text = format!("{} bytes were written of the {of} that were announced", self.taken);
                    return Err(Failure::new(Code::EIO, text));
                }
            }
            self.stage = Stage::Ending;
        }
        self.drain()?;
        let mut connection =
            self.connection.take().ok_or_else(|| Failure::new(Code::EBADF, "the upload has ended"))?;
        let limit = self.caller.tuning.first_byte_timeout;
        let waiting = Waiting::until(&self.caller.context, limit, "answer to the upload");
        let head = match Head::receive(&mut connection, waiting) {
            Ok(head) => head,
            Err(failure) => {
                self.connection = Some(connection); // a repeated COMMIT goes on waiting
                return Err(failure);
            }
        };
        let answer = Answer::new(head, connection, Some(self.client.pool().clone()))?;
        let caller = &self.caller;
        match (answer.head.status, kept) {
            (status, _) if status::is_done(status) => {
                answer.dismiss(caller);
                Ok(())
            }
            (411, Some(kept)) => {
                answer.dismiss(caller);
                (self.gathered, self.framing) = (kept, UploadFraming::Kept { announced: None });
                self.stage = Stage::Open;
                self.complete()
            }
            (412, _) if self.exclusive => Err(Failure::new(Code::EEXIST, "412: it exists already")),
            _ => {
                let redirected = redirect::too_late(&answer.head, &self.place);
                Err(redirected.unwrap_or_else(|| answer.refusal(&self.secrets, caller).for_good()))
            }
        }
    }
}

impl File for Writer {
    fn capabilities(&self) -> Capabilities {
        Capabilities::WRITABLE | Capabilities::CANCEL
    }

    fn write(&mut self, buf: &[u8]) -> Result<usize> {
        self.usable("write")?;
        self.caller.context.status()?;
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
            (Finish::Commit, Stage::Broken(failure)) => Err(failure.error("commit", &self.caller.shown)),
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
                    "discard {}: it was sent completely, and the server has not confirmed or refused it",
                    self.caller.shown
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
    failure.retry == Retry::No && matches!(failure.code, Code::ETIMEDOUT | Code::ECANCELED)
}
