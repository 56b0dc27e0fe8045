//! `zvfs providers`: what serves what, from which path, and why.

pub mod child;

use crate::exit::{Failure, number, warn};
use crate::options::Options;
use crate::setup;
use crate::stdout;
use crate::text;
use clap::Args;
use vfs_core::{Code, Error, Info, Listing, Scope, Setting, Threads};

/// List the providers that may load: schemes, path, why each may load, settings; fails if one is broken
#[derive(Args, Debug)]
pub struct Providers {}

impl Providers {
    pub fn execute(&self, options: &Options) -> Result<(), Failure> {
        let registry = setup::registry(options)?;
        let (names, problems) = (registry.provider_names(), registry.problems());
        if names.is_empty() && problems.is_empty() {
            let text =
                "no provider may load: install one beside the executable, or set --provider-path or --config";
            return Err(Error::new(Code::ENOENT, text).into());
        }
        let listed: Vec<Listed> = names.iter().map(|name| child::listed(options, name)).collect();
        let texts: Vec<&str> = listed.iter().map(|listed| listed.text.trim_end()).collect();
        stdout::print(&texts.join("\n\n"))?;
        problems.iter().for_each(|problem| warn(&problem.chain()));
        let codes = listed
            .iter()
            .map(|listed| listed.code)
            .chain(problems.iter().map(|problem| number(problem.code())));
        codes.into_iter().find(|code| *code != 0).map_or(Ok(()), |code| Err(Failure::told(code)))
    }
}

/// What one provider's lines are, and the exit code of the first thing that is wrong with it.
struct Listed {
    text: String,
    code: u8,
}

impl Listed {
    fn of(listing: &Listing) -> Listed {
        let broken = listing.info.as_ref().err();
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
        after.push(match &listing.walls {
            None => "  runs      in the host".to_owned(),
            Some(walls) => format!("  runs      in a process of its own: {walls}"),
        });
        after.extend(
            listing
                .problems
                .iter()
                .map(|problem| format!("  problem   {}", text::one_line(&problem.chain()))),
        );
        lines.splice(1..1, after.iter().map(|line| text::printable(line)));
        let code = broken.into_iter().chain(&listing.problems).next().map_or(0, |error| number(error.code()));
        Listed { text: lines.join("\n"), code }
    }

    /// One that could not be looked at.
    fn broken(name: &str, why: &str) -> Listed {
        Listed { text: format!("{name}: broken: {}", text::one_line(why)), code: number(Code::ELIBBAD) }
    }
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
    let summary = if info.summary.is_empty() { "gives no summary" } else { &info.summary };
    let mut lines = vec![
        text::printable(&format!("{}: {summary}", title.join(" "))),
        format!("  serves    {}", info.schemes.join(", ")),
        format!("  flags     {}", info.supported_flags),
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
