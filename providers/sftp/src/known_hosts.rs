//! Which host keys are known: files as OpenSSH writes them (sshd(8), "SSH_KNOWN_HOSTS FILE FORMAT").

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use ring::hmac;
use russh::keys::{Algorithm, HashAlg, PublicKey, parse_public_key_base64};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use vfs_core::Code;
use zvfs_net::failure::{Attempt, Failure};
use zvfs_net::origin::Origin;

/// The port that names in these files go without.
const PORT: u16 = 22;

/// The known keys, from all files of an operator.
#[derive(Clone, Debug, Default)]
pub struct KnownHosts(Vec<Line>);

#[derive(Clone, Debug)]
struct Line {
    /// The file and the number, for messages.
    place: String,
    revoked: bool,
    hosts: String,
    key: PublicKey,
}

impl KnownHosts {
    /// Reads the files. One that is not there knows nobody.
    ///
    /// # Errors
    /// EACCES, EIO, ...: one cannot be read.
    pub fn read(files: &[PathBuf]) -> Attempt<KnownHosts> {
        let mut lines = Vec::new();
        for file in files {
            match std::fs::read(file) {
                Ok(bytes) => lines.extend(parse(file, &String::from_utf8_lossy(&bytes))),
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                Err(error) => return Err(unreadable(file, error)),
            }
        }
        Ok(KnownHosts(lines))
    }

    /// The kinds of keys that are known of a server, so that it can be asked for one of those.
    pub fn algorithms(&self, origin: &Origin) -> Vec<Algorithm> {
        let name = name(origin);
        self.of(&name).filter(|line| !line.revoked).map(|line| line.key.algorithm()).collect()
    }

    /// Whether this is the server's key. `Ok(false)`: none of that server is known.
    ///
    /// # Errors
    /// EACCES: another one is known, or this one is revoked.
    pub fn check(&self, origin: &Origin, key: &PublicKey) -> Attempt<bool> {
        let name = name(origin);
        let shown = fingerprint(key);
        let same = |line: &&Line| line.key.key_data() == key.key_data();
        if let Some(line) = self.of(&name).filter(|line| line.revoked).find(same) {
            let text = format!("the host key of {name}, {shown}, is revoked by {}", line.place);
            return Err(Failure::new(Code::EACCES, text));
        }
        let mut known = self.of(&name).filter(|line| !line.revoked).peekable();
        let Some(first) = known.peek().map(|line| line.place.clone()) else { return Ok(false) };
        if known.any(|line| same(&line)) {
            return Ok(true);
        }
        let text = format!(
            "the host key of {name} has changed: it shows {shown}, and {first} has another. Somebody may be in between; if not, \
             replace that line by `{}`",
            written(&name, key)
        );
        Err(Failure::new(Code::EACCES, text))
    }

    fn of<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Line> {
        self.0.iter().filter(move |line| names(&line.hosts, name))
    }
}

/// Why a server of which no key is known is not trusted, and what would make it so.
pub fn unknown(files: &[PathBuf], origin: &Origin, key: &PublicKey) -> Failure {
    let name = name(origin);
    let shown = fingerprint(key);
    let file = files
        .first()
        .map_or_else(|| "a file of the setting `known-hosts`".to_owned(), |file| file.display().to_string());
    let text = format!(
        "the host key of {name} is not known: it shows {shown}. If that is right, add this line to {file}: `{}`",
        written(&name, key)
    );
    Failure::new(Code::EACCES, text)
}

/// As `ssh-keygen -l` shows a key.
fn fingerprint(key: &PublicKey) -> String {
    format!("{} ({})", key.fingerprint(HashAlg::Sha256), key.algorithm())
}

/// A line that makes a key known.
fn written(name: &str, key: &PublicKey) -> String {
    let mut key = key.clone();
    key.set_comment("");
    format!("{name} {}", key.to_openssh().unwrap_or_default().trim_end())
}

/// A server as these files have it.
fn name(origin: &Origin) -> String {
    match origin.port {
        PORT => origin.host.clone(),
        port => format!("[{}]:{port}", origin.host),
    }
}

/// The lines that hold a key. Others are passed over, as OpenSSH does: comments, kinds of keys that are unknown here, and
/// authorities, whose certificates are not asked for.
fn parse<'a>(file: &'a Path, text: &'a str) -> impl Iterator<Item = Line> + 'a {
    text.lines().enumerate().filter_map(|(number, line)| {
        let mut words = line.split_ascii_whitespace().peekable();
        let revoked = match *words.peek()? {
            "@revoked" => words.next().is_some(),
            word if word.starts_with(['#', '@']) => return None,
            _ => false,
        };
        let hosts = words.next()?.to_owned();
        let key = parse_public_key_base64(words.nth(1)?).ok()?;
        Some(Line { place: format!("line {} of {}", number + 1, file.display()), revoked, hosts, key })
    })
}

/// Whether a line's list of patterns has a name.
fn names(patterns: &str, name: &str) -> bool {
    let mut found = false;
    for pattern in patterns.split(',') {
        match pattern.strip_prefix('!') {
            Some(pattern) if matches(pattern, name) => return false,
            Some(_) => {}
            None => found |= matches(pattern, name),
        }
    }
    found
}

fn matches(pattern: &str, name: &str) -> bool {
    match pattern.strip_prefix("|1|") {
        Some(hashed) => is_hash(hashed, name).unwrap_or(false),
        None => is_like(pattern.to_ascii_lowercase().as_bytes(), name.as_bytes()),
    }
}

/// `salt|hash`: HMAC-SHA1 of the name, which hides which hosts a file knows.
fn is_hash(hashed: &str, name: &str) -> Option<bool> {
    let (salt, hash) = hashed.split_once('|')?;
    let decode = |text: &str| STANDARD.decode(text).or_else(|_| STANDARD_NO_PAD.decode(text)).ok();
    let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, &decode(salt)?);
    Some(hmac::verify(&key, name.as_bytes(), &decode(hash)?).is_ok())
}

/// `*` is any number of characters, `?` is one. Goes back to the last `*` only, so that no pattern takes long.
fn is_like(pattern: &[u8], name: &[u8]) -> bool {
    let (mut at, mut place, mut star) = (0, 0, None);
    while place < name.len() {
        match pattern.get(at) {
            Some(b'*') => {
                star = Some((at, place));
                at += 1;
            }
            Some(byte) if *byte == b'?' || *byte == name[place] => {
                at += 1;
                place += 1;
            }
            _ => {
                let Some((before, from)) = star else { return false };
                star = Some((before, from + 1));
                at = before + 1;
                place = from + 1;
            }
        }
    }
    pattern[at..].iter().all(|byte| *byte == b'*')
}

fn unreadable(file: &Path, error: io::Error) -> Failure {
    let error = vfs_core::Error::from(error);
    Failure::new(error.code(), format!("read the known hosts {}: {error}", file.display()))
}

#[cfg(test)]
mod tests;
