//! The child processes of `zvfs providers`: each loads one library, which may stop, end or break its process, and lists it.

use super::Listed;
use crate::child_process::{self, Ended};
use crate::exit::{self, Failure, number, warn};
use crate::options::Options;
use crate::{setup, stdout};
use clap::Args;
use std::time::Duration;
use vfs_core::{Code, Control};

/// How long a library may take to load, start and stop: its stop may take 5 s.
const LIMIT: Duration = Duration::from_secs(10);
/// What a child prints before the lines: the library may print as well.
const MARK: &str = "zvfs provider: ";

/// Loads and lists one provider, for `zvfs providers`
#[derive(Args, Debug)]
pub struct ProviderChild {
    name: String,
}

/// Lists a provider, in a process of its own.
pub(super) fn listed(options: &Options, name: &str) -> Listed {
    let mut arguments = vec!["provider-child".into()];
    arguments.extend(options.arguments());
    arguments.extend(["--".into(), name.into()]);
    let ended = match Ended::run(arguments, LIMIT) {
        Ok(ended) => ended,
        Err(error) => return Listed { code: number(error.code()), ..Listed::broken(name, &error.chain()) },
    };
    let told = ended.told();
    match (ended.code_and_signal(), ended.output.rsplit_once(MARK)) {
        ((Some(code), _), Some((_, text))) => {
            ended.errors.lines().filter_map(|line| line.strip_prefix("zvfs: ")).for_each(warn);
            Listed { text: text.to_owned(), code: u8::try_from(code).unwrap_or(number(Code::EIO)) }
        }
        ((Some(_), _), None) if told.is_some() => Listed::broken(name, told.unwrap_or_default()),
        ((Some(code), _), None) => {
            Listed::broken(name, &format!("it ends the process that loads it, with exit code {code}"))
        }
        ((None, Some(signal)), _) => {
            Listed::broken(name, &format!("it ends the process that loads it by signal {signal}"))
        }
        ((None, None), _) => {
            let why =
                format!("loading, starting and stopping it does not finish within {}s", LIMIT.as_secs());
            Listed { code: number(Code::ETIMEDOUT), ..Listed::broken(name, &why) }
        }
    }
}

impl ProviderChild {
    pub fn execute(&self, options: &Options) -> Result<(), Failure> {
        child_process::end_after(LIMIT + Duration::from_secs(1))?;
        let listed = Listed::of(&setup::registry(options)?.provider(&self.name, &Control::new()));
        stdout::print(&format!("{MARK}{}", listed.text))?;
        // Whatever the library left running must not hold the answer back.
        exit::leave(listed.code)
    }
}
