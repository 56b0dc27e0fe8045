//! Short messages in shared memory, which reach whoever asks for them without a system call.
//!
//! Each side of a connection has a slot for one message, in memory that only it can write. Who has said something does not speak again
//! before it has been answered, so the slot is free when it is needed. What does not fit, or comes with a descriptor, or is not
//! answered, goes through the socket as a packet; the slot's memory says how many packets there were, so that the two ways keep one
//! order, and whoever asks for a message need not ask the socket too.
//!
//! A side that stops asking says so in its memory. It looks once more, and waits for the socket, where it is rung for each message.
//!
//! What the other side writes is read once, and checked.

use super::socket::broken;
use super::wire::SLOT;
use crate::error::Result;
use crate::shared_memory::{Memory, Writer};
use std::os::fd::OwnedFd;
use std::sync::atomic::{Ordering, fence};

/// How many messages have stood in the slot: written last.
const MESSAGES: usize = 0;
/// How many packets its writer has sent, or is about to.
const PACKETS: usize = 4;
/// Whether its writer asks for messages, and need not be rung.
const AWAKE: usize = 8;
/// How many bytes the message has.
const LENGTH: usize = 12;
/// The message.
const BYTES: usize = 16;

const SIZE: usize = BYTES + SLOT;

/// So many times more than there are messages a side may be rung. An honest one is rung at most once for each, which may have been seen
/// before that.
const IN_VAIN: u32 = 1000;

/// Both slots of a connection, as one side has them.
pub(super) struct Slots {
    ours: Memory,
    theirs: Memory,
    /// What our memory says, since it is never read.
    messages: u32,
    packets: u32,
    awake: bool,
    /// What of theirs we have had.
    messages_had: u32,
    packets_had: u32,
    /// How often we may yet be rung. Messages do not save up for more than at first, since who is rung looks at nothing else.
    rings: u32,
}

/// What comes next from the other side.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next {
    Nothing,
    /// A message in its slot.
    Message,
    /// A packet. It is on the socket if there is a message after it; else it may be on its way.
    Packet {
        sent: bool,
    },
}

impl Slots {
    /// The host's, and the descriptors for the process: of the host's slot, and of its own.
    ///
    /// # Errors
    /// EMFILE, ENOMEM. EFBIG: the limit of file sizes is too low.
    pub(super) fn new() -> Result<(Slots, [OwnedFd; 2])> {
        let (ours, host) = Memory::new(SIZE, Writer::Maker)?;
        let (theirs, process) = Memory::new(SIZE, Writer::Other)?;
        Ok((Slots::with(ours, theirs), [host, process]))
    }

    /// The process's.
    ///
    /// # Errors
    /// EIO: not of the right size. ENOMEM.
    pub(super) fn of([host, process]: [OwnedFd; 2]) -> Result<Slots> {
        let theirs = Memory::of(host, SIZE, Writer::Maker)?;
        Ok(Slots::with(Memory::of(process, SIZE, Writer::Other)?, theirs))
    }

    fn with(ours: Memory, theirs: Memory) -> Slots {
        Slots {
            ours,
            theirs,
            messages: 0,
            packets: 0,
            awake: false,
            messages_had: 0,
            packets_had: 0,
            rings: IN_VAIN,
        }
    }

    /// Puts a message of at most [`SLOT`] bytes into our slot. Returns whether the other side must be rung.
    pub(super) fn put(&mut self, message: &[u8]) -> bool {
        self.ours.put(BYTES, message);
        self.ours.store(LENGTH, message.len() as u32);
        self.messages = self.messages.wrapping_add(1);
        fence(Ordering::Release);
        self.ours.store(MESSAGES, self.messages);
        // Of this and `sleep` one comes first: then the other sees what it wrote.
        fence(Ordering::SeqCst);
        self.theirs.load(AWAKE) == 0
    }

    /// Says that a packet is about to be sent.
    pub(super) fn announce(&mut self) {
        self.packets = self.packets.wrapping_add(1);
        self.ours.store(PACKETS, self.packets);
    }

    /// Takes that back: it could not be sent.
    pub(super) fn withdraw(&mut self) {
        self.packets = self.packets.wrapping_sub(1);
        self.ours.store(PACKETS, self.packets);
    }

    /// Looks for what comes next.
    ///
    /// # Errors
    /// EIO: the other side counts in another way than up.
    pub(super) fn next(&self) -> Result<Next> {
        let messages = self.theirs.load(MESSAGES);
        // What was written before a message is seen with it: its bytes, and the packets that come first.
        fence(Ordering::Acquire);
        let packets = self.theirs.load(PACKETS);
        match (messages.wrapping_sub(self.messages_had), packets.wrapping_sub(self.packets_had)) {
            (0, 0) => Ok(Next::Nothing),
            (1, 0) => Ok(Next::Message),
            (messages @ (0 | 1), _) => Ok(Next::Packet { sent: messages == 1 }),
            _ => Err(broken(format_args!("its slot has message {messages} after {}", self.messages_had))),
        }
    }

    /// Takes the message out of the other side's slot. Returns its length.
    ///
    /// # Errors
    /// EIO: it is longer than the slot.
    pub(super) fn take(&mut self, into: &mut [u8]) -> Result<usize> {
        let length = self.theirs.load(LENGTH) as usize;
        if length > SLOT {
            return Err(broken(format_args!("a message of {length} bytes in a slot of {SLOT}")));
        }
        self.theirs.take(BYTES, &mut into[..length]);
        self.messages_had = self.messages_had.wrapping_add(1);
        self.rings = IN_VAIN.min(self.rings + 1);
        Ok(length)
    }

    /// Counts a packet that has come.
    ///
    /// # Errors
    /// EIO: it was not announced.
    pub(super) fn packet_came(&mut self) -> Result<()> {
        if self.theirs.load(PACKETS) == self.packets_had {
            return Err(broken("a packet came that was not announced"));
        }
        self.packets_had = self.packets_had.wrapping_add(1);
        Ok(())
    }

    /// Counts a ring.
    ///
    /// # Errors
    /// EIO: there were too many.
    pub(super) fn rang(&mut self) -> Result<()> {
        let more = self.rings.checked_sub(1);
        self.rings = more.ok_or_else(|| broken(format_args!("it rang {IN_VAIN} times for nothing")))?;
        Ok(())
    }

    /// Whether we ask for messages. At first we sleep.
    pub(super) fn is_awake(&self) -> bool {
        self.awake
    }

    /// Says that we ask from now on.
    pub(super) fn wake(&mut self) {
        self.awake = true;
        self.ours.store(AWAKE, 1);
    }

    /// Says that we have to be rung from now on. Of a message that came before that, nobody rings: look once more.
    pub(super) fn sleep(&mut self) {
        self.awake = false;
        self.ours.store(AWAKE, 0);
        fence(Ordering::SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::code::Code;

    fn sides() -> (Slots, Slots) {
        let (host, theirs) = Slots::new().unwrap();
        (host, Slots::of(theirs).unwrap())
    }

    fn taken(slots: &mut Slots) -> Vec<u8> {
        assert_eq!(slots.next().unwrap(), Next::Message);
        let mut bytes = [0; SLOT];
        let length = slots.take(&mut bytes).unwrap();
        bytes[..length].to_vec()
    }

    #[test]
    fn what_one_side_puts_the_other_takes_once() {
        let (mut host, mut process) = sides();
        for message in [&b""[..], b"x", &[7; SLOT]] {
            host.put(message);
            assert_eq!(taken(&mut process), message);
            assert_eq!(process.next().unwrap(), Next::Nothing);
            process.put(message);
            assert_eq!(taken(&mut host), message);
        }
    }

    #[test]
    fn who_sleeps_is_rung() {
        let (mut host, mut process) = sides();
        assert!(process.put(b"x"), "asleep at first");
        taken(&mut host);
        host.wake();
        assert!(!process.put(b"x"));
        taken(&mut host);
        host.sleep();
        assert!(process.put(b"x"));
    }

    #[test]
    fn packets_come_before_the_message_after_them() {
        let (mut host, mut process) = sides();
        process.announce();
        assert_eq!(host.next().unwrap(), Next::Packet { sent: false });
        process.announce();
        process.put(b"x");
        for _ in 0..2 {
            assert_eq!(host.next().unwrap(), Next::Packet { sent: true });
            host.packet_came().unwrap();
        }
        assert_eq!(taken(&mut host), b"x");
    }

    #[test]
    fn a_side_that_lies_is_found_out() {
        let (mut host, mut process) = sides();
        assert!(host.packet_came().unwrap_err().to_string().ends_with("not announced"));
        process.ours.store(MESSAGES, 2);
        assert!(host.next().unwrap_err().to_string().ends_with("message 2 after 0"));
        process.ours.store(MESSAGES, u32::MAX);
        assert_eq!(host.next().unwrap_err().code(), Code::EIO);
        process.ours.store(MESSAGES, 1);
        process.ours.store(LENGTH, SLOT as u32 + 1);
        assert!(host.take(&mut [0; SLOT]).unwrap_err().to_string().contains("of 4081 bytes"));
        process.ours.store(LENGTH, u32::MAX);
        assert_eq!(host.take(&mut [0; SLOT]).unwrap_err().code(), Code::EIO);
    }

    #[test]
    fn who_rings_for_nothing_is_found_out_and_who_rings_for_each_message_is_not() {
        let (mut host, mut process) = sides();
        for _ in 0..2 * IN_VAIN {
            process.put(b"x");
            taken(&mut host);
            host.rang().unwrap();
        }
        for _ in 0..2 * IN_VAIN {
            process.put(b"x");
            taken(&mut host);
        }
        assert!((0..IN_VAIN).all(|_| host.rang().is_ok()));
        assert_eq!(host.rang().unwrap_err().code(), Code::EIO);
    }
}
