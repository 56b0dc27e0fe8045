//! `zvfs generate`: what an installation takes from the command line's own words. Hidden: `make install` runs it.

use crate::exit::Failure;
use clap::Args;
use clap_complete::aot::{Bash, Fish, Zsh, generate_to};
use clap_mangen::Man;
use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use vfs_core::Error;

/// Write manual pages and shell completions into a folder
#[derive(Args, Debug)]
pub struct Generate {
    /// The folder: gets man/man1, bash, zsh and fish below it
    folder: PathBuf,
}

impl Generate {
    /// Writes those of `command`, the whole command line.
    pub fn execute(&self, command: clap::Command) -> Result<(), Failure> {
        let made = |name: &str| {
            let folder = self.folder.join(name);
            fs::create_dir_all(&folder).map(|()| folder).map_err(|error| self.failed(name, error))
        };
        let man = made("man/man1")?;
        let mut built = command.clone().disable_help_subcommand(true);
        built.build();
        manual(&built, &man).map_err(|error| self.failed("man/man1", error))?;
        let (bash, zsh, fish) = (made("bash")?, made("zsh")?, made("fish")?);
        let mut visible = visible(command);
        generate_to(Bash, &mut visible, "zvfs", &bash)
            .and_then(|path| OpenOptions::new().append(true).open(path)?.write_all(EMPTY_WORD.as_bytes()))
            .and_then(|()| generate_to(Zsh, &mut visible, "zvfs", &zsh))
            .and_then(|_| generate_to(Fish, &mut visible, "zvfs", &fish))
            .map_err(|error| self.failed("completions", error))?;
        Ok(())
    }

    fn failed(&self, what: impl AsRef<Path>, error: io::Error) -> Failure {
        let path = self.folder.join(what);
        Error::from(error).context(format!("generate {}", path.display())).into()
    }
}

/// Writes the manual page of a command, and those of its subcommands but the hidden ones.
fn manual(command: &clap::Command, folder: &Path) -> io::Result<()> {
    command.get_subcommands().filter(|one| !one.is_hide_set()).try_for_each(|one| manual(one, folder))?;
    // The library's own synopsis has the options without their values.
    let usage = command.clone().render_usage().to_string();
    let page = command.clone().override_usage(usage.trim_start_matches("Usage: ").to_owned());
    let source = concat!("zvfs ", env!("CARGO_PKG_VERSION"));
    Man::new(page).source(source).manual("zvfs").generate_to(folder).map(drop)
}

/// What bash completes where nothing is typed yet: the library's function offers all options, where most often a name is meant.
const EMPTY_WORD: &str = r#"
_zvfs_names() {
    _zvfs "$@"
    [[ -n "$2" ]] && return
    local word names=()
    for word in "${COMPREPLY[@]}"; do [[ "$word" == -* ]] || names+=("$word"); done
    COMPREPLY=("${names[@]}")
}
complete -F _zvfs_names -o bashdefault -o default zvfs
"#;

/// The command without what it hides: clap_complete offers hidden subcommands too. The others are built, since clap copies what it knows of
/// them into its own `help`, which it adds again.
fn visible(mut command: clap::Command) -> clap::Command {
    let arguments: Vec<_> = command.get_arguments().cloned().collect();
    command.build();
    let shown = |one: &&clap::Command| !one.is_hide_set() && one.get_name() != "help";
    let subcommands: Vec<_> = command.get_subcommands().filter(shown).cloned().collect();
    clap::Command::new("zvfs").version(env!("CARGO_PKG_VERSION")).args(arguments).subcommands(subcommands)
}
