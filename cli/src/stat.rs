//! `zvfs stat`: what is known of a descriptor.

use crate::descriptors::DescriptorOptions;
use crate::exit::Failure;
use crate::name::descriptor;
use crate::options::Options;
use crate::stdout;
use crate::text;
use clap::Args;
use serde_json::json;
use vfs_core::{OpenFlags, Shown};

/// Show the status of each descriptor: kind, size in bytes, time of the last change, version
#[derive(Args, Debug)]
pub struct Stat {
    /// One JSON object per line; unknown values are null
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    open: DescriptorOptions,
    /// What to ask about
    #[arg(required = true, value_name = "DESCRIPTOR", value_parser = descriptor())]
    descriptors: Vec<String>,
}

impl Stat {
    pub fn execute(&self, options: &Options) -> Result<(), Failure> {
        self.open.each(options, OpenFlags::empty(), &self.descriptors, |registry, watch, descriptor, how| {
            let stat = registry.stat(descriptor, how).map_err(|error| watch.failure(error))?;
            let shown = Shown(descriptor);
            let line = if self.json { as_json(&shown.unescaped(), &stat) } else { as_text(&shown, &stat) };
            stdout::print(&line)
        })
    }
}

fn as_json(descriptor: &str, stat: &vfs_core::Stat) -> String {
    text::json(&json!({
        "descriptor": descriptor,
        "kind": text::kind(stat.kind),
        "size": stat.size,
        "modified": stat.modified.and_then(text::rfc3339),
        "version": Some(&stat.version).filter(|version| !version.is_empty()),
    }))
}

fn as_text(shown: &Shown<'_>, stat: &vfs_core::Stat) -> String {
    let mut lines = vec![shown.to_string(), format!("  kind      {}", text::kind(stat.kind))];
    lines.extend(stat.size.map(|size| format!("  size      {size}")));
    lines.extend(stat.modified.and_then(text::rfc3339).map(|time| format!("  modified  {time}")));
    if !stat.version.is_empty() {
        lines.push(format!("  version   {}", text::printable(&stat.version)));
    }
    lines.join("\n")
}
