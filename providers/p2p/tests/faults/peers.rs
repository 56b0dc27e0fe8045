//! Who is let in, and peers that come late and go.

use crate::common::{
    Circle, SLACK, drain, eventually, goes_through, in_thread, met, reader, refused, registry, writer,
};
use std::time::{Duration, Instant};
use vfs_core::{Code, Finish, OpenFile};

/// Checks that a write times out, and that it says why sooner or later.
#[track_caller]
fn waits_in_vain(write: &mut OpenFile, words: &str) {
    eventually(words, || {
        write.control().set_deadline(Some(Instant::now() + Duration::from_millis(500)));
        let error = write.write(b"x").unwrap_err();
        assert_eq!(error.code(), Code::ETIMEDOUT, "{}", error.chain());
        error.chain().contains(words)
    });
}

#[test]
fn a_strangers_writer_is_refused_and_the_pipe_goes_on() {
    let circle = Circle::new(3);
    let reading = registry(&circle.settings_knowing(0, &[1]));
    let (friend, stranger) = (registry(&circle.settings(1)), registry(&circle.settings_knowing(2, &[0])));
    let mut read = reader(&reading, "a");
    refused(writer(&stranger, "p0:a").write(b"x"), Code::EACCES, "is not in its setting `peers`");
    goes_through(&mut read, writer(&friend, "p0:a"));
}

#[test]
fn a_stranger_that_this_side_dials_gives_it_nothing() {
    let circle = Circle::new(3);
    // Its address is another peer's: whoever answers there has the wrong key.
    let lie =
        circle.settings_knowing(1, &[0]).replace(&circle.key(0).to_string(), &circle.key(2).to_string());
    let (reading, writing) = (registry(&circle.settings(0)), registry(&lie));
    let _read = reader(&reading, "a");
    waits_in_vain(&mut writer(&writing, "p0:a"), "the peer p0: ");
}

#[test]
fn a_peer_that_comes_late_is_found_and_waiting_says_where_it_is_not() {
    let circle = Circle::new(2);
    let writing = registry(&circle.settings(1));
    let mut write = writer(&writing, "p0:a");
    waits_in_vain(&mut write, "the peer p0: no answer from 127.");
    write.control().set_deadline(Some(Instant::now() + SLACK));
    let reading = registry(&circle.settings(0));
    goes_through(&mut reader(&reading, "a"), write);
}

/// Only the peer that did not answer was named, and each attempt began the wait anew, so that the log never told of it.
#[test]
fn a_writer_that_waits_says_of_each_peer_why_it_is_not_there_and_for_how_long() {
    let circle = Circle::new(4);
    let (refusing, empty) = (registry(&circle.settings_knowing(1, &[0, 2])), registry(&circle.settings(2)));
    // They are there once a pipe is open.
    let _reads = [&refusing, &empty].map(|host| reader(host, "another"));
    let writing = registry(&circle.settings(3));
    let mut write = writer(&writing, "a");
    let control = write.control().clone();
    let writes = in_thread(move || write.write(b"x"));
    for words in [
        "the peer p0: no answer from 127.",
        "the peer p1: refused: ",
        "the peer p2: it has no such reader yet",
    ] {
        eventually(words, || {
            control.waiting().and_then(|waiting| waiting.refusal).is_some_and(|why| why.contains(words))
        });
    }
    eventually("a wait that is told of", || {
        control.waiting().is_some_and(|waiting| waiting.since.elapsed() > Duration::from_secs(5))
    });
    control.cancel();
    refused(writes.recv_timeout(SLACK).unwrap(), Code::ECANCELED, "the peer p1: refused: ");
}

/// The writer knows no address of its reader; that dials.
#[test]
fn either_side_may_dial() {
    let circle = Circle::new(2);
    let without = circle.settings(1).split_once("peers").unwrap().0.to_owned()
        + &format!("peers = [\"p0={}\"]", circle.key(0));
    let (reading, writing) = (registry(&circle.settings(0)), registry(&without));
    let write = writer(&writing, "p0:a");
    goes_through(&mut reader(&reading, "a"), write);
}

#[test]
fn an_instance_that_stops_breaks_its_pipes_and_comes_back() {
    let circle = Circle::new(2);
    let reading = registry(&circle.settings(0));
    let writing = registry(&circle.settings(1));
    let (mut read, write) = met(reader(&reading, "a"), writer(&writing, "a"));
    drop((write, writing));
    assert_eq!(drain(&mut read), (Vec::new(), Some(Code::ECONNRESET)));
    let again = registry(&circle.settings(1));
    goes_through(&mut reader(&reading, "b"), writer(&again, "b"));
}

#[test]
fn a_discard_reaches_a_reader_that_opens_after_the_writers_instance_has_stopped() {
    let circle = Circle::new(2);
    let reading = registry(&circle.settings(0));
    // The instance stops while the task is being told of the DISCARD, or before, or after.
    for round in 0..20 {
        let writing = registry(&circle.settings(1));
        // So that there is a connection, and the reader's side is there.
        let pair =
            met(reader(&reading, &format!("first{round}")), writer(&writing, &format!("first{round}")));
        let mut write = writer(&writing, &format!("p0:a{round}"));
        write.finish(Finish::Discard).unwrap();
        drop((write, pair, writing));
        let came = drain(&mut reader(&reading, &format!("a{round}")));
        assert_eq!(came, (Vec::new(), Some(Code::ECONNRESET)), "round {round}");
    }
}
