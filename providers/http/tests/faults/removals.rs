//! What is removed, and what is not.

use crate::common::*;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use vfs_core::{Code, OpenOptions};
use zvfs_http_servers::{After, Answer, FaultServer, Server};

const COLLECTION: &str = "<?xml version=\"1.0\"?><D:multistatus xmlns:D=\"DAV:\"><D:response><D:href>/x</D:href><D:propstat><D:prop>\
                          <D:resourcetype><D:collection/></D:resourcetype></D:prop></D:propstat></D:response></D:multistatus>";

/// A server whose PROPFIND is answered so, and whose DELETE succeeds.
fn telling(properties: Answer) -> FaultServer {
    FaultServer::http(move |request, peer| match request.method.as_str() {
        "PROPFIND" => peer.send(&properties),
        _ => peer.send(&Answer::new(204).without("Content-Length")),
    })
}

fn methods(server: &FaultServer) -> Vec<String> {
    server.requests().into_iter().map(|request| request.method).collect()
}

/// DELETE of a collection takes all that lies in it: `zvfs rm` of one path removed whole trees.
#[test]
fn a_collection_is_not_removed() {
    let server = telling(Answer::new(207).body(COLLECTION));
    refused(quick().remove(&server.url("/x"), &OpenOptions::default()), Code::EISDIR);
    assert_eq!(methods(&server), ["PROPFIND"]);
    assert_eq!(server.requests()[0].header("Depth"), Some("0"));
}

#[test]
fn a_path_that_ends_as_a_directory_s_is_not_even_asked_for() {
    let server = telling(Answer::new(405));
    for path in ["/", "/d/", "/d/?a=b", "/d/.", "/d/%2e%2E", "/d%2F"] {
        refused(quick().remove(&server.url(path), &OpenOptions::default()), Code::EISDIR);
    }
    assert!(methods(&server).is_empty());
}

#[test]
fn what_is_no_collection_is_removed() {
    let file = COLLECTION.replace("<D:collection/>", "").replace("/x<", "/collection<");
    let mut answers: Vec<Answer> =
        [400, 403, 404, 405, 501].map(|status| Answer::new(status).body("no")).into();
    answers.push(Answer::new(207).body(file));
    for answer in answers {
        let server = telling(answer);
        quick().remove(&server.url("/collection"), &OpenOptions::default()).unwrap();
        assert_eq!(methods(&server), ["PROPFIND", "DELETE"]);
    }
}

/// A stranger's report: caddy, and `serve` of npm, answer a DELETE with 200 and the file, and were believed.
#[test]
fn what_a_server_says_it_removed_is_looked_at() {
    for (left, code) in [(true, Some(Code::EIO)), (false, None)] {
        let server = FaultServer::http(move |request, peer| match request.method.as_str() {
            "PROPFIND" => peer.send(&Answer::new(405)),
            "GET" if !left => peer.send(&Answer::new(404)),
            _ => peer.send(&Answer::new(200).body("the file")),
        });
        let removed = quick().remove(&server.url("/x"), &OpenOptions::default());
        assert_eq!(removed.err().map(|error| error.code()), code);
        assert_eq!(methods(&server), ["PROPFIND", "DELETE", "GET"]);
    }
}

#[test]
fn where_a_redirect_leads_is_looked_at_too() {
    let server =
        FaultServer::http(|request, peer| match (request.method.as_str(), request.target.as_str()) {
            ("PROPFIND", "/slash") => peer.send(&Answer::new(301).with("Location", "/slash/")),
            ("PROPFIND", "/tree") => peer.send(&Answer::new(207).body(COLLECTION)),
            ("PROPFIND", _) => peer.send(&Answer::new(405)),
            ("DELETE", "/to-slash") => peer.send(&Answer::new(307).with("Location", "/d/")),
            ("DELETE", "/to-tree") => peer.send(&Answer::new(308).with("Location", "/tree")),
            _ => peer.send(&Answer::new(204).without("Content-Length")),
        });
    for path in ["/slash", "/to-slash", "/to-tree"] {
        refused(quick().remove(&server.url(path), &OpenOptions::default()), Code::EISDIR);
    }
    let removed =
        |target: &str| server.requests().iter().any(|one| one.method == "DELETE" && one.target == target);
    assert!(!removed("/slash") && !removed("/slash/") && !removed("/d/") && !removed("/tree"));
}

#[test]
fn properties_without_end_are_an_error_and_nothing_is_removed() {
    let server = FaultServer::http(|request, peer| {
        if request.method == "PROPFIND" {
            peer.raw(b"HTTP/1.1 207 x\r\nConnection: close\r\n\r\n")?;
            flood(peer, b"<a/>", 8 << 20, &Sent::default())?;
        }
        Ok(After::Close)
    });
    let (registry, url) = (quick(), server.url("/x"));
    refused(in_time(move || registry.remove(&url, &OpenOptions::default())), Code::EPROTO);
    assert_eq!(methods(&server), ["PROPFIND"]);
}

#[test]
fn trees_of_nginx_and_apache2_stay() {
    for server in [Server::nginx(), Server::apache2()].into_iter().flatten() {
        let tree = server.root().join("tree");
        fs::create_dir(&tree).unwrap();
        // Their workers are somebody else if root runs this.
        fs::set_permissions(&tree, Permissions::from_mode(0o777)).unwrap();
        server.put("tree/leaf", b"x");
        refused(quick().remove(&server.http("tree/"), &OpenOptions::default()), Code::EISDIR);
        quick().remove(&server.http("tree"), &OpenOptions::default()).unwrap_err();
        assert!(tree.join("leaf").exists());
        quick().remove(&server.http("tree/leaf"), &OpenOptions::default()).unwrap();
        assert!(!tree.join("leaf").exists());
    }
}
