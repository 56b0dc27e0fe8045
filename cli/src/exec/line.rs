//! The lines of the manifest that a guest's options amount to. Nobody has seen them, so what is wrong with one is told of its option.

use crate::exit::Failure;
use vfs_core::Code;
use zvm::Manifest;

/// One line, and the option that it is for; empty: no option in particular.
#[derive(Debug)]
pub struct Line {
    text: String,
    option: &'static str,
}

impl Line {
    pub fn new(option: &'static str, text: String) -> Line {
        Line { text, option }
    }
}

/// All lines as one text.
pub fn text(lines: &[Line]) -> String {
    lines.iter().fold(String::new(), |text, line| text + &line.text + "\n")
}

/// Reads the lines.
///
/// # Errors
/// What is wrong with one of them.
pub fn parse(lines: &[Line]) -> Result<Manifest, Failure> {
    Manifest::parse(text(lines).as_bytes()).map_err(|failure| {
        Failure::new(Code::from_raw(failure.exit().number().into()), of_option(lines, failure.text()))
    })
}

/// What is said of a line, said of its option.
fn of_option(lines: &[Line], text: &str) -> String {
    let place = text.strip_prefix("MANIFEST ").and_then(|text| text.split_once(": "));
    let Some((number, what)) = place else { return text.to_owned() };
    let line = number.parse::<usize>().ok().and_then(|number| lines.get(number.checked_sub(1)?));
    match line.map(|line| line.option).filter(|option| !option.is_empty()) {
        Some(option) => format!("{option}: {what}"),
        None => what.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_with_a_line_is_told_of_its_option() {
        let lines =
            [Line::new("", "Version = 20140509".into()), Line::new("--memory", "Memory = x, 0".into())];
        let failure = parse(&lines).unwrap_err();
        let said = failure.message().unwrap();
        assert!(said.starts_with("--memory: ") && !said.contains("MANIFEST"), "{said}");
        assert_eq!(of_option(&lines, "MANIFEST 1: no"), "no");
        assert_eq!(of_option(&lines, "MANIFEST 9: no"), "no");
        assert_eq!(of_option(&lines, "else: no"), "else: no");
    }
}
