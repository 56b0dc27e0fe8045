//! A session as its guest's calls see it.

use super::clock::Clock;
use super::errno::Errno;
use super::fds::{APPEND, Fd, Fds};
use super::limits::Limits;
use super::names::{Names, Node};
use super::random::Random;
use super::rights::Rights;
use super::stop::Stop;
use crate::channel::{Channel, Channels};
use wasmtime::Memory;

/// What the engine's store carries.
pub(super) struct State {
    /// All that the guest can reach.
    pub(super) channels: Channels,
    /// Which of the channels are regular files to the guest, by number.
    pub(super) regular: Vec<bool>,
    /// The names of them.
    pub(super) names: Names,
    /// Its open descriptors.
    pub(super) fds: Fds,
    /// `argv`, each ended by a NUL.
    pub(super) arguments: Vec<Vec<u8>>,
    /// `name=value`, each ended by a NUL.
    pub(super) environment: Vec<Vec<u8>>,
    /// Its time.
    pub(super) clock: Clock,
    /// Its chance.
    pub(super) random: Random,
    /// Ends it from outside.
    pub(super) stop: Stop,
    /// What it may take of the host's memory.
    pub(super) limits: Limits,
    /// The exported memory, once it is known.
    pub(super) memory: Option<Memory>,
    /// Fuel left, while a call is in progress.
    pub(super) fuel: u64,
    /// Where several buffers are joined; made by the first call that needs it.
    pub(super) buffer: Vec<u8>,
}

/// Opens the three standard descriptors. They have both directions whatever the channel has: a write to stdin is then an
/// exhausted quota, as in ZeroVM, and not a bad descriptor.
pub(super) fn standard_fds(channels: &mut Channels) -> Fds {
    let standard = [0, 1, 2].map(|handle| match channels.by_handle(handle) {
        Some(channel) => {
            let rights = Rights::of_channel(true, true, channel.is_random());
            Fd::channel(handle, rights, append_flag(channel), channel.writable())
        }
        // A session always has the three.
        None => Fd::channel(handle, Rights::NONE, 0, false),
    });
    Fds::new(standard, channels.len())
}

/// The flag of a channel that appends whatever its guest says.
pub(super) fn append_flag(channel: &Channel) -> u16 {
    if channel.appends() { APPEND } else { 0 }
}

impl State {
    /// The channel of a descriptor, with the descriptor.
    ///
    /// # Errors
    /// BADF; `directory` for a directory.
    pub(super) fn channel(&mut self, fd: u32, directory: Errno) -> Result<(&mut Channel, &mut Fd), Errno> {
        let fd = self.fds.at_mut(fd)?;
        let Node::Channel(number) = fd.node else { return Err(directory) };
        let channel = self.channels.by_handle(number).ok_or(Errno::BADF)?;
        Ok((channel, fd))
    }

    /// The directory of a descriptor.
    ///
    /// # Errors
    /// BADF; NOTDIR for a channel.
    pub(super) fn directory(&self, fd: u32) -> Result<usize, Errno> {
        match self.fds.at(fd)?.node {
            Node::Directory(number) => Ok(number),
            Node::Channel(_) => Err(Errno::NOTDIR),
        }
    }
}
