//! One configuration: its connection, made by the first open, and its pipes.

use crate::connection::Connection;
use crate::names::token;
use crate::pipe::{Command, Named, Pipe};
use crate::plan::Plan;
use crate::reader::Reader;
use crate::service::Service;
use crate::settings::Config;
use crate::writer::Writer;
use async_nats::Subject;
use netpipe::lossy::{End, ReaderEnd, Timing, WriterEnd};
use netpipe::{Role, Token};
use parking_lot::Mutex as Lock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, sync_channel};
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tokio::sync::Mutex;
use tokio::sync::mpsc::UnboundedSender;
use vfs_core::{Code, File, Host, Instance, Level, Request, Result};
use zvfs_net::caller::Caller;
use zvfs_net::failure::{Attempt, Failure};
use zvfs_net::waiting::Waiting;
use zvfs_runtime::Runtime;

/// The time that stopping may take.
const STOP_MAX: Duration = Duration::from_secs(5);

/// An instance.
pub struct Pipes {
    host: Host,
    config: Arc<Config>,
    /// Started by the first open: an instance that is not used makes no thread and no connection.
    runtime: OnceLock<Runtime>,
    /// Who serves the pipes.
    service: Arc<Mutex<Option<Running>>>,
    /// Why it takes long to start.
    trouble: Arc<Lock<Option<String>>>,
    next_id: AtomicU64,
}

struct Running {
    commands: UnboundedSender<Command>,
    /// Ends with the service.
    ended: Receiver<()>,
}

impl Pipes {
    /// Makes an instance.
    pub fn new(host: Host, config: Config) -> Pipes {
        Pipes {
            host,
            config: Arc::new(config),
            runtime: OnceLock::new(),
            service: Arc::default(),
            trouble: Arc::default(),
            next_id: AtomicU64::new(1),
        }
    }

    fn runtime(&self) -> Result<&Runtime> {
        if let Some(runtime) = self.runtime.get() {
            return Ok(runtime);
        }
        let made = Runtime::start(&self.config.settings, "zvfs-nats")?;
        Ok(self.runtime.get_or_init(|| made))
    }

    /// The way to the service, which is started, and started again if it ended.
    fn commands(&self, caller: &Caller) -> Result<UnboundedSender<Command>> {
        let in_open = |failure: Failure| failure.error("open", &caller.shown);
        let runtime = self.runtime().map_err(|error| error.context(format!("open {}", caller.shown)))?;
        let (service, config, tasks) = (self.service.clone(), self.config.clone(), runtime.clone());
        let (host, trouble) = (self.host.clone(), self.trouble.clone());
        let refusal = || self.trouble.lock().clone();
        let waiting = Waiting::as_caller(&caller.context, "a NATS server").refused_by(&refusal);
        let (commands, is_new) = runtime
            .wait(waiting, async move {
                let mut service = service.lock().await;
                match &*service {
                    Some(running) if !running.commands.is_closed() => Ok((running.commands.clone(), false)),
                    _ => {
                        *trouble.lock() = None;
                        let note = |why| *trouble.lock() = Some(why);
                        let running = start(&config, host, &tasks, note).await?;
                        let commands = running.commands.clone();
                        *service = Some(running);
                        Ok((commands, true))
                    }
                }
            })
            .map_err(in_open)?;
        if is_new && self.config.replicas.is_none() {
            let text = "nats: names are kept nowhere (`names = \"best-effort\"`): two readers of one pipe that open at \
                        the same time may both have it";
            self.host.log(Level::Warning, text);
        }
        Ok(commands)
    }
}

async fn start(config: &Config, host: Host, runtime: &Runtime, note: impl Fn(String)) -> Attempt<Running> {
    let random = Token::random().map_err(|error| Failure::new(Code::EIO, error.to_string()))?;
    let instance: String = random.0.iter().map(|byte| format!("{byte:02x}")).collect();
    let connection = Connection::open(config, &instance, note).await?;
    let (commands, service) = Service::new(connection, host, &config.prefix, &instance, runtime).await?;
    let (ending, ended) = sync_channel(1);
    runtime.handle().spawn(async move {
        let _ending = ending;
        service.run().await;
    });
    Ok(Running { commands, ended })
}

impl Instance for Pipes {
    fn open(&self, request: &Request<'_>) -> Result<Box<dyn File>> {
        let plan = Plan::new(request, &self.config)?;
        let caller = Caller { context: request.context().clone(), shown: request.shown().to_owned() };
        let commands = self.commands(&caller)?;
        let timing = Timing { peer_timeout: self.config.peer_timeout };
        let id = self.next_id.fetch_add(1, Ordering::Relaxed);
        let key = token(plan.name.as_str());
        let subject = |role: &str| Subject::from(format!("{}.pipe.{key}.{role}", self.config.prefix));
        let name = Named { reader: subject("reader"), writers: subject("writers"), key: key.clone() };
        Ok(match plan.role {
            Role::Reader => {
                let end = ReaderEnd::new(timing, plan.window, plan.writers, plan.digest)
                    .with_same_host(self.config.same_host.clone());
                Box::new(Reader::new(open(id, name, commands, end, &caller)?, caller))
            }
            Role::Writer => {
                let end = WriterEnd::new(timing, plan.digest).with_same_host(self.config.same_host.clone());
                Box::new(Writer::new(open(id, name, commands, end, &caller)?, caller))
            }
        })
    }
}

/// Makes an end known to the service.
fn open<E: End + 'static>(
    id: u64,
    name: Named,
    commands: UnboundedSender<Command>,
    end: E,
    caller: &Caller,
) -> Result<Arc<Pipe<E>>> {
    let cannot = |errno| Failure::system(errno).error("open", &caller.shown);
    let pipe = Arc::new(Pipe::new(id, name, commands.clone(), end).map_err(cannot)?);
    if commands.send(Command::Open(pipe.clone())).is_err() {
        let failure = Failure::later(Code::ECONNRESET, "the connection to the server ended");
        return Err(failure.error("open", &caller.shown));
    }
    Ok(pipe)
}

impl Drop for Pipes {
    fn drop(&mut self) {
        let Some(runtime) = self.runtime.get() else { return };
        // Files are closed by now, so nobody else has it but an open that was cancelled, whose task is ending.
        if let Some(running) = self.service.try_lock().ok().and_then(|mut service| service.take())
            && running.commands.send(Command::Stop).is_ok()
        {
            // It ends by itself: what was ENDed is delivered, names are given back.
            let _ = running.ended.recv_timeout(STOP_MAX);
        }
        runtime.stop();
    }
}
