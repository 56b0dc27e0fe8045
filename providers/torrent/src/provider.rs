//! The provider.

use crate::instance::Torrents;
use crate::settings;
use vfs_core::{Host, Info, Instance, OpenFlags, Provider, Result, Settings};

/// The provider `torrent`.
#[derive(Clone, Copy, Debug, Default)]
pub struct TorrentProvider;

impl Provider for TorrentProvider {
    fn info(&self) -> Info {
        let info =
            Info::new("torrent", env!("CARGO_PKG_VERSION"), "files of torrents, fetched from their peers")
                .schemes(["torrent", "magnet"])
                .supported_flags(OpenFlags::READ | OpenFlags::SEQUENTIAL | OpenFlags::RANDOM)
                .without_times();
        settings::schema().into_iter().fold(info, Info::setting)
    }

    fn start(&self, host: Host, settings: Settings) -> Result<Box<dyn Instance>> {
        Ok(Box::new(Torrents::start(host, &settings)?))
    }
}
