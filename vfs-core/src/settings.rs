//! Typed settings: a provider declares a schema, the host parses and checks what the operator wrote against it.

use crate::code::Code;
use crate::error::{Error, Result};
use crate::flags::Scope;
use std::fmt;
use std::path::Path;
use std::time::Duration;

/// The type of a setting's value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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
}

/// One setting that a provider declares.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
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

    /// Parses one value.
    ///
    /// # Errors
    /// EINVAL: not a value of this type. The text is not repeated if the setting is secret.
    pub fn parse(&self, text: &str) -> Result<Value> {
        let wrong = |wanted: &str| {
            let given = if self.secret { String::new() } else { format!("`{}`, not ", text.escape_debug()) };
            Err(Error::new(Code::EINVAL, format!("setting `{}` is {given}{wanted}", self.name)))
        };
        if text.contains('\0') {
            return wrong("text without NUL");
        }
        let number = match self.kind {
            SettingKind::Text => 0,
            SettingKind::Path if text.starts_with('/') => 0,
            SettingKind::Path => return wrong("an absolute path"),
            SettingKind::Boolean => match text {
                "true" => 1,
                "false" => 0,
                _ => return wrong("`true` or `false`"),
            },
            SettingKind::Integer => match text.parse() {
                Ok(number) => number,
                Err(_) => return wrong("an integer"),
            },
            SettingKind::Size => match scaled(text, &SIZE_UNITS, Some("")) {
                Some(number) => number,
                None => return wrong("a size in bytes such as 4096, 64k or 2g"),
            },
            SettingKind::Duration => match scaled(text, &TIME_UNITS, None) {
                Some(number) => number,
                None => return wrong("a duration such as 500ms, 30s or 5m"),
            },
        };
        Ok(Value { text: text.to_owned(), number })
    }
}

const SIZE_UNITS: [(&str, i64); 5] =
    [("", 1), ("k", 1 << 10), ("m", 1 << 20), ("g", 1 << 30), ("t", 1 << 40)];
const TIME_UNITS: [(&str, i64); 6] = [
    ("ns", 1),
    ("us", 1_000),
    ("ms", 1_000_000),
    ("s", 1_000_000_000),
    ("m", 60_000_000_000),
    ("h", 3_600_000_000_000),
];

/// Parses digits and a unit, in either case; a number without a unit is in `plain`, or an error (0 needs none).
fn scaled(text: &str, units: &[(&str, i64)], plain: Option<&str>) -> Option<i64> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let number: i64 = text[..digits].parse().ok()?;
    let unit = match &text[digits..] {
        "" if number == 0 => return Some(0),
        "" => plain?.to_owned(),
        unit => unit.to_ascii_lowercase(),
    };
    let (_, factor) = units.iter().find(|(name, _)| *name == unit)?;
    number.checked_mul(*factor)
}

/// Parses a duration such as `30s` or `1500ms`; `None` if it is not one.
pub fn parse_duration(text: &str) -> Option<Duration> {
    scaled(text, &TIME_UNITS, None).and_then(|ns| u64::try_from(ns).ok()).map(Duration::from_nanos)
}

/// One value, parsed.
#[derive(Clone, PartialEq, Eq)]
pub struct Value {
    pub(crate) text: String,
    /// Boolean: 0 or 1; integer; size: bytes; duration: nanoseconds; else 0.
    pub(crate) number: i64,
}

/// The values that a provider gets: of names it declared only, each valid, in the operator's order.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Settings {
    values: Vec<(String, SettingKind, Value)>,
}

impl Settings {
    /// No values.
    pub const fn none() -> Settings {
        Settings { values: Vec::new() }
    }

    /// Checks values against a schema and fills in defaults.
    ///
    /// `given` is name and text as written, in order; `scope` is who gives them. Defaults come with `OPERATOR` for all of
    /// that scope, and with `OPEN` for those that only an open may give.
    ///
    /// # Errors
    /// EINVAL, with the known names or the wanted type: unknown name, wrong scope, bad value, given twice and no list.
    pub fn check(schema: &[Setting], scope: Scope, given: &[(String, String)]) -> Result<Settings> {
        let mut values: Vec<(String, SettingKind, Value)> = Vec::new();
        for (name, text) in given {
            let Some(setting) = schema.iter().find(|setting| setting.name == *name) else {
                return Err(unknown(schema, scope, name));
            };
            if !setting.scope.contains(scope) {
                let who = if scope == Scope::OPEN { "the operator's configuration" } else { "each open" };
                return Err(Error::new(Code::EINVAL, format!("setting `{name}` is given by {who} only")));
            }
            if !setting.list && values.iter().any(|(known, ..)| known == name) {
                return Err(Error::new(Code::EINVAL, format!("setting `{name}` is given twice")));
            }
            values.push((name.clone(), setting.kind, setting.parse(text)?));
        }
        let defaults = schema.iter().filter(|setting| match scope {
            Scope::OPEN => setting.scope == Scope::OPEN,
            _ => setting.scope.contains(scope),
        });
        for setting in defaults {
            let absent = !values.iter().any(|(known, ..)| *known == setting.name);
            if let (true, Some(default)) = (absent, &setting.default) {
                values.push((setting.name.clone(), setting.kind, setting.parse(default)?));
            }
        }
        Ok(Settings { values })
    }

    pub(crate) fn push(&mut self, name: String, kind: SettingKind, value: Value) {
        self.values.push((name, kind, value));
    }

    #[cfg(feature = "host")]
    pub(crate) fn iter(&self) -> impl Iterator<Item = &(String, SettingKind, Value)> {
        self.values.iter()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    fn find(&self, name: &str) -> Option<&Value> {
        self.values.iter().find(|(known, ..)| known == name).map(|(.., value)| value)
    }

    /// The text of a setting, of whatever type.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.find(name).map(|value| value.text.as_str())
    }

    /// All texts of a list, in the operator's order.
    pub fn texts<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.values.iter().filter(move |(known, ..)| known == name).map(|(.., value)| value.text.as_str())
    }

    /// A path.
    pub fn path(&self, name: &str) -> Option<&Path> {
        self.text(name).map(Path::new)
    }

    /// A boolean; absent is `false`.
    pub fn boolean(&self, name: &str) -> bool {
        self.find(name).is_some_and(|value| value.number != 0)
    }

    /// An integer.
    pub fn integer(&self, name: &str) -> Option<i64> {
        self.find(name).map(|value| value.number)
    }

    /// A size in bytes.
    pub fn size(&self, name: &str) -> Option<u64> {
        self.find(name).and_then(|value| u64::try_from(value.number).ok())
    }

    /// A duration.
    pub fn duration(&self, name: &str) -> Option<Duration> {
        self.size(name).map(Duration::from_nanos)
    }
}

impl fmt::Debug for Settings {
    /// Names only: values may be secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.values.iter().map(|(name, ..)| name)).finish()
    }
}

fn unknown(schema: &[Setting], scope: Scope, name: &str) -> Error {
    let known: Vec<&str> = schema
        .iter()
        .filter(|setting| setting.scope.contains(scope))
        .map(|setting| setting.name.as_str())
        .collect();
    let known =
        if known.is_empty() { "there are none".to_owned() } else { format!("known: {}", known.join(", ")) };
    Error::new(Code::EINVAL, format!("unknown setting `{}` ({known})", name.escape_debug()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schema() -> Vec<Setting> {
        vec![
            Setting::new("root", SettingKind::Path, "").list(),
            Setting::new("limit", SettingKind::Size, "")
                .default_value("64k")
                .scope(Scope::OPERATOR | Scope::OPEN),
            Setting::new("node", SettingKind::Integer, "").scope(Scope::OPEN).default_value("7"),
            Setting::new("key", SettingKind::Duration, "").secret(),
        ]
    }

    fn given(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect()
    }

    #[test]
    fn values_are_parsed_and_defaults_filled_in() {
        let pairs = given(&[("root", "/a"), ("root", "/b"), ("key", "1500ms")]);
        let settings = Settings::check(&schema(), Scope::OPERATOR, &pairs).unwrap();
        assert_eq!(settings.texts("root").collect::<Vec<_>>(), ["/a", "/b"]);
        assert_eq!(settings.size("limit"), Some(65536));
        assert_eq!(settings.duration("key"), Some(Duration::from_millis(1500)));
        assert_eq!(settings.text("node"), None);
    }

    #[test]
    fn an_open_gets_only_what_was_given_and_its_own_defaults() {
        let settings = Settings::check(&schema(), Scope::OPEN, &given(&[("limit", "2G")])).unwrap();
        assert_eq!((settings.size("limit"), settings.integer("node")), (Some(2 << 30), Some(7)));
        assert_eq!(Settings::check(&schema(), Scope::OPEN, &[]).unwrap().size("limit"), None);
    }

    #[test]
    fn what_the_schema_does_not_have_is_refused() {
        for (scope, name, text) in [
            (Scope::OPERATOR, "rot", "/a"),
            (Scope::OPERATOR, "root", "a"),
            (Scope::OPERATOR, "limit", "64 k"),
            (Scope::OPERATOR, "limit", "9999999999g"),
            (Scope::OPERATOR, "key", "30"),
            (Scope::OPERATOR, "node", "1"),
            (Scope::OPEN, "root", "/a"),
        ] {
            let error = Settings::check(&schema(), scope, &given(&[(name, text)])).unwrap_err();
            assert_eq!(error.code(), Code::EINVAL, "{name}={text}");
        }
        let twice = given(&[("limit", "1"), ("limit", "2")]);
        assert!(Settings::check(&schema(), Scope::OPERATOR, &twice).is_err());
    }

    #[test]
    fn a_bad_secret_is_not_repeated() {
        let error = Settings::check(&schema(), Scope::OPERATOR, &given(&[("key", "hunter2")])).unwrap_err();
        assert!(!error.to_string().contains("hunter2"), "{error}");
    }
}
