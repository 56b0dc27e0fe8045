use super::*;
use std::fs;

const ED25519: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHaf8IUNc4HCqzKVdcNFRp5eWCOhrGD8jb9i3/Zxn9zp";
const OTHER: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIDwtZqnKnpko/N9GduMt9blgibNoQjtpxe+TcBYUj37n";
const ECDSA: &str = "ecdsa-sha2-nistp256 AAAAE2VjZHNhLXNoYTItbmlzdHAyNTYAAAAIbmlzdHAyNTYAAABBBP+8hLFk37N7AkaZHpEflmH/BWH1qFwY1+XRSpsXT3SMBM+7VbZzWkB1PNQ57aaMmaDW5b6R7rarnxBnsc/GjaI=";

/// `ssh-keygen -H` of `[files.example]:2222`.
const HASHED: &str = "|1|gE/9gB4E3v80f/nBeIah4QpcfPI=|+wK448uo5d9tne/Hw+KLge0YFUU=";

fn key(line: &str) -> PublicKey {
    parse_public_key_base64(line.split_once(' ').unwrap().1).unwrap()
}

fn origin(host: &str, port: u16) -> Origin {
    Origin { secure: true, host: host.to_owned(), port }
}

fn known(lines: &[String]) -> KnownHosts {
    KnownHosts(parse(Path::new("/known"), &lines.join("\n")).collect())
}

#[test]
fn names_are_found_by_pattern_port_and_hash() {
    for (hosts, host, port, found) in [
        ("files.example", "files.example", 22, true),
        ("files.example", "files.example", 2222, false),
        ("Files.Example", "files.example", 22, true),
        ("[files.example]:2222", "files.example", 2222, true),
        ("[files.example]:2222", "files.example", 22, false),
        ("a,files.example,b", "files.example", 22, true),
        ("*.example", "files.example", 22, true),
        ("*.example", "example", 22, false),
        ("f?les.*", "files.example", 22, true),
        ("*", "files.example", 22, true),
        ("*a*b*c", "xxaxxbxxc", 22, true),
        ("*a*b*c", "xxaxxcxxb", 22, false),
        ("*.example,!files.example", "files.example", 22, false),
        ("10.0.0.?", "10.0.0.7", 22, true),
        ("::1", "::1", 22, true),
        (HASHED, "files.example", 2222, true),
        (HASHED, "files.example", 22, false),
        ("|1|broken", "files.example", 22, false),
    ] {
        let known = known(&[format!("{hosts} {ED25519} a comment")]);
        assert_eq!(known.check(&origin(host, port), &key(ED25519)), Ok(found), "{hosts} {host} {port}");
    }
}

#[test]
fn another_key_than_the_known_one_is_refused_with_its_line() {
    let known = known(&["# a comment".to_owned(), String::new(), format!("h\t{ED25519}")]);
    let failure = known.check(&origin("h", 22), &key(OTHER)).unwrap_err();
    assert_eq!(failure.code, Code::EACCES);
    for words in ["has changed", "SHA256:", "line 3 of /known", OTHER] {
        assert!(failure.text.contains(words), "no {words}: {}", failure.text);
    }
}

#[test]
fn one_of_several_known_keys_is_enough() {
    let known = known(&[format!("h {ECDSA}"), format!("h {ED25519}")]);
    assert_eq!(known.check(&origin("h", 22), &key(ED25519)), Ok(true));
    assert_eq!(known.algorithms(&origin("h", 22)).len(), 2);
    assert_eq!(known.algorithms(&origin("other", 22)), []);
}

#[test]
fn a_revoked_key_is_refused_even_if_it_is_known() {
    let known = known(&[format!("h {ED25519}"), format!("@revoked * {ED25519}")]);
    let failure = known.check(&origin("h", 22), &key(ED25519)).unwrap_err();
    assert!(failure.code == Code::EACCES && failure.text.contains("revoked by line 2"), "{}", failure.text);
    assert_eq!(known.algorithms(&origin("h", 22)), [Algorithm::Ed25519]);
}

#[test]
fn what_holds_no_key_is_passed_over() {
    let lines =
        ["@cert-authority * ssh-ed25519 AAAA", "h", "h ssh-ed25519", "h ssh-ed25519 ?", "h sk-x AAAA"];
    assert!(known(&lines.map(str::to_owned)).0.is_empty());
}

#[test]
fn an_unknown_key_is_told_with_the_line_that_would_make_it_known() {
    let failure = unknown(&["/known".into()], &origin("h", 2222), &key(ED25519));
    let line = format!("add this line to /known: `[h]:2222 {ED25519}`");
    assert!(failure.code == Code::EACCES && failure.text.contains(&line), "{}", failure.text);
    assert!(failure.text.contains("SHA256:"), "{}", failure.text);
}

#[test]
fn files_that_are_not_there_know_nobody_and_those_that_cannot_be_read_are_errors() {
    let folder = tempfile::tempdir().unwrap();
    let (file, absent) = (folder.path().join("known"), folder.path().join("absent"));
    fs::write(&file, format!("h {ED25519}\n")).unwrap();
    let known = KnownHosts::read(&[absent, file]).unwrap();
    assert_eq!(known.check(&origin("h", 22), &key(ED25519)), Ok(true));
    let failure = KnownHosts::read(&[folder.path().to_owned()]).unwrap_err();
    assert!(failure.code == Code::EISDIR && failure.text.contains("known hosts"), "{}", failure.text);
}
