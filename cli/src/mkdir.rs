//! `zvfs mkdir` and `zvfs rmdir`: folders made and removed by themselves.

use crate::descriptors::DescriptorOptions;
use crate::exit::Failure;
use crate::name::descriptor;
use crate::options::Options;
use clap::Args;
use vfs_core::{Code, OpenFlags, Shown};

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
    pub fn execute(&self, options: &Options) -> Result<(), Failure> {
        self.open.each(options, OpenFlags::empty(), &self.descriptors, |registry, watch, descriptor, how| {
            let made = match self.parents {
                true => registry.make_folders(descriptor, how, &mut Vec::new()),
                false => registry.make_folder(descriptor, how),
            };
            made.map_err(|error| match error.code() {
                Code::ENOENT if !self.parents => {
                    let text = format!(
                        "make folder {}: a folder above it is missing (-p makes it)",
                        Shown(descriptor)
                    );
                    watch.failure(error.context(text))
                }
                _ => watch.failure(error),
            })
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
    pub fn execute(&self, options: &Options) -> Result<(), Failure> {
        self.open.each(options, OpenFlags::empty(), &self.descriptors, |registry, watch, descriptor, how| {
            registry.remove_folder(descriptor, how).map_err(|error| watch.failure(error))
        })
    }
}
