//! Redirects: how many, where to, and what goes with them.

use crate::common::*;
use std::time::Duration;
use vfs_core::{Code, OpenOptions};
use zvfs_http_servers::{After, Answer, Authority, FaultServer, Object};

/// Redirects `/` to a place; everything else is the object.
fn redirecting(status: u16, to: &str) -> FaultServer {
    let to = to.to_owned();
    FaultServer::http(move |request, peer| match request.target.as_str() {
        "/" => peer.send(&Answer::redirect(status, &to)),
        _ => peer.send(&Object::new(1_000).answer(request)),
    })
}

/// A file's name in Latin-1, as servers of old disks have it, was "a redirect to nowhere".
#[test]
fn a_location_in_latin_1_is_followed_byte_by_byte() {
    let server = FaultServer::http(|request, peer| match request.target.as_str() {
        "/M%FCller" => peer.send(&Object::new(100).answer(request)),
        _ => {
            peer.raw(b"HTTP/1.1 302 Found\r\nContent-Length: 0\r\nLocation: /M\xfcller\r\n\r\n")?;
            Ok(After::Next)
        }
    });
    fetch(&quick(), &server.url("/")).is(0..100);
}

#[test]
fn redirects_are_followed_wherever_the_location_is_relative_to() {
    for status in [301, 302, 303, 307, 308] {
        for to in ["/there", "there", "?q=1", "./a/../b"] {
            fetch(&quick(), &redirecting(status, to).url("/")).is(0..1_000);
        }
    }
    let target = serving(Object::new(1_000));
    fetch(&quick(), &redirecting(302, &target.url("/x")).url("/")).is(0..1_000);
    let server = redirecting(302, &format!("//{}/x", target.address()));
    fetch(&quick(), &server.url("/")).is(0..1_000);
    assert_eq!(target.requests().len(), 2);
}

#[test]
fn a_redirect_is_followed_again_by_later_ranges_or_remembered() {
    let server = FaultServer::http(|request, peer| match request.target.as_str() {
        "/" => peer.send(&Answer::redirect(302, "/there")),
        _ => peer.cut(&Object::new(100_000).answer(request), 30_000, After::Close),
    });
    fetch(&quick(), &server.url("/")).is(0..100_000);
}

/// The rest of an answer that nobody wants was waited for anew with each byte of it: for as long as its server liked.
#[test]
fn a_redirect_whose_body_drips_is_followed_soon() {
    const SIZE: usize = 60_000;
    let sent = Sent::default();
    let counting = sent.clone();
    let server = FaultServer::http(move |request, peer| match request.target.as_str() {
        "/" => {
            peer.raw(&Answer::redirect(302, "/there").body([b'x'; SIZE]).head())?;
            for _ in 0..SIZE {
                peer.drip(b"x", Duration::from_millis(1))?;
                counting.add(1);
            }
            Ok(After::Close)
        }
        _ => peer.send(&Object::new(1_000).answer(request)),
    });
    fetch(&quick(), &server.url("/")).is(0..1_000);
    // Five seconds of them at least, where ten milliseconds are given.
    assert!(sent.total() < 5_000, "{} bytes were taken", sent.total());
}

#[test]
fn a_loop_is_eloop() {
    let server = FaultServer::http(|_, peer| peer.send(&Answer::redirect(302, "/")));
    fetch(&quick(), &server.url("/")).failed(Code::ELOOP);
    assert!(server.requests().len() <= 12, "{} requests", server.requests().len());
    let server =
        FaultServer::http(|request, peer| peer.send(&Answer::redirect(302, &format!("{}x", request.target))));
    fetch(&registry("redirects = 3"), &server.url("/")).failed(Code::ELOOP);
    assert_eq!(server.requests().len(), 4);
}

#[test]
fn none_are_followed_where_none_are_allowed() {
    let server = redirecting(302, "/there");
    let fetched = fetch(&registry("redirects = 0"), &server.url("/"));
    assert!(fetched.error.is_some(), "{fetched:?}");
    assert_eq!(server.requests().len(), 1);
}

#[test]
fn a_redirect_without_a_place_is_eproto() {
    let server = FaultServer::http(|_, peer| peer.send(&Answer::new(302)));
    fetch(&quick(), &server.url("/")).failed(Code::EPROTO);
}

#[test]
fn other_schemes_are_refused() {
    for to in [
        "file:///etc/passwd",
        "ftp://127.0.0.1/x",
        "gopher://127.0.0.1/x",
        "data:,x",
        "http://",
        "http:///x:y",
    ] {
        let fetched = fetch(&quick(), &redirecting(302, to).url("/"));
        assert!(fetched.error.is_some() && fetched.bytes.is_empty(), "{to}: {fetched:?}");
    }
}

#[test]
fn from_https_to_http_is_refused() {
    let (authority, plain) = (Authority::new(), serving(Object::new(1_000)));
    let to = plain.url("/x");
    let server = FaultServer::https(&authority.good(), move |_, peer| peer.send(&Answer::redirect(302, &to)));
    let ca = authority.ca_file();
    let fetched = fetch(&registry(&format!("ca-file = {ca:?}")), &server.url("/"));
    assert!(fetched.error.is_some(), "{fetched:?}");
    assert_eq!(plain.connections(), 0, "it was dialled");
}

#[test]
fn link_local_addresses_are_refused_without_being_dialled() {
    for host in [
        "169.254.169.254",
        "[::ffff:169.254.169.254]",
        "[fe80::1]",
        "2852039166",
        "0xa9fea9fe",
        "[fd00:ec2::254]",
    ] {
        let url = format!("http://{host}/latest/meta-data/");
        fetch(&registry("retries = 0"), &url).failed(Code::EACCES);
        fetch(&registry("retries = 0"), &redirecting(302, &url).url("/")).failed(Code::EACCES);
    }
}

#[test]
fn with_public_addresses_only_none_of_this_machine_is_reached() {
    let server = serving(Object::new(1_000));
    let port = server.address().port();
    for host in [
        "127.0.0.1",
        "localhost",
        "[::1]",
        "[::ffff:127.0.0.1]",
        "2130706433",
        "0x7f.1",
        "0.0.0.0",
        "10.0.0.1",
    ] {
        let fetched =
            fetch(&registry(r#"addresses = "public", retries = 0"#), &format!("http://{host}:{port}/"));
        fetched.failed(Code::EACCES);
    }
    assert_eq!(server.connections(), 0);
}

#[test]
fn a_redirect_to_a_host_that_is_not_listed_is_refused() {
    let target = serving(Object::new(1_000));
    // A mapped address of this machine, and another name of it.
    let places =
        [format!("http://[::ffff:127.0.0.2]:{}/x", target.address().port()), target.url_by_name("/x")];
    for place in places {
        let server = redirecting(302, &place);
        fetch(&registry(r#"allowed-hosts = ["127.0.0.1"]"#), &server.url("/")).failed(Code::EACCES);
    }
    assert_eq!(target.connections(), 0);
    let server = redirecting(302, &target.url("/x"));
    fetch(&registry(r#"allowed-hosts = ["127.0.0.1"]"#), &server.url("/")).is(0..1_000);
}

#[test]
fn credentials_stay_with_their_origin() {
    let target = serving(Object::new(1_000));
    let to = target.url("/x");
    let server = FaultServer::http(move |request, peer| match request.target.as_str() {
        "/" => peer.send(&Answer::redirect(302, "/same")),
        "/same" => peer.send(&Answer::redirect(302, &to)),
        _ => peer.send(&Answer::new(404)),
    });
    let url = server.url("/").replace("http://", "http://reader:swordfish@");
    let how =
        OpenOptions::new(READ).setting("headers", "X-Api-Key: sesame").setting("headers", "Cookie: a=b");
    fetch_with(&quick(), &url, how).is(0..1_000);
    for request in server.requests() {
        assert_eq!(request.header("Authorization"), Some("Basic cmVhZGVyOnN3b3JkZmlzaA=="));
        assert_eq!(request.header("X-Api-Key"), Some("sesame"));
    }
    for request in target.requests() {
        for field in ["Authorization", "X-Api-Key", "Cookie"] {
            assert_eq!(request.header(field), None, "{field} went to another origin");
        }
    }
}

#[test]
fn credentials_in_a_location_are_not_used() {
    let target = serving(Object::new(1_000));
    let to = target.url("/x").replace("http://", "http://evil:evil@");
    let server = redirecting(302, &to);
    let fetched = fetch(&quick(), &server.url("/"));
    if fetched.error.is_none() {
        fetched.is(0..1_000);
    }
    assert!(target.requests().iter().all(|request| request.header("Authorization").is_none()));
}
