//! `panicking:<call>` panics in that call: `open`, `read`, `close`, ... A setting names the instance's: `start`, `stop`.
//! With ZVFS_PANICKING_INFO in the environment the library panics while it describes itself.
//!
//! Every panic's text is `boom in <call>`.
//!
//! `panicking:keep` keeps its context beyond its close, against the rules; a read of `panicking:kept` then uses it.

use std::io::SeekFrom;
use std::ops::ControlFlow;
use std::os::fd::BorrowedFd;
use std::sync::{Arc, Mutex, PoisonError};
use vfs_core::{
    Capabilities, Context, Direction, Entry, Events, File, Finish, Flush, Host, Info, Instance, Interest,
    Lease, Namespace, OpenFlags, Provider, Request, Result, Setting, SettingKind, Settings, Stat, Wanted,
    export_provider,
};

/// The provider.
#[derive(Debug)]
pub struct Panicking;

/// Panics if this is the call.
struct Fuse(String);

impl Fuse {
    fn at(&self, call: &str) {
        assert!(self.0 != call, "boom in {call}");
    }
}

impl Provider for Panicking {
    fn info(&self) -> Info {
        assert!(std::env::var_os("ZVFS_PANICKING_INFO").is_none(), "boom in info");
        let help = "the instance's call that panics: start or stop";
        Info::new("panicking", "1.0", "panics")
            .supported_flags(OpenFlags::READ | OpenFlags::WRITE)
            .setting(Setting::new("panic", SettingKind::Text, help))
    }

    fn start(&self, _: Host, settings: Settings) -> Result<Box<dyn Instance>> {
        let fuse = Fuse(settings.text("panic").unwrap_or_default().to_owned());
        fuse.at("start");
        Ok(Box::new(Started { fuse, kept: Arc::default() }))
    }
}

struct Started {
    fuse: Fuse,
    kept: Arc<Mutex<Option<Context>>>,
}

impl Drop for Started {
    fn drop(&mut self) {
        self.fuse.at("stop");
    }
}

impl Instance for Started {
    fn open(&self, request: &Request<'_>) -> Result<Box<dyn File>> {
        let fuse = Fuse(request.rest().to_owned());
        fuse.at("open");
        if fuse.0 == "keep" {
            *self.kept.lock().unwrap_or_else(PoisonError::into_inner) = Some(request.context().clone());
        }
        Ok(Box::new(Opened { fuse, kept: self.kept.clone() }))
    }

    fn namespace(&self) -> Option<&dyn Namespace> {
        Some(self)
    }
}

impl Namespace for Started {
    fn stat(&self, request: &Request<'_>) -> Result<Stat> {
        panic!("boom in {}", request.rest())
    }

    fn list(&self, request: &Request<'_>, _: &mut dyn FnMut(Entry<'_>) -> ControlFlow<()>) -> Result<()> {
        panic!("boom in {}", request.rest())
    }

    fn remove(&self, request: &Request<'_>) -> Result<()> {
        panic!("boom in {}", request.rest())
    }
}

struct Opened {
    fuse: Fuse,
    kept: Arc<Mutex<Option<Context>>>,
}

impl Opened {
    fn use_kept(&self) -> Result<()> {
        match &*self.kept.lock().unwrap_or_else(PoisonError::into_inner) {
            Some(context) => context.wait(None, Events::empty(), None).map(drop),
            None => Ok(()),
        }
    }
}

impl Drop for Opened {
    fn drop(&mut self) {
        self.fuse.at("close");
    }
}

impl File for Opened {
    fn capabilities(&self) -> Capabilities {
        self.fuse.at("capabilities");
        // All that there are but CANCEL.
        Capabilities::from_bits(0x1ff) | Capabilities::POLL
    }

    fn read(&mut self, _: &mut [u8]) -> Result<usize> {
        self.fuse.at("read");
        if self.fuse.0 == "kept" { self.use_kept().map(|()| 0) } else { Ok(0) }
    }

    fn write(&mut self, buf: &[u8]) -> Result<usize> {
        self.fuse.at("write");
        Ok(buf.len())
    }

    fn seek(&mut self, _: SeekFrom) -> Result<u64> {
        self.fuse.at("seek");
        Ok(0)
    }

    fn tell(&mut self) -> Result<u64> {
        self.fuse.at("tell");
        Ok(0)
    }

    fn truncate(&mut self, _: u64) -> Result<()> {
        self.fuse.at("truncate");
        Ok(())
    }

    fn flush(&mut self, _: Flush) -> Result<()> {
        self.fuse.at("flush");
        Ok(())
    }

    fn finish(&mut self, _: Finish) -> Result<()> {
        self.fuse.at("finish");
        Ok(())
    }

    fn read_at(&self, _: &mut [u8], _: u64) -> Result<usize> {
        self.fuse.at("read_at");
        Ok(0)
    }

    fn write_at(&self, buf: &[u8], _: u64) -> Result<usize> {
        self.fuse.at("write_at");
        Ok(buf.len())
    }

    fn stat(&mut self) -> Result<Stat> {
        self.fuse.at("stat");
        Ok(Stat::of_kind(vfs_core::Kind::Stream))
    }

    fn lease(&mut self, _: Direction) -> Result<Lease<'_>> {
        self.fuse.at("lease");
        Err(vfs_core::Code::ENOTSUP.into())
    }

    fn advance(&mut self, _: Direction, _: u64) -> Result<()> {
        self.fuse.at("advance");
        Ok(())
    }

    fn send_from(&mut self, _: BorrowedFd<'_>, _: u64, _: usize) -> Result<usize> {
        self.fuse.at("send_from");
        Ok(0)
    }

    fn receive_into(&mut self, _: BorrowedFd<'_>, _: u64, _: usize) -> Result<usize> {
        self.fuse.at("receive_into");
        Ok(0)
    }

    fn interest(&mut self, wanted: Wanted) -> Result<Interest<'_>> {
        self.fuse.at("interest");
        Ok(Interest::ready(wanted))
    }

    fn try_read(&mut self, _: &mut [u8]) -> Result<Option<usize>> {
        self.fuse.at("try_read");
        Ok(Some(0))
    }

    fn try_write(&mut self, buf: &[u8]) -> Result<Option<usize>> {
        self.fuse.at("try_write");
        Ok(Some(buf.len()))
    }

    fn try_finish(&mut self, _: Finish) -> Result<Option<()>> {
        self.fuse.at("try_finish");
        Ok(Some(()))
    }
}

export_provider!(Panicking);
