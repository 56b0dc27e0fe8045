//! One file by names of which nobody knows that: a copy onto itself leaves it as it was.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking, its helpers too")]

#[path = "../../e2e/support.rs"]
mod support;

use std::fs;
use std::os::unix::fs::symlink;
use std::process::Command;
use support::{Done, Folder, run_long, under};
use zvfs_engines::ftp::FtpServer;
use zvfs_engines::ssh::SshServer;

fn content() -> Vec<u8> {
    (0..3_000_000_u32).map(|at| (at / 3) as u8).collect()
}

fn cp(operator: &str, from: &str, to: &str) -> Done {
    run_long(under(operator, &["cp", "-T", "--in-place", from, to]))
}

/// It was emptied, and the copy ended with 0.
#[test]
fn a_copy_in_place_to_the_same_file_over_sftp_keeps_its_content() {
    let Some(server) = SshServer::openssh() else { return };
    let folder = Folder::new();
    let section = format!(
        "[provider.file]\n[provider.sftp]\nsettings = {{ known-hosts = {:?}, key-file = {:?} }}",
        server.known_hosts(),
        server.key_file()
    );
    let operator = folder.operator("zvfs.toml", &section);
    server.put("a", &content());
    let path = server.root().join("a");
    symlink("a", server.root().join("link")).unwrap();
    fs::hard_link(&path, server.root().join("hard")).unwrap();
    let (local, [a, link, hard]) =
        (path.to_str().unwrap(), ["a", "link", "hard"].map(|name| server.sftp(name)));
    for (from, to) in [(local, &*a), (local, &link), (local, &hard), (&a, local), (&a, &link), (&a, &hard)] {
        let done = cp(&operator, from, to);
        assert!(fs::read(&path).unwrap() == content(), "{from} to {to}: {done:?}");
        // The source may say that it was written to meanwhile.
        assert!([0, 116].contains(&done.code), "{from} to {to}: {done:?}");
    }
    // Another one, longer and shorter.
    for size in [4_000_000, 10] {
        server.put("other", &vec![b'x'; size]);
        cp(&operator, local, &server.sftp("other")).succeeded();
        assert!(fs::read(server.root().join("other")).unwrap() == content(), "{size}");
    }
}

/// STOR empties a file before the first byte comes.
#[test]
fn a_copy_in_place_to_the_same_file_over_ftp_writes_nothing() {
    let Some(server) = FtpServer::pyftpdlib() else { return };
    let folder = Folder::new();
    let section =
        format!("[provider.file]\n[provider.ftp]\nsettings = {{ ca-file = {:?} }}", server.ca_file());
    let operator = folder.operator("zvfs.toml", &section);
    server.put("a", &content());
    let path = server.root().join("a");
    fs::hard_link(&path, server.root().join("hard")).unwrap();
    let (local, [a, hard]) = (path.to_str().unwrap(), ["a", "hard"].map(|name| server.ftps(name)));
    for (from, to) in [(local, &*a), (local, &hard), (&a, &hard), (&a, local)] {
        cp(&operator, from, to).succeeded();
        assert!(fs::read(&path).unwrap() == content(), "{from} to {to}");
    }
    // One of the same size is another file.
    server.put("other", &vec![b'x'; content().len()]);
    cp(&operator, local, &server.ftps("other")).succeeded();
    assert!(fs::read(server.root().join("other")).unwrap() == content());
    // A review's finding: a stream that is read to be compared is at its end then, and what was written was empty.
    server.put("other", &vec![b'x'; content().len()]);
    let command = under(&operator, &["cp", "-T", "--in-place", "-", &server.ftps("other")]);
    let mut streamed = Command::new("sh");
    streamed.args(["-c", "exec \"$@\" <\"$0\"", local]).arg(command.get_program()).args(command.get_args());
    streamed.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
    run_long(streamed).succeeded();
    assert!(fs::read(server.root().join("other")).unwrap() == content());
}
