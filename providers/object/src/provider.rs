//! The provider.

use crate::instance::Objects;
use crate::settings;
use vfs_core::{Host, Info, Instance, OpenFlags, Provider, Result, Settings};

/// The provider `object`.
#[derive(Clone, Copy, Debug, Default)]
pub struct ObjectProvider;

impl Provider for ObjectProvider {
    fn info(&self) -> Info {
        let flags = OpenFlags::READ
            | OpenFlags::WRITE
            | OpenFlags::CREATE
            | OpenFlags::TRUNCATE
            | OpenFlags::EXCLUSIVE
            | OpenFlags::ATOMIC
            | OpenFlags::SEQUENTIAL
            | OpenFlags::RANDOM;
        let summary = "objects of S3, Google Cloud Storage and Azure Blob Storage";
        let info = Info::new("object", env!("CARGO_PKG_VERSION"), summary)
            .schemes(["object", "s3", "gs", "az"])
            .supported_flags(flags);
        settings::schema().into_iter().fold(info, Info::setting)
    }

    fn start(&self, host: Host, settings: Settings) -> Result<Box<dyn Instance>> {
        Ok(Box::new(Objects::new(host, &settings)?))
    }
}
