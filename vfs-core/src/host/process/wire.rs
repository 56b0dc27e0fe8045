//! What a host and a provider's process say to each other: version 3. `docs/placement.md` is the page.
//!
//! It goes two ways, in [postcard](https://postcard.jamesmunns.com/wire-format)'s format:
//!
//! - The *control socket*, one a process, a message a packet: [`ToProcess`] one way, [`FromProcess`] the other. Nobody waits for an answer
//!   there.
//! - *Connections*, as many as calls are in progress. A host's thread writes a [`Call`] and reads [`OnConnection`] until a [`Reply`] comes;
//!   in between it answers upcalls with a `Reply` of its own. So what a layer opens is used on the thread that called the layer.
//!
//! A connection's messages of at most [`SLOT`] bytes stand in shared memory (`slots`); longer ones, those with descriptors and those that
//! nobody answers are packets of its socket.
//!
//! Bytes of files travel beside the messages, in a connection's [`Payload`](super::payload::Payload): those of a call in its first half,
//! those of an upcall in its second one. A message longer than [`PACKET`] stands there too, in the half of what it belongs to: no
//! message of a call or upcall that moves bytes is that long.

mod convert;
#[cfg(test)]
mod tests;

use crate::context::Limits;
use crate::file::{Direction, Finish, Flush, Kind};
use crate::host::walls::Walls;
use crate::provider::Info;
use crate::settings::Settings;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// The protocol's version: both sides say it first, and neither goes on with another.
pub const VERSION: u32 = 3;

/// The most bytes of a file that one call or upcall moves: half a payload.
pub const CHUNK: usize = 1 << 20;

/// The most bytes of a packet; a longer message stands in the payload, and its packet says how long it is.
pub const PACKET: usize = 32 << 10;

/// The most bytes of a message in a slot: with what is said of it, a page.
pub const SLOT: usize = 4096 - 16;

/// Names an open file of the process's, or a call on a name, on both sides: chosen by the host, never used twice.
pub type FileId = u64;

/// Names an inner file that a layer of the process has open: chosen by the host, never used twice.
pub type InnerId = u64;

/// Host to process, on the control socket.
#[derive(Debug, Serialize, Deserialize)]
pub enum ToProcess {
    /// The first word. The library's file goes with the packet: the walls must let it, and what it links to, be read.
    Hello {
        /// The host's [`VERSION`].
        version: u32,
        /// What the process may do, from before the library is loaded.
        walls: Walls,
    },
    /// A new connection: its socket, its payload's memory and that of the host's slot and of the process's go with the packet. Calls come
    /// on it, or, for a connection that the process asked for, its upcalls go there.
    Connection {
        /// The process asked for it with [`FromProcess::NeedConnection`].
        for_upcalls: bool,
    },
    /// A file's control has changed. A later word counts: those with an older generation are not heard. Of a file whose open is
    /// still on its way it counts when that comes.
    Control {
        /// Whose.
        file: FileId,
        /// Cancel and deadline.
        control: ControlState,
    },
}

/// Process to host, on the control socket.
#[derive(Debug, Serialize, Deserialize)]
pub enum FromProcess {
    /// The answer to the host's.
    Hello {
        /// The process's [`VERSION`].
        version: u32,
    },
    /// The walls could not be put up: nothing was loaded.
    NoWalls {
        /// Why, and what to do.
        failure: Failure,
    },
    /// A line of the provider's log.
    Log {
        /// As [`Level`](crate::Level)'s number.
        level: u32,
        /// One line.
        text: String,
    },
    /// A thread of the provider's own, which is in no call of the host's, wants to make an upcall.
    NeedConnection,
}

/// The supervisor's words to its host, on a socket of its own, which the provider's process does not have.
#[derive(Debug, Serialize, Deserialize)]
pub enum FromSupervisor {
    /// The process ended.
    Ended {
        /// As wait(2) returns it.
        status: i32,
    },
}

/// The host's only word to a supervisor. (The end of its socket says the same: stop, then kill.)
#[derive(Debug, Serialize, Deserialize)]
pub enum ToSupervisor {
    /// SIGKILL, now.
    Kill,
}

/// A control as it is now, with the count of its changes.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct ControlState {
    /// Counts its changes, from 1.
    pub generation: u64,
    /// Cancel, and deadline on the monotonic clock.
    pub limits: Limits,
}

/// Host to process, on a connection.
#[derive(Debug, Serialize, Deserialize)]
pub enum Call {
    /// Load the library, whose file came with the [`Hello`](ToProcess::Hello). Answered with [`Reply::Info`].
    Load {
        /// Where the file was found, for messages.
        path: PathBuf,
    },
    /// Start the one instance.
    Start {
        /// The host program's name.
        host: String,
        /// Its version.
        version: String,
        /// All values, secrets too.
        settings: Settings,
    },
    /// Stop it: all its files are closed. The process ends after its answer.
    Stop,
    /// Open a file. Answered with [`Reply::Opened`].
    Open(Request),
    /// Work on a name, which needs no file. Names come as [`Upcall::Names`] before the reply.
    Name(NameCall, Request),
    /// A call of an open file.
    File {
        /// Which.
        file: FileId,
        /// Its control, as it is at the beginning of the call.
        control: ControlState,
        /// The call.
        call: FileCall,
    },
    /// Close a file. Answered when it is closed.
    Close {
        /// Which.
        file: FileId,
    },
}

/// What to open, or which name to work on.
#[derive(Debug, Serialize, Deserialize)]
pub struct Request {
    /// What it is called from now on.
    pub file: FileId,
    /// The scheme that the provider sees.
    pub scheme: String,
    /// As written.
    pub descriptor: String,
    /// The open flags' bits.
    pub flags: u64,
    /// Bytes that will be written.
    pub expected_size: Option<u64>,
    /// Those of scope `OPEN`.
    pub settings: Settings,
    /// The file's control.
    pub control: ControlState,
}

/// What is done with a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum NameCall {
    /// Its status.
    Stat,
    /// Its entries that are UTF-8.
    List,
    /// All its entries.
    Names,
    /// Removes it.
    Remove,
    /// Makes a folder of it.
    MakeFolder,
    /// Removes it, which is an empty folder.
    RemoveFolder,
    /// Sets its time.
    SetModified(Time),
}

/// A call of an open file, in either direction: of the provider's files by the host, of inner files by a layer. Bytes stand in the
/// payload.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub enum FileCall {
    /// Up to so many bytes, to the payload.
    Read {
        /// 1 to [`CHUNK`].
        count: u32,
    },
    /// So many bytes of the payload.
    Write {
        /// 1 to [`CHUNK`].
        count: u32,
    },
    /// Moves the position.
    Seek(Seek),
    /// The position.
    Tell,
    /// Sets the size.
    Truncate {
        /// In bytes.
        size: u64,
    },
    /// Hands on, or makes durable.
    Flush(Flush),
    /// Ends the writing side.
    Finish(Finish),
    /// Like read, at an offset.
    ReadAt {
        /// 1 to [`CHUNK`].
        count: u32,
        /// In bytes.
        offset: u64,
    },
    /// Like write, at an offset.
    WriteAt {
        /// 1 to [`CHUNK`].
        count: u32,
        /// In bytes.
        offset: u64,
    },
    /// Its status.
    Stat,
    /// Lends the kernel file: it goes with the reply's packet. Of the provider's files only.
    Lease(Direction),
    /// So many bytes were moved through the lease.
    Advance {
        /// Which way.
        direction: Direction,
        /// How many.
        count: u64,
    },
    /// Sets the time that it has once it is complete.
    SetModified(Time),
}

/// A time that is to be set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Time {
    /// Nanoseconds before (negative) or after 1970.
    ns: i64,
}

/// Where to seek.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub enum Seek {
    /// From the start.
    Start(u64),
    /// From the position.
    Current(i64),
    /// From the end.
    End(i64),
}

/// Process to host, on a connection.
#[derive(Debug, Serialize, Deserialize)]
pub enum OnConnection {
    /// The call is over.
    Reply(Reply),
    /// The call needs its host. Answered with a [`Reply`].
    Upcall(Upcall),
    /// Answers [`Reply::Names`] of an inner listing: whether it goes on.
    GoOn(bool),
    /// The call says what it waits for; not answered. A few hundred characters.
    Waiting {
        /// What; `None`: it waits no longer.
        object: Option<String>,
        /// Why the last attempt failed.
        refusal: Option<String>,
        /// Whose call.
        file: FileId,
    },
}

/// What a layer, or a listing, needs of its host.
#[derive(Debug, Serialize, Deserialize)]
pub enum Upcall {
    /// Entries of a listing. Answered with [`Reply::Number`]: 1 to go on, 0 to break off.
    Names(Vec<NameEntry>),
    /// Opens an inner file. Answered with [`Reply::Opened`], whose `inner` names it.
    Open(InnerRequest),
    /// The flags that an inner provider supports. Answered with [`Reply::Number`].
    SupportedFlags(InnerRequest),
    /// Works on an inner name. Of a listing the entries come first, as any number of [`Reply::Names`], each answered with
    /// [`OnConnection::GoOn`]; then [`Reply::Done`]. One that is broken off ends so too.
    Name(NameCall, InnerRequest),
    /// A call of an inner file.
    File {
        /// Which.
        inner: InnerId,
        /// The call; no lease.
        call: FileCall,
    },
    /// Closes an inner file.
    Close {
        /// Which.
        inner: InnerId,
    },
}

/// What a layer opens.
#[derive(Debug, Serialize, Deserialize)]
pub struct InnerRequest {
    /// Under whose context: a file of the process's, open or being opened, or a call on a name.
    pub file: FileId,
    /// Of any scheme.
    pub descriptor: String,
    /// The open flags' bits.
    pub flags: u64,
    /// Bytes that will be written.
    pub expected_size: Option<u64>,
    /// Names and texts.
    pub settings: Vec<(String, String)>,
}

/// One name below a directory.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NameEntry {
    /// The last component only. Need not be UTF-8.
    #[serde(with = "convert::bytes")]
    pub bytes: Vec<u8>,
    /// What is known without asking again.
    pub stat: Option<WireStat>,
}

/// The end of a call or an upcall.
#[derive(Debug, Serialize, Deserialize)]
pub enum Reply {
    /// It is done.
    Done,
    /// A count, a position, a size.
    Number(u64),
    /// It is open.
    Opened {
        /// What it can do.
        capabilities: u64,
        /// Its name, for an inner file; else 0.
        inner: InnerId,
    },
    /// What the library says of itself.
    Info(Info),
    /// What is known of a file or a name.
    Stat(WireStat),
    /// Some names of an inner directory.
    Names(Vec<NameEntry>),
    /// A kernel file, which goes with the packet.
    Lease {
        /// Where the position stands in it; `None`: where the descriptor's own does.
        offset: Option<u64>,
        /// The most bytes that may be moved.
        limit: u64,
    },
    /// It failed.
    Failed(Failure),
}

/// An error as it travels.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// Positive.
    pub code: i32,
    /// The same open may succeed later.
    pub retryable: bool,
    /// With its causes, in one line.
    pub text: String,
}

/// A status as it travels.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WireStat {
    kind: Kind,
    size: Option<u64>,
    /// Nanoseconds before (negative) or after 1970.
    modified: Option<i128>,
    version: String,
}
