//! The provider.

use crate::instance::Netpipes;
use crate::settings::{self, Config};
use vfs_core::{Host, Info, Instance, OpenFlags, Provider, Result, Settings};

/// The provider `tcp`.
#[derive(Clone, Copy, Debug, Default)]
pub struct Tcp;

impl Provider for Tcp {
    fn info(&self) -> Info {
        let info =
            Info::new("tcp", env!("CARGO_PKG_VERSION"), "netpipes: named pipes between machines, over TCP")
                .schemes(["tcp", "netpipe", "opaque"])
                .supported_flags(OpenFlags::READ | OpenFlags::WRITE | OpenFlags::SEQUENTIAL)
                .without_times();
        settings::schema().into_iter().fold(info, Info::setting)
    }

    fn start(&self, host: Host, settings: Settings) -> Result<Box<dyn Instance>> {
        Ok(Box::new(Netpipes::new(host, Config::new(&settings)?)))
    }
}
