//! The child process of `zvfs check`: loads one library and prints its table, or puts it to one check.

use crate::check::place::Placed;
use crate::check::reach::Reach;
use crate::check::suite;
use crate::child_process;
use crate::exit::{self, Failure};
use crate::options::Options;
use crate::providers::table;
use crate::{setup, stdout};
use clap::Args;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;
use vfs_core::{Code, Error, Library};
use zvfs_conformance::{Before, Binary};

/// Loads a library, for `zvfs check`
#[derive(Args, Debug)]
pub struct CheckChild {
    #[arg(long)]
    check: Option<String>,
    /// Remove what the checks of another process made
    #[arg(long)]
    sweep: Option<u32>,
    #[command(flatten)]
    reach: Reach,
    #[command(flatten)]
    placed: Placed,
    limit_ns: u64,
    library: PathBuf,
}

/// What a child is to do.
#[derive(Clone, Copy)]
pub enum Task<'a> {
    /// Print the table.
    Show,
    /// Put the library to one check.
    Check(&'a str, &'a Reach),
    /// Remove what the checks of a process made, which ended too early for that.
    Sweep(u32, &'a Reach),
}

/// The arguments that make this command such a child.
pub fn arguments(
    options: &Options,
    limit: Duration,
    task: Task<'_>,
    placed: &Placed,
    library: &Path,
) -> Vec<OsString> {
    let limit = u64::try_from(limit.as_nanos()).unwrap_or(u64::MAX);
    let mut arguments: Vec<OsString> = vec!["check-child".into()];
    arguments.extend(options.arguments());
    arguments.extend(placed.arguments());
    match task {
        Task::Show => {}
        Task::Check(name, reach) => {
            arguments.extend(["--check".into(), name.into()]);
            arguments.extend(reach.arguments());
        }
        Task::Sweep(process, reach) => {
            arguments.extend(["--sweep".into(), process.to_string().into()]);
            arguments.extend(reach.arguments());
        }
    }
    arguments.extend([limit.to_string().into(), "--".into(), library.into()]);
    arguments
}

impl CheckChild {
    pub fn execute(&self, options: &Options) -> Result<(), Failure> {
        let limit = Duration::from_nanos(self.limit_ns).saturating_add(Duration::from_secs(1));
        child_process::end_after(limit)?;
        zvfs_conformance::as_a_host_in_c();
        match (&self.check, self.sweep) {
            (Some(name), _) => self.put_to(name, limit, options),
            (None, Some(process)) => self.sweep(process, options),
            (None, None) => self.show(options),
        }
    }

    fn show(&self, options: &Options) -> Result<(), Failure> {
        let info = self.placed.load(&setup::registry(options)?, &self.library)?.info();
        stdout::print(&table(&info).join("\n"))?;
        let wanted = format!("libzvfs_{}.so", info.name);
        if self.library.file_name().is_some_and(|name| name != wanted.as_str()) {
            let text = format!("{}: must be named {wanted} to be found", self.library.display());
            return Err(Failure::new(Code::ELIBBAD, text));
        }
        Ok(())
    }

    fn put_to(&self, name: &str, limit: Duration, options: &Options) -> Result<(), Failure> {
        let registry = setup::registry(options)?;
        let before = Before::now();
        let library = self.placed.load(&registry, &self.library)?;
        if let Some(verdict) = suite::of_loading(name, &before) {
            suite::print(&verdict);
            exit::leave(0);
        }
        // From here on the library is called.
        let before = Before::now();
        let subject = self.reach.subject(library, registry.host())?;
        // A second handle on the same library: it is loaded once.
        let binary = |subject| {
            let library = Library::load_any(&self.library, None).map_err(Error::from)?;
            Ok(Binary { library, subject, before })
        };
        suite::run_here(name, limit, subject, binary)?;
        // Whatever the library left running must not hold the verdict back.
        exit::leave(0)
    }

    fn sweep(&self, process: u32, options: &Options) -> Result<(), Failure> {
        let registry = setup::registry(options)?;
        let library = self.placed.load(&registry, &self.library)?;
        let subject = self.reach.clone().for_writing().subject(library, registry.host())?;
        suite::print_left(subject.clean_up_after(process));
        exit::leave(0)
    }
}
