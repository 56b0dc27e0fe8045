//! Redirects: which are followed, and where to.

use crate::wire::head::Head;
use crate::wire::request::{Method, Place};
use std::borrow::Cow;
use vfs_core::Code;
use zvfs_net::failure::{Attempt, Failure};

/// Where an answer sends a request on to; `None`: it is no redirect.
///
/// A request that changes something goes on only where the status says that it stays the same one (307, 308).
///
/// # Errors
/// EACCES: from https to http. EPROTO: no location, or one that is no URL of http; a status that would make another request
/// of it.
pub fn next(head: &Head, from: &Place, method: Method) -> Attempt<Option<Place>> {
    match head.status {
        307 | 308 => {}
        301..=303 if matches!(method, Method::Get | Method::Propfind) => {}
        301..=303 => {
            let text = format!("{}: a redirect that would change the request's method", head.status);
            return Err(Failure::protocol(text));
        }
        _ => return Ok(None),
    }
    let location = head.all("location").next();
    let location =
        location.ok_or_else(|| Failure::protocol(format!("{}: a redirect to nowhere", head.status)))?;
    let target = from.target.join(&as_text(location))?;
    if from.target.is_secure() && !target.is_secure() {
        let text = format!("a redirect from https to {target}, which is not followed");
        return Err(Failure::new(Code::EACCES, text));
    }
    let is_first_origin = from.is_first_origin && target.origin() == from.target.origin();
    Ok(Some(Place { target, is_first_origin }))
}

/// The failure that a redirect is where the body of an upload is on its way already; `None`: it is no redirect.
pub fn too_late(head: &Head, from: &Place) -> Option<Failure> {
    match next(head, from, Method::Put) {
        Ok(None) => None,
        Ok(Some(Place { target, .. })) => {
            let status = head.status;
            Some(Failure::protocol(format!(
                "{status}: a redirect that came behind the body: upload to {target}"
            )))
        }
        Err(failure) => Some(failure),
    }
}

/// A location as text. One in Latin-1 or the like, which RFC 3986 does not know, is taken byte by byte, as its server will
/// take it when it comes back.
fn as_text(location: &[u8]) -> Cow<'_, str> {
    match std::str::from_utf8(location) {
        Ok(text) => Cow::Borrowed(text),
        Err(_) => {
            let encoded = |byte: &u8| match byte.is_ascii() {
                true => char::from(*byte).to_string(),
                false => format!("%{byte:02X}"),
            };
            Cow::Owned(location.iter().map(encoded).collect())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::target::Target;

    fn place(url: &str) -> Place {
        Place::first(Target::parse(url).unwrap())
    }

    fn head(status: u16, location: &str) -> Head {
        Head::of(&[&format!("HTTP/1.1 {status} x"), &format!("Location: {location}")])
    }

    #[test]
    fn a_redirect_is_followed_and_leaves_the_origin_for_good() {
        let first = place("https://a/x");
        let near = next(&head(302, "/y"), &first, Method::Get).unwrap().unwrap();
        assert!(near.is_first_origin && near.target.absolute() == "https://a/y");
        let far = next(&head(307, "https://b/"), &near, Method::Get).unwrap().unwrap();
        assert!(!far.is_first_origin);
        let back = next(&head(308, "https://a/x"), &far, Method::Get).unwrap().unwrap();
        assert!(!back.is_first_origin);
        assert!(next(&head(200, "/y"), &first, Method::Get).unwrap().is_none());
        assert!(next(&head(304, "/y"), &first, Method::Get).unwrap().is_none());
    }

    #[test]
    fn a_location_of_other_bytes_than_utf_8_is_taken_byte_by_byte() {
        assert_eq!(as_text(b"/M\xfcller?a=\xe9"), "/M%FCller?a=%E9");
        assert_eq!(as_text("/Müller".as_bytes()), "/Müller");
        let joined = place("http://a/x").target.join(&as_text(b"/M\xfcller")).unwrap();
        assert_eq!(joined.path(), "/M%FCller");
        // Of a host nothing can be known.
        assert!(place("http://a/x").target.join(&as_text(b"http://m\xfcller/")).is_err());
    }

    #[test]
    fn https_is_never_left() {
        let failure =
            next(&head(302, "http://a/x?secret=1"), &place("https://a/x"), Method::Get).unwrap_err();
        assert_eq!(failure.code, Code::EACCES);
        assert!(!failure.text.contains("secret=1"), "{}", failure.text);
        assert!(next(&head(302, "https://a/"), &place("http://a/x"), Method::Get).unwrap().is_some());
    }

    #[test]
    fn an_upload_is_not_turned_into_something_else() {
        let first = place("http://a/x");
        assert!(next(&head(307, "/y"), &first, Method::Put).unwrap().is_some());
        for (status, method) in [(301, Method::Put), (302, Method::Delete), (303, Method::Put)] {
            assert_eq!(next(&head(status, "/y"), &first, method).unwrap_err().code, Code::EPROTO);
        }
        assert!(next(&Head::of(&["HTTP/1.1 302 x"]), &first, Method::Get).is_err());
    }
}
