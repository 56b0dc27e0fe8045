//! The provider.

use crate::instance::Ftp;
use crate::settings;
use vfs_core::{Host, Info, Instance, OpenFlags, Provider, Result, Settings};

/// The provider `ftp`.
#[derive(Clone, Copy, Debug, Default)]
pub struct FtpProvider;

impl Provider for FtpProvider {
    fn info(&self) -> Info {
        let flags = OpenFlags::READ
            | OpenFlags::WRITE
            | OpenFlags::CREATE
            | OpenFlags::TRUNCATE
            | OpenFlags::EXCLUSIVE
            | OpenFlags::ATOMIC
            | OpenFlags::SEQUENTIAL
            | OpenFlags::RANDOM;
        let info = Info::new("ftp", env!("CARGO_PKG_VERSION"), "files of FTP servers, over ftp and ftps")
            .schemes(["ftp", "ftps"])
            .supported_flags(flags);
        settings::schema().into_iter().fold(info, Info::setting)
    }

    fn start(&self, host: Host, settings: Settings) -> Result<Box<dyn Instance>> {
        Ok(Box::new(Ftp::start(host, &settings)?))
    }
}
