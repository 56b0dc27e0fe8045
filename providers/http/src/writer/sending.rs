//! Sending an upload's body: all of it that fits, and the rest when the server takes it, unless it says before that it does not
//! want it.

use super::{Writer, is_callers};
use crate::client::answer;
use crate::client::caller::Caller;
use crate::client::error_text::Secrets;
use crate::client::redirect;
use crate::wire::connection::Connection;
use crate::wire::head::Head;
use crate::wire::request::Place;
use std::io::IoSlice;
use vfs_core::{Code, Events};
use zvfs_net::failure::{Attempt, Failure};
use zvfs_net::waiting::Waiting;

impl Writer {
    /// Sends what is kept.
    pub(super) fn drain(&mut self) -> Attempt<()> {
        let (waiting, caller) = (taken(&self.caller), &self.caller);
        let Some(connection) = &mut self.connection else { return Ok(()) };
        while self.sent < self.pending.len() {
            match connection.try_send(&[IoSlice::new(&self.pending[self.sent..])])? {
                Some(count) => {
                    self.sent += count;
                    self.rate.add(count as u64, &caller.tuning).map_err(too_slow)?;
                }
                None => {
                    self.rate.begin();
                    await_room(connection, waiting, &self.place, &self.secrets, caller)?;
                }
            }
        }
        self.pending.clear();
        self.sent = 0;
        while !connection.flush()? {
            await_room(connection, waiting, &self.place, &self.secrets, caller)?;
        }
        Ok(())
    }

    /// Sends pieces; what the caller's time does not suffice for is kept.
    pub(super) fn send(&mut self, pieces: [&[u8]; 3]) -> Attempt<()> {
        let all: usize = pieces.iter().map(|piece| piece.len()).sum();
        let mut connection =
            self.connection.take().ok_or_else(|| Failure::new(Code::EBADF, "it has ended"))?;
        let (mut done, waiting, caller) = (0, taken(&self.caller), &self.caller);
        let outcome = loop {
            if done == all {
                break Ok(());
            }
            let rest = after(pieces, done);
            match connection.try_send(&rest.map(IoSlice::new)) {
                Ok(Some(count)) => {
                    done += count;
                    if let Err(text) = self.rate.add(count as u64, &caller.tuning) {
                        break Err(too_slow(text));
                    }
                }
                Ok(None) => {
                    self.rate.begin();
                    if let Err(failure) =
                        await_room(&mut connection, waiting, &self.place, &self.secrets, caller)
                    {
                        break Err(failure);
                    }
                }
                Err(failure) => {
                    break Err(
                        early_failure(&mut connection, &self.place, &self.secrets, caller).unwrap_or(failure)
                    );
                }
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

/// ETIMEDOUT would say that the call may be repeated.
fn too_slow(text: String) -> Failure {
    Failure::new(Code::ECONNRESET, text)
}

/// Waits for the server to take something.
fn taken(caller: &Caller) -> Waiting<'_> {
    Waiting::silence(&caller.context, caller.tuning.stall_timeout, "byte taken by the server")
}

/// Waits until more can be sent; a server that answers meanwhile does not want it.
fn await_room(
    connection: &mut Connection,
    waiting: Waiting<'_>,
    place: &Place,
    secrets: &Secrets,
    caller: &Caller,
) -> Attempt<()> {
    let events = connection.ready(Events::READ | Events::WRITE, waiting)?;
    if events.contains(Events::READ)
        && let Some(failure) = early_failure(connection, place, secrets, caller)
    {
        return Err(failure);
    }
    Ok(())
}

/// What a server said before the upload was complete, if it did.
fn early_failure(
    connection: &mut Connection,
    place: &Place,
    secrets: &Secrets,
    caller: &Caller,
) -> Option<Failure> {
    loop {
        match Head::take(connection) {
            Ok(Some(head)) if head.status >= 200 => {
                let failure = match head.status {
                    200..=299 => Failure::protocol(format!("{} before the upload was complete", head.status)),
                    _ => redirect::too_late(&head, place)
                        .unwrap_or_else(|| answer::refusal(&head, connection, secrets, caller).for_good()),
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
