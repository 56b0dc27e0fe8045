//! The fuzz targets on stable: the stored corpus, and a fixed number of mutations of it, in every run.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

mod corpus;
mod memory;
#[path = "../support/random.rs"]
mod random;
mod targets;

use random::Random;
use std::path::PathBuf;
use std::{env, fs};

/// Mutations of each target in each run; ZVFS_FUZZ_MUTATIONS asks for another number.
const MUTATIONS: usize = 20_000;
/// The longest mutated input: over the longest frame, so that every bound is met from above.
const LONGEST: usize = 6 << 10;
/// The most memory that one input may cost, in bytes: a frame or two, whatever lengths the input claims.
const MEMORY: usize = 64 << 10;

type Target = fn(&[u8]) -> bool;

fn run(target: Target, input: &[u8]) -> bool {
    let (taken, peak) = memory::peak(|| target(input));
    assert!(peak <= MEMORY, "{peak} bytes of memory for an input of {}", input.len());
    taken
}

fn folder(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/corpus").join(name)
}

/// Runs the corpus: what is called `valid-` must be taken whole, anything else must not.
fn replay(name: &str, target: Target) -> Vec<Vec<u8>> {
    let mut files: Vec<PathBuf> =
        fs::read_dir(folder(name)).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let inputs: Vec<Vec<u8>> = files.iter().map(|file| fs::read(file).unwrap()).collect();
    for (file, input) in files.iter().zip(&inputs) {
        let valid = file.file_name().unwrap().to_string_lossy().starts_with("valid-");
        assert_eq!(run(target, input), valid, "{}", file.display());
    }
    assert!(files.len() >= 2, "{name} has a corpus");
    inputs
}

/// Runs the corpus and mutations of it.
fn fuzz(name: &str, target: Target) {
    let corpus = replay(name, target);
    let mutations = env::var("ZVFS_FUZZ_MUTATIONS").map_or(MUTATIONS, |number| number.parse().unwrap());
    let mut random = Random(0x6e70_6970_6500 + name.len() as u64);
    for number in 0..mutations {
        let mut input = corpus[random.below(corpus.len())].clone();
        for _ in 0..=random.below(4) {
            mutate(&mut input, &corpus, &mut random);
        }
        input.truncate(LONGEST);
        let shown = input.clone();
        let outcome = std::panic::catch_unwind(|| run(target, &shown));
        assert!(outcome.is_ok(), "{name}, mutation {number}: {}", hex(&input));
    }
}

fn mutate(input: &mut Vec<u8>, corpus: &[Vec<u8>], random: &mut Random) {
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
        6 => {
            let number = [0u32, 1, 11, 12, 255, 256, 4096, 4097, 65_535, 1 << 20, (1 << 20) + 1, u32::MAX];
            let bytes = number[random.below(number.len())].to_le_bytes();
            let width = [1, 2, 4][random.below(3)].min(input.len() - at);
            input[at..at + width].copy_from_slice(&bytes[..width]);
        }
        _ => mend(input),
    }
}

/// Lets the length of the frame behind a selecting byte be what there is, so that its body is looked at.
fn mend(input: &mut [u8]) {
    let length = (input.len() as u32).saturating_sub(13).to_le_bytes();
    if let Some(field) = input.get_mut(5..9) {
        field.copy_from_slice(&length);
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn headers() {
    fuzz("header", targets::header);
}

#[test]
fn decoders() {
    fuzz("decoder", targets::decoder);
}

#[test]
fn hellos() {
    fuzz("hello", targets::hello);
}

#[test]
fn registrations() {
    fuzz("register", targets::register);
}

#[test]
fn acceptors() {
    fuzz("acceptor", targets::acceptor);
}

#[test]
fn diallers() {
    fuzz("dialler", targets::dialler);
}

#[test]
fn incoming_streams() {
    fuzz("incoming", targets::incoming);
}

#[test]
fn descriptors() {
    fuzz("descriptor", targets::descriptor);
}

/// The measure itself: a parser that believed a length would be found.
#[test]
fn memory_is_measured() {
    let ((), peak) = memory::peak(|| drop(std::hint::black_box(vec![1u8; 1 << 20])));
    assert!((1 << 20..2 << 20).contains(&peak), "{peak}");
}
