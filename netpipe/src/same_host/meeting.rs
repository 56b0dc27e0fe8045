//! What the ends of a handshake know, and nobody else: where they meet, and what each proves there.

use crate::auth::{Secret, Side, Transcript};
use crate::error::{Error, Result};
use crate::values::Role;
use hmac::{Hmac, Mac};
use sha2::Sha256;
use std::fmt;

/// The bytes of what an end sends where they meet.
pub(super) const PROOF: usize = 32;

/// A meeting that a handshake led to.
#[derive(Clone)]
pub struct Meeting {
    /// Which end this side is.
    pub role: Role,
    /// The reader's window in bytes.
    pub window: u32,
    name: [u8; 16],
    proof: [u8; PROOF],
    theirs: Hmac<Sha256>,
}

/// How far a writer has come, as it says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// It waits at the place.
    Waits = 0,
    /// All that follows goes through the ring.
    Leaves = 1,
}

impl Step {
    /// Reads the body of MEETING.
    pub(crate) fn of([byte]: [u8; 1]) -> Result<Step> {
        match byte {
            0 => Ok(Step::Waits),
            1 => Ok(Step::Leaves),
            _ => Err(Error::protocol("a MEETING frame of no known step")),
        }
    }
}

impl Meeting {
    /// Of one side of a handshake.
    pub(crate) fn new(
        secret: Option<&Secret>,
        transcript: &Transcript,
        side: Side,
        role: Role,
        window: u32,
    ) -> Result<Meeting> {
        let mac = |label| transcript.mac(secret, label);
        let name: [u8; 32] = mac(b"netpipe 1 meeting")?.finalize().into_bytes().into();
        let [ours, theirs] = [side, side.other()].map(|side| match side {
            Side::Dialler => &b"netpipe 1 meeting dialler"[..],
            Side::Acceptor => &b"netpipe 1 meeting acceptor"[..],
        });
        let (proof, theirs) = (mac(ours)?.finalize().into_bytes().into(), mac(theirs)?);
        let mut meeting = Meeting { role, window, name: [0; 16], proof, theirs };
        meeting.name.copy_from_slice(&name[..16]);
        Ok(meeting)
    }

    /// Of one side of a conversation in which each side has said a random number.
    pub(crate) fn of_nonces(
        writers: &[u8; 32],
        readers: &[u8; 32],
        role: Role,
        window: u32,
    ) -> Result<Meeting> {
        let side = match role {
            Role::Writer => Side::Dialler,
            Role::Reader => Side::Acceptor,
        };
        Meeting::new(None, &Transcript::new(writers, readers, None), side, role, window)
    }

    /// The name of the place.
    pub fn name(&self) -> String {
        let hex: String = self.name.iter().map(|byte| format!("{byte:02x}")).collect();
        format!("netpipe-{hex}")
    }

    /// What this end sends there.
    pub fn proof(&self) -> &[u8; PROOF] {
        &self.proof
    }

    /// Whether that is what the other end sends, in constant time.
    pub fn is_theirs(&self, proof: &[u8]) -> bool {
        self.theirs.clone().verify_slice(proof).is_ok()
    }
}

impl PartialEq for Meeting {
    fn eq(&self, other: &Meeting) -> bool {
        // Of one side of one handshake there is only one.
        (self.name, self.proof) == (other.name, other.proof)
    }
}

impl Eq for Meeting {}

impl fmt::Debug for Meeting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Meeting(...)")
    }
}
