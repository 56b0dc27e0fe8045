//! `zvfs cp`: one descriptor to another, or many into a folder; each all of it or nothing.

mod copier;
mod digest;
mod filter;
mod many;
mod pace;
mod plan;
mod tally;

use crate::below::{join, last_name};
use crate::descriptors::{Assigned, DescriptorOptions};
use crate::exit::Failure;
use crate::name::{descriptor_or_stream, stream};
use crate::options::{Options, setting, size};
use crate::setup;
use crate::watch::Watch;
use clap::Args;
use copier::Copier;
use filter::Filter;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use many::Crew;
use pace::Pace;
use plan::Planner;
use std::io::{self, IsTerminal};
use tally::Tally;
use vfs_core::{Code, Error, OpenFile, Registry, Result, Shown};

/// Copy one descriptor to another, or several into a folder; a failed or interrupted copy leaves no half-written target, unless a server writes in place
///
/// The target appears under its name once it is complete, and keeps its owner, permissions and attributes. A target that can only
/// be written in place (a file with several hard links, a mounted one, a device) is emptied and written, and a failed copy leaves
/// partial output there; a pipe breaks.
///
/// A target that is a folder, or ends in a slash, gets each source under the last name of that. Of several files, one that fails
/// does not stop the others: it is told, and the exit code is that of the first.
#[derive(Args, Debug)]
#[command(verbatim_doc_comment)]
pub struct Cp {
    #[command(flatten)]
    open: DescriptorOptions,
    /// A setting for SRC only, where -o would set it for both; repeatable
    #[arg(long = "src-o", value_name = "KEY=VALUE", value_parser = setting)]
    source_settings: Vec<(String, String)>,
    /// A setting for DST only, where -o would set it for both; repeatable
    #[arg(long = "dst-o", value_name = "KEY=VALUE", value_parser = setting)]
    target_settings: Vec<(String, String)>,
    /// Write into the existing file, even if it could be replaced: when others have it open, or there is no room for old and new
    #[arg(long)]
    in_place: bool,
    /// Copy folders with what is in them; links to folders are not followed, and empty folders are left out
    #[arg(short, long)]
    recursive: bool,
    #[command(flatten)]
    filter: Filter,
    /// DST is the copy itself, not a folder to copy into
    #[arg(short = 'T', long)]
    no_target_directory: bool,
    /// Compare contents by SHA-256: leave out what DST has already, and read back what was copied
    #[arg(long)]
    checksum: bool,
    /// At most this many bytes a second, all files together: 500k, 10m
    #[arg(long, value_name = "SIZE", value_parser = size)]
    limit_rate: Option<u64>,
    /// How many files to copy at a time
    #[arg(short, long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..=256))]
    jobs: u16,
    /// One JSON object a line for each file: source, target, outcome, bytes, why; then one with a summary
    #[arg(long)]
    json: bool,
    /// What to read; `-` is standard input (file:/dev/stdin)
    #[arg(required = true, value_name = "SRC", value_parser = descriptor_or_stream())]
    sources: Vec<String>,
    /// What to write; `-` is standard output (file:/dev/stdout)
    #[arg(value_name = "DST", value_parser = descriptor_or_stream())]
    target: String,
}

impl Cp {
    pub fn execute(&self, options: &Options) -> std::result::Result<(), Failure> {
        let watch = Watch::start(self.open.timeout)?;
        let registry = setup::registry(options)?;
        match self.sources.as_slice() {
            [source] if !self.is_for_many() => {
                let copied = self.copy(source, &registry, &watch);
                let files = copied.map_err(|error| match error.code() {
                    Code::EPIPE if self.target == "-" => Failure::output(error),
                    _ => watch.failure(error),
                })?;
                for file in files {
                    watch.closes(&registry, file.shown());
                    drop(file);
                }
            }
            _ => self.copy_many(&registry, &watch)?,
        }
        watch.stop(registry);
        Ok(())
    }

    /// Whether it may be about more than one file, or what is told of one is wanted.
    fn is_for_many(&self) -> bool {
        self.recursive || self.checksum || self.json || self.target.ends_with('/')
    }

    /// Copies one file, and gives both to be closed.
    fn copy(&self, source: &str, registry: &Registry, watch: &Watch) -> Result<[OpenFile; 2]> {
        let (sources, to) = self.sides(registry, watch)?;
        let copier = self.copier(registry, watch, false);
        let name = last_name(source).filter(|_| source != "-" && !self.no_target_directory);
        let inside = name.map(|name| join(to.descriptor, &name)).transpose().unwrap_or_default();
        let inside = inside.as_ref().map(|descriptor| Assigned { descriptor, settings: to.settings.clone() });
        let opened = copier.open(&sources[0], &to, inside.as_ref())?;
        let bar = self.bar(opened.size);
        let copied = opened.run(&mut |total| bar.set_position(total));
        bar.finish_and_clear();
        copied
    }

    /// Copies what the sources hold.
    fn copy_many(&self, registry: &Registry, watch: &Watch) -> std::result::Result<(), Failure> {
        if self.target == "-" || self.sources.iter().any(|source| source == "-") {
            let text = "copy several files, or with --checksum or --json: `-` is no file: name one, or copy it alone";
            return Err(Failure::new(Code::EINVAL, text));
        }
        let (sources, target) = self.sides(registry, watch)?;
        let planner = Planner { registry, watch, recursive: self.recursive, filter: &self.filter };
        let into = !self.no_target_directory && (self.target.ends_with('/') || planner.is_folder(&target));
        if !into && sources.len() > 1 {
            let text = format!(
                "copy {} sources to {}: not a folder: end it with a / to make one",
                sources.len(),
                Shown(&self.target)
            );
            return Err(Failure::new(Code::ENOTDIR, text));
        }
        let plan = planner.plan(&sources, target.descriptor, into);
        let bar = self.bar(plan.tasks.iter().map(|task| task.size).sum());
        let tally = Tally::new(self.json, &bar);
        let copier = self.copier(registry, watch, true);
        let crew = Crew {
            copier: &copier,
            sources: &sources,
            target: &target,
            checksum: self.checksum,
            tally: &tally,
            bar: &bar,
        };
        crew.work(plan, self.jobs.into());
        bar.finish_and_clear();
        tally.end(io::stderr().is_terminal())
    }

    fn copier<'a>(&self, registry: &'a Registry, watch: &'a Watch, make_folders: bool) -> Copier<'a> {
        Copier {
            registry,
            watch,
            in_place: self.in_place,
            make_folders,
            pace: self.limit_rate.map(Pace::new),
        }
    }

    /// Both sides with their settings: those of -o go to the side that knows them.
    fn sides(&self, registry: &Registry, watch: &Watch) -> Result<(Vec<Assigned<'_>>, Assigned<'_>)> {
        let sources = self.sources.iter().map(|source| stream(source, "file:/dev/stdin"));
        let named = sources.chain([stream(&self.target, "file:/dev/stdout")]);
        let mut sides: Vec<Assigned<'_>> = named.map(Assigned::new).collect();
        self.open.assign(registry, watch, &mut sides).map_err(|error| {
            Error::new(error.code(), format!("{}; --src-o and --dst-o set one side only", error.chain()))
        })?;
        let mut target = sides.remove(self.sources.len());
        target.settings.extend(self.target_settings.iter().cloned());
        for source in &mut sides {
            source.settings.extend(self.source_settings.iter().cloned());
        }
        Ok((sides, target))
    }

    /// A bar for whoever looks on; none beside the data itself.
    fn bar(&self, size: Option<u64>) -> ProgressBar {
        let beside_data = (self.target == "-" || self.json) && io::stdout().is_terminal();
        if beside_data || !io::stderr().is_terminal() {
            return ProgressBar::hidden();
        }
        let bar = ProgressBar::with_draw_target(size, ProgressDrawTarget::stderr());
        let template = match size {
            // The bar takes what the rest leaves of the line.
            Some(_) => "{wide_bar} {bytes} of {total_bytes}, {bytes_per_sec}, {eta} left",
            None => "{spinner} {bytes}, {bytes_per_sec}",
        };
        match ProgressStyle::with_template(template) {
            Ok(style) => bar.with_style(style),
            Err(_) => bar,
        }
    }
}
