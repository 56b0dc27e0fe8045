//! Credentials and TLS.

use crate::common::*;
use crate::servers::survives;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use nkeys::KeyPair;
use tempfile::TempDir;
use vfs_core::{Code, OpenFlags, OpenOptions};
use zvfs_engines::NatsServer;
use zvfs_http_servers::{Authority, Identity};

/// Seeds of NKEYs: of two users, of the account that the first one belongs to, and of that account's operator.
const USER: &str = "SUAAGAYDAMBQGAYDAMBQGAYDAMBQGAYDAMBQGAYDAMBQGAYDAMBQGA6BEM";
const OTHER: &str = "SUACSSL3UAHUDXKFSNVUZRF5UHPMWZ6BFDTJ7M6USDXIEDNPPQYYYCU3VY";
const ACCOUNT: &str = "SAAAEAQCAIBAEAQCAIBAEAQCAIBAEAQCAIBAEAQCAIBAEAQCAIBAEAUN5U";
const OPERATOR: &str = "SOAACAIBAEAQCAIBAEAQCAIBAEAQCAIBAEAQCAIBAEAQCAIBAEAQCAIATA";

fn public(seed: &str) -> String {
    KeyPair::from_seed(seed).unwrap().public_key()
}

/// What the owner of one seed says of another. A server knows a JWT by its first letters: no space before the first quote.
fn jwt(issuer: &str, subject: &str, what: &str) -> String {
    let claims = format!(
        r#"{{ "jti": "x", "iat": 0, "iss": "{}", "sub": "{}", "nats": {{ "version": 2, {what} }} }}"#,
        public(issuer),
        public(subject)
    );
    let parts = [r#"{"typ":"JWT","alg":"ed25519-nkey"}"#, &claims];
    let signed = parts.map(|part| URL_SAFE_NO_PAD.encode(part)).join(".");
    let signature = KeyPair::from_seed(issuer).unwrap().sign(signed.as_bytes()).unwrap();
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
}

/// A server whose users have JWTs.
fn under_an_operator() -> String {
    let limits = r#""subs": -1, "data": -1, "payload": -1, "conn": -1, "imports": -1, "exports": -1, "wildcards": true"#;
    let account = jwt(OPERATOR, ACCOUNT, &format!(r#""type": "account", "limits": {{ {limits} }}"#));
    format!(
        "operator: {}\nresolver: MEMORY\nresolver_preload: {{ {}: {account} }}",
        jwt(OPERATOR, OPERATOR, r#""type": "operator""#),
        public(ACCOUNT)
    )
}

/// The credentials file of USER, with this seed in it.
fn creds(seed: &str) -> String {
    let jwt = jwt(ACCOUNT, USER, r#""type": "user", "subs": -1, "data": -1, "payload": -1"#);
    format!(
        "-----BEGIN NATS USER JWT-----\n{jwt}\n------END NATS USER JWT------\n\n\
         -----BEGIN USER NKEY SEED-----\n{seed}\n------END USER NKEY SEED------\n"
    )
}

#[test]
fn a_server_lets_in_who_has_what_it_asks_for() {
    let folder = TempDir::new().unwrap();
    let nkey = format!("authorization {{ users: [ {{ nkey: {} }} ] }}", public(USER));
    for (asks, given, right, wrong) in [
        (
            "authorization { user: zvfs, password: 'S3CRET-enough' }",
            "user = \"zvfs\", password-file",
            "S3CRET-enough",
            "S3CRET-wrong",
        ),
        ("authorization { token: 'S3CRET-enough' }", "token-file", "S3CRET-enough", "S3CRET-wrong"),
        (&nkey, "nkey-file", USER, OTHER),
        (&under_an_operator(), "creds-file", &creds(USER), &creds(OTHER)),
    ] {
        let Some(server) = NatsServer::with(asks) else { return };
        let servers = [server];
        let unkept = "names = \"best-effort\"";
        let right = secret(folder.path(), "right", &format!("{right}\n"));
        let wrong_file = secret(folder.path(), "wrong", &format!("{wrong}\n"));
        let house = House::at(&servers, &format!("{unkept}, {given} = \"{right}\""));
        goes_through(&mut house.reader("a"), house.writer("a"), &sample(100_000));
        for settings in [format!("{unkept}, {given} = \"{wrong_file}\""), unkept.to_owned()] {
            let house = House::at(&servers, &settings);
            let opened = house.reading.open("nats:a:r", &OpenOptions::new(OpenFlags::READ)).map(drop);
            let error = opened.unwrap_err();
            assert_eq!(error.code(), Code::EACCES, "{given}: {}", error.chain());
            let is_told = |line: &str| !line.is_empty() && error.chain().contains(line);
            assert!(!wrong.lines().any(is_told), "{}", error.chain());
        }
    }
}

#[test]
fn a_key_that_is_none_is_refused_by_its_setting() {
    let folder = TempDir::new().unwrap();
    let wrong = secret(folder.path(), "wrong", "S3CRET\n");
    for setting in ["nkey", "creds"] {
        let house = registry(&format!("{setting}-file = \"{wrong}\""));
        let opened = house.open("nats:a:r", &OpenOptions::new(OpenFlags::READ)).map(drop);
        let error = opened.unwrap_err();
        assert_eq!(error.code(), Code::EINVAL, "{}", error.chain());
        assert!(error.chain().contains(&format!("setting `{setting}`")), "{}", error.chain());
        assert!(!error.chain().contains("S3CRET"), "{}", error.chain());
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

/// A case report: TLS that a server on this machine asks for was begun without `ca-file`, so that the advice to set it led nowhere.
#[test]
fn a_server_on_loopback_that_asks_for_tls_is_trusted_by_the_ca_file() {
    let authority = Authority::new();
    let identity = authority.good();
    let configuration = format!(
        "tls {{ cert_file: '{}', key_file: '{}' }}\njetstream {{ store_dir: '$FOLDER/js' }}",
        identity.certificate_file().display(),
        identity.key_file().display()
    );
    let Some(server) = NatsServer::with(&configuration) else { return };
    let servers = [server];
    let house = House::at(&servers, &format!("ca-file = \"{}\"", authority.ca_file().display()));
    goes_through(&mut house.reader("a"), house.writer("a"), &sample(100_000));
    for (settings, words) in [
        ("", "name that authority's certificate in `ca-file`"),
        // This spoke of the certificate alone.
        ("tls = \"off\"", "it asks for TLS, and the setting `tls` is off: set it to on"),
    ] {
        let house = House::at(&servers, settings);
        let opened = house.reading.open("nats:a:r", &OpenOptions::new(OpenFlags::READ)).map(drop);
        refused(opened, Code::EPROTO, words);
    }
}

/// Servers in Go say of a certificate that they cannot verify, and of none at all, that it is bad.
#[test]
fn a_server_that_asks_for_certificates_gets_one_that_it_trusts() {
    let (authority, stranger) = (Authority::new(), Authority::new());
    let identity = authority.good();
    let configuration = format!(
        "tls {{ cert_file: '{}', key_file: '{}', ca_file: '{}', verify: true }}\njetstream {{ store_dir: '$FOLDER/js' }}",
        identity.certificate_file().display(),
        identity.key_file().display(),
        authority.ca_file().display()
    );
    let Some(server) = NatsServer::with(&configuration) else { return };
    let mut servers = [server];
    let trusting = format!("tls = \"on\", ca-file = \"{}\"", authority.ca_file().display());
    let shows = |client: &Identity| {
        format!(
            "{trusting}, client-cert = \"{}\", client-key = \"{}\"",
            client.certificate_file().display(),
            client.key_file().display()
        )
    };
    for settings in [trusting.clone(), shows(&stranger.client())] {
        let house = House::at(&servers, &settings);
        let opened = house.reading.open("nats:a:r", &OpenOptions::new(OpenFlags::READ)).map(drop);
        refused(opened, Code::EPROTO, "`client-cert`");
    }
    let house = House::at(&servers, &shows(&authority.client()));
    survives(&house, |_, _| {
        servers[0].kill();
        servers[0].restart();
    });
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
