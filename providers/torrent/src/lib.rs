//! The provider `torrent`: files of torrents (BEP 3), fetched from their peers and verified piece by piece.
//!
//! `docs/torrent.md` says what an operator decides, and what whoever opens may rely on.
//!
//! | Module | What it is |
//! |---|---|
//! | `provider`, `instance` | the provider; one configuration, what its opens become, and names |
//! | `settings` | what an operator and an open may set |
//! | `descriptor` | the grammar |
//! | `metainfo` | a torrent's metadata, checked before anything else sees it |
//! | `caught` | panics of librqbit, told as errors |
//! | `session` | librqbit, with what the settings allow |
//! | `swarms`, `download` | the torrents that have open files; one of these files, and how it stands with the peers |
//! | `store` | where pieces are kept, and which are verified |
//! | `disk` | how much they may take |
//! | `reader` | a file open for reading |

mod caught;
mod descriptor;
mod disk;
mod download;
mod instance;
mod metainfo;
mod provider;
mod reader;
mod session;
mod settings;
mod store;
mod swarms;

pub use provider::TorrentProvider;

vfs_core::export_provider!(TorrentProvider);
