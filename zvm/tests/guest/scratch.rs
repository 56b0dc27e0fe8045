//! The scratch space: files, directories and links of a guest's own, in memory, within what the manifest gives.

use crate::job::*;
use crate::script::{READ, WRITE};
use crate::shelf::Book;

const CREATE: u32 = 1;
const DIRECTORY: u32 = 2;
const EXCLUSIVE: u32 = 4;
const TRUNCATE: u32 = 8;
const BOTH: u64 = READ | WRITE;

fn job() -> Job {
    Job::over(Book::new("abc"), "3, 9, 99, 9, 99").key("Scratch = 1048576")
}

fn told(script: &str) -> Vec<i64> {
    job().told(script)
}

/// `path_open` without following a link at the end.
fn no_follow(path: &str, how: u32, rights: u64) -> String {
    format!("path_open 3 0 \"{path}\" {how} {rights} 0 0 8\n")
}

#[test]
fn a_file_is_made_written_and_read() {
    let script = format!(
        "open \"new\" {CREATE} {BOTH} 0\n put64 4096 0x0807060504030201\n write 4 8\n tell 4\n size 4\n seek 4 2 0\n read 4 99\n get32 4096
        read 4 1\n pread 4 3 6\n pwrite 4 1 9\n size 4\n pread 4 1 8\n get8 4096\n fd_close 4\n open \"new\" 0 {READ} 0\n size 4\n write 4 1"
    );
    assert_eq!(told(&script), [4, 8, 8, 8, 2, 6, 0x06050403, 0, 2, 1, 10, 1, 0, 0, 4, 10, BADF]);
}

#[test]
fn opening_asks_for_what_it_says() {
    let both = CREATE | EXCLUSIVE;
    let script = format!(
        "open \"new\" 0 {BOTH} 0\n open \"new\" {both} {BOTH} 0\n open \"new\" {both} {BOTH} 0\n write 4 9\n open \"new\" {CREATE} {READ} 0\n size 5
        open \"new\" {TRUNCATE} {WRITE} 0\n size 5\n open \"new\" {DIRECTORY} {READ} 0\n open \"other\" {} {READ} 0
        open \"new/\" 0 {READ} 0\n open \"other/\" {CREATE} {WRITE} 0\n open \"new/x\" {CREATE} {WRITE} 0\n open \"no/x\" {CREATE} {WRITE} 0
        open \"{}\" {CREATE} {WRITE} 0\n open \"a\\00b\" {CREATE} {WRITE} 0",
        CREATE | DIRECTORY,
        "n".repeat(256)
    );
    let expected =
        [NOENT, 4, EXIST, 9, 5, 9, 6, 0, NOTDIR, INVAL, NOTDIR, ISDIR, NOTDIR, NOENT, NAMETOOLONG, INVAL];
    assert_eq!(told(&script), expected);
}

#[test]
fn appending_goes_to_the_end_and_can_be_given_up() {
    let script = format!(
        "open \"new\" {CREATE} {BOTH} 1\n write 4 3\n seek 4 0 0\n write 4 2\n tell 4\n pwrite 4 4 0\n tell 4\n size 4
        fd_fdstat_set_flags 4 0\n seek 4 0 0\n write 4 1\n tell 4\n size 4\n fd_fdstat_set_flags 4 16\n fd_fdstat_get 4 16\n get32 16\n fd_fdstat_set_flags 4 32"
    );
    assert_eq!(told(&script), [4, 3, 0, 2, 5, 4, 5, 5, 0, 0, 1, 1, 5, 0, 0, 16 << 16 | 4, INVAL]);
}

#[test]
fn files_are_sparse_and_sizes_are_set() {
    let far = i64::MAX;
    let script = format!(
        "open \"new\" {CREATE} {BOTH} 0\n pwrite 4 1 0x10000000000\n size 4\n pread 4 1 0x8000000000\n get8 4096\n fd_filestat_set_size 4 100
        size 4\n seek 4 0 2\n read 4 1\n fd_filestat_set_size 4 {far}\n size 4\n pwrite 4 1 {far}\n fd_filestat_set_size 4 -1\n fd_advise 4 0 9 3"
    );
    let expected = [4, 1, (1 << 40) + 1, 1, 0, 0, 100, 100, 0, 0, far, FBIG, INVAL, 0];
    assert_eq!(told(&script), expected);
}

#[test]
fn space_is_allocated_or_refused_whole() {
    let script = format!(
        "open \"new\" {CREATE} {BOTH} 0\n fd_allocate 4 0 100\n size 4\n fd_allocate 4 10 10\n size 4\n fd_allocate 4 0 1048576\n size 4
        fd_allocate 4 0 0x7fffffffffffffff\n fd_allocate 4 0x7fffffffffffffff 1\n fd_allocate 4 0 0\n fd_allocate 4 0 800000\n write 4 100"
    );
    assert_eq!(told(&script), [4, 0, 100, 0, 100, NOSPC, 100, NOSPC, FBIG, INVAL, 0, 100]);
}

#[test]
fn no_more_is_kept_than_the_manifest_gives() {
    // 9 blocks, a file and its name.
    let job = Job::new().key(&format!("Scratch = {}", 9 * (4096 + 64) + 1024 + 2));
    let script = format!(
        "open \"f\" {CREATE} {BOTH} 0\n write 4 30000\n write 4 20000\n write 4 1\n open \"g\" {CREATE} {BOTH} 0\n path_create_directory 3 \"g\"
        path_symlink \"f\" 3 \"g\"\n path_link 3 0 \"f\" 3 \"g\"\n path_rename 3 \"f\" 3 \"g\"\n path_unlink_file 3 \"f\"\n write 4 1
        fd_close 4\n open \"g\" {CREATE} {BOTH} 0\n write 4 50000"
    );
    let told = job.told(&script);
    assert_eq!(told[..4], [4, 30_000, 9 * 4096 - 30_000, NOSPC]);
    assert_eq!(told[4..], [NOSPC, NOSPC, NOSPC, NOSPC, NOSPC, 0, NOSPC, 0, 4, 9 * 4096]);
}

#[test]
fn a_file_lives_as_long_as_a_descriptor() {
    let script = format!(
        "open \"f\" {CREATE} {BOTH} 0\n write 4 5\n path_unlink_file 3 \"f\"\n open \"f\" {CREATE} {BOTH} 0\n size 4\n size 5\n write 4 1\n size 4
        fd_filestat_get 4 16\n get64 40\n path_create_directory 3 \"d\"\n open \"d\" {DIRECTORY} 0 0\n path_remove_directory 3 \"d\"
        path_create_directory 3 \"d\"\n path_create_directory 6 \"x\"\n fd_readdir 6 4096 99 0 8\n get32 8"
    );
    let expected = [4, 5, 0, 5, 5, 0, 1, 6, 0, 0, 0, 6, 0, 0, NOENT, 0, 24 + 1 + 24 + 2];
    assert_eq!(told(&script), expected);
}

#[test]
fn directories_are_made_listed_and_removed() {
    let script = format!(
        "path_create_directory 3 \"d\"\n path_create_directory 3 \"d\"\n path_create_directory 3 \"d/e/\"\n path_create_directory 3 \"no/e\"
        open \"d/f\" {CREATE} {WRITE} 0\n path_create_directory 3 \"d/f\"\n path_create_directory 3 \"d/f/g\"\n path_create_directory 3 \"x\"
        path_remove_directory 3 \"d\"\n path_remove_directory 3 \"d/f\"\n path_remove_directory 3 \"d/e\"\n path_unlink_file 3 \"d\"\n path_unlink_file 3 \"d/f/\"
        path_unlink_file 3 \"d/f\"\n path_remove_directory 3 \"d/.\"\n path_remove_directory 3 \"d/\"\n path_remove_directory 3 \"d\"\n path_remove_directory 3 \"dev\"
        path_create_directory 3 \"dev/new\"\n path_remove_directory 3 \"dev/new\"\n path_unlink_file 3 \"x\"\n path_unlink_file 3 \"dev/stdin\""
    );
    let expected = [
        0, EXIST, 0, NOENT, 4, EXIST, NOTDIR, EXIST, NOTEMPTY, NOTDIR, 0, ISDIR, NOTDIR, 0, INVAL, 0, NOENT,
        ROFS, 0, 0, ROFS, ROFS,
    ];
    assert_eq!(told(&script), expected);
}

#[test]
fn names_move_as_posix_has_it() {
    let make = |name: &str| format!("open \"{name}\" {CREATE} {WRITE} 0\n fd_close 4\n");
    let script = [
        make("f"),
        make("g"),
        "path_create_directory 3 \"d\"\n path_create_directory 3 \"e\"\n".into(),
        make("e/full"),
        "path_rename 3 \"f\" 3 \"h\"\n path_rename 3 \"f\" 3 \"h\"\n path_rename 3 \"h\" 3 \"g\"\n path_rename 3 \"g\" 3 \"d\"\n path_rename 3 \"d\" 3 \"g\"
        path_rename 3 \"d\" 3 \"e\"\n path_rename 3 \"e\" 3 \"d/\"\n path_rename 3 \"d/\" 3 \"e\"\n path_rename 3 \"e\" 3 \"e/in\"\n path_rename 3 \"e\" 3 \"e\"
        path_rename 3 \"e/full\" 3 \"e/../full\"\n path_rename 3 \"g\" 3 \"new/\"\n path_rename 3 \"g\" 3 \"x\"\n path_rename 3 \"x\" 3 \"y\"\n path_rename 3 \"dev\" 3 \"y\"
        path_rename 3 \".\" 3 \"y\"\n path_rename 3 \"g\" 3 \"../y\"\n path_filestat_get 3 0 \"full\" 16\n path_filestat_get 3 0 \"d\" 16".into(),
    ]
    .concat();
    let expected = [
        0, NOENT, 0, ISDIR, NOTDIR, NOTEMPTY, 0, 0, INVAL, 0, 0, NOTDIR, ROFS, ROFS, ROFS, ROFS, NOTCAPABLE,
        0, NOENT,
    ];
    assert_eq!(told(&script)[8..], expected);
}

#[test]
fn a_file_has_several_names() {
    let script = format!(
        "open \"f\" {CREATE} {BOTH} 0\n write 4 5\n path_link 3 0 \"f\" 3 \"g\"\n fd_filestat_get 4 16\n get64 40\n path_link 3 0 \"f\" 3 \"g\"\n path_link 3 0 \"f\" 3 \"h/\"
        path_link 3 1 \"f\" 3 \"h\"\n path_create_directory 3 \"d\"\n path_link 3 0 \"d\" 3 \"h\"\n path_link 3 0 \"x\" 3 \"h\"\n path_link 3 0 \"no\" 3 \"h\"
        path_unlink_file 3 \"f\"\n open \"g\" 0 {READ} 0\n size 5"
    );
    assert_eq!(told(&script), [4, 5, 0, 0, 2, EXIST, NOENT, INVAL, 0, PERM, ROFS, NOENT, 0, 5, 5]);
}

#[test]
fn links_are_made_read_and_followed() {
    let script = [
        format!("open \"f\" {CREATE} {BOTH} 0\n write 4 5\n path_symlink \"f\" 3 \"l\"\n path_readlink 3 \"l\" 4096 9 8\n get32 8\n get8 4096\n path_readlink 3 \"l\" 4096 0 8\n"),
        format!("open \"l\" 0 {READ} 0\n size 5\n"),
        no_follow("l", 0, READ),
        no_follow("l", DIRECTORY, 0),
        "path_filestat_get 3 0 \"l\" 16\n get8 32\n get64 48\n path_filestat_get 3 1 \"l\" 16\n get8 32\n get64 48\n".into(),
        "path_symlink \"/\" 3 \"m\"\n path_symlink \"\" 3 \"m\"\n path_symlink \"f\" 3 \"l\"\n path_symlink \"f\" 3 \"m/\"\n path_symlink \"m\" 3 \"m\"\n".into(),
        format!("open \"m\" 0 {READ} 0\n path_symlink \"../..\" 3 \"out\"\n open \"out\" 0 {READ} 0\n open \"out/x\" 0 {READ} 0\n"),
        format!("path_symlink \"dev/stdin\" 3 \"in\"\n open \"in\" 0 {READ} 0\n path_symlink \"gone\" 3 \"n\"\n open \"n\" {CREATE} {WRITE} 0\n path_filestat_get 3 0 \"gone\" 16\n"),
        format!("open \"n\" {} {WRITE} 0\n path_readlink 3 \"f\" 4096 9 8\n path_unlink_file 3 \"l\"\n open \"f\" 0 {READ} 0", CREATE | EXCLUSIVE),
    ]
    .concat();
    let expected = [
        4, 5, 0, 0, 1, 'f' as i64, 0, 5, 5, LOOP, LOOP, 0, 7, 1, 0, 4, 5, NOTCAPABLE, NOENT, EXIST, NOENT, 0,
        LOOP, 0, NOTCAPABLE, NOTCAPABLE, 0, 6, 0, 7, 0, EXIST, INVAL, 0, 8,
    ];
    assert_eq!(told(&script), expected);
}

#[test]
fn times_are_the_sessions_and_can_be_set() {
    let script = format!(
        "open \"f\" {CREATE} {BOTH} 0\n fd_filestat_get 4 16\n get64 64\n fd_filestat_set_times 4 7 8 5\n fd_filestat_get 4 16\n get64 56\n get64 64
        fd_filestat_set_times 4 7 8 3\n fd_filestat_set_times 4 7 8 12\n fd_filestat_set_times 4 7 8 16\n path_filestat_set_times 3 0 \"f\" 0 0 8
        path_filestat_get 3 0 \"f\" 16\n get64 56\n get64 64\n write 4 1\n fd_filestat_get 4 16\n get64 64\n fd_filestat_set_times 1 0 0 0\n fd_filestat_set_times 3 0 0 0"
    );
    let told = told(&script);
    // A reading of the clock is a microsecond.
    assert_eq!(told[..7], [4, 0, 1000, 0, 0, 7, 8]);
    assert_eq!(told[7..13], [INVAL, INVAL, INVAL, 0, 0, 7]);
    assert!(told[13] > 1000 && told[16] > told[13], "{told:?}");
    assert_eq!(told[17..], [ROFS, ROFS]);
}

#[test]
fn each_thing_has_a_number_of_its_own() {
    let script = format!(
        "open \"f\" {CREATE} {BOTH} 0\n open \"g\" {CREATE} {BOTH} 0\n fd_filestat_get 4 16\n get64 24\n fd_filestat_get 5 16\n get64 24\n path_unlink_file 3 \"g\"
        fd_close 5\n open \"h\" {CREATE} {BOTH} 0\n fd_filestat_get 5 16\n get64 24\n fd_filestat_get 0 16\n get64 24"
    );
    let told = told(&script);
    let (f, g, h, stdin) = (told[3], told[5], told[10], told[12]);
    assert!(f != g && g != h && f != h && stdin == 0 && f > 4, "{told:?}");
}

#[test]
fn rights_that_a_directory_gave_up_are_given_up() {
    // All but PATH_FILESTAT_SET_SIZE (19), PATH_CREATE_DIRECTORY (9) and, to be inherited, FD_WRITE (6).
    let script = format!(
        "open \"f\" {CREATE} {WRITE} 0\n fd_fdstat_get 3 16\n get64 24\n get64 32\n open \".\" {DIRECTORY} 0 0\n fd_fdstat_set_rights 5 {} {}
        path_open 5 0 \"f\" {TRUNCATE} 0 0 0 8\n path_create_directory 5 \"d\"\n path_open 5 0 \"f\" 0 {BOTH} 0 0 8\n write 6 1\n read 6 1\n path_open 5 0 \".\" {DIRECTORY} 0 0 0 8
        path_create_directory 7 \"d\"\n path_create_directory 3 \"d\"",
        (1 << 10) | (1 << 13) | (1 << 14) | (1 << 18),
        1 << 1
    );
    let told = told(&script);
    assert_eq!(told[..2], [4, 0]);
    let directory = 0x7fe_fe00 & !(1 << 22);
    assert_eq!(told[2] & directory, directory, "{:x}", told[2]);
    assert_eq!(told[4..], [5, 0, PERM, PERM, 0, BADF, 0, 0, PERM, 0]);
}

#[test]
fn without_scratch_nothing_is_made() {
    let job = Job::over(Book::new("abc"), "3, 9, 99, 9, 99");
    let script = format!(
        "open \"f\" {CREATE} {WRITE} 0\n path_create_directory 3 \"d\"\n path_symlink \"x\" 3 \"l\"\n fd_filestat_set_times 4 0 0 0"
    );
    assert_eq!(job.told(&script), [ROFS, ROFS, ROFS, BADF]);
}

#[test]
fn further_directories_are_open_from_the_start() {
    let job = job().key("Preopen = /work/in, in").key("Preopen = /dev");
    let script = format!(
        "fd_prestat_get 4 16\n get64 16\n fd_prestat_dir_name 4 4096 1\n fd_prestat_dir_name 4 4096 2\n get8 4096\n fd_prestat_dir_name 5 4096 9\n get32 4096
        path_open 4 0 \"f\" {CREATE} {WRITE} 0 0 8\n path_filestat_get 3 0 \"work/in/f\" 16\n path_open 5 0 \"stdin\" 0 {READ} 0 0 8\n fd_prestat_get 6 16\n path_remove_directory 3 \"work/in\"
        path_unlink_file 4 \"f\"\n path_remove_directory 3 \"work/in\"\n path_open 4 0 \"f\" {CREATE} {WRITE} 0 0 8\n fd_close 4\n open \"g\" {CREATE} {WRITE} 0"
    );
    let expected = [
        0,
        2 << 32,
        NAMETOOLONG,
        0,
        'i' as i64,
        0,
        i64::from(u32::from_le_bytes(*b"/dev")),
        0,
        0,
        0,
        BADF,
        NOTEMPTY,
        0,
        0,
        NOENT,
        0,
        4,
    ];
    assert_eq!(job.told(&script), expected);
}

#[test]
fn many_files_are_listed_whole() {
    // 300 files, listed by a buffer of 1,000 bytes; each listing goes on from the last whole entry's cookie.
    let make: String = (0..300).map(|n| format!("open \"d/{n:03}\" {CREATE} 0 0\n fd_close 4\n")).collect();
    let script = "path_create_directory 3 \"d\"\n".to_owned()
        + &make
        + "open \"d\" 2 0 0\n fd_readdir 4 4096 1000 0 8\n get32 8\n fd_readdir 4 4096 60000 302 8\n get32 8\n fd_readdir 4 4096 60000 300 8\n get32 8\n get64 4096\n get32 4120";
    let job = job().channel("test:log, /dev/stderr, 0, 0, 0, 999, 999999").file("log", Book::pipe(""));
    let report = job.run(&crate::script::program(&script));
    assert_eq!(report.state, "ok");
    let log = job.shelf.data("log");
    let told: Vec<i64> =
        log.chunks_exact(8).map(|chunk| i64::from_le_bytes(chunk.try_into().unwrap())).collect();
    let name = i64::from(u32::from_le_bytes(*b"298\0")) & 0xff_ffff;
    assert_eq!(told[601..608], [4, 0, 1000, 0, 0, 0, 2 * 27]);
    assert_eq!((told[608], told[609] & 0xff_ffff), (301, name));
}
