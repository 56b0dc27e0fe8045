//! One SFTP session: requests on their way, and the replies that they get, in any order.

use crate::failure::{lost, malformed};
use crate::packet::{self, Reply, Request, Stream};
use bytes::Bytes;
use parking_lot::Mutex;
use russh::client::Msg;
use russh::{Channel, ChannelMsg, ChannelReadHalf, ChannelWriteHalf};
use std::collections::HashMap;
use std::mem;
use std::sync::{Arc, OnceLock, Weak};
use std::time::{Duration, Instant};
use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;
use vfs_core::{Code, written_duration};
use zvfs_net::failure::{Attempt, Failure};

/// Packets that wait for the connection; more make their senders wait.
const QUEUE: usize = 16;

/// The most that one read or write of a server without limits of its own is asked for; every server takes this.
const COUNT: u32 = 32 << 10;

/// The most that one read or write is ever asked for: fewer packets, and no reply that holds others up for long.
const COUNT_MAX: u64 = 128 << 10;

/// Why a connection ended, once it has.
pub type Reason = Arc<OnceLock<Failure>>;

/// A session on a channel of its own. Ends when it is dropped.
pub struct Session {
    outgoing: mpsc::Sender<Frame>,
    state: Mutex<State>,
    /// For how long a server may leave requests without a word.
    patience: Duration,
    features: Features,
    runtime: Handle,
}

/// What a server offers beyond version 3.
#[derive(Clone, Copy, Debug)]
pub struct Features {
    /// Renaming in the place of another.
    pub replace: bool,
    /// Making a file durable.
    pub sync: bool,
    /// Telling how much room there is.
    pub space: bool,
    /// The most bytes that one read may ask for.
    pub read: u32,
    /// The most bytes of one write.
    pub write: u32,
}

struct State {
    /// By request.
    replies: HashMap<u32, oneshot::Sender<Reply>>,
    next: u32,
    /// When the server last said something.
    heard: Instant,
    /// Why the session is over.
    lost: Option<Failure>,
}

/// A packet on its way, with the bytes of a write apart, which so need not be copied.
struct Frame {
    packet: Bytes,
    bytes: Bytes,
}

impl Session {
    /// Starts SFTP on a channel that was just opened.
    ///
    /// # Errors
    /// ENOTSUP: the server has no SFTP. EPROTO: it speaks something else. ECONNRESET.
    pub async fn start(channel: Channel<Msg>, patience: Duration, reason: Reason) -> Attempt<Arc<Session>> {
        let (mut reader, writer) = channel.split();
        let sent = writer.request_subsystem(true, "sftp").await;
        sent.map_err(|_| lost())?;
        if let Err(refusal) = accepted(&mut reader).await {
            // The connection may be lost.
            let _ = writer.close().await;
            return Err(refusal);
        }
        let mut stream = Stream::default();
        writer.data_bytes(packet::hello()).await.map_err(|_| lost())?;
        let hello = first_packet(&mut reader, &mut stream).await?;
        let extensions = packet::extensions(hello).map_err(malformed)?;
        let has = |name: &str| extensions.iter().any(|known| known == name.as_bytes());
        let features = Features {
            replace: has(packet::extension::RENAME),
            sync: has(packet::extension::SYNC),
            space: has(packet::extension::SPACE),
            read: COUNT,
            write: COUNT,
        };
        let (outgoing, frames) = mpsc::channel(QUEUE);
        let state = State { replies: HashMap::new(), next: 0, heard: Instant::now(), lost: None };
        let runtime = Handle::current();
        let mut session = Session { outgoing, state: Mutex::new(state), patience, features, runtime };
        if has(packet::extension::LIMITS) {
            session.features = limits(&mut reader, &writer, &mut stream, features).await?;
        }
        let session = Arc::new(session);
        tokio::spawn(send(writer, frames));
        tokio::spawn(receive(Arc::downgrade(&session), reader, stream, reason));
        Ok(session)
    }

    /// What the server offers.
    pub fn features(&self) -> &Features {
        &self.features
    }

    /// Whether it is over.
    pub fn is_lost(&self) -> bool {
        self.state.lock().lost.is_some()
    }

    /// Sends a request, and waits for its reply.
    ///
    /// # Errors
    /// ECONNRESET, ETIMEDOUT: the session is over.
    pub async fn call(self: &Arc<Session>, request: &Request<'_>) -> Attempt<Reply> {
        self.begin(request, Bytes::new()).await?.reply().await
    }

    /// Sends a request, after those that were sent before.
    ///
    /// # Errors
    /// As [`call`](Session::call).
    pub async fn begin(self: &Arc<Session>, request: &Request<'_>, bytes: Bytes) -> Attempt<Pending> {
        let Ok(place) = self.outgoing.reserve().await else { return Err(self.why()) };
        let (sender, receiver) = oneshot::channel();
        let id = self.state.lock().expect_reply(sender)?;
        // Nothing is waited for between the two: a request that is expected to be answered is sent.
        place.send(Frame { packet: request.encode(id), bytes });
        Ok(Pending { session: self.clone(), receiver, since: Instant::now() })
    }

    /// Ends the session: whoever waits for a reply gets this.
    fn end(&self, failure: Failure) {
        let mut state = self.state.lock();
        state.lost.get_or_insert(failure);
        // Dropped outside the lock: they wake whoever waits.
        let replies = mem::take(&mut state.replies);
        drop(state);
        drop(replies);
    }

    fn why(&self) -> Failure {
        self.state.lock().lost.clone().unwrap_or_else(lost)
    }

    fn deliver_all(self: &Arc<Session>, stream: &mut Stream) -> Attempt<()> {
        while let Some(packet) = stream.next().map_err(malformed)? {
            self.deliver(packet)?;
        }
        Ok(())
    }

    /// Gives a reply to whoever waits for it.
    fn deliver(self: &Arc<Session>, packet: Bytes) -> Attempt<()> {
        let (id, reply) = packet::reply(packet).map_err(malformed)?;
        let waits = {
            let mut state = self.state.lock();
            state.heard = Instant::now();
            state.replies.remove(&id)
        };
        let waits = waits.ok_or_else(|| malformed("an answer to nothing"))?;
        if let Err(Reply::Handle(handle)) = waits.send(reply) {
            self.close(handle);
        }
        Ok(())
    }

    /// Closes a handle that nobody has any more.
    pub fn close(self: &Arc<Session>, handle: Bytes) {
        let session = self.clone();
        self.runtime.spawn(async move { session.call(&Request::Close { handle: &handle }).await.map(drop) });
    }

    /// For how long the server has said nothing.
    fn silence(&self, since: Instant) -> Duration {
        self.state.lock().heard.max(since).elapsed()
    }
}

impl State {
    fn expect_reply(&mut self, sender: oneshot::Sender<Reply>) -> Attempt<u32> {
        if let Some(failure) = &self.lost {
            return Err(failure.clone());
        }
        let id = self.next;
        self.next = self.next.wrapping_add(1);
        self.replies.insert(id, sender);
        Ok(id)
    }
}

/// A request that was sent.
pub struct Pending {
    session: Arc<Session>,
    receiver: oneshot::Receiver<Reply>,
    since: Instant,
}

impl Pending {
    /// Waits for the reply, once. Whoever stops waiting may begin again.
    ///
    /// # Errors
    /// ETIMEDOUT: the server said nothing for too long, which ends the session. ECONNRESET: it ended.
    pub async fn reply(&mut self) -> Attempt<Reply> {
        loop {
            let patience = self.session.patience;
            let left = patience.saturating_sub(self.session.silence(self.since));
            match timeout(left, &mut self.receiver).await {
                Ok(Ok(reply)) => return Ok(reply),
                Ok(Err(_)) => return Err(self.session.why()),
                Err(_) if self.session.silence(self.since) >= patience => {
                    let text = format!("no reply for {}", written_duration(patience));
                    self.session.end(Failure::later(Code::ETIMEDOUT, text));
                }
                Err(_) => {} // it said something meanwhile
            }
        }
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        self.receiver.close();
        // Whoever opened it has left.
        if let Ok(Reply::Handle(handle)) = self.receiver.try_recv() {
            self.session.close(handle);
        }
    }
}

/// Waits until the server has agreed to the request for SFTP.
async fn accepted(reader: &mut ChannelReadHalf) -> Attempt<()> {
    loop {
        match reader.wait().await {
            Some(ChannelMsg::Success) => return Ok(()),
            Some(ChannelMsg::Failure) => {
                return Err(Failure::new(
                    Code::ENOTSUP,
                    "the server has no SFTP: its subsystem `sftp` is refused",
                ));
            }
            Some(ChannelMsg::Close) | None => return Err(lost()),
            Some(_) => {}
        }
    }
}

async fn first_packet(reader: &mut ChannelReadHalf, stream: &mut Stream) -> Attempt<Bytes> {
    loop {
        if let Some(packet) = stream.next().map_err(malformed)? {
            return Ok(packet);
        }
        let bytes = data(reader).await.ok_or_else(lost)?;
        stream.push(&bytes);
    }
}

/// Asks how much one request may ask, before anybody else asks anything.
async fn limits(
    reader: &mut ChannelReadHalf,
    writer: &ChannelWriteHalf<Msg>,
    stream: &mut Stream,
    features: Features,
) -> Attempt<Features> {
    writer.data_bytes(Request::Limits.encode(0)).await.map_err(|_| lost())?;
    let (_, reply) = packet::reply(first_packet(reader, stream).await?).map_err(malformed)?;
    let Reply::Extended(numbers) = reply else { return Ok(features) };
    let [_, read, write, _] = packet::numbers(numbers).map_err(malformed)?;
    let count = |most: u64| match most {
        0 => COUNT,
        most => most.min(COUNT_MAX) as u32,
    };
    Ok(Features { read: count(read), write: count(write), ..features })
}

/// The next bytes of a channel; `None`: it ended.
async fn data(reader: &mut ChannelReadHalf) -> Option<Bytes> {
    loop {
        match reader.wait().await? {
            ChannelMsg::Data { data } => return Some(data),
            ChannelMsg::Eof | ChannelMsg::Close => return None,
            _ => {}
        }
    }
}

/// Sends what is queued, until nobody can queue any more or the connection is lost.
async fn send(writer: ChannelWriteHalf<Msg>, mut frames: mpsc::Receiver<Frame>) {
    while let Some(Frame { packet, bytes }) = frames.recv().await {
        if writer.data_bytes(packet).await.is_err() || writer.data_bytes(bytes).await.is_err() {
            return;
        }
    }
    // The connection may be lost meanwhile.
    let _ = writer.close().await;
}

/// Delivers what arrives, until the server or the connection ends.
async fn receive(session: Weak<Session>, mut reader: ChannelReadHalf, mut stream: Stream, reason: Reason) {
    let failure = loop {
        let Some(bytes) = data(&mut reader).await else {
            break reason.get().cloned().unwrap_or_else(lost);
        };
        let Some(session) = session.upgrade() else { return };
        stream.push(&bytes);
        if let Err(failure) = session.deliver_all(&mut stream) {
            break failure;
        }
    };
    if let Some(session) = session.upgrade() {
        session.end(failure);
    }
}
