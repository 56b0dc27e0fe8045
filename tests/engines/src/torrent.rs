//! Torrents, and who seeds them: real clients, and a small seed of ours that lies, dies or stays silent when told to.
//!
//! | Module | What it is |
//! |---|---|
//! | `client` | transmission and aria2 |
//! | `seed` | ours |
//! | `tracker` | who names a seed |
//! | `bencode` | how a torrent is written |

mod bencode;
mod client;
mod seed;
mod tracker;

pub use client::Client;
pub use seed::{Conduct, Seed};
pub use tracker::Tracker;

use bencode::{integer, list, text};
use sha1::{Digest, Sha1};

/// A torrent with all that it has.
#[derive(Clone, Debug)]
pub struct Torrent {
    /// The `.torrent`.
    pub file: Vec<u8>,
    /// Its `info` dictionary.
    pub info: Vec<u8>,
    /// That dictionary's hash.
    pub hash: [u8; 20],
    /// Its name.
    pub name: String,
    /// Path and bytes of each file, in order. A path without a folder, alone, is a torrent of one file.
    pub files: Vec<(String, Vec<u8>)>,
    /// All bytes, one file behind the other.
    pub content: Vec<u8>,
    /// Bytes of a piece.
    pub piece: usize,
}

impl Torrent {
    /// A torrent of one file.
    pub fn of_file(name: &str, content: &[u8], piece: usize) -> Torrent {
        Torrent::new(name, vec![(name.to_owned(), content.to_vec())], piece, true)
    }

    /// A torrent of several files.
    pub fn of_files(name: &str, files: &[(&str, &[u8])], piece: usize) -> Torrent {
        let files = files.iter().map(|(path, content)| ((*path).to_owned(), content.to_vec()));
        Torrent::new(name, files.collect(), piece, false)
    }

    fn new(name: &str, files: Vec<(String, Vec<u8>)>, piece: usize, is_single: bool) -> Torrent {
        let content: Vec<u8> = files.iter().flat_map(|(_, content)| content.iter().copied()).collect();
        let hashes: Vec<u8> = content.chunks(piece).flat_map(Sha1::digest).collect();
        let described = match is_single {
            true => [text(b"length"), integer(content.len())].concat(),
            false => [text(b"files"), list(files.iter().map(|(path, content)| entry(path, content.len())))]
                .concat(),
        };
        let rest = [
            text(b"name"),
            text(name.as_bytes()),
            text(b"piece length"),
            integer(piece),
            text(b"pieces"),
            text(&hashes),
        ];
        let info = [b"d".as_slice(), &described, &rest.concat(), b"e"].concat();
        let file = [b"d4:info".as_slice(), &info, b"e"].concat();
        let hash = Torrent::hash_of(&info);
        Torrent { file, info, hash, name: name.to_owned(), files, content, piece }
    }

    /// The same with a tracker.
    #[must_use]
    pub fn announced_by(mut self, tracker: &Tracker) -> Torrent {
        let url = text(tracker.url().as_bytes());
        self.file = [b"d".as_slice(), &text(b"announce"), &url, b"4:info", &self.info, b"e"].concat();
        self
    }

    /// The hash of an `info` dictionary.
    pub fn hash_of(info: &[u8]) -> [u8; 20] {
        Sha1::digest(info).into()
    }

    /// The hash in hexadecimal digits.
    pub fn hex(&self) -> String {
        self.hash.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// The magnet link.
    pub fn magnet(&self) -> String {
        format!("magnet:?xt=urn:btih:{}", self.hex())
    }
}

fn entry(path: &str, size: usize) -> Vec<u8> {
    let names = list(path.split('/').map(|name| text(name.as_bytes())));
    [b"d".as_slice(), &text(b"length"), &integer(size), &text(b"path"), &names, b"e"].concat()
}
