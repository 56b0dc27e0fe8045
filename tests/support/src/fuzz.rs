//! Fuzz targets on the stable compiler: a stored corpus, and mutations of it that are the same in every run.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::{env, fs, thread};

/// Takes any bytes. It panics where a promise is broken, and returns whether the bytes were valid.
pub type Target = fn(&[u8]) -> bool;

/// A stream of numbers that follows from its seed: splitmix64.
pub struct Random(pub u64);

impl Random {
    /// The next number.
    pub fn number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `end`; 0 if that is 0.
    pub fn below(&mut self, end: usize) -> usize {
        if end == 0 { 0 } else { (self.number() % end as u64) as usize }
    }

    /// Some bytes.
    pub fn bytes<const N: usize>(&mut self) -> [u8; N] {
        std::array::from_fn(|_| self.number() as u8)
    }

    /// As many bytes as asked for.
    pub fn noise(&mut self, count: usize) -> Vec<u8> {
        let mut bytes: Vec<u8> = (0..count.div_ceil(8)).flat_map(|_| self.number().to_le_bytes()).collect();
        bytes.truncate(count);
        bytes
    }
}

/// How the targets of a crate are fuzzed.
pub struct Fuzz<'a> {
    /// The folder that has a folder of files for each target, of the target's name.
    pub corpus: &'a Path,
    /// Mutations for each target; ZVFS_FUZZ_MUTATIONS asks for another number.
    pub mutations: usize,
    /// The most changes in one mutation.
    pub changes: usize,
    /// The longest mutation, in bytes.
    pub longest: usize,
    /// A change that suits what this crate reads.
    pub own_change: fn(&mut Vec<u8>, &mut Random),
}

impl Fuzz<'_> {
    /// Runs each target, on a thread of its name, over its corpus and mutations of it. `call` calls the target.
    pub fn run(&self, targets: &[(&str, Target)], call: impl Fn(Target, &[u8]) -> bool + Sync) {
        let call = &call;
        thread::scope(|scope| {
            for &(name, target) in targets {
                let fuzz = move || self.fuzz(name, |input| call(target, input));
                thread::Builder::new().name(name.to_owned()).spawn_scoped(scope, fuzz).unwrap();
            }
        });
        let folders = fs::read_dir(self.corpus).unwrap();
        assert_eq!(folders.count(), targets.len(), "a folder of {:?} has no target", self.corpus);
    }

    fn fuzz(&self, name: &str, target: impl Fn(&[u8]) -> bool) {
        let corpus = self.replay(name, &target);
        let mutations =
            env::var("ZVFS_FUZZ_MUTATIONS").map_or(self.mutations, |number| number.parse().unwrap());
        let mut random = Random(0x6e70_6970_6500 + name.len() as u64);
        for number in 0..mutations {
            let mut input = corpus[random.below(corpus.len())].clone();
            for _ in 0..=random.below(self.changes) {
                self.mutate(&mut input, &corpus, &mut random);
            }
            input.truncate(self.longest);
            let outcome = catch_unwind(AssertUnwindSafe(|| target(&input)));
            assert!(outcome.is_ok(), "{name}, mutation {number}: {}", input.escape_ascii());
        }
    }

    /// Runs the corpus: what is called `valid-` must be valid, anything else must not.
    fn replay(&self, name: &str, target: impl Fn(&[u8]) -> bool) -> Vec<Vec<u8>> {
        let files = fs::read_dir(self.corpus.join(name)).unwrap();
        let mut files: Vec<_> = files.map(|entry| entry.unwrap().path()).collect();
        files.sort();
        let inputs: Vec<Vec<u8>> = files.iter().map(|file| fs::read(file).unwrap()).collect();
        for (file, input) in files.iter().zip(&inputs) {
            let valid = file.file_name().unwrap().to_string_lossy().starts_with("valid-");
            assert_eq!(target(input), valid, "{}", file.display());
        }
        assert!(files.len() >= 2, "{name} has a corpus");
        inputs
    }

    fn mutate(&self, input: &mut Vec<u8>, corpus: &[Vec<u8>], random: &mut Random) {
        let at = random.below(input.len());
        let span = random.below((input.len() - at).min(64) + 1);
        match random.below(8) {
            0 if !input.is_empty() => input[at] ^= 1 << random.below(8),
            1 if !input.is_empty() => [input[at]] = random.bytes(),
            2 => drop(input.drain(at..at + span)),
            3 => input.truncate(at),
            4 => {
                let piece = input[at..at + span].to_vec();
                input.splice(at..at, piece);
            }
            5 => {
                let other = &corpus[random.below(corpus.len())];
                input.extend_from_slice(&other[random.below(other.len())..]);
            }
            _ => (self.own_change)(input, random),
        }
    }
}
