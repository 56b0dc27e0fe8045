//! The two ends, and ends that lie.

use super::*;
use std::thread;

const SIZE: u32 = 128 << 10;

fn ends() -> (Producer, Consumer) {
    let (writer, writers) = make(Role::Writer, SIZE).unwrap();
    let (reader, readers) = make(Role::Reader, SIZE).unwrap();
    (Producer::new(writer, readers, SIZE).unwrap(), Consumer::new(reader, writers, SIZE).unwrap())
}

fn taken(consumer: &mut Consumer, most: usize) -> Vec<u8> {
    let mut bytes = vec![0; most];
    let count = consumer.take([&mut bytes, &mut []]).unwrap();
    bytes.truncate(count);
    bytes
}

#[test]
fn what_is_put_is_taken_once_and_in_order_across_the_rings_end() {
    let (mut producer, mut consumer) = ends();
    let content: Vec<u8> = (0..3 * SIZE).map(|at| (at % 251) as u8).collect();
    let (mut put, mut got) = (0, Vec::new());
    while got.len() < content.len() {
        let end = content.len().min(put + 50_000);
        let middle = end.min(put + 12);
        put += producer.put([&content[put..middle], &content[middle..end]]).unwrap();
        got.extend(taken(&mut consumer, 30_000));
    }
    assert!(got == content);
    assert_eq!(taken(&mut consumer, 1), b"");
}

#[test]
fn two_parts_are_filled_one_after_the_other() {
    let (mut producer, mut consumer) = ends();
    producer.put([b"header", b"and more"]).unwrap();
    let (mut first, mut second) = ([0; 9], [0; 9]);
    assert_eq!(consumer.take([&mut first, &mut second]).unwrap(), 14);
    assert_eq!((&first, &second[..5]), (b"headerand", &b" more"[..]));
}

#[test]
fn a_full_ring_takes_no_more_and_counts_that_wrap_make_no_difference() {
    let (mut producer, mut consumer) = ends();
    for side in [&mut producer.0, &mut consumer.0] {
        // As after four gigabytes but a few bytes.
        (side.count, side.known) = (u32::MAX - 9, u32::MAX - 9);
        side.ours.store(COUNT, u32::MAX - 9);
    }
    let all = vec![7; SIZE as usize + 1];
    assert_eq!(producer.put([&all, &[]]).unwrap(), SIZE as usize);
    assert_eq!(producer.put([b"x", &[]]).unwrap(), 0);
    assert_eq!(taken(&mut consumer, 20).len(), 20);
    assert_eq!(producer.put([&all, &[]]).unwrap(), 20);
    assert_eq!(taken(&mut consumer, all.len()).len(), SIZE as usize);
}

#[test]
fn who_sleeps_is_rung_once_for_each_sleep() {
    let (mut producer, mut consumer) = ends();
    producer.put([b"x", &[]]).unwrap();
    assert!(!producer.wake(), "it does not sleep");
    taken(&mut consumer, 1);
    for _ in 0..3 {
        consumer.sleep();
        producer.put([b"x", &[]]).unwrap();
        assert!(producer.wake());
        producer.put([b"x", &[]]).unwrap();
        assert!(!producer.wake(), "it was rung");
    }
    taken(&mut consumer, 9);
    producer.put([b"x", &[]]).unwrap();
    assert!(!producer.wake(), "it woke up");
}

#[test]
fn a_writer_is_rung_once_there_is_the_room_that_it_sleeps_for() {
    let (mut producer, mut consumer) = ends();
    let all = vec![7; SIZE as usize];
    producer.put([&all, &[]]).unwrap();
    producer.sleep(1000);
    taken(&mut consumer, 999);
    assert!(!consumer.wake());
    taken(&mut consumer, 1);
    assert!(consumer.wake());
    producer.put([&all, &[]]).unwrap();
    // Larger than the ring: half of it will do.
    producer.sleep(usize::MAX);
    taken(&mut consumer, SIZE as usize / 2);
    assert!(consumer.wake());
}

#[test]
fn a_reader_that_lies_is_found_out() {
    for lie in [6, SIZE, u32::MAX, 1 << 31] {
        let (mut producer, mut consumer) = ends();
        producer.put([b"bytes", &[]]).unwrap();
        consumer.0.ours.store(COUNT, lie);
        assert!(matches!(producer.put([b"more", &[]]), Err(Error::Protocol(_))), "{lie}");
    }
    // It takes back what it said.
    let (mut producer, mut consumer) = ends();
    producer.put([b"bytes", &[]]).unwrap();
    taken(&mut consumer, 5);
    producer.put([b"bytes", &[]]).unwrap();
    consumer.0.ours.store(COUNT, 4);
    assert!(matches!(producer.put([b"more", &[]]), Err(Error::Protocol(_))));
}

#[test]
fn a_writer_that_lies_is_found_out() {
    for lie in [SIZE + 1, u32::MAX, 1 << 31] {
        let (mut producer, mut consumer) = ends();
        producer.0.ours.store(COUNT, lie);
        assert!(matches!(consumer.take([&mut [0; 9], &mut []]), Err(Error::Protocol(_))), "{lie}");
    }
    let (mut producer, mut consumer) = ends();
    producer.put([b"bytes", &[]]).unwrap();
    assert_eq!(consumer.there().unwrap(), 5);
    producer.0.ours.store(COUNT, 4);
    assert!(matches!(consumer.there(), Err(Error::Protocol(_))));
}

#[test]
fn who_dozes_is_woken_and_not_rung() {
    let (mut producer, mut consumer) = ends();
    let limit = Duration::from_secs(60);
    let reading = thread::spawn(move || {
        let mut bytes = [0; 8];
        while consumer.take([&mut bytes, &mut []]).unwrap() == 0 {
            consumer.doze(limit).unwrap();
        }
        consumer
    });
    while producer.0.theirs.load(SLEEPS) & HOW != DOZES {
        thread::yield_now();
    }
    producer.put([b"x", &[]]).unwrap();
    assert!(!producer.wake());
    let mut consumer = reading.join().unwrap();
    producer.put([&vec![7; SIZE as usize], &[]]).unwrap();
    let writing = thread::spawn(move || {
        while producer.put([&[7; 9], &[]]).unwrap() == 0 {
            producer.doze(9, limit).unwrap();
        }
    });
    while consumer.0.theirs.load(SLEEPS) & HOW != DOZES {
        thread::yield_now();
    }
    taken(&mut consumer, 9);
    assert!(!consumer.wake());
    writing.join().unwrap();
}

/// A writer that says it sleeps for more room than there can be is rung all the same, and one that never wakes up only once.
#[test]
fn lies_about_sleep_cost_a_ring_at_most() {
    let (mut producer, mut consumer) = ends();
    producer.put([b"bytes", &[]]).unwrap();
    producer.0.ours.store(ROOM, u32::MAX);
    producer.0.ours.store(SLEEPS, 1);
    taken(&mut consumer, 5);
    assert!(consumer.wake());
    assert!(!consumer.wake());
}

#[test]
fn who_rings_for_nothing_is_found_out_and_who_rings_for_bytes_is_not() {
    let (mut producer, mut consumer) = ends();
    for _ in 0..2 * IN_VAIN {
        producer.put([b"x", &[]]).unwrap();
        taken(&mut consumer, 1);
        consumer.rang().unwrap();
    }
    producer.put([b"x", &[]]).unwrap();
    taken(&mut consumer, 1);
    assert!((0..IN_VAIN).all(|_| consumer.rang().is_ok()));
    assert!(matches!(consumer.rang(), Err(Error::Protocol(_))));
    assert!((0..IN_VAIN).all(|_| producer.rang().is_ok()));
    assert!(matches!(producer.rang(), Err(Error::Protocol(_))));
}

#[test]
fn memory_of_another_ring_is_refused() {
    let (ours, _) = make(Role::Reader, SIZE).unwrap();
    let (_, theirs) = make(Role::Writer, 2 * SIZE).unwrap();
    assert!(Consumer::new(ours, theirs, SIZE).is_err());
}

#[test]
fn a_ring_is_a_power_of_two_within_bounds() {
    let sizes = [0, 65_536, 131_073, 1 << 20, 3 << 20, u32::MAX].map(size);
    assert_eq!(sizes, [128 << 10, 128 << 10, 256 << 10, 1 << 20, 4 << 20, 16 << 20]);
}

/// Both ends at once, each of which sleeps as soon as it finds nothing to do: nobody sleeps for ever.
#[test]
fn ends_in_two_threads_ring_each_other_out_of_every_sleep() {
    let (mut producer, mut consumer) = ends();
    let (ring_reader, reader_rung) = std::sync::mpsc::sync_channel(1);
    let (ring_writer, writer_rung) = std::sync::mpsc::sync_channel(1);
    let content: Vec<u8> = (0..40 * SIZE).map(|at| (at % 253) as u8).collect();
    let expected = content.clone();
    let patience = Duration::from_secs(60);
    let writing = thread::spawn(move || {
        let mut put = 0;
        for piece in (1..).map(|number| 1 + number * 7919 % 30_000) {
            if put == content.len() {
                return;
            }
            let end = content.len().min(put + piece);
            let mut count = producer.put([&content[put..end], &[]]).unwrap();
            if count == 0 {
                producer.sleep(end - put);
                count = producer.put([&content[put..end], &[]]).unwrap();
            }
            put += count;
            match count {
                0 => writer_rung.recv_timeout(patience).unwrap(),
                _ if producer.wake() => drop(ring_reader.try_send(())),
                _ => {}
            }
        }
    });
    let mut got = Vec::new();
    let mut piece = vec![0; 20_000];
    while got.len() < expected.len() {
        let mut count = consumer.take([&mut piece, &mut []]).unwrap();
        if count == 0 {
            consumer.sleep();
            count = consumer.take([&mut piece, &mut []]).unwrap();
        }
        got.extend_from_slice(&piece[..count]);
        match count {
            0 => reader_rung.recv_timeout(patience).unwrap(),
            _ if consumer.wake() => drop(ring_writer.try_send(())),
            _ => {}
        }
    }
    writing.join().unwrap();
    assert!(got == expected);
}
