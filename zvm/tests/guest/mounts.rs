//! Trees from archives, arguments and time from `/dev/nvram`; archives that lie.

use crate::job::*;
use crate::script::{self, READ, WRITE};
use crate::shelf::Book;
use tar::{Builder, EntryType, Header};

/// An archive of these files; a name that ends in a slash is a directory, `name -> target` a link, `name = old` a hard one.
fn archive(members: &[(&str, &str)]) -> Vec<u8> {
    let mut builder = Builder::new(Vec::new());
    for (name, data) in members {
        let mut header = Header::new_gnu();
        header.set_mtime(7);
        let link = name.split_once(" -> ").map(|link| (link, EntryType::Symlink));
        match link.or(name.split_once(" = ").map(|link| (link, EntryType::Link))) {
            Some(((name, target), kind)) => {
                header.set_entry_type(kind);
                header.set_size(0);
                builder.append_link(&mut header, name, target).unwrap();
            }
            None => {
                let directory = name.ends_with('/');
                header.set_entry_type(if directory { EntryType::Directory } else { EntryType::Regular });
                header.set_size(data.len() as u64);
                builder.append_data(&mut header, name, data.as_bytes()).unwrap();
            }
        }
    }
    builder.into_inner().unwrap()
}

/// A member whose header says whatever it is told to, without the library's checks.
fn raw(name: &str, kind: EntryType, size: u64, data: &[u8]) -> Vec<u8> {
    let mut header = Header::new_gnu();
    header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
    header.set_entry_type(kind);
    header.set_size(size);
    header.set_cksum();
    let mut bytes = header.as_bytes().to_vec();
    bytes.extend_from_slice(data);
    bytes.resize(bytes.len().next_multiple_of(512), 0);
    bytes
}

/// A session with an archive at `/lib`: a channel of `type` (1: with positions, 0: to be loaded).
fn job(archive: Vec<u8>, kind: u8) -> Job {
    let job = Job::new().file("tar", Book::new(archive));
    job.channel(&format!("test:tar, /dev/lib, {kind}, 999, 9999999, 0, 0")).key("Mount = /dev/lib, /lib")
}

fn tree() -> Vec<u8> {
    let long = format!("deep/{}/{}", "d".repeat(120), "f".repeat(120));
    archive(&[
        ("./", ""),
        ("./a.txt", "hello"),
        ("b/", ""),
        ("b/c/d.txt", "world, here"),
        (&long, "long"),
        ("link -> b/c/d.txt", ""),
        ("out -> ../../dev/stdin", ""),
        ("abs -> /etc/passwd", ""),
        ("hard = a.txt", ""),
        ("a2.txt", "first"),
        ("a2.txt", "second!"),
    ])
}

const SCRIPT: &str = "open \"lib/a.txt\" 0 2 0\n size 4\n read 4 99\n get32 4096\n open \"lib/b/c/d.txt\" 0 2 0\n pread 5 4 7\n get32 4096\n pread 5 9 11\n seek 5 -4 2\n read 5 9
    open \"lib/link\" 0 2 0\n size 6\n open \"lib/hard\" 0 2 0\n size 7\n open \"lib/a2.txt\" 0 2 0\n size 8\n open \"lib/abs\" 0 2 0\n open \"lib/a.txt\" 0 64 0\n open \"lib/new\" 1 64 0
    path_create_directory 3 \"lib/d\"\n path_unlink_file 3 \"lib/a.txt\"\n path_rename 3 \"lib/a.txt\" 3 \"x\"\n fd_filestat_set_size 4 0\n fd_filestat_get 4 16\n get64 40\n get64 56";

#[test]
fn a_tree_is_found_at_its_path() {
    for kind in [0, 1] {
        let told = job(tree(), kind).key("Scratch = 65536").told(SCRIPT);
        let text = |bytes: &[u8; 4]| i64::from(u32::from_le_bytes(*bytes));
        let expected = [4, 5, 5, text(b"hell"), 5, 4, text(b"here"), 0, 7, 4, 6, 11, 7, 5, 8, 7, NOTCAPABLE];
        assert_eq!(told[..17], expected, "type {kind}");
        // It is read-only, whatever the scratch space allows elsewhere; two names and its archive's time.
        assert_eq!(told[17..], [ROFS, ROFS, ROFS, ROFS, ROFS, BADF, 0, 2, 7_000_000_000]);
    }
}

#[test]
fn reads_of_a_mounted_file_are_reads_of_its_channel() {
    let job = job(tree(), 1);
    let before = job.run(&script::program("")).network;
    let after =
        job.run(&script::program("open \"lib/a.txt\" 0 2 0\n read 4 99\n read 4 99\n pread 4 2 1")).network;
    assert_eq!((after.gets - before.gets, after.get_bytes - before.get_bytes), (2, 7));
    // And so they end with its quotas.
    let size = tree().len();
    let short = Job::new().file("tar", Book::new(tree()));
    let short = short
        .channel(&format!("test:tar, /dev/lib, 1, 99, {}, 0, 0", size + 3))
        .key("Mount = /dev/lib, /lib");
    assert_eq!(short.told("open \"lib/a.txt\" 0 2 0\n read 4 99\n read 4 99"), [4, 3, DQUOT]);
}

#[test]
fn a_tree_may_be_the_scratch_spaces() {
    let job = Job::new().file("tar", Book::new(tree())).channel("test:tar, /dev/lib, 1, 999, 9999999, 0, 0");
    let job = job.key("Scratch = 1048576").key("Mount = /dev/lib, /w, rw").key("Preopen = /w, w");
    let script = format!(
        "path_open 4 0 \"a.txt\" 0 {} 0 0 8\n size 5\n seek 5 0 2\n write 5 3\n size 5\n path_unlink_file 4 \"a.txt\"\n open \"w/hard\" 0 2 0\n size 6
        path_create_directory 4 \"b/new\"\n path_rename 4 \"b\" 4 \"e\"\n open \"w/e/c/d.txt\" 0 2 0\n size 7\n path_readlink 4 \"link\" 4096 99 8\n get32 8",
        READ | WRITE
    );
    assert_eq!(job.told(&script), [0, 5, 5, 3, 8, 0, 6, 8, 0, 0, 7, 11, 0, 9]);
    let small =
        Job::new().file("tar", Book::new(tree())).channel("test:tar, /dev/lib, 1, 999, 9999999, 0, 0");
    let report = small.key("Scratch = 9000").key("Mount = /dev/lib, /w, rw").run(&script::program(""));
    assert_eq!(report.exit_code.number(), 14);
    assert!(report.state.contains("the scratch space is too small"), "{report:?}");
}

/// Found in a review: `tar cf t.tar a a b` stores `a` as a link to itself, and its content became that of `b`.
#[test]
fn a_member_that_is_a_link_to_itself_stays_what_it_is() {
    let twice = archive(&[("a", "one"), ("a = a", ""), ("l -> a", ""), ("l = l", ""), ("b", "second")]);
    for mount in ["/dev/lib, /lib", "/dev/lib, /lib, rw"] {
        for kind in [0, 1] {
            let job = Job::new().file("tar", Book::new(twice.clone())).key("Scratch = 65536");
            let job = job.channel(&format!("test:tar, /dev/lib, {kind}, 999, 9999999, 0, 0"));
            let told = job.key(&format!("Mount = {mount}")).told(
                "open \"lib/a\" 0 2 0\n size 4\n read 4 9\n get8 4096\n open \"lib/b\" 0 2 0\n size 5\n read 5 9\n get8 4096
                open \"lib/l\" 0 2 0\n size 6",
            );
            let expected = [4, 3, 3, i64::from(b'o'), 5, 6, 6, i64::from(b's'), 6, 3];
            assert_eq!(told, expected, "{mount}, type {kind}");
        }
    }
}

/// Found in a review: such a link freed a file whose place a directory took, which then was its own parent, and a rename
/// into it never ended.
#[test]
fn no_archive_makes_a_directory_its_own_parent() {
    let tree = archive(&[("a", "x"), ("a = a", ""), ("d/", ""), ("d/e/", "")]);
    let job = Job::new().file("tar", Book::new(tree)).channel("test:tar, /dev/lib, 1, 999, 9999999, 0, 0");
    let job = job.key("Scratch = 65536").key("Mount = /dev/lib, /m, rw").timeout(60);
    let told = job.told(
        "open \"m/d/e\" 2 0 0\n path_unlink_file 3 \"m/a\"\n path_create_directory 4 \"x\"\n path_create_directory 3 \"z\"
        path_rename 3 \"z\" 4 \"y\"\n path_rename 3 \"m/d\" 4 \"y/d\"",
    );
    assert_eq!(told, [4, 0, 0, 0, 0, INVAL]);
}

#[test]
fn a_channel_keeps_its_name_under_a_tree() {
    let tree = archive(&[("dev/stdin", "not this"), ("dev/own", "but this")]);
    let job = Job::new().file("tar", Book::new(tree)).file("in", Book::pipe("abc"));
    let job = job.channel("test:tar, /dev/root, 1, 99, 99999, 0, 0").key("Mount = /dev/root, /");
    let script = "open \"dev/stdin\" 0 2 0\n read 4 9\n open \"dev/own\" 0 2 0\n size 5";
    assert_eq!(job.told(script), [4, 3, 5, 8]);
    let report = job.run(&script::program(script));
    assert!(report.notes.iter().any(|note| note.contains("stdin is left out")), "{:?}", report.notes);
}

#[test]
fn pax_paths_and_sizes_are_understood() {
    let records = |pairs: &[(&str, &str)]| {
        let mut bytes = Vec::new();
        for (key, value) in pairs {
            let rest = format!(" {key}={value}\n");
            let mut length = rest.len() + 2;
            while format!("{length}{rest}").len() != length {
                length += 1;
            }
            bytes.extend_from_slice(format!("{length}{rest}").as_bytes());
        }
        bytes
    };
    let long = "p".repeat(200);
    let pax = records(&[("path", &format!("dir/{long}")), ("size", "3"), ("mtime", "1.5")]);
    let mut bytes = raw("x", EntryType::XHeader, pax.len() as u64, &pax);
    bytes.extend(raw("short", EntryType::Regular, 0, b"abc"));
    bytes.extend(raw("next", EntryType::Regular, 2, b"de"));
    let script = format!(
        "open \"lib/dir/{long}\" 0 2 0\n read 4 9\n get8 4096\n open \"lib/next\" 0 2 0\n read 5 9\n get8 4096"
    );
    for kind in [0, 1] {
        assert_eq!(job(bytes.clone(), kind).told(&script), [4, 3, 'a' as i64, 5, 2, 'd' as i64]);
    }
}

/// A hard link's header.
fn link(name: &str, target: &str) -> Vec<u8> {
    let mut header = Header::new_gnu();
    header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
    header.as_old_mut().linkname[..target.len()].copy_from_slice(target.as_bytes());
    header.set_entry_type(EntryType::Link);
    header.set_size(0);
    header.set_cksum();
    header.as_bytes().to_vec()
}

#[test]
fn archives_that_lie_are_refused_with_the_member_that_does() {
    let end = vec![0; 1024];
    let regular = |name: &str| [raw(name, EntryType::Regular, 1, b"x"), end.clone()].concat();
    let bombs: Vec<u8> = raw(&"a/".repeat(49), EntryType::Directory, 0, b"");
    let many =
        (0..101_000u32).flat_map(|n| raw(&format!("{n}"), EntryType::Regular, 0, b"")).collect::<Vec<u8>>();
    // Found in a review: hard links, which are names and no files, were not counted.
    let names: Vec<u8> = (0..101_000u32).flat_map(|n| link(&format!("{n}"), "f")).collect();
    let names = [regular("f")[..1024].to_vec(), names].concat();
    // Found in a review: a chain of symbolic links before each hard link's target took hours.
    let through = archive(&[("d/f", "x"), ("l -> d", ""), ("hard = l/f", "")]);
    let cases: [(Vec<u8>, &str); 19] = [
        (regular("../x"), "member ../x: it leads out"),
        (regular("a/../../x"), "it leads out"),
        (regular("/etc/x"), "an absolute path"),
        (link("l", "gone"), "a link to gone"),
        (through, "a link to l/f"),
        (raw("big", EntryType::Regular, 1 << 40, b"x"), "ends beyond the archive's end"),
        (raw("neg", EntryType::Regular, u64::MAX, b"x"), "byte 0"),
        (raw("n", EntryType::GNULongName, 1 << 20, &[b'n'; 1 << 20]), "a name of 1048576 bytes"),
        (raw("p", EntryType::XHeader, 1 << 20, &[b'1'; 1 << 20]), "pax records of 1048576 bytes"),
        (raw("s", EntryType::GNUSparse, 0, b""), "a sparse member"),
        (b"\x1f\x8b\x08 compressed".repeat(99), "it is compressed by gzip: unpack it first"),
        // A case report: one of fewer bytes than a header was said to be cut off.
        (b"\x1f\x8b\x08 small".to_vec(), "it is compressed by gzip: unpack it first"),
        (b"PK\x03\x04 small".to_vec(), "it is a zip archive"),
        (vec![b'x'; 100], "it is not a tar archive: it has 100 bytes"),
        ([regular("f")[..1024].to_vec(), vec![b'x'; 100]].concat(), "byte 1024: it is cut off"),
        ([regular("f")[..1024].to_vec(), vec![b'x'; 512]].concat(), "byte 1024: it is not a tar header"),
        ([regular("f")[..1024].to_vec(), regular("f/x")].concat(), "something else has the name"),
        (many, "more than 100000 names"),
        (names, "more than 100000 names"),
    ];
    for (bytes, words) in cases {
        for kind in [1, 0] {
            let job = Job::new().file("tar", Book::new(bytes.clone()));
            let job = job.channel(&format!("test:tar, /dev/lib, {kind}, 99999, 999999999, 0, 0"));
            let report = job.key("Mount = /dev/lib, /lib").run(&script::program(""));
            assert_eq!(report.exit_code.number(), 14, "{words}: {report:?}");
            assert!(report.state.starts_with("mount /dev/lib at /lib: "), "{report:?}");
            assert!(report.state.contains(words), "{words}: {report:?}");
        }
    }
    // A directory 49 deep is one; devices are left out.
    assert_eq!(job(bombs, 1).told(&format!("path_filestat_get 3 0 \"lib/{}\" 16", "a/".repeat(49))), [0]);
    let report = job(raw("tty", EntryType::Char, 0, b""), 1).run(&script::program(""));
    assert!(report.notes[0].contains("tty is left out: a device"), "{report:?}");
}

/// Found in a review: the copy of a member whose archive got shorter after its size was asked for never ended.
#[test]
fn an_archive_that_became_shorter_is_told() {
    let whole = archive(&[("f", &"x".repeat(200_000))]);
    let size = Some(Some(whole.len() as u64));
    let book = Book { told_size: size, ..Book::new(&whole[..100_000]) };
    let job = Job::new().file("tar", book).channel("test:tar, /dev/lib, 1, 999, 9999999, 0, 0").timeout(60);
    let report = job.key("Scratch = 1048576").key("Mount = /dev/lib, /lib, rw").run(&script::program(""));
    assert_eq!(report.exit_code.number(), 14, "{report:?}");
    assert!(report.state.contains("member f: the archive ends within it"), "{report:?}");
}

/// Found beside a case report: a directory of Preopen took the place of a mounted file.
#[test]
fn a_preopen_directory_does_not_replace_a_file() {
    for mount in ["ro", "rw"] {
        let job = Job::new().file("tar", Book::new(tree())).key("Scratch = 1048576");
        let job = job.channel("test:tar, /dev/lib, 1, 999, 9999999, 0, 0");
        let job = job.key(&format!("Mount = /dev/lib, /lib, {mount}")).key("Preopen = /lib/a.txt");
        let report = job.run(&script::program(""));
        assert!(report.state.contains("Preopen: /lib/a.txt is not a directory"), "{mount}: {report:?}");
    }
}

/// Found in a review: the names of a read-only tree made the scratch space larger where a writable tree was over them.
#[test]
fn a_tree_over_another_leaves_the_scratch_space_as_it_is() {
    let names: Vec<String> = (0..60).map(|number| format!("f{number:02}")).collect();
    let members: Vec<(&str, &str)> = names.iter().map(|name| (name.as_str(), "")).collect();
    let written = |mounts: &[&str]| {
        let (below, above) = (Book::new(archive(&members)), Book::new(archive(&members)));
        let job = Job::new().file("below", below).file("above", above).key("Scratch = 150000");
        let job = job.channel("test:below, /dev/below, 1, 999, 9999999, 0, 0");
        let job = job.channel("test:above, /dev/above, 1, 999, 9999999, 0, 0");
        let job = mounts.iter().fold(job, |job, mount| job.key(&format!("Mount = {mount}")));
        let told = job.told("open \"new\" 1 64 0\n write 4 50000\n write 4 50000\n write 4 50000");
        told[1..].iter().filter(|count| **count > 0).sum::<i64>()
    };
    let alone = written(&["/dev/above, /, rw"]);
    assert!(alone > 0 && alone < 150_000 - 60 * 1024);
    assert_eq!(written(&["/dev/below, /", "/dev/above, /, rw"]), alone);
    // What is covered is given back, with its name.
    assert!(written(&["/dev/above, /, rw", "/dev/below, /"]) > alone + 60 * 1024 - 4096);
}

#[test]
fn a_quota_that_is_too_small_for_an_archive_is_told() {
    for kind in [1, 0] {
        let job = Job::new().file("tar", Book::new(tree()));
        let job =
            job.channel(&format!("test:tar, /dev/lib, {kind}, 999, 600, 0, 0")).key("Mount = /dev/lib, /lib");
        let report = job.run(&script::program(""));
        assert_eq!(report.exit_code.number(), 14);
        assert!(report.state.contains("quota ends before the archive"), "{report:?}");
    }
}

#[test]
fn nvram_tells_arguments_environment_time_and_trees() {
    let text = "[args]\nargs = prog one t\\x20w\n[env]\nname=A, value=1\nname=B, value=2\n[time]\nseconds=1000\n[fstab]\nchannel=/dev/lib, mountpoint=/usr, access=ro\n";
    let job = || {
        let job = Job::new().file("tar", Book::new(tree())).file("nv", Book::new(text));
        job.channel("test:tar, /dev/lib, 1, 999, 9999999, 0, 0")
            .channel("test:nv, /dev/nvram, 0, 9, 9999, 0, 0")
    };
    let script = "args_sizes_get 16 20\n get32 16\n get32 20\n args_get 32 4096\n get64 4096\n environ_sizes_get 16 20\n get32 16\n environ_get 32 4096\n get64 4096
        clock_time_get 0 0 16\n get64 16\n clock_time_get 1 0 16\n get64 16\n open \"usr/a.txt\" 0 2 0\n size 4";
    let word = |bytes: &[u8; 8]| i64::from_le_bytes(*bytes);
    let told = job().told(script);
    assert_eq!(told[..5], [0, 3, 13, 0, word(b"prog\0one")]);
    assert_eq!(told[5..9], [0, 2, 0, word(b"A=1\0B=2\0")]);
    assert_eq!(told[9..], [0, 1_000_000_001_000, 0, 2_000, 4, 5]);
    // What the manifest says comes first.
    let told = job().key("Args = x").key("Env = B=9").key("Time = 5").told(script);
    assert_eq!((told[1], told[4]), (2, word(b"program\0")));
    assert_eq!((told[8], told[10]), (word(b"B=9\0A=1\0"), 5_000_001_000));
}

#[test]
fn a_defect_in_nvram_is_told_with_its_line() {
    for (text, words) in [
        ("[args]\nnothing", "/dev/nvram: line 2: `nothing` is not key=value"),
        ("[fstab]\nchannel=/dev/no, mountpoint=/x", "mount /dev/no at /x: there is no such channel"),
        ("[fstab]\nchannel=/dev/nvram, mountpoint=/x, access=rw", "needs Scratch"),
        (
            "[fstab]\nchannel=/dev/nvram, mountpoint=/../x",
            "/dev/nvram: line 2: mountpoint /../x is not an absolute",
        ),
        ("#\u{0}\n[env]\nname=\\x00, value=1", "/dev/nvram: line 3"),
    ] {
        let job = Job::new().file("nv", Book::new(text)).channel("test:nv, /dev/nvram, 0, 9, 9999, 0, 0");
        let report = job.run(&script::program(""));
        assert_eq!(report.exit_code.number(), 14, "{report:?}");
        assert!(report.state.contains(words), "{report:?}");
    }
}

#[test]
fn an_archive_that_never_comes_ends_at_the_timeout() {
    let (sender, _receiver) = std::sync::mpsc::channel();
    let book = Book { stuck: Some(sender), ..Book::pipe("") };
    let job = Job::new().file("tar", book).channel("test:tar, /dev/lib, 0, 99, 9999, 0, 0").timeout(1);
    let report = job.key("Mount = /dev/lib, /lib").run(&script::program(""));
    assert_eq!(report.exit_code.number(), 4, "{report:?}");
    assert_eq!(report.state, "timeout: channel /dev/lib: read test:tar");
}
