//! The table of the guest's file descriptors.

use super::errno::Errno;
use super::rights::Rights;
use super::tree::{Node, ROOT};
use std::sync::Arc;

/// The most descriptors, as a number and as a count.
const FDS_MAX: usize = 1024;
/// The descriptor of the root; other directories that the guest is given follow it.
const PREOPEN: usize = 3;

/// Writes go to the end.
pub(super) const APPEND: u16 = 1;
/// Reads and writes don't wait; of no effect on a channel that always waits for all.
pub(super) const NONBLOCK: u16 = 4;

/// An open descriptor.
#[derive(Clone, Debug)]
pub(super) struct Fd {
    /// What it is open on.
    pub(super) node: Node,
    /// What it may do; a directory's are for show.
    pub(super) rights: Rights,
    /// What descriptors opened from it may do.
    pub(super) inheriting: Rights,
    /// [`APPEND`], [`NONBLOCK`], and on files those that promise durability.
    pub(super) flags: u16,
    /// Where a random direction goes on; never above `i64::MAX`.
    pub(super) position: u64,
    /// The name under which the guest was given it, as a directory that was open before the guest was.
    pub(super) preopen: Option<Arc<str>>,
    /// Counts as a writer of its channel, until it is closed.
    writer: bool,
}

impl Fd {
    /// A descriptor of a channel; its access mode is in the rights. `writer`: as long as it is open, so is the channel's
    /// writing end.
    pub(super) fn channel(number: usize, rights: Rights, flags: u16, writer: bool) -> Fd {
        Fd { writer, ..Fd::new(Node::Channel(number), rights, Rights::NONE, flags) }
    }

    /// A descriptor of a file.
    pub(super) fn file(node: Node, rights: Rights, flags: u16) -> Fd {
        Fd::new(node, rights, Rights::NONE, flags)
    }

    /// A descriptor of a directory.
    pub(super) fn directory(directory: usize, rights: Rights, inheriting: Rights) -> Fd {
        Fd::new(Node::Directory(directory), rights, inheriting, 0)
    }

    /// A directory that is open before the guest starts.
    pub(super) fn preopened(directory: usize, name: &str) -> Fd {
        Fd { preopen: Some(name.into()), ..Fd::directory(directory, Rights::DIRECTORY, Rights::INHERITING) }
    }

    fn new(node: Node, rights: Rights, inheriting: Rights, flags: u16) -> Fd {
        Fd { node, rights, inheriting, flags, position: 0, preopen: None, writer: false }
    }
}

/// What a close leaves to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Closed {
    /// What was open.
    pub(super) node: Node,
    /// The channel whose last writer it was.
    pub(super) ended: Option<usize>,
}

/// The table.
#[derive(Debug)]
pub(super) struct Fds {
    slots: Vec<Option<Fd>>,
    /// How many descriptors hold each channel's writing end open.
    writers: Vec<usize>,
}

impl Fds {
    /// The three standard descriptors, the root, and what else is given, on a session of so many channels.
    pub(super) fn new(standard: [Fd; PREOPEN], preopened: Vec<Fd>, channels: usize) -> Fds {
        let mut fds = Fds { slots: Vec::new(), writers: vec![0; channels] };
        for fd in standard.into_iter().chain([Fd::preopened(ROOT, "/")]).chain(preopened) {
            fds.count(&fd, 1);
            fds.slots.push(Some(fd));
        }
        fds
    }

    /// Looks a descriptor up.
    ///
    /// # Errors
    /// BADF.
    pub(super) fn at(&self, fd: u32) -> Result<&Fd, Errno> {
        self.slots.get(fd as usize).and_then(Option::as_ref).ok_or(Errno::BADF)
    }

    /// Looks a descriptor up, to change it.
    ///
    /// # Errors
    /// BADF.
    pub(super) fn at_mut(&mut self, fd: u32) -> Result<&mut Fd, Errno> {
        self.slots.get_mut(fd as usize).and_then(Option::as_mut).ok_or(Errno::BADF)
    }

    /// The name under which a directory was given to the guest.
    ///
    /// # Errors
    /// BADF: it was not.
    pub(super) fn preopen(&self, fd: u32) -> Result<Arc<str>, Errno> {
        self.at(fd)?.preopen.clone().ok_or(Errno::BADF)
    }

    /// Adds a descriptor under the lowest free number from 4: a program never gets another file for its standard ones.
    ///
    /// # Errors
    /// MFILE.
    pub(super) fn add(&mut self, fd: Fd) -> Result<u32, Errno> {
        let number = self.free()?;
        if number == self.slots.len() {
            self.slots.push(None);
        }
        self.count(&fd, 1);
        self.slots[number] = Some(fd);
        Ok(number as u32)
    }

    /// The number that the next descriptor gets.
    ///
    /// # Errors
    /// MFILE.
    pub(super) fn free(&self) -> Result<usize, Errno> {
        let taken = |number: &usize| matches!(self.slots.get(*number), Some(Some(_)));
        (PREOPEN + 1..FDS_MAX).find(|number| !taken(number)).ok_or(Errno::MFILE)
    }

    /// Closes a descriptor.
    ///
    /// # Errors
    /// BADF.
    pub(super) fn close(&mut self, fd: u32) -> Result<Closed, Errno> {
        let slot = self.slots.get_mut(fd as usize).ok_or(Errno::BADF)?;
        let fd = slot.take().ok_or(Errno::BADF)?;
        Ok(Closed { node: fd.node, ended: self.count(&fd, -1) })
    }

    /// Moves a descriptor onto another, which is closed by that; `None`: onto itself.
    ///
    /// # Errors
    /// BADF: one of them is not open.
    pub(super) fn renumber(&mut self, from: u32, to: u32) -> Result<Option<Closed>, Errno> {
        self.at(from)?;
        self.at(to)?;
        if from == to {
            return Ok(None);
        }
        let closed = self.close(to)?;
        self.slots[to as usize] = self.slots[from as usize].take();
        Ok(Some(closed))
    }

    /// Counts a writer in or out, and says whose last one went.
    fn count(&mut self, fd: &Fd, change: isize) -> Option<usize> {
        let Fd { node: Node::Channel(channel), writer: true, .. } = *fd else { return None };
        let writers = self.writers.get_mut(channel)?;
        *writers = writers.saturating_add_signed(change);
        (*writers == 0).then_some(channel)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fd(channel: usize, write: bool) -> Fd {
        Fd::channel(channel, Rights::of_file(!write, write, false), 0, write)
    }

    fn fds() -> Fds {
        Fds::new([fd(0, false), fd(1, true), fd(2, true)], Vec::new(), 4)
    }

    #[test]
    fn the_lowest_free_number_is_never_a_standard_one() {
        let mut fds = fds();
        fds.close(0).unwrap();
        assert_eq!(fds.add(fd(3, false)), Ok(4));
        assert_eq!(fds.add(fd(3, false)), Ok(5));
        fds.close(4).unwrap();
        assert_eq!(fds.add(fd(3, false)), Ok(4));
        assert_eq!(fds.at(0).unwrap_err(), Errno::BADF);
        assert_eq!(fds.at(u32::MAX).unwrap_err(), Errno::BADF);
    }

    #[test]
    fn there_are_1024() {
        let mut fds = fds();
        for number in 4..1024 {
            assert_eq!(fds.add(fd(3, false)), Ok(number));
        }
        assert_eq!(fds.add(fd(3, false)), Err(Errno::MFILE));
    }

    #[test]
    fn the_last_writer_of_a_channel_is_told() {
        let mut fds = fds();
        assert_eq!(fds.add(fd(1, true)), Ok(4));
        assert_eq!(fds.close(1).map(|closed| closed.ended), Ok(None));
        assert_eq!(fds.close(0).map(|closed| closed.ended), Ok(None));
        assert_eq!(fds.close(4), Ok(Closed { node: Node::Channel(1), ended: Some(1) }));
        assert_eq!(fds.close(4), Err(Errno::BADF));
    }

    #[test]
    fn renumbering_closes_the_target() {
        let mut fds = fds();
        assert_eq!(fds.add(fd(3, true)), Ok(4));
        assert_eq!(fds.renumber(4, 1), Ok(Some(Closed { node: Node::Channel(1), ended: Some(1) })));
        assert_eq!(fds.at(1).map(|fd| fd.node), Ok(Node::Channel(3)));
        assert_eq!(fds.at(4).unwrap_err(), Errno::BADF);
        assert_eq!(fds.renumber(1, 1), Ok(None));
        assert_eq!(fds.renumber(1, 4), Err(Errno::BADF));
        assert_eq!(fds.close(1).map(|closed| closed.ended), Ok(Some(3)));
    }

    #[test]
    fn the_root_is_given_as_3_and_others_after_it() {
        let mut fds = fds();
        assert_eq!((fds.preopen(3).as_deref(), fds.preopen(1)), (Ok("/"), Err(Errno::BADF)));
        fds.renumber(1, 3).unwrap();
        assert_eq!(fds.preopen(3), Err(Errno::BADF));
        let standard = [fd(0, false), fd(1, true), fd(2, true)];
        let mut fds = Fds::new(standard, vec![Fd::preopened(7, "lib")], 4);
        assert_eq!((fds.preopen(4).as_deref(), fds.add(fd(3, false))), (Ok("lib"), Ok(5)));
    }
}
