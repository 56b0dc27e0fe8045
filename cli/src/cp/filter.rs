//! Which files of a folder are meant: the patterns of `--include` and `--exclude`.

use clap::Args;
use glob::{MatchOptions, Pattern};

/// As a shell has it: a star ends at a slash, and a leading dot is a letter like others.
const RULES: MatchOptions = MatchOptions {
    case_sensitive: true,
    require_literal_separator: true,
    require_literal_leading_dot: false,
};

/// Patterns with `*`, `?`, `[a-z]` and `**/`. One with a slash before its end, `/` or `./` at its start too, is for the path below the source,
/// others are for the last name.
#[derive(Args, Debug, Default)]
pub struct Filter {
    /// Only files that match one of these patterns, such as '*.csv' or 'logs/**/*.gz'; repeatable
    #[arg(long, value_name = "PATTERN", value_parser = files, requires = "recursive")]
    include: Vec<Glob>,
    /// No file or folder that matches, nor anything in such a folder, whatever --include says; with a slash at the end only folders;
    /// repeatable
    #[arg(long, value_name = "PATTERN", value_parser = pattern, requires = "recursive")]
    exclude: Vec<Glob>,
}

/// One pattern.
#[derive(Clone, Debug)]
struct Glob {
    pattern: Pattern,
    /// It ends in a slash, and is for nothing else.
    folders_only: bool,
    /// It has a slash before its end, and is for the path.
    is_path: bool,
}

impl Filter {
    /// Whether a file is meant that [`leaves_out`](Filter::leaves_out) does not. `path` is below the source.
    pub fn takes(&self, path: &str) -> bool {
        self.include.is_empty() || self.include.iter().any(|glob| glob.matches(path))
    }

    /// Whether folders are meant for their own sake, and not only for the files in them.
    pub fn takes_folders(&self) -> bool {
        self.include.is_empty()
    }

    /// Whether a name is not meant, nor anything below it.
    pub fn leaves_out(&self, path: &str, is_folder: bool) -> bool {
        self.exclude.iter().any(|glob| (is_folder || !glob.folders_only) && glob.matches(path))
    }
}

impl Glob {
    fn matches(&self, path: &str) -> bool {
        let last = path.rsplit('/').next().unwrap_or(path);
        let subject = if self.is_path { path } else { last };
        self.pattern.matches_with(subject, RULES)
    }
}

fn pattern(text: &str) -> Result<Glob, String> {
    let names = text.trim_end_matches('/');
    // From the source on: what has no other slash would be for any folder.
    let below = names.strip_prefix("./").unwrap_or(names).trim_start_matches('/');
    if matches!(below, "" | ".") {
        return Err("it names nothing: write what is below SRC, as tmp/ for such folders anywhere, or /tmp/"
            .to_owned());
    }
    if below.split('/').any(|name| matches!(name, "" | "." | "..")) {
        return Err("no path below SRC has an empty name, . or ..: leave it out".to_owned());
    }
    let pattern = Pattern::new(below).map_err(|error| format!("not a pattern: {}", error.msg))?;
    Ok(Glob { pattern, folders_only: names.len() < text.len(), is_path: names.contains('/') })
}

fn files(text: &str) -> Result<Glob, String> {
    match pattern(text)? {
        Glob { folders_only: true, .. } => {
            Err(format!("it is for files: write {0}/** for all in the folder", text.trim_end_matches('/')))
        }
        glob => Ok(glob),
    }
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
            assert!(some.takes(taken) && !some.leaves_out(taken, false), "{taken}");
        }
        for left in ["a.txt", "x/logs/a.gz", "logs/old/a.gz", "a.CSV"] {
            assert!(!some.takes(left) || some.leaves_out(left, false), "{left}");
        }
        assert!(
            some.leaves_out("x/tmp", true)
                && some.leaves_out(".git", true)
                && !some.leaves_out("x/logs", true)
        );
        assert!(filter(&[], &[]).takes("anything"));
    }

    /// A file of this name was left out as well.
    #[test]
    fn a_slash_at_the_end_is_for_folders_only() {
        let some = filter(&[], &["sub/", "a/*/"]);
        for path in ["sub", "x/sub", "a/b"] {
            assert!(some.leaves_out(path, true) && !some.leaves_out(path, false), "{path}");
        }
        assert!(!some.leaves_out("x/a/b", true));
    }

    /// It was for nothing at all.
    #[test]
    fn a_slash_at_the_start_is_the_source() {
        for text in ["/sub", "./sub", "/sub/", "./sub/", "//sub"] {
            let some = filter(&[], &[text]);
            assert!(some.leaves_out("sub", true) && !some.leaves_out("x/sub", true), "{text}");
            assert_eq!(some.leaves_out("sub", false), !text.ends_with('/'), "{text}");
        }
        assert!(filter(&["/a/*.c"], &[]).takes("a/b.c"));
        assert!(!filter(&["/*.c"], &[]).takes("a/b.c"));
    }

    #[test]
    fn what_is_no_pattern_is_told() {
        assert!(pattern("a***").is_err() && pattern("[").is_err());
        for nothing in ["", "/", "./", ".", "//"] {
            assert!(pattern(nothing).unwrap_err().contains("names nothing"), "{nothing}");
        }
        for never in ["../a", "a//b", "a/./b", "/.."] {
            assert!(pattern(never).unwrap_err().contains("no path"), "{never}");
        }
        assert!(files("logs/").unwrap_err().contains("write logs/** for"));
    }
}
