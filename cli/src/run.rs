//! `zvfs run`: guests under their manifests, side by side.

mod announce;
mod compile;
mod own_broker;
mod report;
mod report_file;
mod session_metrics;
mod targets;

use crate::exit::{self, Failure, warn};
use crate::log;
use crate::manifest;
use crate::options::Options;
use crate::pipes::Pipes;
use crate::process;
use crate::setup;
use crate::signals::{self, First};
use clap::{Args, ValueEnum};
pub use compile::{CacheOptions, CompileChild};
use report::{Format, Reports};
use std::iter;
use std::os::fd::AsFd as _;
use std::path::{Path, PathBuf};
use vfs_core::{Control, Level};
use zvm::{ExitCode, Manifest, Report, RunOptions, Running, Session};

/// Run guests, each under its manifest, any number at the same time
///
/// In a manifest, a Program or a channel's source that begins with ${MANIFEST_DIR} is in the manifest's own folder.
/// Netpipes of several manifests need no broker: if none is named, the run starts its own, for itself only.
/// SIGINT and SIGTERM cancel every guest, discard what it wrote, and report; a second signal ends the command at once.
#[derive(Args, Debug)]
#[command(verbatim_doc_comment)]
pub struct Run {
    /// Report each manifest in order, also if its session could not start: ZeroVM's six lines, or one line of JSON
    #[arg(long, value_name = "FORMAT", value_enum)]
    report: Option<Format>,
    /// Where to report; by default standard error, mixed with what the guests and this command write there. A file is emptied first,
    /// but an open descriptor, such as /dev/stdout or /dev/fd/3, is appended to. Without --report the format is text
    #[arg(long, value_name = "FILE")]
    report_file: Option<PathBuf>,
    /// Whose exit code this command returns if every session ends well; the first that is not 0
    #[arg(long, value_name = "WHOSE", value_enum, default_value_t = Whose::Host)]
    exit_code: Whose,
    /// The name of this run, for providers that share a broker among several
    #[arg(long, value_name = "NAME")]
    job: Option<String>,
    #[command(flatten)]
    cache: CacheOptions,
    /// What the guests may reach, and how much of it
    #[arg(required = true, value_name = "MANIFEST")]
    manifests: Vec<PathBuf>,
}

/// Whose exit code counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Whose {
    /// The sessions' only: 0 whatever the guests return
    Host,
    /// A guest's too
    Guest,
}

impl Run {
    pub fn execute(&self, options: &Options) -> Result<(), Failure> {
        if self.manifests.len() == 1 {
            process::share_arena();
        }
        let reports = Reports::open(self.report, self.report_file.as_deref(), &self.manifests)?;
        let manifests = self.read(&reports)?;
        let control = Control::new();
        let sessions = self.sessions(&manifests, options, &control).or_else(|failure| {
            for (path, manifest) in self.manifests.iter().zip(&manifests) {
                reports.add(not_started(path, manifest, failure.message().unwrap_or_default()))?;
            }
            Err(failure)
        })?;
        let running = start(sessions, control)?;
        let (mut code, mut reported, mut left_behind) = (0, Ok(()), false);
        for (path, report) in self.manifests.iter().zip(running) {
            tell(path, &report, self.exit_code);
            let ended = self.code(&report);
            // A full disk must not cut the other sessions off.
            left_behind |= report.left_behind;
            reported = reported.and(reports.add(report));
            if code == 0 {
                code = ended;
            }
        }
        let ended = reported.and(if code == 0 { Ok(()) } else { Err(Failure::told(code)) });
        match ended {
            // Not by exit, which may wait for what that session's thread holds.
            Err(failure) if left_behind => failure.leave(),
            Ok(()) if left_behind => exit::leave(0),
            ended => ended,
        }
    }

    /// Reads all manifests. If one of them is bad none is run, since one that waits for an absent other would only time out;
    /// each has its report all the same.
    fn read(&self, reports: &Reports) -> Result<Vec<Manifest>, Failure> {
        let read: Vec<_> = self.manifests.iter().map(|path| manifest::read(path)).collect();
        let Some(bad) = read.iter().position(Result::is_err) else {
            return Ok(read.into_iter().flatten().collect());
        };
        let mut code = 0;
        for (path, manifest) in self.manifests.iter().zip(read) {
            let report = match manifest {
                Ok(manifest) => {
                    let why = format!("{} is not a valid manifest", self.manifests[bad].display());
                    not_started(path, &manifest, &why)
                }
                Err(failure) => {
                    let report = Report::failed(&failure, &[]);
                    tell(path, &report, self.exit_code);
                    code = if code == 0 { failure.exit().number() } else { code };
                    report
                }
            };
            reports.add(report)?;
        }
        Err(Failure::told(code))
    }

    /// Prepares all sessions.
    fn sessions(
        &self,
        manifests: &[Manifest],
        options: &Options,
        control: &Control,
    ) -> Result<Vec<Session>, Failure> {
        let mut configuration = setup::configuration(options)?;
        targets::check(&self.manifests, manifests, &configuration)?;
        let pipes = Pipes::of(manifests, &configuration, self.job.as_deref());
        // Of one manifest alone, the other ends are elsewhere.
        let broker = match manifests.len() {
            1 => None,
            _ => own_broker::start_if_needed(&pipes, &mut configuration, options.verbose > 0)?,
        };
        let registry = setup::registry_of(configuration, options);
        let compilers = self.cache.compilers(options)?;
        // No two of its sessions may write one file.
        let run = std::process::id().to_string();
        let mut sessions = Vec::new();
        let pipes = pipes.writers.into_iter().zip(pipes.ends);
        for ((path, manifest), (writers, ends)) in self.manifests.iter().zip(manifests).zip(pipes) {
            let mut open = RunOptions::new();
            open.job = self.job.clone();
            open.run = Some(run.clone());
            open.writers = writers;
            let mut session = Session::new(manifest.clone())
                .registry(registry.clone())
                .options(open)
                .compiler(compilers.of(&manifest.program))
                .control(control);
            if let Some(broker) = &broker {
                session = session.on_end(own_broker::tell_peers(broker, path, ends));
            }
            sessions.push(session);
        }
        Ok(sessions)
    }

    fn code(&self, report: &Report) -> u8 {
        match (report.exit_code, self.exit_code, report.guest_code) {
            // A guest that a quota cut and that passed over it exits with 0: nothing is committed all the same.
            (ExitCode::NotCommitted, Whose::Guest, Some(0)) => ExitCode::NotCommitted.number(),
            (ExitCode::Ok | ExitCode::NotCommitted, Whose::Guest, Some(guest)) => shell_code(guest),
            (host, _, _) => host.number(),
        }
    }
}

/// Starts sessions, which a signal cancels, and gives their reports as they come in this order.
fn start(mut sessions: Vec<Session>, control: Control) -> Result<Box<dyn Iterator<Item = Report>>, Failure> {
    // Of one alone this thread can see to all: there is nothing to be told before its end.
    if sessions.len() == 1
        && let Some(session) = sessions.pop()
    {
        let signal = First::listen()?;
        return Ok(Box::new(iter::once(session.run_until(Some(signal.as_fd())))));
    }
    signals::listen(move |_| control.cancel())?;
    let running: Vec<Running> = sessions.into_iter().map(Session::start).collect();
    Ok(Box::new(running.into_iter().map(Running::wait)))
}

/// A guest's code as a shell can see it. What doesn't fit must not become a success.
pub fn shell_code(guest: u32) -> u8 {
    u8::try_from(guest).unwrap_or(u8::MAX)
}

/// The report of a good manifest whose session is not begun for another reason. What is odd in it is told all the same.
fn not_started(path: &Path, manifest: &Manifest, why: &str) -> Report {
    let failure = zvm::Failure::new(ExitCode::Manifest, format!("not started: {why}"));
    let mut report = Report::failed(&failure, &[]);
    report.notes = manifest.warnings.iter().map(ToString::to_string).collect();
    tell_notes(path, &report);
    report
}

fn tell_notes(path: &Path, report: &Report) {
    for note in &report.notes {
        warn(&format!("{}: {note}", path.display()));
    }
}

/// Says on standard error what went wrong or is odd, a line each.
fn tell(path: &Path, report: &Report, whose: Whose) {
    tell_notes(path, report);
    let path = path.display();
    if report.exit_code.number() != 0 {
        // The other reason of this code is the guest's own.
        let cut = report.exit_code == ExitCode::NotCommitted && !report.state.starts_with("the guest ");
        let hint = if cut { " (give it more, or let it be cut by `Partial = keep`)" } else { "" };
        log::tell(Level::Error, &format!("{path}: {}{hint}", report.state));
    }
    // What was not committed for that reason has told it.
    if report.exit_code != ExitCode::NotCommitted
        && let Some(code) = report.guest_code.filter(|code| *code != 0)
    {
        let hint = match whose {
            Whose::Host if report.exit_code == ExitCode::Ok => {
                ", which is a good end (--exit-code guest makes it this command's exit code)"
            }
            _ => "",
        };
        warn(&format!("{path}: the guest exited with code {code}{hint}"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_guests_failure_never_becomes_a_success() {
        assert_eq!([0, 3, 255, 256, u32::MAX].map(shell_code), [0, 3, 255, 255, 255]);
    }
}
