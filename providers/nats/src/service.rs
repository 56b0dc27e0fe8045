//! The task that serves all ends of an instance: it executes what they say, and moves messages and times.

use crate::connection::{Connection, News};
use crate::messages::{Outbound, Said, listen, publish};
use crate::names::{Asked, is_inbox};
use crate::permissions::Violation;
use crate::pipe::{Command, Pipe};
use async_nats::{Client, Message, StatusCode, Subject, Subscriber};
use futures_util::{FutureExt, StreamExt};
use netpipe::lossy::{Answer, End, Forbidden, Frame, Inbox, Place, To, Transmit, Wish};
use netpipe::repeats::Repeats;
use netpipe::{Reason, Role, code};
use std::collections::{BTreeSet, HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::mpsc::{self, Receiver, Sender, UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::JoinHandle;
use tokio::time::{sleep_until, timeout};
use vfs_core::{Code, Host, Level};
use zvfs_net::failure::{Attempt, Failure};
use zvfs_runtime::{Runtime, Task};

/// What ends may need to say farewell when the instance stops: its 5 s, and time for the rest.
const FAREWELL: Duration = Duration::from_millis(4_200);
/// For what is under way to leave this machine, at least.
const FLUSH: Duration = Duration::from_millis(300);
/// Messages to names that wait for the service. More of them wait in the client, which drops what is over its own bound: whoever is
/// not heard asks again.
const SAID: usize = 256;
/// Messages that are taken in at one go.
const BATCH: usize = 64;
/// Lines of the log about what the server forbids: so many, in so long a time.
const REFUSALS: (u64, Duration) = (10, Duration::from_secs(60));

/// All ends of an instance.
pub struct Service {
    client: Client,
    host: Host,
    prefix: String,
    instance: String,
    runtime: Runtime,
    inbox: Subscriber,
    commands: UnboundedReceiver<Command>,
    news: UnboundedReceiver<News>,
    said: Receiver<(u64, Said)>,
    say: Sender<(u64, Said)>,
    names: UnboundedSender<Asked>,
    keeping: JoinHandle<()>,
    answers: UnboundedReceiver<(u64, Answer)>,
    ends: HashMap<u64, Served>,
    /// Those that may have something to send, each once.
    ready: VecDeque<u64>,
    timers: BTreeSet<(Instant, u64)>,
    sending: Option<Outbound>,
    /// Why there is no connection.
    cut: Option<String>,
    /// Why nothing is heard, where the server forbids that.
    deaf: Option<Reason>,
    refusals: Repeats,
    stops_at: Option<Instant>,
}

/// An end, and what the service keeps of it.
struct Served {
    pipe: Arc<Pipe<dyn End>>,
    listening: Option<Task<()>>,
    timer: Option<Instant>,
    is_ready: bool,
}

/// What the service waits for.
enum Event {
    Sent(bool),
    Message(Option<Message>),
    Said(u64, Said),
    Command(Option<Command>),
    Answer(u64, Answer),
    News(Option<News>),
    Time,
}

impl Service {
    /// Begins to listen. Returns the way to the service, which has to be run.
    ///
    /// # Errors
    /// ECONNRESET: the connection is gone already.
    pub async fn new(
        connection: Connection,
        host: Host,
        prefix: &str,
        instance: &str,
        runtime: &Runtime,
    ) -> Attempt<(UnboundedSender<Command>, Service)> {
        let Connection { client, news, cut, names } = connection;
        let inbox = client
            .subscribe(format!("{prefix}.end.{instance}.*"))
            .await
            .map_err(|error| Failure::later(Code::ECONNRESET, error.to_string()))?;
        let (command, commands) = unbounded_channel();
        let (say, said) = mpsc::channel(SAID);
        let (ask, asked) = unbounded_channel();
        let (answer, answers) = unbounded_channel();
        let service = Service {
            client,
            host,
            prefix: prefix.to_owned(),
            instance: instance.to_owned(),
            runtime: runtime.clone(),
            inbox,
            commands,
            news,
            said,
            say,
            names: ask,
            keeping: runtime.handle().spawn(names.serve(asked, answer)),
            answers,
            ends: HashMap::new(),
            ready: VecDeque::new(),
            timers: BTreeSet::new(),
            sending: None,
            cut,
            deaf: None,
            refusals: Repeats::new(REFUSALS.0, REFUSALS.1),
            stops_at: None,
        };
        Ok((command, service))
    }

    /// Serves until the instance stops and everybody has said farewell, or the connection has ended for good.
    pub async fn run(mut self) {
        while !self.is_over() {
            self.choose_next();
            let event = self.event().await;
            if !self.handle(event) {
                break;
            }
        }
        for served in self.ends.values() {
            let why = Reason::new(code::ECONNRESET, "the connection to the server ended");
            served.pipe.tell_end(|end| end.fail(why));
        }
        // Whoever keeps the names ends with the last wish.
        let Service { names, mut keeping, client, cut, stops_at, .. } = self;
        drop(names);
        // A farewell that is lost has the other side wait for it: where there is a server, it gets what is left of the time.
        let until = stops_at.filter(|_| cut.is_none()).unwrap_or_else(Instant::now);
        let left = || FLUSH.max(until.saturating_duration_since(Instant::now()));
        let _ = timeout(left(), &mut keeping).await;
        let _ = timeout(left(), client.flush()).await;
    }

    fn is_over(&self) -> bool {
        self.stops_at.is_some_and(|at| self.ends.is_empty() && self.sending.is_none() || Instant::now() >= at)
    }

    /// Waits for the next event.
    async fn event(&mut self) -> Event {
        let timer = self.timers.first().map(|(at, _)| *at).into_iter().chain(self.stops_at).min();
        let time = async {
            match timer {
                Some(at) => sleep_until(at.into()).await,
                None => std::future::pending().await,
            }
        };
        let sending = self.sending.as_ref().filter(|_| self.cut.is_none());
        tokio::select! {
            Some(sent) = async { Some(publish(&self.client, sending?).await) } => Event::Sent(sent),
            message = self.inbox.next() => Event::Message(message),
            Some((id, said)) = self.said.recv() => Event::Said(id, said),
            command = self.commands.recv() => Event::Command(command),
            Some((id, answer)) = self.answers.recv() => Event::Answer(id, answer),
            news = self.news.recv() => Event::News(news),
            () = time => Event::Time,
        }
    }

    /// Deals with an event; false: the connection has ended.
    fn handle(&mut self, event: Event) -> bool {
        let now = Instant::now();
        match event {
            Event::Sent(is_sent) => {
                self.sending = None;
                return is_sent;
            }
            Event::Message(None) | Event::News(None) => return false,
            Event::Message(Some(message)) => {
                self.arrive(now, message);
                for _ in 1..BATCH {
                    let Some(Some(message)) = self.inbox.next().now_or_never() else { break };
                    self.arrive(now, message);
                }
            }
            Event::Said(id, Said::Listening) => self.tell(id, |end| end.answered(now, Answer::Listening)),
            Event::Said(id, Said::Message(message)) => self.hear(now, id, None, message),
            Event::Answer(id, answer) => self.tell(id, |end| end.answered(now, answer)),
            Event::News(Some(News::Up)) => {
                // What was forbidden is tried again.
                (self.cut, self.deaf) = (None, None);
                self.tell_all(|end| end.reconnected(now));
            }
            Event::News(Some(News::Down(why))) => {
                self.tell_all(|end| end.disconnected(&why));
                self.cut = Some(why);
            }
            Event::News(Some(News::Forbidden(violation))) => self.forbid(now, &violation),
            Event::Time => {
                let later = self.timers.split_off(&(now + Duration::from_nanos(1), 0));
                for (_, id) in std::mem::replace(&mut self.timers, later) {
                    if let Some(served) = self.ends.get_mut(&id) {
                        served.timer = None;
                    }
                    self.tell(id, |end| end.tick(now));
                }
            }
            Event::Command(Some(Command::Open(pipe))) => {
                let id = pipe.id;
                let served = Served { pipe, listening: None, timer: None, is_ready: false };
                self.ends.insert(id, served);
                let (cut, deaf) = (self.cut.clone(), self.deaf.clone());
                self.tell(id, |end| {
                    cut.iter().for_each(|why| end.disconnected(why));
                    deaf.iter().for_each(|why| end.forbidden(now, &Forbidden::Hearing(None), why));
                });
            }
            Event::Command(Some(Command::Look(id))) => self.look(id),
            Event::Command(Some(Command::Stop) | None) => {
                self.stops_at = Some(now + FAREWELL);
                self.tell_all(|end| end.stop());
            }
        }
        true
    }

    /// A message to an inbox.
    fn arrive(&mut self, now: Instant, message: Message) {
        let address = message.subject.rsplit_once('.').and_then(|(_, address)| address.split_once('-'));
        let Some((Ok(id), Ok(inbox))) = address.map(|(id, inbox)| (id.parse(), inbox.parse())) else {
            return;
        };
        if message.status == Some(StatusCode::NO_RESPONDERS) {
            self.tell(id, |end| end.nobody(now, inbox));
        } else {
            self.hear(now, id, Some(inbox), message);
        }
    }

    /// What is no frame is nobody's: whoever may publish here may send anything.
    fn hear(&mut self, now: Instant, id: u64, inbox: Option<Inbox>, message: Message) {
        let Ok(frame) = Frame::decode(&message.payload) else { return };
        let from = message.reply.filter(|from| is_inbox(&self.prefix, from));
        let from = from.map(|from| Place::from(from.as_str()));
        self.tell(id, |end| end.hear(now, inbox, from, frame));
    }

    /// The server forbids something: whoever needs it learns it; the log does where nobody does.
    fn forbid(&mut self, now: Instant, violation: &Violation) {
        let text = violation.failure(&self.prefix).text;
        let why = Reason::new(code::EACCES, &text);
        let forbids = |served: &Served| violation.forbids(&self.prefix, &served.pipe.name);
        let forbidden: Vec<_> =
            self.ends.iter().filter_map(|(id, served)| Some((*id, forbids(served)?))).collect();
        if violation.is_deafening(&self.prefix) {
            self.deaf = Some(why.clone());
        } else if forbidden.is_empty() {
            self.complain(now, &text);
        }
        for (id, what) in forbidden {
            self.tell(id, |end| end.forbidden(now, &what, &why));
        }
    }

    fn complain(&mut self, now: Instant, text: &str) {
        let log = |text: &str| self.host.log(Level::Warning, &format!("nats: {text}"));
        if let Some(left_out) = self.refusals.end(now) {
            log(&left_out);
        }
        if self.refusals.admit(now, text) {
            log(text);
        }
    }

    fn tell_all(&mut self, mut what: impl FnMut(&mut dyn End)) {
        let ids: Vec<u64> = self.ends.keys().copied().collect();
        for id in ids {
            self.tell(id, &mut what);
        }
    }

    /// Tells an end of something, and sees to what comes of it.
    fn tell(&mut self, id: u64, what: impl FnOnce(&mut dyn End)) {
        if let Some(served) = self.ends.get(&id) {
            served.pipe.tell_end(|end| what(end));
            self.look(id);
        }
    }

    /// Sees to what an end wants.
    fn look(&mut self, id: u64) {
        let Some(served) = self.ends.get_mut(&id) else { return };
        let (wishes, deadline, is_settled) = served.pipe.serve(|end| {
            let wishes: Vec<Wish> = std::iter::from_fn(|| end.wish()).collect();
            (wishes, end.deadline(), end.is_settled())
        });
        if !served.is_ready {
            served.is_ready = true;
            self.ready.push_back(id);
        }
        for wish in wishes {
            self.grant(id, wish);
        }
        self.note(id, deadline, is_settled);
    }

    /// Keeps an end's timer, or forgets the end.
    fn note(&mut self, id: u64, deadline: Option<Instant>, is_settled: bool) {
        let Some(served) = self.ends.get_mut(&id) else { return };
        let deadline = deadline.filter(|_| !is_settled);
        if served.timer != deadline {
            if let Some(at) = served.timer {
                self.timers.remove(&(at, id));
            }
            if let Some(at) = deadline {
                self.timers.insert((at, id));
            }
            served.timer = deadline;
        }
        if is_settled {
            self.ends.remove(&id);
        }
    }

    fn grant(&mut self, id: u64, wish: Wish) {
        let Some(served) = self.ends.get_mut(&id) else { return };
        match wish {
            Wish::Listen(role) => {
                let name = &served.pipe.name;
                let subject = if role == Role::Reader { &name.reader } else { &name.writers };
                let listening = listen(self.client.clone(), subject.clone(), id, self.say.clone());
                served.listening = Some(self.runtime.spawn(listening));
            }
            Wish::Leave => served.listening = None,
            wish => {
                // Whoever keeps the names is there as long as this is.
                let _ = self.names.send(Asked { id, key: served.pipe.name.key.clone(), wish });
            }
        }
    }

    /// Takes the next frame to send, from each end in turn.
    fn choose_next(&mut self) {
        while self.sending.is_none() {
            let Some(id) = self.ready.pop_front() else { return };
            let Some(served) = self.ends.get_mut(&id) else { continue };
            let now = Instant::now();
            let (transmit, deadline, is_settled) =
                served.pipe.serve(|end| (end.transmit(now), end.deadline(), end.is_settled()));
            served.is_ready = transmit.is_some();
            if let Some(Transmit { to, answer, frame }) = transmit {
                self.ready.push_back(id);
                let subject = match to {
                    To::Peer(place) => Subject::from(&*place),
                    To::Reader => served.pipe.name.reader.clone(),
                    To::Writers => served.pipe.name.writers.clone(),
                };
                let inbox = |inbox| format!("{}.end.{}.{id}-{inbox}", self.prefix, self.instance).into();
                self.sending = Some(Outbound { subject, answer: answer.map(inbox), frame });
            }
            self.note(id, deadline, is_settled);
        }
    }
}
