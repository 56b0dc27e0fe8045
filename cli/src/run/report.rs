//! Where reports go.

use super::{report_file, session_metrics};
use crate::exit::Failure;
use crate::process;
use clap::ValueEnum;
use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use vfs_core::Error;
use zvm::{ExitCode, Report};

/// How a report looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// ZeroVM's six lines and an empty one
    Text,
    /// One object in one line
    Json,
    /// OpenMetrics text, of all manifests together at the end
    Metrics,
}

/// The reports of a run.
pub struct Reports(Arc<Mutex<Destination>>);

/// Where they go, and which are yet to come.
struct Destination {
    format: Option<Format>,
    file: Option<(String, File)>,
    manifests: VecDeque<PathBuf>,
    /// Those that are told together.
    kept: Vec<Report>,
}

impl Reports {
    /// Opens the place before anything runs: a run whose report has no place is not begun. If a provider ends the process, that is
    /// the report of each manifest that has none by then.
    pub fn open(
        format: Option<Format>,
        path: Option<&Path>,
        manifests: &[PathBuf],
    ) -> Result<Reports, Failure> {
        let create = |path: &Path| {
            let shown = format!("write the report to {}", path.display());
            match report_file::create(path) {
                Ok(file) => Ok((shown, file)),
                Err(error) => Err(Failure::from(Error::from(error).context(shown))),
            }
        };
        let file = path.map(create).transpose()?;
        let format = format.or(file.as_ref().map(|_| Format::Text));
        let manifests = manifests.iter().cloned().collect();
        let place = Arc::new(Mutex::new(Destination { format, file, manifests, kept: Vec::new() }));
        let reports = Reports(place.clone());
        process::on_foreign_exit(move |why| {
            // A report that is being written is not waited for: the thread may be stuck.
            let Ok(mut place) = place.try_lock() else { return };
            let failed = Report::failed(&zvm::Failure::new(ExitCode::Io, why), &[]);
            while !place.manifests.is_empty() && place.add(failed.clone()).is_ok() {}
        });
        Ok(reports)
    }

    /// Adds the next manifest's.
    pub fn add(&self, report: Report) -> Result<(), Failure> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).add(report)
    }
}

impl Destination {
    fn add(&mut self, mut report: Report) -> Result<(), Failure> {
        report.manifest = self.manifests.pop_front().map(|path| path.display().to_string());
        let text = match self.format {
            None => return Ok(()),
            Some(Format::Text) => report.to_string(),
            Some(Format::Json) => report.to_json() + "\n",
            Some(Format::Metrics) => {
                self.kept.push(report);
                if !self.manifests.is_empty() {
                    return Ok(());
                }
                session_metrics::text(&self.kept)
            }
        };
        let written = match &mut self.file {
            Some((_, file)) => file.write_all(text.as_bytes()),
            None => io::stderr().write_all(text.as_bytes()),
        };
        let Err(error) = written else { return Ok(()) };
        let doing = self.file.as_ref().map_or("write the report to standard error", |(shown, _)| shown);
        Err(Error::from(error).context(doing.to_owned()).into())
    }
}
