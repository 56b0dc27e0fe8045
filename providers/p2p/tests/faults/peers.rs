//! Who is let in, and peers that come late and go.

use crate::common::{
    Circle, SLACK, drain, eventually, goes_through, in_thread, met, reader, refused, registry, waits_in_vain,
    writer,
};
use std::time::{Duration, Instant};
use vfs_core::{Code, Finish, OpenFile, Result};

/// A write that may take half a second.
fn write_for_a_moment(write: &mut OpenFile) -> Result<usize> {
    write.control().set_deadline(Some(Instant::now() + Duration::from_millis(500)));
    write.write(b"x")
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
    let mut write = writer(&writing, "p0:a");
    waits_in_vain(|| write_for_a_moment(&mut write), "the peer p0: an answer with another key from 127.");
}

#[test]
fn a_peer_that_comes_late_is_found_and_waiting_says_where_it_is_not() {
    let circle = Circle::new(2);
    let writing = registry(&circle.settings(1));
    let mut write = writer(&writing, "p0:a");
    waits_in_vain(|| write_for_a_moment(&mut write), "the peer p0: no answer from 127.");
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

/// It said that it waits for a writer, and nothing more.
#[test]
fn a_reader_that_waits_says_of_each_peer_why_it_is_not_there() {
    let circle = Circle::new(3);
    let refusing = registry(&circle.settings_knowing(1, &[2]));
    let _there = reader(&refusing, "another");
    let reading = registry(&circle.settings(0));
    let mut read = reader(&reading, "a");
    let control = read.control().clone();
    let reads = in_thread(move || read.read(&mut [0; 8]));
    let told = || control.waiting().and_then(|waiting| waiting.refusal).unwrap_or_default();
    for words in ["the peer p1: refused: ", "the peer p2: no answer from 127."] {
        eventually(words, || told().contains(words));
    }
    let late = registry(&circle.settings(2));
    let _there = reader(&late, "another");
    eventually("the peer p2 to be there", || !told().contains("the peer p2"));
    control.cancel();
    refused(reads.recv_timeout(SLACK).unwrap(), Code::ECANCELED, "waiting for a writer");
}

/// Each close waited up to 50 ms for its last word to be acknowledged, which a host with an event loop cannot have.
#[test]
fn a_close_waits_for_nobody_and_the_stop_delivers_what_was_ended() {
    let circle = Circle::new(2);
    let [reading, writing] = [0, 1].map(|at| registry(&circle.settings(at)));
    let pipe = |at: usize| format!("a{at}");
    let pairs: Vec<_> =
        (0..60).map(|at| met(reader(&reading, &pipe(at)), writer(&writing, &pipe(at)))).collect();
    let (readers, mut writers): (Vec<_>, Vec<_>) = pairs.into_iter().unzip();
    for write in &mut writers {
        write.write_all(b"last").unwrap();
        write.finish(Finish::End).unwrap();
    }
    let closes = Instant::now();
    drop(writers);
    assert!(closes.elapsed() < Duration::from_millis(1_500), "{:?} for 60 closes", closes.elapsed());
    let stopped = in_thread(move || drop(writing));
    for mut read in readers {
        assert_eq!(drain(&mut read), (b"last".to_vec(), None));
    }
    stopped.recv_timeout(SLACK).unwrap();
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
