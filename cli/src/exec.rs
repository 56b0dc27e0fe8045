//! `zvfs exec`: one guest without a manifest. What it may reach is written as one, which runs like any other.

mod channels;
mod folders;
mod given;
mod guest;
mod line;

use crate::exit::{self, Failure, warn};
use crate::log;
use crate::options::Options;
use crate::run::{CacheOptions, shell_code};
use crate::signals::First;
use crate::{process, setup, stdout};
use clap::Args;
use guest::Guest;
use std::collections::BTreeSet;
use std::os::fd::AsFd as _;
use vfs_core::{Level, Shown};
use zvm::{ExitCode, Quota, Report, Session, Stopped};

/// Run a WebAssembly program without a manifest: its standard streams are this command's, its exit code too
///
/// The program sees no file but what is named here: an argument that is a regular file, which it can read under that name, and what
/// --read, --stream, --write, --channel, --dir and --dir-rw give it. What it makes in a directory of --out-dir is taken out. The working directory of the program is /.
/// Options of this command stand before PROGRAM; all that follows it belongs to the program.
#[derive(Args, Debug)]
#[command(verbatim_doc_comment, override_usage = "zvfs exec [OPTIONS] PROGRAM [ARG]...")]
pub struct Exec {
    #[command(flatten)]
    guest: Guest,
    /// Print the manifest that `zvfs run` would run the same, and run nothing
    #[arg(long)]
    print_manifest: bool,
    #[command(flatten)]
    cache: CacheOptions,
}

impl Exec {
    pub fn execute(&self, options: &Options) -> Result<(), Failure> {
        if self.print_manifest {
            return stdout::print(self.guest.manifest_text()?.trim_end());
        }
        process::share_arena();
        let (manifest, registry) = (self.guest.manifest()?, setup::registry(options)?);
        self.guest.check_that_outputs_stay(&registry)?;
        let session = Session::new(manifest)
            .registry(registry)
            .compiler(self.cache.compilers(options)?.of(&self.guest.program()));
        let signal = First::listen()?;
        let report = session.run_until(Some(signal.as_fd()));
        let ended = self.end(&report, signal.take());
        match ended {
            // Not by exit, which may wait for what that session's thread holds.
            Err(failure) if report.left_behind => failure.leave(),
            Ok(()) if report.left_behind => exit::leave(0),
            ended => ended,
        }
    }

    /// Says what went wrong or is odd. A guest's own failure it has told itself: only its code is passed on.
    fn end(&self, report: &Report, signal: Option<i32>) -> Result<(), Failure> {
        let program = self.guest.program();
        let program = Shown(&program);
        for note in &report.notes {
            warn(&format!("{program}: {note}"));
        }
        let exhausted = report.channels.iter().flat_map(|channel| &channel.exhausted);
        let options: BTreeSet<String> = exhausted.map(|quota| option(*quota)).collect();
        if !options.is_empty() {
            let options: Vec<String> = options.into_iter().collect();
            warn(&format!("{program}: the guest reached a quota: give it more by {}", options.join(" and ")));
        }
        match (report.exit_code, report.guest_code, signal) {
            (ExitCode::Ok, Some(0) | None, _) => Ok(()),
            (ExitCode::Ok, Some(code), _) => Err(Failure::told(shell_code(code))),
            (ExitCode::Stopped, _, Some(signal)) => Err(Failure::signal(signal, None)),
            (code, ..) => {
                let more = match (code, report.stopped) {
                    (ExitCode::Memory, _) => " (give it more by --memory)",
                    (_, Some(Stopped::Timeout)) => " (give it more by --timeout)",
                    // Which option gives it more is told above.
                    (ExitCode::NotCommitted, _) => " (or keep what there is by --keep-partial)",
                    _ => "",
                };
                log::tell(Level::Error, &format!("{program}: {}{more}", report.state));
                Err(Failure::told(code.number()))
            }
        }
    }
}

/// The option that sets a quota.
fn option(quota: Quota) -> String {
    format!("--{}", quota.to_string().replace('_', "-"))
}
