//! Digests over a whole pipe: what the writer sent against what the reader read.
//!
//! A CRC finds what a wire or a machine between the two flips; a digest also finds what the two ends' own software loses,
//! doubles or mixes up.

use sha2::{Digest as _, Sha256};

/// The algorithms, each with a feature bit of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Algorithm {
    /// SHA-256.
    Sha256,
    /// BLAKE3.
    Blake3,
}

impl Algorithm {
    /// The feature bit.
    pub fn feature(self) -> u64 {
        match self {
            Algorithm::Sha256 => 1 << 1,
            Algorithm::Blake3 => 1 << 2,
        }
    }

    /// The algorithm in use on a connection with these features.
    pub fn of(features: u64) -> Option<Algorithm> {
        [Algorithm::Sha256, Algorithm::Blake3].into_iter().find(|one| features & one.feature() != 0)
    }
}

/// A digest that grows with a pipe's payload.
#[derive(Debug, Clone)]
pub struct Digest(Hasher);

#[derive(Debug, Clone)]
enum Hasher {
    Sha256(Sha256),
    Blake3(Box<blake3::Hasher>),
}

impl Digest {
    /// Begins.
    pub fn new(algorithm: Algorithm) -> Digest {
        Digest(match algorithm {
            Algorithm::Sha256 => Hasher::Sha256(Sha256::new()),
            Algorithm::Blake3 => Hasher::Blake3(Box::default()),
        })
    }

    /// Goes on over the next bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        match &mut self.0 {
            Hasher::Sha256(hash) => hash.update(bytes),
            Hasher::Blake3(hash) => {
                hash.update(bytes);
            }
        }
    }

    /// The digest of all bytes so far.
    pub fn value(&self) -> [u8; 32] {
        match &self.0 {
            Hasher::Sha256(hash) => hash.clone().finalize().into(),
            Hasher::Blake3(hash) => hash.finalize().into(),
        }
    }
}
