//! The fuzz target on stable: the stored corpus, and a fixed number of mutations of it, in every run.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

mod targets;

use std::path::Path;
use zvfs_test_support::{Fuzz, Random};

const CORPUS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/corpus");

/// Another type, or a number where one may be.
fn own_change(input: &mut Vec<u8>, random: &mut Random) {
    let types = [1, 2, 3, 4, 5, 6, 0x11, 0x12, 0x13, 0x14, 0x15, 0x21, 0x22, 0x23];
    match input.first_mut() {
        Some(first) if random.below(2) == 0 => *first = types[random.below(types.len())],
        _ => {
            let numbers = [0, 1, 65_535, 65_536, u64::MAX - 1, u64::MAX];
            let at = random.below(input.len());
            let until = (at + 8).min(input.len());
            input.splice(at..until, numbers[random.below(numbers.len())].to_le_bytes());
        }
    }
}

#[test]
fn every_target_holds_for_its_corpus_and_mutations() {
    let corpus = Path::new(CORPUS);
    let fuzz = Fuzz { corpus, mutations: 100_000, changes: 4, longest: 1024, own_change };
    fuzz.run(targets::TARGETS, |target, input| target(input));
}
