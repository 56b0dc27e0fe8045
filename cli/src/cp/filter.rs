//! Which files of a folder are meant: the patterns of `--include` and `--exclude`.

use clap::Args;
use glob::{MatchOptions, Pattern};

/// As a shell has it: a star ends at a slash, and a leading dot is a letter like others.
const RULES: MatchOptions = MatchOptions {
    case_sensitive: true,
    require_literal_separator: true,
    require_literal_leading_dot: false,
};

/// Patterns with `*`, `?`, `[a-z]` and `**/`. One with a slash is for the path below the source, others are for the last name.
#[derive(Args, Debug, Default)]
pub struct Filter {
    /// Only files that match one of these patterns, such as '*.csv' or 'logs/**/*.gz'; repeatable
    #[arg(long, value_name = "PATTERN", value_parser = pattern, requires = "recursive")]
    include: Vec<Pattern>,
    /// No file that matches, nor anything in a folder that does, whatever --include says; repeatable
    #[arg(long, value_name = "PATTERN", value_parser = pattern, requires = "recursive")]
    exclude: Vec<Pattern>,
}

impl Filter {
    /// Whether a file is meant. `path` is below the source.
    pub fn takes(&self, path: &str) -> bool {
        let included = self.include.is_empty() || self.include.iter().any(|pattern| matches(pattern, path));
        included && self.enters(path)
    }

    /// Whether folders are meant for their own sake, and not only for the files in them.
    pub fn takes_folders(&self) -> bool {
        self.include.is_empty()
    }

    /// Whether something in a folder may be meant.
    pub fn enters(&self, path: &str) -> bool {
        !self.exclude.iter().any(|pattern| matches(pattern, path))
    }
}

fn matches(pattern: &Pattern, path: &str) -> bool {
    let last = path.rsplit('/').next().unwrap_or(path);
    let subject = if pattern.as_str().contains('/') { path } else { last };
    pattern.matches_with(subject, RULES)
}

fn pattern(text: &str) -> Result<Pattern, String> {
    // A slash at its end says that a folder is meant, which is so of each that matches.
    Pattern::new(text.trim_end_matches('/')).map_err(|error| format!("not a pattern: {}", error.msg))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filter(include: &[&str], exclude: &[&str]) -> Filter {
        let patterns = |texts: &[&str]| texts.iter().map(|text| pattern(text).unwrap()).collect();
        Filter { include: patterns(include), exclude: patterns(exclude) }
    }

    #[test]
    fn a_pattern_without_a_slash_is_for_names_in_any_folder() {
        let some = filter(&["*.csv", "logs/**/*.gz"], &["tmp", ".git/", "logs/old/*"]);
        for taken in ["a.csv", "x/y/a.csv", ".csv", "logs/a.gz", "logs/x/y/a.gz"] {
            assert!(some.takes(taken), "{taken}");
        }
        for left in ["a.txt", "x/logs/a.gz", "logs/old/a.gz", "a.CSV"] {
            assert!(!some.takes(left), "{left}");
        }
        assert!(!some.enters("x/tmp") && !some.enters(".git") && some.enters("x/logs"));
        assert!(filter(&[], &[]).takes("anything"));
    }

    #[test]
    fn what_is_no_pattern_is_told() {
        assert!(pattern("a***").is_err() && pattern("[").is_err());
    }
}
