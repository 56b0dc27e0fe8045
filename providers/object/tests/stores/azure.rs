//! Azure, where blocks that are not committed are no upload, and a condition goes with a single request only.

use crate::*;
use std::io::Write as _;
use tempfile::NamedTempFile;
use vfs_core::Finish;
use zvfs_engines::Azure;

/// Three parts, of 5 MiB.
const LARGE: usize = (12 << 20) + 3;

/// A host, and the file with its key, which it reads at the first open.
fn registry_of(server: &Azure, key: &str) -> (NamedTempFile, Registry) {
    let mut secret = NamedTempFile::new().unwrap();
    secret.write_all(key.as_bytes()).unwrap();
    let settings = format!(
        "store = \"az\", endpoint = {:?}, access-key = {:?}, secret-key-file = {:?}, part-size = \"5m\", parallel = 2",
        server.endpoint(),
        Azure::ACCOUNT,
        secret.path()
    );
    (secret, registry(&settings))
}

#[test]
fn blocks_appear_as_one_blob_at_commit() {
    let Some(server) = Azure::azurite() else { return };
    let (_key, registry) = registry_of(&server, Azure::KEY);
    let content = bytes(1, LARGE);
    for how in [Finish::Discard, Finish::Commit] {
        let mut file = open(&registry, &server.descriptor("large"), UPLOAD).unwrap();
        file.write_all(&content).unwrap();
        assert_eq!(server.get("large"), None);
        file.finish(how).unwrap();
    }
    assert!(server.get("large").unwrap() == content);
    let mut file = open(&registry, &server.descriptor("large"), READ).unwrap();
    assert!(read_all(&mut file).unwrap() == content);
}

#[test]
fn an_exclusive_blob_that_somebody_else_made_is_eexist() {
    let Some(server) = Azure::azurite() else { return };
    let (_key, registry) = registry_of(&server, Azure::KEY);
    let mut file = open(&registry, &server.descriptor("new"), UPLOAD | OpenFlags::EXCLUSIVE).unwrap();
    file.write_all(b"mine").unwrap();
    server.put("new", b"theirs");
    refused(file.finish(Finish::Commit), Code::EEXIST);
    assert_eq!(server.get("new").unwrap(), b"theirs");
}

#[test]
fn an_exclusive_blob_of_several_parts_is_efbig() {
    let Some(server) = Azure::azurite() else { return };
    let (_key, registry) = registry_of(&server, Azure::KEY);
    let mut file = open(&registry, &server.descriptor("new"), UPLOAD | OpenFlags::EXCLUSIVE).unwrap();
    let error = refused(file.write_all(&bytes(2, LARGE)), Code::EFBIG);
    assert!(error.chain().contains("part-size"), "{}", error.chain());
}

#[test]
fn a_blob_that_changed_is_estale() {
    let Some(server) = Azure::azurite() else { return };
    let (_key, registry) = registry_of(&server, Azure::KEY);
    server.put("blob", &bytes(3, 3 << 20));
    let mut file = open(&registry, &server.descriptor("blob"), READ).unwrap();
    file.read(&mut [0; 100]).unwrap();
    server.put("blob", &bytes(4, 3 << 20));
    refused(read_all(&mut file), Code::ESTALE);
}

#[test]
fn a_wrong_key_of_the_account_is_eacces() {
    let Some(server) = Azure::azurite() else { return };
    server.put("blob", b"content");
    let wrong = Azure::KEY.replace('E', "F");
    let (_key, registry) = registry_of(&server, &wrong);
    let error = refused(open(&registry, &server.descriptor("blob"), READ), Code::EACCES);
    assert!(!error.chain().contains(&wrong), "{}", error.chain());
    let (_key, registry) = registry_of(&server, "no-base64!");
    refused(open(&registry, &server.descriptor("blob"), READ), Code::EINVAL);
}
