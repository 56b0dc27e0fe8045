//! What an error of the library means to a caller.

use crate::transport::Refusal;
use object_store::Error;
use std::error::Error as _;
use vfs_core::Code;
use zvfs_net::failure::Failure;

/// Longer words of the library say no more.
const WORDS_MAX: usize = 200;

/// What our own connections, or the store, said; `None`: the library found something by itself.
pub fn of(error: &Error) -> Option<Failure> {
    refusal(error).map(|refusal| refusal.failure.clone())
}

/// The status that a store refused with.
pub fn status(error: &Error) -> Option<u16> {
    refusal(error).and_then(|refusal| refusal.status)
}

/// The failure of a request. What is not a refusal is an answer that the library cannot make sense of.
pub fn meaning(error: &Error) -> Failure {
    of(error).unwrap_or_else(|| {
        let mut cause: &dyn std::error::Error = error;
        while let Some(inner) = cause.source() {
            cause = inner;
        }
        let words: String = cause.to_string().chars().take(WORDS_MAX).collect();
        Failure::new(Code::EPROTO, format!("the store's answer makes no sense: {}", words.escape_debug()))
    })
}

fn refusal(error: &Error) -> Option<&Refusal> {
    let mut cause = error.source();
    while let Some(error) = cause {
        if let Some(refusal) = error.downcast_ref() {
            return Some(refusal);
        }
        cause = error.source();
    }
    None
}
