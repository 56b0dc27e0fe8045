//! Credentials and TLS.

use crate::common::*;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use tempfile::TempDir;
use vfs_core::{Code, OpenFlags, OpenOptions};
use zvfs_engines::NatsServer;
use zvfs_http_servers::Authority;

/// A file that only its owner may read.
fn secret(folder: &Path, name: &str, text: &str) -> String {
    let path = folder.join(name);
    fs::write(&path, text).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    path.to_str().unwrap().to_owned()
}

#[test]
fn a_server_that_asks_gets_user_and_password_or_a_token() {
    let folder = TempDir::new().unwrap();
    let right = secret(folder.path(), "right", "S3CRET-enough\n");
    let wrong = secret(folder.path(), "wrong", "S3CRET-wrong\n");
    for (asks, given) in [
        ("user: zvfs, password: 'S3CRET-enough'", "user = \"zvfs\", password-file"),
        ("token: 'S3CRET-enough'", "token-file"),
    ] {
        let Some(server) =
            NatsServer::with(&format!("authorization {{ {asks} }}\njetstream {{ store_dir: '$FOLDER/js' }}"))
        else {
            return;
        };
        let servers = [server];
        let house = House::at(&servers, &format!("{given} = \"{right}\""));
        goes_through(&mut house.reader("a"), house.writer("a"), &sample(100_000));
        for settings in [format!("{given} = \"{wrong}\""), String::new()] {
            let house = House::at(&servers, &settings);
            let error =
                house.reading.open("nats:a:r", &OpenOptions::new(OpenFlags::READ)).map(drop).unwrap_err();
            assert_eq!(error.code(), Code::EACCES, "{}", error.chain());
            assert!(!error.chain().contains("S3CRET"), "{}", error.chain());
        }
    }
}

#[test]
fn tls_is_between_a_host_and_a_server_that_it_trusts() {
    let (authority, stranger) = (Authority::new(), Authority::new());
    let identity = authority.good();
    let configuration = format!(
        "tls {{ cert_file: '{}', key_file: '{}' }}\njetstream {{ store_dir: '$FOLDER/js' }}",
        identity.certificate_file().display(),
        identity.key_file().display()
    );
    let Some(server) = NatsServer::with(&configuration) else { return };
    let servers = [server];
    let trusting =
        |authority: &Authority| format!("tls = \"on\", ca-file = \"{}\"", authority.ca_file().display());
    let house = House::at(&servers, &trusting(&authority));
    goes_through(&mut house.reader("a"), house.writer("a"), &sample(1_000_000));
    let house = House::at(&servers, &trusting(&stranger));
    let opened = house.reading.open("nats:a:r", &OpenOptions::new(OpenFlags::READ)).map(drop);
    refused(opened, Code::EPROTO, "its certificate is signed by");
}

#[test]
fn a_server_without_tls_is_refused_where_it_is_on() {
    let Some(server) = NatsServer::debian() else { return };
    let (servers, authority) = ([server], Authority::new());
    let settings = format!("tls = \"on\", ca-file = \"{}\"", authority.ca_file().display());
    let house = House::at(&servers, &settings);
    let opened = house.reading.open("nats:a:r", &OpenOptions::new(OpenFlags::READ)).map(drop);
    refused(opened, Code::EPROTO, "TLS");
}
