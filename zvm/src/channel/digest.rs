//! Digests of channels: all bytes that the guest read and wrote, in this order.

use serde::Serialize;
use sha2::{Digest as _, Sha256};
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

/// A digest that grows.
#[derive(Debug)]
pub(super) enum Digest {
    Sha256(Sha256),
    Blake3(Box<blake3::Hasher>),
}

impl Digest {
    pub(super) fn new(algorithm: DigestAlgorithm) -> Digest {
        match algorithm {
            DigestAlgorithm::Sha256 => Digest::Sha256(Sha256::new()),
            DigestAlgorithm::Blake3 => Digest::Blake3(Box::default()),
        }
    }

    pub(super) fn update(&mut self, bytes: &[u8]) {
        match self {
            Digest::Sha256(hash) => hash.update(bytes),
            Digest::Blake3(hash) => {
                hash.update(bytes);
            }
        }
    }

    /// The digest of all bytes so far, in hexadecimal digits.
    pub(super) fn hex(&self) -> String {
        let bytes: [u8; 32] = match self {
            Digest::Sha256(hash) => hash.clone().finalize().into(),
            Digest::Blake3(hash) => hash.finalize().into(),
        };
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digests_are_the_known_ones_however_the_bytes_are_cut() {
        for (algorithm, hex) in [
            (DigestAlgorithm::Sha256, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
            (DigestAlgorithm::Blake3, "6437b3ac38465133ffb63b75273a8db548c558465d79db03fd359c6cd5bd9d85"),
        ] {
            let mut digest = Digest::new(algorithm);
            digest.update(b"a");
            digest.update(b"");
            digest.update(b"bc");
            assert_eq!(digest.hex(), hex);
            assert_eq!(DigestAlgorithm::of_name(algorithm.name()), Some(algorithm));
        }
        assert_eq!(DigestAlgorithm::of_name("SHA-256"), Some(DigestAlgorithm::Sha256));
        assert_eq!(DigestAlgorithm::of_name("md5"), None);
    }
}
