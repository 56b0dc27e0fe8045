//! How the suite reaches files of the library that it checks.

use crate::arguments::setting;
use clap::Args;
use std::ffi::OsString;
use std::io;
use vfs_core::{Host, Library, OpenFlags, Provider, Result};
use zvfs_conformance::{Blocking, Subject};

/// Stands for a fresh name in `--write-descriptor`.
const NAME: &str = "{name}";

/// The descriptors and settings that the checks use.
#[derive(Args, Debug, Clone, Default)]
pub struct Reach {
    /// Something that can be read, always with the same content
    #[arg(long, value_name = "D")]
    descriptor: Option<String>,
    /// Something that can be written; with {name} in it each check writes names of its own, and reads them again
    #[arg(long, value_name = "D2")]
    write_descriptor: Option<String>,
    /// Something whose read (or else write) waits for ever, such as a FIFO
    #[arg(long, value_name = "D3")]
    blocking_descriptor: Option<String>,
    /// Two instances must not see each other's names
    #[arg(long)]
    isolated: bool,
    /// A setting for every instance, as an operator gives it; repeatable
    #[arg(short = 'o', value_name = "KEY=VALUE", value_parser = setting)]
    settings: Vec<(String, String)>,
}

impl Reach {
    /// Whether there is anything to check with.
    pub fn is_some(&self) -> bool {
        self.descriptor.is_some() || self.write_descriptor.is_some()
    }

    /// The arguments that say the same to a child.
    pub fn arguments(&self) -> Vec<OsString> {
        let mut arguments = Vec::new();
        let mut option = |name: &str, value: &str| arguments.push(OsString::from(format!("{name}={value}")));
        for (name, value) in [
            ("--descriptor", &self.descriptor),
            ("--write-descriptor", &self.write_descriptor),
            ("--blocking-descriptor", &self.blocking_descriptor),
        ] {
            if let Some(value) = value {
                option(name, value);
            }
        }
        for (key, value) in &self.settings {
            option("-o", &format!("{key}={value}"));
        }
        if self.isolated {
            arguments.push("--isolated".into());
        }
        arguments
    }

    /// What the suite must know. Reads the descriptor once, for its content.
    pub fn subject(&self, library: Library, host: Host) -> Result<Subject> {
        let reads = library.info().supported_flags.contains(OpenFlags::READ);
        let mut subject = Subject::new(Box::new(library)).host(host);
        for (key, value) in &self.settings {
            subject = subject.setting(key, value);
        }
        if let Some(descriptor) = &self.descriptor {
            subject = subject.read_source(descriptor)?;
        }
        if let Some(descriptor) = self.write_descriptor.clone() {
            let make = move |name: &str| -> io::Result<String> { Ok(descriptor.replace(NAME, name)) };
            let several = self.write_descriptor.as_ref().is_some_and(|descriptor| descriptor.contains(NAME));
            subject = if several { subject.target(make) } else { subject.sink(make) };
        }
        if let Some(descriptor) = self.blocking_descriptor.clone() {
            let flags = if reads { OpenFlags::READ } else { OpenFlags::WRITE };
            subject = subject.blocking(move |_| Ok(Blocking { descriptor: descriptor.clone(), flags }));
        }
        Ok(if self.isolated { subject.isolated() } else { subject })
    }
}
