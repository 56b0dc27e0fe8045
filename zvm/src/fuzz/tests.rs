//! The targets on stable: the stored corpus, and a fixed number of mutations of it, in every run.

use super::*;
use std::path::Path;
use zvfs_test_support::{Fuzz, Random};

const MUTATIONS: usize = 500;

/// Appends bytes of any value, or puts in one that means something to a text.
fn own_change(input: &mut Vec<u8>, random: &mut Random) {
    if random.below(2) == 0 {
        input.extend(random.bytes::<16>());
    } else {
        let marks = b"=,;\"/.\n\\0[]{}";
        input.insert(random.below(input.len()), marks[random.below(marks.len())]);
    }
}

#[test]
fn every_target_holds_for_its_corpus_and_mutations() {
    let corpus = &Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus");
    let fuzz = Fuzz { corpus, mutations: MUTATIONS, changes: 8, longest: 8 << 10, own_change };
    fuzz.run(TARGETS, |target, input| target(input));
}

/// Calls that the dice alone choose, each run its own stream.
#[test]
fn calls_by_chance() {
    let mut random = Random(1);
    for number in 0..MUTATIONS {
        let input = random.bytes::<256>();
        let outcome = std::panic::catch_unwind(|| calls(&input));
        assert!(outcome.is_ok(), "run {number}: {}", input.escape_ascii());
    }
}
