//! `zvfs check`: what a library is, and whether it keeps to the header, without trusting it: it is loaded in child processes
//! only.

pub mod child;
mod elf;
mod place;
mod reach;
mod suite;

use crate::check::child::Task;
use crate::child_process::Ended;
use crate::exit::{Failure, number, warn};
use crate::options::{Options, duration};
use crate::stdout;
use crate::text::{self, printable};
use clap::Args;
use elf::Elf;
use place::Placed;
use reach::Reach;
use serde_json::json;
use std::io::Write;
use std::path::PathBuf;
use std::time::Duration;
use suite::Outcome;
use vfs_core::{Code, Error, written_duration};

/// Examine a provider's library: its table, what it links to, and, given descriptors, whether it follows the header's rules
///
/// Each check loads the library in a process of its own, so that a crash or a hang is one failed line. Once loaded, it can do
/// whatever you can: check only what you would run. With --place process it runs behind the walls of such a provider instead, and
/// can do what --may says.
///
/// Without descriptors only its table is read. With them the conformance suite runs:
///   zvfs check libzvfs_data.so --descriptor data:,hello
///   zvfs check libzvfs_mem.so --write-descriptor 'mem:{name}' --isolated --place all
///   zvfs check libzvfs_capitals.so --write-descriptor 'capitals:mem:{name}' --comes-back 'tr a-z A-Z'
#[derive(Args, Debug)]
#[command(verbatim_doc_comment)]
pub struct Check {
    #[command(flatten)]
    reach: Reach,
    #[command(flatten)]
    placed: Placed,
    /// Only the checks with this in their names
    #[arg(long, value_name = "TEXT")]
    filter: Option<String>,
    /// Print one JSON object instead of lines
    #[arg(long)]
    json: bool,
    /// How long loading and each check may take
    #[arg(long, value_name = "DURATION", default_value = "60s", value_parser = duration)]
    timeout: Duration,
    /// The library, such as libzvfs_file.so
    #[arg(value_name = "LIB.so")]
    library: PathBuf,
}

impl Check {
    pub fn execute(&self, options: &Options) -> Result<(), Failure> {
        let elf = Elf::read(&self.library)?;
        let loaded = self.load_in_child(options)?;
        let mut defects = elf.defects();
        defects.extend(loaded.defect.clone());
        let mut out = stdout::writer()?;
        if !self.json {
            write!(out, "{}", loaded.table).and_then(|()| writeln!(out, "{elf}")).map_err(Failure::output)?;
        }
        let mut outcomes = Vec::new();
        let runs = if defects.is_empty() { self.reach.runs() } else { Vec::new() };
        for (place, placed) in self.placed.each() {
            for (run, reach) in &runs {
                let words: Vec<&str> =
                    [run.as_str(), place].into_iter().filter(|text| !text.is_empty()).collect();
                self.put_to_the_suite(options, &words.join(", "), (reach, &placed), &mut outcomes)?;
            }
        }
        if self.json {
            let object = json!({
                "library": self.library.display().to_string(),
                "table": loaded.table.lines().collect::<Vec<_>>(),
                "defects": defects,
                "checks": outcomes.iter().map(Outcome::json).collect::<Vec<_>>(),
            });
            writeln!(out, "{}", text::json(&object)).map_err(Failure::output)?;
        }
        defects.iter().for_each(|defect| warn(defect));
        if !defects.is_empty() {
            return Err(Failure::told(loaded.code));
        }
        let left: Vec<&str> = outcomes.iter().filter_map(Outcome::left).collect();
        if let Some(first) = left.first() {
            warn(&format!("{} checks could not remove what they made, such as {first}", left.len()));
        }
        let failed = outcomes.iter().filter(|outcome| outcome.failed()).count();
        if failed > 0 {
            let text = format!("{}: {failed} of {} checks failed", self.library.display(), outcomes.len());
            return Err(Failure::new(Code::ELIBBAD, text));
        }
        match (self.json, outcomes.len()) {
            (true, _) => Ok(()),
            (false, 0) => writeln!(out, "nothing wrong with it; give --descriptor to test how it behaves")
                .map_err(Failure::output),
            (false, count) => {
                let passed = outcomes.iter().filter(|outcome| outcome.passed()).count();
                let skipped = count - passed;
                writeln!(out, "nothing wrong with it: {passed} checks passed, {skipped} skipped")
                    .and_then(|()| {
                        self.reach
                            .untried(loaded.supports("READ"), loaded.supports("WRITE"))
                            .map_or(Ok(()), |text| writeln!(out, "{text}"))
                    })
                    .map_err(Failure::output)
            }
        }
    }

    fn put_to_the_suite(
        &self,
        options: &Options,
        run: &str,
        (reach, placed): (&Reach, &Placed),
        outcomes: &mut Vec<Outcome>,
    ) -> Result<(), Failure> {
        let mut out = stdout::writer()?;
        let child = |task: Task<'_>| {
            Ended::run(child::arguments(options, self.timeout, task, placed, &self.library), self.timeout)
        };
        let sweep = |process: u32| -> Result<Option<String>, Error> {
            if !reach.makes_names() {
                return Ok(None);
            }
            Ok(suite::left(&child(Task::Sweep(process, reach))?))
        };
        for check in suite::matching(self.filter.as_deref(), placed.in_process())? {
            let outcome = Outcome::of(check, run, |name| child(Task::Check(name, reach)), sweep)?;
            if !self.json {
                writeln!(out, "{outcome}").map_err(Failure::output)?;
            }
            // What cannot even be read fails every check, and says the same each time.
            let last = outcome.failed() && check.is_first();
            outcomes.push(outcome);
            if last {
                break;
            }
        }
        Ok(())
    }

    /// Lets a child load it, within the time limit.
    fn load_in_child(&self, options: &Options) -> Result<Loaded, Failure> {
        let placed = self.placed.first();
        let arguments = child::arguments(options, self.timeout, Task::Show, &placed, &self.library);
        let ended = Ended::run(arguments, self.timeout)?;
        Ok(self.judge(&ended))
    }

    fn judge(&self, ended: &Ended) -> Loaded {
        let table: String = ended.output.lines().map(|line| printable(line) + "\n").collect();
        let library = self.library.display();
        let (code, defect) = match (ended.code_and_signal(), ended.told()) {
            ((Some(0), _), _) if !table.is_empty() => (Code::ELIBBAD, None),
            ((_, Some(signal)), _) => {
                (Code::ELIBBAD, Some(format!("{library}: crashed with signal {signal} while loading")))
            }
            ((Some(code @ 1..), _), Some(told)) => (Code::from_raw(code.into()), Some(told.to_owned())),
            ((Some(_), _), _) => (Code::ELIBBAD, Some(format!("{library}: ended the process while loading"))),
            _ => {
                let limit = written_duration(self.timeout);
                (Code::ETIMEDOUT, Some(format!("{library}: did not finish loading within {limit}")))
            }
        };
        Loaded { table, defect, code: number(code) }
    }
}

impl Loaded {
    /// Whether the table names an open flag.
    fn supports(&self, flag: &str) -> bool {
        let flags = self.table.lines().find_map(|line| line.trim_start().strip_prefix("flags "));
        flags.is_some_and(|flags| {
            flags.split(|letter: char| !letter.is_ascii_uppercase()).any(|word| word == flag)
        })
    }
}

/// What came of loading.
struct Loaded {
    /// What the library says of itself.
    table: String,
    defect: Option<String>,
    /// The exit code, if there is a defect, this one or another.
    code: u8,
}
