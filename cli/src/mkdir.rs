//! `zvfs mkdir` and `zvfs rmdir`: folders made and removed by themselves.

use crate::below::parent;
use crate::descriptors::DescriptorOptions;
use crate::exit::Failure;
use crate::name::descriptor;
use crate::options::Options;
use clap::Args;
use vfs_core::{Code, Kind, OpenFlags, OpenOptions, Registry, Result};

/// Make folders
///
/// A provider whose folders are there as soon as a name lies below, such as `s3`, makes none.
#[derive(Args, Debug)]
#[command(verbatim_doc_comment)]
pub struct Mkdir {
    /// Make the folders above it too, and leave one that is there as it is
    #[arg(short, long)]
    parents: bool,
    #[command(flatten)]
    open: DescriptorOptions,
    /// What to make
    #[arg(required = true, value_name = "DESCRIPTOR", value_parser = descriptor())]
    descriptors: Vec<String>,
}

impl Mkdir {
    pub fn execute(&self, options: &Options) -> std::result::Result<(), Failure> {
        self.open.each(options, OpenFlags::empty(), &self.descriptors, |registry, watch, descriptor, how| {
            let made = match self.parents {
                true => make_all(registry, descriptor, how),
                false => registry.make_folder(descriptor, how),
            };
            made.map_err(|error| watch.failure(error))
        })
    }
}

/// Remove folders that are empty
#[derive(Args, Debug)]
pub struct Rmdir {
    #[command(flatten)]
    open: DescriptorOptions,
    /// What to remove
    #[arg(required = true, value_name = "DESCRIPTOR", value_parser = descriptor())]
    descriptors: Vec<String>,
}

impl Rmdir {
    pub fn execute(&self, options: &Options) -> std::result::Result<(), Failure> {
        self.open.each(options, OpenFlags::empty(), &self.descriptors, |registry, watch, descriptor, how| {
            registry.remove_folder(descriptor, how).map_err(|error| watch.failure(error))
        })
    }
}

/// Makes a folder and those above it that are missing. One that is there, or that somebody else makes meanwhile, stays as it is.
///
/// # Errors
/// As [`Registry::make_folder`]; EEXIST: something else has that name.
pub fn make_all(registry: &Registry, descriptor: &str, how: &OpenOptions) -> Result<()> {
    let is_there = || registry.stat_name(descriptor, how).is_ok_and(|stat| stat.kind == Kind::Directory);
    let made = match registry.make_folder(descriptor, how) {
        Err(error) if error.code() == Code::ENOENT => match parent(descriptor) {
            Some(above) => {
                make_all(registry, &above, how)?;
                registry.make_folder(descriptor, how)
            }
            None => Err(error),
        },
        made => made,
    };
    match made {
        // Servers say this in many ways.
        Err(error) if error.code() != Code::ENOTSUP && is_there() => Ok(()),
        made => made,
    }
}
