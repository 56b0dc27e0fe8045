//! Work on names: stat and remove.

mod collection;

use crate::client::Client;
use crate::client::caller::Caller;
use crate::client::status;
use crate::reader::object::Object;
use crate::wire::range::Span;
use crate::wire::request::{HttpRequest, Method, Place};
use std::sync::Arc;
use vfs_core::{Code, Stat};
use zvfs_net::failure::{Attempt, Failure, Retry};
use zvfs_net::retry::{Budget, persist};

/// What is known of an object, by asking for its first bytes.
///
/// # Errors
/// As [`Object::open`].
pub fn stat(client: &Arc<Client>, place: &Place, caller: &Caller) -> Attempt<Stat> {
    persist(caller, &mut Budget::new(), || {
        let (object, stream) = Object::open(client, place, Span::PROBE, caller)?;
        stream.dismiss(caller);
        Ok(object.stat)
    })
}

/// Removes an object, never a collection.
///
/// # Errors
/// EISDIR: it is one. EIO: the server says that it did it, and did not. The status's. As [`Client::send`].
pub fn remove(client: &Arc<Client>, place: &Place, caller: &Caller) -> Attempt<()> {
    let request = HttpRequest { method: Method::Delete, ..HttpRequest::get(None) };
    let mut unheard = false;
    persist(caller, &mut Budget::new(), || {
        let refuse_collection = |place: &Place| collection::refuse(client, place, caller);
        refuse_collection(place)?;
        let asked = client.send_checked(place, &request, caller, refuse_collection);
        let (answer, _) = asked.inspect_err(|failure| {
            // Whether the server did it before the connection was lost, nobody knows.
            unheard |= failure.retry != Retry::No;
        })?;
        match answer.head.status {
            status if status::is_done(status) => {
                answer.dismiss(caller);
                if status == 200 { refuse_what_is_left(client, place, caller) } else { Ok(()) }
            }
            _ => {
                let failure = client.refusal(answer, &place.target, caller);
                if failure.code == Code::ENOENT && unheard { Ok(()) } else { Err(failure) }
            }
        }
    })
}

/// Looks whether an object is gone. Servers of static files answer any method as a GET: with 200.
///
/// # Errors
/// EIO: it is there.
fn refuse_what_is_left(client: &Arc<Client>, place: &Place, caller: &Caller) -> Attempt<()> {
    match Object::open(client, place, Span::PROBE, caller) {
        Ok((_, stream)) => {
            stream.dismiss(caller);
            let text = "the server answered 200, and the object is still there: it seems to take no DELETE";
            Err(Failure::new(Code::EIO, text))
        }
        // It is not there, or nobody can say.
        Err(_) => Ok(()),
    }
}
