//! Collections: WebDAV's directories, which a DELETE would take with all that lies in them. A name is looked at before it is removed.

use crate::client::Client;
use crate::client::caller::Caller;
use crate::wire::request::{HttpRequest, Method, Place};
use vfs_core::Code;
use zvfs_net::failure::{Attempt, Failure};

/// What is read of an answer that tells the properties of one resource.
const PROPERTIES_MAX: usize = 256 << 10;

/// Refuses to remove a collection. A server that doesn't answer PROPFIND as WebDAV has no collections, as far as anybody can tell.
///
/// # Errors
/// EISDIR: it is one. EPROTO: its properties have no end. As [`Client::send`].
pub fn refuse(client: &Client, place: &Place, caller: &Caller) -> Attempt<()> {
    if place.target.is_directory() {
        return Err(directory("a path that ends in `/`, `.` or `..` names a directory"));
    }
    let request = HttpRequest { method: Method::Propfind, ..HttpRequest::get(None) };
    let (mut answer, found) = client.send(place, &request, caller)?;
    let is_one = if found.target.is_directory() {
        true // It was sent on to where the slash stands.
    } else if answer.head.status == 207 {
        is_told_in(&answer.receive(PROPERTIES_MAX, caller)?)
    } else {
        false
    };
    answer.dismiss(caller);
    if is_one { Err(directory("it is a collection of WebDAV")) } else { Ok(()) }
}

fn directory(why: &str) -> Failure {
    Failure::new(Code::EISDIR, format!("{why}: only files are removed"))
}

/// Whether the element `collection`, with any prefix, stands in a text of XML, where `<` stands for nothing but markup.
fn is_told_in(properties: &[u8]) -> bool {
    properties.split(|byte| *byte == b'<').skip(1).any(|tag| {
        let end = tag.iter().position(|byte| byte.is_ascii_whitespace() || matches!(byte, b'>' | b'/'));
        let name = &tag[..end.unwrap_or(tag.len())];
        name.rsplit(|byte| *byte == b':').next() == Some(b"collection")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_collection_is_told_by_an_element_and_not_by_a_name() {
        for xml in
            ["<D:collection/>", "<a><collection xmlns=\"DAV:\"/></a>", "<ns0:collection></ns0:collection>"]
        {
            assert!(is_told_in(xml.as_bytes()), "{xml}");
        }
        for xml in ["", "collection", "<D:href>/collection</D:href><D:resourcetype/>", "<D:collections/>"] {
            assert!(!is_told_in(xml.as_bytes()), "{xml}");
        }
    }
}
