//! One side of a pipe that has met the other, without IO: bytes of the stream go in and come out.

use bytes::Bytes;
use netpipe::Reason;
use std::time::Instant;
use tokio::sync::Notify;
use vfs_core::Code;
use zvfs_net::failure::Failure;

/// What a side wants of whoever moves its bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wish {
    /// To send this.
    Send(Bytes),
    /// To be asked again: after news, after it has heard something, at the latest at this time.
    Wait(Option<Instant>),
    /// Nothing more: everything was said.
    End,
}

/// A side. Several tasks may hold it, so each call is short, and takes what it changes from behind a lock.
pub trait Side: Send + Sync {
    /// Takes bytes of the other side.
    fn hear(&self, bytes: &[u8]);

    /// The stream has ended, well (`None`) or with its connection. Called once, and last.
    fn ended(&self, failure: Option<Failure>);

    /// What it wants now.
    fn wish(&self, now: Instant) -> Wish;

    /// Told whenever its file has changed it.
    fn news(&self) -> &Notify;
}

/// Why memory that both share is of no use any more.
pub fn of_reason(why: &Reason) -> Failure {
    Failure::new(Code::from_raw(why.errno().into()), why.to_string())
}

/// The other side broke the protocol, or refused.
pub fn of_protocol(error: &netpipe::Error) -> Failure {
    Failure::new(Code::from_raw(error.code().into()), error.to_string())
}
