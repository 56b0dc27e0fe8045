//! What a guest gets, and the manifest that it amounts to.

use super::channels::ChannelOptions;
use super::given::checked;
use super::line::{self, Line};
use crate::exit::Failure;
use crate::name;
use crate::options::{duration, setting, size};
use clap::Args;
use std::collections::HashSet;
use std::ffi::OsString;
use std::sync::Arc;
use std::time::Duration;
use vfs_core::{Code, Registry, Shown};
use zvm::Manifest;

/// The most memory that a 32-bit guest can have.
const MEMORY_MAX: u64 = 1 << 32;

/// The most memory for files that are written to providers.
const SCRATCH: u64 = 1 << 30;

/// Options that say what a guest gets, and the guest.
#[derive(Args, Debug)]
pub struct Guest {
    #[command(flatten)]
    channels: ChannelOptions,
    /// A variable of its environment, which is empty otherwise; repeatable
    #[arg(long, value_name = "NAME=VALUE", value_parser = setting)]
    env: Vec<(String, String)>,
    /// How long it may run, with its unit: 30s, 5m, 12h; no parts of a second
    #[arg(long, value_name = "DURATION", value_parser = timeout, default_value = "1h")]
    timeout: Duration,
    /// How much memory it may have, up to 4g
    #[arg(long, value_name = "SIZE", value_parser = memory, default_value = "1g")]
    memory: u64,
    /// Let it make files of its own, up to this size, in memory; they are gone when it ends [default: none; 1g with --dir-rw or --out-dir]
    #[arg(long, value_name = "SIZE", value_parser = size)]
    scratch: Option<u64>,
    /// Call this function of the program, which may be a library then; its result, if it has one, is the exit code
    #[arg(long, value_name = "NAME", value_parser = function)]
    function: Option<String>,
    /// Give it the time of day and random numbers; otherwise both are virtual, and a run is like the last
    #[arg(long)]
    nondeterministic: bool,
    /// The program, a WebAssembly module for WASI preview 1, and its arguments
    #[arg(required = true, num_args = 1.., trailing_var_arg = true, value_names = ["PROGRAM", "ARG"])]
    command: Vec<OsString>,
}

impl Guest {
    /// The program as it was typed.
    pub fn program(&self) -> String {
        self.command.first().map(|text| text.to_string_lossy().into_owned()).unwrap_or_default()
    }

    /// Refuses outputs that would be gone with this command.
    ///
    /// # Errors
    /// EINVAL.
    pub fn check_that_outputs_stay(&self, registry: &Registry) -> Result<(), Failure> {
        self.channels.check_that_outputs_stay(registry)
    }

    /// The manifest that it runs under. Messages name none of its lines, which nobody has seen.
    ///
    /// # Errors
    /// EINVAL: what no manifest can say.
    pub fn manifest(&self) -> Result<Manifest, Failure> {
        let mut manifest = self.parse(&self.lines()?)?;
        manifest.channels.iter_mut().for_each(|channel| Arc::make_mut(channel).line = 0);
        manifest.trees.iter_mut().for_each(|tree| tree.line = 0);
        manifest.exports.iter_mut().for_each(|export| export.line = 0);
        Ok(manifest)
    }

    /// The same as text.
    ///
    /// # Errors
    /// EINVAL: an argument or a variable that no line can hold.
    pub fn manifest_text(&self) -> Result<String, Failure> {
        let lines = self.lines()?;
        let mut text = line::text(&lines);
        let manifest = self.parse(&lines)?;
        if !manifest.args.is_empty() {
            let quoted = |arg: &String| format!("\"{}\"", arg.replace('\\', r"\\").replace('"', "\\\""));
            let args: Vec<String> = manifest.args.iter().map(quoted).collect();
            text += &format!("Args = {}\n", args.join(" "));
        }
        text.extend(manifest.env.iter().map(|(name, value)| format!("Env = {name}={value}\n")));
        match Manifest::parse(text.as_bytes()) {
            Ok(read) if read == manifest => Ok(text),
            _ => {
                let why = "--print-manifest: a line of a manifest cannot hold an argument or a variable with a line end, \
                           or a variable with a space at an end; without --print-manifest they are passed on";
                Err(Failure::new(Code::EINVAL, why))
            }
        }
    }

    /// Reads the lines, and adds arguments and environment, which may hold what no line can.
    fn parse(&self, lines: &[Line]) -> Result<Manifest, Failure> {
        let mut manifest = line::parse(lines)?;
        manifest.args = self.arguments()?;
        manifest.env.clone_from(&self.env);
        Ok(manifest)
    }

    /// The manifest's lines, without arguments and environment.
    fn lines(&self) -> Result<Vec<Line>, Failure> {
        let mut names = HashSet::new();
        if let Some((twice, _)) = self.env.iter().find(|(name, _)| !names.insert(name)) {
            return Err(Failure::new(Code::EINVAL, format!("--env {}: given twice", Shown(twice))));
        }
        let program = self.command.first().map_or("".as_ref(), OsString::as_os_str);
        let program = name::of(program)
            .and_then(checked)
            .map_err(|why| Failure::new(Code::EINVAL, format!("{}: {why}", Shown(&self.program()))))?;
        let (memory, seconds) = (self.memory, self.timeout.as_secs());
        let mut lines = vec![
            Line::new("", "Version = 20140509".into()),
            Line::new("PROGRAM", format!("Program = {program}")),
            Line::new("--memory", format!("Memory = {memory}, 0")),
            Line::new("--timeout", format!("Timeout = {seconds}")),
        ];
        lines.append(&mut self.channels.lines(&self.arguments()?)?);
        let taken_out = self.channels.takes_out().then_some(SCRATCH);
        if let Some(size) = self.scratch.or(taken_out) {
            lines.push(Line::new("--scratch", format!("Scratch = {size}")));
            // Programs make files there without looking for it.
            let temporary = "/tmp";
            if !line::parse(&lines)?.channels.iter().any(|channel| &*channel.alias == temporary) {
                lines.push(Line::new("--scratch", format!("Preopen = {temporary}")));
            }
        }
        if let Some(name) = &self.function {
            lines.push(Line::new("--function", format!("Function = {name}")));
        }
        if self.nondeterministic {
            lines.push(Line::new("--nondeterministic", "Deterministic = 0".into()));
        }
        Ok(lines)
    }

    fn arguments(&self) -> Result<Vec<String>, Failure> {
        let argument = |text: &OsString| {
            text.to_str().map(str::to_owned).ok_or_else(|| {
                let shown = text.to_string_lossy();
                Failure::new(Code::EINVAL, format!("argument {}: not UTF-8", Shown(&shown)))
            })
        };
        self.command.iter().skip(1).map(argument).collect()
    }
}

fn function(text: &str) -> Result<String, String> {
    match text.is_empty() || text.trim() != text || text.contains(char::is_control) {
        true => Err("write the name of a function that the program exports".to_owned()),
        false => Ok(text.to_owned()),
    }
}

fn timeout(text: &str) -> Result<Duration, String> {
    duration(text)
        .ok()
        .filter(|time| time.as_secs() > 0 && time.subsec_nanos() == 0)
        .ok_or_else(|| "write whole seconds, minutes or hours with their unit: 30s, 5m, 12h".to_owned())
}

fn memory(text: &str) -> Result<u64, String> {
    let bytes = size(text)?;
    if bytes > MEMORY_MAX { Err("a guest has at most 4g".to_owned()) } else { Ok(bytes) }
}
