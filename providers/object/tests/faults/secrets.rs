//! Credentials: sent to the store that they are for, and shown to nobody.

use crate::common::*;
use vfs_core::Code;
use zvfs_http_servers::{FaultServer, Object};

/// A store that tells everybody what it was told.
fn echoing() -> FaultServer {
    FaultServer::http(|request, peer| {
        let fields: Vec<String> =
            request.headers.iter().map(|(name, value)| format!("{name}: {value}")).collect();
        peer.send(&refusal(403, "AccessDenied", &fields.join(" ")))
    })
}

#[test]
fn tokens_do_not_come_back_in_the_stores_words() {
    let server = FaultServer::http(|request, peer| {
        let token = request.header("x-amz-security-token").unwrap_or("none").to_owned();
        peer.send(&refusal(403, "AccessDenied", &format!("you sent {token}")))
    });
    let ((_key_folder, key), (_token_folder, token)) = (secret("s3cret-key"), secret("s3cret-token"));
    let settings =
        format!("{QUICK}, access-key = \"id\", secret-key-file = {key:?}, session-token-file = {token:?}");
    let error = failed(fetch(&registry(&server.url(""), &settings)), Code::EACCES);
    assert!(error.chain().contains("you sent ***"), "{}", error.chain());
    let request = &server.requests()[0];
    assert_eq!(request.header("x-amz-security-token"), Some("s3cret-token"));
    assert!(!request.headers.iter().any(|(_, value)| value.contains("s3cret-key")));
}

#[test]
fn a_bearers_token_does_not_come_back_either() {
    let server = echoing();
    let (_folder, token) = secret("s3cret-token");
    let settings = format!("{QUICK}, store = \"gs\", session-token-file = {token:?}");
    let registry = registry(&server.url(""), &settings);
    let opened = registry.open("gs://bucket/object", &vfs_core::OpenOptions::new(READ));
    let error = refused(opened, Code::EACCES);
    assert!(!error.chain().contains("s3cret"), "{}", error.chain());
    assert_eq!(server.requests()[0].header("Authorization"), Some("Bearer s3cret-token"));
}

#[test]
fn nothing_is_signed_without_keys() {
    let server = spoiling(Object::new(10), |_, answer| answer);
    is_whole(fetch(&quick(&server)), 10);
    assert_eq!(server.requests()[0].header("Authorization"), None);
}

/// A key of one cloud would otherwise be another cloud's to see.
#[test]
fn credentials_are_for_one_kind_of_store() {
    let server = echoing();
    let (_folder, token) = secret("s3cret-token");
    let settings =
        format!("{QUICK}, store = \"gs\", session-token-file = {token:?}, allowed-hosts = [\"127.0.0.1\"]");
    let registry = registry(&server.url(""), &settings);
    for descriptor in ["s3://bucket/object", "az://bucket/object"] {
        registry.open(descriptor, &vfs_core::OpenOptions::new(READ)).unwrap_err();
    }
    assert!(server.requests().is_empty());
}

#[test]
fn settings_that_do_not_go_together_are_refused_at_the_first_open() {
    let (_folder, key) = secret("s3cret-key");
    let registry = registry("http://127.0.0.1:1", &format!("secret-key-file = {key:?}"));
    let error = refused(open(&registry, READ), Code::EINVAL);
    assert!(error.chain().contains("access-key") && !error.chain().contains("s3cret"), "{}", error.chain());
}
