//! `zvfs providers`: what serves what, from which path, and why.

use crate::arguments::Options;
use crate::exit::{Failure, number};
use crate::setup;
use crate::stdout;
use crate::text;
use clap::Args;
use vfs_core::{Code, Error, Info, Listing, Scope, Setting, Threads};

/// List the providers that may load: what each serves, where it is, why it may, its settings; fails if one is broken
#[derive(Args, Debug)]
pub struct Providers {}

impl Providers {
    pub fn execute(&self, options: &Options) -> Result<(), Failure> {
        let listings = setup::registry(options)?.providers();
        if listings.is_empty() {
            let text =
                "no provider may load: install one beside the executable, or set --provider-path or --config";
            return Err(Error::new(Code::ENOENT, text).into());
        }
        let shown: Vec<String> = listings.iter().map(show).collect();
        stdout::print(&shown.join("\n\n"))?;
        let broken = listings.iter().find_map(|listing| listing.info.as_ref().err());
        broken.map_or(Ok(()), |error| Err(Failure::told(number(error.code()))))
    }
}

fn show(listing: &Listing) -> String {
    let mut lines = match &listing.info {
        Ok(info) => table(info),
        Err(error) => vec![format!("{}: broken: {}", listing.name, text::one_line(&error.chain()))],
    };
    let mut after = Vec::new();
    if !listing.aliases.is_empty() {
        after.push(format!("  aliases   {}", listing.aliases.join(", ")));
    }
    after.extend(listing.path.iter().map(|path| format!("  from      {}", path.display())));
    after.push(format!("  because   {}", listing.reason));
    lines.splice(1..1, after);
    lines.join("\n")
}

/// What a provider says of itself, as lines; the first one is the title.
pub fn table(info: &Info) -> Vec<String> {
    let threads = match info.threads {
        Threads::PerFile => "files are independent",
        Threads::PerInstance => "one call at a time for an instance",
        Threads::PerLibrary => "one call at a time for the library",
    };
    let title: Vec<&str> =
        [info.name.as_str(), &info.version].into_iter().filter(|word| !word.is_empty()).collect();
    let summary = if info.summary.is_empty() { "says nothing of itself" } else { &info.summary };
    let mut lines = vec![
        text::printable(&format!("{}: {summary}", title.join(" "))),
        format!("  serves    {}", info.schemes.join(", ")),
        format!("  flags     {:?}", info.supported_flags),
        format!("  threads   {threads}"),
    ];
    lines.extend(info.settings.iter().map(|setting| format!("  setting   {}", describe(setting))));
    lines
}

/// `root: path, repeatable; default /: what it does`
fn describe(setting: &Setting) -> String {
    let mut words = vec![setting.takes()];
    if setting.list {
        words.push("repeatable".to_owned());
    }
    if setting.secret {
        words.push(format!("secret (written as {0}-file or {0}-env)", setting.name));
    }
    let giver = match (setting.scope.contains(Scope::OPERATOR), setting.scope.contains(Scope::OPEN)) {
        (true, true) => "the operator's, or of each open",
        (false, true) => "of each open",
        _ => "the operator's",
    };
    words.push(giver.to_owned());
    words.extend(setting.default.as_ref().map(|default| format!("default `{default}`")));
    text::printable(&format!("{}: {}: {}", setting.name, words.join(", "), setting.help))
}
