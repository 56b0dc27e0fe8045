//! Options may stand after operands, as users of GNU's tools expect; `--` ends them. clap itself takes a lone SRC that an option
//! follows for the last operand, DST.

use clap::{Arg, Command};
use std::borrow::Cow;
use std::ffi::{OsStr, OsString};

/// The words of a command line with the options of its subcommand before the operands. Those of a program that a subcommand runs
/// stay where they are, and so does what is no subcommand.
pub fn options_first(command: &Command, words: Vec<OsString>) -> Vec<OsString> {
    let mut command = Cow::Borrowed(command);
    let of_all: Vec<Arg> = command.get_arguments().filter(|arg| arg.is_global_set()).cloned().collect();
    let (mut first, mut operands) = (Vec::new(), Vec::new());
    let mut rest = words.iter();
    first.extend(rest.next().cloned());
    while let Some(word) = rest.next() {
        if word == "--" {
            operands.extend(rest.by_ref().map(not_option));
        } else if is_option(word) {
            first.push(word.clone());
            if has_value_behind(|| command.get_arguments().chain(&of_all), &word.to_string_lossy()) {
                first.extend(rest.next().cloned());
            }
        } else if let Some(mut subcommand) = command.find_subcommand(word).cloned() {
            first.push(word.clone());
            // Makes its arguments, which no other subcommand's are needed for.
            subcommand.build();
            command = Cow::Owned(subcommand);
        } else if command.has_subcommands() {
            return words;
        } else {
            operands.push(word.clone());
        }
    }
    if command.get_positionals().any(Arg::is_trailing_var_arg_set) {
        return words;
    }
    first.extend(operands);
    first
}

/// `-` is a standard stream.
fn is_option(word: &OsString) -> bool {
    word.len() > 1 && word.as_encoded_bytes().starts_with(b"-")
}

/// An operand that looks like an option, as a path that does not: behind a `--`, too, clap takes it for an option that ends SRC.
/// No descriptor begins with a hyphen.
fn not_option(operand: &OsString) -> OsString {
    match is_option(operand) {
        true => [OsStr::new("./"), operand].into_iter().collect(),
        false => operand.clone(),
    }
}

/// Whether the word after an option, or after several in one word (`-rj 8`), is its value.
fn has_value_behind<'a, I: Iterator<Item = &'a Arg>>(arguments: impl Fn() -> I, option: &str) -> bool {
    let takes_value = |arg: &Arg| arg.get_action().takes_values();
    if let Some(name) = option.strip_prefix("--") {
        // With `=` it has its value already, and this is no name.
        return arguments().any(|arg| arg.get_long() == Some(name) && takes_value(arg));
    }
    let known = |letter| arguments().find(|arg| arg.get_short() == Some(letter));
    let mut letters = option.chars().skip(1);
    // What follows a letter with a value is that value.
    letters.find(|letter| known(*letter).is_some_and(takes_value)).is_some() && letters.next().is_none()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arguments::Arguments;
    use clap::CommandFactory as _;

    #[track_caller]
    fn ordered(line: &str) -> String {
        let words = line.split(' ').map(OsString::from).collect();
        let ordered = options_first(&Arguments::command(), words);
        ordered.join(" ".as_ref()).into_string().unwrap()
    }

    #[test]
    fn options_may_stand_anywhere_before_two_hyphens() {
        for (line, wanted) in [
            ("zvfs cp a -r b", "zvfs cp -r a b"),
            ("zvfs cp a b -o k=v --timeout 3s c -v", "zvfs cp -o k=v --timeout 3s -v a b c"),
            ("zvfs cp a --timeout=3s b", "zvfs cp --timeout=3s a b"),
            ("zvfs cp a -rj 8 b -j8 c", "zvfs cp -rj 8 -j8 a b c"),
            ("zvfs --config f cp - -T b", "zvfs --config f cp -T - b"),
            ("zvfs cp a -r -- -T b", "zvfs cp -r a ./-T b"),
            ("zvfs cp a -- b", "zvfs cp a b"),
            ("zvfs cp -- a --", "zvfs cp a ./--"),
            ("zvfs cp a --timeout", "zvfs cp --timeout a"),
            ("zvfs cp cp -v stat", "zvfs cp -v cp stat"),
            ("zvfs broker status at --json", "zvfs broker status --json at"),
        ] {
            assert_eq!(ordered(line), wanted, "{line}");
        }
    }

    #[test]
    fn what_belongs_to_a_program_stays_as_it_is() {
        for line in [
            "zvfs exec program -v -- x",
            "zvfs exec -v program",
            "zvfs",
            "zvfs none cp a -r b",
            "zvfs help cp",
        ] {
            assert_eq!(ordered(line), line);
        }
    }

    /// Every subcommand but those: whichever operands it has, an option may follow any of them.
    #[test]
    fn every_subcommand_takes_an_option_behind_each_operand() {
        let mut command = Arguments::command();
        command.build();
        let mut tried = 0;
        for subcommand in command.get_subcommands().filter(|one| !one.has_subcommands()) {
            let operands = subcommand.get_positionals().filter(|one| !one.is_trailing_var_arg_set());
            for count in 1..=operands.count() {
                let names = vec!["mem:x"; count].join(" -v ");
                let line = format!("zvfs {} {names} -v", subcommand.get_name());
                let words = line.split(' ').map(OsString::from).collect();
                let taken =
                    Arguments::command().try_get_matches_from(options_first(&Arguments::command(), words));
                let unknown = taken.err().filter(|error| {
                    use clap::error::ErrorKind::*;
                    matches!(error.kind(), UnknownArgument | TooManyValues | WrongNumberOfValues)
                });
                assert!(unknown.is_none(), "{line}: {}", unknown.unwrap());
                tried += 1;
            }
        }
        assert!(tried > 10, "{tried}");
    }
}
