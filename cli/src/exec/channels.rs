//! What a guest may open: its standard streams, what the options give it under a name, and the files that its arguments name.

use super::folders::{FolderOptions, FolderUse};
use super::given::{Given, checked};
use super::line::Line;
use crate::exit::{Failure, warn};
use crate::name;
use crate::options::size;
use clap::Args;
use clap::builder::{OsStringValueParser, TypedValueParser};
use std::fs;
use std::io::{self, IsTerminal as _};
use vfs_core::{Code, Registry, Shown};
use zvm::STANDARD;

/// As many calls as anybody makes, in a number that can be read.
const COUNT: &str = "1000000000";

/// Options of the channels.
#[derive(Args, Debug)]
pub struct ChannelOptions {
    /// Where its standard input comes from, instead of this command's
    #[arg(long = "in", value_name = "DESCRIPTOR", value_parser = descriptor())]
    input: Option<String>,
    /// Where its standard output goes, instead of this command's; a file appears as a whole once the program has ended
    #[arg(long = "out", value_name = "DESCRIPTOR", value_parser = descriptor())]
    output: Option<String>,
    /// Let it read a descriptor as the file ALIAS, at any position; repeatable, as the next three
    #[arg(long, value_name = "ALIAS=DESCRIPTOR", value_parser = Given::parse)]
    read: Vec<Given>,
    /// Let it read a descriptor from start to end: one without positions, such as a compressed one
    #[arg(long, value_name = "ALIAS=DESCRIPTOR", value_parser = Given::parse)]
    stream: Vec<Given>,
    /// Let it write a descriptor from start to end; a file appears as a whole once the program has ended
    #[arg(long, value_name = "ALIAS=DESCRIPTOR", value_parser = Given::parse)]
    write: Vec<Given>,
    /// Let it read and write a descriptor in place, at any position, as a database does
    #[arg(long, value_name = "ALIAS=DESCRIPTOR", value_parser = Given::parse)]
    channel: Vec<Given>,
    /// Write what --out and --write name in place: what there is stays if the program fails or a quota cuts it. A quota cuts folders likewise
    #[arg(long)]
    keep_partial: bool,
    #[command(flatten)]
    folders: FolderOptions,
    /// Do not let it read the files that its arguments name
    #[arg(long)]
    no_argument_files: bool,
    /// Hand it what has come of standard input without waiting for more, as is done at a terminal
    #[arg(long)]
    interactive: bool,
    /// How many reads it may make of each channel
    #[arg(long, value_name = "COUNT", value_parser = count(), default_value = COUNT)]
    gets: u64,
    /// How much it may read of each channel
    #[arg(long, value_name = "SIZE", value_parser = size, default_value = "1t")]
    get_size: u64,
    /// How many writes it may make to each channel, and how many files and folders in each --dir-rw and --out-dir
    #[arg(long, value_name = "COUNT", value_parser = count(), default_value = COUNT)]
    puts: u64,
    /// How much it may write to each channel, and to each --dir-rw and --out-dir
    #[arg(long, value_name = "SIZE", value_parser = size, default_value = "16g")]
    put_size: u64,
}

/// How a channel may be used.
#[derive(Clone, Copy)]
enum Use {
    ReadInSequence,
    ReadAnywhere,
    WriteInSequence,
    ReadAndWriteAnywhere,
}

/// A channel, and the option that asks for it.
struct Wanted {
    option: &'static str,
    given: Given,
    how: Use,
}

impl ChannelOptions {
    /// The lines of a manifest for them. An argument that names a file which the guest cannot be given is told.
    ///
    /// # Errors
    /// EINVAL: two channels, or two folders, of one name; two folders that are written, of which one lies in the other.
    pub fn lines(&self, arguments: &[String]) -> Result<Vec<Line>, Failure> {
        let stream = |option, name: &str, source: Option<&String>, how| {
            let source = source.map_or(name, String::as_str).to_owned();
            Wanted { option, given: Given { alias: name.to_owned(), source }, how }
        };
        let [stdin, stdout, stderr] = STANDARD;
        let mut channels = vec![
            stream("--in", stdin, self.input.as_ref(), Use::ReadInSequence),
            stream("--out", stdout, self.output.as_ref(), Use::WriteInSequence),
            stream("", stderr, None, Use::WriteInSequence),
        ];
        for (option, list, how) in [
            ("--read", &self.read, Use::ReadAnywhere),
            ("--stream", &self.stream, Use::ReadInSequence),
            ("--write", &self.write, Use::WriteInSequence),
            ("--channel", &self.channel, Use::ReadAndWriteAnywhere),
        ] {
            for given in list {
                if channels.iter().any(|known| known.given.alias == given.alias) {
                    let alias = Shown(&given.alias);
                    let why =
                        format!("{option} {alias}: the guest has a channel of this name: choose another");
                    return Err(Failure::new(Code::EINVAL, why));
                }
                channels.push(Wanted { option, given: given.clone(), how });
            }
        }
        self.folders.check(&channels.iter().map(|channel| &channel.given).collect::<Vec<_>>())?;
        if !self.no_argument_files {
            let named = channels.iter().map(|channel| &channel.given);
            let named = named.chain(self.folders.all().map(|(given, _)| given)).cloned().collect();
            let how = Use::ReadAnywhere;
            let files = argument_files(arguments, named).into_iter();
            channels.extend(files.map(|given| Wanted { option: "ARG", given, how }));
        }
        let folders = self.folders.all().map(|(given, how)| self.folder(given, how));
        let mut lines: Vec<Line> =
            channels.iter().map(|channel| self.channel(channel)).chain(folders).collect();
        if self.keep_partial {
            lines.push(Line::new("--keep-partial", "Partial = keep".into()));
        }
        if self.interactive || self.input.is_none() && io::stdin().is_terminal() {
            lines.push(Line::new("--interactive", format!("Interactive = {stdin}")));
        }
        Ok(lines)
    }

    /// Refuses outputs that would be gone with this command: of all providers `mem` is the one whose files live as long as its process,
    /// which has one guest here, so that nobody could read them. As a place to work in, to be read again, it is as good as any.
    ///
    /// # Errors
    /// EINVAL.
    pub fn check_that_outputs_stay(&self, registry: &Registry) -> Result<(), Failure> {
        let [_, stdout, _] = STANDARD;
        let output = self.output.iter().map(|source| ("--out", stdout, source));
        let write = self.write.iter().map(|given| ("--write", given.alias.as_str(), &given.source));
        let made = self.folders.all().filter(|(_, how)| *how == FolderUse::Make);
        let made = made.map(|(given, how)| (how.option(), given.alias.as_str(), &given.source));
        for (option, alias, source) in output.chain(write).chain(made) {
            if registry.leads_to(source).is_some_and(|provider| provider == "mem") {
                let why = format!(
                    "{option} {}: {} is in this command's memory and gone when it ends: name a target that stays, or let the guest \
                     write into --scratch",
                    Shown(alias),
                    Shown(source)
                );
                return Err(Failure::new(Code::EINVAL, why));
            }
        }
        Ok(())
    }

    /// Whether the guest makes files that are written to providers.
    pub fn takes_out(&self) -> bool {
        self.folders.takes_out()
    }

    fn channel(&self, Wanted { option, given: Given { alias, source }, how }: &Wanted) -> Line {
        let (kind, reads, writes) = match how {
            Use::ReadInSequence => (0, true, false),
            Use::ReadAnywhere => (1, true, false),
            Use::WriteInSequence => (0, false, true),
            Use::ReadAndWriteAnywhere => (3, true, true),
        };
        let quota = |allowed: bool, quota: u64| if allowed { quota } else { 0 };
        let [gets, get_size] = [self.gets, self.get_size].map(|it| quota(reads, it));
        let [puts, put_size] = [self.puts, self.put_size].map(|it| quota(writes, it));
        Line::new(
            option,
            format!("Channel = \"{source}\", {alias}, {kind}, {gets}, {get_size}, {puts}, {put_size}"),
        )
    }

    fn folder(&self, Given { alias, source }: &Given, how: FolderUse) -> Line {
        let Self { gets, get_size, puts, put_size, .. } = self;
        let entries = self.folders.entries;
        let text = match how {
            FolderUse::Read => format!("Tree = \"{source}\", {alias}, ro, {gets}, {get_size}, {entries}"),
            FolderUse::Change => {
                format!("Tree = \"{source}\", {alias}, rw, {gets}, {get_size}, {puts}, {put_size}, {entries}")
            }
            FolderUse::Make => format!("Export = \"{source}\", {alias}, {puts}, {put_size}"),
        };
        Line::new(how.option(), text)
    }
}

/// The arguments that are regular files, under their own names: who names a file on a command line wants it read. What an option
/// has given the guest under such a name stays.
fn argument_files(arguments: &[String], given: Vec<Given>) -> Vec<Given> {
    let mut files: Vec<Given> = Vec::new();
    for argument in arguments.iter().filter(|it| fs::metadata(it).is_ok_and(|found| found.is_file())) {
        let file = Given::of_file(argument).and_then(|file| {
            match files.iter().find(|other| other.alias == file.alias && other.source != file.source) {
                Some(_) => Err(format!("another argument is {} to the guest", Shown(&file.alias))),
                None => Ok(file),
            }
        });
        match file {
            Ok(file) if files.contains(&file) || given.iter().any(|other| other.alias == file.alias) => {}
            Ok(file) => files.push(file),
            Err(why) => warn(&format!(
                "{}: the guest cannot read this file: {why}; give it a name of its own by --read",
                Shown(argument)
            )),
        }
    }
    files
}

/// Takes a descriptor or a path, as a manifest can hold it.
fn descriptor() -> impl TypedValueParser<Value = String> {
    OsStringValueParser::new().try_map(|text| name::of(&text).and_then(checked))
}

fn count() -> impl TypedValueParser<Value = u64> {
    clap::value_parser!(u64).range(1..=i64::MAX.unsigned_abs())
}
