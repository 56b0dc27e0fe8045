//! One configuration: its socket, opened by the first open, and its pipes.

use crate::node::Node;
use crate::plan::Plan;
use crate::reader::Reader;
use crate::settings::Config;
use crate::shown_key::ShownKey;
use crate::writer::Writer;
use netpipe::Role;
use std::convert::Infallible;
use std::sync::mpsc::sync_channel;
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tokio::sync::Mutex;
use tokio::sync::mpsc::Receiver;
use tokio::time::timeout;
use vfs_core::{Code, Error, File, Host, Instance, OpenFlags, Request, Result};
use zvfs_net::caller::Caller;
use zvfs_net::failure::Failure;
use zvfs_net::waiting::Waiting;
use zvfs_runtime::Runtime;

/// What the ends of pipes have to say farewell when the instance stops: of its 5 s, the most.
const FAREWELL: Duration = Duration::from_millis(4_200);
/// The time that stopping may take.
const STOP_MAX: Duration = Duration::from_secs(5);

/// An instance.
pub struct Pipes {
    host: Host,
    config: Arc<Config>,
    /// Started by the first open: an instance that is not used makes no thread and no socket.
    runtime: OnceLock<Runtime>,
    node: Arc<Mutex<Option<Running>>>,
}

struct Running {
    node: Arc<Node>,
    /// Ends when nobody has anything to say any more.
    lives: Receiver<Infallible>,
}

impl Pipes {
    /// Makes an instance.
    pub fn new(host: Host, config: Config) -> Pipes {
        Pipes { host, config: Arc::new(config), runtime: OnceLock::new(), node: Arc::default() }
    }

    fn runtime(&self) -> Result<&Runtime> {
        if let Some(runtime) = self.runtime.get() {
            return Ok(runtime);
        }
        let made = Runtime::start(&self.config.settings, "zvfs-p2p")?;
        Ok(self.runtime.get_or_init(|| made))
    }

    /// This side, which is started by whoever asks first.
    fn node(&self, caller: &Caller) -> Result<Arc<Node>> {
        let runtime = self.runtime().map_err(|error| error.context(format!("open {}", caller.shown)))?;
        let (running, config, host) = (self.node.clone(), self.config.clone(), self.host.clone());
        let tasks = runtime.clone();
        let waiting = Waiting::as_caller(&caller.context, "this side's socket");
        let started = runtime.wait(waiting, async move {
            let mut running = running.lock().await;
            if let Some(running) = &*running {
                return Ok(running.node.clone());
            }
            let (node, lives) = Node::start(&config, host, tasks).await?;
            *running = Some(Running { node: node.clone(), lives });
            Ok(node)
        });
        started.map_err(|failure: Failure| failure.error("open", &caller.shown))
    }
}

impl Instance for Pipes {
    fn open(&self, request: &Request<'_>) -> Result<Box<dyn File>> {
        if request.rest().is_empty() {
            if request.flags().contains(OpenFlags::WRITE) {
                let text = format!("open {}: this side's key can be read only", request.shown());
                return Err(Error::new(Code::EBADF, text));
            }
            return Ok(Box::new(ShownKey::new(self.config.key.public())));
        }
        let plan = Plan::new(request, &self.config)?;
        let caller = Caller { context: request.context().clone(), shown: request.shown().to_owned() };
        let node = self.node(&caller)?;
        Ok(match plan.role {
            Role::Reader => Box::new(Reader::open(plan, node, caller)?),
            Role::Writer => Box::new(Writer::open(plan, &node, caller)?),
        })
    }
}

impl Drop for Pipes {
    fn drop(&mut self) {
        let Some(runtime) = self.runtime.get() else { return };
        // Files are closed by now, so nobody else has it but an open that was cancelled, whose task is ending.
        let running = self.node.try_lock().ok().and_then(|mut running| running.take());
        if let Some(Running { node, mut lives }) = running {
            node.hide();
            let (ending, ended) = sync_channel::<Infallible>(1);
            runtime.handle().spawn(async move {
                let _ending = ending;
                node.stop();
                // What was ENDed is delivered, or nobody takes it.
                let _ = timeout(FAREWELL, lives.recv()).await;
                node.leave().await;
            });
            // It ends without a word.
            let _ = ended.recv_timeout(STOP_MAX);
        }
        runtime.stop();
    }
}
