//! What a guest may open: its standard streams, what the options give it under a name, and the files that its arguments name.

use crate::exit::{Failure, warn};
use crate::name;
use crate::options::size;
use clap::Args;
use clap::builder::{OsStringValueParser, TypedValueParser};
use std::ffi::OsStr;
use std::fs;
use std::io::{self, IsTerminal as _};
use std::path::{Component, Path};
use vfs_core::{Code, Descriptor, Shown};
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
    #[arg(long, value_name = "ALIAS=DESCRIPTOR", value_parser = given)]
    read: Vec<Given>,
    /// Let it read a descriptor from start to end: one without positions, such as a compressed one
    #[arg(long, value_name = "ALIAS=DESCRIPTOR", value_parser = given)]
    stream: Vec<Given>,
    /// Let it write a descriptor from start to end; a file appears as a whole once the program has ended
    #[arg(long, value_name = "ALIAS=DESCRIPTOR", value_parser = given)]
    write: Vec<Given>,
    /// Let it read and write a descriptor in place, at any position, as a database does
    #[arg(long, value_name = "ALIAS=DESCRIPTOR", value_parser = given)]
    channel: Vec<Given>,
    /// Show it a folder of a provider as the directory NAME, only to be read; repeatable
    #[arg(long, value_name = "NAME=DESCRIPTOR", value_parser = given)]
    dir: Vec<Given>,
    /// Show it a folder of a provider as the directory NAME, to be changed: once it has ended with code 0, all of it or nothing; repeatable
    #[arg(long, value_name = "NAME=DESCRIPTOR", value_parser = given)]
    dir_rw: Vec<Given>,
    /// Take what it makes in the directory NAME out into a folder of a provider, once it has ended with code 0: all of it or nothing;
    /// repeatable
    #[arg(long, value_name = "NAME=DESCRIPTOR", value_parser = given)]
    out_dir: Vec<Given>,
    /// How many names each folder of --dir and --dir-rw may have, with all that is below it
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u64).range(1..=1_000_000), default_value = "10000")]
    entries: u64,
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

/// A descriptor, and the name that the guest knows it by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Given {
    alias: String,
    source: String,
}

/// How a channel may be used.
#[derive(Clone, Copy)]
enum Use {
    ReadInSequence,
    ReadAnywhere,
    WriteInSequence,
    ReadAndWriteAnywhere,
}

impl ChannelOptions {
    /// The lines of a manifest for them. An argument that names a file which the guest cannot be given is told.
    ///
    /// # Errors
    /// EINVAL: two channels of one name.
    pub fn lines(&self, arguments: &[String]) -> Result<String, Failure> {
        let stream = |name: &str, source: Option<&String>| Given {
            alias: name.to_owned(),
            source: source.map_or(name, String::as_str).to_owned(),
        };
        let [stdin, stdout, stderr] = STANDARD;
        let mut channels = vec![
            (stream(stdin, self.input.as_ref()), Use::ReadInSequence),
            (stream(stdout, self.output.as_ref()), Use::WriteInSequence),
            (stream(stderr, None), Use::WriteInSequence),
        ];
        for (option, list, how) in [
            ("read", &self.read, Use::ReadAnywhere),
            ("stream", &self.stream, Use::ReadInSequence),
            ("write", &self.write, Use::WriteInSequence),
            ("channel", &self.channel, Use::ReadAndWriteAnywhere),
        ] {
            for given in list {
                if channels.iter().any(|(known, _)| known.alias == given.alias) {
                    let alias = Shown(&given.alias);
                    let why =
                        format!("--{option} {alias}: the guest has a channel of this name: choose another");
                    return Err(Failure::new(Code::EINVAL, why));
                }
                channels.push((given.clone(), how));
            }
        }
        if !self.no_argument_files {
            let named = channels.iter().map(|(given, _)| given.clone()).collect();
            let files = argument_files(arguments, named).into_iter().map(|file| (file, Use::ReadAnywhere));
            channels.extend(files);
        }
        let mut lines: String = channels.iter().map(|(given, how)| self.line(given, *how)).collect();
        for Given { alias, source } in &self.dir {
            let Self { gets, get_size, entries, .. } = self;
            lines += &format!("Tree = \"{source}\", {alias}, ro, {gets}, {get_size}, {entries}\n");
        }
        for Given { alias, source } in &self.dir_rw {
            let Self { gets, get_size, puts, put_size, entries, .. } = self;
            let quotas = format!("{gets}, {get_size}, {puts}, {put_size}, {entries}");
            lines += &format!("Tree = \"{source}\", {alias}, rw, {quotas}\n");
        }
        for Given { alias, source } in &self.out_dir {
            let Self { puts, put_size, .. } = self;
            lines += &format!("Export = \"{source}\", {alias}, {puts}, {put_size}\n");
        }
        if self.interactive || self.input.is_none() && io::stdin().is_terminal() {
            lines += &format!("Interactive = {stdin}\n");
        }
        Ok(lines)
    }

    /// Whether the guest makes files that are written to providers.
    pub fn takes_out(&self) -> bool {
        !self.out_dir.is_empty() || !self.dir_rw.is_empty()
    }

    fn line(&self, Given { alias, source }: &Given, how: Use) -> String {
        let (kind, reads, writes) = match how {
            Use::ReadInSequence => (0, true, false),
            Use::ReadAnywhere => (1, true, false),
            Use::WriteInSequence => (0, false, true),
            Use::ReadAndWriteAnywhere => (3, true, true),
        };
        let quota = |allowed: bool, quota: u64| if allowed { quota } else { 0 };
        let [gets, get_size] = [self.gets, self.get_size].map(|it| quota(reads, it));
        let [puts, put_size] = [self.puts, self.put_size].map(|it| quota(writes, it));
        format!("Channel = \"{source}\", {alias}, {kind}, {gets}, {get_size}, {puts}, {put_size}\n")
    }
}

/// The arguments that are regular files, under their own names: who names a file on a command line wants it read. What an option
/// has given the guest under such a name stays.
fn argument_files(arguments: &[String], given: Vec<Given>) -> Vec<Given> {
    let mut files: Vec<Given> = Vec::new();
    for argument in arguments.iter().filter(|it| fs::metadata(it).is_ok_and(|found| found.is_file())) {
        let file = argument_file(argument).and_then(|file| {
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

fn argument_file(argument: &str) -> Result<Given, String> {
    let source = name::of_path(OsStr::new(argument)).map_err(|error| error.to_string())?;
    Ok(Given { alias: alias(argument)?, source: checked(source)? })
}

/// Parses `ALIAS=DESCRIPTOR`.
fn given(text: &str) -> Result<Given, String> {
    match text.split_once('=') {
        Some((name, source)) if !source.is_empty() => {
            Ok(Given { alias: alias(name)?, source: checked(name::of(OsStr::new(source))?)? })
        }
        _ => Err("write ALIAS=DESCRIPTOR: data.csv=https://host/data.csv".to_owned()),
    }
}

/// A path as the guest sees it, from its root: that is where a relative one starts, too.
fn alias(path: &str) -> Result<String, String> {
    let mut alias = String::new();
    for component in Path::new(path).components() {
        match component {
            Component::Normal(name) => alias = alias + "/" + &name.to_string_lossy(),
            Component::ParentDir => {
                return Err(format!("no guest can open a name with `..`: {}", Shown(path)));
            }
            _ => {}
        }
    }
    if alias.is_empty() {
        return Err("the name of a file is empty".to_owned());
    }
    if alias.ends_with(' ') || alias.contains(|character: char| character == ',' || character.is_control()) {
        return Err(format!(
            "no name of a channel: a comma, a control character or a space at its end: {}",
            Shown(path)
        ));
    }
    Ok(alias)
}

/// Takes a descriptor or a path, as a manifest can hold it.
fn descriptor() -> impl TypedValueParser<Value = String> {
    OsStringValueParser::new().try_map(|text| name::of(&text).and_then(checked))
}

/// A descriptor as a manifest can hold it.
///
/// # Errors
/// What is wrong with it.
pub fn checked(descriptor: String) -> Result<String, String> {
    Descriptor::parse(&descriptor).map_err(|error| error.to_string())?;
    match descriptor.contains('"') || descriptor.ends_with(' ') {
        true => {
            Err("no `\"`, and no space at the end, can stand in it: percent-encode it, file:/a%20".to_owned())
        }
        false => Ok(descriptor),
    }
}

fn count() -> impl TypedValueParser<Value = u64> {
    clap::value_parser!(u64).range(1..=i64::MAX.unsigned_abs())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_seen_from_the_guests_root() {
        for (path, name) in [
            ("script.py", "/script.py"),
            ("./a//b/", "/a/b"),
            ("/srv/x", "/srv/x"),
            ("mem:x", "/mem:x"),
            ("a=b;c\"d", "/a=b;c\"d"),
        ] {
            assert_eq!(alias(path).unwrap(), name);
        }
        for path in ["", ".", "/", "../x", "a/../b", "a,b", "a\nb", "a "] {
            alias(path).unwrap_err();
        }
    }

    #[test]
    fn a_source_is_what_a_manifest_can_hold() {
        let given = given("./in=/srv/a=b,c;d").unwrap();
        assert_eq!((given.alias.as_str(), given.source.as_str()), ("/in", "/srv/a=b,c;d"));
        for text in ["", "in", "in=", "=/x", "in=/a\"b", "in=/a ", "in=mem:\u{1b}"] {
            super::given(text).unwrap_err();
        }
    }
}
