//! Certificates that are not right, and TLS that is cut off.

use crate::common::*;
use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use vfs_core::Code;
use zvfs_http_servers::{After, Answer, Authority, FaultServer, Identity, Object, Server, pattern};

fn https(identity: &Identity) -> FaultServer {
    let object = Object::new(100_000);
    FaultServer::https(identity, move |request, peer| peer.send(&object.answer(request)))
}

fn trusting(authority: &Authority) -> String {
    format!("ca-file = {:?}, {QUICK}", authority.ca_file())
}

#[test]
fn a_good_certificate_is_taken() {
    let authority = Authority::new();
    let server = https(&authority.good());
    fetch(&registry(&trusting(&authority)), &server.url("/")).is(0..100_000);
    fetch(&registry(&trusting(&authority)), &server.url_by_name("/")).is(0..100_000);
}

/// A server whose certificate is not accepted; what is said of it.
#[track_caller]
fn refusal(settings: &str, server: &FaultServer) -> String {
    let said = fetch(&registry(settings), &server.url("/")).failed(Code::EPROTO).chain();
    assert_eq!(server.requests().len(), 0);
    assert_eq!(server.connections(), 1, "it was tried again");
    said
}

/// What was said of them were the TLS library's names for its own programmers: `Other(OtherError(CaUsedAsEndEntity))`.
#[test]
fn a_certificate_is_refused_in_words_that_say_what_to_do() {
    let (authority, other) = (Authority::new(), Authority::new());
    let (own, alone) = (authority.self_signed(true), other.self_signed(false));
    for (ca_file, identity, words) in [
        (authority.ca_file(), authority.expired(), &["has expired, ", " days ago"][..]),
        (authority.ca_file(), authority.not_yet_valid(), &["not valid yet", "clock"]),
        (authority.ca_file(), authority.wrong_name(), &["is for other.example, not 127.0.0.1"]),
        (authority.ca_file(), authority.client(), &["extended key usage does not allow this", "serverAuth"]),
        (alone.certificate_file(), authority.good(), &["no authority", "`ca-file`"]),
        // Of the same name, as a renewed authority is.
        (other.ca_file(), authority.good(), &["another key"]),
        (own.certificate_file(), own, &["an authority's own", "CA:FALSE"]),
    ] {
        let said = refusal(&format!("ca-file = {ca_file:?}, {QUICK}"), &https(&identity));
        for words in words {
            assert!(said.contains(words), "`{words}` is not in: {said}");
        }
        for internal in ["Error(", "Other", "Context", "DnsName", "AsEndEntity", "UnixTime"] {
            assert!(!said.contains(internal), "{said}");
        }
    }
}

#[test]
fn a_self_signed_certificate_that_is_no_authority_s_is_trusted_by_itself() {
    let authority = Authority::new();
    let identity = authority.self_signed(false);
    let settings = format!("ca-file = {:?}", identity.certificate_file());
    fetch(&registry(&settings), &https(&identity).url("/")).is(0..100_000);
}

#[test]
fn the_system_s_authorities_do_not_know_a_certificate_of_our_own() {
    refusal(QUICK, &https(&Authority::new().good()));
}

#[test]
fn a_server_without_tls_is_an_error() {
    let server = FaultServer::greeting("220 mail.example ESMTP\r\n");
    let url = server.url("/").replace("http:", "https:");
    fetch(&quick(), &url).failed(Code::EPROTO);
}

#[test]
fn drops_under_tls_resume() {
    let authority = Authority::new();
    for how in [After::Close, After::Reset] {
        let object = Object::new(500_000);
        let server = FaultServer::https(&authority.good(), move |request, peer| {
            peer.cut(&object.answer(request), 60_000, how)
        });
        fetch(&registry(&trusting(&authority)), &server.url("/")).is(0..500_000);
    }
}

#[test]
fn an_end_by_close_needs_tls_to_say_so() {
    let authority = Authority::new();
    let answer = Answer::new(200).raw_body(pattern::bytes(0..5_000));
    let said = answer.clone();
    let server = FaultServer::https(&authority.good(), move |_, peer| peer.send(&said));
    fetch(&registry(&trusting(&authority)), &server.url("/")).is(0..5_000);
    // Somebody on the way closes the connection: the bytes so far would pass for the whole.
    let server = FaultServer::https(&authority.good(), move |_, peer| {
        peer.send(&answer)?;
        peer.shut()?;
        Ok(After::Close)
    });
    let fetched = fetch(&registry(&format!("{}, retries = 1", trusting(&authority))), &server.url("/"));
    assert!(fetched.error.is_some(), "{fetched:?}");
}

/// A relay that turns over one bit of what the server sends on each connection, after so many bytes.
fn bit_flipping(to: SocketAddr, after: usize) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    in_thread(move || {
        for client in listener.incoming() {
            let (mut client, mut server) = (client.unwrap(), TcpStream::connect(to).unwrap());
            let (mut asking, mut asked) = (client.try_clone().unwrap(), server.try_clone().unwrap());
            in_thread(move || {
                let _ = io::copy(&mut asking, &mut asked);
                asked.shutdown(Shutdown::Write)
            });
            in_thread(move || {
                let (mut buf, mut total) = (vec![0; 65_536], 0);
                while let Ok(count @ 1..) = server.read(&mut buf) {
                    if (total..total + count).contains(&after) {
                        buf[after - total] ^= 1;
                    }
                    total += count;
                    if client.write_all(&buf[..count]).is_err() {
                        break;
                    }
                }
                client.shutdown(Shutdown::Both)
            });
        }
    });
    address
}

#[test]
fn a_bit_that_was_turned_over_on_the_way_is_noticed() {
    let authority = Authority::new();
    let server = https(&authority.good());
    // In the handshake, and among the records of a body: what came before is right, the rest does not come.
    for after in [600, 50_000, 90_000] {
        let address = bit_flipping(server.address(), after);
        let settings = format!("{}, retries = 0", trusting(&authority));
        let fetched = fetch(&registry(&settings), &format!("https://{address}/"));
        let code = fetched.error.as_ref().map(|error| error.code());
        assert!(matches!(code, Some(Code::EPROTO | Code::ECONNRESET)), "{after}: {fetched:?}");
        assert!(fetched.bytes == pattern::bytes(0..fetched.bytes.len() as u64));
    }
}

#[test]
fn a_client_certificate_is_shown_where_it_is_wanted() {
    let Some(server) = Server::nginx() else { return };
    server.put("x", &pattern::bytes(0..50_000));
    let url = server.https_for_clients("x").unwrap();
    let client = server.authority().client();
    let ca = format!("ca-file = {:?}", server.ca_file());
    let with =
        format!("{ca}, client-cert = {:?}, client-key = {:?}", client.certificate_file(), client.key_file());
    fetch(&registry(&with), &url).is(0..50_000);
    // nginx answers 400 to those without one.
    let fetched = fetch(&registry(&ca), &url);
    assert!(fetched.error.is_some() && fetched.bytes.is_empty(), "{fetched:?}");
}

#[test]
fn files_that_are_no_certificates_are_clear_errors() {
    let folder = tempfile::tempdir().unwrap();
    let (absent, odd) = (folder.path().join("absent.pem"), folder.path().join("odd.pem"));
    std::fs::write(&odd, "-----BEGIN CERTIFICATE-----\nnonsense\n").unwrap();
    for file in [absent, odd] {
        let fetched = fetch(&registry(&format!("ca-file = {file:?}")), "https://127.0.0.1:1/");
        let error = fetched.error.unwrap();
        assert!(matches!(error.code(), Code::ENOENT | Code::EINVAL), "{}", error.chain());
        assert!(error.chain().contains(file.to_str().unwrap()), "{}", error.chain());
    }
}

#[test]
fn a_key_that_is_none_or_another_s_is_a_clear_error() {
    let authority = Authority::new();
    let (client, other) = (authority.client(), authority.good());
    let odd = authority.ca_file().with_file_name("odd.key");
    for (key, words) in [
        ("-----BEGIN PRIVATE KEY-----\nAAAA\n", "`-----END` line"),
        ("-----BEGIN PRIVATE KEY-----\n?\n-----END PRIVATE KEY-----\n", "base64"),
        ("nothing", "no such PEM section"),
        (&std::fs::read_to_string(other.key_file()).unwrap(), "not that of the certificate"),
    ] {
        std::fs::write(&odd, key).unwrap();
        std::fs::set_permissions(&odd, std::fs::Permissions::from_mode(0o600)).unwrap();
        let settings = format!(
            "ca-file = {:?}, client-cert = {:?}, client-key = {odd:?}",
            authority.ca_file(),
            client.certificate_file()
        );
        let error = fetch(&registry(&settings), "https://127.0.0.1:1/").error.unwrap();
        assert_eq!(error.code(), Code::EINVAL, "{}", error.chain());
        assert!(error.chain().contains(words), "`{words}` is not in: {}", error.chain());
        assert!(!error.chain().contains("45, 45"), "bytes as numbers: {}", error.chain());
    }
}
