//! The client at the other end of a connection, and what can be done to it.

use super::answer::{Answer, Body};
use super::request::{Request, line};
use super::stream::Stream;
use crate::pattern;
use std::io::{self, BufReader, ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::Duration;

/// How much is made and sent at once.
const PIECE: usize = 256 << 10;
/// The most of an upload that is kept.
const BODY_MAX: usize = 64 << 20;

/// What becomes of the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum After {
    /// It takes the next request.
    Next,
    /// It is closed.
    Close,
    /// It is reset: what is still under way is lost.
    Reset,
}

/// Whether the server ends, for who waits.
#[derive(Clone, Default)]
pub(super) struct Ending(Arc<(Mutex<bool>, Condvar)>);

impl Ending {
    pub(super) fn begin(&self) {
        *self.0.0.lock().unwrap() = true;
        self.0.1.notify_all();
    }

    pub(super) fn has_begun(&self) -> bool {
        *self.0.0.lock().unwrap()
    }

    fn begins_within(&self, time: Duration) -> bool {
        let begun = self.0.0.lock().unwrap();
        *self.0.1.wait_timeout_while(begun, time, |begun| !*begun).unwrap().0
    }
}

/// The client of one connection. Errors are those of the connection; the function that got one returns it.
pub struct Peer {
    pub(super) stream: BufReader<Stream>,
    pub(super) ending: Ending,
    /// The request's method was HEAD.
    pub(super) headless: bool,
}

impl Peer {
    /// Sends an answer, and closes if its end shows in no other way. Without its body for a HEAD.
    pub fn send(&mut self, answer: &Answer) -> io::Result<After> {
        self.cut(answer, u64::MAX, After::Next)
    }

    /// Sends an answer, but of its body this many bytes only, if it has more; then this happens.
    pub fn cut(&mut self, answer: &Answer, count: u64, after: After) -> io::Result<After> {
        self.raw(&answer.head())?;
        if self.headless {
            return Ok(After::Next);
        }
        self.send_body(&answer.body, count)?;
        let whole = count >= answer.body.size();
        Ok(if whole && after == After::Next && answer.ends_by_close() { After::Close } else { after })
    }

    /// Sends a part of a body.
    pub fn send_body(&mut self, body: &Body, count: u64) -> io::Result<()> {
        match body {
            Body::Bytes(bytes) => self.raw(&bytes[..bytes.len().min(count as usize)]),
            Body::Pattern(range) => {
                let end = range.end.min(range.start.saturating_add(count));
                let (mut at, mut buf) = (range.start, vec![0; PIECE.min((end - range.start) as usize)]);
                while at < end {
                    let count = PIECE.min((end - at) as usize);
                    pattern::fill(at, &mut buf[..count]);
                    self.raw(&buf[..count])?;
                    at += count as u64;
                }
                Ok(())
            }
        }
    }

    /// Sends these bytes.
    pub fn raw(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.get_mut().write_all(bytes)?;
        self.stream.get_mut().flush()
    }

    /// Sends these bytes one by one, with a pause after each.
    pub fn drip(&mut self, bytes: &[u8], pause: Duration) -> io::Result<()> {
        for byte in bytes {
            self.raw(&[*byte])?;
            self.pause(pause)?;
        }
        Ok(())
    }

    /// Ends the connection as somebody between the two would: TCP's end, without TLS's.
    pub fn shut(&mut self) -> io::Result<()> {
        self.stream.get_ref().socket().shutdown(Shutdown::Write)
    }

    /// Does nothing for a while, unless the server stops.
    pub fn pause(&self, time: Duration) -> io::Result<()> {
        if self.ending.begins_within(time) { Err(ErrorKind::ConnectionAborted.into()) } else { Ok(()) }
    }

    /// Sends nothing until the client closes, or the server stops.
    pub fn stall(&mut self) -> io::Result<After> {
        let mut socket = self.stream.get_ref().socket();
        let mut buf = [0; 4096];
        while socket.read(&mut buf)? > 0 {}
        Ok(After::Close)
    }

    /// Becomes a line to another server, until both sides have ended.
    pub fn tunnel(&mut self, mut upstream: TcpStream) -> io::Result<After> {
        let mut down = self.stream.get_ref().socket().try_clone()?;
        let mut answers = upstream.try_clone()?;
        let answering = thread::spawn(move || {
            // A side that breaks ends the line, as a side that ends does.
            let _ = io::copy(&mut answers, &mut down);
            let _ = down.shutdown(Shutdown::Write);
        });
        let asked = io::copy(&mut self.stream, &mut upstream);
        let _ = upstream.shutdown(if asked.is_ok() { Shutdown::Write } else { Shutdown::Both });
        let _ = answering.join();
        Ok(After::Close)
    }

    /// Sends `100 Continue` if the client waits for it.
    pub fn let_begin(&mut self, request: &Request) -> io::Result<()> {
        match request.header("Expect") {
            Some(value) if value.eq_ignore_ascii_case("100-continue") => {
                self.raw(b"HTTP/1.1 100 Continue\r\n\r\n")
            }
            _ => Ok(()),
        }
    }

    /// Takes the request's body, after `100 Continue` if the client waits for it. Beyond 64 MiB it is counted, not kept.
    ///
    /// # Errors
    /// The connection's; UnexpectedEof: the client broke off in the middle.
    pub fn body(&mut self, request: &Request) -> io::Result<Vec<u8>> {
        self.let_begin(request)?;
        let mut body = Vec::new();
        if let Some(length) = request.header("Content-Length") {
            let length = length.parse().map_err(|_| ErrorKind::InvalidData)?;
            self.take(length, &mut body)?;
        } else if request
            .header("Transfer-Encoding")
            .is_some_and(|value| value.eq_ignore_ascii_case("chunked"))
        {
            loop {
                let size = self.line()?;
                let size = u64::from_str_radix(&size, 16).map_err(|_| ErrorKind::InvalidData)?;
                if size > 0 {
                    self.take(size, &mut body)?;
                }
                if !self.line()?.is_empty() {
                    return Err(ErrorKind::InvalidData.into());
                }
                if size == 0 {
                    break;
                }
            }
        }
        Ok(body)
    }

    /// Takes this many bytes, whatever they are, and leaves the rest.
    pub fn take_some(&mut self, count: u64) -> io::Result<()> {
        io::copy(&mut (&mut self.stream).take(count), &mut io::sink()).map(drop)
    }

    fn line(&mut self) -> io::Result<String> {
        line(&mut self.stream, &mut 1024)?.ok_or_else(|| ErrorKind::UnexpectedEof.into())
    }

    fn take(&mut self, count: u64, body: &mut Vec<u8>) -> io::Result<()> {
        let room = (BODY_MAX - body.len()) as u64;
        let kept = io::copy(&mut (&mut self.stream).take(count.min(room)), body)?;
        let dropped = io::copy(&mut (&mut self.stream).take(count - kept), &mut io::sink())?;
        if kept + dropped < count { Err(ErrorKind::UnexpectedEof.into()) } else { Ok(()) }
    }
}
