//! The body of an answer: where it ends, and that it came whole.

use crate::wire::connection::Connection;
use crate::wire::head::Head;
use vfs_core::Code;
use zvfs_net::failure::{Attempt, Failure};
use zvfs_net::waiting::Waiting;

/// A chunk's first line, and all lines after the last chunk.
const LINE_MAX: usize = 4 << 10;
const TRAILERS_MAX: usize = 32 << 10;

const LONGER: &str = "a chunk is longer than its announced size";

/// A body that is being read.
#[derive(Debug)]
pub struct Body {
    framing: Framing,
    read: u64,
    /// A line ended without its CR.
    is_lax: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Framing {
    /// So many bytes are to come, of all.
    Length {
        left: u64,
        of: u64,
    },
    Chunks(Chunk),
    /// As long as the connection.
    Connection,
    /// Nothing more comes.
    Done,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Chunk {
    /// A line with a size comes.
    Size,
    /// So much of it is to come.
    Data(u64),
    /// The line's end behind the data comes.
    End,
    /// Lines come until an empty one; so much of them came.
    Trailers(usize),
}

impl Body {
    /// The body that a head announces: RFC 9112, section 6.3.
    ///
    /// # Errors
    /// EPROTO: it contradicts itself, or uses an encoding that was not asked for.
    pub fn of(head: &Head) -> Attempt<Body> {
        let framing = framing(head)?;
        let framing = if framing == (Framing::Length { left: 0, of: 0 }) { Framing::Done } else { framing };
        Ok(Body { framing, read: 0, is_lax: false })
    }

    /// Its length, if the head says it.
    pub fn length(&self) -> Option<u64> {
        match self.framing {
            Framing::Length { of, .. } => Some(of),
            Framing::Done => Some(self.read),
            Framing::Chunks(_) | Framing::Connection => None,
        }
    }

    /// What is to come, if the head says it.
    pub fn left(&self) -> Option<u64> {
        match self.framing {
            Framing::Length { left, .. } => Some(left),
            Framing::Done => Some(0),
            Framing::Chunks(_) | Framing::Connection => None,
        }
    }

    /// Says that so much of what is [left](Body::left) has been read by somebody else.
    pub fn skip(&mut self, count: u64) {
        if let Framing::Length { left, of } = self.framing {
            let left = left.saturating_sub(count);
            self.framing = if left == 0 { Framing::Done } else { Framing::Length { left, of } };
            self.read += count;
        }
    }

    /// Whether all of it came.
    pub fn is_done(&self) -> bool {
        self.framing == Framing::Done
    }

    /// Whether its lines were ended by LF alone. We are the only reader of an answer, so that this misleads nobody; but whoever
    /// stands between us and the server may see another end of it, and its connection is not used again.
    pub fn is_lax(&self) -> bool {
        self.is_lax
    }

    /// Reads, waiting for one byte; 0: it came whole.
    ///
    /// # Errors
    /// ECONNRESET: the connection ended before it did. EPROTO: broken chunks, bytes behind the end. The connection's, the
    /// caller's, the limit's.
    pub fn read(
        &mut self,
        connection: &mut Connection,
        buf: &mut [u8],
        waiting: Waiting<'_>,
    ) -> Attempt<usize> {
        let count = match self.framing {
            Framing::Done => return Ok(0),
            Framing::Length { left, of } => {
                let most = usize::try_from(left).unwrap_or(usize::MAX).min(buf.len());
                let count = connection.read(&mut buf[..most], waiting)?;
                if count == 0 {
                    let text = format!("the connection ended after {} of {of} bytes", of - left);
                    return Err(Failure::later(Code::ECONNRESET, text));
                }
                self.framing = match left - count as u64 {
                    0 => Framing::Done,
                    left => Framing::Length { left, of },
                };
                count
            }
            Framing::Chunks(chunk) => self.read_chunks(chunk, connection, buf, waiting)?,
            Framing::Connection => {
                let count = connection.read(buf, waiting)?;
                if count == 0 {
                    self.framing = Framing::Done;
                }
                count
            }
        };
        self.read += count as u64;
        Ok(count)
    }

    fn read_chunks(
        &mut self,
        mut chunk: Chunk,
        connection: &mut Connection,
        buf: &mut [u8],
        waiting: Waiting<'_>,
    ) -> Attempt<usize> {
        loop {
            chunk = match chunk {
                Chunk::Size => {
                    match self.line(connection, "the first line of a chunk has no end", waiting, size)? {
                        0 => Chunk::Trailers(0),
                        size => Chunk::Data(size),
                    }
                }
                Chunk::Data(left) => {
                    let most = usize::try_from(left).unwrap_or(usize::MAX).min(buf.len());
                    let count = connection.read(&mut buf[..most], waiting)?;
                    if count == 0 {
                        return Err(broken_off("in a chunk"));
                    }
                    let left = left - count as u64;
                    let next = if left == 0 { Chunk::End } else { Chunk::Data(left) };
                    self.framing = Framing::Chunks(next);
                    return Ok(count);
                }
                // What is no line's end here is data beyond the chunk.
                Chunk::End => match self.line(connection, LONGER, waiting, length)? {
                    0 => Chunk::Size,
                    _ => return Err(Failure::protocol(LONGER)),
                },
                Chunk::Trailers(before) => {
                    match self.line(connection, "a line without end", waiting, length)? {
                        0 => {
                            self.framing = Framing::Done;
                            return Ok(0);
                        }
                        length if before + length > TRAILERS_MAX => {
                            return Err(Failure::protocol("more than 32 KiB after the last chunk"));
                        }
                        length => Chunk::Trailers(before + length),
                    }
                }
            };
            self.framing = Framing::Chunks(chunk);
        }
    }

    /// Takes a line without its end, and makes something of it; `endless`: what one of more than 4 KiB is.
    fn line<T>(
        &mut self,
        connection: &mut Connection,
        endless: &str,
        waiting: Waiting<'_>,
        meaning: fn(&[u8]) -> Attempt<T>,
    ) -> Attempt<T> {
        loop {
            let buffered = connection.buffered();
            if let Some(end) = buffered.iter().position(|byte| *byte == b'\n') {
                let line = &buffered[..end];
                let proper = line.strip_suffix(b"\r");
                self.is_lax |= proper.is_none();
                let meant = meaning(proper.unwrap_or(line));
                connection.consume(end + 1);
                return meant;
            }
            if buffered.len() > LINE_MAX {
                return Err(Failure::protocol(endless));
            }
            if connection.fill(waiting)? == 0 {
                return Err(broken_off("between two chunks"));
            }
        }
    }
}

fn framing(head: &Head) -> Attempt<Framing> {
    if matches!(head.status, 100..200 | 204 | 304) {
        return Ok(Framing::Done);
    }
    let mut encodings = head.all("transfer-encoding");
    if let Some(encoding) = encodings.next() {
        if encodings.next().is_some() || !encoding.eq_ignore_ascii_case(b"chunked") {
            return Err(Failure::protocol("a transfer encoding that was not asked for"));
        }
        if head.all("content-length").next().is_some() {
            return Err(Failure::protocol("both chunks and a length"));
        }
        return Ok(Framing::Chunks(Chunk::Size));
    }
    let mut length = None;
    for value in head.all("content-length").flat_map(|value| value.split(|byte| *byte == b',')) {
        let digits = value.trim_ascii();
        let number = std::str::from_utf8(digits)
            .ok()
            .filter(|text| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()))
            .and_then(|text| text.parse::<u64>().ok())
            .filter(|number| *number <= i64::MAX as u64)
            .ok_or_else(|| Failure::protocol("an invalid Content-Length"))?;
        if length.is_some_and(|length| length != number) {
            return Err(Failure::protocol("two different lengths"));
        }
        length = Some(number);
    }
    Ok(length.map_or(Framing::Connection, |of| Framing::Length { left: of, of }))
}

fn broken_off(place: &str) -> Failure {
    Failure::later(Code::ECONNRESET, format!("the connection ended {place}"))
}

/// The size that a chunk's first line says, without its extensions.
fn size(line: &[u8]) -> Attempt<u64> {
    let digits = line.iter().take_while(|byte| byte.is_ascii_hexdigit()).count();
    let (digits, rest) = line.split_at(digits);
    let rest = rest.trim_ascii_start();
    let is_extension = rest.is_empty() || (rest[0] == b';' && !rest.contains(&b'\r'));
    let number = std::str::from_utf8(digits).ok().and_then(|digits| u64::from_str_radix(digits, 16).ok());
    number.filter(|_| is_extension).ok_or_else(|| Failure::protocol("a chunk without a size"))
}

fn length(line: &[u8]) -> Attempt<usize> {
    Ok(line.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::net::{TcpListener, TcpStream};
    use std::os::fd::OwnedFd;
    use std::time::Duration;
    use vfs_core::Control;
    use zvfs_net::origin::Origin;

    /// A connection on which these bytes come, and then the end.
    fn connection(bytes: &[u8]) -> Connection {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut server = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        server.write_all(bytes).unwrap();
        let (client, _) = listener.accept().unwrap();
        client.set_nonblocking(true).unwrap();
        let origin = Origin { secure: false, host: "h".to_owned(), port: 1 };
        Connection::new(OwnedFd::from(client), None, origin, false)
    }

    fn read(lines: &[&str], bytes: &[u8]) -> Attempt<Vec<u8>> {
        let mut body = Body::of(&Head::of(lines))?;
        let (mut connection, context) = (connection(bytes), Control::new().context());
        let waiting = Waiting::silence(&context, Duration::from_secs(60), "byte of the body");
        let (mut read, mut buf) = (Vec::new(), [0; 3]);
        loop {
            match body.read(&mut connection, &mut buf, waiting)? {
                0 => {
                    connection.refuse_more()?;
                    return Ok(read);
                }
                count => read.extend_from_slice(&buf[..count]),
            }
        }
    }

    const OK: &str = "HTTP/1.1 200 OK";
    const CHUNKED: &str = "Transfer-Encoding: Chunked";

    #[test]
    fn a_body_ends_where_its_head_says() {
        assert_eq!(read(&[OK, "Content-Length: 5"], b"12345").unwrap(), b"12345");
        assert_eq!(read(&[OK, "Content-Length: 5, 5"], b"12345").unwrap(), b"12345");
        assert_eq!(read(&[OK, "Content-Length: 0"], b"").unwrap(), b"");
        assert_eq!(read(&[OK], b"12345").unwrap(), b"12345");
        let chunks = b"5;ext=1\r\n12345\r\n00a\r\n6789012345\r\n0\r\nTrailer: x\r\n\r\n";
        assert_eq!(read(&[OK, CHUNKED], chunks).unwrap(), b"123456789012345");
        let spaced = b"5 ;ext\r\n12345\r\n0 \r\n\r\n";
        assert_eq!(read(&[OK, CHUNKED], spaced).unwrap(), b"12345");
        assert_eq!(read(&["HTTP/1.1 204 No Content", "Content-Length: 5"], b"").unwrap(), b"");
    }

    #[test]
    fn chunks_whose_lines_end_without_cr_are_taken_and_remembered() {
        for (bytes, is_lax) in [
            (b"5\r\n12345\r\n0\r\n\r\n".as_slice(), false),
            (b"5\n12345\n0\n\n", true),
            (b"5\r\n12345\n0\r\n\r\n", true),
            (b"5\r\n12345\r\n0\r\n\n", true),
        ] {
            let mut body = Body::of(&Head::of(&[OK, CHUNKED])).unwrap();
            let (mut connection, context) = (connection(bytes), Control::new().context());
            let waiting = Waiting::silence(&context, Duration::from_secs(60), "byte of the body");
            let mut buf = [0; 9];
            assert_eq!(body.read(&mut connection, &mut buf, waiting).unwrap(), 5);
            assert_eq!(body.read(&mut connection, &mut buf, waiting).unwrap(), 0);
            assert_eq!((&buf[..5], body.is_lax()), (b"12345".as_slice(), is_lax), "{}", bytes.escape_ascii());
        }
    }

    #[test]
    fn a_body_that_breaks_off_is_lost_and_never_an_end() {
        for (lines, bytes) in [
            (&[OK, "Content-Length: 5"][..], b"1234".as_slice()),
            (&[OK, CHUNKED], b""),
            (&[OK, CHUNKED], b"5\r\n123"),
            (&[OK, CHUNKED], b"5\r\n12345"),
            (&[OK, CHUNKED], b"5\r\n12345\r\n"),
            (&[OK, CHUNKED], b"5\r\n12345\r\n0\r\n"),
            (&[OK, CHUNKED], b"5\r\n12345\r\n0"),
        ] {
            let failure = read(lines, bytes).unwrap_err();
            assert_eq!(failure.code, Code::ECONNRESET, "{}: {failure:?}", bytes.escape_ascii());
        }
    }

    #[test]
    fn nonsense_is_refused() {
        for (lines, bytes) in [
            (&[OK, "Content-Length: -5"][..], b"12345".as_slice()),
            (&[OK, "Content-Length: +5"], b"12345"),
            (&[OK, "Content-Length:"], b"12345"),
            (&[OK, "Content-Length: 99999999999999999999"], b"12345"),
            (&[OK, "Content-Length: 5, 6"], b"12345"),
            (&[OK, "Content-Length: 5", "Content-Length: 6"], b"12345"),
            (&[OK, "Content-Length: 3"], b"12345"),
            (&[OK, CHUNKED, "Content-Length: 5"], b"5\r\n12345\r\n0\r\n\r\n"),
            (&[OK, "Transfer-Encoding: gzip, chunked"], b""),
            (&[OK, CHUNKED], b"x\r\n12345\r\n0\r\n\r\n"),
            (&[OK, CHUNKED], b"-1\r\n12345\r\n0\r\n\r\n"),
            (&[OK, CHUNKED], b"5\r\n12345\r\n\r\n0\r\n\r\n"),
            (&[OK, CHUNKED], b"11111111111111111\r\n12345"),
            (&[OK, CHUNKED], b"\n5\n12345\n0\n\n"),
            (&[OK, CHUNKED], b"5;a\rb\r\n12345\r\n0\r\n\r\n"),
            (&[OK, CHUNKED], b"5 5\r\n12345\r\n0\r\n\r\n"),
            (&[OK, CHUNKED], b"0x5\r\n12345\r\n0\r\n\r\n"),
            (&[OK, CHUNKED], b"3\r\n12345\r\n0\r\n\r\n"),
            (&[OK, CHUNKED], b"5\r\n12345\r\n0\r\n\r\nmore"),
        ] {
            let failure = read(lines, bytes).unwrap_err();
            assert_eq!(failure.code, Code::EPROTO, "{lines:?} {}: {failure:?}", bytes.escape_ascii());
        }
    }
}
