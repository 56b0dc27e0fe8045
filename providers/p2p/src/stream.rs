//! A stream to the other end of a pipe: of QUIC, or within this instance.

use crate::side::{Side, Wish};
use bytes::{Buf, Bytes};
use iroh::endpoint::{RecvStream, SendStream};
use std::io;
use std::time::{Duration, Instant};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream, duplex, split};
use tokio::time::{sleep_until, timeout};
use vfs_core::Code;
use zvfs_net::failure::Failure;

/// What a stream within the instance holds.
const HELD: usize = 64 << 10;
/// What is read at one go.
const READ: usize = 64 << 10;
/// For the last words to reach a peer that is there. One that is not is lost later than this.
const PARTING: Duration = Duration::from_secs(5);

/// Both directions of a stream.
pub struct Stream {
    incoming: Box<dyn AsyncRead + Send + Unpin>,
    outgoing: Outgoing,
}

enum Outgoing {
    Remote(SendStream),
    Local(Box<dyn AsyncWrite + Send + Unpin>),
}

impl Stream {
    /// A stream of a connection.
    pub fn remote(outgoing: SendStream, incoming: RecvStream) -> Stream {
        Stream { incoming: Box::new(incoming), outgoing: Outgoing::Remote(outgoing) }
    }

    /// Both sides of one within this instance.
    pub fn local() -> (Stream, Stream) {
        let (one, other) = duplex(HELD);
        let side = |stream: DuplexStream| {
            let (incoming, outgoing) = split(stream);
            Stream { incoming: Box::new(incoming), outgoing: Outgoing::Local(Box::new(outgoing)) }
        };
        (side(one), side(other))
    }

    /// Reads what there is; 0: the other side has finished.
    ///
    /// # Errors
    /// ECONNRESET. Dropped before it is done, nothing was read.
    pub async fn read(&mut self, buf: &mut [u8]) -> Result<usize, Failure> {
        self.incoming.read(buf).await.map_err(|error| lost(&error))
    }

    /// Sends all of it.
    ///
    /// # Errors
    /// ECONNRESET.
    pub async fn send(&mut self, mut bytes: Bytes) -> Result<(), Failure> {
        while !bytes.is_empty() {
            self.outgoing.write(&mut bytes).await.map_err(|error| lost(&error))?;
        }
        Ok(())
    }

    /// Says that nothing follows, and waits until the other side has everything, or is gone.
    pub async fn finish(&mut self) {
        match &mut self.outgoing {
            Outgoing::Remote(stream) => {
                if stream.finish().is_ok() {
                    // Whoever is not heard of for so long is lost, or soon will be.
                    let _ = timeout(PARTING, stream.stopped()).await;
                }
            }
            Outgoing::Local(stream) => drop(stream.shutdown().await),
        }
    }

    /// Waits until the other side has finished too, so has read all that was said to it, or is gone. What it sends is dropped.
    pub async fn until_finished(&mut self) {
        let mut buf = [0; 4096];
        let read = async { while self.incoming.read(&mut buf).await.is_ok_and(|count| count > 0) {} };
        let _ = timeout(PARTING, read).await;
    }
}

impl Outgoing {
    /// Sends a part, and takes it off. Dropped before it is done, nothing was sent.
    async fn write(&mut self, bytes: &mut Bytes) -> io::Result<()> {
        let count = match self {
            Outgoing::Remote(stream) => stream.write(bytes).await?,
            Outgoing::Local(stream) => stream.write(bytes).await?,
        };
        bytes.advance(count);
        Ok(())
    }
}

/// Moves the bytes of a side until that wants nothing more.
pub async fn drive(stream: &mut Stream, side: &impl Side) {
    let Stream { incoming, outgoing } = &mut *stream;
    let mut buf = vec![0; READ];
    let mut out = Bytes::new();
    // Whoever takes no more says why on its own direction, or is lost.
    let (mut hears, mut is_heard) = (true, true);
    loop {
        let mut deadline = None;
        if out.is_empty() {
            match side.wish(Instant::now()) {
                Wish::Send(_) if !is_heard => continue,
                Wish::Send(bytes) => out = bytes,
                Wish::Wait(until) => deadline = until,
                Wish::End => break,
            }
        }
        tokio::select! {
            sent = outgoing.write(&mut out), if !out.is_empty() => {
                if sent.is_err() {
                    is_heard = false;
                    out.clear();
                }
            }
            read = incoming.read(&mut buf), if hears => match read {
                Ok(0) => {
                    hears = false;
                    side.ended(None);
                }
                Ok(count) => side.hear(&buf[..count]),
                Err(error) => {
                    side.ended(Some(lost(&error)));
                    break;
                }
            },
            () = side.news().notified() => {}
            () = until(deadline) => {}
        }
    }
    stream.finish().await;
}

/// Waits until a time, if there is one.
pub async fn until(deadline: Option<Instant>) {
    match deadline {
        Some(at) => sleep_until(at.into()).await,
        None => std::future::pending().await,
    }
}

/// A stream that broke, with its connection.
fn lost(error: &io::Error) -> Failure {
    let mut text = format!("the connection was lost: {error}");
    let mut source = error.get_ref().and_then(|inner| inner.source());
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    Failure::new(Code::ECONNRESET, text)
}
