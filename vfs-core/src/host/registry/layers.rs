//! Layers: the host as an instance gets it, which opens files of other providers for it.

use crate::abi::LAYERS_MAX;
use crate::code::Code;
use crate::context::Context;
use crate::entry::{Entry, Name};
use crate::error::{Error, Result};
use crate::file::{Direction, File, Finish, Flush, Interest, Lease, Stat};
use crate::flags::{Capabilities, OpenFlags, Wanted};
use crate::host::open::{OpenFile, OpenOptions};
use crate::host::registry::{Registry, Shared};
use crate::host::work::On;
use crate::provider::{Host, HostCalls, Inner, Level, busy_in_start};
use std::io::SeekFrom;
use std::ops::ControlFlow;
use std::os::fd::BorrowedFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::time::SystemTime;

/// The host of one instance: the registry's own, with the registry for layers.
pub(super) struct LayerHost {
    host: Host,
    /// Weak, since the registry owns the instance that owns this.
    registry: Weak<Shared>,
    /// Until start has returned: an inner open could need the very instance that is being started.
    starting: AtomicBool,
}

impl Registry {
    /// The host as an instance of this registry gets it, for whoever starts a provider without the registry: a layer that is
    /// under test opens its inner files through it.
    pub fn host(&self) -> Host {
        let host = LayerHost::starting(self);
        host.set_started();
        Host::new(host)
    }
}

impl LayerHost {
    pub(super) fn starting(registry: &Registry) -> Arc<LayerHost> {
        let (host, registry) = (registry.0.host.clone(), Arc::downgrade(&registry.0));
        Arc::new(LayerHost { host, registry, starting: AtomicBool::new(true) })
    }

    pub(super) fn set_started(&self) {
        self.starting.store(false, Ordering::Release);
    }

    fn registry(&self) -> Result<Registry> {
        if self.starting.load(Ordering::Acquire) {
            return Err(busy_in_start());
        }
        let gone = || Error::new(Code::ECANCELED, "the host's registry is gone");
        self.registry.upgrade().map(Registry).ok_or_else(gone)
    }
}

impl HostCalls for LayerHost {
    fn name(&self) -> &str {
        self.host.name()
    }

    fn version(&self) -> &str {
        self.host.version()
    }

    fn log(&self, level: Level, text: &str) {
        self.host.log(level, text);
    }

    fn open(&self, context: &Context, descriptor: &str, options: &Inner) -> Result<Box<dyn File>> {
        Ok(Box::new(AsFile(self.registry()?.open(descriptor, &inner_open(context, options)?)?)))
    }

    fn supported_flags(&self, context: &Context, descriptor: &str) -> Result<OpenFlags> {
        let options = OpenOptions { leader: Some(context.clone()), ..OpenOptions::default() };
        self.registry()?.supported_flags(descriptor, &options)
    }

    fn stat(&self, context: &Context, descriptor: &str, options: &Inner) -> Result<Stat> {
        self.registry()?.stat(descriptor, &inner_open(context, options)?)
    }

    fn list(
        &self,
        context: &Context,
        descriptor: &str,
        options: &Inner,
        each: &mut dyn FnMut(Entry<'_>) -> ControlFlow<()>,
    ) -> Result<()> {
        self.registry()?.list(descriptor, &inner_open(context, options)?, each)
    }

    fn names(
        &self,
        context: &Context,
        descriptor: &str,
        options: &Inner,
        each: &mut dyn FnMut(Name<'_>) -> ControlFlow<()>,
    ) -> Result<()> {
        self.registry()?.names(descriptor, &inner_open(context, options)?, each)
    }

    fn remove(&self, context: &Context, descriptor: &str, options: &Inner) -> Result<()> {
        self.registry()?.remove(descriptor, &inner_open(context, options)?)
    }

    fn make_folder(&self, context: &Context, descriptor: &str, options: &Inner) -> Result<()> {
        self.registry()?.make_folder(descriptor, &inner_open(context, options)?)
    }

    fn remove_folder(&self, context: &Context, descriptor: &str, options: &Inner) -> Result<()> {
        self.registry()?.remove_folder(descriptor, &inner_open(context, options)?)
    }

    fn set_modified(
        &self,
        context: &Context,
        descriptor: &str,
        options: &Inner,
        time: SystemTime,
    ) -> Result<()> {
        self.registry()?.set_modified(descriptor, &inner_open(context, options)?, time)
    }
}

/// One layer deeper, under a control that follows the layer's own.
fn inner_open(context: &Context, options: &Inner) -> Result<OpenOptions> {
    let foreign = || Error::new(Code::EINVAL, "an inner file needs the context of one of this host's files");
    let origin = context.origin().ok_or_else(foreign)?;
    if origin.depth >= LAYERS_MAX {
        let text = format!("more than {LAYERS_MAX} layers: does one open itself?");
        return Err(Error::new(Code::ELOOP, text));
    }
    Ok(OpenOptions {
        flags: options.flags,
        expected_size: options.expected_size,
        settings: options.settings.clone(),
        offered: origin.offered,
        leader: Some(context.clone()),
        depth: origin.depth + 1,
        loads_on: On::Own,
    })
}

/// An open file as the trait, for a layer: the same chokepoint as a host's own.
struct AsFile(OpenFile);

impl File for AsFile {
    fn capabilities(&self) -> Capabilities {
        self.0.capabilities()
    }

    fn read(&mut self, buf: &mut [u8]) -> Result<usize> {
        self.0.read(buf)
    }

    fn write(&mut self, buf: &[u8]) -> Result<usize> {
        self.0.write(buf)
    }

    fn seek(&mut self, to: SeekFrom) -> Result<u64> {
        self.0.seek(to)
    }

    fn tell(&mut self) -> Result<u64> {
        self.0.tell()
    }

    fn truncate(&mut self, size: u64) -> Result<()> {
        self.0.truncate(size)
    }

    fn flush(&mut self, level: Flush) -> Result<()> {
        self.0.flush(level)
    }

    fn finish(&mut self, how: Finish) -> Result<()> {
        self.0.finish(how)
    }

    fn read_at(&self, buf: &mut [u8], offset: u64) -> Result<usize> {
        self.0.read_at(buf, offset)
    }

    fn write_at(&self, buf: &[u8], offset: u64) -> Result<usize> {
        self.0.write_at(buf, offset)
    }

    fn stat(&mut self) -> Result<Stat> {
        self.0.stat()
    }

    fn set_modified(&mut self, time: SystemTime) -> Result<()> {
        self.0.set_modified(time)
    }

    fn lease(&mut self, direction: Direction) -> Result<Lease<'_>> {
        self.0.lease(direction)
    }

    fn advance(&mut self, direction: Direction, count: u64) -> Result<()> {
        self.0.advance(direction, count)
    }

    fn send_from(&mut self, from: BorrowedFd<'_>, offset: u64, count: usize) -> Result<usize> {
        self.0.send_from(from, offset, count)
    }

    fn receive_into(&mut self, to: BorrowedFd<'_>, offset: u64, count: usize) -> Result<usize> {
        self.0.receive_into(to, offset, count)
    }

    fn interest(&mut self, wanted: Wanted) -> Result<Interest<'_>> {
        self.0.interest(wanted)
    }

    fn try_read(&mut self, buf: &mut [u8]) -> Result<Option<usize>> {
        self.0.try_read(buf)
    }

    fn try_write(&mut self, buf: &[u8]) -> Result<Option<usize>> {
        self.0.try_write(buf)
    }

    fn try_finish(&mut self, how: Finish) -> Result<Option<()>> {
        self.0.try_finish(how)
    }
}
