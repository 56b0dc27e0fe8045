//! `zvfs rm`: removes files.

use crate::exit::{self, Failure};
use crate::name::descriptor;
use crate::options::{DescriptorOptions, Options};
use crate::setup;
use crate::watch::Watch;
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
        let watch = Watch::start(self.open.timeout)?;
        let registry = setup::registry(options)?;
        let named = self.descriptors.iter().map(String::as_str);
        exit::each(&self.open.assigned(&registry, &watch, named)?, |assigned| {
            let descriptor = assigned.descriptor;
            let how = assigned.open(OpenFlags::empty()).control(&watch.control(descriptor));
            registry.remove(descriptor, &how).map_err(|error| watch.failure(error))
        })
    }
}
