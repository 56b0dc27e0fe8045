//! What a provider declares: names, types, and which values there are.

use super::Value;
use super::units::{SIZE_UNITS, TIME_UNITS, scaled, written};
use crate::code::Code;
use crate::error::{Error, Result};
use crate::flags::Scope;
use std::ops::{Bound, RangeBounds, RangeInclusive};

/// The type of a setting's value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "host", derive(serde::Serialize, serde::Deserialize))]
pub enum SettingKind {
    /// Any text.
    Text,
    /// `true` or `false`.
    Boolean,
    /// Decimal, 64-bit signed.
    Integer,
    /// Bytes, 0 to `i64::MAX`; the suffixes `k`, `m`, `g`, `t` are powers of 1024.
    Size,
    /// A time span with a suffix: `ns`, `us`, `ms`, `s`, `m`, `h`; 0 to `i64::MAX` nanoseconds.
    Duration,
    /// An absolute path.
    Path,
}

impl SettingKind {
    /// The word for a person: `size`.
    pub fn name(self) -> &'static str {
        match self {
            SettingKind::Text => "text",
            SettingKind::Boolean => "boolean",
            SettingKind::Integer => "integer",
            SettingKind::Size => "size",
            SettingKind::Duration => "duration",
            SettingKind::Path => "path",
        }
    }

    /// Whether its values are numbers, which a range may bound.
    pub fn is_number(self) -> bool {
        matches!(self, SettingKind::Integer | SettingKind::Size | SettingKind::Duration)
    }

    /// A number of this type as an operator would write it.
    fn written(self, number: i64) -> String {
        match self {
            SettingKind::Size => written(number, &SIZE_UNITS),
            SettingKind::Duration => written(number, &TIME_UNITS),
            _ => number.to_string(),
        }
    }
}

/// One setting that a provider declares.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
#[cfg_attr(feature = "host", derive(serde::Serialize, serde::Deserialize))]
pub struct Setting {
    /// Lower-case letters, digits and `-`, 1 to 63 characters.
    pub name: String,
    /// The type of each value.
    pub kind: SettingKind,
    /// Whether it may be given any number of times.
    pub list: bool,
    /// As an operator would write it; `None`: absent unless given.
    pub default: Option<String>,
    /// One line for the operator.
    pub help: String,
    /// Comes from a file or the environment, and is never printed.
    pub secret: bool,
    /// Who may give it.
    pub scope: Scope,
    /// The numbers that there are: of an integer, of bytes, of nanoseconds. `None`: all of the type.
    pub range: Option<RangeInclusive<i64>>,
    /// The texts that there are; empty: any.
    pub values: Vec<String>,
    /// A path that names a file with a secret in it, such as a private key: a host refuses one that others may read or change.
    pub private: bool,
}

impl Setting {
    /// Declares a setting of the operator's, single and without a default.
    pub fn new(name: impl Into<String>, kind: SettingKind, help: impl Into<String>) -> Setting {
        Setting {
            name: name.into(),
            kind,
            list: false,
            default: None,
            help: help.into(),
            secret: false,
            scope: Scope::OPERATOR,
            range: None,
            values: Vec::new(),
            private: false,
        }
    }

    /// Gives the default, as an operator would write it.
    pub fn default_value(mut self, value: impl Into<String>) -> Setting {
        self.default = Some(value.into());
        self
    }

    /// Allows any number of values.
    pub fn list(mut self) -> Setting {
        self.list = true;
        self
    }

    /// Marks it as a secret.
    pub fn secret(mut self) -> Setting {
        self.secret = true;
        self
    }

    /// Says who may give it.
    pub fn scope(mut self, scope: Scope) -> Setting {
        self.scope = scope;
        self
    }

    /// Bounds its number: an integer, a size in bytes, a duration in nanoseconds. An open end is the type's own.
    pub fn range(mut self, range: impl RangeBounds<i64>) -> Setting {
        let first = match range.start_bound() {
            Bound::Included(first) => *first,
            Bound::Excluded(before) => before.saturating_add(1),
            Bound::Unbounded => i64::MIN,
        };
        let last = match range.end_bound() {
            Bound::Included(last) => *last,
            Bound::Excluded(after) => after.saturating_sub(1),
            Bound::Unbounded => i64::MAX,
        };
        self.range = Some(first..=last);
        self
    }

    /// Names all the texts that there are.
    pub fn values<S: Into<String>>(mut self, values: impl IntoIterator<Item = S>) -> Setting {
        self.values = values.into_iter().map(Into::into).collect();
        self
    }

    /// Says that the path names a file with a secret in it, which a host refuses if others may read or change it.
    pub fn private(mut self) -> Setting {
        self.private = true;
        self
    }

    /// What it takes, for a person: `integer, 0 to 1000`, `text: auto, on or off`.
    pub fn takes(&self) -> String {
        let kind = self.kind.name();
        match self.range_in_words() {
            _ if !self.values.is_empty() => format!("{kind}: {}", one_of(&self.values, "")),
            Some(range) => format!("{kind}, {range}"),
            None => kind.to_owned(),
        }
    }

    /// Parses one value.
    ///
    /// # Errors
    /// EINVAL: not a value of this type, out of its range, or none of its texts. What was given is not repeated if the setting is
    /// secret.
    pub fn parse(&self, text: &str) -> Result<Value> {
        let wrong = |wanted: &str| {
            let given = if self.secret { String::new() } else { format!("`{}`, not ", text.escape_debug()) };
            Err(Error::new(Code::EINVAL, format!("setting `{}` is {given}{wanted}", self.name)))
        };
        if text.contains('\0') {
            return wrong("text without NUL");
        }
        let number = match self.kind {
            SettingKind::Text | SettingKind::Path => Some(0),
            SettingKind::Boolean => {
                ["false", "true"].iter().position(|word| *word == text).map(|at| at as i64)
            }
            SettingKind::Integer => text.parse().ok(),
            SettingKind::Size => scaled(text, &SIZE_UNITS, Some("")),
            SettingKind::Duration => scaled(text, &TIME_UNITS, None),
        };
        match number {
            Some(number) if self.admits(text, number) => Ok(Value { text: text.to_owned(), number }),
            _ => wrong(&self.wanted()),
        }
    }

    /// Whether a value of the right type is one of those that there are.
    fn admits(&self, text: &str, number: i64) -> bool {
        match self.kind {
            SettingKind::Text => self.values.is_empty() || self.values.iter().any(|value| value == text),
            SettingKind::Path => text.starts_with('/'),
            SettingKind::Boolean => true,
            _ => self.range.as_ref().is_none_or(|range| range.contains(&number)),
        }
    }

    /// What an error asks for.
    fn wanted(&self) -> String {
        let range = self.range_in_words();
        let or = |otherwise: &str| range.as_ref().map_or(otherwise.to_owned(), |range| format!(", {range}"));
        match self.kind {
            SettingKind::Text => one_of(&self.values, "`"),
            SettingKind::Path => "an absolute path".to_owned(),
            SettingKind::Boolean => "`true` or `false`".to_owned(),
            SettingKind::Integer => format!("an integer{}", or("")),
            SettingKind::Size => format!("a size in bytes{}", or(" such as 4096, 64k or 2g")),
            SettingKind::Duration => format!("a duration{}", or(" such as 500ms, 30s or 5m")),
        }
    }

    /// `64k to 64m`, `1s or more`.
    fn range_in_words(&self) -> Option<String> {
        let range = self.range.as_ref().filter(|_| self.kind.is_number())?;
        // What no value of the type can be is no bound.
        let least = if self.kind == SettingKind::Integer { i64::MIN } else { 0 };
        let (first, last) = (*range.start().max(&least), *range.end());
        let (unbounded_below, unbounded_above) = (first == least, last == i64::MAX);
        let (first, last) = (self.kind.written(first), self.kind.written(last));
        match (unbounded_below, unbounded_above) {
            (true, true) => None,
            (false, true) => Some(format!("{first} or more")),
            (true, false) if self.kind == SettingKind::Integer => Some(format!("{last} or less")),
            _ => Some(format!("{first} to {last}")),
        }
    }
}

/// `a, b or c`, each in quotes.
fn one_of(values: &[String], quote: &str) -> String {
    let quoted: Vec<String> = values.iter().map(|value| format!("{quote}{value}{quote}")).collect();
    match quoted.split_last() {
        Some((last, [])) => last.clone(),
        Some((last, others)) => format!("{} or {last}", others.join(", ")),
        None => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: i64 = 1_000_000_000;

    fn numbers() -> [Setting; 4] {
        [
            Setting::new("tries", SettingKind::Integer, "").range(0..=1000),
            Setting::new("window", SettingKind::Size, "").range(64 << 10..=64 << 20),
            Setting::new("patience", SettingKind::Duration, "").range(SECOND..),
            Setting::new("below", SettingKind::Integer, "").range(..10),
        ]
    }

    #[test]
    fn a_value_out_of_its_range_is_refused_with_the_range() {
        let [tries, window, patience, below] = numbers();
        for (setting, text, words) in [
            (&tries, "5000", "is `5000`, not an integer, 0 to 1000"),
            (&tries, "-1", "0 to 1000"),
            (&tries, "many", "0 to 1000"),
            (&window, "1k", "a size in bytes, 64k to 64m"),
            (&window, "1g", "64k to 64m"),
            (&patience, "999ms", "a duration, 1s or more"),
            (&below, "10", "an integer, 9 or less"),
        ] {
            let error = setting.parse(text).err().unwrap();
            assert_eq!(error.code(), Code::EINVAL);
            assert!(error.to_string().contains(words), "{error}");
        }
        for (setting, text) in [
            (&tries, "0"),
            (&tries, "1000"),
            (&window, "64k"),
            (&window, "67108864"),
            (&patience, "1s"),
            (&patience, "9000h"),
            (&below, "-9223372036854775808"),
        ] {
            setting.parse(text).unwrap();
        }
    }

    #[test]
    fn a_text_that_is_none_of_its_values_is_refused_with_all_of_them() {
        let setting = Setting::new("crc", SettingKind::Text, "").values(["auto", "on", "off"]);
        setting.parse("on").unwrap();
        let error = setting.parse("On").err().unwrap().to_string();
        assert_eq!(error, "setting `crc` is `On`, not `auto`, `on` or `off`");
    }

    #[test]
    fn what_a_setting_takes_is_told_as_an_operator_would_write_it() {
        let told = numbers().map(|setting| setting.takes());
        assert_eq!(
            told,
            ["integer, 0 to 1000", "size, 64k to 64m", "duration, 1s or more", "integer, 9 or less"]
        );
        assert_eq!(Setting::new("x", SettingKind::Size, "").range(0..).takes(), "size");
        assert_eq!(Setting::new("x", SettingKind::Size, "").range(..=1024).takes(), "size, 0 to 1k");
        assert_eq!(Setting::new("x", SettingKind::Text, "").values(["a", "b"]).takes(), "text: a or b");
        assert_eq!(Setting::new("x", SettingKind::Path, "").takes(), "path");
    }
}
