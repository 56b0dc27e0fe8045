//! Digests of channels: all bytes that the guest read and wrote, in this order.

use crate::manifest::DigestAlgorithm;
use sha2::{Digest as _, Sha256};

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
        }
    }
}
