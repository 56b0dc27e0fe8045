//! Further fields of a request, as an operator or an opener gives them.

use std::fs::File;
use std::io::Read;
use vfs_core::{Code, Error, Result, Settings};
use zvfs_net::hosts::Hosts;
use zvfs_net::origin::Origin;

/// More than any server takes.
const FILE_MAX: u64 = 64 << 10;

/// Fields that requests carry besides the provider's own.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Headers(Vec<(String, String)>);

/// What the provider itself must say, or the connection would not mean what we think.
const OURS: [&str; 18] = [
    "accept-encoding",
    "connection",
    "content-encoding",
    "content-length",
    "content-range",
    "expect",
    "host",
    "if-match",
    "if-modified-since",
    "if-none-match",
    "if-range",
    "if-unmodified-since",
    "keep-alive",
    "proxy-authorization",
    "range",
    "te",
    "transfer-encoding",
    "upgrade",
];

impl Headers {
    /// Adds fields written as `Name: value`, for those of the same name that an earlier source gave.
    ///
    /// # Errors
    /// EINVAL: not a field, or one that is the provider's own.
    pub fn add<'a>(&mut self, setting: &str, texts: impl Iterator<Item = &'a str>) -> Result<()> {
        let mut added = Vec::new();
        for text in texts {
            // The value may be a secret: it is not repeated.
            let refuse = |why: &str| Error::new(Code::EINVAL, format!("setting `{setting}`: {why}"));
            let (name, text) = text.split_once(':').ok_or_else(|| refuse("a field is `Name: value`"))?;
            if name.is_empty() || !name.bytes().all(is_token) {
                return Err(refuse(&format!("`{}` is not a field name", name.escape_debug())));
            }
            if OURS.iter().any(|ours| name.eq_ignore_ascii_case(ours)) {
                return Err(refuse(&format!("only the provider sets `{name}`")));
            }
            added.push((name.to_owned(), value(setting, text)?));
        }
        self.0.retain(|(known, _)| !added.iter().any(|(name, _)| name.eq_ignore_ascii_case(known)));
        self.0.extend(added);
        Ok(())
    }

    /// Each with its value.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// Whether there is one of this name.
    pub fn has(&self, name: &str) -> bool {
        self.0.iter().any(|(known, _)| known.eq_ignore_ascii_case(name))
    }
}

/// Fields whose values are secrets, and the hosts that they are for.
#[derive(Clone, Default)]
pub struct SecretHeaders {
    headers: Headers,
    hosts: Hosts,
}

impl SecretHeaders {
    /// Reads the operator's file, `Name: value` in each line.
    ///
    /// # Errors
    /// EINVAL: a line that is no such field, or no hosts are named. EFBIG: a file that is none of fields. ENOENT and the like:
    /// it cannot be read.
    pub fn new(settings: &Settings, allowed: &Hosts) -> Result<SecretHeaders> {
        let hosts = Hosts::parse("headers-for", settings.texts("headers-for"))?;
        let Some(path) = settings.path("headers-file") else { return Ok(SecretHeaders::default()) };
        let failed = |error: Error| error.context(format!("setting `headers-file`: {}", path.display()));
        let mut text = String::new();
        File::open(path)
            .and_then(|file| file.take(FILE_MAX + 1).read_to_string(&mut text))
            .map_err(|error| failed(Error::from(error)))?;
        if text.len() as u64 > FILE_MAX {
            return Err(failed(Error::new(Code::EFBIG, format!("larger than {} KiB", FILE_MAX >> 10))));
        }
        let missing = "setting `headers-file` needs `headers-for`: the hosts that may get its fields";
        let hosts = hosts.or(allowed, missing)?;
        let mut headers = Headers::default();
        headers.add("headers-file", text.lines().filter(|line| !line.trim().is_empty()))?;
        Ok(SecretHeaders { headers, hosts })
    }

    /// What an origin gets.
    pub fn of(&self, origin: &Origin) -> Option<&Headers> {
        Some(&self.headers).filter(|_| self.hosts.trusts(origin))
    }

    /// What any of them gets.
    pub fn any(&self) -> &Headers {
        &self.headers
    }
}

impl std::fmt::Debug for Headers {
    /// Names only: values may be secret.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.0.iter().map(|(name, _)| name)).finish()
    }
}

/// A field's value: without the spaces around it, and nothing that would end the line.
///
/// # Errors
/// EINVAL: a control character.
pub fn value(setting: &str, text: &str) -> Result<String> {
    let text = text.trim();
    if text.chars().any(char::is_control) {
        return Err(Error::new(Code::EINVAL, format!("setting `{setting}`: a control character in a value")));
    }
    Ok(text.to_owned())
}

/// RFC 9110's `tchar`.
fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn add(texts: &[&str]) -> Result<Headers> {
        let mut headers = Headers::default();
        headers.add("headers", texts.iter().copied())?;
        Ok(headers)
    }

    #[test]
    fn fields_are_name_and_value() {
        let headers = add(&["X-One: a: b ", "x-two:"]).unwrap();
        assert_eq!(headers.iter().collect::<Vec<_>>(), [("X-One", "a: b"), ("x-two", "")]);
        assert!(headers.has("X-TWO") && !headers.has("x"));
    }

    #[test]
    fn what_would_break_the_request_is_refused_and_no_value_repeated() {
        for text in
            ["none", ": v", "a b: v", "Host: evil", "range: bytes=0-", "X: a\r\nHost: evil", "X\r\n: secret"]
        {
            let error = add(&[text]).unwrap_err();
            assert_eq!(error.code(), Code::EINVAL, "{text}");
            assert!(!error.to_string().contains("evil") && !error.to_string().contains("secret"), "{error}");
        }
    }
}
