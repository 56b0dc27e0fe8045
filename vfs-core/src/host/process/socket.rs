//! A socket that carries one message a packet, and descriptors beside it.

use super::wire::PACKET;
use crate::code::Code;
use crate::error::{Error, Result};
use postcard::Deserializer;
use postcard::de_flavors::Flavor;
use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
use rustix::io::Errno;
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, SocketFlags, SocketType, recvmsg, send, sendmsg, socketpair,
};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// The most descriptors of a packet: a connection's socket, its payload and its two slots.
const DESCRIPTORS: usize = 4;

/// The most bytes of a message that are neither text nor a name: lengths, numbers, kinds. An item of a list may be two of them, and takes
/// fifty times as much in memory.
const PARTS: usize = 64 << 10;

/// One end. The host's never waits; a process's waits in each call.
pub struct Socket(OwnedFd);

/// What came.
#[derive(Debug)]
pub enum Heard<T> {
    /// A message, and the descriptors beside it.
    Message(T, Vec<OwnedFd>),
    /// Nothing yet: of an end that does not wait.
    Nothing,
    /// The other end is gone.
    End,
}

impl Socket {
    /// The host's end, and the one for the process.
    ///
    /// # Errors
    /// EMFILE, ENFILE, ENOMEM.
    pub fn pair() -> Result<(Socket, OwnedFd)> {
        let pair = socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None);
        let (ours, theirs) = pair.map_err(io::Error::from)?;
        let flags = fcntl_getfl(&ours).map_err(io::Error::from)?;
        fcntl_setfl(&ours, flags | OFlags::NONBLOCK).map_err(io::Error::from)?;
        Ok((Socket(ours), theirs))
    }

    /// Sends one message, with descriptors beside it.
    ///
    /// # Errors
    /// E2BIG: longer than a packet. EAGAIN: the other end does not read. EPIPE, ECONNRESET: it is gone.
    pub fn say(&self, message: &impl Serialize, descriptors: &[BorrowedFd<'_>]) -> Result<()> {
        let mut packet = [0; PACKET];
        match postcard::to_slice(message, &mut packet) {
            Ok(packet) => self.send(packet, descriptors),
            Err(_) => Err(Error::new(Code::E2BIG, format!("more than {PACKET} bytes in one message"))),
        }
    }

    /// Takes the next message.
    ///
    /// # Errors
    /// EIO: not such a message.
    pub fn hear<T: DeserializeOwned>(&self) -> Result<Heard<T>> {
        let mut packet = [0; PACKET];
        self.receive(&mut packet, RecvFlags::empty())?.map(|length| decoded(&packet[..length]))
    }

    /// Sends one packet.
    pub(super) fn send(&self, packet: &[u8], descriptors: &[BorrowedFd<'_>]) -> Result<()> {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(DESCRIPTORS))];
        let mut beside = SendAncillaryBuffer::new(&mut space);
        if !descriptors.is_empty() && !beside.push(SendAncillaryMessage::ScmRights(descriptors)) {
            return Err(Error::new(
                Code::E2BIG,
                format!("a packet with more than {DESCRIPTORS} descriptors"),
            ));
        }
        loop {
            match sendmsg(&self.0, &[IoSlice::new(packet)], &mut beside, SendFlags::NOSIGNAL) {
                Err(Errno::INTR) => {}
                sent => return Ok(sent.map(drop).map_err(io::Error::from)?),
            }
        }
    }

    /// Sends a short packet, but for an end that has so much to read that there is no room for it.
    pub(super) fn ring(&self, packet: &[u8]) -> Result<()> {
        match send(&self.0, packet, SendFlags::NOSIGNAL | SendFlags::DONTWAIT) {
            Ok(_) | Err(Errno::AGAIN) => Ok(()),
            Err(errno) => Err(io::Error::from(errno).into()),
        }
    }

    /// Takes the next packet: its length. With `DONTWAIT` a process's end does not wait either.
    pub(super) fn receive(&self, packet: &mut [u8], how: RecvFlags) -> Result<Heard<usize>> {
        // One more than there may be, so that the kernel tells of a surplus by handing it over, or by CTRUNC.
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(DESCRIPTORS + 1))];
        let mut beside = RecvAncillaryBuffer::new(&mut space);
        let how = how | RecvFlags::CMSG_CLOEXEC;
        let came = loop {
            match recvmsg(&self.0, &mut [IoSliceMut::new(packet)], &mut beside, how) {
                // The second: the other end closed before it had read all, which is said once, before what it sent.
                Err(Errno::INTR | Errno::CONNRESET) => {}
                came => break came,
            }
        };
        // First: what came is open, and closed with this list whatever is wrong.
        let mut descriptors = Vec::new();
        for message in beside.drain() {
            if let RecvAncillaryMessage::ScmRights(rights) = message {
                descriptors.extend(rights);
            }
        }
        match came {
            Err(Errno::AGAIN) => Ok(Heard::Nothing),
            Err(errno) => Err(io::Error::from(errno).into()),
            Ok(came) if came.flags.intersects(ReturnFlags::TRUNC | ReturnFlags::CTRUNC) => {
                Err(broken("a packet is too long, or has too many descriptors"))
            }
            Ok(_) if descriptors.len() > DESCRIPTORS => Err(broken("a packet has too many descriptors")),
            // Nobody sends an empty packet.
            Ok(came) if came.bytes == 0 => Ok(Heard::End),
            Ok(came) => Ok(Heard::Message(came.bytes, descriptors)),
        }
    }
}

impl From<OwnedFd> for Socket {
    /// A process's end.
    fn from(socket: OwnedFd) -> Socket {
        Socket(socket)
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl<T> Heard<T> {
    pub(super) fn map<U>(self, decode: impl FnOnce(T) -> Result<U>) -> Result<Heard<U>> {
        Ok(match self {
            Heard::Message(message, descriptors) => Heard::Message(decode(message)?, descriptors),
            Heard::Nothing => Heard::Nothing,
            Heard::End => Heard::End,
        })
    }
}

/// A message's bytes.
///
/// # Errors
/// ENOMEM.
pub fn encoded(message: &impl Serialize) -> Result<Vec<u8>> {
    postcard::to_allocvec(message).map_err(|error| Error::from(Code::ENOMEM).with_source(error.to_string()))
}

/// The message that all the bytes belong to.
///
/// # Errors
/// EIO: they are no such message, or one of too many parts.
pub fn decoded<T: DeserializeOwned>(bytes: &[u8]) -> Result<T> {
    let mut reader = Deserializer::from_flavor(Reader { bytes, left: PARTS });
    let message = T::deserialize(&mut reader);
    let (rest, left) = reader.finalize().map_err(|_| broken("a message cannot be read"))?;
    match message {
        Ok(message) if rest.is_empty() => Ok(message),
        Ok(_) => Err(broken("a message is longer than it should be")),
        Err(_) if left == 0 => Err(broken("a message has too many parts")),
        Err(error) => Err(broken("a message cannot be read").with_source(error.to_string())),
    }
}

/// Reads a message of at most [`PARTS`].
struct Reader<'m> {
    bytes: &'m [u8],
    left: usize,
}

impl<'m> Flavor<'m> for Reader<'m> {
    type Remainder = (&'m [u8], usize);
    type Source = &'m [u8];

    fn pop(&mut self) -> postcard::Result<u8> {
        self.left = self.left.checked_sub(1).ok_or(postcard::Error::DeserializeUnexpectedEnd)?;
        self.try_take_n(1).map(|byte| byte[0])
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.bytes.len())
    }

    fn try_take_n(&mut self, count: usize) -> postcard::Result<&'m [u8]> {
        let taken = self.bytes.split_off(..count);
        taken.ok_or(postcard::Error::DeserializeUnexpectedEnd)
    }

    fn finalize(self) -> postcard::Result<Self::Remainder> {
        Ok((self.bytes, self.left))
    }
}

/// The other side does not keep to the protocol.
pub(super) fn broken(what: impl std::fmt::Display) -> Error {
    Error::new(Code::EIO, format!("broke the protocol: {what}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::io::dup;

    fn ends() -> (Socket, Socket) {
        let (ours, theirs) = Socket::pair().unwrap();
        (ours, Socket::from(theirs))
    }

    #[test]
    fn a_message_comes_with_its_descriptors() {
        let (ours, theirs) = ends();
        theirs.say(&("word", 7u32), &[theirs.as_fd()]).unwrap();
        let Heard::Message((word, number), descriptors) = ours.hear::<(String, u32)>().unwrap() else {
            panic!("nothing came");
        };
        assert_eq!((word.as_str(), number, descriptors.len()), ("word", 7, 1));
        assert!(matches!(ours.hear::<u32>(), Ok(Heard::Nothing)));
    }

    #[test]
    fn what_was_said_before_the_end_is_heard() {
        let (ours, theirs) = ends();
        theirs.say(&7u32, &[]).unwrap();
        drop(theirs);
        assert!(matches!(ours.hear(), Ok(Heard::Message(7u32, _))));
        assert!(matches!(ours.hear::<u32>(), Ok(Heard::End)));
        assert_eq!(ours.say(&7u32, &[]).unwrap_err().code(), Code::EPIPE);
    }

    #[test]
    fn what_is_no_such_message_is_an_error() {
        let (ours, theirs) = ends();
        for packet in [&[1, b'a', b'b'][..], &[0xff; 11], &[5, b'a']] {
            theirs.send(packet, &[]).unwrap();
            assert_eq!(ours.hear::<String>().unwrap_err().code(), Code::EIO, "{packet:?}");
        }
        theirs.send(&[0; PACKET + 1], &[]).unwrap();
        assert!(ours.hear::<String>().unwrap_err().to_string().contains("too long"));
    }

    #[test]
    fn surplus_descriptors_are_closed() {
        let (ours, theirs) = ends();
        let (kept, sent) = Socket::pair().unwrap();
        let many: Vec<_> = (0..9).map(|_| dup(&sent).unwrap()).collect();
        drop(sent);
        // Past `send`, which does not let them through.
        let borrowed: Vec<_> = many.iter().map(AsFd::as_fd).collect();
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(9))];
        let mut beside = SendAncillaryBuffer::new(&mut space);
        assert!(beside.push(SendAncillaryMessage::ScmRights(&borrowed)));
        sendmsg(&theirs.0, &[IoSlice::new(b"x")], &mut beside, SendFlags::empty()).unwrap();
        drop(many);
        assert!(ours.hear::<u8>().is_err());
        assert!(matches!(kept.hear::<u8>(), Ok(Heard::End)), "a descriptor is still open");
    }

    #[test]
    fn who_does_not_read_is_noticed() {
        let (ours, _theirs) = ends();
        let full = (0..100_000).find_map(|_| ours.say(&7u32, &[]).err()).unwrap();
        assert_eq!(full.code(), Code::EAGAIN);
    }
}
