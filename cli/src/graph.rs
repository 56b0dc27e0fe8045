//! `zvfs graph`: a job as a picture.
//!
//! | Module | What it is |
//! |---|---|
//! | `job` | the guests of the manifests, what they reach, and what runs between them |
//! | `cycle` | which pipes lie on a cycle |
//! | `outcome` | what the reports of a run add |
//! | `dot` | the same as text for Graphviz, and drawn |

mod cycle;
mod dot;
mod job;
mod outcome;

use crate::exit::{Failure, warn};
use crate::options::Options;
use crate::{manifest, setup, stdout};
use clap::{Args, ValueEnum};
use job::Job;
use std::path::PathBuf;

/// Draw the job that the manifests are: its guests, their channels, trees and exports with quotas, and the netpipes between them
///
/// The picture goes to standard output. An arrow points where the bytes go, and names the channel that writes and the one that
/// reads; below stands how much each may move. A dashed ellipse is the end of a pipe that none of these manifests has. Pipes that form
/// a cycle are red, and told on standard error: each guest of it may wait for the next one, and then none goes on.
/// Nothing is run, opened or loaded. The sources /dev/null and /dev/stderr are left out.
#[derive(Args, Debug)]
#[command(verbatim_doc_comment)]
pub struct Graph {
    /// What to write: a picture, or a text for Graphviz
    #[arg(long, value_name = "FORMAT", value_enum, default_value_t = Format::Svg)]
    format: Format,
    /// What `zvfs run --report json` wrote of these manifests: adds how each guest ended, what each channel moved, and, in orange,
    /// which one a guest waited for when its time was over
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
    /// The name of the run, as for `zvfs run`
    #[arg(long, value_name = "NAME")]
    job: Option<String>,
    /// The manifests of the job
    #[arg(required = true, value_name = "MANIFEST")]
    manifests: Vec<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// A picture for browsers
    Svg,
    /// The language of Graphviz
    Dot,
}

impl Graph {
    pub fn execute(&self, options: &Options) -> Result<(), Failure> {
        let configuration = setup::configuration(options)?;
        let mut manifests = Vec::new();
        for path in &self.manifests {
            let read = manifest::read(path);
            manifests.push(read.map_err(|failure| {
                warn(&format!("{}: {}", path.display(), failure.text()));
                Failure::told(failure.exit().number())
            })?);
        }
        let mut job = Job::of(&self.manifests, &manifests, &configuration, self.job.as_deref());
        if let Some(report) = &self.report {
            outcome::add(&mut job, report)?;
        }
        for cycle in cycle::mark(&mut job) {
            warn(&format!("a cycle of pipes, {cycle}: its guests may wait for each other for ever"));
        }
        let dot = dot::text(&job);
        match self.format {
            Format::Dot => stdout::print(dot.trim_end()),
            Format::Svg => stdout::print(dot::draw(&dot)?.trim_end()),
        }
    }
}
