//! How one message after the other goes between a host and a provider's process: in slots, or as packets.

use super::slots::{Next, Slots};
use super::socket::{Heard, Socket, broken};
use super::wire::{PACKET, SLOT};
use crate::error::Result;
use crate::spin::Spin;
use rustix::net::RecvFlags;
use std::mem;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// The only byte of a packet that says to look into the slot.
const RING: &[u8] = &[3];

/// One end.
pub(super) struct Line {
    socket: Socket,
    slots: Slots,
    spin: Spin,
    buffer: Box<[u8; PACKET]>,
}

impl Line {
    /// The host's end, and the descriptors of the process's: a socket, and the two slots.
    ///
    /// # Errors
    /// EMFILE, ENFILE, ENOMEM; EFBIG: files may not be so large (`ulimit -f`).
    pub(super) fn new() -> Result<(Line, OwnedFd, [OwnedFd; 2])> {
        let (socket, theirs) = Socket::pair()?;
        let (slots, memories) = Slots::new()?;
        Ok((Line::with(socket, slots), theirs, memories))
    }

    /// The process's end.
    ///
    /// # Errors
    /// EIO: the slots are none. ENOMEM.
    pub(super) fn of(socket: OwnedFd, memories: [OwnedFd; 2]) -> Result<Line> {
        Ok(Line::with(Socket::from(socket), Slots::of(memories)?))
    }

    fn with(socket: Socket, slots: Slots) -> Line {
        Line { socket, slots, spin: Spin::default(), buffer: Box::new([0; PACKET]) }
    }

    /// Where a message stands: one to be sent, or one that was heard.
    pub(super) fn buffer(&mut self) -> &mut [u8; PACKET] {
        &mut self.buffer
    }

    /// Sends so many bytes of the buffer, to be answered before anything else is sent like this.
    ///
    /// # Errors
    /// EAGAIN: the other end does not read. EPIPE, ECONNRESET: it is gone.
    pub(super) fn send(&mut self, length: usize, beside: Option<BorrowedFd<'_>>) -> Result<()> {
        if length > SLOT || beside.is_some() {
            return self.send_packet(length, beside);
        }
        if self.slots.put(&self.buffer[..length]) { self.socket.ring(RING) } else { Ok(()) }
    }

    /// Sends so many bytes of the buffer, answered or not.
    ///
    /// # Errors
    /// As [`Line::send`].
    pub(super) fn send_packet(&mut self, length: usize, beside: Option<BorrowedFd<'_>>) -> Result<()> {
        self.slots.announce();
        let sent = self.socket.send(&self.buffer[..length], beside.as_slice());
        sent.inspect_err(|_| self.slots.withdraw())
    }

    /// Puts the next message into the buffer. Returns its length.
    ///
    /// # Errors
    /// EIO: the other side does not keep to the protocol.
    pub(super) fn hear(&mut self) -> Result<Heard<usize>> {
        loop {
            if self.slots.is_awake() {
                // Aside meanwhile: it asks all the rest.
                let mut spin = mem::take(&mut self.spin);
                let heard = spin.ask(|| self.now().transpose());
                self.spin = spin;
                if let Some(heard) = heard {
                    return heard;
                }
                self.slots.sleep();
                if let Some(heard) = self.now()? {
                    self.slots.wake();
                    return Ok(heard);
                }
            }
            match self.receive(RecvFlags::empty())? {
                Some(Heard::Nothing) => return Ok(Heard::Nothing),
                Some(heard) => {
                    self.slots.wake();
                    return Ok(heard);
                }
                None => self.slots.wake(),
            }
        }
    }

    /// Has the other side ring for its next message, so that the socket alone can be waited for.
    pub(super) fn sleep(&mut self) {
        self.slots.sleep();
    }

    /// What there is now.
    fn now(&mut self) -> Result<Option<Heard<usize>>> {
        let sent = match self.slots.next()? {
            Next::Nothing => return Ok(None),
            Next::Message => {
                let length = self.slots.take(&mut self.buffer[..])?;
                return Ok(Some(Heard::Message(length, Vec::new())));
            }
            Next::Packet { sent } => sent,
        };
        loop {
            match self.receive(RecvFlags::DONTWAIT)? {
                Some(Heard::Nothing) if sent => {
                    return Err(broken("a packet that was announced did not come"));
                }
                Some(Heard::Nothing) => return Ok(None),
                Some(heard) => return Ok(Some(heard)),
                None => {}
            }
        }
    }

    /// Takes the next packet. `None`: it was a ring.
    fn receive(&mut self, how: RecvFlags) -> Result<Option<Heard<usize>>> {
        let heard = self.socket.receive(&mut self.buffer[..], how)?;
        if let Heard::Message(length, descriptors) = &heard {
            if self.buffer[..*length] == *RING && descriptors.is_empty() {
                self.slots.rang()?;
                return Ok(None);
            }
            self.slots.packet_came()?;
        }
        Ok(Some(heard))
    }
}

impl AsFd for Line {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::thread;

    fn ends() -> (Line, Line) {
        let (ours, socket, memories) = Line::new().unwrap();
        (ours, Line::of(socket, memories).unwrap())
    }

    fn put(line: &mut Line, message: &[u8]) -> usize {
        line.buffer()[..message.len()].copy_from_slice(message);
        message.len()
    }

    fn say(line: &mut Line, message: &[u8]) {
        let length = put(line, message);
        line.send(length, None).unwrap();
    }

    fn say_aside(line: &mut Line, message: &[u8]) {
        let length = put(line, message);
        line.send_packet(length, None).unwrap();
    }

    fn heard(line: &mut Line) -> Vec<u8> {
        match line.hear().unwrap() {
            Heard::Message(length, _) => line.buffer()[..length].to_vec(),
            _ => panic!("nothing came"),
        }
    }

    #[test]
    fn what_is_said_aside_comes_before_what_is_said_after_it() {
        let (mut ours, mut theirs) = ends();
        for _ in 0..3 {
            say_aside(&mut theirs, b"first");
            say_aside(&mut theirs, &[2; PACKET]);
            say(&mut theirs, b"third");
            assert_eq!(heard(&mut ours), b"first");
            assert_eq!(heard(&mut ours), [2; PACKET]);
            assert_eq!(heard(&mut ours), b"third");
            assert!(matches!(ours.hear(), Ok(Heard::Nothing)));
        }
    }

    #[test]
    fn who_waits_for_the_socket_is_rung() {
        let (mut ours, mut theirs) = ends();
        say(&mut ours, b"\x07");
        assert_eq!(heard(&mut theirs), [7]);
        theirs.sleep();
        say(&mut theirs, b"answer");
        assert_eq!(heard(&mut ours), b"answer");
        say(&mut ours, b"again");
        let mut packet = [0; 9];
        let rung = theirs.socket.receive(&mut packet, RecvFlags::DONTWAIT).unwrap();
        assert!(matches!(rung, Heard::Message(1, _)), "{rung:?}");
    }

    /// However the two sides' spinning, sleeping and ringing meet, no message is lost or comes twice. The process's side waits in the
    /// socket.
    #[test]
    fn all_messages_arrive_in_their_order() {
        const COUNT: u32 = 20_000;
        let (mut ours, mut theirs) = ends();
        let other = thread::spawn(move || {
            for number in 0..COUNT {
                assert_eq!(heard(&mut theirs), number.to_le_bytes());
                if number % 7 == 0 {
                    say_aside(&mut theirs, b"aside");
                }
                say(&mut theirs, &number.to_le_bytes());
            }
        });
        let next = |line: &mut Line| {
            loop {
                match line.hear().unwrap() {
                    Heard::Message(length, _) => break line.buffer()[..length].to_vec(),
                    Heard::Nothing => {
                        let mut ready = [rustix::event::PollFd::new(line, rustix::event::PollFlags::IN)];
                        let limit = rustix::time::Timespec { tv_sec: 60, tv_nsec: 0 };
                        assert_eq!(rustix::event::poll(&mut ready, Some(&limit)), Ok(1), "not rung in 60 s");
                    }
                    Heard::End => panic!("the other side ended"),
                }
            }
        };
        for number in 0..COUNT {
            say(&mut ours, &number.to_le_bytes());
            if number % 7 == 0 {
                assert_eq!(next(&mut ours), b"aside");
            }
            assert_eq!(next(&mut ours), number.to_le_bytes());
        }
        other.join().unwrap();
    }

    #[test]
    fn an_announced_packet_that_does_not_come_is_a_lie() {
        let (mut ours, mut theirs) = ends();
        theirs.slots.announce();
        say(&mut theirs, b"x");
        let Err(error) = ours.hear() else { panic!("taken") };
        assert!(error.to_string().ends_with("a packet that was announced did not come"), "{error}");
    }

    #[test]
    fn a_packet_that_could_not_be_sent_is_not_waited_for() {
        let (mut ours, mut theirs) = ends();
        let sent = (0..100_000).take_while(|_| ours.send_packet(1, None).is_ok()).count();
        assert!((1..100_000).contains(&sent), "{sent}");
        (0..sent).for_each(|_| assert_eq!(heard(&mut theirs), [0]));
        say(&mut ours, b"after");
        assert_eq!(heard(&mut theirs), b"after");
    }

    #[test]
    fn a_packet_that_was_not_announced_is_a_lie() {
        let (mut ours, theirs) = ends();
        theirs.socket.send(b"x", &[]).unwrap();
        let Err(error) = ours.hear() else { panic!("taken") };
        assert!(error.to_string().ends_with("not announced"), "{error}");
    }

    #[test]
    fn rings_for_nothing_are_borne_for_a_while() {
        let (mut ours, theirs) = ends();
        let end = (0..2000).find_map(|_| {
            theirs.socket.ring(RING).unwrap();
            ours.hear().err()
        });
        assert!(end.unwrap().to_string().ends_with("it rang 1000 times for nothing"));
    }
}
