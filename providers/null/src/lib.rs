//! `null:` is empty to read and takes every write; `null:zero` reads as zeros without end.
//!
//! The template for a provider in Rust: three types, one for each trait, and the macro that exports them.

use vfs_core::{
    Capabilities, Code, Error, File, Host, Info, Instance, OpenFlags, Provider, Request, Result, Settings,
    export_provider,
};

/// The provider.
#[derive(Debug)]
pub struct Null;

impl Provider for Null {
    fn info(&self) -> Info {
        // CREATE and the like change nothing, as with /dev/null: who opens for output need not know where it goes.
        Info::new("null", env!("CARGO_PKG_VERSION"), "accepts every write; reads as empty, or as zeros")
            .supported_flags(
                OpenFlags::READ
                    | OpenFlags::WRITE
                    | OpenFlags::CREATE
                    | OpenFlags::TRUNCATE
                    | OpenFlags::APPEND,
            )
            .without_times()
    }

    fn start(&self, _: Host, _: Settings) -> Result<Box<dyn Instance>> {
        Ok(Box::new(Null))
    }
}

impl Instance for Null {
    fn open(&self, request: &Request<'_>) -> Result<Box<dyn File>> {
        let flags = request.flags();
        let zeros = match request.rest() {
            "" => false,
            "zero" => true,
            _ => {
                let text = format!("open {}: there are `null:` and `null:zero` only", request.shown());
                return Err(Error::new(Code::ENOENT, text));
            }
        };
        // With neither direction the descriptor decides, and this one goes both ways.
        let both = !flags.intersects(OpenFlags::READ | OpenFlags::WRITE);
        let mut capabilities = Capabilities::CANCEL; // it never blocks
        if both || flags.contains(OpenFlags::READ) {
            capabilities |= Capabilities::READABLE;
        }
        if both || flags.contains(OpenFlags::WRITE) {
            capabilities |= Capabilities::WRITABLE;
        }
        Ok(Box::new(Void { capabilities, zeros }))
    }
}

struct Void {
    capabilities: Capabilities,
    zeros: bool,
}

impl File for Void {
    fn capabilities(&self) -> Capabilities {
        self.capabilities
    }

    fn read(&mut self, buf: &mut [u8]) -> Result<usize> {
        if !self.capabilities.contains(Capabilities::READABLE) {
            return Err(Error::new(Code::EBADF, "read: not open for reading"));
        }
        if !self.zeros {
            return Ok(0);
        }
        buf.fill(0);
        Ok(buf.len())
    }

    fn write(&mut self, buf: &[u8]) -> Result<usize> {
        if !self.capabilities.contains(Capabilities::WRITABLE) {
            return Err(Error::new(Code::EBADF, "write: not open for writing"));
        }
        Ok(buf.len())
    }
}

export_provider!(Null);
