//! Pairing in simulated time.

mod discovery;
mod world;

use super::*;
use crate::Name;
use crate::broker::Limits;
use world::{READING, Told, WRITING, World, broker, endpoint, open};
use zvfs_test_support::Random;

fn at_broker(world: &mut World) {
    world.open(READING, 5, open(Role::Reader, Route::Broker(broker())));
    world.open(WRITING, 7, open(Role::Writer, Route::Broker(broker())));
}

fn direct(role: Role) -> Open {
    let at = endpoint("10.0.0.1:7000");
    let route = if role == Role::Reader { Route::Listen(at) } else { Route::Dial(at) };
    open(role, route)
}

fn failed(told: &[Told], code: u32, words: &str) -> bool {
    matches!(told, [Told::Failed(_, found, text)] if *found == code && text.contains(words))
}

#[test]
fn a_writer_dials_its_reader_until_that_is_there() {
    let mut world = World::new();
    world.open(WRITING, 7, direct(Role::Writer));
    assert_eq!(world.state(WRITING, 7), Some(&PipeState::Dialling));
    world.later(Duration::from_secs(10));
    // After 10, 20, 40, 80, 160, 320 ms, and then every 500.
    assert_eq!(world.at(WRITING).connects, 1 + 6 + 18);
    assert!(world.at(WRITING).troubles.iter().all(|trouble| trouble == "10.0.0.1:7000: refused"));
    world.open(READING, 5, direct(Role::Reader));
    assert_eq!(world.state(READING, 5), Some(&PipeState::Listening));
    world.later(Duration::from_millis(500));
    assert_eq!(world.told(READING), [Told::Connected(5)]);
    assert_eq!(world.told(WRITING), [Told::Connected(7)]);
    assert_eq!(world.state(WRITING, 7), Some(&PipeState::Connected));
    assert_eq!(world.state(READING, 5), Some(&PipeState::Connected));
    let connects = world.at(WRITING).connects;
    world.later(Duration::from_secs(100));
    assert_eq!(world.at(WRITING).connects, connects, "who is connected dials nobody");
}

#[test]
fn one_writer_more_than_is_expected_is_refused_as_long_as_the_pipe_lives() {
    let mut world = World::new();
    world.open(READING, 5, Open { writers: Some(2), ..direct(Role::Reader) });
    for id in [7, 8] {
        world.open(WRITING, id, direct(Role::Writer));
        assert_eq!(world.told(WRITING), [Told::Connected(id)]);
    }
    world.open(WRITING, 9, direct(Role::Writer));
    assert!(world.told(WRITING).is_empty(), "the pipe of that name may end in a moment");
    world.later(Duration::from_millis(400));
    assert!(failed(&world.told(WRITING), code::EBUSY, "has all the writers"));
    world.pairing(READING).over(5);
    world.settle();
    assert!(world.at(READING).listening.is_empty());
}

#[test]
fn a_second_reader_is_tried_again_and_then_busy() {
    let mut world = World::new();
    world.open(READING, 5, direct(Role::Reader));
    world.open(READING, 6, direct(Role::Reader));
    world.later(Duration::from_millis(100));
    assert!(world.told(READING).is_empty());
    world.close(READING, 5);
    assert!(failed(&world.told(READING), code::ECONNRESET, "closed"), "should anybody still wait");
    world.later(Duration::from_millis(100));
    assert_eq!(world.at(READING).listening, HashMap::from([(6, 7000)]));
    world.open(READING, 5, direct(Role::Reader));
    world.later(Duration::from_millis(400));
    assert!(failed(&world.told(READING), code::EBUSY, "in use"));
    assert_eq!(world.state(READING, 5), Some(&PipeState::Ended));
}

#[test]
fn a_peer_that_says_nothing_is_dialled_for_the_peer_timeout() {
    let mut world = World::new();
    world.silent.insert(READING);
    world.open(READING, 5, direct(Role::Reader));
    world.open(WRITING, 7, direct(Role::Writer));
    world.later(Duration::from_secs(49));
    assert!(world.told(WRITING).is_empty());
    // The first of its handshakes took 10 s itself.
    world.later(Duration::from_secs(2));
    assert!(failed(&world.told(WRITING), code::ETIMEDOUT, "has answered none for 60s"));
}

#[test]
fn a_broker_introduces_whoever_comes_first() {
    for reader_first in [true, false] {
        let mut world = World::new();
        let reader = open(Role::Reader, Route::Broker(broker()));
        if reader_first {
            world.open(READING, 5, reader.clone());
            assert_eq!(world.state(READING, 5), Some(&PipeState::Registered));
        }
        world.open(WRITING, 7, open(Role::Writer, Route::Broker(broker())));
        if !reader_first {
            world.open(READING, 5, reader);
        }
        assert_eq!(world.told(READING), [Told::Connected(5)]);
        assert_eq!(world.told(WRITING), [Told::Connected(7)]);
        assert!(world.at(READING).pairing.expected.is_empty(), "the token is used up");
        world.pairing(READING).over(5);
        world.settle();
        assert_eq!(world.names.counts(), (0, 0), "a pipe that is over may be used again");
    }
}

#[test]
fn a_writer_that_is_faster_than_the_brokers_word_waits_for_it() {
    let mut world = World::new();
    let (now, token) = (world.now, Token([3; 16]));
    world.open(READING, 5, open(Role::Reader, Route::Broker(broker())));
    let mut hello = Hello::pipe(Role::Writer, Name::new("pipe").unwrap(), Some(token));
    assert_eq!(world.pairing(READING).judge(now, Awaited::Introduced, &hello), Ok(None));
    let found = crate::Match { id: 5, token, addresses: Vec::new() };
    world.pairing(READING).broker_said(now, &broker(), READING as u64, Message::Match(found));
    assert_eq!(world.pairing(READING).judge(now, Awaited::Introduced, &hello), Ok(Some(5)));
    let late = now + Duration::from_secs(30);
    let refused = |judged: Result<_, Reason>| judged.unwrap_err().code;
    assert_eq!(refused(world.pairing(READING).judge(late, Awaited::Introduced, &hello)), code::ECONNRESET);
    hello.name = Some(Name::new("another").unwrap());
    assert_eq!(refused(world.pairing(READING).judge(now, Awaited::Introduced, &hello)), code::EPROTO);
    hello.token = None;
    assert_eq!(refused(world.pairing(READING).judge(now, Awaited::Introduced, &hello)), code::EACCES);
}

#[test]
fn a_reader_that_cannot_be_dialled_is_met_through_the_broker() {
    let mut world = World::new();
    world.cut_off.insert(READING);
    at_broker(&mut world);
    assert_eq!(world.told(READING), [Told::Connected(5)]);
    assert_eq!(world.told(WRITING), [Told::Connected(7)]);
    assert_eq!(world.at(WRITING).troubles, ["10.0.0.1:9000: refused"]);
    assert_eq!(world.at(WRITING).connects, 3, "broker, reader, relay");
}

#[test]
fn a_relay_over_the_limit_is_asked_for_again_and_at_last_ends_both() {
    let mut world = World::with(Limits { relays: 0, ..Limits::default() }, false);
    world.cut_off.insert(READING);
    at_broker(&mut world);
    world.later(Duration::from_secs(59));
    assert!(world.told(WRITING).is_empty() && world.told(READING).is_empty());
    world.later(Duration::from_secs(2));
    assert!(failed(&world.told(WRITING), code::ETIMEDOUT, "at last: broker 10.0.0.9:9713"));
    assert!(failed(&world.told(READING), code::ECONNRESET, "gave it up"));
}

#[test]
fn an_introduced_reader_that_went_is_dialled_again_while_the_token_is_good() {
    let mut world = World::new();
    world.silent.insert(READING);
    at_broker(&mut world);
    assert!(matches!(world.state(WRITING, 7), Some(PipeState::Introduced { .. })));
    world.later(Duration::from_secs(1));
    // Broker, reader, and the reader again every 100 ms.
    assert_eq!(world.at(WRITING).connects, 2 + 10);
    world.silent.clear();
    world.later(Duration::from_millis(100));
    assert_eq!(world.told(WRITING), [Told::Connected(7)]);
}

#[test]
fn a_writer_that_never_comes_is_not_waited_for() {
    let mut world = World::new();
    world.open(READING, 5, open(Role::Reader, Route::Broker(broker())));
    // Introduced, and gone without a word.
    let name = Name::new("pipe").unwrap();
    let (role, addresses) = (Role::Writer, Vec::new());
    let gone = crate::Register { id: 1, role, name, addresses, writers: None, takeover: false };
    world.hear(WRITING, Message::Register(gone));
    world.settle();
    assert_eq!(world.at(READING).pairing.expected.len(), 1);
    world.names.leave(WRITING as u64);
    world.later(Duration::from_secs(31));
    assert!(world.at(READING).pairing.expected.is_empty());
    world.open(WRITING, 7, open(Role::Writer, Route::Broker(broker())));
    assert_eq!(world.told(READING), [Told::Connected(5)], "it was registered again");
}

#[test]
fn who_waits_is_registered_with_a_broker_that_comes_back() {
    let mut world = World::new();
    world.open(READING, 5, open(Role::Reader, Route::Broker(broker())));
    world.restart_broker(false);
    world.open(WRITING, 7, open(Role::Writer, Route::Broker(broker())));
    world.later(Duration::from_secs(20));
    assert!(world.told(READING).is_empty());
    // At once, after 0.1, 0.2, ... 1.6 s, and then every 2 s.
    assert!((10..=16).contains(&world.at(WRITING).connects), "{}", world.at(WRITING).connects);
    world.broker_up = true;
    world.later(Duration::from_secs(2));
    assert_eq!(world.told(READING), [Told::Connected(5)]);
    assert_eq!(world.told(WRITING), [Told::Connected(7)]);
    world.restart_broker(false);
    assert!(world.told(READING).is_empty() && world.told(WRITING).is_empty(), "direct pipes go on");
}

#[test]
fn what_a_lost_broker_said_is_not_told_to_the_next() {
    let mut world = World::new();
    world.silent.insert(READING);
    at_broker(&mut world);
    world.restart_broker(true);
    // Were it to send UNREACHABLE with the lost broker's token, the new one would call that a broken rule.
    world.cut_off.insert(READING);
    world.later(Duration::from_secs(3));
    assert_eq!(world.told(WRITING), [Told::Connected(7)]);
}

#[test]
fn a_broker_that_introduces_without_end_keeps_a_writer_busy_once() {
    let mut world = World::new();
    world.open(WRITING, 7, open(Role::Writer, Route::Broker(broker())));
    let now = world.now;
    world.silent.insert(READING);
    for byte in 0..100 {
        let addresses = vec![crate::Address::new("10.0.0.1:9000").unwrap()];
        let found = crate::Match { id: 7, token: Token([byte; 16]), addresses };
        world.pairing(WRITING).broker_said(now, &broker(), WRITING as u64, Message::Match(found));
    }
    world.settle();
    assert_eq!(world.at(WRITING).connects, 2);
}

#[test]
fn a_discard_without_a_reader_is_the_brokers_to_keep() {
    let mut world = World::new();
    world.open(WRITING, 7, open(Role::Writer, Route::Broker(broker())));
    world.pairing(WRITING).last_word(7, LastWord::Discard);
    world.settle();
    assert!(failed(&world.told(WRITING), code::ECONNRESET, "discarded"));
    world.open(READING, 5, open(Role::Reader, Route::Broker(broker())));
    assert!(failed(&world.told(READING), code::ECONNRESET, "gave it up before"));
}

#[test]
fn a_discard_waits_for_its_broker_and_a_direct_one_for_its_reader() {
    let mut world = World::new();
    world.broker_up = false;
    world.open(WRITING, 7, open(Role::Writer, Route::Broker(broker())));
    world.open(WRITING, 8, direct(Role::Writer));
    for id in [7, 8] {
        world.pairing(WRITING).last_word(id, LastWord::Discard);
        world.close(WRITING, id);
    }
    assert!(world.told(WRITING).is_empty());
    world.broker_up = true;
    world.later(Duration::from_secs(5));
    assert!(failed(&world.told(WRITING), code::ECONNRESET, "discarded"));
    assert_eq!(world.names.counts(), (0, 1));
    world.later(Duration::from_secs(60));
    assert!(failed(&world.told(WRITING), code::ECONNRESET, "closed"));
    assert_eq!(world.state(WRITING, 8), None);
}

#[test]
fn an_end_is_delivered_after_its_file_is_closed() {
    let mut world = World::new();
    world.open(WRITING, 7, direct(Role::Writer));
    world.pairing(WRITING).last_word(7, LastWord::End);
    world.close(WRITING, 7);
    world.later(Duration::from_secs(1000));
    world.open(READING, 5, direct(Role::Reader));
    world.later(Duration::from_secs(1));
    assert_eq!(world.told(WRITING), [Told::Connected(7)]);
    assert_eq!(world.state(WRITING, 7), None);
}

#[test]
fn a_reader_that_would_take_over_is_patient() {
    let mut world = World::with(Limits::default(), true);
    world.open(READING, 5, open(Role::Reader, Route::Broker(broker())));
    world.open(WRITING, 6, open(Role::Reader, Route::Broker(broker())));
    world.later(Duration::from_secs(5));
    assert!(world.told(WRITING).is_empty());
    world.names.leave(READING as u64);
    world.later(Duration::from_secs(2));
    assert!(world.told(WRITING).is_empty());
    world.later(Duration::from_secs(10));
    assert!(world.told(WRITING).is_empty(), "it has the name");
    assert_eq!(world.names.counts(), (1, 0));
}

/// Whatever happens in whatever order: nothing panics, and nothing is left of pipes that were closed.
#[test]
fn nothing_is_left_of_what_was_closed() {
    for seed in 1..200u64 {
        let mut world = World::new();
        let mut source = Random(seed);
        for _ in 0..60 {
            let random = source.number();
            let (id, number) = (random >> 8 & 3, if random >> 16 & 1 == 0 { READING } else { WRITING });
            let role = if number == READING { Role::Reader } else { Role::Writer };
            match random % 8 {
                0 | 1 if world.state(number, id).is_none() => {
                    let route = open(role, Route::Broker(broker()));
                    world.open(number, id, if random >> 20 & 1 == 0 { route } else { direct(role) });
                }
                2 => world.close(number, id),
                3 if role == Role::Writer => world.pairing(number).last_word(id, LastWord::Discard),
                4 => world.restart_broker(random >> 24 & 1 == 0),
                5 => drop(world.cut_off.insert(READING)),
                6 => world.cut_off.clear(),
                _ => world.later(Duration::from_millis(random >> 32 & 0xfff)),
            }
            world.settle();
        }
        for (number, id) in
            [READING, WRITING].into_iter().flat_map(|number| (0..4).map(move |id| (number, id)))
        {
            world.close(number, id);
        }
        world.later(Duration::from_secs(200));
        for number in [READING, WRITING] {
            let pairing = &world.at(number).pairing;
            let left = (pairing.pipes.len(), pairing.dials.len(), pairing.expected.len());
            assert_eq!(left, (0, 0, 0), "seed {seed}");
        }
    }
}
