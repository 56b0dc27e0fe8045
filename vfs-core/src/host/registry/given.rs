//! The settings that an instance starts with: the operator's, an alias's own over them, then the host's.

use crate::code::Code;
use crate::error::{Error, Result};
use crate::flags::Scope;
use crate::host::configuration::Written;
use crate::host::registry::{Registry, Target};
use crate::host::secret::{open_private, read_secret_file};
use crate::provider::Info;
use crate::settings::{Setting, Settings};
use std::collections::BTreeMap;
use std::path::Path;

/// A secret's file is a line, not a document.
const SECRET_MAX: usize = 64 * 1024;

impl Registry {
    /// What an instance gets.
    ///
    /// # Errors
    /// The first of [`checked_settings`](Registry::checked_settings)' problems.
    pub(super) fn settings(&self, target: &Target, info: &Info) -> Result<Settings> {
        let mut problems = Vec::new();
        let settings = self.checked_settings(target, info, &mut problems);
        problems.into_iter().next().map_or(Ok(settings), Err)
    }

    /// What an instance gets, and everything that is wrong with what was written.
    pub(super) fn checked_settings(
        &self,
        target: &Target,
        info: &Info,
        problems: &mut Vec<Error>,
    ) -> Settings {
        let given = self.given_settings(target, &info.settings, problems);
        let settings = Settings::collect(&info.settings, Scope::OPERATOR, &given, problems);
        for setting in info.settings.iter().filter(|setting| setting.private) {
            for path in settings.texts(&setting.name) {
                if let Err(error) = open_private(Path::new(path)) {
                    problems.push(error.context(format!("setting `{}`: {path}", setting.name)));
                }
            }
        }
        settings
    }

    /// Names and texts, secrets read from where they are kept.
    fn given_settings(
        &self,
        target: &Target,
        schema: &[Setting],
        problems: &mut Vec<Error>,
    ) -> Vec<(String, String)> {
        let mut written = BTreeMap::new();
        if let Some(section) = self.0.configuration.section(&target.provider) {
            written.extend(section.settings.clone());
        }
        written.extend(target.alias_settings.clone().unwrap_or_default());
        let mut given = Vec::new();
        for (key, value) in written {
            match texts(schema, &key, &value) {
                Ok((name, texts)) => given.extend(texts.into_iter().map(|text| (name.to_owned(), text))),
                Err(problem) => problems.push(problem),
            }
        }
        for (key, value) in self.0.configuration.defaults(&target.provider) {
            if !given.iter().any(|(known, _)| known == key) {
                given.extend(value.texts().into_iter().map(|text| (key.clone(), text)));
            }
        }
        given
    }
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
