//! Typed settings: a provider declares a schema, the host parses and checks what the operator wrote against it.

mod schema;
mod units;

use crate::code::Code;
use crate::error::{Error, Result};
use crate::flags::Scope;
use crate::suggest::nearest;
use std::fmt;
use std::path::Path;
use std::time::Duration;

pub use schema::{Setting, SettingKind};
#[cfg(feature = "host")]
pub(crate) use units::written_size;
pub use units::{parse_duration, parse_size, written_duration};

/// One value, parsed.
#[derive(Clone, PartialEq, Eq)]
#[cfg_attr(feature = "host", derive(serde::Serialize, serde::Deserialize))]
pub struct Value {
    pub(crate) text: String,
    /// Boolean: 0 or 1; integer; size: bytes; duration: nanoseconds; else 0.
    pub(crate) number: i64,
}

/// The values that a provider gets: of names it declared only, each valid, in the operator's order.
#[derive(Clone, Default, PartialEq, Eq)]
#[cfg_attr(feature = "host", derive(serde::Serialize, serde::Deserialize))]
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
    /// `written` is name and text, in order; `scope` is who gives them. Defaults come with `OPERATOR` for all of
    /// that scope, and with `OPEN` for those that only an open may give.
    ///
    /// # Errors
    /// EINVAL, with the known names or the wanted values: unknown name, wrong scope, bad value, given twice and no list.
    pub fn check(schema: &[Setting], scope: Scope, written: &[(String, String)]) -> Result<Settings> {
        let mut problems = Vec::new();
        let settings = Settings::collect(schema, scope, written, &mut problems);
        problems.into_iter().next().map_or(Ok(settings), Err)
    }

    /// As [`check`](Settings::check), for whoever wants to hear of all problems: what is wrong is told and left out.
    pub(crate) fn collect(
        schema: &[Setting],
        scope: Scope,
        written: &[(String, String)],
        problems: &mut Vec<Error>,
    ) -> Settings {
        let mut values: Vec<(String, SettingKind, Value)> = Vec::new();
        for (name, text) in written {
            match one(schema, scope, name, text) {
                Ok((setting, _)) if !setting.list && values.iter().any(|(known, ..)| known == name) => {
                    problems.push(Error::new(Code::EINVAL, format!("setting `{name}` is given twice")));
                }
                Ok((setting, value)) => values.push((name.clone(), setting.kind, value)),
                Err(problem) => problems.push(problem),
            }
        }
        let has_default = |setting: &Setting| match scope {
            Scope::OPEN => setting.scope == Scope::OPEN,
            _ => setting.scope.contains(scope),
        };
        for setting in schema {
            if let Some(default) = &setting.default
                && has_default(setting)
                && !written.iter().any(|(known, _)| *known == setting.name)
            {
                match setting.parse(default) {
                    Ok(value) => values.push((setting.name.clone(), setting.kind, value)),
                    Err(problem) => problems.push(problem),
                }
            }
        }
        Settings { values }
    }

    pub(crate) fn push(&mut self, name: String, kind: SettingKind, value: Value) {
        self.values.push((name, kind, value));
    }

    #[cfg(feature = "host")]
    pub(crate) fn iter(&self) -> impl ExactSizeIterator<Item = &(String, SettingKind, Value)> {
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

/// One value, with the setting that it is of.
fn one<'a>(schema: &'a [Setting], scope: Scope, name: &str, text: &str) -> Result<(&'a Setting, Value)> {
    let Some(setting) = schema.iter().find(|setting| setting.name == name) else {
        return Err(unknown(schema, scope, name));
    };
    if !setting.scope.contains(scope) {
        let who = if scope == Scope::OPEN { "the operator's configuration" } else { "each open" };
        return Err(Error::new(Code::EINVAL, format!("setting `{name}` can be set only by {who}")));
    }
    Ok((setting, setting.parse(text)?))
}

fn unknown(schema: &[Setting], scope: Scope, name: &str) -> Error {
    // A secret's own name stands in no file.
    let written = |setting: &Setting| match setting.secret {
        true => ["-file", "-env"].map(|from| format!("{}{from}", setting.name)).to_vec(),
        false => vec![setting.name.clone()],
    };
    let known: Vec<String> =
        schema.iter().filter(|setting| setting.scope.contains(scope)).flat_map(written).collect();
    let shown = name.escape_debug();
    let text = match nearest(name, known.iter().map(String::as_str)) {
        Some(meant) => format!("unknown setting `{shown}`: did you mean `{meant}`?"),
        None if known.is_empty() => format!("unknown setting `{shown}` (there are none)"),
        None => format!("unknown setting `{shown}` (known: {})", known.join(", ")),
    };
    Error::new(Code::EINVAL, text)
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
