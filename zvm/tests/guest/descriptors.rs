//! Calls on descriptors, as the tables of the guest's interface say.

use crate::job::*;
use crate::script::{READ, WRITE};
use crate::shelf::{Book, PIPE as PIPE_CAPABILITIES, RANDOM};
use vfs_core::{Capabilities, Kind};

/// Filetypes in the first byte of `fdstat`, flags in the upper half.
const UNKNOWN: i64 = 0;
const DIRECTORY: i64 = 3;
const REGULAR: i64 = 4;

fn open(rights: u64) -> String {
    format!("open \"x\" 0 {rights} 0\n")
}

#[test]
fn standard_streams_do_not_pass_for_a_terminal() {
    // wasi-libc's isatty: a character device (2) without SEEK and TELL.
    let job = Job::new().file("in", Book { kind: Kind::Terminal, ..Book::pipe("") });
    let told = job.told(
        "fd_fdstat_get 0 16\n get32 16\n get64 24\n fd_fdstat_get 1 16\n get32 16\n fd_fdstat_get 3 16\n get32 16",
    );
    assert_eq!((told[1], told[4], told[6]), (UNKNOWN, UNKNOWN, DIRECTORY));
    assert_eq!(told[2] & (1 << 2 | 1 << 5), 0, "SEEK and TELL");
}

#[test]
fn seek_and_tell_need_a_random_channel() {
    let job = Job::over(Book::new("abcdef"), "1, 9, 99, 0, 0");
    let script = "tell 4\n seek 4 2 0\n seek 4 1 1\n read 4 1\n get32 4096\n tell 4\n seek 4 -1 2\n seek 4 -7 2\n seek 4 0 3
        seek 4 0x7fffffffffffffff 0\n seek 4 1 1\n tell 4\n seek 3 0 0\n tell 3\n seek 0 0 0\n tell 1
        fd_seek 4 0 0 131070";
    let told = job.told(&(open(READ) + script));
    let far = i64::MAX;
    let expected = [4, 0, 2, 3, 1, 100, 4, 5, INVAL, INVAL, far, INVAL, far, BADF, BADF, SPIPE, SPIPE, FAULT];
    assert_eq!(told, expected);
}

#[test]
fn each_descriptor_of_a_random_channel_has_its_own_position() {
    let job = Job::over(Book::new("abcdef"), "1, 9, 99, 0, 0");
    let told = job.told(&(open(READ) + &open(READ) + "read 4 2\n read 5 1\n tell 4\n tell 5"));
    assert_eq!(told, [4, 5, 2, 1, 2, 1]);
    let job = Job::over(Book::new("abcdef"), "0, 9, 99, 0, 0");
    let told = job.told(&(open(READ) + &open(READ) + "read 4 2\n read 5 1\n get32 4096"));
    assert_eq!(told[..4], [4, 5, 2, 1]);
    assert_eq!(told[4] & 0xff, 'c' as i64, "one position for all");
}

#[test]
fn the_access_mode_is_the_descriptors() {
    let job = Job::over(Book::new("abc"), "3, 9, 99, 9, 99");
    let script = open(READ)
        + &open(WRITE)
        + &open(0)
        + "write 4 1\n write 4 0\n read 5 1\n pread 6 1 0\n pwrite 6 1 0
        fd_filestat_set_size 4 0\n fd_allocate 4 0 9\n read 4 3";
    assert_eq!(job.told(&script), [4, 5, 6, BADF, BADF, BADF, BADF, BADF, BADF, BADF, 3]);
}

#[test]
fn a_directory_is_not_read_or_written() {
    let told = Job::new().told(
        "read 3 1\n write 3 1\n pread 3 0 0\n pwrite 3 1 0\n fd_advise 3 0 0 0\n fd_allocate 3 0 1
        fd_filestat_set_size 3 0\n fd_sync 3\n fd_datasync 3",
    );
    assert_eq!(told, [ISDIR, ISDIR, ISDIR, ISDIR, BADF, BADF, BADF, 0, 0]);
}

#[test]
fn checks_come_in_their_order() {
    let job = Job::over(Book::new("abc"), "0, 9, 99, 0, 0");
    let script = "fd_read 9 0 0xffffffff 8\n fd_read 3 0 0xffffffff 8\n fd_write 4 0 1025 8\n fd_read 4 131072 1025 8
        fd_read 4 131072 1 8\n fd_read 4 0 0 131069\n fd_pread 4 131072 1 -1 8\n fd_pread 4 0 0 -1 8\n fd_pread 4 0 0 0 8";
    let told = job.told(&(open(READ) + script));
    assert_eq!(told, [4, BADF, ISDIR, BADF, INVAL, FAULT, FAULT, FAULT, INVAL, SPIPE]);
}

#[test]
fn several_buffers_go_through_64_kib_at_once() {
    // Four buffers of 20,000 bytes in one and the same place.
    let buffers: String = (0..4)
        .map(|index| format!("put32 {} 4096\nput32 {} 20000\n", 64 + 8 * index, 68 + 8 * index))
        .collect();
    let job = Job::new()
        .file("in", Book { chunk: 1000, ..Book::pipe(letters(100_000)) })
        .channel("test:in, /dev/stdin, 0, 9, 999999, 0, 0")
        .channel("test:out, /dev/stdout, 0, 0, 0, 9, 999999");
    let script = "fd_read 0 64 4 8\n get32 8\n fd_write 1 64 4 8\n get32 8\n fd_read 0 64 4 8\n get32 8";
    assert_eq!(job.told(&(buffers + script)), [0, 65536, 0, 65536, 0, 100_000 - 65536]);
    // Filled in order: what the fourth got lies over the first 5,536 bytes of what the third did.
    let place = [&letters(65536)[60_000..], &letters(60_000)[45_536..]].concat();
    let written = job.shelf.data("out");
    assert_eq!((written.len(), &written[..20_000]), (65536, &place[..]));
    assert_eq!((job.shelf.count("out", "write"), &written[60_000..]), (1, &place[..5536]));
}

#[test]
fn a_full_table_takes_no_more() {
    let script: String = (0..1021).map(|_| open(READ)).collect();
    let told = Job::over(Book::new("abc"), "0, 9, 99, 0, 0").told(&(script + "fd_close 900\n" + &open(READ)));
    assert_eq!(told[..1020], (4..1024).collect::<Vec<_>>());
    assert_eq!(told[1020..], [MFILE, 0, 900]);
}

#[test]
fn renumbering_needs_two_open_descriptors() {
    let job = Job::over(Book::new("abc"), "0, 9, 99, 0, 0");
    let told = job.told(&(open(READ) + "fd_renumber 4 9\n fd_renumber 9 4\n fd_renumber 4 0\n read 0 3\n read 4 1\n fd_renumber 0 0\n read 0 1"));
    assert_eq!(told, [4, BADF, BADF, 0, 3, BADF, 0, 0]);
}

#[test]
fn the_root_is_the_only_preopen() {
    let told = Job::new().told("fd_prestat_get 3 16\n get64 16\n fd_prestat_dir_name 3 32 0\n fd_prestat_dir_name 3 32 1
        get32 32\n fd_prestat_get 4 16\n fd_prestat_get 0 16\n fd_prestat_dir_name 4 32 1\n fd_prestat_get 3 131065");
    assert_eq!(told, [0, 1 << 32, NAMETOOLONG, 0, '/' as i64, BADF, BADF, BADF, FAULT]);
}

#[test]
fn flags_are_accepted_but_those_that_promise_durability() {
    let job = Job::over(Book::new("abc"), "2, 0, 0, 9, 99");
    let script = "fd_fdstat_set_flags 4 5\n fd_fdstat_get 4 16\n get32 16\n fd_fdstat_set_flags 4 2\n fd_fdstat_set_flags 4 8
        fd_fdstat_set_flags 4 16\n fd_fdstat_set_flags 4 32\n fd_fdstat_set_flags 4 0x10001\n fd_fdstat_set_flags 9 0
        fd_fdstat_get 4 16\n get32 16\n fd_fdstat_set_flags 4 0\n fd_fdstat_get 4 16\n get32 16";
    let told = job.told(&(open(WRITE) + script));
    let set = 0x5_0000 | REGULAR;
    assert_eq!(told, [4, 0, 0, set, NOTSUP, NOTSUP, NOTSUP, INVAL, INVAL, BADF, 0, set, 0, 0, REGULAR]);
}

#[test]
fn append_on_a_random_writer_goes_to_the_end() {
    let job = Job::over(Book::new("abc"), "3, 9, 99, 9, 99");
    let script = "put8 4096 88\n fd_fdstat_set_flags 4 1\n write 4 1\n tell 4\n fd_fdstat_set_flags 4 0\n seek 4 0 0\n write 4 1";
    assert_eq!(job.told(&(open(READ | WRITE) + script)), [4, 0, 1, 4, 0, 0, 1]);
    assert_eq!(job.shelf.data("f"), b"XbcX");
}

#[test]
fn rights_only_shrink() {
    let job = Job::over(Book::new("abc"), "3, 9, 99, 9, 99");
    let script = format!("fd_fdstat_set_rights 4 -1 0\n fd_fdstat_set_rights 4 {READ} 1\n fd_fdstat_set_rights 4 {READ} 0
        write 4 1\n read 4 1\n fd_fdstat_get 4 16\n get64 24\n fd_fdstat_set_rights 4 {WRITE} 0\n fd_fdstat_set_rights 9 0 0");
    let told = job.told(&(open(READ | WRITE) + &script));
    assert_eq!(told, [4, NOTCAPABLE, NOTCAPABLE, 0, BADF, 1, 0, READ as i64, NOTCAPABLE, BADF]);
}

#[test]
fn status_tells_number_kind_and_size_and_no_time() {
    let job = Job::over(Book::new("abc"), "1, 9, 99, 0, 0");
    let fields = "get64 16\n get64 24\n get32 32\n get64 40\n get64 48\n get64 56\n get64 64\n get64 72\n";
    let script = format!(
        "{}fd_filestat_get 4 16\n {fields} fd_filestat_get 1 16\n {fields} fd_filestat_get 3 131009",
        open(READ)
    );
    let told = job.told(&script);
    assert_eq!(told[..10], [4, 0, 0, 3, REGULAR, 1, 3, 0, 0, 0]);
    assert_eq!(told[10..], [0, 0, 1, UNKNOWN, 1, 0, 0, 0, 0, FAULT]);
}

#[test]
fn sizes_are_set_within_put_size_where_the_provider_can() {
    let job = Job::over(Book::new("abc"), "3, 9, 99, 9, 99");
    let script = "fd_filestat_set_size 4 5\n size 4\n fd_filestat_set_size 4 100\n fd_filestat_set_size 4 -1\n fd_allocate 4 0 9
        size 4\n fd_allocate 4 0 2\n size 4\n fd_allocate 4 0 100\n fd_allocate 4 0 0\n fd_allocate 4 0x7fffffffffffffff 1
        fd_filestat_set_size 9 0";
    let told = job.told(&(open(READ | WRITE) + script));
    assert_eq!(told, [4, 0, 5, DQUOT, INVAL, 0, 9, 0, 9, DQUOT, INVAL, -22, BADF]);
    let fixed = Capabilities::from_bits(RANDOM.bits() & !Capabilities::TRUNCATABLE.bits());
    let job = Job::over(Book { capabilities: fixed, ..Book::new("abc") }, "3, 9, 99, 9, 99");
    assert_eq!(
        job.told(&(open(READ | WRITE) + "fd_filestat_set_size 4 5\n fd_allocate 4 0 9")),
        [4, NOTSUP, NOTSUP]
    );
    assert_eq!(Job::new().told("fd_filestat_set_size 1 5\n fd_allocate 1 0 9"), [NOTSUP, NOTSUP]);
}

#[test]
fn advice_is_taken_for_files() {
    let job = Job::over(Book::new("abc"), "1, 9, 99, 0, 0");
    let told = job.told(&(open(READ) + "fd_advise 4 0 9 5\n fd_advise 4 0 9 6\n fd_advise 4 -1 0 0\n fd_advise 0 0 0 0\n fd_advise 9 0 0 0"));
    assert_eq!(told, [4, 0, INVAL, INVAL, SPIPE, BADF]);
}

#[test]
fn sync_reaches_the_provider() {
    let job = Job::over(Book::new("abc"), "3, 9, 99, 9, 99");
    assert_eq!(
        job.told(&(open(READ | WRITE) + "fd_sync 4\n fd_datasync 4\n fd_sync 0\n fd_sync 9")),
        [4, 0, 0, 0, BADF]
    );
    assert_eq!(job.shelf.count("f", "Sync"), 2);
}

#[test]
fn times_and_sockets_are_not_there() {
    let told = Job::new().told("fd_filestat_set_times 0 0 0 0\n fd_filestat_set_times 9 0 0 0\n sock_accept 0 0 8\n sock_recv 1 0 0 0 8 8
        sock_send 2 0 0 0 8\n sock_shutdown 3 0\n sock_accept 9 0 8\n sock_recv 9 0 0 0 8 8\n sock_send 9 0 0 0 8\n sock_shutdown 9 0
        proc_raise 9\n sched_yield");
    let (open, closed) = ([NOTSOCK; 4], [BADF; 4]);
    assert_eq!(told, [&[ROFS, BADF], &open[..], &closed, &[NOTSUP, 0]].concat());
}

#[test]
fn the_last_writer_of_a_pipe_ends_it() {
    let job = Job::over(Book::pipe(""), "0, 0, 0, 9, 99");
    let script = open(WRITE)
        + &open(WRITE)
        + "write 4 1\n fd_close 4\n write 5 1\n fd_close 5\n"
        + &open(WRITE)
        + &open(0);
    assert_eq!(job.told(&script), [4, 5, 1, 0, 1, 0, PIPE, 4]);
    assert_eq!(job.shelf.log("f"), ["open", "write", "write", "End", "Commit", "close"]);
    // A file with positions may be written on later.
    let job = Job::over(Book::new(""), "0, 0, 0, 9, 99");
    assert_eq!(job.told(&(open(WRITE) + "fd_close 4\n" + &open(WRITE) + "write 4 1")), [4, 0, 4, 1]);
    assert_eq!(PIPE_CAPABILITIES.bits() & Capabilities::SEEKABLE.bits(), 0);
}

#[test]
fn a_closed_reader_is_the_guests_to_see() {
    let mut book = Book::pipe("");
    book.write_error = Some((3, vfs_core::Code::EPIPE));
    let job = Job::new().file("p", book).channel("test:p, /dev/stdout, 0, 0, 0, 9, 99");
    assert_eq!(job.told("write 1 9\n write 1 1\n fd_sync 1"), [3, PIPE, PIPE]);
}
