//! The child process of `zvfs check`: loads one library and prints its table.

use crate::exit::{Failure, number};
use crate::providers::table;
use crate::signals;
use clap::Args;
use std::ffi::OsString;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;
use vfs_core::{Code, Error, Library, Provider};

/// Loads a library and prints its table, for `zvfs check`
#[derive(Args, Debug)]
pub struct CheckChild {
    limit_ns: u64,
    library: PathBuf,
}

/// The arguments that make this command such a child.
pub fn arguments(limit: Duration, library: &Path) -> Vec<OsString> {
    let limit = u64::try_from(limit.as_nanos()).unwrap_or(u64::MAX);
    vec!["check-child".into(), limit.to_string().into(), "--".into(), library.into()]
}

impl CheckChild {
    pub fn execute(&self) -> Result<(), Failure> {
        // The parent ends this process in time; this is for a parent that was killed.
        let limit = Duration::from_nanos(self.limit_ns).saturating_add(Duration::from_secs(1));
        let overdue = move || {
            thread::sleep(limit);
            signals::leave(number(Code::ETIMEDOUT))
        };
        thread::Builder::new().spawn(overdue)?;
        let library = Library::load_any(&self.library, None).map_err(Error::from)?;
        let info = library.info();
        writeln!(io::stdout(), "{}", table(&info).join("\n"))?;
        let wanted = format!("libzvfs_{}.so", info.name);
        if self.library.file_name().is_some_and(|name| name != wanted.as_str()) {
            let text = format!("{}: must be named {wanted} to be found", self.library.display());
            return Err(Failure::new(Code::ELIBBAD, text));
        }
        Ok(())
    }
}
