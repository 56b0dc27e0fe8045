//! Both ends of a pipe in simulated time, over streams that arrive in any pieces.

use crate::inflow::Flow;
use crate::peers::Parties;
use crate::reader_end::ReaderEnd;
use crate::side::Wish;
use crate::writer_end::{Outcome, WriterEnd};
use netpipe::digest::Algorithm;
use netpipe::handshake::Established;
use netpipe::{Hello, Name, Role};
use std::collections::VecDeque;
use std::time::{Duration, Instant};
use vfs_core::Code;
use zvfs_test_support::Random;

const WINDOW: u32 = 64 << 10;

/// A writer, and what is on its way in both directions.
struct Way {
    writer: WriterEnd,
    id: u64,
    there: VecDeque<u8>,
    back: VecDeque<u8>,
}

struct World {
    now: Instant,
    random: Random,
    reader: ReaderEnd,
    ways: Vec<Way>,
}

impl World {
    fn new(seed: u64, writers: u32, digest: Option<Algorithm>) -> World {
        let mut reader = ReaderEnd::new(Parties::Known, WINDOW, Some(writers), digest);
        let features = digest.map_or(0, Algorithm::feature);
        let established = |role: Role| Established {
            version: 1,
            features,
            proven: false,
            meeting: None,
            window: WINDOW,
            peer: Hello {
                window: (role == Role::Reader).then_some(WINDOW),
                ..Hello::pipe(role, Name::unnamed(), None)
            },
        };
        let ways = (0..writers).map(|_| {
            let mut writer = WriterEnd::new(None);
            writer.meet(established(Role::Reader));
            let (id, _) = reader.join(established(Role::Writer));
            Way { writer, id, there: VecDeque::new(), back: VecDeque::new() }
        });
        let ways = ways.collect();
        World { now: Instant::now(), random: Random(seed), reader, ways }
    }

    /// Moves a part of what there is to move.
    fn step(&mut self) {
        self.now += Duration::from_millis(self.random.below(20) as u64);
        for way in &mut self.ways {
            if let Wish::Send(bytes) = way.writer.wish() {
                way.there.extend(bytes);
            }
            if let Wish::Send(bytes) = self.reader.wish(way.id, self.now) {
                way.back.extend(bytes);
            }
            let mut part = |queue: &mut VecDeque<u8>| -> Vec<u8> {
                let count = self.random.below(queue.len() + 1);
                queue.drain(..count).collect()
            };
            let (there, back) = (part(&mut way.there), part(&mut way.back));
            self.reader.hear(way.id, &there);
            way.writer.hear(&back);
        }
    }

    fn read(&mut self) -> Read {
        let mut buf = vec![0; 1 + self.random.below(100_000)];
        match self.reader.read(self.now, &mut buf) {
            Flow::Bytes(count) => {
                buf.truncate(count);
                Ok(Some(buf))
            }
            Flow::Nothing => Ok(None),
            Flow::End => Err(None),
            Flow::Broken(failure) => Err(Some(failure.code)),
        }
    }
}

/// Bytes or nothing; or how it came to its end.
type Read = Result<Option<Vec<u8>>, Option<Code>>;

/// Each writer's bytes say which they are and how many there were before: they come in order, whole writes unmixed, to the end.
#[test]
fn writes_of_any_size_come_whole_and_in_order_whatever_the_pieces() {
    for seed in 0..20 {
        let digest = [None, Some(Algorithm::Sha256), Some(Algorithm::Blake3)][seed as usize % 3];
        let writers = 1 + (seed % 4) as u32;
        let mut world = World::new(seed, writers, digest);
        let mut left = vec![40; writers as usize];
        let mut sizes: Vec<VecDeque<usize>> = vec![VecDeque::new(); writers as usize];
        let mut bytes = VecDeque::new();
        let ended = loop {
            for (at, left) in left.iter_mut().enumerate() {
                let size = 1 + world.random.below([30, 5_000, WINDOW as usize][*left % 3]);
                let writer = &mut world.ways[at].writer;
                if *left > 0 && writer.write(&vec![at as u8; size]) == Some(size) {
                    sizes[at].push_back(size);
                    *left -= 1;
                    if *left == 0 {
                        writer.end();
                    }
                }
            }
            world.step();
            match world.read() {
                Ok(more) => bytes.extend(more.unwrap_or_default()),
                Err(ended) => break ended,
            }
        };
        assert_eq!(ended, None, "seed {seed}");
        while let Some(at) = bytes.front().map(|at| usize::from(*at)) {
            let size = sizes[at].pop_front().expect("more than was written");
            assert!(bytes.drain(..size).all(|byte| usize::from(byte) == at), "seed {seed}: a write is mixed");
        }
        assert!(sizes.iter().all(VecDeque::is_empty), "seed {seed}: less than was written");
        while world.ways.iter().any(|way| way.writer.outcome().is_none()) {
            world.step();
        }
        assert!(world.ways.iter().all(|way| way.writer.outcome() == Some(&Outcome::Done)), "seed {seed}");
    }
}

#[test]
fn what_was_taken_is_reported_in_time_though_nobody_reads_on() {
    let mut world = World::new(1, 1, None);
    assert_eq!(world.ways[0].writer.write(&[7; 1000]), Some(1000));
    let mut came = 0;
    while came < 1000 {
        world.step();
        came += world.read().unwrap().unwrap_or_default().len();
    }
    for _ in 0..100 {
        world.step();
    }
    assert!(world.ways[0].writer.is_taken());
}

#[test]
fn a_discard_follows_what_was_written_and_breaks_the_others() {
    let mut world = World::new(2, 2, None);
    world.ways[0].writer.write(&[7; 1000]).unwrap();
    world.ways[0].writer.discard("on purpose");
    let mut bytes = Vec::new();
    let ended = loop {
        world.step();
        match world.read() {
            Ok(more) => bytes.extend(more.unwrap_or_default()),
            Err(ended) => break ended,
        }
    };
    assert_eq!((bytes, ended), (vec![7; 1000], Some(Code::ECONNRESET)));
    for _ in 0..100 {
        world.step();
    }
    let outcome = world.ways[1].writer.outcome();
    assert!(matches!(outcome, Some(Outcome::Failed(failure)) if failure.code == Code::ECONNRESET));
}

#[test]
fn a_reader_that_closes_is_epipe_unless_it_has_everything() {
    // The END comes before the close, and after it.
    for (read, is_late) in [(false, false), (true, false), (false, true), (true, true)] {
        let mut world = World::new(3, 1, None);
        world.ways[0].writer.write(&[7; 1000]).unwrap();
        if !is_late {
            world.ways[0].writer.end();
        }
        let mut came = 0;
        while read && came < 1000 {
            world.step();
            came += world.read().unwrap().unwrap_or_default().len();
        }
        world.reader.close();
        while world.ways[0].writer.outcome().is_none() {
            world.step();
        }
        world.ways[0].writer.end();
        let expected = if read { Outcome::Done } else { Outcome::Closed };
        assert_eq!(world.ways[0].writer.outcome(), Some(&expected), "{read} {is_late}");
    }
}
