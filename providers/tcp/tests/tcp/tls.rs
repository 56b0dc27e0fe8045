//! TLS between the ends of pipes.

use crate::common::*;
use netpipe::broker;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    date_time_ymd,
};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::time::Instant;
use tempfile::TempDir;
use vfs_core::{Code, Finish, OpenFile, OpenOptions, Registry};

/// Certificates of one authority, in files.
pub struct Authority {
    folder: TempDir,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    pub fn new() -> Authority {
        Authority::named("ours")
    }

    fn named(name: &str) -> Authority {
        let folder = TempDir::new().unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap();
        fs::write(folder.path().join("ca.pem"), certificate.pem()).unwrap();
        Authority { issuer: Issuer::new(params, key), folder }
    }

    /// The settings of one of its peers.
    pub fn peer(&self, name: &str) -> String {
        self.odd_peer(name, |_| {})
    }

    /// The settings of a peer whose certificate has something odd.
    fn odd_peer(&self, name: &str, odd: impl FnOnce(&mut CertificateParams)) -> String {
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        odd(&mut params);
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        let path = |file: String| self.folder.path().join(file).display().to_string();
        let (cert, private) = (path(format!("{name}.pem")), path(format!("{name}.key")));
        fs::write(&cert, certificate.pem()).unwrap();
        fs::write(&private, key.serialize_pem()).unwrap();
        fs::set_permissions(&private, fs::Permissions::from_mode(0o600)).unwrap();
        let ca = path("ca.pem".to_owned());
        format!("tls-ca = \"{ca}\", tls-cert = \"{cert}\", tls-key = \"{private}\"")
    }
}

fn pair(reading: &Registry, writing: &Registry, descriptor: &str) -> (OpenFile, OpenFile) {
    let reader = reading.open(descriptor, &OpenOptions::new(READ)).unwrap();
    (reader, writing.open(descriptor, &OpenOptions::new(WRITE)).unwrap())
}

#[test]
fn bytes_go_through_tls_with_a_secret_directly_introduced_and_relayed() {
    let authority = Authority::new();
    let secret = authority.folder.path().join("secret");
    fs::write(&secret, "0123456789abcdef").unwrap();
    fs::set_permissions(&secret, fs::Permissions::from_mode(0o600)).unwrap();
    let key = netpipe::Secret::new(b"0123456789abcdef").unwrap();
    let broker = Running::start(broker::Config { secret: Some(key), ..broker::Config::default() });
    let common = format!("secret-file = \"{}\", broker = \"{}\"", secret.display(), broker.address);
    let host = |name: &str, more: &str| registry(&format!("{}, {common}{more}", authority.peer(name)));
    let (one, other) = (host("one", ""), host("other", ""));
    let hidden = host("hidden", &format!(", advertise = [\"127.0.0.1:{}\"]", free_port()));
    for (reading, descriptor) in [
        (&one, format!("tcp:127.0.0.1:{}", free_port())),
        (&one, "netpipe:a".to_owned()),
        (&hidden, "netpipe:b".to_owned()),
    ] {
        let (mut reader, writer) = pair(reading, &other, &descriptor);
        goes_through(&mut reader, writer, &sample(3_000_000));
    }
}

#[test]
fn several_writers_and_small_reads_under_tls() {
    let authority = Authority::new();
    let host = registry(&authority.peer("one"));
    let descriptor = format!("tcp:127.0.0.1:{}", free_port());
    let mut reader = host.open(&format!("{descriptor}?writers=3"), &OpenOptions::new(READ)).unwrap();
    let writers: Vec<_> = (0..3_u8)
        .map(|number| {
            let mut writer = host.open(&descriptor, &OpenOptions::new(WRITE)).unwrap();
            in_thread(move || {
                for _ in 0..50 {
                    writer.write_all(&[number; 5000]).unwrap();
                }
                writer.finish(Finish::Commit).unwrap();
            })
        })
        .collect();
    let mut counts = [0; 3];
    let mut bytes = [0; 777];
    loop {
        match reader.read(&mut bytes).unwrap() {
            0 => break,
            count => bytes[..count].iter().for_each(|byte| counts[usize::from(*byte)] += 1),
        }
    }
    assert_eq!(counts, [250_000; 3]);
    for writer in writers {
        writer.recv_timeout(SLACK).unwrap();
    }
}

#[test]
fn a_certificate_of_another_authority_is_eacces() {
    let (ours, theirs) = (Authority::new(), Authority::new());
    // A peer that trusts us, but has no certificate of ours.
    let unknown = {
        let cert = theirs.peer("unknown");
        let our_ca = ours.folder.path().join("ca.pem").display().to_string();
        cert.replace(&theirs.folder.path().join("ca.pem").display().to_string(), &our_ca)
    };
    for settings in [theirs.peer("other"), unknown] {
        let descriptor = format!("tcp:127.0.0.1:{}", free_port());
        let (mut reader, mut writer) = pair(&registry(&ours.peer("one")), &registry(&settings), &descriptor);
        refused(in_time(move || writer.write(b"x")), Code::EACCES, "certificate");
        let reading = in_thread(move || read_to_end(&mut reader));
        let mut right = registry(&ours.peer("two")).open(&descriptor, &OpenOptions::new(WRITE)).unwrap();
        right.write_all(b"right").unwrap();
        right.finish(Finish::Commit).unwrap();
        assert_eq!(reading.recv_timeout(SLACK).unwrap(), b"right");
    }
}

/// Each of these was "give both sides certificates of one authority".
#[test]
fn a_refused_certificate_is_told_with_the_reason_at_both_sides() {
    type Odd = fn(&mut CertificateParams);
    let odd: [(Odd, &str, &str); 4] = [
        (
            |params| params.not_after = date_time_ymd(2001, 1, 1),
            "it has expired, ",
            "it has expired, or is not",
        ),
        (
            |params| params.not_before = date_time_ymd(4001, 1, 1),
            "it is not valid yet, but in",
            "not valid yet",
        ),
        (
            |params| params.extended_key_usages = vec![ExtendedKeyUsagePurpose::CodeSigning],
            "extended key usage",
            "extended key usage",
        ),
        (
            |params| params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained),
            "an authority's own",
            "may say why",
        ),
    ];
    let ours = Authority::new();
    for (number, (odd, here, there)) in odd.into_iter().enumerate() {
        let settings = ours.odd_peer(&format!("odd-{number}"), odd);
        let good = || registry(&ours.peer("good"));
        // Whose certificate is odd dials, and is told by an alert; or is dialled, and its peer knows.
        for (reading, writing, words) in
            [(good(), registry(&settings), there), (registry(&settings), good(), here)]
        {
            let (mut reader, mut writer) =
                pair(&reading, &writing, &format!("tcp:127.0.0.1:{}", free_port()));
            refused(in_time(move || writer.write(b"x")), Code::EACCES, words);
            // It may hear of it a little later.
            let (start, mut told) = (Instant::now(), String::new());
            while !told.contains("was refused: netpipe: TLS: the peer") {
                assert!(start.elapsed() < SLACK, "{told}");
                reader.control().set_deadline(Some(Instant::now() + WAITS));
                told = reader.read(&mut [0; 8]).unwrap_err().chain();
            }
        }
    }
    // One that another authority signed, or between which and ours one is missing.
    for (unknown, words) in [
        (Authority::named("theirs"), "signed by no authority in `tls-ca`"),
        (Authority::named("ours"), "signed by another key"),
    ] {
        let (reading, writing) = (registry(&ours.peer("good")), registry(&unknown.peer("unknown")));
        let (_reader, mut writer) = pair(&reading, &writing, &format!("tcp:127.0.0.1:{}", free_port()));
        refused(in_time(move || writer.write(b"x")), Code::EACCES, words);
    }
}

/// A pipe that cannot be ended for its writer only, and its reader waited for ever.
#[test]
fn a_refused_certificate_ends_both_sides_of_an_introduced_pipe() {
    let broker = Running::start(broker::Config::default());
    let authority = Authority::new();
    let settings = |peer: String| format!("{peer}, broker = \"{}\"", broker.address);
    let expired = authority.odd_peer("expired", |params| params.not_after = date_time_ymd(2001, 1, 1));
    let reading = registry(&format!("{}, advertise = [\"192.0.2.1:9\"]", settings(authority.peer("good"))));
    let (mut reader, mut writer) = pair(&reading, &registry(&settings(expired)), "netpipe:a");
    let error = in_time(move || writer.write(b"x")).unwrap_err();
    assert_eq!(error.code(), Code::EACCES);
    for words in ["it has expired", "192.0.2.1 is another machine"] {
        assert!(error.chain().contains(words), "{}", error.chain());
    }
    refused(in_time(move || reader.read(&mut [0; 8])), Code::ECONNRESET, "192.0.2.1:9");
}

#[test]
fn one_side_without_tls_is_told() {
    let authority = Authority::new();
    let (with, without) = (registry(&authority.peer("one")), registry(""));
    let descriptor = format!("tcp:127.0.0.1:{}", free_port());
    let (_reader, mut writer) = pair(&with, &without, &descriptor);
    refused(in_time(move || writer.write(b"x")), Code::EPROTO, "does not speak");
    let (_reader, mut writer) = pair(&without, &with, &format!("tcp:127.0.0.1:{}", free_port()));
    refused(in_time(move || writer.write(b"x")), Code::EPROTO, "`tls-ca`");
}

#[test]
fn a_broken_pipe_under_tls_is_no_end_either() {
    let authority = Authority::new();
    let host = registry(&authority.peer("one"));
    let (mut reader, mut writer) = pair(&host, &host, &format!("tcp:127.0.0.1:{}", free_port()));
    writer.write_all(b"parts").unwrap();
    drop(writer);
    let (bytes, error) = in_time(move || drain(&mut reader));
    assert_eq!((bytes.as_slice(), error.unwrap().code()), (b"parts".as_slice(), Code::ECONNRESET));
}

#[test]
fn unusable_files_are_told_at_once() {
    let authority = Authority::new();
    let good = authority.peer("one");
    let secret = fs::read_to_string(authority.folder.path().join("one.key")).unwrap();
    let cert = authority.folder.path().join("one.pem").display().to_string();
    let key = authority.folder.path().join("one.key").display().to_string();
    for (settings, words) in [
        (good.replace(&key, &cert), "tls-"),
        (good.replace(&cert, "/nonexistent"), "tls-cert"),
        (format!("tls-cert = \"{cert}\""), "all of"),
    ] {
        let opened = registry(&settings).open("tcp:127.0.0.1:9", &OpenOptions::new(WRITE)).map(drop);
        let error = opened.unwrap_err();
        assert!(error.chain().contains(words), "{}", error.chain());
        assert!(!error.chain().contains(secret.lines().nth(1).unwrap()));
    }
}
