//! `zvfs generate`: what an installation takes from the command line's own words. Hidden: `make install` runs it.

use crate::arguments::Arguments;
use crate::exit::Failure;
use clap::{Args, CommandFactory};
use clap_complete::aot::{Bash, Fish, Zsh, generate_to};
use std::fs;
use std::path::{Path, PathBuf};
use vfs_core::Error;

/// Write manual pages and shell completions into a folder
#[derive(Args, Debug)]
pub struct Generate {
    /// The folder: gets man/man1, bash, zsh and fish below it
    folder: PathBuf,
}

impl Generate {
    pub fn execute(&self) -> Result<(), Failure> {
        let made = |name: &str| {
            let folder = self.folder.join(name);
            fs::create_dir_all(&folder).map(|()| folder).map_err(|error| self.failed(name, error))
        };
        // Builds it as it is for users: the hidden subcommands have neither page nor completion.
        let man = made("man/man1")?;
        clap_mangen::generate_to(Arguments::command(), &man)
            .map_err(|error| self.failed("man/man1", error))?;
        let (bash, zsh, fish) = (made("bash")?, made("zsh")?, made("fish")?);
        let command = || visible(Arguments::command());
        generate_to(Bash, &mut command(), "zvfs", &bash)
            .and_then(|_| generate_to(Zsh, &mut command(), "zvfs", &zsh))
            .and_then(|_| generate_to(Fish, &mut command(), "zvfs", &fish))
            .map_err(|error| self.failed("completions", error))?;
        Ok(())
    }

    fn failed(&self, what: impl AsRef<Path>, error: std::io::Error) -> Failure {
        let path = self.folder.join(what);
        Error::from(error).context(format!("generate {}", path.display())).into()
    }
}

/// The command without what it hides: clap_complete offers hidden subcommands too.
fn visible(command: clap::Command) -> clap::Command {
    let subcommands: Vec<_> = command.get_subcommands().filter(|one| !one.is_hide_set()).cloned().collect();
    let arguments: Vec<_> = command.get_arguments().cloned().collect();
    clap::Command::new("zvfs").version(env!("CARGO_PKG_VERSION")).args(arguments).subcommands(subcommands)
}
