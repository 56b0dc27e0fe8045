//! `zvfs mv`: files to other descriptors, copied and then removed.

use crate::cp::{Copier, Ends, Filter, Keep, LeavesOut, Many, Times};
use crate::exit::Failure;
use crate::options::Options;
use crate::setup;
use crate::watch::Watch;
use clap::Args;
use std::sync::Mutex;
use std::sync::atomic::AtomicBool;

/// Move files, from any provider to any other: copy each, and remove it once the target is complete
///
/// A source is removed only if its version tag proves that it is still what was copied, and only if the target is found afterwards; one of a
/// provider without version tags is an error, and stays. So is one that would go where nothing is kept, as to null: or into a pipe.
/// Folders are not moved. A file keeps its time where the target takes one.
#[derive(Args, Debug)]
#[command(verbatim_doc_comment)]
pub struct Mv {
    #[command(flatten)]
    ends: Ends,
    /// One JSON object a line for each file: source, target, outcome, bytes, why; then one with a summary
    #[arg(long)]
    json: bool,
}

impl Mv {
    pub fn execute(&self, options: &Options) -> Result<(), Failure> {
        let watch = Watch::start(self.ends.open.timeout)?;
        let registry = setup::registry(options)?;
        let witness = setup::registry(options)?;
        let (keep, filter) = (Keep::default(), Filter::default());
        let copier = Copier {
            registry: &registry,
            watch: &watch,
            in_place: false,
            keep: &keep,
            times: Times::KeptIfTaken,
            make_folders: true,
            pace: None,
            takes_no_times: AtomicBool::new(false),
            needless: Mutex::default(),
        };
        let many = Many {
            recursive: false,
            follows_links: false,
            filter: &filter,
            leaves_out: LeavesOut::Nothing,
            removes: Some(&witness),
            jobs: 4,
            json: self.json,
        };
        many.execute(&self.ends, copier)?;
        drop(witness);
        watch.stop(registry);
        Ok(())
    }
}
