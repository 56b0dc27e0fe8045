//! A session's manifest: its text, and what it says.
//!
//! ZeroVM's versions 20130611 and 20140509 are read, and what is legal there means the same here, except that a line is
//! split at its first `=`, so that URLs with `=` work, and that a source with `,` or `;` may stand in double quotes.

mod channel;
mod digest;
mod keys;
mod lines;
mod mounts;
mod number;
mod nvram;
mod outputs;
mod trees;

pub use channel::{CHANNELS_MAX, ChannelSpec, Limits, SOURCES_MAX, STANDARD};
pub use digest::DigestAlgorithm;
pub use mounts::{Mount, Preopen};
pub use nvram::{Fstab, NVRAM_MAX, Nvram, NvramError};
pub use outputs::Commit;
pub use trees::{ExportSpec, TreeSpec};

use crate::exit::{ExitCode, Failure};
use std::fmt;
use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// The most bytes that a manifest may have: ZeroVM's limit.
pub const BYTES_MAX: usize = 0x80000;
/// The most lines: ZeroVM's limit.
pub const LINES_MAX: usize = 0x2000;
/// The latest time of day, in seconds since 1970: a guest's clocks count nanoseconds in 64 bits.
const TIME_MAX: u64 = u64::MAX / 1_000_000_000;

/// The two versions of the grammar.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// 20130611: a channel has 8 fields, Program is mandatory, Node is a number.
    V20130611,
    /// 20140509: a channel has 7 fields (8 are accepted), Program may be a channel, Node is a text.
    V20140509,
}

/// What a manifest says, checked as far as that is possible without opening anything.
///
/// The keys stand in docs/manifest.md.
///
/// ```
/// let manifest = zvm::Manifest::parse(br#"
///     # counts what comes in
///     Version = 20140509
///     Program = /srv/jobs/wordcount.wasm
///     Memory = 1048576, 0
///     Timeout = 10
///     Args = -l "two words"
///     Channel = "http://host/a,b.txt";/srv/more.txt, /dev/stdin, 0, 1000, 1000000, 0, 0
///     Channel = /dev/stdout, /dev/stdout, 0, 0, 0, 100, 10000
///     Channel = /dev/stderr, /dev/stderr, 0, 0, 0, 100, 10000
/// "#)?;
/// assert_eq!(manifest.args, ["-l", "two words"]);
/// assert_eq!(manifest.channels[0].sources, ["http://host/a,b.txt", "/srv/more.txt"]);
/// # Ok::<(), zvm::Failure>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Manifest {
    /// The grammar that it is written in.
    pub version: Version,
    /// The descriptor of the program.
    pub program: String,
    /// The guest's memory in bytes, 1 to 4 GiB.
    pub memory: u64,
    /// Where that stands.
    pub(crate) memory_line: usize,
    /// The time that the session gets, at least 1 s.
    pub timeout: Duration,
    /// The session's own name among its job's.
    pub node: Option<String>,
    /// The broker that node names are resolved with.
    pub broker: Option<String>,
    /// The arguments after the program's name.
    pub args: Vec<String>,
    /// The environment, in the manifest's order; names are unique.
    pub env: Vec<(String, String)>,
    /// The function that is called, of a program that is a library; `None`: `_start`.
    pub function: Option<String>,
    /// The fuel that the guest gets, at least 1; `None`: no limit.
    pub fuel: Option<u64>,
    /// The seed of the guest's random numbers, added to the one made of program and node.
    pub seed: Option<u64>,
    /// Whether clock and random numbers are virtual.
    pub deterministic: bool,
    /// The time of day at the start, in seconds since 1970, of a virtual clock; `None`: 0.
    pub time: Option<u64>,
    /// How many bytes the guest's own files may take, in the host's memory; `None`: it makes none.
    pub scratch: Option<u64>,
    /// The trees that the guest finds in its directories.
    pub mounts: Vec<Mount>,
    /// The folders of providers that the guest finds as directories.
    pub trees: Vec<TreeSpec>,
    /// The directories whose content is written to folders of providers when the session ends well.
    pub exports: Vec<ExportSpec>,
    /// The directories that are open when it starts, after the root.
    pub preopens: Vec<Preopen>,
    /// Whether a write-only file's `put_size` is reserved when it is opened.
    pub preallocate: bool,
    /// Which ends of a guest commit what it wrote.
    pub commit: Commit,
    /// Whether files are made durable before they are committed.
    pub sync: bool,
    /// How channels are digested, if they are.
    pub digest: Option<DigestAlgorithm>,
    /// The three standard channels, then the others by alias. The index is ZeroVM's handle.
    pub channels: Vec<Arc<ChannelSpec>>,
    /// What is odd but no defect.
    pub warnings: Vec<Warning>,
}

/// Something in a manifest that has no effect, or not the one that its author may expect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Warning {
    /// The line, from 1.
    pub line: usize,
    /// What and why.
    pub text: String,
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MANIFEST {}: {}", self.line, self.text)
    }
}

/// The function of a program that is called unless the manifest names another.
pub(crate) const START: &str = "_start";

impl Manifest {
    /// Reads a manifest from a file, never more of it than the limit.
    ///
    /// # Errors
    /// [`ExitCode::Missing`]: no such file, or it cannot be read. [`ExitCode::Manifest`] and others: as
    /// [`parse`](Manifest::parse).
    pub fn read(path: &Path) -> Result<Manifest, Failure> {
        let failed = |error: std::io::Error| {
            let error = vfs_core::Error::from(error);
            Failure::new(ExitCode::Missing, format!("read manifest {}: {error}", path.display()))
        };
        let mut text = Vec::new();
        let file = File::open(path).map_err(failed)?;
        file.take(BYTES_MAX as u64 + 1).read_to_end(&mut text).map_err(failed)?;
        Manifest::parse(&text)
    }

    /// Parses a manifest's text.
    ///
    /// # Errors
    /// `MANIFEST <line>: ...` with the exit code of the defect: [`ExitCode::Manifest`], but [`ExitCode::NilChannel`] for a
    /// channel without quotas, [`ExitCode::TooManyChannels`], [`ExitCode::Memory`] for a size out of range, and
    /// [`ExitCode::Missing`] for no program.
    pub fn parse(text: &[u8]) -> Result<Manifest, Failure> {
        let mut warnings = Vec::new();
        let lines = lines::split(text, &mut warnings)?;
        let ignored = warnings.len();
        let read = keys::read(&lines, &mut warnings);
        // The line that is ignored may be the one that is missing.
        let manifest = read.map_err(|failure| failure.noting(&warnings[..ignored]))?;
        warnings.sort_by_key(|warning| warning.line);
        Ok(Manifest { warnings, ..manifest })
    }

    /// Holds the size of the memory against what the program starts with, in bytes.
    ///
    /// # Errors
    /// [`ExitCode::Memory`]: it is too small.
    pub(crate) fn check_memory(&self, least: u64) -> Result<(), Failure> {
        if self.memory >= least {
            return Ok(());
        }
        let text = format!("Memory: {} bytes are too few: the program starts with {least}", self.memory);
        Err(failure(ExitCode::Memory, self.memory_line, text))
    }

    /// The function of the program that is called.
    pub(crate) fn entry(&self) -> &str {
        self.function.as_deref().unwrap_or(START)
    }
}

/// Makes the failure of a defective manifest.
fn defect(line: usize, text: impl fmt::Display) -> Failure {
    failure(ExitCode::Manifest, line, text)
}

fn failure(exit: ExitCode, line: usize, text: impl fmt::Display) -> Failure {
    Failure::new(exit, format!("MANIFEST {line}: {text}"))
}
