//! One configuration: its pipes, and the thread that serves them.

use crate::pipe::{ReaderPipe, WriterPipe};
use crate::plan::Plan;
use crate::queue::{Command, Queue};
use crate::reader::Reader;
use crate::service::Service;
use crate::settings::Config;
use crate::writer::Writer;
use netpipe::Role;
use parking_lot::Mutex;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use vfs_core::{Code, Error, File, Host, Instance, Request, Result};
use zvfs_net::caller::Caller;
use zvfs_net::failure::Failure;

/// An instance.
pub struct Netpipes {
    host: Host,
    config: Arc<Config>,
    /// Started by the first open: an instance that is not used makes no thread and no socket.
    service: Mutex<Option<Running>>,
}

struct Running {
    queue: Arc<Queue>,
    thread: JoinHandle<()>,
}

impl Netpipes {
    /// Makes an instance.
    pub fn new(host: Host, config: Config) -> Netpipes {
        Netpipes { host, config: Arc::new(config), service: Mutex::new(None) }
    }

    /// The way to the service thread.
    fn queue(&self, shown: &str) -> Result<Arc<Queue>> {
        let mut service = self.service.lock();
        if let Some(running) = &*service {
            if running.queue.is_dead() {
                let text = format!("open {shown}: the service thread has failed");
                return Err(Error::new(Code::EIO, text));
            }
            return Ok(running.queue.clone());
        }
        let cannot = |errno| Failure::system(errno).error("open", shown);
        let queue = Arc::new(Queue::new().map_err(cannot)?);
        let service_of =
            Service::new(self.host.clone(), self.config.clone(), queue.clone()).map_err(cannot)?;
        let thread =
            thread::Builder::new().name("zvfs-netpipe".to_owned()).spawn(|| service_of.run()).map_err(
                |error| Error::no_thread(&error).context(format!("open {shown}: start the service thread")),
            )?;
        *service = Some(Running { queue: queue.clone(), thread });
        Ok(queue)
    }
}

impl Instance for Netpipes {
    fn open(&self, request: &Request<'_>) -> Result<Box<dyn File>> {
        let plan = Plan::new(request, &self.config)?;
        let shown = plan.shown.clone();
        let queue = self.queue(&shown)?;
        let caller = Caller { context: request.context().clone(), shown };
        let (id, role) = (queue.id(), plan.role);
        let cannot = |errno| Failure::system(errno).error("open", request.shown());
        Ok(match role {
            Role::Reader => {
                let pipe = Arc::new(ReaderPipe::new(id, plan).map_err(cannot)?);
                queue.ask(Command::Read(pipe.clone()));
                Box::new(Reader::new(pipe, queue, caller))
            }
            Role::Writer => {
                let pipe = Arc::new(WriterPipe::new(id, plan).map_err(cannot)?);
                queue.ask(Command::Write(pipe.clone()));
                Box::new(Writer::new(pipe, queue, caller))
            }
        })
    }
}

impl Drop for Netpipes {
    fn drop(&mut self) {
        if let Some(Running { queue, thread }) = self.service.lock().take() {
            queue.ask(Command::Stop);
            // It catches its own panics.
            let _ = thread.join();
        }
    }
}
