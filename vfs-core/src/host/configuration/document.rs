//! The text of an operator's file, read value by value, so that each error names its line and says what to write there.

mod place;

use super::{Alias, ProviderSection, Written, invalid};
use crate::descriptor::is_scheme;
use crate::error::{Error, Result};
use crate::host::loader::Digest;
use crate::provider::is_provider_name;
use crate::suggest::nearest;
use place::Placing;
use std::collections::BTreeMap;
use std::fmt::Display;
use std::ops::Range;
use std::path::{Path, PathBuf};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// What a file says.
#[derive(Debug)]
pub(super) struct Document {
    pub(super) provider_path: Vec<PathBuf>,
    pub(super) providers: BTreeMap<String, ProviderSection>,
    pub(super) aliases: BTreeMap<String, Alias>,
}

/// Reads a text.
///
/// # Errors
/// EINVAL, with the line: malformed TOML, an unknown key, a value that cannot be. What was given as a setting is not repeated: a
/// secret may stand there by mistake.
pub(super) fn parse(text: &str) -> Result<Document> {
    let reader = Reader { text };
    let table = DeTable::parse(text).map_err(|error| {
        // Not its Display, which has several lines and repeats the operator's.
        reader.wrong(error.span().unwrap_or_default(), error.message().replace('\n', ", "))
    })?;
    reader.document(table.get_ref())
}

struct Reader<'t> {
    text: &'t str,
}

type Key<'a, 'i> = &'a Spanned<std::borrow::Cow<'i, str>>;
type Value<'a, 'i> = &'a Spanned<DeValue<'i>>;

impl Reader<'_> {
    fn wrong(&self, place: Range<usize>, text: impl Display) -> Error {
        let line = self.text.bytes().take(place.start).filter(|byte| *byte == b'\n').count() + 1;
        invalid(format!("line {line}: {text}"))
    }

    fn document(&self, table: &DeTable<'_>) -> Result<Document> {
        let mut document =
            Document { provider_path: Vec::new(), providers: BTreeMap::new(), aliases: BTreeMap::new() };
        for (key, value) in table {
            match key.get_ref().as_ref() {
                "provider-path" => document.provider_path = self.provider_path(value)?,
                "provider" => {
                    let what =
                        "`provider` is made of sections: write [provider.file], one for each that may load";
                    for (name, section) in self.table(value, what)? {
                        document.providers.insert(name.get_ref().to_string(), self.section(name, section)?);
                    }
                }
                "alias" => {
                    for (scheme, alias) in self
                        .table(value, "`alias` is a section: write [alias], and below it data = \"file\"")?
                    {
                        self.alias(scheme, alias, &mut document.aliases)?;
                    }
                }
                _ => return Err(self.unknown(key, "", &["provider-path", "provider", "alias"])),
            }
        }
        Ok(document)
    }

    fn provider_path(&self, value: Value<'_, '_>) -> Result<Vec<PathBuf>> {
        let what = "`provider-path` is a list of folders: write provider-path = [\"/usr/lib/zvfs\"]";
        let folders = self.paths("provider-path", value, what)?;
        if folders.is_empty() {
            let text = "`provider-path` is an empty list: write the providers' folders, or leave it out";
            return Err(self.wrong(value.span(), text));
        }
        Ok(folders)
    }

    /// A list of absolute paths.
    fn paths(&self, name: &str, value: Value<'_, '_>, what: &str) -> Result<Vec<PathBuf>> {
        let list = value.get_ref().as_array().ok_or_else(|| self.wrong(value.span(), what))?;
        let path = |path: Value<'_, '_>| {
            let text = path.get_ref().as_str().ok_or_else(|| self.wrong(path.span(), what))?;
            match Path::new(text).is_absolute() {
                true => Ok(PathBuf::from(text)),
                false => Err(self.wrong(path.span(), format!("{name} {text:?}: write an absolute path"))),
            }
        };
        list.iter().map(path).collect()
    }

    fn section(&self, name: Key<'_, '_>, section: Value<'_, '_>) -> Result<ProviderSection> {
        let written = name.get_ref();
        if !is_provider_name(written) {
            let text = format!(
                "[provider.{written}]: not a provider's name, which has 1 to 32 lower-case letters, digits, - and _"
            );
            return Err(self.wrong(name.span(), text));
        }
        let what = format!("`{written}` is a section: write [provider.{written}]");
        let mut read = ProviderSection::default();
        let mut placing = Placing::default();
        for (key, value) in self.table(section, &what)? {
            match key.get_ref().as_ref() {
                "sha256" => {
                    let what = || {
                        self.wrong(
                            value.span(),
                            "`sha256` is a SHA-256: write 64 hexadecimal digits in quotes",
                        )
                    };
                    let text = value.get_ref().as_str().ok_or_else(what)?;
                    read.sha256 = Some(
                        Digest::try_from(text.to_owned()).map_err(|text| self.wrong(value.span(), text))?,
                    );
                }
                "settings" => read.settings = self.settings(value)?,
                "place" => self.place(value, &mut placing)?,
                "may" => self.may(key, value, &mut placing)?,
                "may-lack" => self.may_lack(key, value, &mut placing)?,
                _ => {
                    return Err(self.unknown(
                        key,
                        &format!(" of [provider.{written}]"),
                        &["sha256", "settings", "place", "may", "may-lack"],
                    ));
                }
            }
        }
        read.walls = self.walls(placing)?;
        Ok(read)
    }

    fn alias(
        &self,
        key: Key<'_, '_>,
        value: Value<'_, '_>,
        aliases: &mut BTreeMap<String, Alias>,
    ) -> Result<()> {
        let scheme = key.get_ref();
        let wrong = |place: Range<usize>, text: &str| self.wrong(place, format!("alias `{scheme}`: {text}"));
        const SCHEME: &str = "a scheme has 2 to 32 letters, digits, +, -, ., a letter first";
        if !is_scheme(scheme) {
            return Err(wrong(key.span(), SCHEME));
        }
        let mut alias = Alias { provider: String::new(), scheme: None, settings: None };
        let mut provider = value;
        if let DeValue::Table(table) = value.get_ref() {
            for (key, part) in table {
                match key.get_ref().as_ref() {
                    "provider" => provider = part,
                    "scheme" => {
                        let text = part.get_ref().as_str().filter(|text| is_scheme(text));
                        let text = text.ok_or_else(|| wrong(part.span(), &format!("`scheme`: {SCHEME}")))?;
                        alias.scheme = Some(text.to_ascii_lowercase());
                    }
                    "settings" => alias.settings = Some(self.settings(part)?),
                    _ => {
                        return Err(self.unknown(
                            key,
                            &format!(" of alias `{scheme}`"),
                            &["provider", "scheme", "settings"],
                        ));
                    }
                }
            }
        }
        let what = "an alias is a provider's name or a table of `provider`, `scheme` and `settings`";
        let name = provider.get_ref().as_str().ok_or_else(|| wrong(provider.span(), what))?;
        if !is_provider_name(name) {
            return Err(wrong(
                provider.span(),
                &format!("`{}` is not a provider's name", name.escape_debug()),
            ));
        }
        alias.provider = name.to_owned();
        // Schemes are compared without case: which of two counted would be an accident.
        match aliases.insert(scheme.to_ascii_lowercase(), alias) {
            None => Ok(()),
            Some(_) => {
                Err(wrong(key.span(), "it exists already in another case: schemes are compared without case"))
            }
        }
    }

    fn settings(&self, value: Value<'_, '_>) -> Result<BTreeMap<String, Written>> {
        let mut settings = BTreeMap::new();
        for (key, value) in self.table(value, "`settings` is a table: write settings = { name = value }")? {
            settings.insert(key.get_ref().to_string(), self.written(key, value)?);
        }
        Ok(settings)
    }

    fn written(&self, key: Key<'_, '_>, value: Value<'_, '_>) -> Result<Written> {
        let name = key.get_ref().escape_debug();
        let what = || {
            let text = format!(
                "setting `{name}`: a setting is a text in quotes, an integer, true, false or a list of texts"
            );
            self.wrong(value.span(), text)
        };
        Ok(match value.get_ref() {
            DeValue::Boolean(value) => Written::Boolean(*value),
            DeValue::Integer(number) => {
                let parsed = i64::from_str_radix(number.as_str(), number.radix());
                let large = |_| {
                    self.wrong(value.span(), format!("setting `{name}`: the number does not fit in 64 bits"))
                };
                Written::Integer(parsed.map_err(large)?)
            }
            DeValue::String(text) => Written::Text(text.to_string()),
            DeValue::Array(list) => {
                let texts = list.iter().map(|text| text.get_ref().as_str().map(str::to_owned));
                Written::List(texts.collect::<Option<_>>().ok_or_else(what)?)
            }
            _ => return Err(what()),
        })
    }

    fn table<'a, 'i>(&self, value: Value<'a, 'i>, what: &str) -> Result<&'a DeTable<'i>> {
        value.get_ref().as_table().ok_or_else(|| self.wrong(value.span(), what))
    }

    fn unknown(&self, key: Key<'_, '_>, place: &str, known: &[&str]) -> Error {
        let written = key.get_ref();
        let text = match nearest(written, known.iter().copied()) {
            Some(meant) => format!("did you mean `{meant}`?"),
            None => format!("there are `{}`", known.join("`, `")),
        };
        self.wrong(key.span(), format!("unknown key `{}`{place}: {text}", written.escape_debug()))
    }
}
