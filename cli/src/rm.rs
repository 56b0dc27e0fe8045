//! `zvfs rm`: removes files.

use crate::descriptors::DescriptorOptions;
use crate::exit::Failure;
use crate::name::descriptor;
use crate::options::Options;
use clap::Args;
use vfs_core::OpenFlags;

/// Remove files, never directories
#[derive(Args, Debug)]
pub struct Rm {
    #[command(flatten)]
    open: DescriptorOptions,
    /// What to remove
    #[arg(required = true, value_name = "DESCRIPTOR", value_parser = descriptor())]
    descriptors: Vec<String>,
}

impl Rm {
    pub fn execute(&self, options: &Options) -> Result<(), Failure> {
        self.open.each(options, OpenFlags::empty(), &self.descriptors, |registry, watch, descriptor, how| {
            registry.remove(descriptor, how).map_err(|error| watch.failure(error))
        })
    }
}
