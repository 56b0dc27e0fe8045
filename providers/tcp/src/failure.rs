//! How a pipe came to its end, or why it cannot go on: kept, and told to every later call.

use netpipe::pairing;
use rustix::io::Errno;
use std::net::SocketAddr;
use std::time::Duration;
use vfs_core::Code;
use zvfs_net::failure::{Failure, words};

/// How a writer's pipe came to its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The reader has taken everything.
    Done,
    /// The reader closed before that.
    Closed,
    /// It broke, or was refused.
    Failed(Failure),
}

/// A failure of the state machine, for a file's calls.
pub fn of_pairing(failure: pairing::Failure) -> Failure {
    Failure::new(Code::from_raw(failure.code.into()), failure.text)
}

/// A failure for the state machine.
pub fn for_pairing(failure: Failure) -> pairing::Failure {
    pairing::Failure::new(failure.code.raw().unsigned_abs(), failure.text)
}

/// The other side broke the protocol, or refused.
pub fn of_protocol(error: &netpipe::Error) -> Failure {
    Failure::new(Code::from_raw(error.code().into()), error.to_string())
}

/// A connection that broke. Whatever the kernel calls it, the other side was lost.
pub fn lost(errno: Errno) -> Failure {
    let text = match errno {
        Errno::CONNRESET | Errno::PIPE => "the other side was lost".to_owned(),
        Errno::PROTO => "the other side broke the rules of the memory that both share".to_owned(),
        errno => format!("the other side was lost ({})", words(errno)),
    };
    Failure::new(Code::ECONNRESET, text)
}

/// What was being done where nobody can listen.
pub fn listening(at: SocketAddr, errno: Errno) -> String {
    let privileged = errno == Errno::ACCESS && (1..1024).contains(&at.port());
    let note = match privileged {
        true => " (ports below 1024 need a privilege, which no provider in a process has)",
        false => "",
    };
    format!("listen at {at}{note}")
}

/// A peer that gives no sign of life, though its machine does.
pub fn silent(whom: &str, silence: Duration) -> Failure {
    let text =
        format!("the {whom} gave no sign of life for {} s: its process may be stopped", silence.as_secs());
    Failure::new(Code::ECONNRESET, text)
}
