//! `zvfs cp`: one descriptor to another, all of it or nothing.

use crate::descriptors::{Assigned, DescriptorOptions};
use crate::exit::Failure;
use crate::name::{descriptor_or_stream, stream};
use crate::options::{Options, setting};
use crate::setup;
use crate::watch::Watch;
use clap::Args;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::io::{self, IsTerminal};
use vfs_core::{Code, Error, Finish, OpenFile, OpenFlags, Placement, Registry, Result, copy, same_file};

/// Copy one descriptor to another; a failed or interrupted copy leaves no half-written target, unless a server writes in place
///
/// The target appears under its name once it is complete, and keeps its owner, permissions and attributes. A target that can only
/// be written in place (a file with several hard links, a mounted one, a device) is emptied and written, and a failed copy leaves
/// partial output there; a pipe breaks.
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
    /// What to read; `-` is standard input (file:/dev/stdin)
    #[arg(value_name = "SRC", value_parser = descriptor_or_stream())]
    source: String,
    /// What to write; `-` is standard output (file:/dev/stdout)
    #[arg(value_name = "DST", value_parser = descriptor_or_stream())]
    target: String,
}

impl Cp {
    pub fn execute(&self, options: &Options) -> Result<(), Failure> {
        let watch = Watch::start(self.open.timeout)?;
        let registry = setup::registry(options)?;
        let copied = self.copy(&registry, &watch);
        let files = copied.map_err(|error| match error.code() {
            Code::EPIPE if self.target == "-" => Failure::output(error),
            _ => watch.failure(error),
        })?;
        for file in files {
            watch.closes(&registry, file.shown());
            drop(file);
        }
        watch.stop(registry);
        Ok(())
    }

    /// Copies, and gives both files to be closed.
    fn copy(&self, registry: &Registry, watch: &Watch) -> Result<[OpenFile; 2]> {
        let [from, to] = self.sides(registry, watch)?;
        let how = from.open(OpenFlags::READ | OpenFlags::SEQUENTIAL);
        let mut source = registry.open(from.descriptor, &how.control(&watch.control(from.descriptor)))?;
        let size = size(&mut source);
        let (mut target, mut placement) = self.open_target(registry, &to, size, watch)?;
        if placement.in_place().is_some() && same_file(&mut source, &mut target) {
            let text = format!("copy {} to {}: they are the same file", source.shown(), target.shown());
            return Err(Error::new(Code::EINVAL, text));
        }
        placement.begin(&mut target)?;
        let bar = self.bar(size);
        let copied = copy(&mut source, &mut target, None, &mut |total| bar.set_position(total))
            .and_then(|_| target.finish(Finish::Commit));
        bar.finish_and_clear();
        match copied {
            Ok(()) => Ok([source, target]),
            Err(error) => {
                watch.tidy();
                Err(failed(&source, &mut target, error))
            }
        }
    }

    /// Opens the target as complete-or-nothing as its provider can.
    fn open_target(
        &self,
        registry: &Registry,
        to: &Assigned<'_>,
        size: Option<u64>,
        watch: &Watch,
    ) -> Result<(OpenFile, Placement)> {
        let how = to.open(OpenFlags::SEQUENTIAL).control(&watch.control(to.descriptor));
        let how = size.iter().fold(how, |how, size| how.expected_size(*size));
        registry.create(to.descriptor, &how, self.in_place.then_some("--in-place"))
    }

    /// Both sides with their settings: those of -o go to the side that knows them.
    fn sides(&self, registry: &Registry, watch: &Watch) -> Result<[Assigned<'_>; 2]> {
        let named = [stream(&self.source, "file:/dev/stdin"), stream(&self.target, "file:/dev/stdout")];
        let mut sides = named.map(Assigned::new);
        self.open.assign(registry, watch, &mut sides).map_err(|error| {
            Error::new(error.code(), format!("{}; --src-o and --dst-o set one side only", error.chain()))
        })?;
        for (side, own) in sides.iter_mut().zip([&self.source_settings, &self.target_settings]) {
            side.settings.extend(own.iter().cloned());
        }
        Ok(sides)
    }

    /// A bar for whoever looks on; none beside the data itself.
    fn bar(&self, size: Option<u64>) -> ProgressBar {
        let beside_data = self.target == "-" && io::stdout().is_terminal();
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

/// Discards what came of a copy that failed. Returns its error.
fn failed(source: &OpenFile, target: &mut OpenFile, error: Error) -> Error {
    let doing = format!("copy {} to {}", source.shown(), target.shown());
    match target.finish(Finish::Discard) {
        // The copy's own failure is the one to act on; this one says what may be left behind.
        Err(left) if !error.chain().contains(&left.chain()) => {
            error.context(format!("{doing} (and discarding it failed: {})", left.chain()))
        }
        // Or the reason is the same: its provider's process is gone.
        _ => error.context(doing),
    }
}

/// The bytes to come, if the source knows. A file under /proc says 0 and means that it doesn't.
fn size(source: &mut OpenFile) -> Option<u64> {
    source.stat().ok().and_then(|stat| stat.size).filter(|size| *size > 0)
}
