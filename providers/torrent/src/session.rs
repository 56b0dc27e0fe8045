//! The session of an instance: librqbit, with what the settings allow and nothing else.

use crate::settings::Config;
pub use librqbit::Session;
use librqbit::limits::LimitsConfig;
use librqbit::{DhtSessionConfig, ListenerMode, ListenerOptions, SessionOptions};
use rustls::crypto::ring;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use vfs_core::{Code, Error, Printable, Result};
use zvfs_net::failure::Failure;
use zvfs_runtime::Runtime;

/// librqbit lends a permit of the same pool to each stream and to each write of a piece. With its own number, eight, as many
/// open files would leave none to write with, and all would wait for ever. How many threads block is the runtime's limit.
const PERMITS: usize = 1 << 20;

/// Torrents whose kept pieces are verified at once.
const CHECKS: usize = 4;

/// Starts a session.
///
/// # Errors
/// EADDRINUSE, EACCES, ...: `listen` cannot be had. EIO: what else it needs.
pub fn start(runtime: &Runtime, config: &Config) -> Result<Arc<Session>> {
    // For librqbit's HTTP client, which takes the process's. If there is one already, it will do.
    let _ = ring::default_provider().install_default();
    let options = SessionOptions {
        dht: config.dht.then(|| DhtSessionConfig { persistence: None, ..DhtSessionConfig::default() }),
        disable_trackers: !config.trackers,
        disable_local_service_discovery: !config.lsd,
        disable_upload: !config.upload,
        listen: config.listen.map(|address| ListenerOptions {
            mode: ListenerMode::TcpOnly,
            listen_addr: address,
            ipv4_only: address.is_ipv4(),
            ..ListenerOptions::default()
        }),
        ratelimits: LimitsConfig { upload_bps: config.upload_rate, download_bps: None },
        peer_limit: Some(config.peer_limit),
        concurrent_init_limit: Some(CHECKS),
        runtime_worker_threads: Some(PERMITS),
        client_name_and_version: Some(concat!("zvfs/", env!("CARGO_PKG_VERSION")).to_owned()),
        ..SessionOptions::default()
    };
    let session = runtime.handle().block_on(Session::new_with_opts(PathBuf::new(), options));
    session.map_err(|error| {
        let system = error.chain().find_map(|cause| cause.downcast_ref::<io::Error>()?.raw_os_error());
        let code = system.map_or(Code::EIO, |raw| Code::from_raw(raw.into()));
        Error::new(code, format!("start a BitTorrent session: {}", Printable(&format!("{error:#}"))))
    })
}

/// What librqbit says of a torrent that it cannot go on with.
pub fn broke(error: &anyhow::Error) -> Failure {
    Failure::new(Code::EIO, Printable(&format!("{error:#}")).to_string())
}
