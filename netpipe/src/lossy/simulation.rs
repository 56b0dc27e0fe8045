//! Both ends of a pipe in simulated time, over a network that loses what it likes: no bytes are lost, doubled or out of order,
//! and every failure is told.

use crate::digest::Algorithm;
use crate::error::code;
use crate::lossy::end::{Answer, End, Inbox, Place, Timing, To, Wish};
use crate::lossy::frame::Frame;
use crate::lossy::inflow::Flow;
use crate::lossy::reader_end::ReaderEnd;
use crate::lossy::writer_end::{Outcome, WriterEnd};
use crate::same_host::{Place as Somewhere, SameHost};
use crate::values::Role;
use bytes::Bytes;
use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, Instant};
use zvfs_test_support::Random;

const TIMING: Timing = Timing { peer_timeout: Duration::from_secs(30) };
const WINDOW: u32 = 64 << 10;
/// From one end to the other.
const DELAY: Duration = Duration::from_millis(1);

/// Ends by number; 0 is the reader.
struct World {
    now: Instant,
    start: Instant,
    ends: BTreeMap<usize, Box<dyn Sim>>,
    /// On their way: when they arrive, in the order in which they were sent.
    flying: Vec<(Instant, usize, Flying)>,
    /// Names listened to.
    listening: HashMap<usize, Role>,
    chance: Random,
    /// Of a hundred messages so many are lost.
    loss: usize,
    /// MEETINGs that were sent, of which the first so many are lost.
    meetings: usize,
    lost_meetings: usize,
    /// Ends whose process is gone.
    dead: Vec<usize>,
    noted: bool,
    /// Payload bytes that were sent over the network.
    carried: usize,
}

enum Flying {
    Inbox(Inbox, Option<Place>, Bytes),
    Name(Option<Place>, Bytes),
    Answer(Answer),
}

/// An end that the test can reach again.
trait Sim {
    fn end(&mut self) -> &mut dyn End;
    fn reader(&mut self) -> &mut ReaderEnd {
        panic!("a writer")
    }
    fn writer(&mut self) -> &mut WriterEnd {
        panic!("a reader")
    }
}

impl Sim for ReaderEnd {
    fn end(&mut self) -> &mut dyn End {
        self
    }
    fn reader(&mut self) -> &mut ReaderEnd {
        self
    }
}

impl Sim for WriterEnd {
    fn end(&mut self) -> &mut dyn End {
        self
    }
    fn writer(&mut self) -> &mut WriterEnd {
        self
    }
}

impl World {
    /// A reader of so many writers, and these.
    fn new(seed: u64, writers: u32, loss: usize) -> World {
        World::on_one_host(seed, writers, loss, None)
    }

    /// The same; the ends meet once a pipe has carried so many bytes.
    fn on_one_host(seed: u64, writers: u32, loss: usize, after: Option<u64>) -> World {
        let start = Instant::now();
        let at = after.map(|after| SameHost { place: Somewhere::Abstract, after });
        let mut ends: BTreeMap<usize, Box<dyn Sim>> = BTreeMap::new();
        let reader = ReaderEnd::new(TIMING, WINDOW, Some(writers), Some(Algorithm::Blake3));
        ends.insert(0, Box::new(reader.with_same_host(at.clone())));
        for number in 1..=writers as usize {
            let writer = WriterEnd::new(TIMING, Some(Algorithm::Blake3));
            ends.insert(number, Box::new(writer.with_same_host(at.clone())));
        }
        World {
            now: start,
            start,
            ends,
            flying: Vec::new(),
            listening: HashMap::new(),
            chance: Random(seed),
            loss,
            meetings: 0,
            lost_meetings: 0,
            dead: Vec::new(),
            noted: false,
            carried: 0,
        }
    }

    fn reader(&mut self) -> &mut ReaderEnd {
        self.ends.get_mut(&0).unwrap().reader()
    }

    fn writer(&mut self, number: usize) -> &mut WriterEnd {
        self.ends.get_mut(&number).unwrap().writer()
    }

    /// Takes what each end wants and sends.
    fn gather(&mut self) {
        let now = self.now;
        let numbers: Vec<usize> = self.ends.keys().copied().filter(|end| !self.dead.contains(end)).collect();
        for number in numbers {
            while let Some(wish) = self.ends.get_mut(&number).unwrap().end().wish() {
                self.grant(number, wish);
            }
            while let Some(transmit) = self.ends.get_mut(&number).unwrap().end().transmit(now) {
                match Frame::decode(&transmit.frame) {
                    Ok(Frame::Data { payload, .. }) => self.carried += payload.len(),
                    Ok(Frame::Meeting) => {
                        self.meetings += 1;
                        if self.meetings <= self.lost_meetings {
                            continue;
                        }
                    }
                    _ => {}
                }
                let from = transmit.answer.map(|inbox| Place::from(format!("{number}-{inbox}")));
                let to: Vec<(usize, Option<Inbox>)> = match transmit.to {
                    To::Peer(subject) => {
                        let (end, inbox) = subject.split_once('-').unwrap();
                        vec![(end.parse().unwrap(), Some(inbox.parse().unwrap()))]
                    }
                    To::Reader => self.heard_by(Role::Reader),
                    To::Writers => self.heard_by(Role::Writer),
                };
                for (end, inbox) in to {
                    if self.chance.below(100) >= self.loss {
                        let frame = transmit.frame.clone();
                        let flying = match inbox {
                            Some(inbox) => Flying::Inbox(inbox, from.clone(), frame),
                            None => Flying::Name(from.clone(), frame),
                        };
                        self.flying.push((now + DELAY, end, flying));
                    }
                }
            }
        }
    }

    fn heard_by(&self, role: Role) -> Vec<(usize, Option<Inbox>)> {
        self.listening.iter().filter(|(_, heard)| **heard == role).map(|(end, _)| (*end, None)).collect()
    }

    fn grant(&mut self, number: usize, wish: Wish) {
        let answer = match wish {
            Wish::Listen(role) => {
                self.listening.insert(number, role);
                Answer::Listening
            }
            Wish::Leave => {
                self.listening.remove(&number);
                return;
            }
            Wish::Claim { .. } | Wish::Renew => Answer::Claimed,
            Wish::LookForDiscard => Answer::Discarded(std::mem::take(&mut self.noted)),
            Wish::NoteDiscard => return self.noted = true,
            Wish::ForgetDiscard => return self.noted = false,
            Wish::Release => Answer::Released,
        };
        self.flying.push((self.now, number, Flying::Answer(answer)));
    }

    /// Goes on to whatever happens next, and lets it happen.
    fn step(&mut self) {
        assert!(self.try_step(), "nothing will ever happen");
    }

    /// The same; false: nothing will ever happen.
    fn try_step(&mut self) -> bool {
        self.gather();
        let alive = |end: &usize| !self.dead.contains(end);
        let arrival = self.flying.iter().map(|(at, ..)| *at).min();
        let timers = self.ends.iter_mut().filter(|(end, _)| alive(end));
        let timer = timers.filter_map(|(_, end)| end.end().deadline()).min();
        let Some(next) = arrival.into_iter().chain(timer).min() else { return false };
        self.now = self.now.max(next);
        let now = self.now;
        let (due, later) = std::mem::take(&mut self.flying).into_iter().partition(|(at, ..)| *at <= now);
        self.flying = later;
        let due: Vec<_> = due;
        for (_, number, flying) in due {
            if self.dead.contains(&number) {
                continue;
            }
            let listens = self.listening.contains_key(&number);
            let end = self.ends.get_mut(&number).unwrap().end();
            match flying {
                Flying::Inbox(inbox, from, bytes) => {
                    end.hear(now, Some(inbox), from, Frame::decode(&bytes).unwrap());
                }
                Flying::Name(from, bytes) if listens => {
                    end.hear(now, None, from, Frame::decode(&bytes).unwrap());
                }
                Flying::Name(..) => {}
                Flying::Answer(answer) => end.answered(now, answer),
            }
        }
        for (number, end) in &mut self.ends {
            if !self.dead.contains(number) && end.end().deadline().is_some_and(|at| at <= now) {
                end.end().tick(now);
            }
        }
        true
    }

    /// How much time has passed.
    fn passed(&self) -> Duration {
        self.now - self.start
    }

    /// Reads once, if there is something.
    fn read(&mut self, most: usize) -> (Flow, Vec<u8>) {
        let (now, mut buf) = (self.now, vec![0; most]);
        let flow = self.reader().read(now, &mut buf);
        if let Flow::Bytes(count) = flow {
            buf.truncate(count);
        }
        (flow, buf)
    }
}

/// Writers that write records of two bytes, whose they are and which, in writes of any size; and a reader that reads at random.
fn carry(mut world: World, seed: u64, writers: u32, records: usize) -> (World, Vec<Vec<u8>>) {
    let mut chance = Random(!seed);
    let mut written: BTreeMap<usize, usize> = (1..=writers as usize).map(|number| (number, 0)).collect();
    let mut read: Vec<Vec<u8>> = vec![Vec::new(); writers as usize + 1];
    for _ in 0..2_000_000 {
        for (&number, written) in &mut written {
            let left = records - *written;
            world.writer(number).look();
            if left > 0 {
                let count = (1 + chance.below(3000)).min(left);
                let next = *written..*written + count;
                let bytes: Vec<u8> = next.flat_map(|at| [number as u8, at as u8]).collect();
                // A write of this size is taken whole, or not at all.
                if let Some(taken) = world.writer(number).write(&bytes) {
                    assert_eq!(taken, bytes.len());
                    *written += count;
                }
            } else {
                world.writer(number).end();
            }
        }
        // Where both ends are done, only the read is left.
        world.try_step();
        if chance.below(3) == 0 {
            let most = (1 + chance.below(5000)) * 2;
            match world.read(most) {
                (Flow::Bytes(_), bytes) => {
                    assert!(bytes.len().is_multiple_of(2), "a record is cut");
                    for record in bytes.chunks(2) {
                        read[usize::from(record[0])].push(record[1]);
                    }
                }
                (Flow::End, _) => return (world, read),
                (Flow::Nothing, _) => {}
                (Flow::Broken(failure), _) => panic!("after {:?}: {failure:?}", world.passed()),
            }
        }
    }
    panic!("no end after {:?}", world.passed());
}

#[test]
fn a_lossy_network_loses_doubles_and_reorders_nothing() {
    loses_nothing(None);
}

/// Wherever the turn is, and whatever was lost around it.
#[test]
fn neither_does_one_whose_ends_meet_on_one_host() {
    for after in [0, 5_000, 60_000] {
        loses_nothing(Some(after));
    }
}

fn loses_nothing(meet_after: Option<u64>) {
    let losses = [(1, 0), (2, 1), (3, 10), (4, 30)];
    // Where memory carries everything there is little but signs of life on the way, and of those not so many may be lost.
    let most = if meet_after.is_some() { 10 } else { 100 };
    for (seed, loss) in losses.into_iter().filter(|(_, loss)| *loss <= most) {
        for writers in [1, 3] {
            let world = World::on_one_host(seed, writers, loss, meet_after);
            let (mut world, read) = carry(world, seed, writers, 100_000);
            let all = 200_000 * writers as usize;
            match meet_after {
                None => assert!(world.carried >= all),
                Some(_) => assert!(loss > 1 || world.carried < all * 3 / 4, "{} of {all}", world.carried),
            }
            let wanted: Vec<u8> = (0..100_000).map(|at| at as u8).collect();
            for (number, read) in read.iter().enumerate().skip(1) {
                assert!(*read == wanted, "writer {number} of {writers}, {loss} % lost");
            }
            // Each writer hears of it, or that its reader is gone.
            let now = world.now;
            while (1..=writers as usize).any(|number| world.writer(number).outcome().is_none()) {
                world.try_step();
                (1..=writers as usize).for_each(|number| world.writer(number).look());
                assert!(world.now - now < TIMING.peer_timeout * 2);
            }
        }
    }
}

/// Once a pipe whose MEETING was lost went through the network to its end.
#[test]
fn a_meeting_that_was_lost_is_said_again_and_not_for_ever() {
    for (lost, said, meets) in [(0, 1, true), (2, 3, true), (usize::MAX, 3, false)] {
        let mut world = World::on_one_host(8, 1, 0, Some(0));
        world.lost_meetings = lost;
        let (world, read) = carry(world, 8, 1, 1_000_000);
        assert_eq!(read[1].len(), 1_000_000);
        assert_eq!((world.meetings, world.carried < 1_000_000), (said, meets), "{lost} lost");
    }
}

/// A world in which both ends have met.
fn met(seed: u64) -> World {
    let mut world = World::new(seed, 1, 0);
    while !world.writer(1).has_met() {
        world.step();
    }
    world
}

#[test]
fn a_writer_whose_reader_is_gone_learns_it_in_time() {
    let mut world = met(1);
    world.writer(1).write(b"never taken").unwrap();
    world.dead.push(0);
    let from = world.now;
    while world.writer(1).outcome().is_none() {
        world.step();
    }
    let Some(Outcome::Failed(failure)) = world.writer(1).outcome().cloned() else { panic!("an end") };
    assert_eq!(failure.code, code::ECONNRESET);
    let took = world.now - from;
    assert!(took >= TIMING.peer_timeout - TIMING.interval() && took < TIMING.peer_timeout * 2, "{took:?}");
}

#[test]
fn a_reader_whose_writer_is_gone_gets_the_data_and_learns_it_in_time() {
    let mut world = met(2);
    world.writer(1).write(b"data").unwrap();
    while world.reader().has_writers() && world.passed() < Duration::from_secs(1) {
        world.step();
    }
    world.dead.push(1);
    let from = world.now;
    assert_eq!(world.read(100), (Flow::Bytes(4), b"data".to_vec()));
    loop {
        match world.read(100).0 {
            Flow::Broken(failure) => break assert_eq!(failure.code, code::ECONNRESET),
            Flow::Nothing => world.step(),
            other => panic!("{other:?}"),
        }
    }
    let took = world.now - from;
    assert!(took >= TIMING.peer_timeout - TIMING.interval() && took < TIMING.peer_timeout * 2, "{took:?}");
}

#[test]
fn ends_that_say_nothing_live_on() {
    let mut world = met(3);
    while world.passed() < Duration::from_secs(3600) {
        world.step();
        assert_eq!(world.read(100).0, Flow::Nothing);
    }
    assert_eq!(world.writer(1).outcome(), None);
}

/// A fail-over: for a while nothing arrives.
#[test]
fn an_outage_that_is_shorter_than_the_timeout_is_survived() {
    let mut world = met(4);
    world.writer(1).write(&[1; 1000]).unwrap();
    world.loss = 100;
    let from = world.now;
    while world.now - from < TIMING.peer_timeout / 2 {
        world.step();
    }
    world.loss = 0;
    let (back, now) = (world.now, world.now);
    world.ends.values_mut().for_each(|end| end.end().reconnected(now));
    let mut got = 0;
    while got < 1000 {
        world.step();
        if let (Flow::Bytes(count), _) = world.read(10_000) {
            got += count;
        }
    }
    // At once, and not when somebody asks again.
    assert!(world.now - back < Duration::from_millis(100), "{:?}", world.now - back);
}

#[test]
fn a_discard_comes_after_the_data_that_was_sent() {
    let mut world = met(5);
    world.writer(1).write(b"part").unwrap();
    let now = world.now;
    world.writer(1).discard(now, "on purpose");
    let failure = loop {
        world.step();
        match world.read(100) {
            (Flow::Broken(failure), _) => break failure,
            (Flow::Bytes(count), part) => assert_eq!((count, &part[..]), (4, &b"part"[..])),
            (Flow::Nothing, _) => {}
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(failure.code, code::ECONNRESET);
    assert!(failure.text.contains("on purpose"), "{}", failure.text);
}

#[test]
fn a_reader_that_closes_is_epipe_unless_it_had_everything() {
    // The END comes before the close, and after it.
    for (all, is_late) in [(true, false), (false, false), (true, true), (false, true)] {
        let mut world = met(6);
        world.writer(1).write(b"bytes").unwrap();
        world.writer(1).push();
        if !is_late {
            world.writer(1).end();
        }
        while world.read(if all { 5 } else { 4 }).0 == Flow::Nothing {
            world.step();
        }
        let now = world.now;
        world.ends.get_mut(&0).unwrap().end().close(now);
        while world.writer(1).outcome().is_none() {
            world.step();
        }
        world.writer(1).end();
        let expected = if all { Outcome::Done } else { Outcome::Closed };
        assert_eq!(world.writer(1).outcome(), Some(&expected), "{all} {is_late}");
    }
}

#[test]
fn closed_ends_settle_within_moments() {
    let mut world = met(7);
    world.writer(1).write(b"bytes").unwrap();
    world.writer(1).end();
    while world.read(100).0 != Flow::End {
        world.step();
    }
    let now = world.now;
    world.ends.values_mut().for_each(|end| end.end().close(now));
    world.gather();
    while !world.ends.values_mut().all(|end| end.end().is_settled()) {
        world.step();
        world.gather();
    }
    assert!(world.now - now < Duration::from_millis(10), "{:?}", world.now - now);
}
