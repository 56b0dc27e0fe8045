//! The two ends of a copy: what is read, what is written, and the settings of each.

use crate::descriptors::{Assigned, DescriptorOptions};
use crate::name::{descriptor_or_stream, stream};
use crate::options::setting;
use crate::watch::Watch;
use clap::Args;
use vfs_core::{Error, Registry, Result};

#[derive(Args, Debug)]
pub struct Ends {
    #[command(flatten)]
    pub open: DescriptorOptions,
    /// A setting for SRC only, where -o would set it for both; repeatable
    #[arg(long = "src-o", value_name = "KEY=VALUE", value_parser = setting)]
    source_settings: Vec<(String, String)>,
    /// A setting for DST only, where -o would set it for both; repeatable
    #[arg(long = "dst-o", value_name = "KEY=VALUE", value_parser = setting)]
    target_settings: Vec<(String, String)>,
    /// DST is the new name itself, not a folder for it
    #[arg(short = 'T', long)]
    pub no_target_directory: bool,
    /// What to read; `-` is standard input (file:/dev/stdin)
    #[arg(required = true, value_name = "SRC", value_parser = descriptor_or_stream())]
    pub sources: Vec<String>,
    /// What to write; `-` is standard output (file:/dev/stdout)
    #[arg(value_name = "DST", value_parser = descriptor_or_stream())]
    pub target: String,
}

impl Ends {
    /// Both sides with their settings: those of -o go to the side that knows them.
    pub fn sides(&self, registry: &Registry, watch: &Watch) -> Result<(Vec<Assigned<'_>>, Assigned<'_>)> {
        let sources = self.sources.iter().map(|source| stream(source, "file:/dev/stdin"));
        let named = sources.chain([stream(&self.target, "file:/dev/stdout")]);
        let mut sides: Vec<Assigned<'_>> = named.map(Assigned::new).collect();
        self.open.assign(registry, watch, &mut sides).map_err(|error| {
            Error::new(error.code(), format!("{}; --src-o and --dst-o set one side only", error.chain()))
        })?;
        let mut target = sides.remove(self.sources.len());
        target.settings.extend(self.target_settings.iter().cloned());
        for source in &mut sides {
            source.settings.extend(self.source_settings.iter().cloned());
        }
        Ok((sides, target))
    }

    /// Whether one of them is a standard stream.
    pub fn has_stream(&self) -> bool {
        self.target == "-" || self.sources.iter().any(|source| source == "-")
    }
}
