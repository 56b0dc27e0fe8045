//! Metadata, good and hostile.

use super::*;

fn text(text: &str) -> String {
    format!("{}:{text}", text.len())
}

/// Files of a torrent, as bencode has them.
fn files(entries: &[(&str, u64)]) -> String {
    let entries = entries.iter().map(|(path, size)| {
        let names: String = path.split('/').map(text).collect();
        format!("d6:lengthi{size}e4:pathl{names}ee")
    });
    format!("5:filesl{}e", entries.collect::<String>())
}

/// A torrent whose `info` has these files, this length of a piece, and so many hashes.
fn torrent(files: &str, piece: &str, hashes: usize) -> Vec<u8> {
    let pieces = "x".repeat(hashes * 20);
    format!("d4:infod{files}4:name1:n12:piece lengthi{piece}e6:pieces{}ee", text(&pieces)).into_bytes()
}

fn parse(entries: &[(&str, u64)], piece: &str, hashes: usize) -> Attempt<Metainfo> {
    Metainfo::parse(&torrent(&files(entries), piece, hashes))
}

#[track_caller]
fn refused(parsed: Attempt<Metainfo>, code: Code) {
    let failure = parsed.expect_err("it was taken");
    assert_eq!(failure.code, code, "{}", failure.text);
}

#[test]
fn files_lie_one_behind_the_other() {
    let metainfo = parse(&[("a/b", 10), ("a/c", 0), ("d", 20)], "16", 2).unwrap();
    let ranges: Vec<_> = metainfo.files.iter().map(|file| file.range.clone()).collect();
    assert_eq!(ranges, [0..10, 10..10, 10..30]);
    assert_eq!((metainfo.total, metainfo.piece), (30, 16));
    let again = Metainfo::parse(&metainfo.to_torrent()).unwrap();
    assert_eq!(again.hash, metainfo.hash);
}

#[test]
fn paths_lead_to_files_and_folders() {
    let metainfo = parse(&[("a/b/c", 10), ("a/d", 10), ("e", 1)], "16", 2).unwrap();
    assert_eq!(metainfo.find(Some("a/b/c")), Ok(Found::File(0)));
    assert_eq!(metainfo.find(Some("/e")), Ok(Found::File(2)));
    for folder in ["", "/", "a", "a/", "a/b"] {
        assert_eq!(metainfo.find(Some(folder)), Ok(Found::Folder), "{folder}");
    }
    assert_eq!(metainfo.find(None), Ok(Found::Folder));
    let failure = metainfo.find(Some("a/x")).unwrap_err();
    assert_eq!(failure.code, Code::ENOENT);
    assert!(failure.text.contains("`a/b/c`"), "{}", failure.text);
    let listed = |folder| metainfo.list(folder).collect::<Vec<_>>();
    assert_eq!(listed(""), [("a", None), ("e", Some(2))]);
    assert_eq!(listed("a"), [("b", None), ("d", Some(1))]);
    assert_eq!(listed("a/b/"), [("c", Some(0))]);
}

#[test]
fn a_torrent_of_one_file_is_that_file() {
    let metainfo = Metainfo::parse(&torrent("6:lengthi7e", "16", 1)).unwrap();
    assert_eq!(metainfo.find(None), Ok(Found::File(0)));
    assert_eq!(metainfo.find(Some("n")), Ok(Found::File(0)));
    assert_eq!(metainfo.list("").collect::<Vec<_>>(), [("n", Some(0))]);
}

#[test]
fn padding_has_no_name() {
    let padded = "5:filesld6:lengthi10e4:pathl1:aeed4:attr1:p6:lengthi6e4:pathl4:.pad1:6eee";
    let metainfo = Metainfo::parse(&torrent(padded, "16", 1)).unwrap();
    assert_eq!(metainfo.find(None), Ok(Found::File(0)));
    assert_eq!(metainfo.list("").count(), 1);
}

#[test]
fn hostile_numbers_are_refused() {
    refused(parse(&[("a", 10)], "0", 1), Code::EBADMSG);
    refused(parse(&[("a", 10)], "-1", 1), Code::EBADMSG);
    refused(parse(&[("a", 10)], "4294967295", 1), Code::EBADMSG);
    refused(parse(&[("a", 10)], "99999999999999999999", 1), Code::EBADMSG);
    refused(parse(&[("a", i64::MAX as u64), ("b", i64::MAX as u64)], "16384", 1), Code::EFBIG);
    refused(parse(&[("a", i64::MAX as u64)], "16384", 1), Code::EFBIG);
    refused(parse(&[("a", 5 << 40)], "16384", 1), Code::EFBIG);
    // What would wrap into something plausible.
    refused(parse(&[("a", 10)], "4294983680", 1), Code::EBADMSG);
    refused(Metainfo::parse(&torrent("6:lengthi18446744073709551623e", "16", 1)), Code::EBADMSG);
    // Fewer hashes than pieces, and more.
    refused(parse(&[("a", 1 << 40)], "1", 1), Code::EBADMSG);
    refused(parse(&[("a", 10)], "16", 2), Code::EBADMSG);
    refused(parse(&[("a", 0)], "16", 0), Code::EBADMSG);
}

#[test]
fn hostile_paths_are_refused() {
    for path in ["..", "a/../b", ".", "a//b", "", "a\0b", "a/."] {
        refused(parse(&[(path, 10)], "16", 1), Code::EBADMSG);
    }
    for name in ["/etc/passwd", "a/b", "a\\b"] {
        let entry = format!("5:filesld6:lengthi10e4:pathl{}eee", text(name));
        refused(Metainfo::parse(&torrent(&entry, "16", 1)), Code::EBADMSG);
    }
    refused(parse(&[("a", 10), ("a", 10)], "16", 2), Code::EBADMSG);
    refused(parse(&[("a", 10), ("a-b", 10), ("a/b", 10)], "16", 2), Code::EBADMSG);
}

#[test]
fn what_is_no_torrent_is_refused() {
    let good = torrent(&files(&[("a", 10)]), "16", 1);
    for end in 0..good.len() {
        refused(Metainfo::parse(&good[..end]), Code::EBADMSG);
    }
    let deep = [b"d1:a".as_slice(), &[b'l'; 1 << 20]].concat();
    for bytes in
        [b"".as_slice(), b"hello", b"<html>", &deep, b"d4:infod4:name1:nee", b"d4:info99999999999:xe"]
    {
        refused(Metainfo::parse(bytes), Code::EBADMSG);
    }
}

/// The parser's words for a web page were of byte strings and structs.
#[test]
fn what_does_not_begin_as_a_torrent_is_quoted() {
    for (bytes, words) in [
        (b"<!doctype html>\n<title>".as_slice(), "and this file with `<!doctype html>`"),
        (b"\x1f\x8b\x08\0", "and this file with `"),
        (b"", "the file is empty"),
    ] {
        let text = Metainfo::parse(bytes).unwrap_err().text;
        assert!(text.contains(words) && !text.contains(char::is_control), "{text}");
    }
}

#[test]
fn version_2_alone_is_said_to_be_that() {
    let bytes = b"d4:infod9:file treede12:meta versioni2e4:name1:n12:piece lengthi16384eee";
    let failure = Metainfo::parse(bytes).unwrap_err();
    assert_eq!(failure.code, Code::EBADMSG);
    assert!(failure.text.contains("version 2"), "{}", failure.text);
}

#[test]
fn no_torrent_names_more_trackers_than_are_asked() {
    let info = String::from_utf8(torrent(&files(&[("a", 10)]), "16", 1)).unwrap();
    let list = "l10:http://h/ae".repeat(10_000);
    let bytes = format!("d13:announce-listl{list}e{}", &info[1..]).into_bytes();
    assert_eq!(Metainfo::parse(&bytes).unwrap().trackers.len(), TRACKERS_MAX);
}

#[test]
fn a_summary_names_a_few() {
    let names: Vec<String> = (0..9).map(|number| format!("f{number}")).collect();
    let entries: Vec<_> = names.iter().map(|name| (name.as_str(), 1)).collect();
    let summary = parse(&entries, "16", 1).unwrap().summary();
    assert_eq!(summary, "`f0`, `f1`, `f2`, `f3`, `f4` and 4 more");
}
