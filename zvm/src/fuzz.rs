//! What hostile bytes meet: one function for each thing that strangers write.
//!
//! Each panics where a promise is broken, and returns whether it took the input. The tests beside this file run them over
//! the stored corpus and over mutations of it; `fuzz/` runs them under libFuzzer.

use crate::guest::{fuzz_archive as archive, fuzz_calls as calls};
use crate::manifest::{CHANNELS_MAX, Manifest, Nvram};

type Target = fn(&[u8]) -> bool;

/// Each target, and the folder of `tests/corpus` with its corpus.
pub const TARGETS: &[(&str, Target)] = &[
    ("archive", archive),
    ("calls", calls),
    ("configuration", configuration),
    ("manifest", manifest),
    ("nvram", nvram),
];

/// A manifest.
fn manifest(data: &[u8]) -> bool {
    let parsed = Manifest::parse(data);
    if let Err(failure) = &parsed {
        let text = failure.text();
        assert!(text.starts_with("MANIFEST ") && !text.contains('\n') && text.len() < 4096, "{text:?}");
        assert!(!text.chars().any(char::is_control), "{text:?}");
        return false;
    }
    let Ok(manifest) = parsed else { return false };
    assert!((3..=CHANNELS_MAX).contains(&manifest.channels.len()));
    assert!(manifest.memory > 0 && !manifest.timeout.is_zero());
    assert!(manifest.channels.iter().all(|channel| channel.limits.readable() || channel.limits.writable()));
    true
}

/// What `/dev/nvram` says.
fn nvram(data: &[u8]) -> bool {
    match Nvram::parse(data) {
        Ok(nvram) => {
            let texts =
                nvram.args.iter().flatten().chain(nvram.env.iter().flat_map(|(name, value)| [name, value]));
            assert!(texts.into_iter().all(|text| !text.contains('\0')));
            true
        }
        Err(error) => {
            let text = error.to_string();
            assert!(!text.chars().any(char::is_control) && text.len() < 4096, "{text:?}");
            false
        }
    }
}

/// The operator's configuration.
fn configuration(data: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(data) else { return false };
    match vfs_core::Configuration::parse(text) {
        Ok(_) => true,
        Err(error) => {
            assert!(!error.chain().is_empty());
            false
        }
    }
}

#[cfg(test)]
mod tests;
