//! `zvfs cp`: one descriptor to another, or many into a folder; each all of it or nothing.

mod copier;
mod digest;
mod ends;
mod filter;
mod grown;
mod many;
mod pace;
mod part;
mod plan;
mod tally;

use crate::exit::Failure;
use crate::options::{Options, size};
use crate::setup;
use crate::watch::Watch;
use clap::Args;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use pace::Pace;
use std::io::{self, IsTerminal};
use std::sync::Mutex;
use std::sync::atomic::AtomicBool;
use vfs_core::{Code, OpenFile, Registry, Result, below, last_name};

pub use copier::{Copier, Times};
pub use ends::Ends;
pub use filter::Filter;
pub use many::{LeavesOut, Many};
pub use part::Keep;

/// Copy one descriptor to another, or several into a folder; a failed or interrupted copy leaves no half-written target, unless a server writes in place
///
/// The target appears under its name once it is complete, and keeps its owner, permissions and attributes. A target that can only
/// be written in place (a file with several hard links, a mounted one, a device) is written over and then cut to its size, and a
/// failed copy leaves what it has written there, before the rest of the old content; a pipe breaks.
///
/// A target that is a folder, or ends in a slash, gets each source under the last name of that. Of several files, one that fails
/// does not stop the others: it is told, and the exit code is that of the first.
#[derive(Args, Debug)]
#[command(verbatim_doc_comment)]
pub struct Cp {
    #[command(flatten)]
    ends: Ends,
    /// Write into the existing file, even if it could be replaced: when others have it open, or there is no room for old and new
    #[arg(long)]
    in_place: bool,
    /// Copy folders with what is in them; links in them are left out, and told
    #[arg(short, long)]
    recursive: bool,
    /// Copy the files that links in folders lead to; links to folders are left out all the same
    #[arg(short = 'L', long, requires = "recursive")]
    dereference: bool,
    #[command(flatten)]
    filter: Filter,
    /// Compare contents by SHA-256: leave out what DST has already, and read back what was copied
    #[arg(long)]
    checksum: bool,
    /// Leave out files that DST has with the same size and not older, by the times of both ends: quick, and no proof as --checksum is
    #[arg(short, long, conflicts_with = "checksum")]
    update: bool,
    #[command(flatten)]
    keep: Keep,
    /// Keep the times of files and folders. Modes and owners are the target's own. A target that takes no times is an error
    #[arg(short, long)]
    preserve: bool,
    /// At most this many bytes a second, all files together: 500k, 10m
    #[arg(long, value_name = "SIZE", value_parser = size)]
    limit_rate: Option<u64>,
    /// How many files to copy at a time, 1 to 256
    #[arg(short, long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..=256))]
    jobs: u16,
    /// One JSON object a line for each file: source, target, outcome, bytes, why; then one with a summary
    #[arg(long)]
    json: bool,
}

impl Cp {
    pub fn execute(&self, options: &Options) -> std::result::Result<(), Failure> {
        if self.keep.is_wanted() && self.ends.has_stream() {
            let text = "copy `-` with --partial: a stream cannot be gone on with by a later run";
            return Err(Failure::new(Code::EINVAL, text));
        }
        let watch = Watch::start(self.ends.open.timeout)?;
        let registry = setup::registry(options)?;
        match self.ends.sources.as_slice() {
            [source] if !self.is_for_many() => {
                let copied = self.copy(source, &registry, &watch);
                let files = copied.map_err(|error| match error.code() {
                    Code::EPIPE if self.ends.target == "-" => Failure::output(error),
                    _ => watch.failure(error),
                })?;
                for file in files {
                    watch.closes(&registry, file.shown());
                    drop(file);
                }
            }
            _ => self.many().execute(&self.ends, self.copier(&registry, &watch, true))?,
        }
        watch.stop(registry);
        Ok(())
    }

    /// Whether it may be about more than one file, or what is told of one is wanted.
    fn is_for_many(&self) -> bool {
        self.recursive || self.checksum || self.update || self.json || self.ends.target.ends_with('/')
    }

    /// Copies one file, and gives both to be closed.
    fn copy(&self, source: &str, registry: &Registry, watch: &Watch) -> Result<[OpenFile; 2]> {
        let (sources, to) = self.ends.sides(registry, watch)?;
        let copier = self.copier(registry, watch, false);
        let name = last_name(source).filter(|_| source != "-" && !self.ends.no_target_directory);
        // What cannot be named there is no folder.
        let inside = name.and_then(|name| below(to.descriptor, &name).ok());
        let inside = inside.as_ref().map(|descriptor| to.at(descriptor));
        let opened = copier.open(&sources[0], (&to, false), inside.as_ref())?;
        let bar = bar(opened.size, self.ends.target == "-");
        let copied = opened.run(&mut |total| bar.set_position(total));
        bar.finish_and_clear();
        copied
    }

    fn many(&self) -> Many<'_> {
        Many {
            recursive: self.recursive,
            follows_links: self.dereference,
            filter: &self.filter,
            leaves_out: match (self.checksum, self.update) {
                (true, _) => LeavesOut::Same,
                (_, true) => LeavesOut::NotOlder,
                _ => LeavesOut::Nothing,
            },
            removes: None,
            jobs: self.jobs,
            json: self.json,
        }
    }

    fn copier<'a>(&'a self, registry: &'a Registry, watch: &'a Watch, make_folders: bool) -> Copier<'a> {
        Copier {
            registry,
            watch,
            in_place: self.in_place,
            keep: &self.keep,
            times: if self.preserve { Times::Kept } else { Times::Own },
            make_folders,
            pace: self.limit_rate.map(Pace::new),
            takes_no_times: AtomicBool::new(false),
            needless: Mutex::default(),
        }
    }
}

/// A bar for whoever looks on; none beside data on the same terminal. The message, if there is one, stands before the bytes.
fn bar(size: Option<u64>, writes_to_stdout: bool) -> ProgressBar {
    let beside_data = writes_to_stdout && io::stdout().is_terminal();
    if beside_data || !io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::with_draw_target(size, ProgressDrawTarget::stderr());
    let template = match size {
        // The bar takes what the rest leaves of the line.
        Some(_) => "{wide_bar} {msg}{bytes} of {total_bytes}, {bytes_per_sec}, {eta} left",
        None => "{spinner} {msg}{bytes}, {bytes_per_sec}",
    };
    match ProgressStyle::with_template(template) {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}
