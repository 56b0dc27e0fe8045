//! The provider.

use crate::instance::Pipes;
use crate::settings::{self, Config};
use vfs_core::{Host, Info, Instance, OpenFlags, Provider, Result, Settings};

/// The provider `p2p`.
#[derive(Clone, Copy, Debug, Default)]
pub struct P2p;

impl Provider for P2p {
    fn info(&self) -> Info {
        let info = Info::new(
            "p2p",
            env!("CARGO_PKG_VERSION"),
            "netpipes: named pipes between peers known by their keys",
        )
        .schemes(["p2p", "netpipe", "opaque"])
        .supported_flags(OpenFlags::READ | OpenFlags::WRITE | OpenFlags::SEQUENTIAL)
        .without_times();
        settings::schema().into_iter().fold(info, Info::setting)
    }

    fn start(&self, host: Host, settings: Settings) -> Result<Box<dyn Instance>> {
        Ok(Box::new(Pipes::new(host, Config::new(&settings)?)))
    }
}
