//! The rules of docs/netpipe-protocol.md, one test or more for each.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

mod frame;
mod handshake;
mod hello;
mod meeting;
mod messages;
mod pipe;
mod secrets;

use netpipe::Error;

/// A field as it is on the wire.
fn field(tag: u16, value: &[u8]) -> Vec<u8> {
    [&tag.to_le_bytes()[..], &(value.len() as u16).to_le_bytes(), value].concat()
}

/// A frame as it is on the wire, without a CRC.
fn raw(kind: u8, body: &[u8]) -> Vec<u8> {
    [&[kind, 0, 0, 0][..], &(body.len() as u32).to_le_bytes(), &[0; 4], body].concat()
}

#[track_caller]
fn assert_code<T: std::fmt::Debug>(result: Result<T, Error>, code: u32, words: &str) {
    let error = result.expect_err(words);
    assert_eq!(error.code(), code, "{error}");
    assert!(error.to_string().contains(words), "{error}");
}

const EACCES: u32 = 13;
const EBUSY: u32 = 16;
const EINVAL: u32 = 22;
const EPROTO: u32 = 71;
const EBADMSG: u32 = 74;
const ECONNRESET: u32 = 104;
const ETIMEDOUT: u32 = 110;
