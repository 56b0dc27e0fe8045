//! Bytes that a server sends: of a file, or of a listing. In the clear, whoever reads takes them off the connection himself; with TLS
//! they are decrypted ahead of him, a few blocks at most.

mod lent;

use crate::caller::Caller;
use crate::client::Client;
use crate::download::lent::Lent;
use crate::reply::{self, End};
use crate::session::{Data, Session};
use std::mem;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::AsyncReadExt;
use tokio::sync::{Mutex, mpsc};
use tokio::time::timeout;
use vfs_core::{Code, written_duration};
use zvfs_net::failure::{Attempt, Failure};

/// Bytes that are taken off the connection at once, at most.
const BLOCK: usize = 64 << 10;
/// Blocks that wait for the caller.
const AHEAD: usize = 8;
/// How long the end of a transfer, whose every byte is there, is waited for.
const END_MAX: Duration = Duration::from_secs(5);

/// A transfer from the server. Dropped before its end, it is broken off.
pub struct Download {
    client: Arc<Client>,
    /// Where the next byte stands in the file.
    at: u64,
    block: Vec<u8>,
    /// Of the block.
    taken: usize,
    /// The connection, as long as its bytes are taken off it here.
    lent: Option<Lent>,
    /// What comes once it is not. Shared only with the future that waits for the next one.
    pieces: Arc<Mutex<mpsc::Receiver<Piece>>>,
    stage: Stage,
}

enum Stage {
    Running,
    /// All bytes came; the server has not said yet that it was all.
    Sent,
    /// No more will come.
    Ended(End),
}

enum Piece {
    Block(Vec<u8>),
    /// The connection ended.
    Sent,
    /// What became of it.
    End(End),
}

impl Download {
    /// A transfer that has begun, at a place in its file. On a thread of the runtime.
    ///
    /// # Errors
    /// EMFILE.
    pub fn new(
        client: &Arc<Client>,
        session: Session,
        mut data: Data,
        at: u64,
        stall: Duration,
    ) -> Attempt<Download> {
        let (sender, pieces) = mpsc::channel(AHEAD);
        let (lent, back) = Lent::of(&mut data, stall)?.unzip();
        let theirs = client.clone();
        client.runtime().handle().spawn(async move {
            if let Some(back) = back
                && !back.put(&mut data).await
            {
                return leave(&theirs, session, data).await;
            }
            pump(&theirs, session, data, stall, &sender).await;
        });
        let pieces = Arc::new(Mutex::new(pieces));
        let (client, stage) = (client.clone(), Stage::Running);
        Ok(Download { client, at, block: Vec::new(), taken: 0, lent, pieces, stage })
    }

    /// Where it stands.
    pub fn at(&self) -> u64 {
        self.at
    }

    /// Reads over what lies before a place.
    ///
    /// # Errors
    /// As [`read`](Download::read).
    pub fn skip_to(&mut self, place: u64, caller: &Caller) -> Attempt<()> {
        while self.at < place && self.fill(caller)? {
            let left = (self.block.len() - self.taken) as u64;
            self.advance(left.min(place - self.at) as usize);
        }
        Ok(())
    }

    /// Reads some bytes; 0: the server says that this was all.
    ///
    /// # Errors
    /// ECONNRESET, EIO, ...: the connection broke, or the server could not go on. The caller's.
    pub fn read(&mut self, buf: &mut [u8], caller: &Caller) -> Attempt<usize> {
        if self.is_empty() && buf.len() >= BLOCK {
            let count = self.receive(buf, caller)?;
            if count > 0 {
                self.at += count as u64;
                return Ok(count);
            }
        }
        if !self.fill(caller)? {
            return self.confirm(caller).map(|()| 0);
        }
        let count = buf.len().min(self.block.len() - self.taken);
        buf[..count].copy_from_slice(&self.block[self.taken..self.taken + count]);
        self.advance(count);
        Ok(count)
    }

    /// Reads a line without its end; `None`: there are no more.
    ///
    /// # Errors
    /// EPROTO: a line of more than `most` bytes. As [`read`](Download::read).
    pub fn read_line(&mut self, most: usize, caller: &Caller) -> Attempt<Option<Vec<u8>>> {
        let mut line = Vec::new();
        while self.fill(caller)? {
            let rest = &self.block[self.taken..];
            let end = rest.iter().position(|byte| *byte == b'\n');
            line.extend_from_slice(&rest[..end.unwrap_or(rest.len())]);
            self.advance(end.map_or(rest.len(), |end| end + 1));
            if line.len() > most {
                return Err(Failure::protocol(format!("a line of more than {most} bytes in a listing")));
            }
            if end.is_some() {
                line.pop_if(|last| *last == b'\r');
                return Ok(Some(line));
            }
        }
        self.confirm(caller)?;
        Ok((!line.is_empty()).then_some(line))
    }

    /// How it ends where everything should have come; `None`: more follows. A server that does not end the transfer is waited for no
    /// longer than it takes to notice.
    ///
    /// # Errors
    /// The caller's.
    pub fn end(&mut self, caller: &Caller) -> Attempt<Option<End>> {
        if !self.is_empty() {
            return Ok(None);
        }
        self.give_back();
        if let Stage::Ended(end) = &self.stage {
            return Ok(Some(end.clone()));
        }
        let pieces = self.pieces.clone();
        caller.wait(&self.client, "the end of the file", async move {
            let end = timeout(END_MAX, async {
                let mut pieces = pieces.lock().await;
                loop {
                    match pieces.recv().await {
                        Some(Piece::Block(_)) => return None,
                        Some(Piece::Sent) => {}
                        Some(Piece::End(end)) => return Some(end),
                        None => return Some(End::Unheard(broke())),
                    }
                }
            });
            let silent =
                || Failure::later(Code::ETIMEDOUT, format!("no end of the transfer for {END_MAX:?}"));
            Ok(end.await.unwrap_or_else(|_| Some(End::Unheard(silent()))))
        })
    }

    /// Whether nothing is left of the block.
    fn is_empty(&self) -> bool {
        self.taken == self.block.len()
    }

    fn advance(&mut self, count: usize) {
        self.taken += count;
        self.at += count as u64;
    }

    /// Sees to it that there is a byte in the block; `false`: all were sent.
    fn fill(&mut self, caller: &Caller) -> Attempt<bool> {
        while self.is_empty() {
            if self.lent.is_some() {
                let mut block = mem::take(&mut self.block);
                block.resize(BLOCK, 0);
                let count = self.receive(&mut block, caller)?;
                block.truncate(count);
                (self.block, self.taken) = (block, 0);
                continue;
            }
            if !matches!(self.stage, Stage::Running) {
                return Ok(false);
            }
            match self.next("bytes", caller)? {
                Piece::Block(block) => (self.block, self.taken) = (block, 0),
                Piece::Sent => self.stage = Stage::Sent,
                Piece::End(end) => self.stage = Stage::Ended(end),
            }
        }
        Ok(true)
    }

    /// Takes bytes off the connection, if that is done here; 0: it is not, or no more.
    fn receive(&mut self, buf: &mut [u8], caller: &Caller) -> Attempt<usize> {
        let Some(lent) = &self.lent else { return Ok(0) };
        let count = lent.receive(buf, caller)?;
        if count == 0 {
            self.give_back();
        }
        Ok(count)
    }

    /// Leaves the rest to the runtime: what follows, if anything does, and the server's word.
    fn give_back(&mut self) {
        if let Some(lent) = self.lent.take() {
            lent.give_back();
        }
    }

    /// Hears what the server says of the whole.
    fn confirm(&mut self, caller: &Caller) -> Attempt<()> {
        loop {
            if let Stage::Ended(end) = &self.stage {
                return end.clone().confirmed();
            }
            if let Piece::End(end) = self.next("the end of the transfer", caller)? {
                self.stage = Stage::Ended(end);
            }
        }
    }

    fn next(&self, what: &str, caller: &Caller) -> Attempt<Piece> {
        // Mostly it is there already.
        if let Ok(piece) = self
            .pieces
            .try_lock()
            .map_or(Err(mpsc::error::TryRecvError::Empty), |mut pieces| pieces.try_recv())
        {
            return Ok(piece);
        }
        let pieces = self.pieces.clone();
        let next = caller.wait(&self.client, what, async move { Ok(pieces.lock().await.recv().await) })?;
        next.ok_or_else(broke)
    }
}

fn broke() -> Failure {
    Failure::later(Code::ECONNRESET, "the transfer broke")
}

/// Takes bytes off a connection until it ends, or nobody wants more. Then the session is kept for the next transfer.
async fn pump(
    client: &Client,
    mut session: Session,
    mut data: Data,
    stall: Duration,
    pieces: &mpsc::Sender<Piece>,
) {
    let failure = loop {
        let mut block = Vec::with_capacity(BLOCK);
        let read = tokio::select! {
            () = pieces.closed() => break None,
            read = timeout(stall, data.read_buf(&mut block)) => read,
        };
        match read {
            Ok(Ok(0)) => {
                let _ = pieces.send(Piece::Sent).await;
                let end = session.complete(data).await;
                client.keep(session).await;
                let _ = pieces.send(Piece::End(end)).await;
                return;
            }
            Ok(Ok(_)) => {
                if pieces.send(Piece::Block(block)).await.is_err() {
                    break None;
                }
            }
            Ok(Err(error)) => break Some(reply::of_io(&error)),
            Err(_) => {
                break Some(Failure::later(
                    Code::ETIMEDOUT,
                    format!("no byte for {}", written_duration(stall)),
                ));
            }
        }
    };
    if let Some(failure) = failure {
        let _ = pieces.send(Piece::End(End::Unheard(failure))).await;
    }
    leave(client, session, data).await;
}

/// Breaks a transfer off, and keeps its session if that is still well.
async fn leave(client: &Client, mut session: Session, data: Data) {
    session.break_off(data).await;
    client.keep(session).await;
}
