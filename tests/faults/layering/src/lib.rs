//! `layering:<how>,<inner>` passes every call on to its inner file, but for what `<how>` says:
//!
//! `self` opens its own descriptor; `flags` fails with the inner provider's flags; `leak` never closes its inner file; `late`
//! closes it on a thread that outlives its own close; `many` opens it 300 times; `panic` panics in `read`; `thread` opens and reads on
//! another thread.
//! With the setting `at-start` the instance opens a descriptor in `start`.

use std::io::SeekFrom;
use std::mem;
use std::ops::ControlFlow;
use std::os::fd::BorrowedFd;
use std::thread;
use std::time::{Duration, SystemTime};
use vfs_core::{
    Capabilities, Code, Control, Direction, Entry, Error, File, Finish, Flush, Host, Info, Inner, Instance,
    Interest, Lease, Name, Namespace, OpenFlags, Provider, Request, Result, Setting, SettingKind, Settings,
    Stat, Wanted, export_provider,
};

/// The provider.
#[derive(Debug)]
pub struct Layering;

impl Provider for Layering {
    fn info(&self) -> Info {
        Info::new("layering", "1.0", "passes every call on")
            .supported_flags(OpenFlags::from_bits(0xff))
            .setting(Setting::new("at-start", SettingKind::Text, "a descriptor to open in start"))
    }

    fn start(&self, host: Host, settings: Settings) -> Result<Box<dyn Instance>> {
        if let Some(descriptor) = settings.text("at-start") {
            // There is no context yet: one of the provider's own stands in.
            host.open(&Control::new().context(), descriptor, &Inner::new(OpenFlags::READ))?;
        }
        Ok(Box::new(Running { host }))
    }
}

struct Running {
    host: Host,
}

impl Instance for Running {
    fn open(&self, request: &Request<'_>) -> Result<Box<dyn File>> {
        let malformed = || Error::new(Code::EINVAL, "write layering:how,inner");
        let (how, descriptor) = request.rest().split_once(',').ok_or_else(malformed)?;
        let descriptor = if how == "self" { request.descriptor().as_written() } else { descriptor };
        let (context, inner) = (request.context(), Inner::new(request.flags()));
        if how == "flags" {
            let flags = self.host.supported_flags(context, descriptor)?;
            return Err(Error::new(Code::EIO, format!("flags {:x}", flags.bits())));
        }
        if how == "foreign" {
            return self.host.open(&Control::new().context(), descriptor, &inner);
        }
        let open = || self.host.open(context, descriptor, &inner);
        if how == "many" {
            let all = (1..300).map(|_| open()).collect::<Result<Vec<_>>>()?;
            drop(all);
        }
        let inner = if how == "thread" { thread::scope(|scope| joined(scope.spawn(open))) } else { open() };
        Ok(Box::new(Layer { how: how.to_owned(), inner: Some(inner?) }))
    }

    fn namespace(&self) -> Option<&dyn Namespace> {
        Some(self)
    }
}

/// What follows the comma.
fn inner_of<'a>(request: &Request<'a>) -> Result<&'a str> {
    let malformed = || Error::new(Code::EINVAL, "write layering:how,inner");
    request.rest().split_once(',').map(|(_, inner)| inner).ok_or_else(malformed)
}

impl Namespace for Running {
    fn stat(&self, request: &Request<'_>) -> Result<Stat> {
        self.host.stat(request.context(), inner_of(request)?, &Inner::default())
    }

    fn list(&self, request: &Request<'_>, each: &mut dyn FnMut(Entry<'_>) -> ControlFlow<()>) -> Result<()> {
        self.host.list(request.context(), inner_of(request)?, &Inner::default(), each)
    }

    fn names(&self, request: &Request<'_>, each: &mut dyn FnMut(Name<'_>) -> ControlFlow<()>) -> Result<()> {
        self.host.names(request.context(), inner_of(request)?, &Inner::default(), each)
    }

    fn remove(&self, request: &Request<'_>) -> Result<()> {
        self.host.remove(request.context(), inner_of(request)?, &Inner::default())
    }

    fn make_folder(&self, request: &Request<'_>) -> Result<()> {
        self.host.make_folder(request.context(), inner_of(request)?, &Inner::default())
    }

    fn remove_folder(&self, request: &Request<'_>) -> Result<()> {
        self.host.remove_folder(request.context(), inner_of(request)?, &Inner::default())
    }

    fn set_modified(&self, request: &Request<'_>, time: SystemTime) -> Result<()> {
        self.host.set_modified(request.context(), inner_of(request)?, &Inner::default(), time)
    }
}

fn joined<T>(thread: thread::ScopedJoinHandle<'_, Result<T>>) -> Result<T> {
    thread.join().unwrap_or_else(|_| Err(Error::new(Code::EIO, "the other thread panicked")))
}

struct Layer {
    how: String,
    inner: Option<Box<dyn File>>,
}

impl Layer {
    fn inner(&mut self) -> &mut dyn File {
        self.inner.as_deref_mut().expect("open until drop")
    }

    fn shared(&self) -> &dyn File {
        self.inner.as_deref().expect("open until drop")
    }
}

impl Drop for Layer {
    fn drop(&mut self) {
        let inner = self.inner.take();
        match self.how.as_str() {
            "leak" => mem::forget(inner),
            "late" => drop(thread::spawn(move || {
                let mut inner = inner;
                thread::sleep(Duration::from_millis(50));
                // The layer's own file and its context are gone by now.
                let read = inner.as_mut().map(|inner| inner.read(&mut [0; 4]));
                drop((read, inner));
            })),
            _ => {}
        }
    }
}

impl File for Layer {
    fn capabilities(&self) -> Capabilities {
        self.shared().capabilities()
    }

    fn read(&mut self, buf: &mut [u8]) -> Result<usize> {
        assert!(self.how != "panic", "boom in the layer");
        if self.how == "thread" {
            return thread::scope(|scope| joined(scope.spawn(|| self.inner().read(buf))));
        }
        self.inner().read(buf)
    }

    fn write(&mut self, buf: &[u8]) -> Result<usize> {
        self.inner().write(buf)
    }

    fn seek(&mut self, to: SeekFrom) -> Result<u64> {
        self.inner().seek(to)
    }

    fn tell(&mut self) -> Result<u64> {
        self.inner().tell()
    }

    fn truncate(&mut self, size: u64) -> Result<()> {
        self.inner().truncate(size)
    }

    fn flush(&mut self, level: Flush) -> Result<()> {
        self.inner().flush(level)
    }

    fn finish(&mut self, how: Finish) -> Result<()> {
        self.inner().finish(how)
    }

    fn read_at(&self, buf: &mut [u8], offset: u64) -> Result<usize> {
        self.shared().read_at(buf, offset)
    }

    fn write_at(&self, buf: &[u8], offset: u64) -> Result<usize> {
        self.shared().write_at(buf, offset)
    }

    fn stat(&mut self) -> Result<Stat> {
        self.inner().stat()
    }

    fn set_modified(&mut self, time: SystemTime) -> Result<()> {
        self.inner().set_modified(time)
    }

    fn lease(&mut self, direction: Direction) -> Result<Lease<'_>> {
        self.inner().lease(direction)
    }

    fn advance(&mut self, direction: Direction, count: u64) -> Result<()> {
        self.inner().advance(direction, count)
    }

    fn send_from(&mut self, from: BorrowedFd<'_>, offset: u64, count: usize) -> Result<usize> {
        self.inner().send_from(from, offset, count)
    }

    fn receive_into(&mut self, to: BorrowedFd<'_>, offset: u64, count: usize) -> Result<usize> {
        self.inner().receive_into(to, offset, count)
    }

    fn interest(&mut self, wanted: Wanted) -> Result<Interest<'_>> {
        self.inner().interest(wanted)
    }

    fn try_read(&mut self, buf: &mut [u8]) -> Result<Option<usize>> {
        self.inner().try_read(buf)
    }

    fn try_write(&mut self, buf: &[u8]) -> Result<Option<usize>> {
        self.inner().try_write(buf)
    }

    fn try_finish(&mut self, how: Finish) -> Result<Option<()>> {
        self.inner().try_finish(how)
    }
}

export_provider!(Layering);
