//! `panicking:<call>` panics in that call: `open`, `read`, `close`, ... A setting names the instance's: `start`, `stop`.
//! With ZVFS_PANICKING_INFO in the environment the library panics while it describes itself.
//!
//! Every panic's text is `boom in <call>`.

use std::io::SeekFrom;
use std::ops::ControlFlow;
use vfs_core::{
    Capabilities, Direction, Entry, File, Finish, Flush, Host, Info, Instance, Lease, Namespace, OpenFlags,
    Provider, Request, Result, Setting, SettingKind, Settings, Stat, export_provider,
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
        Ok(Box::new(Started(fuse)))
    }
}

struct Started(Fuse);

impl Drop for Started {
    fn drop(&mut self) {
        self.0.at("stop");
    }
}

impl Instance for Started {
    fn open(&self, request: &Request<'_>) -> Result<Box<dyn File>> {
        let fuse = Fuse(request.rest().to_owned());
        fuse.at("open");
        Ok(Box::new(Opened(fuse)))
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

struct Opened(Fuse);

impl Drop for Opened {
    fn drop(&mut self) {
        self.0.at("close");
    }
}

impl File for Opened {
    fn capabilities(&self) -> Capabilities {
        self.0.at("capabilities");
        // All that there are but CANCEL and what is reserved.
        Capabilities::from_bits(0xff)
    }

    fn read(&mut self, _: &mut [u8]) -> Result<usize> {
        self.0.at("read");
        Ok(0)
    }

    fn write(&mut self, buf: &[u8]) -> Result<usize> {
        self.0.at("write");
        Ok(buf.len())
    }

    fn seek(&mut self, _: SeekFrom) -> Result<u64> {
        self.0.at("seek");
        Ok(0)
    }

    fn tell(&mut self) -> Result<u64> {
        self.0.at("tell");
        Ok(0)
    }

    fn truncate(&mut self, _: u64) -> Result<()> {
        self.0.at("truncate");
        Ok(())
    }

    fn flush(&mut self, _: Flush) -> Result<()> {
        self.0.at("flush");
        Ok(())
    }

    fn finish(&mut self, _: Finish) -> Result<()> {
        self.0.at("finish");
        Ok(())
    }

    fn read_at(&self, _: &mut [u8], _: u64) -> Result<usize> {
        self.0.at("read_at");
        Ok(0)
    }

    fn write_at(&self, buf: &[u8], _: u64) -> Result<usize> {
        self.0.at("write_at");
        Ok(buf.len())
    }

    fn stat(&mut self) -> Result<Stat> {
        self.0.at("stat");
        Ok(Stat::of_kind(vfs_core::Kind::Stream))
    }

    fn lease(&mut self, _: Direction) -> Result<Lease<'_>> {
        self.0.at("lease");
        Err(vfs_core::Code::ENOTSUP.into())
    }

    fn advance(&mut self, _: Direction, _: u64) -> Result<()> {
        self.0.at("advance");
        Ok(())
    }
}

export_provider!(Panicking);
