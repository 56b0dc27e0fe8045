//! What one call at a time goes through: a socket for messages, and a payload for bytes.

use super::payload::{Half, Payload};
use super::socket::{Heard, Socket, broken, decoded, encoded};
use super::spin::Spin;
use super::wire::{CHUNK, PACKET};
use crate::code::Code;
use crate::error::{Error, Result};
use rustix::net::RecvFlags;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// One end of a connection.
pub struct Connection {
    socket: Socket,
    payload: Payload,
    packet: Box<[u8; PACKET]>,
    spin: Spin,
    /// Of the host's own, for bytes of an upcall.
    pub(super) bytes: Vec<u8>,
}

/// What the other side of a connection gets: its socket and its payload's memory, in this order.
#[derive(Debug)]
pub struct OtherEnd(pub [OwnedFd; 2]);

/// A packet's first byte: the message follows.
const HERE: u8 = 0;
/// Its length follows, and it stands in a half of the payload.
const IN_CALL_HALF: u8 = 1;
const IN_UPCALL_HALF: u8 = 2;

impl Connection {
    /// The host's end of a new connection, and the process's.
    ///
    /// # Errors
    /// EMFILE, ENFILE, ENOMEM.
    pub fn new() -> Result<(Connection, OtherEnd)> {
        let (socket, theirs) = Socket::pair()?;
        let (payload, memory) = Payload::new()?;
        Ok((Connection::of(socket, payload), OtherEnd([theirs, memory])))
    }

    fn of(socket: Socket, payload: Payload) -> Connection {
        Connection {
            socket,
            payload,
            packet: Box::new([0; PACKET]),
            spin: Spin::default(),
            bytes: Vec::new(),
        }
    }

    /// The payload: bytes of files.
    pub fn payload(&mut self) -> &mut Payload {
        &mut self.payload
    }

    /// Sends one message. A long one goes into its half of the payload.
    ///
    /// # Errors
    /// E2BIG: longer than half a payload. EAGAIN, EPIPE, ECONNRESET: as [`Socket::say`].
    pub fn say(
        &mut self,
        half: Half,
        message: &impl Serialize,
        beside: Option<BorrowedFd<'_>>,
    ) -> Result<()> {
        self.packet[0] = HERE;
        let length = match postcard::to_slice(message, &mut self.packet[1..]) {
            Ok(message) => 1 + message.len(),
            Err(_) => self.put(half, message)?,
        };
        self.socket.send(&self.packet[..length], beside.as_slice())
    }

    /// Puts a long message into the payload, and where it is into the packet. Returns the packet's length.
    fn put(&mut self, half: Half, message: &impl Serialize) -> Result<usize> {
        let long = encoded(message)?;
        if long.len() > CHUNK {
            let text = format!("{} bytes in one message, and {CHUNK} fit", long.len());
            return Err(Error::new(Code::E2BIG, text));
        }
        self.payload.put(half, &long);
        self.packet[0] = if half == Half::Call { IN_CALL_HALF } else { IN_UPCALL_HALF };
        self.packet[1..5].copy_from_slice(&(long.len() as u32).to_le_bytes());
        Ok(5)
    }

    /// Takes the next message.
    ///
    /// # Errors
    /// EIO: not such a message.
    pub fn hear<T: DeserializeOwned>(&mut self) -> Result<Heard<T>> {
        let Connection { socket, packet, spin, .. } = self;
        let now = spin.ask(|| match socket.receive(&mut packet[..], RecvFlags::DONTWAIT) {
            Ok(Heard::Nothing) => None,
            heard => Some(heard),
        });
        let heard = now.unwrap_or_else(|| socket.receive(&mut packet[..], RecvFlags::empty()))?;
        heard.map(|length| match &self.packet[..length] {
            [HERE, message @ ..] => decoded(message),
            &[kind @ (IN_CALL_HALF | IN_UPCALL_HALF), a, b, c, d] => {
                let length = u32::from_le_bytes([a, b, c, d]) as usize;
                if length > CHUNK {
                    return Err(broken("a message is longer than the payload"));
                }
                // Copied once: what the other side changes from now on does not count.
                let mut long = vec![0; length];
                self.payload.take(if kind == IN_CALL_HALF { Half::Call } else { Half::Upcall }, &mut long);
                decoded(&long)
            }
            _ => Err(broken("a packet is of no known kind")),
        })
    }
}

impl TryFrom<Vec<OwnedFd>> for Connection {
    type Error = Error;

    /// A process's end, of what came with a packet.
    fn try_from(descriptors: Vec<OwnedFd>) -> Result<Connection> {
        let [socket, memory] = <[OwnedFd; 2]>::try_from(descriptors)
            .map_err(|_| broken("a connection comes with a socket and a payload"))?;
        Ok(Connection::of(Socket::from(socket), Payload::of(memory)?))
    }
}

impl OtherEnd {
    /// For a packet.
    pub fn borrowed(&self) -> [BorrowedFd<'_>; 2] {
        self.0.each_ref().map(AsFd::as_fd)
    }
}

impl AsFd for Connection {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ends() -> (Connection, Connection) {
        let (ours, OtherEnd(theirs)) = Connection::new().unwrap();
        (ours, Connection::try_from(Vec::from(theirs)).unwrap())
    }

    fn heard<T: DeserializeOwned>(connection: &mut Connection) -> T {
        match connection.hear().unwrap() {
            Heard::Message(message, _) => message,
            _ => panic!("nothing came"),
        }
    }

    #[test]
    fn a_message_of_any_length_arrives_and_leaves_the_other_half_alone() {
        let (mut ours, mut theirs) = ends();
        ours.payload().put(Half::Upcall, b"bytes");
        for length in [0, 1, PACKET - 10, PACKET, PACKET + 1, CHUNK - 10] {
            let text = "x".repeat(length);
            theirs.say(Half::Call, &text, None).unwrap();
            assert_eq!(heard::<String>(&mut ours), text, "{length}");
        }
        let mut bytes = [0; 5];
        theirs.payload().take(Half::Upcall, &mut bytes);
        assert_eq!(&bytes, b"bytes");
    }

    #[test]
    fn a_message_that_does_not_fit_is_not_sent() {
        let (mut ours, mut theirs) = ends();
        let error = theirs.say(Half::Call, &vec![0u8; CHUNK], None).unwrap_err();
        assert_eq!(error.code(), Code::E2BIG);
        assert!(matches!(ours.hear::<Vec<u8>>(), Ok(Heard::Nothing)));
    }

    #[test]
    fn a_packet_that_lies_is_an_error() {
        let (mut ours, theirs) = ends();
        let long = (CHUNK as u32 + 1).to_le_bytes();
        for packet in [&[3, 1][..], &[HERE], &[1, 0, 0, 0], &[1, 0, 0, 0, 0], &[2, 5, 0, 0, 0, 0]] {
            theirs.socket.send(packet, &[]).unwrap();
            assert_eq!(ours.hear::<String>().unwrap_err().code(), Code::EIO, "{packet:?}");
        }
        theirs.socket.send(&[&[IN_CALL_HALF][..], &long].concat(), &[]).unwrap();
        assert!(ours.hear::<String>().unwrap_err().to_string().contains("longer than the payload"));
    }

    #[test]
    fn a_connection_without_its_two_descriptors_is_none() {
        let (_connection, OtherEnd([socket, memory])) = Connection::new().unwrap();
        assert!(Connection::try_from(vec![socket]).is_err());
        assert!(Connection::try_from(vec![memory]).is_err());
    }
}
