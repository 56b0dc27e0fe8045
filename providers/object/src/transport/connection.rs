//! A connection to a store: dialled within the policy, over TLS where the URL says so, and watched: a request that makes no
//! progress ends.

use crate::settings::Patience;
use crate::transport::on_the_wire;
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use object_store::client::{HttpRequest, HttpRequestBody};
use rustls::pki_types::ServerName;
use std::fmt;
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};
use tokio_rustls::{TlsConnector, rustls};
use vfs_core::{Code, written_duration};
use zvfs_net::failure::{Attempt, Failure};
use zvfs_net::origin::Origin;
use zvfs_net::tls::{self, Tls};
use zvfs_runtime::Dialler;

/// What may come before an answer: its head, which hyper bounds more closely, and answers that are not the last, such as
/// 100 (Continue). Some of the body may have come too before it is known where the head ends.
const HEAD_MAX: u64 = 1 << 20;

/// A connection that takes a request.
pub struct Connection {
    requests: SendRequest<HttpRequestBody>,
    motion: Arc<Motion>,
}

impl Connection {
    /// Connects to a server, TLS included, within `limit`.
    ///
    /// # Errors
    /// As [`Dialler::connect`]. EPROTO: TLS failed.
    pub async fn open(origin: &Origin, dialler: &Dialler, tls: &Tls, limit: Duration) -> Attempt<Connection> {
        let until = Instant::now() + limit;
        let stream = dialler.connect(origin, limit).await?;
        let motion = Arc::new(Motion::new());
        let stream = Watched { stream, motion: motion.clone() };
        let stream: Box<dyn Stream> = match origin.secure {
            false => Box::new(stream),
            true => match timeout_at(until, secured(stream, origin, tls)).await {
                Ok(secured) => Box::new(secured?),
                Err(_) => {
                    return Err(Failure::later(
                        Code::ETIMEDOUT,
                        format!("no connection ({origin}) within {}", written_duration(limit)),
                    ));
                }
            },
        };
        let (requests, driver) =
            http1::handshake(TokioIo::new(stream)).await.map_err(|error| of_hyper(&error))?;
        // It ends with its last request, or when the server closes it.
        tokio::spawn(driver);
        Ok(Connection { requests, motion })
    }

    /// Whether it can take a request.
    pub fn is_open(&self) -> bool {
        !self.requests.is_closed()
    }

    /// Sends a request and receives the head of its answer.
    ///
    /// # Errors
    /// ETIMEDOUT: no progress. ECONNRESET: it broke. EPROTO: not HTTP.
    pub async fn send(
        mut self,
        request: HttpRequest,
        patience: &Patience,
    ) -> Attempt<(http::Response<Incoming>, Connection)> {
        let body = request.body().content_length() as u64;
        let request = on_the_wire(request)?;
        self.motion.begin();
        let response = {
            let mut answer = pin!(async {
                self.requests.ready().await?;
                self.requests.send_request(request).await
            });
            loop {
                // Until the body is out, the server owes nothing but to take it.
                let is_sent = self.motion.sent() >= body;
                let (limit, what) = match is_sent {
                    true => (patience.first_byte, "answer"),
                    false => (patience.stall, "progress of an upload"),
                };
                match timeout_at(self.motion.last() + limit, &mut answer).await {
                    Ok(answered) => break answered.map_err(|error| of_hyper(&error))?,
                    Err(_) if self.motion.last() + limit <= Instant::now() => {
                        let text = format!("no {what} of the store for {}", written_duration(limit));
                        return Err(Failure::later(Code::ETIMEDOUT, text));
                    }
                    Err(_) => {} // bytes moved meanwhile
                }
            }
        };
        self.motion.answered();
        Ok((response, self))
    }
}

async fn secured(
    stream: Watched,
    origin: &Origin,
    tls: &Tls,
) -> Attempt<tokio_rustls::client::TlsStream<Watched>> {
    let config = tls.config().map_err(|error| Failure::new(error.code(), error.chain()))?;
    let name = ServerName::try_from(origin.host.clone())
        .map_err(|_| Failure::protocol(format!("no certificate can be for the name {}", origin.host)))?;
    TlsConnector::from(config).connect(name, stream).await.map_err(|error| of_tls(&error))
}

fn of_tls(error: &io::Error) -> Failure {
    match error.get_ref().and_then(|inner| inner.downcast_ref()) {
        Some(error) => Failure::protocol(tls::of_tls(error)),
        None => Failure::later(Code::ECONNRESET, "the connection was lost in the TLS handshake"),
    }
}

/// What hyper's error means: it tells a lost connection from one that does not speak HTTP.
pub fn of_hyper(error: &hyper::Error) -> Failure {
    if error.is_parse() {
        return Failure::protocol("the store does not speak HTTP/1.1");
    }
    let mut cause = std::error::Error::source(error);
    while let Some(inner) = cause {
        if let Some(error) = inner.downcast_ref().and_then(io::Error::get_ref) {
            if let Some(error) = error.downcast_ref::<rustls::Error>() {
                return Failure::protocol(tls::of_tls(error));
            }
            if error.is::<Endless>() {
                return Failure::protocol(Endless.to_string());
            }
        }
        cause = inner.source();
    }
    Failure::later(Code::ECONNRESET, "the connection was lost")
}

/// A stream in both directions.
trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// More came than an answer can begin with.
#[derive(Debug)]
struct Endless;

impl fmt::Display for Endless {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the store sent {HEAD_MAX} bytes, and no answer")
    }
}

impl std::error::Error for Endless {}

/// When bytes last moved, how many were sent since a request began, and how many may come before its answer.
struct Motion {
    start: Instant,
    /// Since the start, in nanoseconds.
    last: AtomicU64,
    sent: AtomicU64,
    may_come: AtomicU64,
}

impl Motion {
    fn new() -> Motion {
        Motion {
            start: Instant::now(),
            last: AtomicU64::new(0),
            sent: AtomicU64::new(0),
            may_come: AtomicU64::new(u64::MAX),
        }
    }

    fn begin(&self) {
        self.sent.store(0, Ordering::Relaxed);
        self.may_come.store(HEAD_MAX, Ordering::Relaxed);
        self.moved();
    }

    /// The answer is there: how much of its body comes is bounded elsewhere.
    fn answered(&self) {
        self.may_come.store(u64::MAX, Ordering::Relaxed);
    }

    /// Bytes came. Returns whether so many may.
    fn came(&self, count: usize) -> bool {
        self.moved();
        self.may_come.fetch_sub(count as u64, Ordering::Relaxed) >= count as u64
    }

    fn moved(&self) {
        let nanoseconds = u64::try_from(self.start.elapsed().as_nanos()).unwrap_or(u64::MAX);
        self.last.store(nanoseconds, Ordering::Relaxed);
    }

    fn last(&self) -> Instant {
        self.start + Duration::from_nanos(self.last.load(Ordering::Relaxed))
    }

    fn sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }
}

/// A TCP stream that tells when bytes move.
struct Watched {
    stream: TcpStream,
    motion: Arc<Motion>,
}

impl Watched {
    fn wrote(&self, count: io::Result<usize>) -> Poll<io::Result<usize>> {
        if let Ok(count) = &count {
            self.motion.sent.fetch_add(*count as u64, Ordering::Relaxed);
            self.motion.moved();
        }
        Poll::Ready(count)
    }
}

impl AsyncRead for Watched {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let read = ready!(Pin::new(&mut self.stream).poll_read(context, buf));
        match self.motion.came(buf.filled().len() - before) {
            true => Poll::Ready(read),
            false => Poll::Ready(Err(io::Error::other(Endless))),
        }
    }
}

impl AsyncWrite for Watched {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let count = ready!(Pin::new(&mut self.stream).poll_write(context, buf));
        self.wrote(count)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let count = ready!(Pin::new(&mut self.stream).poll_write_vectored(context, pieces));
        self.wrote(count)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
