//! Which settings hold: for an instance the operator's, an alias's own over them, then the host's; for an open its own, then
//! the host's offers.

use crate::code::Code;
use crate::error::{Error, Result};
use crate::flags::Scope;
use crate::host::configuration::{Alias, Configuration, Written};
use crate::host::secret::{open_private, read_secret_file};
use crate::settings::{Setting, Settings};
use std::collections::BTreeMap;
use std::path::Path;

/// A secret's file is a line, not a document.
const SECRET_MAX: usize = 64 * 1024;

impl Configuration {
    /// What an instance of a provider starts with, and everything that is wrong with what was written.
    pub(crate) fn instance_settings(
        &self,
        provider: &str,
        alias: Option<&Alias>,
        schema: &[Setting],
    ) -> (Settings, Vec<Error>) {
        let mut problems = Vec::new();
        let merged = self.merged(provider, alias, schema, &mut problems);
        let settings = Settings::collect(schema, Scope::OPERATOR, &merged, &mut problems);
        for setting in schema.iter().filter(|setting| setting.private) {
            for path in settings.texts(&setting.name) {
                if let Err(error) = open_private(Path::new(path)) {
                    problems.push(error.context(format!("setting `{}`: {path}", setting.name)));
                }
            }
        }
        (settings, problems)
    }

    /// Names and texts, secrets read from where they are kept.
    fn merged(
        &self,
        provider: &str,
        alias: Option<&Alias>,
        schema: &[Setting],
        problems: &mut Vec<Error>,
    ) -> Vec<(String, String)> {
        let section = self.section(provider).map(|section| &section.settings);
        let own = alias.and_then(|alias| alias.settings.as_ref());
        let written: BTreeMap<&String, &Written> = section.into_iter().chain(own).flatten().collect();
        let mut merged = Vec::new();
        for (key, value) in written {
            match texts(schema, key, value) {
                Ok((name, texts)) => merged.extend(texts.into_iter().map(|text| (name.to_owned(), text))),
                Err(problem) => problems.push(problem),
            }
        }
        for (key, value) in self.defaults.get(provider).into_iter().flatten() {
            if !merged.iter().any(|(known, _)| known == key) {
                merged.extend(value.texts().into_iter().map(|text| (key.clone(), text)));
            }
        }
        merged
    }
}

/// The setting that an operator's `key` is about, and its text: that of a secret is read from where `value` says.
///
/// # Errors
/// EINVAL: a secret that stands there itself. ENOENT, EACCES and the like: its file's.
pub fn operator_setting(schema: &[Setting], key: &str, value: &str) -> Result<(String, String)> {
    let (name, texts) = texts(schema, key, &Written::Text(value.to_owned()))?;
    Ok((name.to_owned(), texts.concat()))
}

/// The settings of one open: what the opener says, and of what the host offers only what the provider declares.
///
/// # Errors
/// EINVAL: one that the provider does not take for an open, or not with this value.
pub(crate) fn open_settings(
    schema: &[Setting],
    said: &[(String, String)],
    offered: &[(&'static str, String)],
) -> Result<Settings> {
    let mut merged = said.to_vec();
    for (name, text) in offered {
        let declared =
            schema.iter().any(|setting| setting.name == *name && setting.scope.contains(Scope::OPEN));
        if declared && !merged.iter().any(|(known, _)| known == name) {
            merged.push(((*name).to_owned(), text.clone()));
        }
    }
    Settings::check(schema, Scope::OPEN, &merged)
}

/// The setting that a key of the operator's file is about, and its texts.
fn texts<'a>(schema: &'a [Setting], key: &'a str, value: &Written) -> Result<(&'a str, Vec<String>)> {
    if matches!(value, Written::List(values) if values.is_empty()) {
        // Nothing could be told from everything by whoever is handed the values of a list one by one.
        let text = format!("setting `{key}` is an empty list: write its values, or leave the setting out");
        return Err(Error::new(Code::EINVAL, text));
    }
    Ok(match secret_of(schema, key) {
        None => (key, value.texts()),
        Some((setting, From::File)) => (&setting.name, vec![read_secret(key, value)?]),
        Some((setting, From::Environment)) => (&setting.name, vec![environment_secret(key, value)?]),
        Some((Setting { name, .. }, From::Here)) => {
            let text = format!("setting `{name}` is a secret: write `{name}-file` or `{name}-env` instead");
            return Err(Error::new(Code::EINVAL, text));
        }
    })
}

/// Where a secret's text is kept.
enum From {
    File,
    Environment,
    Here,
}

fn secret_of<'a>(schema: &'a [Setting], key: &str) -> Option<(&'a Setting, From)> {
    schema.iter().filter(|setting| setting.secret).find_map(|setting| {
        let from = match key.strip_prefix(setting.name.as_str())? {
            "" => From::Here,
            "-file" => From::File,
            "-env" => From::Environment,
            _ => return None,
        };
        Some((setting, from))
    })
}

fn read_secret(key: &str, value: &Written) -> Result<String> {
    let path = one_text(key, value)?;
    let failed = |error: Error| error.context(format!("setting `{key}`: {path}"));
    if !path.starts_with('/') {
        return Err(failed(Error::new(Code::EINVAL, "write an absolute path")));
    }
    let bytes = read_secret_file(Path::new(&path), SECRET_MAX).map_err(failed)?;
    let text = String::from_utf8(bytes)
        .map_err(|_| failed(Error::new(Code::EINVAL, "not UTF-8 text".to_owned())))?;
    Ok(text.strip_suffix('\n').unwrap_or(&text).to_owned())
}

fn environment_secret(key: &str, value: &Written) -> Result<String> {
    let name = one_text(key, value)?;
    std::env::var(&name).map_err(|_| {
        Error::new(
            Code::EINVAL,
            format!("setting `{key}`: the environment has no variable `{name}`, or it is not UTF-8"),
        )
    })
}

fn one_text(key: &str, value: &Written) -> Result<String> {
    match value {
        Written::Text(text) => Ok(text.clone()),
        _ => Err(Error::new(Code::EINVAL, format!("setting `{key}` is a text"))),
    }
}
