//! A writer's task: it looks for the reader wherever that may be, and serves the pipe to its end.

use crate::greet::DISCARD_KEPT;
use crate::node::Node;
use crate::plan::Plan;
use crate::side::{Side, Wish, of_protocol};
use crate::stream::{Stream, drive, until};
use crate::writer_end::{Outcome, WriterEnd};
use bytes::Bytes;
use futures_util::stream::{FuturesUnordered, StreamExt};
use iroh::PublicKey;
use netpipe::handshake::Established;
use netpipe::{Handshake, Hello, Progress, Role, code};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::{Notify, watch};
use tokio::time::{sleep, timeout};
use vfs_core::Code;
use zvfs_net::awaited::Awaited;
use zvfs_net::failure::{Attempt, Failure};

/// How often a reader that is full is asked again, and the pause before: word of its pipe's end may be on its way.
const BUSY: (u32, Duration) = (10, Duration::from_millis(30));
/// For the streams that led nowhere to be closed.
const WITHDRAWAL: Duration = Duration::from_secs(2);

/// Serves a writer to the end of its pipe.
pub async fn serve_writer(pipe: Arc<Awaited<WriterEnd>>, plan: Plan, node: Arc<Node>) {
    let news = pipe.with(|end| end.news.clone());
    let side = Writing { pipe, news };
    match seek(&side, plan, node).await {
        Ok(Some(found)) => {
            let Found { mut stream, established, rest } = found;
            side.pipe.tell(|end| {
                end.meet(established);
                end.hear(&rest);
            });
            drive(&mut stream, &side).await;
        }
        Ok(None) => {}
        Err(failure) => side.pipe.tell(|end| end.over(Outcome::Failed(failure))),
    }
}

/// A reader that lets this writer in.
struct Found {
    stream: Stream,
    established: Established,
    /// What it has said since.
    rest: Vec<u8>,
}

/// What all attempts of a search know.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Stage {
    Seeking,
    /// The writer failed: whoever comes later is to know.
    Discarded(Bytes),
    /// A reader was found, or nobody wants one any more. A writer that failed just before it stopped is to be told of first.
    Over(Option<Bytes>),
}

/// Looks for the reader; `None`: nobody wants it any more.
async fn seek(side: &Writing, plan: Plan, node: Arc<Node>) -> Attempt<Option<Found>> {
    let stage = watch::Sender::new(Stage::Seeking);
    let search = |key| Search {
        key,
        peer: node.name(key),
        hello: hello(&plan),
        node: node.clone(),
        pipe: side.pipe.clone(),
        stage: stage.subscribe(),
    };
    let mut searches: FuturesUnordered<_> =
        node.candidates(&plan.others).into_iter().map(|key| search(key).run()).collect();
    let mut forget_at = None;
    let outcome = loop {
        tokio::select! {
            ended = searches.next() => match ended {
                Some(Ok(found)) => break Ok(found),
                // A reader that is full is the right one. One that refuses for another reason need not be: whoever waits is told.
                Some(Err((peer, failure))) if failure.code == Code::EBUSY || searches.is_empty() => {
                    break Err(failure.context(&peer));
                }
                Some(Err((peer, failure))) => note(&side.pipe, &peer, Some(failure.text)),
                None => break Ok(None),
            },
            () = side.news.notified() => {
                if !side.pipe.with(|end| end.is_seeking()) {
                    break Ok(None);
                }
                if let (None, Some(word)) = (forget_at, side.early_discard()) {
                    forget_at = Some(Instant::now() + DISCARD_KEPT);
                    stage.send_replace(Stage::Discarded(word));
                }
            }
            () = until(forget_at) => break Ok(None),
            () = node.stopping() => break Ok(None),
        }
    };
    let last = side.early_discard().filter(|_| matches!(outcome, Ok(None)));
    stage.send_replace(Stage::Over(last));
    let withdrawal = async move {
        let _ = timeout(WITHDRAWAL, searches.for_each(async |_| {})).await;
    };
    match outcome {
        // Here, since an instance that stops takes no task any more that has something to say.
        Ok(None) => withdrawal.await,
        _ => node.tasks.spawn_living(withdrawal),
    }
    outcome
}

/// Tells whoever waits why the reader is not at a peer yet.
fn note(pipe: &Awaited<WriterEnd>, peer: &str, trouble: Option<String>) {
    if pipe.with(|end| end.troubles.note(peer, trouble)) {
        pipe.tell(|_| ());
    }
}

/// What a writer says first.
fn hello(plan: &Plan) -> Hello {
    Hello {
        features: Plan::features(plan.digest, plan.same_host.as_ref()),
        agent: Some(concat!("zvfs-p2p ", env!("CARGO_PKG_VERSION")).to_owned()),
        ..Hello::pipe(Role::Writer, plan.name.clone(), None)
    }
}

/// The search at one peer.
struct Search {
    key: PublicKey,
    /// How it is told of.
    peer: String,
    hello: Hello,
    node: Arc<Node>,
    pipe: Arc<Awaited<WriterEnd>>,
    stage: watch::Receiver<Stage>,
}

/// What came of asking a peer once.
enum Answer {
    Found(Found),
    /// The reader has all the writers that it expects.
    Busy(Failure),
    /// The connection ended before it answered.
    Lost,
    /// Nobody wants to know any more.
    Over,
}

impl Search {
    /// Asks until there is an answer; `None`: nobody wants to know any more. A failure comes with the name of the peer.
    async fn run(mut self) -> Result<Option<Found>, (String, Failure)> {
        let found = self.seek().await;
        found.map_err(|failure| (self.peer, failure))
    }

    async fn seek(&mut self) -> Attempt<Option<Found>> {
        let mut busy = 0;
        while *self.stage.borrow() != Stage::Over(None) {
            let stream = tokio::select! {
                // A way that is there is used: a last word may go by it.
                biased;
                stream = self.node.open(self.key, |trouble| self.note(trouble)) => stream?,
                () = over(self.stage.clone()) => return Ok(None),
            };
            match self.ask(stream).await? {
                Answer::Found(found) => return Ok(Some(found)),
                Answer::Over => return Ok(None),
                Answer::Busy(failure) if busy == BUSY.0 => return Err(failure),
                Answer::Busy(_) => {
                    busy += 1;
                    sleep(BUSY.1).await;
                }
                Answer::Lost => {
                    if let Some(failure) = self.node.refusal(self.key) {
                        return Err(failure);
                    }
                }
            }
        }
        Ok(None)
    }

    fn note(&self, trouble: Option<String>) {
        note(&self.pipe, &self.peer, trouble);
    }

    /// Says what is wanted, and waits until the reader is there.
    async fn ask(&mut self, mut stream: Stream) -> Attempt<Answer> {
        let mut handshake =
            Handshake::dialler(self.hello.clone(), None, None).map_err(|error| of_protocol(&error))?;
        let mut out: Bytes = handshake.output().into();
        let mut buf = [0; 4096];
        let mut is_discarded = false;
        loop {
            let (word, is_over) = match self.stage.borrow_and_update().clone() {
                Stage::Seeking => (None, false),
                Stage::Discarded(word) => (Some(word), false),
                Stage::Over(word) => (word, true),
            };
            match word.filter(|_| !is_discarded) {
                Some(word) => {
                    is_discarded = true;
                    out = [out, word].concat().into();
                }
                None if is_over => break,
                None => {}
            }
            if stream.send(std::mem::take(&mut out)).await.is_err() {
                return Ok(Answer::Lost);
            }
            if is_over {
                break;
            }
            self.note(Some("it has no such reader yet".to_owned()));
            let count = tokio::select! {
                read = stream.read(&mut buf) => read.unwrap_or(0),
                _ = self.stage.changed() => continue,
            };
            let mut input = &buf[..count];
            match handshake.input(&mut input) {
                _ if count == 0 => return Ok(Answer::Lost),
                Ok(Progress::Done(established)) => {
                    return Ok(Answer::Found(Found { stream, established, rest: input.to_vec() }));
                }
                Ok(_) => {}
                Err(error) if error.code() == code::EBUSY => return Ok(Answer::Busy(of_protocol(&error))),
                Err(error) => return Err(of_protocol(&error)),
            }
        }
        stream.finish().await;
        Ok(Answer::Over)
    }
}

async fn over(mut stage: watch::Receiver<Stage>) {
    // A search that is gone wants nothing either.
    let _ = stage.wait_for(|stage| matches!(stage, Stage::Over(_))).await;
}

/// A writer as the side of its stream.
struct Writing {
    pipe: Arc<Awaited<WriterEnd>>,
    news: Arc<Notify>,
}

impl Writing {
    /// What to leave with whoever may have the reader later.
    fn early_discard(&self) -> Option<Bytes> {
        self.pipe.with(|end| end.early_discard()).map(|word| word.to_bytes().into())
    }
}

impl Side for Writing {
    fn hear(&self, bytes: &[u8]) {
        self.pipe.tell(|end| end.hear(bytes));
    }

    fn ended(&self, failure: Option<Failure>) {
        self.pipe.tell(|end| end.ended(failure));
    }

    fn wish(&self, _: Instant) -> Wish {
        self.pipe.with(WriterEnd::wish)
    }

    fn news(&self) -> &Notify {
        &self.news
    }
}
