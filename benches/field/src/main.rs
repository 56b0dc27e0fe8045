//! zvfs against the field, in one run: the same work by zvfs and by what others use for it, in alternating pairs. What is missing here
//! is skipped, and said so again at the end.
//!
//! | Part | Against |
//! |---|---|
//! | `local` | cp, nbdcopy, rclone; OpenDAL's Rust API; fsspec |
//! | `http` | curl, nbdcopy over nbdkit, rclone; OpenDAL; fsspec |
//! | `s3` | rclone; OpenDAL; s3fs, which is fsspec's |
//! | `pipes` | socat, iperf3 |
//! | `guests` | wasmtime's command and its package of PyPI |
//!
//! Without arguments all parts run. zvfs itself is not compiled into this but its core: the command and the libraries are those of a release
//! build, whose folder the environment's `ZVFS_FIELD_BUILD` names; default: the workspace's `target/release`.

mod copies;
mod guests;
mod operators;
mod ours;
mod pipes;
mod python;
mod skips;

use ours::{Host, Ours};
use std::fmt::Display;
use std::path::Path;
use tempfile::TempDir;
use zvfs_engines::S3;
use zvfs_http_servers::{Server, pattern};

type Failure = Box<dyn std::error::Error + Send + Sync>;

const MIB: u64 = 1 << 20;
/// What is read in one process, and goes from process to process.
const SIZE: u64 = 1024 * MIB;
/// What commands copy, and what is read of a web server and of S3.
const COPIED: u64 = 256 * MIB;
/// Rounds of a pair, which all take long.
const ROUNDS: usize = 5;

fn main() -> Result<(), Failure> {
    let parts: Vec<String> = std::env::args().skip(1).collect();
    let known: [(&str, fn(&Ours) -> Result<(), Failure>); 5] =
        [("local", local), ("http", http), ("s3", s3), ("pipes", pipes::run), ("guests", guests::run)];
    if let Some(part) = parts.iter().find(|part| known.iter().all(|(name, _)| name != part)) {
        return Err(format!("no part {part}: there are {}", known.map(|(name, _)| name).join(", ")).into());
    }
    let ours = Ours::find()?;
    for (name, run) in known {
        if parts.is_empty() || parts.iter().any(|part| part == name) {
            run(&ours)?;
        }
    }
    skips::tell();
    Ok(())
}

/// A file that is read in every way.
struct Place<'a> {
    /// Where it is, for the titles.
    title: &'a str,
    /// Which zvfs.
    host: &'a Host,
    /// Its descriptor.
    descriptor: String,
    size: u64,
    /// How many pieces of 4 KiB are read in no order.
    pieces: u64,
}

fn local(ours: &Ours) -> Result<(), Failure> {
    let folder = tempfile::tempdir()?;
    let host = ours.host("[provider.file]\n")?;
    let (large, source) = (folder.path().join("large"), folder.path().join("source"));
    pattern::write(&source, COPIED);
    copies::of_file(&host, &source)?;
    pattern::write(&large, SIZE);
    let place = Place { title: "a file", host: &host, descriptor: text(&large), size: SIZE, pieces: 100_000 };
    operators::reads(&place, operators::fs(folder.path())?, "large")?;
    python::reads(&place, &text(&large), "fsspec", r#"{"protocol": "file"}"#);
    Ok(())
}

fn http(ours: &Ours) -> Result<(), Failure> {
    if let Some(missing) = skips::missing(&["nginx"]) {
        skips::skip("http", missing);
        return Ok(());
    }
    let Some(server) = Server::nginx() else { return Ok(()) };
    let host = ours.host("[provider.file]\n[provider.http]\n")?;
    pattern::write(&server.root().join("object"), COPIED);
    let url = server.http("object");
    copies::of_url(&host, &url, &server.root().join("object"))?;
    let place = Place { title: "http", host: &host, descriptor: url.clone(), size: COPIED, pieces: 2000 };
    operators::reads(&place, operators::http(&url.replace("/object", "/"))?, "object")?;
    python::reads(&place, &url, "fsspec", r#"{"protocol": "http"}"#);
    Ok(())
}

fn s3(ours: &Ours) -> Result<(), Failure> {
    if !ours.has_library("object") {
        let wanted = "no libzvfs_object.so in that build: cargo build --release -p zvfs-object";
        skips::skip("s3", wanted);
        return Ok(());
    }
    // It says itself that it has no server.
    let Some(server) = S3::s3s() else {
        skips::skip("s3", "no s3s-fs: .ci/run fetches it");
        return Ok(());
    };
    let settings = server.settings();
    let host = ours.host(&format!("[provider.file]\n[provider.object]\nsettings = {{ {settings} }}\n"))?;
    let folder = TempDir::new()?;
    let source = folder.path().join("source");
    pattern::write(&source, COPIED);
    // The copies write what is read then: of an object that it was not sent, s3s-fs reads all to form its tag, for each request.
    copies::of_object(&host, &server, "object", &source)?;
    let descriptor = server.descriptor("object");
    let place = Place { title: "S3", host: &host, descriptor, size: COPIED, pieces: 500 };
    operators::reads(&place, operators::s3(&server)?, "object")?;
    let options = format!(
        r#"{{"protocol": "s3", "key": {:?}, "secret": {:?}, "client_kwargs": {{"endpoint_url": {:?}, "region_name": "us-east-1"}}}}"#,
        S3::ACCESS_KEY,
        S3::SECRET_KEY,
        server.endpoint()
    );
    python::reads(&place, &format!("{}/object", S3::BUCKET), "s3fs", &options);
    Ok(())
}

/// A path as text; those here are all ours.
fn text(path: &Path) -> String {
    path.display().to_string()
}

/// What a measured call returned: a peer that fails has no time.
fn expect<T, E: Display>(result: Result<T, E>) -> T {
    result.unwrap_or_else(|error| panic!("{error}"))
}
