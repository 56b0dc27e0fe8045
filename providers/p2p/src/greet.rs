//! A stream that comes in: whoever opened it says what it wants, and waits until its reader is there.

use crate::names::Names;
use crate::reader_end::ReaderEnd;
use crate::side::{Side, Wish};
use crate::stream::{Stream, drive};
use crate::tasks::Tasks;
use iroh::PublicKey;
use netpipe::handshake::TIMEOUT;
use netpipe::{
    Decoder, Handshake, Hello, Local, Message, Name, Progress, Purpose, Reason, Role, Sender, code,
};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::Notify;
use tokio::time::timeout;
use zvfs_net::awaited::Awaited;
use zvfs_net::failure::Failure;

/// How long a DISCARD waits for a reader, whether or not whoever said it is still there.
pub const DISCARD_KEPT: Duration = Duration::from_secs(60);
/// More than a writer may say before it is answered, which is a DISCARD.
const EARLY_MAX: usize = 1024;

/// Serves a stream until its writer has met a reader, or is refused. `from` is the other side's key.
pub async fn greet(mut stream: Stream, from: PublicKey, names: &Names, tasks: &Tasks) {
    // A peer that says nothing, or what cannot be, is none of a pipe's.
    let Ok(Some(mut caller)) = timeout(TIMEOUT, Caller::of(&mut stream)).await else { return };
    let found = caller.find_reader(&mut stream, from, names).await;
    let answered = stream.send(caller.handshake.output().into()).await;
    match found {
        // Its reader has something to say, at the end at least.
        Some(met) => tasks.spawn_living(met.serve(stream, caller.early, answered.is_ok())),
        // The answer is a refusal, or whoever asked is gone.
        None => stream.finish().await,
    }
}

/// A writer that has said what it wants.
struct Caller {
    handshake: Handshake,
    hello: Hello,
    name: Name,
    /// What it said after that.
    early: Vec<u8>,
}

impl Caller {
    /// Reads HELLO.
    async fn of(stream: &mut Stream) -> Option<Caller> {
        let mut handshake = Handshake::acceptor(None);
        let mut buf = [0; 4096];
        loop {
            let count = stream.read(&mut buf).await.ok().filter(|count| *count > 0)?;
            let mut input = &buf[..count];
            match handshake.input(&mut input) {
                Ok(Progress::Hello(hello)) => {
                    let name = hello.name.clone().unwrap_or_else(Name::unnamed);
                    return Some(Caller { handshake, hello, name, early: input.to_vec() });
                }
                Ok(_) => {}
                Err(_) => {
                    let _ = stream.send(handshake.output().into()).await;
                    return None;
                }
            }
        }
    }

    /// Waits for the reader that the writer seeks, and joins it; `None`: it is refused, or gone.
    async fn find_reader(&mut self, stream: &mut Stream, from: PublicKey, names: &Names) -> Option<Met> {
        if (self.hello.purpose, self.hello.role) != (Purpose::Pipe, Some(Role::Writer)) {
            return self.refuse(Reason::new(code::EPROTO, "only writers of pipes are served here"));
        }
        let mut opened = names.watch();
        // It may have come with HELLO.
        let mut presence = self.said(&[]);
        loop {
            if presence == Presence::Unruly {
                return self.refuse(Reason::new(code::EPROTO, "only DISCARD may come before the answer"));
            }
            opened.borrow_and_update();
            if let Some(reader) = names.reader(&self.name) {
                // It may have ended since it was found, which is as if there were none.
                match reader.tell(|end| end.is_open().then(|| self.join(end, from))) {
                    Some(Ok((id, news))) => return Some(Met { reader, id, news }),
                    Some(Err(reason)) => return self.refuse(reason),
                    None => {}
                }
            }
            let mut buf = [0; EARLY_MAX];
            tokio::select! {
                _ = opened.changed() => {}
                read = stream.read(&mut buf), if presence == Presence::Here => {
                    presence = match read.unwrap_or(0) {
                        0 => Presence::Gone,
                        count => self.said(&buf[..count]),
                    };
                }
                () = presence.forgotten() => return None,
            }
        }
    }

    /// Joins a reader, or says why not.
    fn join(&mut self, end: &mut ReaderEnd, from: PublicKey) -> Result<(u64, Arc<Notify>), Reason> {
        end.admits(from)?;
        let local = Local { features: end.features(), window: Some(end.window()), ..Local::default() };
        match self.handshake.accept(local, None) {
            Ok(Progress::Done(established)) => Ok(end.join(established)),
            Ok(_) => Err(Reason::new(code::EPROTO, "the handshake is out of turn")),
            Err(error) => {
                // The refusal is the caller's to make, as any other.
                drop(self.handshake.output());
                Err(Reason::new(error.code(), &error.to_string()))
            }
        }
    }

    /// Takes what a writer says before it is answered.
    fn said(&mut self, bytes: &[u8]) -> Presence {
        self.early.extend_from_slice(bytes);
        match Decoder::new(Sender::Writer).next(&mut &self.early[..]) {
            Ok(Some(Message::Discard(_))) => Presence::Discarded(Instant::now()),
            Ok(None) if self.early.len() < EARLY_MAX => Presence::Here,
            _ => Presence::Unruly,
        }
    }

    fn refuse<T>(&mut self, reason: Reason) -> Option<T> {
        self.handshake.refuse(reason);
        None
    }
}

/// Whether a writer that waits is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Presence {
    Here,
    /// It need not be: its word was heard.
    Discarded(Instant),
    /// It has said what may not be said yet.
    Unruly,
    Gone,
}

impl Presence {
    /// Waits until its reader need not be told of it.
    async fn forgotten(self) {
        match self {
            Presence::Here => std::future::pending().await,
            Presence::Discarded(since) => tokio::time::sleep_until((since + DISCARD_KEPT).into()).await,
            Presence::Unruly | Presence::Gone => {}
        }
    }
}

/// A writer that its reader has let in.
struct Met {
    reader: Arc<Awaited<ReaderEnd>>,
    id: u64,
    news: Arc<Notify>,
}

impl Met {
    /// Serves the writer to the end of its stream. `early` is what it said before it was answered.
    async fn serve(self, mut stream: Stream, early: Vec<u8>, is_answered: bool) {
        self.reader.tell(|end| {
            end.hear(self.id, &early);
            if !is_answered {
                // It does not know that it was let in: unless it was discarded, it did not come.
                end.ended(self.id, None);
            }
        });
        drive(&mut stream, &self).await;
        // Its memory stays until then: a writer that saw the memory's end before it read the last word would think its reader lost.
        stream.until_finished().await;
        self.reader.tell(|end| end.leave(self.id));
    }
}

impl Side for Met {
    fn hear(&self, bytes: &[u8]) {
        self.reader.tell(|end| end.hear(self.id, bytes));
    }

    fn ended(&self, failure: Option<Failure>) {
        self.reader.tell(|end| end.ended(self.id, failure));
    }

    fn wish(&self, now: Instant) -> Wish {
        self.reader.with(|end| end.wish(self.id, now))
    }

    fn news(&self) -> &Notify {
        &self.news
    }
}
