//! Google Cloud Storage, where no server is to be had: conditions, pages and a service account's signature, in exchanges written by
//! hand after its XML API.

use crate::common::*;
use std::fs;
use std::ops::ControlFlow;
use std::path::Path;
use std::process::Command;
use vfs_core::{Finish, OpenFlags, OpenOptions, Registry};
use zvfs_http_servers::{Answer, FaultServer, Object, Request, pattern};
use zvfs_test_support::have;

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

/// Runs openssl in a folder: whether it succeeded, and what it said.
fn openssl(folder: &Path, arguments: &str) -> (bool, String) {
    let output = Command::new("openssl").args(arguments.split(' ')).current_dir(folder).output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8_lossy(&said).into_owned())
}

/// A part of a token, from base64 as URLs have it.
fn decoded(folder: &Path, part: &str) -> Vec<u8> {
    let padding = "=".repeat((4 - part.len() % 4) % 4);
    fs::write(folder.join("part"), part.replace('-', "+").replace('_', "/") + &padding).unwrap();
    let (good, said) = openssl(folder, "base64 -d -A -in part -out decoded");
    assert!(good, "{said}");
    fs::read(folder.join("decoded")).unwrap()
}

#[test]
fn a_service_account_signs_a_token_that_its_public_key_verifies() {
    if !have(&["openssl"]) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    for arguments in [
        "genpkey -quiet -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -out private.pem",
        "pkey -in private.pem -pubout -out public.pem",
    ] {
        let (good, said) = openssl(folder, arguments);
        assert!(good, "{said}");
    }
    let private = fs::read_to_string(folder.join("private.pem")).unwrap().replace('\n', "\\n");
    let (_folder, account) = secret(&format!(
        r#"{{"type": "service_account", "client_email": "jobs@example.org", "private_key_id": "a1", "private_key": "{private}"}}"#
    ));
    let server = spoiling(Object::new(1000), |_, answer| answer);
    let settings = format!("{QUICK}, store = \"gs\", service-account = {account:?}");
    let registry = registry(&server.url(""), &settings);
    is_whole(in_time(move || drain(&mut registry.open(NAME, &OpenOptions::new(READ)).unwrap())), 1000);

    let requests = server.requests();
    let token = requests[0].header("Authorization").unwrap().strip_prefix("Bearer ").unwrap();
    let (signed, signature) = token.rsplit_once('.').unwrap();
    let (head, claims) = signed.split_once('.').unwrap();
    let head = String::from_utf8(decoded(folder, head)).unwrap();
    let claims = String::from_utf8(decoded(folder, claims)).unwrap();
    assert!(head.contains(r#""alg":"RS256""#) && head.contains(r#""kid":"a1""#), "{head}");
    assert!(claims.contains(r#""iss":"jobs@example.org""#), "{claims}");
    fs::write(folder.join("signature"), decoded(folder, signature)).unwrap();
    let verify = "dgst -sha256 -verify public.pem -signature signature signed";
    fs::write(folder.join("signed"), signed).unwrap();
    assert!(openssl(folder, verify).0, "{token}");
    fs::write(folder.join("signed"), format!("{signed}x")).unwrap();
    assert!(!openssl(folder, verify).0);
}
