//! Calls on paths: a guest sees the aliases of its channels, and nothing else.

use crate::job::*;
use crate::script::{READ, WRITE};
use crate::shelf::{Book, RANDOM};
use vfs_core::Capabilities;

const CREATE: u32 = 1;
const DIRECTORY: u32 = 2;
const EXCLUSIVE: u32 = 4;
const TRUNCATE: u32 = 8;

fn job() -> Job {
    let job = Job::new().file("a", Book::new("abc")).file("b", Book::new("wxyz"));
    job.channel("test:a, /dev/in/a, 1, 9, 99, 0, 0").channel("test:b, /b, 3, 9, 99, 9, 99")
}

#[test]
fn nothing_but_channels_can_be_opened() {
    for (path, errno) in [
        ("/etc/passwd", NOTCAPABLE),
        ("/dev/stdin", NOTCAPABLE),
        ("..", NOTCAPABLE),
        ("../etc/passwd", NOTCAPABLE),
        ("dev/../../etc/passwd", NOTCAPABLE),
        ("dev/in/../../../b", NOTCAPABLE),
        ("etc/passwd", NOENT),
        ("proc/self/environ", NOENT),
        ("dev/tty", NOENT),
        ("dev/in/a2", NOENT),
        ("B", NOENT),
        ("b ", NOENT),
        ("test:b", NOENT),
        ("b/", NOTDIR),
        ("b/c", NOTDIR),
        ("b/..", NOTDIR),
        ("b/../b", NOTDIR),
        ("\\ff", ILSEQ),
    ] {
        let told = job().told(&format!("open \"{path}\" 0 2 0\n path_filestat_get 3 0 \"{path}\" 16"));
        assert_eq!(told, [errno, errno], "{path}");
    }
}

#[test]
fn a_name_has_its_ways() {
    for path in ["b", "./b", "dev/../b", "dev/in/../../b", "dev//in/./../../b"] {
        assert_eq!(job().told(&format!("open \"{path}\" 0 2 0\n size 4")), [4, 4], "{path}");
    }
}

#[test]
fn pointers_of_paths_are_checked_first() {
    let script = "path_open 3 0 131072 1 0 2 0 0 8\n path_open 3 0 0 4097 0 2 0 0 8\n path_open 3 0 \"b\" 0 2 0 0 131069
        path_open 9 0 131072 1 0 2 0 0 8\n path_open 0 0 131072 1 0 2 0 0 8\n path_filestat_get 3 0 0 0xffffffff 16
        path_filestat_get 3 0 \"nothing\" 131071\n path_open 3 0 0 0 0 2 0 0 8";
    let told = job().told(script);
    assert_eq!(told, [FAULT, NAMETOOLONG, FAULT, BADF, NOTDIR, NAMETOOLONG, FAULT, NOENT]);
}

#[test]
fn nothing_is_created() {
    let both = CREATE | EXCLUSIVE;
    let told = job().told(&format!("open \"new\" {CREATE} 64 0\n open \"b\" {CREATE} 64 0\n open \"b\" {both} 64 0
        open \"dev\" {both} 64 0\n open \"new\" 0 64 0\n open \"b\" 16 64 0\n open \"b\" 0 64 2\n open \"b\" 0 64 32"));
    assert_eq!(told, [ROFS, 4, EXIST, EXIST, NOENT, INVAL, NOTSUP, INVAL]);
}

#[test]
fn the_rights_asked_for_are_the_access_mode() {
    let both = READ | WRITE;
    let told = job().told(&format!("open \"dev/in/a\" 0 {WRITE} 0\n open \"dev/in/a\" 0 {both} 0\n open \"dev/stdout\" 0 {READ} 0
        open \"b\" 0 {both} 0\n fd_fdstat_get 4 16\n get64 24\n open \"b\" 0 {READ} 0\n fd_fdstat_get 5 16\n get64 24"));
    assert_eq!(told[..5], [ACCES, ACCES, ACCES, 4, 0]);
    assert_eq!((told[5] as u64 & both, told[8] as u64 & both), (both, READ));
}

#[test]
fn truncation_empties_what_it_can() {
    let open = |path: &str, rights: u64| format!("open \"{path}\" {TRUNCATE} {rights} 0\n");
    let told =
        job().told(&(open("b", WRITE) + "size 4\n" + &open("dev/in/a", READ) + &open("dev/stdout", WRITE)));
    assert_eq!(told, [4, 0, ACCES, 5]);
    let fixed = Capabilities::from_bits(RANDOM.bits() & !Capabilities::TRUNCATABLE.bits());
    let job = Job::over(Book { capabilities: fixed, ..Book::new("abc") }, "3, 9, 99, 9, 99");
    assert_eq!(
        job.told(&(open("x", WRITE) + &open("x", READ | WRITE) + "open \"x\" 0 2 0")),
        [NOTSUP, NOTSUP, 4]
    );
    let job = Job::over(Book { capabilities: fixed, ..Book::new("") }, "3, 9, 99, 9, 99");
    assert_eq!(job.told(&open("x", WRITE)), [4]);
    let job = Job::over(Book::new("abc"), "1, 9, 99, 9, 99");
    assert_eq!(job.told(&(open("x", WRITE) + "size 4")), [4, 3]);
}

#[test]
fn a_directory_opens_as_one() {
    let script = format!("open \"dev\" {DIRECTORY} 2 0\n open \"b\" {DIRECTORY} 2 0\n open \"dev\" 0 64 0\n open \"dev\" {TRUNCATE} 2 0
        open \".\" 0 0 0\n path_open 4 0 \"in/a\" 0 2 0 0 8\n get32 8\n path_open 4 0 \"../b\" 0 2 0 0 8\n get32 8
        path_open 4 0 \"../../b\" 0 2 0 0 8\n fd_filestat_get 4 16\n get32 32\n fd_prestat_get 4 16\n read 4 1\n fd_close 4");
    let told = job().told(&script);
    assert_eq!(told, [4, NOTDIR, ISDIR, ISDIR, 5, 0, 6, 0, 7, NOTCAPABLE, 0, 3, BADF, ISDIR, 0]);
}

#[test]
fn directories_list_the_manifests_names() {
    // Each entry: next, inode, length and type, name.
    let told = job().told(
        "fd_readdir 3 4096 999 0 8\n get32 8\n get64 4096\n get64 4104\n get32 4112\n get32 4116\n get8 4120
        fd_readdir 3 4096 999 3 8\n get32 8\n get64 4096\n get64 4104\n get32 4116\n get8 4120
        fd_readdir 3 4096 999 4 8\n get32 8\n fd_readdir 3 4096 999 -1 8\n get32 8
        fd_readdir 0 4096 999 0 8\n fd_readdir 9 4096 999 0 8\n fd_readdir 3 131000 999 0 8",
    );
    assert_eq!(told[..7], [0, 25 + 26 + 25 + 27, 1, 5, 1, 3, '.' as i64]);
    // Channels are numbered as handles: the standard ones, then by alias, so that /b is 3, a regular file.
    assert_eq!(told[7..13], [0, 25, 4, 3, 4, 'b' as i64]);
    assert_eq!(told[13..], [0, 0, 0, 0, NOTDIR, BADF, FAULT]);
}

#[test]
fn a_listing_is_cut_off_by_its_buffers_end() {
    let told = job().told("fd_readdir 3 4096 30 0 8\n get32 8\n fd_readdir 3 4096 0 0 8\n get32 8");
    assert_eq!(told, [0, 30, 0, 0]);
}

#[test]
fn names_are_neither_made_nor_removed() {
    let script = "path_create_directory 3 \"new\"\n path_remove_directory 3 \"dev\"\n path_unlink_file 3 \"b\"\n path_rename 3 \"b\" 3 \"c\"
        path_link 3 0 \"b\" 3 \"c\"\n path_symlink \"b\" 3 \"c\"\n path_filestat_set_times 3 0 \"b\" 0 0 0";
    assert_eq!(job().told(script), [ROFS; 7]);
    let script = "path_unlink_file 3 \"c\"\n path_rename 3 \"c\" 3 \"d\"\n path_link 3 0 \"c\" 3 \"d\"\n path_remove_directory 3 \"c\"
        path_filestat_set_times 3 0 \"c\" 0 0 0\n path_readlink 3 \"c\" 4096 9 8";
    assert_eq!(job().told(script), [NOENT; 6]);
    let script = "path_create_directory 3 \"../a\"\n path_unlink_file 3 \"/b\"\n path_rename 3 \"b\" 3 \"../b\"\n path_link 3 0 \"b\" 3 \"/c\"
        path_symlink \"b\" 3 \"..\"\n path_readlink 3 \"/b\" 4096 9 8";
    assert_eq!(job().told(script), [NOTCAPABLE; 6]);
    let script =
        "path_readlink 3 \"b\" 4096 9 8\n path_readlink 3 \"dev\" 4096 9 8\n path_readlink 3 \"b\" 131071 9 8
        path_create_directory 9 \"b\"\n path_create_directory 0 \"b\"\n path_rename 3 \"b\" 9 \"c\"";
    assert_eq!(job().told(script), [INVAL, INVAL, FAULT, BADF, NOTDIR, BADF]);
}
