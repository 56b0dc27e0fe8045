//! A torrent's metadata: what is checked of it before anything else sees it, and the names in it.
//!
//! It comes from strangers. librqbit divides by the length of a piece, adds up sizes, and counts pieces in 32 bits; what would
//! make it panic, or allocate without bound, is refused here.

use crate::caught::caught;
use crate::descriptor::TRACKERS_MAX;
use librqbit::dht::Id20;
use librqbit::{ByteBuf, TorrentMetaV1, TorrentMetaV1Info, torrent_from_bytes};
use std::collections::BTreeSet;
use std::fmt;
use std::net::SocketAddr;
use std::ops::Range;
use vfs_core::{Code, Printable};
use zvfs_net::failure::{Attempt, Failure};

/// The largest `.torrent`. Those of a hundred thousand files, or of terabytes, have a few MiB.
pub const SIZE_MAX: usize = 16 << 20;

/// The largest piece; common ones have up to 16 MiB. A piece is hashed as a whole, before a byte of it is given.
const PIECE_MAX: u32 = 256 << 20;

/// The largest torrent: 4 TiB. librqbit keeps a bit for each 16 KiB.
const TOTAL_MAX: u64 = 4 << 40;

/// Names that a message lists.
const NAMED_MAX: usize = 5;

/// What a message quotes of a file that is no torrent, in bytes.
const QUOTED_MAX: usize = 16;

/// The metadata of a torrent.
#[derive(Debug)]
pub struct Metainfo {
    /// Who it is.
    pub hash: Id20,
    /// The `info` dictionary: what the hash is of.
    pub info: Vec<u8>,
    /// URLs of trackers.
    pub trackers: Vec<String>,
    /// Peers that were met when it was asked for.
    pub seen: Vec<SocketAddr>,
    /// Bytes of a piece.
    pub piece: u64,
    /// Bytes of all files.
    pub total: u64,
    /// In the torrent's order, which numbers them.
    pub files: Vec<Entry>,
}

/// A file of a torrent.
#[derive(Debug)]
pub struct Entry {
    /// Names with `/` between them; `None`: one that only fills a piece, or a link.
    pub path: Option<String>,
    /// Its bytes, in all of the torrent's.
    pub range: Range<u64>,
}

/// What a path names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    /// The file of this number.
    File(usize),
    /// A folder.
    Folder,
}

impl Metainfo {
    /// Reads a `.torrent`.
    ///
    /// # Errors
    /// EBADMSG: it is none, or not one of version 1. EFBIG: it is larger than any should be.
    pub fn parse(bytes: &[u8]) -> Attempt<Metainfo> {
        check_beginning(bytes)?;
        check_numbers(bytes)?;
        let parsed = caught(|| torrent_from_bytes(bytes)).ok_or_else(unreadable)?;
        let parsed = parsed.map_err(|error| match is_version_2(bytes) {
            true => broken(format_args!("one of version 2 alone, without the pieces of version 1")),
            false => broken(format_args!("{error}")),
        })?;
        let total = check_sizes(&parsed.info.data)?;
        let piece = u64::from(parsed.info.data.piece_length);
        let trackers = trackers(&parsed);
        let info = parsed.info.data.validate().map_err(|error| broken(format_args!("{error}")))?;
        let mut files = Vec::new();
        for file in info.iter_file_details_ext() {
            let attributes = file.details.attrs();
            let names = file.details.filename.to_vec();
            let path = match attributes.padding || attributes.symlink {
                true => None,
                false => Some(check_path(&names)?),
            };
            files.push(Entry { path, range: file.offset..file.offset + file.details.len });
        }
        check_folders(&files)?;
        let info = parsed.info.raw_bytes.as_ref().to_owned();
        Ok(Metainfo { hash: parsed.info_hash, info, trackers, seen: Vec::new(), piece, total, files })
    }

    /// The `.torrent` again: the `info` dictionary alone.
    pub fn to_torrent(&self) -> Vec<u8> {
        [b"d4:info".as_slice(), &self.info, b"e"].concat()
    }

    /// Bytes of a file.
    pub fn size(&self, file: usize) -> u64 {
        let range = &self.files[file].range;
        range.end - range.start
    }

    /// Bytes of the pieces that have some of a file: what it takes to keep it.
    pub fn footprint(&self, file: usize) -> u64 {
        let Range { start, end } = self.files[file].range;
        (end.div_ceil(self.piece) - start / self.piece) * self.piece
    }

    /// What a path names; without one, a torrent of one file is that file.
    ///
    /// # Errors
    /// ENOENT: nothing.
    pub fn find(&self, path: Option<&str>) -> Attempt<Found> {
        let Some(path) = path else {
            let mut named = self.named();
            return Ok(match (named.next(), named.next()) {
                (Some((only, _)), None) => Found::File(only),
                _ => Found::Folder,
            });
        };
        let path = path.trim_matches('/');
        if let Some((file, _)) = self.named().find(|(_, name)| *name == path) {
            return Ok(Found::File(file));
        }
        if path.is_empty() || self.named().any(|(_, name)| below(name, path).is_some()) {
            return Ok(Found::Folder);
        }
        let text = format!("no `{}` in the torrent, which has {}", Printable(path), self.summary());
        Err(Failure::new(Code::ENOENT, text))
    }

    /// The names in a folder: of files with their numbers, and of folders.
    pub fn list(&self, folder: &str) -> impl Iterator<Item = (&str, Option<usize>)> {
        let folder = folder.trim_matches('/').to_owned();
        let mut seen = BTreeSet::new();
        self.named().filter_map(move |(file, path)| {
            let rest = if folder.is_empty() { path } else { below(path, &folder)? };
            let (name, file) = match rest.split_once('/') {
                Some((name, _)) => (name, None),
                None => (rest, Some(file)),
            };
            seen.insert(name).then_some((name, file))
        })
    }

    /// The first names, for a message.
    pub fn summary(&self) -> String {
        let names: Vec<String> = self.named().map(|(_, path)| format!("`{}`", Printable(path))).collect();
        match names.len().checked_sub(NAMED_MAX) {
            Some(more @ 1..) => format!("{} and {more} more", names[..NAMED_MAX].join(", ")),
            _ => names.join(", "),
        }
    }

    fn named(&self) -> impl Iterator<Item = (usize, &str)> {
        let numbered = self.files.iter().enumerate();
        numbered.filter_map(|(number, file)| Some((number, file.path.as_deref()?)))
    }
}

/// What is left of a path below a folder.
fn below<'a>(path: &'a str, folder: &str) -> Option<&'a str> {
    path.strip_prefix(folder)?.strip_prefix('/')
}

/// A web page, say, is told by its first letters: the parser would say what a byte string is no part of.
fn check_beginning(bytes: &[u8]) -> Attempt<()> {
    let first = String::from_utf8_lossy(&bytes[..bytes.len().min(QUOTED_MAX)]);
    match first.chars().next() {
        Some('d') => Ok(()),
        Some(_) => {
            Err(broken(format_args!("a .torrent begins with `d`, and this file with `{}`", first.trim_end())))
        }
        None => Err(broken(format_args!("the file is empty"))),
    }
}

/// Checks that each number is what librqbit would take it for: without checks for overflow it wraps them, and panics with them.
///
/// Goes from one token of the bencode to the next; what is none ends it, and is left to the parser.
fn check_numbers(bytes: &[u8]) -> Attempt<()> {
    let (mut rest, mut key) = (bytes, b"".as_slice());
    while let [first, after @ ..] = rest {
        rest = match first {
            b'd' | b'l' | b'e' => after,
            b'i' => {
                let Some((digits, after)) = split_at_byte(after, b'e') else { break };
                let number = str::from_utf8(digits).ok().and_then(|digits| digits.parse::<i64>().ok());
                let max = if key == b"piece length" { i64::from(PIECE_MAX) } else { i64::MAX };
                if number.is_none_or(|number| number > max) {
                    let (key, digits) = (String::from_utf8_lossy(key), String::from_utf8_lossy(digits));
                    return Err(broken(format_args!("its `{key}` is `{digits:.40}`")));
                }
                after
            }
            _ => {
                let Some((length, after)) = split_at_byte(rest, b':') else { break };
                let length = str::from_utf8(length).ok().and_then(|length| length.parse().ok());
                let Some((text, after)) = length.and_then(|length| after.split_at_checked(length)) else {
                    break;
                };
                key = text;
                after
            }
        };
    }
    Ok(())
}

fn split_at_byte(bytes: &[u8], byte: u8) -> Option<(&[u8], &[u8])> {
    let at = bytes.iter().position(|each| *each == byte)?;
    Some((&bytes[..at], &bytes[at + 1..]))
}

fn is_version_2(bytes: &[u8]) -> bool {
    const MARK: &[u8] = b"12:meta versioni2e";
    bytes.windows(MARK.len()).any(|window| window == MARK)
}

/// Checks that no name is a file's and a folder's.
fn check_folders(files: &[Entry]) -> Attempt<()> {
    let paths: BTreeSet<&str> = files.iter().filter_map(|file| file.path.as_deref()).collect();
    let folders = paths.iter().flat_map(|path| path.match_indices('/').map(|(end, _)| &path[..end]));
    match folders.into_iter().find(|folder| paths.contains(folder)) {
        Some(path) => Err(broken(format_args!("`{}` is a file and a folder in it", Printable(path)))),
        None => Ok(()),
    }
}

/// Checks all sizes; returns the bytes of all files.
fn check_sizes(info: &TorrentMetaV1Info<ByteBuf<'_>>) -> Attempt<u64> {
    let piece = info.piece_length;
    if piece == 0 || piece > PIECE_MAX {
        return Err(broken(format_args!("pieces of {piece} bytes, not 1 to {PIECE_MAX}")));
    }
    let single = info.length.into_iter();
    let several = info.files.iter().flatten().map(|file| file.length);
    let total = single.chain(several).try_fold(0_u64, u64::checked_add).filter(|total| *total <= TOTAL_MAX);
    let Some(total) = total else {
        return Err(Failure::new(Code::EFBIG, format!("the torrent has more than {TOTAL_MAX} bytes")));
    };
    let (pieces, hashes) = (total.div_ceil(u64::from(piece)), info.pieces.as_ref().len() as u64);
    if hashes != pieces * 20 {
        return Err(broken(format_args!("{hashes} bytes of hashes for {pieces} pieces")));
    }
    Ok(total)
}

/// Checks a path, name by name. (Nothing is ever made under it: this is for whoever copies a torrent by its names.)
fn check_path(names: &[String]) -> Attempt<String> {
    let is_name = |name: &String| !matches!(name.as_str(), "" | "." | "..") && !name.contains(['/', '\0']);
    let path = names.join("/");
    match names.iter().all(is_name) {
        true => Ok(path),
        false => Err(broken(format_args!("the path `{}`", Printable(&path)))),
    }
}

fn trackers(parsed: &TorrentMetaV1<ByteBuf<'_>>) -> Vec<String> {
    let texts = parsed.iter_announce().filter_map(|url| str::from_utf8(url.as_ref()).ok());
    texts.take(TRACKERS_MAX).map(str::to_owned).collect()
}

/// What librqbit panics at.
pub fn unreadable() -> Failure {
    broken(format_args!("its metadata is not what librqbit can read"))
}

/// What a torrent may not be.
pub fn broken(what: fmt::Arguments<'_>) -> Failure {
    Failure::new(Code::EBADMSG, format!("no usable torrent: {}", Printable(&what.to_string())))
}

#[cfg(test)]
mod tests;
