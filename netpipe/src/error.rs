//! The one error of this crate, and how it is told to a peer: a [`Reason`].

use std::borrow::Cow;
use std::fmt;

/// What every fallible call here returns.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why a conversation cannot go on, or a value cannot be sent.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The first bytes are no netpipe's. Nothing is sent back.
    #[error("the peer does not speak netpipe")]
    NotNetpipe,
    /// The first byte is TLS's, and there is no TLS here. What is sent back no TLS can read, so that it gives up.
    #[error("the peer speaks TLS, and this side does not")]
    Tls,
    /// The peer broke a rule of the protocol.
    #[error("netpipe protocol: {0}")]
    Protocol(Cow<'static, str>),
    /// A frame's CRC is wrong: nothing that follows is used.
    #[error("netpipe: the CRC of a frame is wrong")]
    Checksum,
    /// The digest of what was read is not the writer's.
    #[error("netpipe: digest mismatch at end of stream: the bytes read are not those the writer sent")]
    Corrupted,
    /// The two sides do not share a secret.
    #[error("netpipe: {0}")]
    Denied(Cow<'static, str>),
    /// The peer refused, in its own words.
    #[error("the peer refused: {0}")]
    Refused(Reason),
    /// The writer discarded the pipe.
    #[error("the writer discarded the pipe: {0}")]
    Discarded(Reason),
    /// The connection ended where it may not.
    #[error("netpipe: the peer closed the connection {0}")]
    Closed(&'static str),
    /// The peer speaks netpipe, and did not complete the handshake in time.
    #[error("netpipe: the peer began the handshake and did not complete it in time")]
    Timeout,
    /// The peer said nothing, or too little to know what it speaks, in the time that the handshake has. It may be stopped, or
    /// its machine busy: that is no wrong protocol.
    #[error("netpipe: the peer took the connection and said nothing")]
    Silent,
    /// A value of this side cannot be used.
    #[error("{0}")]
    Invalid(Cow<'static, str>),
    /// The system gave no random bytes.
    #[error("netpipe: no random bytes from the system")]
    Random,
}

impl Error {
    /// The code: a Linux asm-generic errno number. A refusal's is the peer's own, EIO if that is no errno number.
    pub fn code(&self) -> u32 {
        match self {
            Error::NotNetpipe | Error::Tls | Error::Protocol(_) => code::EPROTO,
            Error::Checksum | Error::Corrupted => code::EBADMSG,
            Error::Denied(_) => code::EACCES,
            Error::Refused(reason) => reason.errno(),
            Error::Discarded(_) | Error::Closed(_) => code::ECONNRESET,
            Error::Timeout | Error::Silent => code::ETIMEDOUT,
            Error::Invalid(_) => code::EINVAL,
            Error::Random => code::EIO,
        }
    }

    /// The REFUSAL that tells the peer; `None` where nothing may be sent back.
    pub fn refusal(&self) -> Option<Reason> {
        match self {
            Error::NotNetpipe
            | Error::Silent
            | Error::Refused(_)
            | Error::Discarded(_)
            | Error::Closed(_) => None,
            Error::Protocol(text) => Some(Reason::new(self.code(), text)),
            Error::Denied(text) => Some(Reason::new(self.code(), text)),
            _ => Some(Reason::new(self.code(), &self.to_string())),
        }
    }

    pub(crate) fn protocol(text: impl Into<Cow<'static, str>>) -> Error {
        Error::Protocol(text.into())
    }
}

/// A code and a text, of a refusal or a discard.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reason {
    /// The code as the sender gave it.
    pub code: u32,
    /// The text, without control characters, of at most [`TEXT_MAX`](Self::TEXT_MAX) bytes.
    pub text: String,
}

impl Reason {
    /// The most bytes of its text.
    pub const TEXT_MAX: usize = 512;

    /// Makes a reason. Control characters become spaces; what is over [`TEXT_MAX`](Self::TEXT_MAX) bytes is cut off.
    pub fn new(code: u32, text: &str) -> Reason {
        let mut text: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        text.truncate(text.floor_char_boundary(Self::TEXT_MAX));
        Reason { code, text }
    }

    /// The code if it can be an errno number, else EIO.
    pub fn errno(&self) -> u32 {
        if (1..4096).contains(&self.code) { self.code } else { code::EIO }
    }

    pub(crate) fn body(&self) -> Vec<u8> {
        let clean = Reason::new(self.code, &self.text);
        [&clean.code.to_le_bytes()[..], clean.text.as_bytes()].concat()
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.text.is_empty() { write!(f, "code {}", self.code) } else { f.write_str(&self.text) }
    }
}

/// The codes of the protocol: Linux's asm-generic errno numbers, on every system.
#[allow(missing_docs, reason = "the names are errno's own")]
pub mod code {
    pub const EIO: u32 = 5;
    pub const EACCES: u32 = 13;
    pub const EBUSY: u32 = 16;
    pub const EINVAL: u32 = 22;
    pub const EPIPE: u32 = 32;
    pub const EPROTO: u32 = 71;
    pub const EBADMSG: u32 = 74;
    pub const ECONNRESET: u32 = 104;
    pub const ETIMEDOUT: u32 = 110;
    pub const EHOSTUNREACH: u32 = 113;
    pub const ECANCELED: u32 = 125;
}
