//! What one call at a time goes through: a line for messages, and a payload for bytes.

use super::line::Line;
use super::payload::{Half, Payload};
use super::socket::{Heard, broken, decoded, encoded};
use super::wire::CHUNK;
#[cfg(test)]
use super::wire::{PACKET, SLOT};
use crate::code::Code;
use crate::error::{Error, Result};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// One end of a connection.
pub struct Connection {
    /// In a box, since a connection is handed from thread to thread.
    line: Box<Line>,
    payload: Payload,
    /// Of the host's own, for bytes of an upcall.
    pub(super) bytes: Vec<u8>,
}

/// What the other side of a connection gets: its socket, its payload's memory, and that of the host's slot and of its own, in this order.
#[derive(Debug)]
pub struct OtherEnd(pub [OwnedFd; 4]);

/// A message's first byte: the rest follows.
const HERE: u8 = 0;
/// The rest's length follows, and it stands in a half of the payload.
const IN_CALL_HALF: u8 = 1;
const IN_UPCALL_HALF: u8 = 2;

impl Connection {
    /// The host's end of a new connection, and the process's.
    ///
    /// # Errors
    /// EMFILE, ENFILE, ENOMEM; EFBIG: files may not be so large (`ulimit -f`).
    pub fn new() -> Result<(Connection, OtherEnd)> {
        let (payload, memory) = Payload::new()?;
        let (line, socket, [host, process]) = Line::new()?;
        let connection = Connection { line: Box::new(line), payload, bytes: Vec::new() };
        Ok((connection, OtherEnd([socket, memory, host, process])))
    }

    /// The payload: bytes of files.
    pub fn payload(&mut self) -> &mut Payload {
        &mut self.payload
    }

    /// Sends one message, and is silent until the other side has answered. A long one goes into its half of the payload.
    ///
    /// # Errors
    /// E2BIG: longer than half a payload. EAGAIN, EPIPE, ECONNRESET: as [`Socket::say`](super::socket::Socket::say).
    pub fn say(
        &mut self,
        half: Half,
        message: &impl Serialize,
        beside: Option<BorrowedFd<'_>>,
    ) -> Result<()> {
        let length = self.write(half, message)?;
        self.line.send(length, beside)
    }

    /// Sends one message that is not answered.
    ///
    /// # Errors
    /// As [`Connection::say`].
    pub fn say_aside(&mut self, half: Half, message: &impl Serialize) -> Result<()> {
        let length = self.write(half, message)?;
        self.line.send_packet(length, None)
    }

    /// Writes a message into the line's buffer, or if it is long into the payload, and where it is into the buffer. Returns how much is to
    /// be sent.
    fn write(&mut self, half: Half, message: &impl Serialize) -> Result<usize> {
        let buffer = self.line.buffer();
        if let Ok(message) = postcard::to_slice(message, &mut buffer[1..]) {
            let length = 1 + message.len();
            buffer[0] = HERE;
            return Ok(length);
        }
        let long = encoded(message)?;
        if long.len() > CHUNK {
            let text = format!("{} bytes in one message, and {CHUNK} fit", long.len());
            return Err(Error::new(Code::E2BIG, text));
        }
        self.payload.put(half, &long);
        buffer[0] = if half == Half::Call { IN_CALL_HALF } else { IN_UPCALL_HALF };
        buffer[1..5].copy_from_slice(&(long.len() as u32).to_le_bytes());
        Ok(5)
    }

    /// Sends bytes as a message, whatever they are: for tests.
    ///
    /// # Errors
    /// EPIPE, ECONNRESET: as [`Connection::say`].
    #[doc(hidden)]
    pub fn say_bytes(&mut self, message: &[u8]) -> Result<()> {
        self.line.buffer()[..message.len()].copy_from_slice(message);
        self.line.send(message.len(), None)
    }

    /// Has the other side ring for its next message: the descriptor is readable then. To be called before what that message answers.
    pub fn wait_by_descriptor(&mut self) {
        self.line.sleep();
    }

    /// Takes the next message.
    ///
    /// # Errors
    /// EIO: not such a message.
    pub fn hear<T: DeserializeOwned>(&mut self) -> Result<Heard<T>> {
        let Connection { line, payload, .. } = self;
        line.hear()?.map(|length| match &line.buffer()[..length] {
            [HERE, message @ ..] => decoded(message),
            &[kind @ (IN_CALL_HALF | IN_UPCALL_HALF), a, b, c, d] => {
                let length = u32::from_le_bytes([a, b, c, d]) as usize;
                if length > CHUNK {
                    return Err(broken("a message is longer than the payload"));
                }
                // Copied once: what the other side changes from now on does not count.
                let mut long = vec![0; length];
                payload.take(if kind == IN_CALL_HALF { Half::Call } else { Half::Upcall }, &mut long);
                decoded(&long)
            }
            _ => Err(broken("a message is of no known kind")),
        })
    }
}

impl TryFrom<Vec<OwnedFd>> for Connection {
    type Error = Error;

    /// A process's end, of what came with a packet.
    fn try_from(descriptors: Vec<OwnedFd>) -> Result<Connection> {
        let [socket, memory, host, process] = <[OwnedFd; 4]>::try_from(descriptors)
            .map_err(|_| broken("a connection comes with a socket, a payload and two slots"))?;
        let (line, payload) = (Line::of(socket, [host, process])?, Payload::of(memory)?);
        Ok(Connection { line: Box::new(line), payload, bytes: Vec::new() })
    }
}

impl OtherEnd {
    /// For a packet.
    pub fn borrowed(&self) -> [BorrowedFd<'_>; 4] {
        self.0.each_ref().map(AsFd::as_fd)
    }
}

impl AsFd for Connection {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.line.as_fd()
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
        for around in [0, SLOT, PACKET, CHUNK - 10] {
            for length in around.saturating_sub(9)..around + 3 {
                let text = "x".repeat(length);
                theirs.say(Half::Call, &text, None).unwrap();
                assert_eq!(heard::<String>(&mut ours), text, "{length}");
            }
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
    fn a_message_that_lies_is_an_error() {
        let (mut ours, mut theirs) = ends();
        let long = (CHUNK as u32 + 1).to_le_bytes();
        for message in [&[4, 1][..], &[], &[HERE], &[1, 0, 0, 0], &[1, 0, 0, 0, 0], &[2, 5, 0, 0, 0, 0]] {
            theirs.say_bytes(message).unwrap();
            assert_eq!(ours.hear::<String>().unwrap_err().code(), Code::EIO, "{message:?}");
        }
        theirs.say_bytes(&[&[IN_CALL_HALF][..], &long].concat()).unwrap();
        assert!(ours.hear::<String>().unwrap_err().to_string().contains("longer than the payload"));
    }

    #[test]
    fn a_connection_without_its_four_descriptors_is_none() {
        let (_connection, OtherEnd([socket, memory, host, process])) = Connection::new().unwrap();
        assert!(Connection::try_from(vec![socket, memory]).is_err());
        assert!(Connection::try_from(vec![host, process]).is_err());
    }
}
