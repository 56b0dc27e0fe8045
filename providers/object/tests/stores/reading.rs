//! Reads here and there, versions, and who is let in.

use crate::*;
use std::fs::File;
use std::io::SeekFrom;
use std::os::fd::AsFd;
use std::os::unix::fs::FileExt;

/// Several ranges.
const SIZE: usize = (9 << 20) + 17;

#[test]
fn bytes_are_the_same_in_whatever_order_they_are_read() {
    for (server, registry) in servers() {
        let content = bytes(1, SIZE);
        server.put("object", &content);
        for flags in [READ, READ | OpenFlags::RANDOM] {
            let mut file = open(&registry, &server.descriptor("object"), flags).unwrap();
            let mut buf = vec![0; 70_000];
            for offset in [0, 5, 70_005, 300_000, 262_144, SIZE - 70_000, SIZE - 1, 262_143] {
                let count = file.read_at(&mut buf, offset as u64).unwrap();
                assert!(count > 0 && buf[..count] == content[offset..offset + count], "read_at {offset}");
                file.seek(SeekFrom::Start(offset as u64)).unwrap();
                let count = file.read(&mut buf).unwrap();
                assert!(count > 0 && buf[..count] == content[offset..offset + count], "read {offset}");
            }
            file.seek(SeekFrom::Start(3)).unwrap();
            assert!(read_all(&mut file).unwrap() == content[3..]);
        }
    }
}

#[test]
fn what_goes_into_a_file_is_read_no_more() {
    for (server, registry) in servers() {
        let content = bytes(5, SIZE);
        server.put("object", &content);
        let mut file = open(&registry, &server.descriptor("object"), READ).unwrap();
        let mut came = vec![0; 1000];
        let mut at = file.read(&mut came).unwrap();
        let (target, nowhere) = (tempfile::tempfile().unwrap(), File::open("/dev/null").unwrap());
        while at < SIZE / 2 {
            // A file that takes nothing is the host's business, which reads instead.
            refused(file.receive_into(nowhere.as_fd(), at as u64, 1), Code::ENOTSUP);
            at += file.receive_into(target.as_fd(), at as u64, 1 << 20).unwrap();
        }
        came.resize(at, 0);
        target.read_exact_at(&mut came[1000..], 1000).unwrap();
        came.extend(read_all(&mut file).unwrap());
        assert!(came == content, "{} bytes, or other ones", came.len());
        assert_eq!(file.receive_into(target.as_fd(), 0, 1).unwrap(), 0);
    }
}

#[test]
fn an_object_that_changed_is_estale_for_every_read() {
    for (server, registry) in servers() {
        server.put("object", &bytes(2, SIZE));
        for flags in [READ, READ | OpenFlags::RANDOM] {
            let mut file = open(&registry, &server.descriptor("object"), flags).unwrap();
            file.read(&mut [0; 100]).unwrap();
            server.put("object", &bytes(3, SIZE));
            refused(read_all(&mut file), Code::ESTALE);
            refused(file.read_at(&mut [0; 100], 5 << 20), Code::ESTALE);
            refused(file.read(&mut [0; 100]), Code::ESTALE);
            server.put("object", &bytes(2, SIZE));
        }
    }
}

#[test]
fn an_object_that_is_removed_is_estale() {
    for (server, registry) in servers() {
        server.put("object", &bytes(4, SIZE));
        let mut file = open(&registry, &server.descriptor("object"), READ).unwrap();
        registry.remove(&server.descriptor("object"), &OpenOptions::new(OpenFlags::empty())).unwrap();
        refused(read_all(&mut file), Code::ESTALE);
        refused(open(&registry, &server.descriptor("object"), READ), Code::ENOENT);
    }
}

#[test]
fn a_wrong_key_is_eacces_and_not_shown() {
    let Some(server) = S3::s3s() else { return };
    server.put("object", b"content");
    for (access, secret) in [(S3::ACCESS_KEY, "wr0ng-secret"), ("nobody", S3::SECRET_KEY)] {
        std::fs::write(server.secret_file(), secret).unwrap();
        let settings = server.settings().replace(S3::ACCESS_KEY, access);
        let registry = registry(&settings);
        for flags in [READ, UPLOAD | OpenFlags::EXCLUSIVE] {
            let error = refused(open(&registry, &server.descriptor("object"), flags), Code::EACCES);
            assert!(!error.chain().contains(secret), "{}", error.chain());
        }
    }
}

#[test]
fn unsigned_requests_are_eacces_where_keys_are_wanted() {
    let Some(server) = S3::s3s() else { return };
    server.put("object", b"content");
    let registry = registry(&format!("endpoint = {:?}", server.endpoint()));
    refused(open(&registry, &server.descriptor("object"), READ), Code::EACCES);
}

#[test]
fn a_bucket_that_is_not_there_is_enoent() {
    for (_server, registry) in servers() {
        let error = refused(open(&registry, "s3://no-such-bucket/key", READ), Code::ENOENT);
        assert!(error.chain().contains("404"), "{}", error.chain());
    }
}

/// `object:` is of the kind that the operator says, and credentials are for that kind.
#[test]
fn a_descriptor_of_another_kind_goes_elsewhere() {
    let Some(server) = S3::moto() else { return };
    server.put("object", b"content");
    let settings = format!("{}, allowed-hosts = [\"127.0.0.1\"]", server.settings());
    let registry = registry(&settings);
    let mut file = open(&registry, "object://bucket/object", READ).unwrap();
    assert_eq!(read_all(&mut file).unwrap(), b"content");
    let error = refused(open(&registry, "gs://bucket/object", READ), Code::EACCES);
    assert!(error.chain().contains("allowed-hosts"), "{}", error.chain());
    let error = refused(open(&registry, "az://bucket/object", READ), Code::EINVAL);
    assert!(error.chain().contains("storage account"), "{}", error.chain());
}
