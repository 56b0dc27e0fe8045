//! The targets on stable: the stored corpus, and a fixed number of mutations of it, in every run.

use super::*;
use std::path::PathBuf;
use std::{env, fs};

/// Mutations of each target in each run; ZVFS_FUZZ_MUTATIONS asks for another number.
const MUTATIONS: usize = 500;
/// The longest mutated input.
const LONGEST: usize = 8 << 10;

struct Random(u64);

impl Random {
    /// splitmix64: the same numbers in every run.
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, end: usize) -> usize {
        if end == 0 { 0 } else { (self.next() % end as u64) as usize }
    }
}

fn folder(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/corpus").join(name)
}

/// Runs the corpus: what is called `valid-` must be taken, anything else must not.
fn replay(name: &str, target: fn(&[u8]) -> bool) -> Vec<Vec<u8>> {
    let mut files: Vec<PathBuf> =
        fs::read_dir(folder(name)).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let inputs: Vec<Vec<u8>> = files.iter().map(|file| fs::read(file).unwrap()).collect();
    for (file, input) in files.iter().zip(&inputs) {
        let valid = file.file_name().unwrap().to_string_lossy().starts_with("valid-");
        assert_eq!(target(input), valid, "{}", file.display());
    }
    assert!(files.len() >= 2, "{name} has a corpus");
    inputs
}

fn fuzz(name: &str, target: fn(&[u8]) -> bool) {
    let corpus = replay(name, target);
    let mutations = env::var("ZVFS_FUZZ_MUTATIONS").map_or(MUTATIONS, |number| number.parse().unwrap());
    let mut random = Random(0x7a76_6d00 + name.len() as u64);
    for number in 0..mutations {
        let mut input = corpus[random.below(corpus.len())].clone();
        for _ in 0..=random.below(8) {
            mutate(&mut input, &corpus, &mut random);
        }
        input.truncate(LONGEST);
        let shown = input.clone();
        let outcome = std::panic::catch_unwind(|| target(&shown));
        assert!(outcome.is_ok(), "{name}, mutation {number}: {}", input.escape_ascii());
    }
}

fn mutate(input: &mut Vec<u8>, corpus: &[Vec<u8>], random: &mut Random) {
    let at = random.below(input.len());
    let span = random.below((input.len() - at).min(64) + 1);
    match random.below(8) {
        0 if !input.is_empty() => input[at] ^= 1 << random.below(8),
        1 if !input.is_empty() => input[at] = random.next() as u8,
        2 => drop(input.drain(at..at + span)),
        3 => input.extend((0..16).map(|_| random.next() as u8)),
        4 => {
            let piece = input[at..at + span].to_vec();
            input.splice(at..at, piece);
        }
        5 => {
            let other = &corpus[random.below(corpus.len())];
            input.extend_from_slice(&other[random.below(other.len())..]);
        }
        6 => drop(input.splice(at..at, b"=,;\"/.\n\\0[]{}".iter().copied().skip(random.below(12)).take(1))),
        _ => input.truncate(at),
    }
}

#[test]
fn calls_of_a_hostile_guest() {
    fuzz("calls", calls);
}

#[test]
fn manifests() {
    fuzz("manifest", manifest);
}

#[test]
fn nvram_texts() {
    fuzz("nvram", nvram);
}

#[test]
fn configurations() {
    fuzz("configuration", configuration);
}

#[test]
fn archives() {
    fuzz("archive", archive);
}

/// Calls that the dice alone choose, each run its own stream.
#[test]
fn calls_by_chance() {
    let mut random = Random(1);
    for number in 0..MUTATIONS {
        let input: Vec<u8> = (0..256).map(|_| random.next() as u8).collect();
        let outcome = std::panic::catch_unwind(|| calls(&input));
        assert!(outcome.is_ok(), "run {number}: {}", input.escape_ascii());
    }
}
