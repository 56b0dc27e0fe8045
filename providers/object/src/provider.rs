//! The provider.

use crate::instance::Objects;
use crate::settings;
use vfs_core::{Host, Info, Instance, Provider, Result, Settings};
use zvfs_net::whole;

/// The provider `object`.
#[derive(Clone, Copy, Debug, Default)]
pub struct ObjectProvider;

impl Provider for ObjectProvider {
    fn info(&self) -> Info {
        let summary = "objects of S3, Google Cloud Storage and Azure Blob Storage";
        let info = Info::new("object", env!("CARGO_PKG_VERSION"), summary)
            .schemes(["object", "s3", "gs", "az"])
            .supported_flags(whole::SUPPORTED);
        settings::schema().into_iter().fold(info, Info::setting)
    }

    fn start(&self, host: Host, settings: Settings) -> Result<Box<dyn Instance>> {
        Ok(Box::new(Objects::new(host, &settings)?))
    }
}
