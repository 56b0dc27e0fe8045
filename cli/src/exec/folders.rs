//! The folders that a guest is shown, and those that it makes.

use super::given::Given;
use crate::exit::Failure;
use clap::Args;
use vfs_core::{Code, Shown, is_below};

/// Options of the folders.
#[derive(Args, Debug)]
pub struct FolderOptions {
    /// Show it a folder of a provider as the directory NAME, only to be read; repeatable
    #[arg(long, value_name = "NAME=DESCRIPTOR", value_parser = Given::parse)]
    dir: Vec<Given>,
    /// Show it a folder of a provider as the directory NAME, to be changed: once it has ended with code 0, all of it or nothing; repeatable
    #[arg(long, value_name = "NAME=DESCRIPTOR", value_parser = Given::parse)]
    dir_rw: Vec<Given>,
    /// Take what it makes in the directory NAME out into a folder of a provider, once it has ended with code 0: all of it or nothing;
    /// repeatable
    #[arg(long, value_name = "NAME=DESCRIPTOR", value_parser = Given::parse)]
    out_dir: Vec<Given>,
    /// How many names each folder of --dir and --dir-rw may have, with all that is below it
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u64).range(1..=1_000_000), default_value = "10000")]
    pub entries: u64,
}

/// What the guest may do with a folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FolderUse {
    Read,
    Change,
    Make,
}

impl FolderUse {
    /// The option that asks for it.
    pub fn option(self) -> &'static str {
        match self {
            FolderUse::Read => "--dir",
            FolderUse::Change => "--dir-rw",
            FolderUse::Make => "--out-dir",
        }
    }
}

impl FolderOptions {
    /// All of them, with what each is for.
    pub fn all(&self) -> impl Iterator<Item = (&Given, FolderUse)> {
        let lists = [
            (&self.dir, FolderUse::Read),
            (&self.dir_rw, FolderUse::Change),
            (&self.out_dir, FolderUse::Make),
        ];
        lists.into_iter().flat_map(|(list, how)| list.iter().map(move |given| (given, how)))
    }

    /// Whether the guest makes files that are written to providers.
    pub fn takes_out(&self) -> bool {
        self.all().any(|(_, how)| how != FolderUse::Read)
    }

    /// Finds two that have one name, or write into one folder, and one that has a channel's name.
    ///
    /// # Errors
    /// EINVAL.
    pub fn check(&self, channels: &[&Given]) -> Result<(), Failure> {
        let mut known: Vec<(&Given, FolderUse)> = Vec::new();
        for (given, how) in self.all() {
            let refused = |why: &str| {
                let text = format!("{} {}: {why}", how.option(), Shown(&given.alias));
                Err(Failure::new(Code::EINVAL, text))
            };
            // A file may lie in a folder, but is none.
            if channels.iter().any(|channel| is_below(&given.alias, &channel.alias)) {
                return refused("the guest has a file of this name, or of one above it: choose another");
            }
            for (other, first) in &known {
                if other.alias == given.alias {
                    return refused(&format!(
                        "{} has given the guest a directory of this name: choose another",
                        first.option()
                    ));
                }
                let both_write = how != FolderUse::Read && *first != FolderUse::Read;
                let (one, two) = (&given.source, &other.source);
                if both_write && (is_below(one, two) || is_below(two, one)) {
                    return refused(&format!(
                        "{} {} writes into the same folder: name another one",
                        first.option(),
                        Shown(&other.alias)
                    ));
                }
            }
            known.push((given, how));
        }
        Ok(())
    }
}
