//! `zvfs ls`: the names below a descriptor.

use crate::arguments::{OpenOptions, Options};
use crate::exit::{self, Failure};
use crate::setup;
use crate::text;
use crate::watch::Watch;
use clap::Args;
use std::io::{self, BufWriter, Write};
use std::ops::ControlFlow;
use vfs_core::{Entry, OpenFlags, Shown, Stat};

/// List the names below each descriptor, sorted
#[derive(Args, Debug)]
pub struct Ls {
    /// Kind, size in bytes and time of the last change before each name; `-` where it is not known
    #[arg(short)]
    long: bool,
    #[command(flatten)]
    open: OpenOptions,
    /// What to list
    #[arg(required = true, value_name = "DESCRIPTOR")]
    descriptors: Vec<String>,
}

impl Ls {
    pub fn execute(&self, options: &Options) -> Result<(), Failure> {
        let watch = Watch::start(self.open.timeout)?;
        let registry = setup::registry(options)?;
        let several = self.descriptors.len() > 1;
        exit::each(&self.descriptors, |descriptor| {
            let how = self.open.open(OpenFlags::empty()).control(&watch.control());
            let mut lines: Vec<(String, String)> = Vec::new();
            let mut each = |entry: Entry<'_>| {
                lines.push((entry.name.to_owned(), self.line(&entry)));
                ControlFlow::Continue(())
            };
            registry.list(descriptor, &how, &mut each).map_err(|error| watch.failure(error))?;
            lines.sort();
            let title = several.then(|| Shown(descriptor).to_cow());
            write(title.as_deref(), &lines).map_err(Failure::output)
        })
    }

    fn line(&self, entry: &Entry<'_>) -> String {
        let name = text::printable(entry.name);
        if !self.long {
            return name;
        }
        let unknown = || "-".to_owned();
        let kind = entry.stat.map_or("unknown", |stat| text::kind(stat.kind));
        let size = entry.stat.and_then(|stat: &Stat| stat.size).map_or_else(unknown, |size| size.to_string());
        let modified = entry.stat.and_then(|stat| stat.modified).and_then(text::rfc3339);
        format!("{kind:9}  {size:>12}  {:20}  {name}", modified.unwrap_or_else(unknown))
    }
}

fn write(title: Option<&str>, lines: &[(String, String)]) -> io::Result<()> {
    let mut out = BufWriter::new(io::stdout().lock());
    if let Some(title) = title {
        writeln!(out, "{title}:")?;
    }
    lines.iter().try_for_each(|(_, line)| writeln!(out, "{line}"))?;
    out.flush()
}
