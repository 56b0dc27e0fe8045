//! libFuzzer over one target, which `ZVFS_FUZZ_TARGET` names. `fuzz/run` builds and runs it.
#![no_main]

#[path = "../../netpipe/tests/fuzz/targets.rs"]
mod netpipe_targets;
#[path = "../../vfs-core/tests/fuzz.rs"]
mod vfs_core_targets;

use std::env;
use std::sync::LazyLock;

type Target = fn(&[u8]) -> bool;

/// The folder of each crate, and its targets.
const CRATES: [(&str, &[(&str, Target)]); 3] = [
    ("netpipe", netpipe_targets::TARGETS),
    ("vfs-core", vfs_core_targets::TARGETS),
    ("zvm", zvm::fuzz::TARGETS),
];

/// A target is named as its corpus: `netpipe/decoder` is `netpipe/tests/corpus/decoder`.
static TARGET: LazyLock<Target> = LazyLock::new(|| {
    let wanted = env::var("ZVFS_FUZZ_TARGET").unwrap_or_default();
    let find = |(folder, targets): (&str, &[(&str, Target)])| {
        let name = wanted.strip_prefix(folder)?.strip_prefix('/')?;
        targets.iter().find(|target| target.0 == name).map(|target| target.1)
    };
    CRATES
        .into_iter()
        .find_map(find)
        .unwrap_or_else(|| panic!("no fuzz target `{wanted}`: add it to its crate's TARGETS"))
});

libfuzzer_sys::fuzz_target!(init: LazyLock::force(&TARGET), |data: &[u8]| {
    TARGET(data);
});
