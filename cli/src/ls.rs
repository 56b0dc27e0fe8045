//! `zvfs ls`: the names below a descriptor.

use crate::descriptors::DescriptorOptions;
use crate::exit::Failure;
use crate::name::descriptor;
use crate::options::Options;
use crate::stdout;
use crate::text;
use clap::Args;
use serde_json::json;
use std::io::{self, BufWriter, Write};
use std::ops::ControlFlow;
use vfs_core::{Name, OpenFlags, Shown, Stat};

/// List the names below each descriptor, sorted
///
/// A name with a backslash, unprintable characters or invalid UTF-8 is escaped as in a shell's $'...', so that it can be
/// typed.
#[derive(Args, Debug)]
#[command(verbatim_doc_comment)]
pub struct Ls {
    /// Kind, size in bytes and time of the last change before each name; `-` where it is not known
    #[arg(short, conflicts_with_all = ["json", "null"])]
    long: bool,
    /// One JSON object per line: directory, name, kind, size, modified; unknown values are null. For a name that is not UTF-8
    /// `name` is null, and `name_hex` has its bytes as hexadecimal digits
    #[arg(long)]
    json: bool,
    /// Only the names, unescaped, each ended by a NUL: for xargs -0
    #[arg(short = '0', long, conflicts_with = "json")]
    null: bool,
    #[command(flatten)]
    open: DescriptorOptions,
    /// What to list
    #[arg(required = true, value_name = "DESCRIPTOR", value_parser = descriptor())]
    descriptors: Vec<String>,
}

impl Ls {
    pub fn execute(&self, options: &Options) -> Result<(), Failure> {
        let titled = self.descriptors.len() > 1 && !self.json && !self.null;
        self.open.each(options, OpenFlags::empty(), &self.descriptors, |registry, watch, descriptor, how| {
            let mut lines: Vec<(Vec<u8>, Vec<u8>)> = Vec::new();
            let mut each = |name: Name<'_>| {
                lines.push((name.bytes.to_owned(), self.line(descriptor, &name)));
                ControlFlow::Continue(())
            };
            registry.names(descriptor, how, &mut each).map_err(|error| watch.failure(error))?;
            lines.sort();
            let title = titled.then(|| format!("{}:\n", Shown(descriptor)));
            write(title.as_deref(), &lines).map_err(Failure::output)
        })
    }

    /// An entry with what ends it.
    fn line(&self, directory: &str, entry: &Name<'_>) -> Vec<u8> {
        if self.null {
            return [entry.bytes, b"\0"].concat();
        }
        self.text(directory, entry).into_bytes()
    }

    fn text(&self, directory: &str, entry: &Name<'_>) -> String {
        let kind = entry.stat.map_or("unknown", |stat| text::kind(stat.kind));
        let size = entry.stat.and_then(|stat: &Stat| stat.size);
        let modified = entry.stat.and_then(|stat| stat.modified).and_then(text::rfc3339);
        if self.json {
            let directory = Shown(directory).unescaped();
            let name = str::from_utf8(entry.bytes).ok();
            let mut object = json!({ "directory": directory, "name": name, "kind": kind, "size": size, "modified": modified });
            if name.is_none() {
                let digits: String = entry.bytes.iter().map(|byte| format!("{byte:02x}")).collect();
                object["name_hex"] = digits.into();
            }
            return text::json(&object) + "\n";
        }
        let name = text::name(entry.bytes);
        if !self.long {
            return format!("{name}\n");
        }
        let unknown = || "-".to_owned();
        let size = size.map_or_else(unknown, |size| size.to_string());
        format!("{kind:9}  {size:>12}  {:20}  {name}\n", modified.unwrap_or_else(unknown))
    }
}

fn write(title: Option<&str>, lines: &[(Vec<u8>, Vec<u8>)]) -> io::Result<()> {
    let mut out = BufWriter::new(stdout::writer()?);
    if let Some(title) = title {
        out.write_all(title.as_bytes())?;
    }
    lines.iter().try_for_each(|(_, line)| out.write_all(line))?;
    out.flush()
}
