//! NATS's keys: Ed25519 keys with a text form that says whose they are. Stands in place of the crate of this name (`[patch]` in the
//! workspace's manifest), which brings a second implementation of Ed25519 and twenty crates. Has what async-nats asks for.
//!
//! The text is base32 of one or two bytes that say what it is, 32 bytes of key, and a checksum. A public key begins with a letter for
//! its kind, `U` for a user, `A` for an account, `O` for an operator; a seed begins with `S` and that letter.

use ring::signature::{Ed25519KeyPair, KeyPair as _};

const SEED: u8 = 18 << 3;
const ALPHABET: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

/// Why a text is no seed. It does not repeat the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not the seed of an NKEY")]
pub struct Error;

/// A key that can sign.
#[derive(Debug)]
pub struct KeyPair {
    /// What its public key begins with.
    kind: u8,
    key: Ed25519KeyPair,
}

impl KeyPair {
    /// Reads a seed.
    ///
    /// # Errors
    /// It is none: another letter, length or checksum.
    pub fn from_seed(text: &str) -> Result<KeyPair, Error> {
        let bytes: [u8; 36] = decode(text).and_then(|bytes| bytes.try_into().ok()).ok_or(Error)?;
        let [first, second, seed @ .., _, _] = &bytes;
        let kind = first << 5 | second >> 3;
        if bytes[34..] != checksum(&bytes[..34]) || first & !7 != SEED {
            return Err(Error);
        }
        let key = Ed25519KeyPair::from_seed_unchecked(seed).map_err(|_| Error)?;
        Ok(KeyPair { kind, key })
    }

    /// The public key, by which a server knows it.
    pub fn public_key(&self) -> String {
        let mut bytes = vec![self.kind];
        bytes.extend_from_slice(self.key.public_key().as_ref());
        bytes.extend_from_slice(&checksum(&bytes));
        encode(&bytes)
    }

    /// Signs.
    ///
    /// # Errors
    /// None: the crate in whose place this stands has keys that cannot sign.
    pub fn sign(&self, bytes: &[u8]) -> Result<Vec<u8>, Error> {
        Ok(self.key.sign(bytes).as_ref().to_vec())
    }
}

/// CRC-16 as XMODEM has it, the lower byte first.
fn checksum(bytes: &[u8]) -> [u8; 2] {
    let shifted = |crc: u16, _| if crc & 0x8000 == 0 { crc << 1 } else { crc << 1 ^ 0x1021 };
    let crc = bytes.iter().fold(0, |crc, byte| (0..8).fold(crc ^ u16::from(*byte) << 8, shifted));
    crc.to_le_bytes()
}

/// Base32 of RFC 4648, without padding.
fn encode(bytes: &[u8]) -> String {
    let mut text = String::new();
    let (mut bits, mut count) = (0_u32, 0);
    for byte in bytes {
        (bits, count) = (bits << 8 | u32::from(*byte), count + 8);
        while count >= 5 {
            count -= 5;
            text.push(ALPHABET[(bits >> count & 31) as usize].into());
        }
    }
    if count > 0 {
        text.push(ALPHABET[(bits << (5 - count) & 31) as usize].into());
    }
    text
}

fn decode(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    let (mut bits, mut count) = (0_u32, 0);
    for letter in text.bytes() {
        let value = ALPHABET.iter().position(|known| *known == letter)?;
        (bits, count) = (bits << 5 | value as u32, count + 5);
        if count >= 8 {
            count -= 8;
            bytes.push((bits >> count) as u8);
        }
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ring::signature::{ED25519, UnparsedPublicKey};

    /// The pair in NATS's own manual.
    const SEED: &str = "SUACSSL3UAHUDXKFSNVUZRF5UHPMWZ6BFDTJ7M6USDXIEDNPPQYYYCU3VY";
    const PUBLIC: &str = "UDXU4RCSJNZOIQHZNWXHXORDPRTGNJAHAHFRGZNEEJCPQTT2M7NLCNF4";

    #[test]
    fn a_seed_has_the_public_key_that_the_manual_gives() {
        assert_eq!(KeyPair::from_seed(SEED).unwrap().public_key(), PUBLIC);
    }

    #[test]
    fn a_signature_is_verified_by_the_public_key() {
        let pair = KeyPair::from_seed(SEED).unwrap();
        let public = decode(PUBLIC).unwrap();
        let public = UnparsedPublicKey::new(&ED25519, &public[1..33]);
        public.verify(b"nonce", &pair.sign(b"nonce").unwrap()).unwrap();
        assert!(public.verify(b"other", &pair.sign(b"nonce").unwrap()).is_err());
    }

    #[test]
    fn what_is_no_seed_is_refused() {
        let changed = SEED.replacen("CSSL", "CSSM", 1);
        for text in [PUBLIC, &changed, &SEED[..57], "SUA", "", "S3CRET"] {
            assert_eq!(KeyPair::from_seed(text).unwrap_err(), Error, "{text}");
        }
    }
}
