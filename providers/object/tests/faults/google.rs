//! Google Cloud Storage, for which no server is to be had here: exchanges written by hand, after its XML API.

use crate::common::*;
use std::ops::ControlFlow;
use std::path::Path;
use vfs_core::{Finish, OpenFlags, OpenOptions, Registry};
use zvfs_http_servers::{Answer, FaultServer, Object, Request, pattern};

const NAME: &str = "gs://bucket/folder/object";
/// One request, and three parts.
const SIZES: [(u64, Step); 2] = [(100_000, Step::Put), (11 << 20, Step::Complete)];

fn registry_of(server: &FaultServer, token: &Path) -> Registry {
    registry(&server.url(""), &format!("{QUICK}, store = \"gs\", session-token-file = {token:?}"))
}

fn has_token(request: &Request) -> bool {
    request.header("Authorization") == Some("Bearer s3cret-token")
}

#[test]
fn an_object_is_read_under_a_token() {
    const SIZE: u64 = 3 << 20;
    let server = spoiling(Object::new(SIZE), |_, answer| answer.with("x-goog-generation", "17"));
    let (_folder, token) = secret("s3cret-token");
    let registry = registry_of(&server, &token);
    let fetched = in_time(move || drain(&mut registry.open(NAME, &OpenOptions::new(READ)).unwrap()));
    is_whole(fetched, SIZE);
    assert!(
        server
            .requests()
            .iter()
            .all(|request| has_token(request) && request.target == "/bucket/folder%2Fobject")
    );
}

#[test]
fn an_exclusive_object_has_googles_condition() {
    let (_folder, token) = secret("s3cret-token");
    for (size, last) in SIZES {
        for flags in [UPLOAD, UPLOAD | OpenFlags::EXCLUSIVE] {
            let server = taking(|_, _, _| None);
            let registry = registry_of(&server, &token);
            in_time(move || {
                let mut file = registry.open(NAME, &OpenOptions::new(flags)).unwrap();
                file.write_all(&pattern::bytes(0..size)).unwrap();
                file.finish(Finish::Commit).unwrap();
            });
            for request in server.requests() {
                let wanted = flags.contains(OpenFlags::EXCLUSIVE) && Step::of(&request) == last;
                let found = request.header("x-goog-if-generation-match");
                assert_eq!(found, wanted.then_some("0"), "{request:?}");
                assert!(has_token(&request), "{request:?}");
            }
            assert_eq!(count(&server, last), 1);
        }
    }
}

#[test]
fn a_folder_is_listed() {
    let (_folder, token) = secret("s3cret-token");
    let server = FaultServer::http(|request, peer| {
        let last = request.target.contains("continuation-token=more");
        let next = if last { "" } else { "<NextContinuationToken>more</NextContinuationToken>" };
        let key = if last { "folder/two" } else { "folder/one" };
        let contents = format!(
            "<Contents><Key>{key}</Key><Size>3</Size><LastModified>2026-01-01T00:00:00.000Z</LastModified><ETag>\"a\"</ETag></Contents>"
        );
        let body = format!(
            "<ListBucketResult>{next}{contents}<CommonPrefixes><Prefix>folder/{}/</Prefix></CommonPrefixes></ListBucketResult>",
            u8::from(last)
        );
        peer.send(&Answer::new(200).body(body))
    });
    let registry = registry_of(&server, &token);
    let mut names = Vec::new();
    let options = OpenOptions::new(OpenFlags::empty());
    let listed = registry.list("gs://bucket/folder", &options, &mut |entry| {
        names.push(entry.name.to_owned());
        ControlFlow::Continue(())
    });
    listed.unwrap();
    assert_eq!(names, ["0", "one", "1", "two"]);
    assert!(
        server.requests().iter().all(|request| request.target.starts_with("/bucket?") && has_token(request))
    );
}
