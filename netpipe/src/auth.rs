//! The secret that two sides share, and the proofs that they have it.

use crate::error::{Error, Result};
use hmac::{Hmac, Mac};
use sha2::{Digest, Sha256};
use std::fmt;
use zeroize::Zeroizing;

/// The fewest bytes of a secret.
///
/// A false acceptor gets a PROOF to try secrets against at leisure, so a secret is random bytes, not a password.
pub const SECRET_MIN: usize = 16;
/// The most bytes of a secret: what is longer is some other file.
pub const SECRET_MAX: usize = 4096;
/// The bytes of a proof.
pub(crate) const PROOF: usize = 32;

/// A secret that peers share. It is wiped when dropped, and never printed.
#[derive(Clone)]
pub struct Secret(Zeroizing<Vec<u8>>);

impl Secret {
    /// Takes a secret's bytes. Line ends at their end do not count, so that a file's last newline makes no other secret.
    ///
    /// # Errors
    /// Under [`SECRET_MIN`] or over [`SECRET_MAX`] bytes: [`Error::Invalid`].
    pub fn new(bytes: &[u8]) -> Result<Secret> {
        let end = bytes.iter().rposition(|byte| !b"\r\n".contains(byte)).map_or(0, |last| last + 1);
        if !(SECRET_MIN..=SECRET_MAX).contains(&end) {
            return Err(Error::Invalid(
                format!("a netpipe secret has {SECRET_MIN} to {SECRET_MAX} random bytes, this one has {end}")
                    .into(),
            ));
        }
        Ok(Secret(Zeroizing::new(bytes[..end].to_vec())))
    }

    /// The proof of one side.
    pub(crate) fn prove(&self, side: Side, transcript: &Transcript) -> Result<[u8; PROOF]> {
        Ok(transcript.mac(Some(self), side.label())?.finalize().into_bytes().into())
    }

    /// Checks the proof of one side, in constant time.
    pub(crate) fn verify(&self, side: Side, transcript: &Transcript, proof: &[u8]) -> Result<()> {
        let mac = transcript.mac(Some(self), side.label())?;
        mac.verify_slice(proof).map_err(|_| Error::Denied("the two sides have different secrets".into()))
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(...)")
    }
}

/// Whose proof it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    Dialler,
    Acceptor,
}

impl Side {
    pub fn other(self) -> Side {
        match self {
            Side::Dialler => Side::Acceptor,
            Side::Acceptor => Side::Dialler,
        }
    }

    fn label(self) -> &'static [u8] {
        match self {
            Side::Dialler => b"netpipe 1 dialler",
            Side::Acceptor => b"netpipe 1 acceptor",
        }
    }
}

/// What a proof is about: both HELLO frames whole, as hashes, and the TLS exporter or zeros.
#[derive(Debug, Clone)]
pub(crate) struct Transcript {
    dialler: [u8; 32],
    acceptor: [u8; 32],
    exporter: [u8; 32],
}

impl Transcript {
    pub fn new(dialler: &[u8], acceptor: &[u8], exporter: Option<[u8; 32]>) -> Transcript {
        Transcript {
            dialler: Sha256::digest(dialler).into(),
            acceptor: Sha256::digest(acceptor).into(),
            exporter: exporter.unwrap_or_default(),
        }
    }

    /// What only the two ends can make of it: under their secret, or an empty key where they have none.
    pub fn mac(&self, secret: Option<&Secret>, label: &[u8]) -> Result<Hmac<Sha256>> {
        let key = secret.map_or(&[][..], |secret| &secret.0);
        // HMAC takes keys of any length: the error is one of the trait, not of this type.
        let mut mac = Hmac::<Sha256>::new_from_slice(key)
            .map_err(|_| Error::Invalid("a netpipe secret of this length cannot be used".into()))?;
        mac.update(label);
        mac.update(&self.dialler);
        mac.update(&self.acceptor);
        mac.update(&self.exporter);
        Ok(mac)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Header, Hello, Message};

    /// The section "Examples" of the document, which another implementation has computed.
    #[test]
    fn bytes_are_the_documents_examples() {
        let document = include_str!("../../docs/netpipe-protocol.md");
        let examples = document.split("## 9. Examples").nth(1).unwrap();
        let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        let expected = |label: &str| -> String {
            let (_, text) = examples.split_once(label).unwrap();
            // A value's further lines are indented.
            let lines = text.lines().enumerate().take_while(|(at, line)| *at == 0 || line.starts_with(' '));
            lines.flat_map(|(_, line)| line.trim().chars()).collect()
        };
        let hello = |first: u8| {
            let nonce = std::array::from_fn(|at| first + at as u8);
            Hello { nonce, proof: true, ..Hello::broker() }.to_bytes()
        };
        let (dialler, acceptor) = (hello(0), hello(32));
        assert_eq!(hex(&dialler), expected("dialler's HELLO"));
        assert_eq!(hex(&acceptor), expected("acceptor's HELLO"));
        let secret = Secret::new(b"sixteen bytes at least\n").unwrap();
        let transcript = Transcript::new(&dialler, &acceptor, None);
        for (side, label) in [(Side::Dialler, "dialler's PROOF"), (Side::Acceptor, "acceptor's PROOF")] {
            let proof = secret.prove(side, &transcript).unwrap();
            assert_eq!(hex(&proof), expected(label));
            secret.verify(side, &transcript, &proof).unwrap();
        }
        let data = [&Header::data(b"hello", true).encode()[..], b"hello"].concat();
        assert_eq!(hex(&data), expected("DATA \"hello\""));
        assert_eq!(hex(&Message::End(5).to_bytes()), expected("END 5"));
    }
}
