//! How the suite reaches files of the library that it checks.

use crate::options::setting;
use clap::Args;
use std::ffi::OsString;
use std::io::{self, Write};
use std::process::{Command, Stdio};
use std::thread;
use vfs_core::{Host, OpenFlags, Provider, Result, Shown, operator_setting};
use zvfs_conformance::{Blocking, Subject};

/// Stands for a fresh name in `--write-descriptor`.
const NAME: &str = "{name}";

/// The descriptors and settings that the checks use.
#[derive(Args, Debug, Clone, Default)]
pub struct Reach {
    /// Something to read, always with the same content; repeatable, for several kinds of file
    #[arg(long = "descriptor", value_name = "D")]
    descriptors: Vec<String>,
    /// Something to write; with {name} in it each check writes names of its own, reads them back, and removes them; repeatable
    #[arg(long = "write-descriptor", value_name = "D2")]
    write_descriptors: Vec<String>,
    /// For a layer that changes bytes for good: a shell command that turns what is written into what is read, such as
    /// 'tr a-z A-Z'. Not needed if it reads what was written (compression, encryption)
    #[arg(long, value_name = "COMMAND")]
    comes_back: Option<String>,
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
    /// One for each run of the suite: the first of each kind together, then what else is to be read or written. With the words
    /// that tell it from the others; none if it is the only one.
    pub fn runs(&self) -> Vec<(String, Reach)> {
        let one = |descriptor: Option<&String>, write_descriptor: Option<&String>| {
            let reach = Reach {
                descriptors: descriptor.into_iter().cloned().collect(),
                write_descriptors: write_descriptor.into_iter().cloned().collect(),
                ..self.clone()
            };
            let shown: Vec<String> =
                descriptor.into_iter().chain(write_descriptor).map(|text| Shown(text).to_string()).collect();
            (shown.join(", "), reach)
        };
        let (mut reads, mut writes) = (self.descriptors.iter(), self.write_descriptors.iter());
        let first = match (reads.next(), writes.next()) {
            (None, None) => return Vec::new(),
            (descriptor, write_descriptor) => one(descriptor, write_descriptor),
        };
        let more = reads.map(|descriptor| one(Some(descriptor), None));
        let more = more.chain(writes.map(|write_descriptor| one(None, Some(write_descriptor))));
        let mut runs: Vec<_> = [first].into_iter().chain(more).collect();
        if let [(shown, _)] = runs.as_mut_slice() {
            shown.clear();
        }
        runs
    }

    /// Without what is only read.
    pub fn for_writing(self) -> Reach {
        Reach { descriptors: Vec::new(), ..self }
    }

    /// Whether each check makes names of its own.
    pub fn makes_names(&self) -> bool {
        self.write_descriptors.iter().any(|descriptor| descriptor.contains(NAME))
    }

    /// Directions that the library has, and that nothing was given for.
    pub fn untried(&self, reads: bool, writes: bool) -> Option<&'static str> {
        if writes && self.write_descriptors.is_empty() {
            Some("writing was not tried: give --write-descriptor")
        } else if reads && self.descriptors.is_empty() && !self.makes_names() {
            Some("reading was not tried: give --descriptor")
        } else {
            None
        }
    }

    /// The arguments that say the same to a child.
    pub fn arguments(&self) -> Vec<OsString> {
        let mut arguments = Vec::new();
        let mut option = |name: &str, value: &str| arguments.push(OsString::from(format!("{name}={value}")));
        self.descriptors.iter().for_each(|value| option("--descriptor", value));
        self.write_descriptors.iter().for_each(|value| option("--write-descriptor", value));
        self.comes_back.iter().for_each(|value| option("--comes-back", value));
        self.blocking_descriptor.iter().for_each(|value| option("--blocking-descriptor", value));
        for (key, value) in &self.settings {
            option("-o", &format!("{key}={value}"));
        }
        if self.isolated {
            arguments.push("--isolated".into());
        }
        arguments
    }

    /// What the suite must know, for one run. Reads the descriptor once, for its content.
    pub fn subject(&self, library: Box<dyn Provider>, host: Host) -> Result<Subject> {
        let info = library.info();
        let reads = info.supported_flags.contains(OpenFlags::READ);
        let mut subject = Subject::new(library).host(host);
        for (key, value) in &self.settings {
            let (name, text) = operator_setting(&info.settings, key, value)?;
            subject = subject.setting(&name, &text);
        }
        if let Some(descriptor) = self.descriptors.first() {
            subject = subject.read_source(descriptor)?;
        }
        match self.write_descriptors.first().cloned() {
            Some(descriptor) => {
                let make = move |name: &str| -> io::Result<String> { Ok(descriptor.replace(NAME, name)) };
                subject = if self.makes_names() { subject.target(make) } else { subject.sink(make) };
            }
            None => subject = subject.read_only(),
        }
        if self.descriptors.is_empty() && !self.makes_names() {
            subject = subject.write_only();
        }
        if let Some(command) = self.comes_back.clone() {
            subject = subject.comes_back(move |written| through(&command, written));
        }
        if let Some(descriptor) = self.blocking_descriptor.clone() {
            let flags = if reads { OpenFlags::READ } else { OpenFlags::WRITE };
            subject = subject.blocking(move |_| Ok(Blocking { descriptor: descriptor.clone(), flags }));
        }
        Ok(if self.isolated { subject.isolated() } else { subject })
    }
}

/// What a shell command makes of its input.
fn through(command: &str, input: &[u8]) -> io::Result<Vec<u8>> {
    let mut shell = Command::new("sh");
    let mut child = shell.args(["-c", command]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
    let stdin = child.stdin.take();
    thread::scope(|scope| {
        // A command that reads no more than a part is its author's business.
        let writer = thread::Builder::new();
        writer.spawn_scoped(scope, move || stdin.map(|mut stdin| stdin.write_all(input)))?;
        let output = child.wait_with_output()?;
        match output.status.success() {
            true => Ok(output.stdout),
            false => Err(io::Error::other(format!("--comes-back `{command}`: {}", output.status))),
        }
    })
}
