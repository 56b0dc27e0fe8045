//! A session as its guest's calls see it.

use super::clock::{Clock, ClockId};
use super::errno::Errno;
use super::fds::{APPEND, Fd, Fds};
use super::memory_budget::MemoryBudget;
use super::random::Random;
use super::rights::Rights;
use super::stop::Stop;
use super::strings::Strings;
use super::tree::{Device, Node, OwnTree};
use crate::channel::{Channel, Channels};
use wasmtime::Memory;

/// What the engine's store carries.
pub(super) struct State {
    /// All that the guest can reach.
    pub(super) channels: Channels,
    /// What kind of file each channel is to the guest, by number.
    pub(super) filetypes: Vec<u8>,
    /// The names of them, and the guest's own files.
    pub(super) tree: OwnTree,
    /// Its open descriptors.
    pub(super) fds: Fds,
    /// `argv`.
    pub(super) arguments: Strings,
    /// Each `name=value`.
    pub(super) environment: Strings,
    /// Its time.
    pub(super) clock: Clock,
    /// Its chance.
    pub(super) random: Random,
    /// Ends it from outside.
    pub(super) stop: Stop,
    /// What it may take of the host's memory.
    pub(super) memory_budget: MemoryBudget,
    /// The exported memory, once it is known.
    pub(super) memory: Option<Memory>,
    /// Fuel left, while a call is in progress.
    pub(super) fuel: u64,
    /// Where several buffers are joined; made by the first call that needs it.
    pub(super) buffer: Vec<u8>,
}

/// Opens the three standard descriptors. They have both directions whatever the channel has: a write to stdin is then an
/// exhausted quota, as in ZeroVM, and not a bad descriptor.
pub(super) fn standard_fds(channels: &mut Channels, preopened: Vec<Fd>) -> Fds {
    let standard = [0, 1, 2].map(|handle| match channels.by_handle(handle) {
        Some(channel) => {
            let rights = Rights::of_file(true, true, channel.is_random());
            Fd::channel(handle, rights, append_flag(channel), channel.writable())
        }
        // A session always has the three.
        None => Fd::channel(handle, Rights::NONE, 0, false),
    });
    Fds::new(standard, preopened, channels.len())
}

/// The flag of a channel that appends whatever its guest says.
pub(super) fn append_flag(channel: &Channel) -> u16 {
    if channel.appends() { APPEND } else { 0 }
}

/// What reads and writes go to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FdTarget {
    /// A channel, by its number.
    Channel(usize),
    /// A file of the tree.
    File(usize),
    /// A device.
    Device(Device),
}

impl State {
    /// What a descriptor reads and writes.
    ///
    /// # Errors
    /// BADF; `directory` for a directory.
    pub(super) fn target(&self, fd: u32, directory: Errno) -> Result<FdTarget, Errno> {
        self.target_of(self.fds.at(fd)?, directory)
    }

    /// The same of a descriptor that was looked up.
    ///
    /// # Errors
    /// As [`target`](State::target).
    pub(super) fn target_of(&self, fd: &Fd, directory: Errno) -> Result<FdTarget, Errno> {
        match fd.node {
            Node::Channel(number) => Ok(FdTarget::Channel(number)),
            Node::File(at) => Ok(FdTarget::File(at)),
            Node::Device(number) => Ok(FdTarget::Device(self.tree.device(number)?)),
            Node::Directory(_) => Err(directory),
            Node::Link(_) => Err(Errno::BADF),
        }
    }

    /// A channel, by its number.
    ///
    /// # Errors
    /// BADF.
    pub(super) fn channel(&mut self, number: usize) -> Result<&mut Channel, Errno> {
        self.channels.by_handle(number).ok_or(Errno::BADF)
    }

    /// The directory of a descriptor.
    ///
    /// # Errors
    /// BADF; NOTDIR for anything else.
    pub(super) fn directory(&self, fd: u32) -> Result<usize, Errno> {
        match self.fds.at(fd)?.node {
            Node::Directory(at) => Ok(at),
            _ => Err(Errno::NOTDIR),
        }
    }

    /// A reading of the clock, for the times of what the guest changes.
    pub(super) fn now(&mut self) -> u64 {
        self.clock.now(ClockId::Realtime)
    }
}
