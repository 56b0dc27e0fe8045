//! The hashes of librqbit, in Rust. Stands in place of its own crate of this name (`[patch]` in the workspace's manifest), whose
//! two choices are OpenSSL and AWS-LC: a library of the system's or a C build, for a hash.

use sha1::Digest as _;

/// SHA-1, as librqbit asks for it.
pub trait ISha1 {
    /// Of nothing yet.
    fn new() -> Self;
    /// Goes on.
    fn update(&mut self, bytes: &[u8]);
    /// The hash.
    fn finish(self) -> [u8; 20];
}

/// SHA-256, as librqbit asks for it.
pub trait ISha256 {
    /// Of nothing yet.
    fn new() -> Self;
    /// Goes on.
    fn update(&mut self, bytes: &[u8]);
    /// The hash.
    fn finish(self) -> [u8; 32];
    /// The same hash, under its other name.
    fn finish_id32(self) -> [u8; 32]
    where
        Self: Sized,
    {
        self.finish()
    }
}

/// Its SHA-1.
#[derive(Clone, Debug)]
pub struct Sha1(sha1::Sha1);

impl ISha1 for Sha1 {
    fn new() -> Sha1 {
        Sha1(sha1::Sha1::new())
    }

    fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    fn finish(self) -> [u8; 20] {
        self.0.finalize().into()
    }
}

/// Its SHA-256.
#[derive(Clone, Debug)]
pub struct Sha256(sha2::Sha256);

impl ISha256 for Sha256 {
    fn new() -> Sha256 {
        Sha256(sha2::Sha256::new())
    }

    fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    fn finish(self) -> [u8; 32] {
        self.0.finalize().into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// The examples of FIPS 180.
    #[test]
    fn hashes_are_the_standards() {
        let mut sha1 = Sha1::new();
        let mut sha256 = Sha256::new();
        for part in [&b"a"[..], b"bc"] {
            sha1.update(part);
            sha256.update(part);
        }
        assert_eq!(hex(&sha1.finish()), "a9993e364706816aba3e25717850c26c9cd0d89d");
        let expected = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(hex(&sha256.finish()), expected);
    }
}
