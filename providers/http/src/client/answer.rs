//! An answer: its head, and its body as it is read.

use crate::client::caller::Caller;
use crate::client::error_text::{self, Secrets};
use crate::client::pool::Pool;
use crate::client::status;
use crate::wire::body::Body;
use crate::wire::connection::Connection;
use crate::wire::head::Head;
use std::os::fd::BorrowedFd;
use std::sync::Arc;
use std::time::Duration;
use zvfs_net::failure::{Attempt, Failure};
use zvfs_net::waiting::Waiting;

/// What is worth reading of a body that nobody wants, to keep its connection.
const DISMISS_MAX: u64 = 64 << 10;
/// How long that is waited for, all of it together: less than a new connection takes.
const DISMISS_WAIT: Duration = Duration::from_millis(10);

/// How long a server may take to say why it refuses: the status is known already.
const WORDS_WAIT: Duration = Duration::from_secs(5);

/// An answer.
pub struct Answer {
    /// Its head.
    pub head: Head,
    body: Body,
    /// Given back once all of the body came.
    connection: Option<Connection>,
    /// `None`: the connection is of no further use.
    pool: Option<Arc<Pool>>,
    /// What came behind the body; told by the read that would say that this is the end.
    behind: Option<Failure>,
}

impl Answer {
    /// An answer whose head was received on a connection.
    ///
    /// # Errors
    /// EPROTO: it does not say where its body ends, or contradicts itself.
    pub fn new(head: Head, connection: Connection, pool: Option<Arc<Pool>>) -> Attempt<Answer> {
        let body = Body::of(&head)?;
        let mut answer = Answer { head, body, connection: Some(connection), pool, behind: None };
        answer.settle();
        Ok(answer)
    }

    /// The body's length, if the head says it.
    pub fn length(&self) -> Option<u64> {
        self.body.length()
    }

    /// Reads, waiting for one byte; 0: all of it came, and nothing else.
    ///
    /// # Errors
    /// As [`Body::read`].
    pub fn read(&mut self, buf: &mut [u8], waiting: Waiting<'_>) -> Attempt<usize> {
        let Some(connection) = &mut self.connection else {
            return self.behind.clone().map_or(Ok(0), Err);
        };
        let count = self.body.read(connection, buf, waiting)?;
        self.settle();
        match &self.behind {
            Some(failure) if count == 0 => Err(failure.clone()),
            _ => Ok(count),
        }
    }

    /// Where more of the body comes in; `None`: all of it came.
    pub fn socket(&self) -> Option<BorrowedFd<'_>> {
        self.connection.as_ref().map(Connection::socket)
    }

    /// Where more of the body comes in as it is, and how much; `None`: nowhere, or not now.
    pub fn bare(&self) -> Option<(BorrowedFd<'_>, u64)> {
        let left = self.body.left().unwrap_or(0);
        let socket = self.connection.as_ref().filter(|_| left > 0)?.plain()?;
        Some((socket, left))
    }

    /// Says that so much was read from [there](Answer::bare).
    pub fn skip(&mut self, count: u64) {
        self.body.skip(count);
        self.settle();
    }

    /// Gives the connection back once the body is over.
    fn settle(&mut self) {
        if !self.body.is_done() {
            return;
        }
        let Some(mut connection) = self.connection.take() else { return };
        if let Err(failure) = connection.refuse_more() {
            self.behind = Some(failure);
        } else if let Some(pool) =
            self.pool.as_ref().filter(|_| self.head.keeps_alive() && !self.body.is_lax())
        {
            pool.put(connection);
        }
    }

    /// Reads all of a short body, within the limit for an answer to come.
    ///
    /// # Errors
    /// EPROTO: it is longer than that. As [`Body::read`].
    pub fn receive(&mut self, max: usize, caller: &Caller) -> Attempt<Vec<u8>> {
        let waiting = Waiting::until(&caller.context, caller.tuning.first_byte_timeout, "end of the answer");
        let (mut body, mut buf) = (Vec::new(), [0; 8 << 10]);
        loop {
            match self.read(&mut buf, waiting)? {
                0 => return Ok(body),
                count if body.len() + count > max => {
                    return Err(Failure::protocol(format!("the answer is longer than {max} bytes")));
                }
                count => body.extend_from_slice(&buf[..count]),
            }
        }
    }

    /// The failure that it is, with its server's own words. The connection is kept as by [`dismiss`](Answer::dismiss).
    pub fn refusal(mut self, secrets: &Secrets, caller: &Caller) -> Failure {
        let failure = status::failure(&self.head);
        let waiting = Waiting::until(&caller.context, WORDS_WAIT, "error text of the server");
        let head = self.head.clone();
        let words = error_text::receive(&head, secrets, |buf| self.read(buf, waiting));
        self.dismiss(caller);
        in_words(failure, words)
    }

    /// Is done with an answer of which no more is wanted: keeps its connection if little is left.
    pub fn dismiss(mut self, caller: &Caller) {
        let waiting = Waiting::until(&caller.context, DISMISS_WAIT, "rest of the body");
        let mut read = 0;
        let mut buf = [0; 8 << 10];
        while !self.body.is_done() && self.body.left().unwrap_or(0) <= DISMISS_MAX && read <= DISMISS_MAX {
            // A read that finds something does not ask the limit.
            if waiting.left().is_zero() {
                return;
            }
            match self.read(&mut buf, waiting) {
                Ok(0) | Err(_) => return,
                Ok(count) => read += count as u64,
            }
        }
    }
}

/// The failure that a head is which came unasked for, with its server's own words. The connection is of no further use.
pub fn refusal(head: &Head, connection: &mut Connection, secrets: &Secrets, caller: &Caller) -> Failure {
    let failure = status::failure(head);
    let Ok(mut body) = Body::of(head) else { return failure };
    let waiting = Waiting::until(&caller.context, WORDS_WAIT, "error text of the server");
    in_words(failure, error_text::receive(head, secrets, |buf| body.read(connection, buf, waiting)))
}

/// Adds what the server says of a failure itself, if it does.
fn in_words(failure: Failure, words: Option<String>) -> Failure {
    match words {
        Some(words) => failure.followed_by(format_args!("; the server says: {words}")),
        None => failure,
    }
}
