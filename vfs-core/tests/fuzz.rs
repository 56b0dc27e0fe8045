//! What hostile bytes meet: one function for each parser, for any input.
//!
//! Each panics where the crate breaks a promise, and returns whether it took the input. The test runs them over the stored corpus;
//! `fuzz/` runs them under libFuzzer.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking, its helpers too")]

use url::Url;
use vfs_core::{Descriptor, Shown, is_printable};

type Target = fn(&[u8]) -> bool;

/// Each target, and the folder of `tests/corpus` with its corpus.
pub const TARGETS: &[(&str, Target)] = &[("descriptor", descriptor)];

/// A descriptor. Its form for messages is short and printable, hides the user and the password of a URL, and names its host.
fn descriptor(data: &[u8]) -> bool {
    let Ok(text) = str::from_utf8(data) else { return false };
    let shown = Shown(text).to_string();
    assert_eq!(Shown(text).to_cow(), shown);
    assert!(shown.len() < 4096 && shown.chars().all(is_printable), "{shown:?}");
    let Ok(descriptor) = Descriptor::parse(text) else { return false };
    assert_eq!(descriptor.to_string(), shown);
    assert!(text.ends_with(descriptor.rest()));
    if let Ok(url) = descriptor.url()
        && let Some(host) = url.host_str()
        && !shown.ends_with("bytes)")
    {
        let seen = Url::parse(&shown.replacen("***@", "", 1)).unwrap();
        assert_eq!(seen.host_str(), Some(host), "{text} is shown as {shown}");
        assert!(seen.username().is_empty() && seen.password().is_none(), "{text} is shown as {shown}");
    }
    true
}

#[test]
fn what_is_valid_in_the_corpus_is_taken_and_the_rest_refused() {
    for (name, target) in TARGETS {
        let mut taken = 0;
        for file in std::fs::read_dir(format!("tests/corpus/{name}")).unwrap() {
            let path = file.unwrap().path();
            let valid = path.file_name().unwrap().to_string_lossy().starts_with("valid-");
            assert_eq!(target(&std::fs::read(&path).unwrap()), valid, "{}", path.display());
            taken += usize::from(valid);
        }
        assert!(taken >= 2, "{name}");
    }
}
