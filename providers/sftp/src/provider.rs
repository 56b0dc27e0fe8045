//! The provider.

use crate::instance::{self, Sftp};
use crate::settings;
use vfs_core::{Host, Info, Instance, Provider, Result, Settings};

/// The provider `sftp`.
#[derive(Clone, Copy, Debug, Default)]
pub struct SftpProvider;

impl Provider for SftpProvider {
    fn info(&self) -> Info {
        let info = Info::new("sftp", env!("CARGO_PKG_VERSION"), "files of SSH servers")
            .supported_flags(instance::SUPPORTED);
        settings::schema().into_iter().fold(info, Info::setting)
    }

    fn start(&self, host: Host, settings: Settings) -> Result<Box<dyn Instance>> {
        Ok(Box::new(Sftp::new(host, &settings)?))
    }
}
