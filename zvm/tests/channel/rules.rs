//! ZeroVM's own rules, to the letter: its calls take a handle, a buffer, a size and an offset. As guests see them:
//! `tests/guest/rules.rs`; those about several nodes and about manifests, 19 to 22, 24 and 25: `tests/e2e/rules.rs`.

use crate::shelf::{Book, Shelf};
use vfs_core::Code;
use zvm::Channels;

const X: i64 = 3;

fn letters(count: usize) -> Vec<u8> {
    (b'a'..=b'z').cycle().take(count).collect()
}

/// Opens `/x` over a file of these bytes.
fn over(data: &[u8], rest: &str) -> (Shelf, Channels) {
    let shelf = Shelf::new();
    shelf.put("f", Book::new(data));
    let channels = shelf.open(&format!("test:f, {rest}"));
    (shelf, channels)
}

/// Reads as a guest that owns memory enough: the bytes, or the code.
fn get(channels: &mut Channels, size: usize, offset: i64) -> Result<Vec<u8>, Code> {
    let mut buffer = vec![0; size];
    let count = channels.read_at(X, Some(&mut buffer), size as i64, offset).map_err(|error| error.code())?;
    buffer.truncate(count);
    Ok(buffer)
}

fn put(channels: &mut Channels, data: &[u8], offset: i64) -> Result<usize, Code> {
    channels.write_at(X, Some(data), data.len() as i64, offset).map_err(|error| error.code())
}

fn size(channels: &mut Channels) -> u64 {
    channels.by_handle(3).unwrap().size().unwrap()
}

#[test]
fn rule_01_a_sequential_channel_has_size_0_and_ignores_the_offset() {
    let (_shelf, mut channels) = over(b"abc", "0, 9, 99, 0, 0");
    assert_eq!(size(&mut channels), 0);
    assert_eq!(get(&mut channels, 1, 0).unwrap(), b"a");
    assert_eq!(get(&mut channels, 1, 77).unwrap(), b"b");
    assert_eq!(get(&mut channels, 1, 0).unwrap(), b"c");
}

#[test]
fn rule_02_a_negative_offset_fails_on_a_sequential_channel_too() {
    let (_shelf, mut channels) = over(b"abc", "0, 9, 99, 0, 0");
    assert_eq!(get(&mut channels, 1, -1), Err(Code::EINVAL));
    assert_eq!(get(&mut channels, 0, -1), Err(Code::EINVAL));
    assert_eq!(get(&mut channels, 1, 0).unwrap(), b"a");
}

#[test]
fn rule_03_a_bad_buffer_matters_only_for_bytes() {
    let (shelf, mut channels) = over(b"abc", "0, 9, 99, 0, 0");
    assert_eq!(channels.read_at(X, None, 0, 0), Ok(0));
    assert_eq!(channels.read_at(X, None, 1, 0).unwrap_err().code(), Code::EINVAL);
    assert_eq!(channels.read_at(X, Some(&mut [0; 4]), 5, 0).unwrap_err().code(), Code::EINVAL);
    assert_eq!(channels.read_at(X, Some(&mut []), -1, 0).unwrap_err().code(), Code::EFAULT);
    assert_eq!(channels.write_at(X, None, 0, 0), Ok(0));
    assert_eq!(channels.write_at(X, None, 1, 0).unwrap_err().code(), Code::EINVAL);
    assert_eq!(shelf.count("f", "read"), 0);
    assert_eq!(channels.iter().nth(3).unwrap().counts(), zvm::Counts::default());
}

#[test]
fn rule_04_a_byte_limit_cuts_the_read_and_then_fails_it() {
    let (_shelf, mut channels) = over(&letters(100), "0, 9, 32, 0, 0");
    assert_eq!(get(&mut channels, 1, 0).unwrap(), b"a");
    assert_eq!(get(&mut channels, 1, 0).unwrap(), b"b");
    assert_eq!(get(&mut channels, 32, 0).unwrap(), letters(100)[2..32]);
    assert_eq!(get(&mut channels, 1, 0), Err(Code::EDQUOT));
}

#[test]
fn rule_05_writing_what_is_only_read_fails_but_for_no_bytes() {
    let (_shelf, mut channels) = over(b"abc", "0, 9, 99, 0, 0");
    assert_eq!(put(&mut channels, b"", 0), Ok(0));
    assert_eq!(put(&mut channels, b"x", 0), Err(Code::EDQUOT));
}

#[test]
fn rule_06_the_same_through_a_pipe() {
    let shelf = Shelf::new();
    shelf.put("in", Book { chunk: 3, ..Book::pipe(letters(100)) });
    let mut channels =
        shelf.try_open("test:in, /dev/stdin, 0, 9, 32, 0, 0", "", &vfs_core::Control::new()).unwrap();
    let mut read = |size: usize| {
        let mut buffer = vec![0; size];
        channels.read_at(0, Some(&mut buffer), size as i64, 0).map_err(|error| error.code())
    };
    assert_eq!((read(1), read(1)), (Ok(1), Ok(1)));
    assert_eq!(read(31), Ok(30));
    assert_eq!(read(1), Err(Code::EDQUOT));
}

#[test]
fn rule_07_handles_that_are_none_fail() {
    let (_shelf, mut channels) = over(b"abc", "0, 9, 99, 0, 0");
    for handle in [-1, 0xffff, channels.len() as i64, i64::MIN, i64::MAX] {
        for size in [0, 1, -1] {
            let error = channels.read_at(handle, Some(&mut [0]), size, 0).unwrap_err();
            assert_eq!(error.code(), Code::EINVAL);
            assert_eq!(channels.write_at(handle, Some(b"x"), size, 0).unwrap_err().code(), Code::EINVAL);
        }
    }
}

#[test]
fn rule_08_a_random_channel_has_its_size_and_ends_there() {
    let (_shelf, mut channels) = over(b"abc", "3, 9, 99, 0, 0");
    assert_eq!(size(&mut channels), 3);
    assert_eq!(get(&mut channels, 1, 2).unwrap(), b"c");
    assert_eq!(get(&mut channels, 1, 3).unwrap(), b"");
    assert_eq!(get(&mut channels, 9, 0).unwrap(), b"abc");
}

#[test]
fn rule_09_an_offset_beyond_32_bits_is_past_the_end() {
    let (_shelf, mut channels) = over(b"abc", "1, 9, 99, 0, 0");
    assert_eq!(get(&mut channels, 1, 4_294_967_300).unwrap(), b"");
    assert_eq!(get(&mut channels, 1, i64::MAX).unwrap(), b"");
}

#[test]
fn rule_10_a_byte_limit_holds_for_random_reads() {
    let (_shelf, mut channels) = over(&letters(100), "3, 9, 32, 0, 0");
    assert_eq!(get(&mut channels, 2, 50).unwrap().len(), 2);
    assert_eq!(get(&mut channels, 31, 0).unwrap(), letters(30));
    assert_eq!(get(&mut channels, 1, 0), Err(Code::EDQUOT));
}

#[test]
fn rule_11_sequential_writes_ignore_the_offset() {
    let (shelf, mut channels) = over(b"old", "0, 0, 0, 9, 32");
    assert_eq!(put(&mut channels, b"x", 32), Ok(1));
    assert_eq!(put(&mut channels, b"y", 0), Ok(1));
    assert_eq!(shelf.data("f"), b"xy");
}

#[test]
fn rule_12_a_byte_limit_cuts_the_write_and_then_fails_it() {
    let (shelf, mut channels) = over(b"", "0, 0, 0, 9, 32");
    assert_eq!(put(&mut channels, b"abc", 0), Ok(3));
    assert_eq!(put(&mut channels, &letters(30), 0), Ok(29));
    assert_eq!(put(&mut channels, b"x", 0), Err(Code::EDQUOT));
    assert_eq!(shelf.data("f").len(), 32);
}

#[test]
fn rule_13_random_writes_stay_below_put_size() {
    let (shelf, mut channels) = over(b"", "2, 0, 0, 9, 32");
    assert_eq!(put(&mut channels, b"x", 31), Ok(1));
    assert_eq!(put(&mut channels, b"x", 32), Err(Code::EINVAL));
    assert_eq!(put(&mut channels, b"x", -1), Err(Code::EINVAL));
    assert_eq!(put(&mut channels, b"long", 30), Ok(2));
    assert_eq!(shelf.data("f").len(), 32);
}

#[test]
fn rule_14_random_writes_end_at_the_byte_limit() {
    let (_shelf, mut channels) = over(b"", "3, 0, 0, 9, 32");
    assert_eq!(put(&mut channels, b"ab", 0), Ok(2));
    assert_eq!(put(&mut channels, &letters(31), 2), Ok(30));
    assert_eq!(put(&mut channels, b"x", 32), Err(Code::EINVAL));
    assert_eq!(put(&mut channels, b"x", 0), Err(Code::EDQUOT));
    assert_eq!(get(&mut channels, 1, 0), Err(Code::EDQUOT));
}

#[test]
fn rule_15_a_cdr_channel_grows_at_its_end_up_to_the_limit() {
    let (shelf, mut channels) = over(b"", "1, 99, 999, 9, 36");
    let mut end = 0;
    for (count, letter) in [1, 5, 3, 9, 3, 15].into_iter().zip('a'..) {
        let data = vec![letter as u8; count];
        assert_eq!(put(&mut channels, &data, 7), Ok(count));
        assert_eq!(get(&mut channels, count, end).unwrap(), data);
        end += count as i64;
        assert_eq!(get(&mut channels, 1, end).unwrap(), b"");
        assert_eq!(size(&mut channels), end as u64);
    }
    assert_eq!(put(&mut channels, b"x", 0), Err(Code::EDQUOT));
    assert_eq!(shelf.data("f").len(), 36);
}

#[test]
fn rule_16_a_cdr_channel_starts_behind_what_is_there() {
    let (shelf, mut channels) = over(b"stub", "1, 9, 99, 9, 35");
    assert_eq!(put(&mut channels, b"new", 0), Ok(3));
    assert_eq!(get(&mut channels, 9, 0).unwrap(), b"stubnew");
    assert_eq!(shelf.data("f"), b"stubnew");
}

#[test]
fn rule_17_a_cdr_channel_ignores_the_put_offset() {
    let (_shelf, mut channels) = over(b"", "1, 9, 99, 9, 36");
    assert_eq!(put(&mut channels, b"x", 37), Ok(1));
    assert_eq!(get(&mut channels, 1, 37).unwrap(), b"");
    assert_eq!(get(&mut channels, 1, 0).unwrap(), b"x");
}

#[test]
fn rule_18_a_random_channel_both_ways_keeps_its_put_limit() {
    let (_shelf, mut channels) = over(b"abc", "3, 9, 99, 9, 36");
    assert_eq!(put(&mut channels, b"x", 37), Err(Code::EINVAL));
    assert_eq!(put(&mut channels, b"", 37), Ok(0));
    assert_eq!(get(&mut channels, 1, 37).unwrap(), b"");
    assert_eq!(put(&mut channels, b"x", 1), Ok(1));
    assert_eq!(get(&mut channels, 3, 0).unwrap(), b"axc");
}

#[test]
fn rule_23_the_counters_of_a_copy_are_exact() {
    let shelf = Shelf::new();
    shelf.put("in", Book { chunk: 7, ..Book::pipe(letters(1000)) });
    let mut channels = shelf.open("test:new, 0, 0, 0, 1, 1");
    let mut buffer = [0; 64];
    for handle in [0, 1] {
        assert_eq!(channels.by_handle(handle).unwrap().counts(), zvm::Counts::default());
    }
    let input = [64, 35];
    for count in input {
        assert_eq!(channels.read_at(0, Some(&mut buffer), 64, 0), Ok(count));
        assert_eq!(channels.write_at(1, Some(&buffer[..count]), count as i64, 0), Ok(count));
    }
    let meters = channels.meters();
    let (input, output) = (meters[0].counts(), meters[1].counts());
    assert_eq!((input.gets, input.get_bytes, input.puts, input.put_bytes), (2, 99, 0, 0));
    assert_eq!((output.gets, output.get_bytes, output.puts, output.put_bytes), (0, 0, 2, 99));
}
