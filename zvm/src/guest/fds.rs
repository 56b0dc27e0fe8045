//! The table of the guest's file descriptors.

use super::errno::Errno;
use super::names::{Node, ROOT};
use super::rights::Rights;

/// The most descriptors, as a number and as a count.
const FDS_MAX: usize = 1024;
/// The descriptor of the root.
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
    /// [`APPEND`] and [`NONBLOCK`].
    pub(super) flags: u16,
    /// Where a random direction goes on; never above `i64::MAX`.
    pub(super) position: u64,
    /// Counts as a writer of its channel, until it is closed.
    writer: bool,
}

impl Fd {
    /// A descriptor of a channel; its access mode is in the rights. `writer`: as long as it is open, so is the channel's
    /// writing end.
    pub(super) fn channel(number: usize, rights: Rights, flags: u16, writer: bool) -> Fd {
        let node = Node::Channel(number);
        Fd { node, rights, inheriting: Rights::NONE, flags, position: 0, writer }
    }

    /// A descriptor of a directory.
    pub(super) fn directory(number: usize) -> Fd {
        let (rights, inheriting) = (Rights::DIRECTORY, Rights::INHERITING);
        Fd { node: Node::Directory(number), rights, inheriting, flags: 0, position: 0, writer: false }
    }
}

/// The table.
#[derive(Debug)]
pub(super) struct Fds {
    slots: Vec<Option<Fd>>,
    /// How many descriptors hold each channel's writing end open.
    writers: Vec<usize>,
}

impl Fds {
    /// The three standard descriptors and the root, on a session of so many channels.
    pub(super) fn new(standard: [Fd; PREOPEN], channels: usize) -> Fds {
        let mut fds = Fds { slots: Vec::new(), writers: vec![0; channels] };
        for fd in standard.into_iter().chain([Fd::directory(ROOT)]) {
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

    /// Whether this is the root as it was given to the guest.
    pub(super) fn is_preopen(&self, fd: u32) -> bool {
        fd as usize == PREOPEN && self.at(fd).is_ok_and(|fd| fd.node == Node::Directory(ROOT))
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

    /// Closes a descriptor. Returns the channel whose last writer it was.
    ///
    /// # Errors
    /// BADF.
    pub(super) fn close(&mut self, fd: u32) -> Result<Option<usize>, Errno> {
        let slot = self.slots.get_mut(fd as usize).ok_or(Errno::BADF)?;
        let fd = slot.take().ok_or(Errno::BADF)?;
        Ok(self.count(&fd, -1))
    }

    /// Moves a descriptor onto another, which is closed by that. Returns the channel whose last writer that was.
    ///
    /// # Errors
    /// BADF: one of them is not open.
    pub(super) fn renumber(&mut self, from: u32, to: u32) -> Result<Option<usize>, Errno> {
        self.at(from)?;
        self.at(to)?;
        if from == to {
            return Ok(None);
        }
        let ended = self.close(to)?;
        self.slots[to as usize] = self.slots[from as usize].take();
        Ok(ended)
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
        Fd::channel(channel, Rights::of_channel(!write, write, false), 0, write)
    }

    fn fds() -> Fds {
        Fds::new([fd(0, false), fd(1, true), fd(2, true)], 4)
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
        assert_eq!(fds.close(1), Ok(None));
        assert_eq!(fds.close(0), Ok(None));
        assert_eq!(fds.close(4), Ok(Some(1)));
        assert_eq!(fds.close(4), Err(Errno::BADF));
    }

    #[test]
    fn renumbering_closes_the_target() {
        let mut fds = fds();
        assert_eq!(fds.add(fd(3, true)), Ok(4));
        assert_eq!(fds.renumber(4, 1), Ok(Some(1)));
        assert_eq!(fds.at(1).map(|fd| fd.node), Ok(Node::Channel(3)));
        assert_eq!(fds.at(4).unwrap_err(), Errno::BADF);
        assert_eq!(fds.renumber(1, 1), Ok(None));
        assert_eq!(fds.renumber(1, 4), Err(Errno::BADF));
        assert_eq!(fds.close(1), Ok(Some(3)));
    }

    #[test]
    fn only_the_root_on_3_is_the_preopen() {
        let mut fds = fds();
        assert!(fds.is_preopen(3) && !fds.is_preopen(4));
        fds.renumber(1, 3).unwrap();
        assert!(!fds.is_preopen(3));
    }
}
