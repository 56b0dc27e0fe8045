//! The provider.

use crate::instance::Ftp;
use crate::settings;
use vfs_core::{Host, Info, Instance, Provider, Result, Settings};
use zvfs_net::whole;

/// The provider `ftp`.
#[derive(Clone, Copy, Debug, Default)]
pub struct FtpProvider;

impl Provider for FtpProvider {
    fn info(&self) -> Info {
        let info = Info::new("ftp", env!("CARGO_PKG_VERSION"), "files of FTP servers, over ftp and ftps")
            .schemes(["ftp", "ftps"])
            .supported_flags(whole::SUPPORTED);
        settings::schema().into_iter().fold(info, Info::setting)
    }

    fn start(&self, host: Host, settings: Settings) -> Result<Box<dyn Instance>> {
        Ok(Box::new(Ftp::start(host, &settings)?))
    }
}
