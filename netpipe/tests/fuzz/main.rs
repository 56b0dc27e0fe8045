//! The fuzz targets on stable: the stored corpus, and a fixed number of mutations of it, in every run.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

mod corpus;
mod memory;
mod targets;

use std::path::Path;
use zvfs_test_support::{Fuzz, Random};

const CORPUS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/corpus");
/// The longest mutation, in bytes: over the longest frame, so that every bound is met from above.
const LONGEST: usize = 6 << 10;
/// The most memory that one input may cost, in bytes: a frame or two, whatever lengths the input claims.
const MEMORY: usize = 64 << 10;

/// Puts in a number that may be a length, or lets the length of the frame behind a selecting byte be what there is, so that its
/// body is looked at.
fn own_change(input: &mut Vec<u8>, random: &mut Random) {
    if random.below(2) == 0 {
        let at = random.below(input.len());
        let number = [0u32, 1, 11, 12, 255, 256, 4096, 4097, 65_535, 1 << 20, (1 << 20) + 1, u32::MAX];
        let bytes = number[random.below(number.len())].to_le_bytes();
        let width = [1, 2, 4][random.below(3)].min(input.len() - at);
        input.splice(at..at + width, bytes.into_iter().take(width));
    } else if input.len() >= 9 {
        let length = (input.len() as u32).saturating_sub(13);
        input.splice(5..9, length.to_le_bytes());
    }
}

#[test]
fn every_target_holds_for_its_corpus_and_mutations() {
    let corpus = Path::new(CORPUS);
    let fuzz = Fuzz { corpus, mutations: 20_000, changes: 4, longest: LONGEST, own_change };
    fuzz.run(targets::TARGETS, |target, input| {
        let (taken, peak) = memory::peak(|| target(input));
        assert!(peak <= MEMORY, "{peak} bytes of memory for an input of {}", input.len());
        taken
    });
}

/// The measure itself: a parser that believed a length would be found.
#[test]
fn memory_is_measured() {
    let ((), peak) = memory::peak(|| drop(std::hint::black_box(vec![1u8; 1 << 20])));
    assert!((1 << 20..2 << 20).contains(&peak), "{peak}");
}
