//! Brokers of the local network: whoever answers may be anybody.

use super::world::{READING, Told, WRITING, World, open};
use crate::error::{Reason, code};
use crate::pairing::*;
use crate::{Error, Name};
use std::net::SocketAddr;

fn at(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

/// Both ends of a pipe look for a broker.
fn both(world: &mut World) {
    world.open(READING, 5, open(Role::Reader, Route::Broker(BrokerAt::Discovered)));
    world.open(WRITING, 7, open(Role::Writer, Route::Broker(BrokerAt::Discovered)));
}

fn assert_met(world: &mut World) {
    assert_eq!(world.told(READING), [Told::Connected(5)]);
    assert_eq!(world.told(WRITING), [Told::Connected(7)]);
}

/// Whoever announces a broker and is none.
fn liars() -> HashMap<SocketAddr, Error> {
    let busy = Reason::new(code::EBUSY, "full");
    let errors = [Error::Denied("no proof".into()), Error::NotNetpipe, Error::Silent, Error::Refused(busy)];
    (1..).map(|port| SocketAddr::new([10, 0, 0, 66].into(), port)).zip(errors).collect()
}

#[test]
fn the_first_that_completes_the_handshake_is_believed() {
    let mut world = World::new();
    world.liars = liars();
    world.announced = world.liars.keys().copied().chain([at("10.0.0.70:9"), at("10.0.0.9:9713")]).collect();
    both(&mut world);
    assert_met(&mut world);
    assert_eq!(world.at(READING).met, [at("10.0.0.9:9713")]);
    assert_eq!(world.at(READING).connects, 6, "each liar once, the one who is away, and the broker");
}

#[test]
fn of_two_brokers_both_ends_take_the_first() {
    let mut world = World::new();
    world.announced = vec![at("10.0.0.8:9713"), at("10.0.0.9:9713")];
    both(&mut world);
    assert_met(&mut world);
    for number in [READING, WRITING] {
        assert_eq!(world.at(number).met, [at("10.0.0.8:9713")]);
    }
}

#[test]
fn liars_alone_are_no_broker_and_no_failure() {
    let mut world = World::new();
    world.liars = liars();
    world.announced = world.liars.keys().copied().collect();
    both(&mut world);
    world.later(Duration::from_secs(1000));
    assert!(world.told(READING).is_empty() && world.told(WRITING).is_empty());
    let troubles = &world.at(READING).troubles;
    // From the announcement on nobody is told that there is none.
    assert!(troubles[1].ends_with(" is announced, and has not answered yet"), "{troubles:?}");
    assert!(!troubles[1..].iter().any(|trouble| trouble.contains("none has announced")), "{troubles:?}");
    assert!(troubles[2].starts_with("broker on the local network: 10.0.0.66:"), "{troubles:?}");
    let trouble = world.at(READING).troubles.pop().unwrap();
    assert!(trouble.starts_with("broker on the local network: 10.0.0.66:"), "{trouble}");
    for text in ["10.0.0.66:1: netpipe: no proof", "does not speak netpipe", "said nothing", "refused: full"]
    {
        assert!(trouble.contains(text), "no `{text}` in {trouble}");
    }
    // Each asks every two seconds.
    assert!((990..1020).contains(&world.asked), "{}", world.asked);
    world.announced.push(at("10.0.0.9:9713"));
    world.later(Duration::from_secs(2));
    assert_met(&mut world);
}

#[test]
fn who_waits_for_an_announcement_knows_it() {
    let mut world = World::new();
    both(&mut world);
    let none = "broker on the local network: none has announced itself yet";
    assert_eq!(world.at(WRITING).troubles, [none, none], "from the start, and after the first answer");
    world.later(Duration::from_secs(100));
    assert!(world.told(WRITING).is_empty());
    world.announced.push(at("10.0.0.9:9713"));
    world.later(Duration::from_secs(2));
    assert_met(&mut world);
    let troubles = std::mem::take(&mut world.at(WRITING).troubles);
    let (last, earlier) = troubles.split_last().unwrap();
    assert!(earlier.iter().all(|trouble| trouble == none), "{troubles:?}");
    assert_eq!(last, "broker on the local network: 10.0.0.9:9713 is announced, and has not answered yet");
}

#[test]
fn a_broker_that_moved_is_looked_for_anew() {
    let mut world = World::new();
    world.announced = vec![at("10.0.0.9:9713")];
    world.open(READING, 5, open(Role::Reader, Route::Broker(BrokerAt::Discovered)));
    world.announced = vec![at("10.0.0.8:9713")];
    world.restart_broker(true);
    world.later(Duration::from_secs(2));
    assert_eq!(world.at(READING).met, [at("10.0.0.9:9713"), at("10.0.0.8:9713")]);
    world.open(WRITING, 7, open(Role::Writer, Route::Broker(BrokerAt::Discovered)));
    assert_met(&mut world);
}

#[test]
fn the_broker_that_introduced_is_the_one_that_relays() {
    let mut world = World::new();
    world.announced = vec![at("10.0.0.9:9713")];
    world.cut_off.insert(READING);
    both(&mut world);
    assert_met(&mut world);
    assert_eq!(world.at(WRITING).met, [at("10.0.0.9:9713"); 2], "to be introduced, and to be relayed");
    assert_eq!(world.asked, 2, "once for each end");
}

#[test]
fn who_waits_moves_to_the_broker_that_comes_first() {
    let mut world = World::new();
    world.announced = vec![at("10.0.0.9:9713")];
    world.open(READING, 5, open(Role::Reader, Route::Broker(BrokerAt::Discovered)));
    world.liars = liars();
    world.announced =
        [world.liars.keys().copied().collect(), vec![at("10.0.0.8:9713"), at("10.0.0.9:9713")]].concat();
    world.later(Duration::from_secs(4));
    assert_eq!(world.at(READING).met, [at("10.0.0.9:9713")]);
    world.later(Duration::from_secs(2));
    assert_eq!(world.at(READING).met, [at("10.0.0.9:9713"), at("10.0.0.8:9713")]);
    assert_eq!(world.names.counts(), (1, 0), "registered at one of them");
    world.open(WRITING, 7, open(Role::Writer, Route::Broker(BrokerAt::Discovered)));
    assert_met(&mut world);
    let asked = world.asked;
    world.later(Duration::from_secs(1000));
    assert_eq!(world.asked, asked, "who has met asks nobody");
}

#[test]
fn a_broker_that_is_there_is_kept_where_no_better_one_is() {
    let mut world = World::new();
    world.announced = vec![at("10.0.0.9:9713")];
    world.open(READING, 5, open(Role::Reader, Route::Broker(BrokerAt::Discovered)));
    let another = open(Role::Reader, Route::Broker(BrokerAt::Discovered));
    world.open(READING, 6, Open { name: Name::new("another").unwrap(), ..another });
    world.liars = liars();
    for announced in [
        vec![],
        vec![at("10.0.0.7:9713")],
        vec![at("10.0.0.9:9713"), at("10.0.0.10:9713")],
        [world.liars.keys().copied().collect(), vec![at("10.0.0.9:9713")]].concat(),
    ] {
        world.announced = announced;
        world.later(Duration::from_secs(60));
    }
    assert_eq!(world.at(READING).met, [at("10.0.0.9:9713")]);
    assert!(world.told(READING).is_empty());
    // Once to begin with, and for each pipe after 5, 15, 35, 75, 135 and 195 s.
    assert_eq!(world.asked, 1 + 2 * 6);
}
