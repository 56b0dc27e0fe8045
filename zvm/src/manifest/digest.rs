//! The algorithms of digests.

use serde::Serialize;
use std::fmt;

/// How channels are digested.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum DigestAlgorithm {
    /// SHA-256.
    Sha256,
    /// BLAKE3, several times as fast.
    Blake3,
}

impl DigestAlgorithm {
    /// The name in a manifest, a report, and the setting `digest` of providers.
    pub fn name(self) -> &'static str {
        match self {
            DigestAlgorithm::Sha256 => "sha256",
            DigestAlgorithm::Blake3 => "blake3",
        }
    }

    /// The algorithm of a name, in whatever case, with a dash or without.
    pub fn of_name(name: &str) -> Option<DigestAlgorithm> {
        match name.to_ascii_lowercase().replace('-', "").as_str() {
            "sha256" => Some(DigestAlgorithm::Sha256),
            "blake3" => Some(DigestAlgorithm::Blake3),
            _ => None,
        }
    }
}

impl fmt::Display for DigestAlgorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::DigestAlgorithm::{self, Blake3, Sha256};

    #[test]
    fn names_are_read_in_whatever_case_with_a_dash_or_without() {
        for algorithm in [Sha256, Blake3] {
            assert_eq!(DigestAlgorithm::of_name(algorithm.name()), Some(algorithm));
        }
        assert_eq!(DigestAlgorithm::of_name("SHA-256"), Some(Sha256));
        assert_eq!(DigestAlgorithm::of_name("md5"), None);
    }
}
