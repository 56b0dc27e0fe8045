//! One writer of a regular file at a time, between processes too.

use crate::common::*;
use std::io::{BufRead, BufReader, Write};
use std::process::Stdio;
use vfs_core::{Code, Direction, Finish, OpenFlags};

#[test]
fn a_second_writer_is_refused_and_changes_nothing() {
    let house = House::new();
    let mut first = house.open("f", NEW).unwrap();
    write_all(&mut *first, b"first");
    for flags in [WRITE, READ | WRITE, NEW, WRITE | OpenFlags::APPEND, NEW | OpenFlags::PREALLOCATE] {
        refused(house.open("f", flags), Code::EBUSY, "somebody else is writing it");
    }
    assert!(house.open("f", WRITE).err().unwrap().is_retryable());
    assert_eq!(house.content("f"), "first");
    // Readers come and go.
    assert_eq!(read_all(&mut *house.open("f", READ).unwrap()), b"first");
    write_all(&mut *first, b", still");
    drop(first);
    assert_eq!(house.content("f"), "first, still");
    house.open("f", WRITE).unwrap();
}

#[test]
fn the_lock_ends_with_the_writing_not_with_the_close() {
    let house = House::new();
    for how in [Finish::End, Finish::Commit, Finish::Discard] {
        let mut first = house.open("f", NEW).unwrap();
        first.finish(how).unwrap();
        house.open("f", WRITE).unwrap();
    }
}

/// A process forked while a file is open has a copy of its descriptor until it runs exec; the lock must not live in that.
#[test]
fn a_copy_of_the_descriptor_does_not_keep_the_lock() {
    let house = House::new();
    let mut first = house.open("f", NEW).unwrap();
    let _copy = first.lease(Direction::Write).unwrap().fd.try_clone_to_owned().unwrap();
    drop(first);
    house.open("f", WRITE).unwrap();
}

#[test]
fn a_writer_in_another_process_is_refused() {
    if let Some(path) = child_argument() {
        let instance = start(&[]).unwrap();
        let mut file = open_in(&*instance, &path, WRITE).unwrap();
        println!("\nlocked");
        std::io::stdin().read_line(&mut String::new()).unwrap();
        write_all(&mut *file, b"child");
        return;
    }
    let house = House::new().with("f", "-----");
    let mut child = child("locks::a_writer_in_another_process_is_refused", &house.bare("f"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut lines = lines.map(|line| line.unwrap());
    assert!(lines.any(|line| line == "locked"));
    refused(house.open("f", NEW), Code::EBUSY, "somebody else is writing it");
    assert_eq!(house.content("f"), "-----");
    child.stdin.take().unwrap().write_all(b"\n").unwrap();
    assert!(finished(child).success());
    assert_eq!(house.content("f"), "child");
    house.open("f", NEW).unwrap();
}
