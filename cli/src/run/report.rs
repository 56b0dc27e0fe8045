//! Where reports go.

use super::report_file;
use crate::exit::Failure;
use clap::ValueEnum;
use std::fs::File;
use std::io::{self, Write};
use std::path::Path;
use vfs_core::Error;
use zvm::Report;

/// How a report looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// ZeroVM's six lines and an empty one
    Text,
    /// One object in one line
    Json,
}

/// The reports of a run.
pub struct Reports {
    format: Option<Format>,
    file: Option<(String, File)>,
}

impl Reports {
    /// Opens the place before anything runs: a run whose report has no place is not begun.
    pub fn open(format: Option<Format>, path: Option<&Path>) -> Result<Reports, Failure> {
        let create = |path: &Path| {
            let shown = format!("write the report to {}", path.display());
            match report_file::create(path) {
                Ok(file) => Ok((shown, file)),
                Err(error) => Err(Failure::from(Error::from(error).context(shown))),
            }
        };
        let file = path.map(create).transpose()?;
        let format = format.or(file.as_ref().map(|_| Format::Text));
        Ok(Reports { format, file })
    }

    /// Adds one manifest's.
    pub fn add(&mut self, manifest: &Path, mut report: Report) -> Result<(), Failure> {
        report.manifest = Some(manifest.display().to_string());
        let text = match self.format {
            None => return Ok(()),
            Some(Format::Text) => report.to_string(),
            Some(Format::Json) => report.to_json() + "\n",
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
