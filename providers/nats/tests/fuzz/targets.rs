//! What whoever may publish on the server can send: for any message, the parser of frames panics never, and what it takes it writes
//! again as it was.

#[path = "../../src/frame.rs"]
#[allow(dead_code, unused_imports, reason = "the ends use the rest of it")]
mod frame;

use bytes::Bytes;
use frame::Frame;

type Target = fn(&[u8]) -> bool;

/// Each target, and the folder of `tests/corpus` with its corpus.
pub const TARGETS: &[(&str, Target)] = &[("frame", message)];

fn message(data: &[u8]) -> bool {
    let message = Bytes::copy_from_slice(data);
    let Ok(frame) = Frame::decode(&message) else { return false };
    let again = frame.encode();
    assert_eq!(Frame::decode(&again), Ok(frame.clone()));
    assert!(again.len() <= message.len() || matches!(frame, Frame::Discard { .. } | Frame::Refused(_)));
    if let Frame::Data { offset, payload } = frame {
        assert!(offset.checked_add(payload.len() as u64).is_some());
        assert_eq!(again, message);
    }
    true
}
