//! A connection's thread: makes one call after the other, and has the connection for the upcalls that are made within them.
#![expect(unsafe_code, reason = "a call's bytes are used where they are, in memory that the host sees too")]

use super::file::Answer;
use super::link::broken;
use super::own::{own, set_own};
use super::process::Process;
use std::os::fd::AsFd;
use vfs_core::process::wire::{CHUNK, Call, Failure, FileCall, OnConnection, Reply};
use vfs_core::process::{Connection, Half, Heard};
use vfs_core::{Code, Error, Result};

/// Serves a connection on this thread, until it ends.
pub(super) fn serve(process: &Process, connection: Connection) {
    set_own(Some(connection));
    while let Some(call) = own(next).flatten() {
        let at_work = process.at_work();
        let (goes_on, stops) = (call.is_ok(), matches!(call, Ok(Call::Stop)));
        let answer = call.and_then(|call| make(process, call));
        let stopped = stops && answer.is_ok();
        // The end cancelled it, and not its host: that one hears how the process ended.
        if answer.is_err() && process.link().has_ended() {
            break;
        }
        let said = own(|connection| say(process, connection, answer));
        drop(at_work);
        if stopped {
            process.leave();
        }
        if !goes_on || !matches!(said, Some(Ok(()))) {
            break;
        }
    }
    set_own(None);
}

/// Refuses the next call of a connection that has no thread. Only a close is made all the same: files are not to stay open. Returns whether
/// the connection goes on.
pub(super) fn refuse(process: &Process, connection: &mut Connection, error: Error) -> bool {
    let Some(call) = next(connection) else { return false };
    connection.wait_by_descriptor();
    let goes_on = call.is_ok();
    let answer = call.and_then(|call| match call {
        Call::Close { .. } => process.call(call).map(Answer::from),
        _ => Err(error),
    });
    say(process, connection, answer).is_ok() && goes_on
}

/// The next call. `None`: the host has no more.
fn next(connection: &mut Connection) -> Option<Result<Call>> {
    match connection.hear() {
        Ok(Heard::Message(call, descriptors)) if descriptors.is_empty() => Some(Ok(call)),
        Ok(Heard::Message(..)) => Some(Err(broken("a call came with descriptors"))),
        Ok(Heard::Nothing | Heard::End) => None,
        Err(error) => Some(Err(error)),
    }
}

fn make(process: &Process, call: Call) -> Result<Answer> {
    let Call::File { file, control, call } = call else { return process.call(call).map(Answer::from) };
    let file = process.files().find(file, control)?;
    let count = bytes_of(&call)?;
    let place = own(|connection| connection.payload().place(Half::Call, count));
    // SAFETY: this thread has its connection, and with it the mapping, until the connection has ended, and no call of this thread uses the half
    // for anything else. The host leaves it alone until it has the reply: a process trusts its host.
    let bytes = place.map(|mut place| unsafe { place.as_mut() });
    file.call(call, bytes.unwrap_or_default())
}

/// How many bytes stand in the payload, or are to stand there.
fn bytes_of(call: &FileCall) -> Result<usize> {
    match *call {
        FileCall::Read { count }
        | FileCall::Write { count }
        | FileCall::ReadAt { count, .. }
        | FileCall::WriteAt { count, .. } => match count as usize {
            count @ 1..=CHUNK => Ok(count),
            _ => Err(Error::new(Code::EINVAL, format!("{count} bytes in one call: 1 to {CHUNK} fit"))),
        },
        _ => Ok(0),
    }
}

fn say(process: &Process, connection: &mut Connection, answer: Result<Answer>) -> Result<()> {
    let failed = |error: &Error| OnConnection::Reply(Reply::Failed(Failure::from(error)));
    let (reply, lent) = match answer {
        Ok(Answer { reply, lent }) => (OnConnection::Reply(reply), lent),
        Err(error) => (failed(&error), None),
    };
    match connection.say(Half::Call, &reply, lent.as_ref().map(AsFd::as_fd)) {
        // Names come in pieces, and so this is what a library says of itself.
        Err(error) if error.code() == Code::E2BIG => {
            let error = error.context(format!("name and settings of provider `{}`", process.provider()));
            connection.say(Half::Call, &failed(&error), None)
        }
        // The kernel counts descriptors under way for the user, and another process's may be too many. The host does without the lease.
        Err(error) if error.code() == Code::ETOOMANYREFS => {
            let error = Error::new(Code::ENOTSUP, "lend a descriptor").with_source(error);
            connection.say(Half::Call, &failed(&error), None)
        }
        said => said,
    }
}
