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
use zvfs_net::failure::{Attempt, Retry};
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
/// EISDIR: it is one. The status's. As [`Client::send`].
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
                Ok(())
            }
            _ => {
                let failure = client.refusal(answer, &place.target, caller);
                if failure.code == Code::ENOENT && unheard { Ok(()) } else { Err(failure) }
            }
        }
    })
}
