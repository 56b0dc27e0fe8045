//! ZeroVM's rules as a WASI guest sees them; the same on channels alone: `tests/channel/rules.rs`.

use crate::job::{ACCES, BADF, DQUOT, FAULT, INVAL, Job, SPIPE, letters};
use crate::shelf::Book;

/// Opens `/x` for reading (2), writing (64) or both (66); descriptor 4.
fn x(rights: u64) -> String {
    format!("open \"x\" 0 {rights} 0\n")
}

#[test]
fn rule_01_a_sequential_channel_has_size_0_and_no_positions() {
    let job = Job::over(Book::new("abc"), "0, 9, 99, 0, 0");
    let told = job.told(
        &(x(2)
            + "size 4\n read 4 1\n get32 4096\n read 4 1\n get32 4096\n pread 4 1 0\n seek 4 0 0\n tell 4"),
    );
    assert_eq!(told, [4, 0, 1, 97, 1, 98, SPIPE, SPIPE, SPIPE]);
}

#[test]
fn rule_02_a_negative_offset_is_invalid_on_a_sequential_channel_too() {
    let job = Job::over(Book::new("abc"), "0, 9, 99, 0, 0");
    assert_eq!(job.told(&(x(2) + "pread 4 1 -1\n pread 4 0 -1\n read 4 1")), [4, INVAL, INVAL, 1]);
}

#[test]
fn rule_03_a_bad_buffer_matters_only_for_bytes_and_costs_nothing() {
    let job = Job::over(Book::new("abc"), "0, 1, 99, 0, 0");
    let script = "put32 0 0xffffffff\n put32 4 0\n fd_read 4 0 1 8\n get32 8
        put32 0 131072\n put32 4 1\n fd_read 4 0 1 8
        put32 0 131071\n fd_read 4 0 1 131069
        read 4 3";
    assert_eq!(job.told(&(x(2) + script)), [4, 0, 0, FAULT, FAULT, 3]);
}

#[test]
fn rule_04_a_byte_quota_cuts_a_read_short_and_then_refuses() {
    let job = Job::over(Book::new(letters(40)), "0, 9, 32, 0, 0");
    assert_eq!(job.told(&(x(2) + "read 4 2\n read 4 32\n read 4 1\n read 4 0")), [4, 2, 30, DQUOT, 0]);
}

#[test]
fn rule_06_the_same_through_a_pipe_and_its_end_is_no_quota() {
    let job = Job::new().file("in", Book { chunk: 7, ..Book::pipe(letters(40)) });
    let job = job.channel("test:in, /dev/stdin, 0, 9, 32, 0, 0");
    assert_eq!(job.told("read 0 2\n read 0 31\n read 0 1"), [2, 30, DQUOT]);
    let job = Job::over(Book::pipe(letters(40)), "0, 9, 30, 0, 0");
    assert_eq!(job.told(&(x(2) + "read 4 31\n read 4 1")), [4, 30, DQUOT]);
    let job = Job::over(Book::pipe(letters(32)), "0, 9, 32, 0, 0");
    assert_eq!(job.told(&(x(2) + "read 4 32\n read 4 1")), [4, 32, 0]);
}

#[test]
fn rule_05_stdin_cannot_be_written() {
    let told =
        Job::new().told("write 0 0\n write 0 1\n open \"dev/stdin\" 0 64 0\n open \"dev/stdin\" 0 66 0");
    assert_eq!(told, [0, DQUOT, ACCES, ACCES]);
}

#[test]
fn rule_07_a_descriptor_that_is_not_open_is_bad() {
    let told = Job::new().told("read 0xffffffff 1\n read 0xffff 1\n read 4 1\n write 4 0\n fd_close 4");
    assert_eq!(told, [BADF; 5]);
}

#[test]
fn rule_08_a_random_channel_has_its_real_size() {
    let job = Job::over(Book::new("abc"), "1, 9, 99, 0, 0");
    let told = job.told(&(x(2) + "size 4\n pread 4 1 2\n get32 4096\n pread 4 1 3"));
    assert_eq!(told, [4, 3, 1, 99, 0]);
}

#[test]
fn rule_09_far_beyond_the_end_there_is_nothing() {
    let job = Job::over(Book::new("abc"), "1, 9, 99, 0, 0");
    let told = job.told(&(x(2) + "pread 4 1 4294967300\n seek 4 4294967300 0\n read 4 1"));
    assert_eq!(told, [4, 0, 4294967300, 0]);
}

#[test]
fn rule_10_a_byte_quota_holds_for_random_reads() {
    let job = Job::over(Book::new(letters(100)), "1, 9, 32, 0, 0");
    assert_eq!(job.told(&(x(2) + "read 4 2\n read 4 31\n read 4 1")), [4, 2, 30, DQUOT]);
}

#[test]
fn rule_11_a_sequential_write_has_no_position() {
    let job = Job::over(Book::new(""), "0, 0, 0, 9, 36");
    assert_eq!(job.told(&(x(64) + "write 4 1\n pwrite 4 1 36\n pwrite 4 1 0")), [4, 1, SPIPE, SPIPE]);
    assert_eq!(job.shelf.data("f").len(), 1);
}

#[test]
fn rule_12_a_byte_quota_cuts_a_write_short_and_then_refuses() {
    // What a quota cut is committed in ZeroVM's way only.
    let job = Job::over(Book::new(""), "0, 0, 0, 9, 29").key("Partial = keep");
    assert_eq!(job.told(&(x(64) + "write 4 30\n write 4 1")), [4, 29, DQUOT]);
    assert_eq!(job.shelf.data("f").len(), 29);
}

#[test]
fn rule_13_random_writes_end_at_put_size() {
    let job = Job::over(Book::new(""), "2, 0, 0, 9, 32");
    assert_eq!(job.told(&(x(64) + "pwrite 4 1 31\n pwrite 4 1 32\n pwrite 4 1 -1")), [4, 1, INVAL, INVAL]);
}

#[test]
fn rule_14_a_random_writer_that_ran_out_is_told_why() {
    let job = Job::over(Book::new(""), "2, 0, 0, 9, 32");
    assert_eq!(job.told(&(x(64) + "write 4 2\n write 4 31\n write 4 1\n read 4 1")), [4, 2, 30, INVAL, BADF]);
    let job = Job::over(Book::new(""), "2, 0, 0, 9, 32");
    let script = "pwrite 4 30 0\n pwrite 4 9 0\n pwrite 4 1 5";
    assert_eq!(job.told(&(x(64) + script)), [4, 30, 2, DQUOT]);
    let job = Job::over(Book::new(""), "2, 0, 0, 1, 32");
    assert_eq!(job.told(&(x(64) + "write 4 1\n write 4 1")), [4, 1, DQUOT]);
    // The standard ones have both directions: only the channel's own counts.
    let job = Job::new().channel("test:f, /dev/stdout, 2, 0, 0, 9, 32");
    assert_eq!(job.told("write 1 1\n read 1 1\n read 1 0"), [1, DQUOT, 0]);
}

#[test]
fn rule_15_an_append_channel_grows_at_its_end_up_to_the_limit() {
    let job = Job::over(Book::new(""), "1, 99, 999, 9, 36");
    let writes: String = [1, 5, 3, 9, 3, 15].iter().map(|count| format!("write 4 {count}\n")).collect();
    let reads = "pread 4 1 0\n pread 4 5 1\n pread 4 3 6\n pread 4 9 9\n pread 4 3 18\n pread 4 15 21\n pread 4 1 36\n write 4 1\n size 4";
    assert_eq!(job.told(&(x(66) + &writes + reads)), [4, 1, 5, 3, 9, 3, 15, 1, 5, 3, 9, 3, 15, 0, DQUOT, 36]);
    // A positional write appends too.
    let job = Job::over(Book::new(""), "1, 99, 999, 6, 36");
    assert_eq!(job.told(&(x(66) + "write 4 1\n pwrite 4 3 0\n pread 4 9 0")), [4, 1, 3, 4]);
}

#[test]
fn rule_16_an_append_channel_starts_behind_what_is_there() {
    let job = Job::over(Book::new("old"), "1, 99, 999, 9, 35");
    let told = job.told(&(x(66) + "put8 4096 88\n write 4 1\n tell 4\n pread 4 9 0"));
    assert_eq!((told, job.shelf.data("f")), (vec![4, 1, 4, 4], b"oldX".to_vec()));
}

#[test]
fn rule_17_an_append_channel_ignores_the_offset_of_a_write() {
    let job = Job::over(Book::new(""), "1, 99, 999, 6, 36");
    let script = "pwrite 4 1 37\n pread 4 1 37\n pread 4 9 0\n size 4";
    assert_eq!(job.told(&(x(66) + script)), [4, 1, 0, 1, 1]);
}

#[test]
fn an_append_channels_flag_cannot_be_cleared() {
    let job = Job::over(Book::new("old"), "1, 99, 999, 9, 35");
    let told = job.told(
        &(x(66) + "fd_fdstat_get 4 16\n get32 16\n fd_fdstat_set_flags 4 0\n fd_fdstat_get 4 16\n get32 16"),
    );
    // A regular file (4), with APPEND (1) in the upper half.
    assert_eq!(told, [4, 0, 0x1_0004, 0, 0, 0x1_0004]);
}

#[test]
fn rule_18_beyond_put_size_only_nothing_can_be_written() {
    let job = Job::over(Book::new("abc"), "3, 9, 99, 9, 32");
    assert_eq!(job.told(&(x(66) + "pwrite 4 1 33\n pwrite 4 0 33\n pread 4 1 33")), [4, INVAL, 0, 0]);
}

#[test]
fn rule_23_one_call_is_one_get_or_put_however_many_buffers() {
    let job = Job::new().file("in", Book { chunk: 3, ..Book::pipe(letters(20)) });
    let buffers = "put32 64 4096\n put32 68 4\n put32 72 4100\n put32 76 6\n";
    let told = job.told(
        &(buffers.to_owned()
            + "fd_read 0 64 2 8\n get32 8\n fd_write 1 64 2 8\n get32 8\n read 0 99\n read 0 1"),
    );
    assert_eq!(told, [0, 10, 0, 10, 10, 0]);
    assert_eq!(job.shelf.data("out"), letters(10));
    let report = job.run(&crate::script::program(
        &(buffers.to_owned() + "fd_read 0 64 2 8\n fd_write 1 64 2 8\n read 0 99"),
    ));
    let counts =
        |alias: &str| report.channels.iter().find(|channel| &*channel.alias == alias).unwrap().counts;
    let (read, written) = (counts("/dev/stdin"), counts("/dev/stdout"));
    assert_eq!((read.gets, read.get_bytes, written.puts, written.put_bytes), (2, 20, 1, 10));
}
