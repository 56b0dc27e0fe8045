//! What a descriptor names: a kind of store, a bucket, a key.

use object_store::path::Path;
use percent_encoding::percent_decode_str;
use vfs_core::{Code, Error, Request, Result};

/// A kind of store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Amazon S3, and what speaks its protocol.
    S3,
    /// Google Cloud Storage.
    Google,
    /// Azure Blob Storage: its containers are the buckets.
    Azure,
}

impl Kind {
    /// The words of the setting `store`, which are schemes too.
    pub const NAMES: [&str; 3] = ["s3", "gs", "az"];

    /// What such a word means; `None`: it is none.
    pub fn of_name(name: &str) -> Option<Kind> {
        let at = Kind::NAMES.iter().position(|known| *known == name)?;
        Some([Kind::S3, Kind::Google, Kind::Azure][at])
    }
}

/// What a request goes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// Where the bucket is.
    pub kind: Kind,
    /// The bucket, or the container.
    pub bucket: String,
    /// The key, without a slash at its end; empty: the bucket itself.
    pub key: Path,
    /// Written as a folder: the bucket, or a key that ends in a slash.
    pub is_folder: bool,
}

impl Target {
    /// The target of a request. The scheme `object` is the kind `usual`.
    ///
    /// # Errors
    /// EINVAL: no bucket, or a key that cannot be.
    pub fn of(request: &Request<'_>, usual: Kind) -> Result<Target> {
        let kind = Kind::of_name(request.scheme()).unwrap_or(usual);
        // The name of an object may be the text around a password: it is not shown.
        Target::parse(kind, request.rest()).map_err(|why| Error::new(Code::EINVAL, why))
    }

    fn parse(kind: Kind, rest: &str) -> Result<Target, &'static str> {
        let rest = rest.strip_prefix("//").ok_or("write s3://bucket/key")?;
        if rest.contains(['?', '#']) {
            return Err("a key has no query or fragment: write ? as %3F and # as %23");
        }
        let (bucket, key) = rest.split_once('/').unwrap_or((rest, ""));
        if !is_bucket(bucket) {
            return Err("a bucket has 1 to 255 letters, digits, `-`, `_` and `.`: write s3://bucket/key");
        }
        let key = percent_decode_str(key).decode_utf8().map_err(|_| "a key is UTF-8")?;
        let name = key.strip_suffix('/').unwrap_or(&key);
        let odd = "a part of a key is not empty, `.` or `..`, and has no control characters";
        // The library's parser would forgive these.
        if name.starts_with('/') || name.ends_with('/') {
            return Err(odd);
        }
        let is_folder = name.len() < key.len() || name.is_empty();
        let path = Path::parse(name).map_err(|_| odd)?;
        Ok(Target { kind, bucket: bucket.to_owned(), key: path, is_folder })
    }

    /// What the keys below it begin with.
    pub fn prefix(&self) -> String {
        match self.key.as_ref() {
            "" => String::new(),
            key => format!("{key}/"),
        }
    }
}

/// Whether a text may be a bucket: it becomes part of a host or of a path, so nothing in it may end either. Which of these a store
/// allows is the store's word.
fn is_bucket(text: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    // Azure has $root, $web and $logs.
    let rest = text.strip_prefix('$').unwrap_or(text);
    (1..=255).contains(&rest.len()) && rest.bytes().all(fits) && rest.bytes().any(|byte| byte != b'.')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(rest: &str) -> Result<Target, &'static str> {
        Target::parse(Kind::S3, rest)
    }

    #[test]
    fn bucket_and_key_are_told_apart_and_decoded() {
        for (rest, bucket, key, is_folder) in [
            ("//b/k", "b", "k", false),
            ("//b/a/b%20c/%C3%BC", "b", "a/b c/\u{fc}", false),
            ("//b/100%", "b", "100%", false),
            ("//b/a%2Fb", "b", "a/b", false),
            ("//b/%3Fx%23y", "b", "?x#y", false),
            ("//b/a/", "b", "a", true),
            ("//b/", "b", "", true),
            ("//my.bucket_1-x", "my.bucket_1-x", "", true),
            ("//$root/k", "$root", "k", false),
        ] {
            let target = parse(rest).unwrap();
            let found = (target.bucket.as_str(), target.key.as_ref(), target.is_folder);
            assert_eq!(found, (bucket, key, is_folder), "{rest}");
        }
        assert_eq!(parse("//b/a/").unwrap().prefix(), "a/");
        assert_eq!(parse("//b").unwrap().prefix(), "");
    }

    #[test]
    fn what_names_no_object_is_refused() {
        for rest in [
            "b/k",
            "/b/k",
            "///k",
            "//",
            "//user:pw@b/k",
            "//b:80/k",
            "//b\\c/k",
            "//../k",
            "//b/k?versionId=1",
            "//b/k#x",
            "//b//k",
            "//b/a//k",
            "//b/a//",
            "//b/./k",
            "//b/a/..",
            "//b/a%2F..%2Fk",
            "//b/%00",
            "//b/%FF",
        ] {
            assert!(parse(rest).is_err(), "{rest}");
        }
    }
}
