//! The provider.

use crate::instance::Http;
use crate::settings::{self, Config};
use vfs_core::{Host, Info, Instance, Provider, Result, Settings};
use zvfs_net::whole;

/// The provider `http`.
#[derive(Clone, Copy, Debug, Default)]
pub struct HttpProvider;

impl Provider for HttpProvider {
    fn info(&self) -> Info {
        let info =
            Info::new("http", env!("CARGO_PKG_VERSION"), "objects of HTTP servers, over http and https")
                .schemes(["http", "https"])
                .supported_flags(whole::SUPPORTED)
                .without_times();
        settings::schema().into_iter().fold(info, Info::setting)
    }

    fn start(&self, host: Host, settings: Settings) -> Result<Box<dyn Instance>> {
        Ok(Box::new(Http::new(host, Config::new(&settings)?)))
    }
}
