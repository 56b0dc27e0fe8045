//! The beginning of an upload: its head, and the server's word on it before the body.

use crate::client::Client;
use crate::client::answer::Answer;
use crate::client::caller::Caller;
use crate::client::redirect;
use crate::client::status;
use crate::wire::connection::Connection;
use crate::wire::head::Head;
use crate::wire::request::{HttpRequest, Method, Place, Upload};
use std::time::Instant;
use vfs_core::{Code, Events};
use zvfs_net::failure::{Attempt, Failure};
use zvfs_net::retry::{Budget, persist};
use zvfs_net::waiting::Waiting;

/// What the server says to the head of an upload.
enum Reply {
    /// Go on, or nothing at all.
    Continue(Connection),
    /// Elsewhere.
    Redirect(Place),
    /// It does not know the word that was to come before the body.
    ExpectationFailed,
    /// It takes nothing without its length.
    LengthRequired,
}

/// Begins an upload: afterwards the connection takes the body. Until then nothing of it has been sent, so further attempts
/// are as good as the first. `None`: the server wants to know the length.
///
/// # Errors
/// The status's: EACCES, EFBIG, ... EEXIST: it must not exist, and does. ELOOP: too many redirects. As [`Client::send`].
pub fn begin(
    client: &Client,
    place: &Place,
    length: Option<u64>,
    exclusive: bool,
    caller: &Caller,
) -> Attempt<Option<Connection>> {
    // Where there is no body, nothing comes before it.
    let expect = !caller.tuning.expect_timeout.is_zero() && length != Some(0);
    let mut upload = Upload { length, expect, exclusive };
    persist(caller, &mut Budget::new(), || {
        let mut place = place.clone();
        for hops in 0..=caller.tuning.redirects {
            let reply = match send_head(client, &place, upload, caller)? {
                Reply::ExpectationFailed if upload.expect => {
                    upload.expect = false;
                    send_head(client, &place, upload, caller)?
                }
                reply => reply,
            };
            match reply {
                Reply::Continue(connection) => return Ok(Some(connection)),
                Reply::LengthRequired => return Ok(None),
                Reply::Redirect(_) if hops == caller.tuning.redirects => break,
                Reply::Redirect(next) => place = next,
                Reply::ExpectationFailed => {
                    return Err(Failure::protocol("417 expectation failed, but none was sent"));
                }
            }
        }
        Err(Failure::new(Code::ELOOP, format!("more than {} redirects", caller.tuning.redirects)))
    })
}

/// Sends the head and hears what the server says.
fn send_head(client: &Client, place: &Place, upload: Upload, caller: &Caller) -> Attempt<Reply> {
    let request = HttpRequest { method: Method::Put, upload: Some(upload), ..HttpRequest::get(None) };
    // Without a word before the body, a kept connection that is dead would show only behind it.
    let fresh = !upload.expect;
    let exchange = |connection: &mut Connection| {
        early_answer(client, connection, place, &request, upload.expect, caller)
    };
    match client.with_connection(&place.target, caller, fresh, exchange)? {
        (None, connection) => Ok(Reply::Continue(connection)),
        // The server may wait for a body that does not come: the connection is not used again.
        (Some(head), connection) => {
            refused(client, Answer::new(head, connection, None)?, place, upload, caller)
        }
    }
}

/// Sends the head; returns a final one that came instead of the word to go on.
fn early_answer(
    client: &Client,
    connection: &mut Connection,
    place: &Place,
    request: &HttpRequest<'_>,
    expect: bool,
    caller: &Caller,
) -> Attempt<Option<Head>> {
    let tuning = &caller.tuning;
    let origin = place.target.origin();
    let ease = || client.ease(&origin);
    let limit = tuning.first_byte_timeout;
    let waiting = Waiting::until(&caller.context, limit, "answer").on(&origin).eased_by(&ease);
    connection.send_all(&client.head(connection, place, request, caller), waiting)?;
    if !expect {
        return Ok(None);
    }
    let until = Instant::now() + tuning.expect_timeout;
    loop {
        while let Some(head) = Head::take(connection)? {
            if head.is_final()? {
                return Ok(Some(head));
            }
            if head.status == 100 {
                return Ok(None);
            }
        }
        match connection.try_fill()? {
            Some(0) => {
                return Err(Failure::later(Code::ECONNRESET, "the connection ended without an answer"));
            }
            Some(_) => continue,
            None => {}
        }
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() || connection.ready_within(Events::READ, waiting, left)?.is_empty() {
            return Ok(None); // it has nothing to say
        }
    }
}

fn refused(
    client: &Client,
    answer: Answer,
    place: &Place,
    upload: Upload,
    caller: &Caller,
) -> Attempt<Reply> {
    if let Some(next) = redirect::next(&answer.head, place, Method::Put)? {
        return Ok(Reply::Redirect(next));
    }
    match answer.head.status {
        411 if upload.length.is_none() => Ok(Reply::LengthRequired),
        417 => Ok(Reply::ExpectationFailed),
        412 if upload.exclusive => Err(Failure::new(Code::EEXIST, "412: it exists already")),
        200..=299 => Err(status::failure(&answer.head).for_good().context("before the body")),
        _ => Err(client.refusal(answer, &place.target, caller)),
    }
}
