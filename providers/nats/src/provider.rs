//! The provider.

use crate::instance::Pipes;
use crate::settings::{self, Config};
use vfs_core::{Host, Info, Instance, OpenFlags, Provider, Result, Settings};

/// The provider `nats`.
#[derive(Clone, Copy, Debug, Default)]
pub struct Nats;

impl Provider for Nats {
    fn info(&self) -> Info {
        let info =
            Info::new("nats", env!("CARGO_PKG_VERSION"), "netpipes: named pipes between machines, over NATS")
                .schemes(["nats", "netpipe", "opaque"])
                .supported_flags(OpenFlags::READ | OpenFlags::WRITE | OpenFlags::SEQUENTIAL)
                .without_times();
        settings::schema().into_iter().fold(info, Info::setting)
    }

    fn start(&self, host: Host, settings: Settings) -> Result<Box<dyn Instance>> {
        Ok(Box::new(Pipes::new(host, Config::new(&settings)?)))
    }
}
