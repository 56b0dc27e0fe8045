//! Real servers, where the suite does not look.

use crate::common::*;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, SystemTime};
use vfs_core::{Code, Finish, Kind, OpenOptions};
use zvfs_engines::ftp::FtpServer;
use zvfs_http_servers::Authority;
use zvfs_test_support::{SmallDisk, eventually, within};

/// Both, as far as the machine has them.
fn servers() -> impl Iterator<Item = FtpServer> {
    [FtpServer::vsftpd(), FtpServer::pyftpdlib()].into_iter().flatten()
}

fn trusting(server: &FtpServer) -> String {
    format!("{QUICK}, ca-file = {:?}", server.ca_file())
}

/// vsftpd takes a data connection under TLS only if it resumes the session of its control connection: of the right one, if there are
/// several, and also after transfers that were broken off and brought no ticket.
#[test]
fn each_transfer_resumes_its_own_sessions_tls() {
    for server in servers() {
        let registry = registry(&trusting(&server));
        let content = pattern(3_000_000);
        server.put("large", &content);
        let work = |thread: usize| {
            for round in 0..5 {
                let name = format!("f{thread}-{round}");
                upload(&registry, &server.ftps(&name), &content[..300_000])
                    .unwrap_or_else(|error| panic!("{}\n{}", error.chain(), server.log()));
                fetch(&registry, &server.ftps(&name)).is(&content[..300_000]);
                let (host, target, source) = (registry.clone(), server.ftps("left"), server.ftps("large"));
                within(SLACK, move || {
                    let mut file = host.open(&target, &OpenOptions::new(UPLOAD)).unwrap();
                    file.write_all(b"never complete").unwrap();
                    file.finish(Finish::Discard).unwrap();
                    let mut file = host.open(&source, &OpenOptions::new(READ)).unwrap();
                    assert!(file.read(&mut [0; 1000]).unwrap() > 0);
                });
            }
        };
        std::thread::scope(|scope| {
            let threads: Vec<_> = (0..3).map(|thread| scope.spawn(move || work(thread))).collect();
            threads.into_iter().for_each(|thread| thread.join().unwrap());
        });
    }
}

#[test]
fn a_certificate_that_nobody_trusts_is_eproto() {
    for server in servers() {
        server.put("f", b"content");
        let stranger = Authority::new();
        let settings = format!("ca-file = {:?}", stranger.ca_file());
        let text = fetch(&registry(&settings), &server.ftps("f")).failed(Code::EPROTO, b"").chain();
        assert!(text.contains("certificate"), "{text}");
    }
}

#[test]
fn wrong_credentials_are_eacces() {
    let Some(server) = FtpServer::pyftpdlib() else { return };
    server.put("f", b"content");
    let as_writer = |password: &str| server.ftp("f").replace("ftp://", &format!("ftp://writer:{password}@"));
    fetch(&quick(), &as_writer("swordfish")).is(b"content");
    let text = fetch(&quick(), &as_writer("sword-fish")).failed(Code::EACCES, b"").chain();
    assert!(!text.contains("sword-fish"), "{text}");
}

/// A review's finding: the refusal came with COMMIT, when all was sent, and whoever could do without the time lost the file.
#[test]
fn a_server_that_refuses_mfmt_says_so_at_once_and_the_file_is_written_without() {
    let Some(server) = FtpServer::pyftpdlib() else { return };
    let (registry, then) = (quick(), SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000));
    let written = |name: &str, user: &str| {
        let (registry, descriptor) = (registry.clone(), server.ftp(name).replace("//", &format!("//{user}")));
        within(SLACK, move || {
            let mut file = registry.open(&descriptor, &OpenOptions::new(UPLOAD)).unwrap();
            let set = file.set_modified(then);
            file.write_all(b"content").unwrap();
            file.finish(Finish::Commit).unwrap();
            set
        })
    };
    let modified = |name: &str| fs::metadata(server.root().join(name)).unwrap().modified().unwrap();
    for name in ["one", "two"] {
        let error = refused(written(name, "timeless:swordfish@"), Code::ENOTSUP).chain();
        assert!(error.contains("the server sets no time of what is uploaded"), "{error}");
        assert_ne!(modified(name), then);
        written(&format!("{name}-kept"), "writer:swordfish@").unwrap();
        assert_eq!(modified(&format!("{name}-kept")), then);
    }
    assert_eq!(server.names(), ["one", "one-kept", "two", "two-kept"]);
}

#[test]
fn a_server_that_is_gone_ends_a_read() {
    // vsftpd has a process for each session, which outlives the one that listens.
    let Some(mut server) = FtpServer::pyftpdlib() else { return };
    let content = pattern(50_000_000);
    server.put("f", &content);
    let registry = registry(&format!("{QUICK}, retries = 2"));
    let descriptor = server.ftp("f");
    let mut file = within(SLACK, move || registry.open(&descriptor, &OpenOptions::new(READ)).unwrap());
    server.stop();
    within(SLACK, move || drain(&mut file)).failed(Code::ECONNREFUSED, &content);
}

#[test]
fn names_are_bytes_and_no_patterns() {
    for server in servers() {
        let names: [&[u8]; 6] = [b"a b", b"-la", b" x", b"*", b"[a]", b"\xc3\xa4\xfe"];
        for name in names {
            let encoded: String = name.iter().map(|byte| format!("%{byte:02X}")).collect();
            let descriptor = server.ftp(&encoded);
            // pyftpdlib takes names that are no UTF-8 apart.
            if server.name == "pyftpdlib" && name.contains(&0xfe) {
                continue;
            }
            upload(&quick(), &descriptor, name).unwrap_or_else(|error| panic!("{}", error.chain()));
            fetch(&quick(), &descriptor).is(name);
            let (registry, folder) = (quick(), server.ftp(""));
            let wanted = name.to_owned();
            let found = within(SLACK, move || {
                let mut found = None;
                let each = &mut |name: vfs_core::Name<'_>| {
                    if name.bytes == wanted {
                        found = name.stat.and_then(|stat| stat.size);
                    }
                    std::ops::ControlFlow::Continue(())
                };
                registry.names(&folder, &OpenOptions::default(), each).unwrap();
                found
            });
            // `ls -l` does not tell where a name begins with spaces.
            if !(server.name == "vsftpd" && name.starts_with(b" ")) {
                assert_eq!(found, Some(name.len() as u64), "{}: {}", server.name, name.escape_ascii());
            }
            let registry = quick();
            within(SLACK, move || registry.remove(&descriptor, &OpenOptions::default()).unwrap());
        }
        assert!(server.names().is_empty(), "{:?}", server.names());
    }
}

#[test]
fn folders_are_not_read_written_or_removed() {
    for server in servers() {
        fs::create_dir(server.root().join("folder")).unwrap();
        fs::set_permissions(server.root().join("folder"), Permissions::from_mode(0o777)).unwrap();
        let (registry, folder, inside) = (quick(), server.ftp("folder"), server.ftp("folder/"));
        fetch(&registry, &folder).failed(Code::EISDIR, b"");
        within(SLACK, move || {
            refused(registry.open(&inside, &OpenOptions::new(UPLOAD)), Code::EISDIR);
            refused(registry.remove(&folder, &OpenOptions::default()), Code::EISDIR);
            assert_eq!(registry.stat(&folder, &OpenOptions::default()).unwrap().kind, Kind::Directory);
        });
        assert!(server.root().join("folder").is_dir());
    }
}

#[test]
fn what_may_not_be_read_is_an_error_at_open() {
    for server in servers() {
        server.put("f", b"secret");
        fs::set_permissions(server.root().join("f"), Permissions::from_mode(0o000)).unwrap();
        // pyftpdlib runs as whoever runs the test, for whom root's rights hold.
        if server.name == "vsftpd" {
            let error = fetch(&quick(), &server.ftp("f"));
            assert!(matches!(error.error.unwrap().code(), Code::EACCES | Code::ENOENT));
        }
    }
}

#[test]
fn a_full_disk_ends_an_upload_and_leaves_the_old() {
    for server in servers() {
        let Some(_disk) = SmallDisk::mount(&server.root(), "1m") else { return };
        fs::write(server.root().join("f"), b"old").unwrap();
        let error = upload(&quick(), &server.ftp("f"), &pattern(10_000_000)).unwrap_err();
        // vsftpd does not say why it cannot write; pyftpdlib, whose last write fails at its close, says nothing.
        let codes = if server.name == "vsftpd" {
            [Code::ENOSPC, Code::EIO]
        } else {
            [Code::ENOSPC, Code::ECONNRESET]
        };
        assert!(codes.contains(&error.code()), "{}: {}", server.name, error.chain());
        assert!(error.chain().contains(&server.ftp("f")), "{}", error.chain());
        assert_eq!(fs::read(server.root().join("f")).unwrap(), b"old");
        eventually("nothing is left", || server.names() == ["f"]);
    }
}

/// A case report: what a server said of a missing file, "Can't check for file existence", was all that stood there.
#[test]
fn a_missing_file_is_told_in_our_words_and_the_servers() {
    for server in servers() {
        let text = fetch(&quick(), &server.ftp("missing")).failed(Code::ENOENT, b"").chain();
        assert!(text.contains(": no such file (the server: 550"), "{text}");
    }
}

/// A case report: a server that wants TLS was told as one without the file, or as one that refuses the login.
#[test]
fn a_server_that_wants_tls_is_told_as_such() {
    let Some(server) = FtpServer::vsftpd_demanding_tls() else { return };
    server.put("f", b"content");
    let text = fetch(&registry(&trusting(&server)), &server.ftp("f")).failed(Code::EACCES, b"").chain();
    assert!(text.contains("wants TLS: use ftps://"), "{text}");
    fetch(&registry(&trusting(&server)), &server.ftps("f")).is(b"content");
}

/// A case report: "500 OOPS" and the like were all that was told, and of this one "please login".
#[test]
fn a_server_without_tls_is_told_as_such() {
    let Some(server) = FtpServer::vsftpd_without_tls() else { return };
    server.put("f", b"content");
    let text = fetch(&registry(&trusting(&server)), &server.ftps("f")).failed(Code::EPROTO, b"").chain();
    assert!(text.contains("the server does not offer TLS"), "{text}");
    fetch(&registry(&trusting(&server)), &server.ftp("f")).is(b"content");
    let scripted = answering("AUTH", "500 command not understood");
    let text = fetch(&registry(&trusting(&server)), &scripted.ftp("f").replace("ftp:", "ftps:"));
    assert!(text.failed(Code::EPROTO, b"").chain().contains("the server does not offer TLS"));
}
