//! What a host that must not wait asks for, and what it is told, on their way over the boundary.
#![expect(unsafe_code, reason = "borrows the other side's descriptor")]

use crate::abi;
use crate::bridge::translate::{events_from_abi, limit_from_abi, limit_to_abi};
use crate::code::Code;
use crate::error::{Error, Result};
use crate::file::Interest;
use crate::flags::{Events, Wanted};
use std::os::fd::{AsRawFd, BorrowedFd};

impl Wanted {
    /// Reads a set of ZVFS_FOR_... A bit of a newer version is refused, since nobody would wait for what it means.
    ///
    /// # Errors
    /// EINVAL: none, or an unknown one.
    pub fn from_abi(wanted: u32) -> Result<Wanted> {
        let set = Wanted::from_bits(wanted.into());
        let known = Wanted::READ | Wanted::WRITE | Wanted::FINISH;
        if known.contains(set) && !set.is_empty() {
            return Ok(set);
        }
        let text =
            format!("interest: wanted is {wanted:#x}: name one or more of FOR_READ, FOR_WRITE, FOR_FINISH");
        Err(Error::new(Code::EINVAL, text))
    }
}

impl From<Interest<'_>> for abi::Interest {
    fn from(interest: Interest<'_>) -> abi::Interest {
        abi::Interest {
            struct_size: abi::Interest::SIZE,
            ns: limit_to_abi(interest.after),
            fd: interest.fd.map_or(-1, |fd| fd.as_raw_fd()),
            events: interest.events.bits() as u32,
            ready: interest.ready.bits() as u32,
            reserved: 0,
        }
    }
}

/// What the other side is to fill in.
pub(crate) fn empty_interest() -> abi::Interest {
    abi::Interest { struct_size: abi::Interest::SIZE, ns: 0, fd: 0, events: 0, ready: 0, reserved: 0 }
}

/// Reads what the other side filled in.
///
/// # Safety
/// An fd that is not below 0 stays open for `'a`.
pub(crate) unsafe fn interest_from_abi<'a>(interest: &abi::Interest) -> Interest<'a> {
    Interest {
        ready: Wanted::from_bits(interest.ready.into()),
        // SAFETY: not below 0, and the caller's promise.
        fd: (interest.fd >= 0).then(|| unsafe { BorrowedFd::borrow_raw(interest.fd) }),
        events: events_from_abi(interest.events) & (Events::READ | Events::WRITE),
        after: limit_from_abi(interest.ns),
    }
}
