//! The guest's randomness: a stream that its seed determines.

use crate::exit::{ExitCode, Failure};
use rustix::io::Errno;
use rustix::rand::{GetRandomFlags, getrandom};
use sha2::{Digest, Sha256};

/// SHA-256 in counter mode: block `n` is the hash of the key and `n`. It stays unpredictable to who doesn't know the key, and
/// costs no dependency that the sandbox doesn't have already. Most guests want no random number: the key is made for the first one.
pub(super) struct Random {
    seed: Seed,
    key: Option<[u8; 32]>,
    counter: u64,
    block: [u8; 32],
    used: usize,
}

/// What the key is made of.
enum Seed {
    Fixed { program: [u8; 32], node: Option<String>, seed: Option<u64> },
    Entropy,
}

impl Random {
    /// A stream that only the program's digest, the node's name and the manifest's seed decide.
    pub(super) fn seeded(program: &[u8; 32], node: Option<&str>, seed: Option<u64>) -> Random {
        Random::of(Seed::Fixed { program: *program, node: node.map(str::to_owned), seed })
    }

    /// A stream from the host's entropy.
    pub(super) fn entropy() -> Random {
        Random::of(Seed::Entropy)
    }

    fn of(seed: Seed) -> Random {
        Random { seed, key: None, counter: 0, block: [0; 32], used: 32 }
    }

    /// Fills with the next bytes of the stream. How it is cut into calls makes no difference.
    ///
    /// # Errors
    /// The host has no entropy to give.
    pub(super) fn fill(&mut self, mut into: &mut [u8]) -> Result<(), Failure> {
        let key = match self.key {
            Some(key) => key,
            None => *self.key.insert(self.seed.key()?),
        };
        while !into.is_empty() {
            if self.used == self.block.len() {
                let hash = Sha256::new().chain_update(key).chain_update(self.counter.to_le_bytes());
                self.block = hash.finalize().into();
                self.counter = self.counter.wrapping_add(1);
                self.used = 0;
            }
            let count = into.len().min(self.block.len() - self.used);
            let (now, later) = into.split_at_mut(count);
            now.copy_from_slice(&self.block[self.used..self.used + count]);
            self.used += count;
            into = later;
        }
        Ok(())
    }
}

impl Seed {
    fn key(&self) -> Result<[u8; 32], Failure> {
        match self {
            Seed::Fixed { program, node, seed } => Ok(fixed_key(program, node.as_deref(), *seed)),
            Seed::Entropy => entropy().map_err(|error| {
                Failure::new(ExitCode::Io, format!("seed the guest's random numbers: {error}"))
            }),
        }
    }
}

fn fixed_key(program: &[u8; 32], node: Option<&str>, seed: Option<u64>) -> [u8; 32] {
    let mut hash = Sha256::new();
    hash.update(b"zvm random 1");
    hash.update(program);
    // Lengths and presence go in too: no two different triples are one text.
    let node = node.map(str::as_bytes);
    hash.update([u8::from(node.is_some()), u8::from(seed.is_some())]);
    hash.update((node.unwrap_or_default().len() as u64).to_le_bytes());
    hash.update(node.unwrap_or_default());
    hash.update(seed.unwrap_or_default().to_le_bytes());
    hash.finalize().into()
}

fn entropy() -> Result<[u8; 32], Errno> {
    let mut key = [0; 32];
    let mut filled = 0;
    while filled < key.len() {
        match getrandom(&mut key[filled..], GetRandomFlags::empty()) {
            Ok(count) => filled += count,
            Err(Errno::INTR) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn first(mut random: Random) -> [u8; 16] {
        let mut bytes = [0; 16];
        random.fill(&mut bytes).unwrap();
        bytes
    }

    #[test]
    fn the_stream_depends_on_program_node_and_seed() {
        let mut streams = vec![
            first(Random::seeded(&[0; 32], None, None)),
            first(Random::seeded(&[1; 32], None, None)),
            first(Random::seeded(&[0; 32], Some(""), None)),
            first(Random::seeded(&[0; 32], Some("1"), None)),
            first(Random::seeded(&[0; 32], None, Some(0))),
            first(Random::seeded(&[0; 32], None, Some(1))),
        ];
        assert_eq!(streams[0], first(Random::seeded(&[0; 32], None, None)));
        streams.sort_unstable();
        streams.dedup();
        assert_eq!(streams.len(), 6);
    }

    #[test]
    fn how_it_is_cut_makes_no_difference() {
        let mut whole = [0; 100];
        Random::seeded(&[7; 32], None, Some(1)).fill(&mut whole).unwrap();
        let (mut cut, mut random) = ([0; 100], Random::seeded(&[7; 32], None, Some(1)));
        for part in cut.chunks_mut(7) {
            random.fill(part).unwrap();
        }
        assert_eq!(whole, cut);
        assert!(whole.iter().any(|byte| *byte != 0));
    }

    #[test]
    fn entropy_differs_each_time() {
        assert_ne!(first(Random::entropy()), first(Random::entropy()));
    }
}
