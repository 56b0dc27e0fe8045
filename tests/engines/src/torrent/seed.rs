//! A seed of ours, for what a real one won't do. It speaks as much of the protocol as a reader needs: BEP 3, and BEP 9 for
//! magnet links.

use super::Torrent;
use super::bencode::{integer, text};
use std::collections::{BTreeSet, HashMap};
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

/// A request for more than this is none.
const BLOCK_MAX: usize = 128 << 10;
/// A message of a peer's: its bitfield is the largest.
const MESSAGE_MAX: usize = 1 << 20;
/// One part of the metadata.
const PART: usize = 16 << 10;
/// What we call the messages of BEP 9, and BEP 10's number for all that extend.
const METADATA: u8 = 3;
const EXTENDED: u8 = 20;

/// How a seed behaves.
#[derive(Clone, Debug, Default)]
pub struct Conduct {
    /// Pieces of which it gives wrong bytes.
    pub corrupt: BTreeSet<usize>,
    /// After so many bytes it is gone, with all its connections.
    pub dies_after: Option<u64>,
    /// It accepts, shakes hands, and never gives anything.
    pub is_silent: bool,
    /// What it says that the metadata's size is, if not the truth.
    pub metadata_size: Option<usize>,
}

/// A seed, on loopback. Ends when dropped.
#[derive(Debug)]
pub struct Seed {
    address: SocketAddr,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    conduct: Conduct,
    torrents: Mutex<Vec<Arc<Torrent>>>,
    connections: Mutex<HashMap<u64, TcpStream>>,
    accepted: AtomicU64,
    given: AtomicU64,
    has_ended: AtomicBool,
}

impl Seed {
    /// A seed without torrents.
    pub fn start(conduct: Conduct) -> Seed {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            conduct,
            torrents: Mutex::default(),
            connections: Mutex::default(),
            accepted: AtomicU64::new(0),
            given: AtomicU64::new(0),
            has_ended: AtomicBool::new(false),
        });
        let accepting = shared.clone();
        thread::spawn(move || accepting.accept(&listener));
        Seed { address, shared }
    }

    /// A seed of one torrent that does as it should.
    pub fn of(torrent: &Torrent) -> Seed {
        Seed::with(torrent, Conduct::default())
    }

    /// A seed of one torrent.
    pub fn with(torrent: &Torrent, conduct: Conduct) -> Seed {
        let seed = Seed::start(conduct);
        seed.add(torrent.clone());
        seed
    }

    /// Seeds a further torrent.
    pub fn add(&self, torrent: Torrent) {
        self.shared.torrents.lock().unwrap().push(Arc::new(torrent));
    }

    /// host:port.
    pub fn address(&self) -> String {
        self.address.to_string()
    }

    /// Bytes of pieces that it gave.
    pub fn given(&self) -> u64 {
        self.shared.given.load(Ordering::Relaxed)
    }

    /// Connections that it had.
    pub fn accepted(&self) -> u64 {
        self.shared.accepted.load(Ordering::Relaxed)
    }
}

impl Drop for Seed {
    fn drop(&mut self) {
        self.shared.end();
        // Wakes who accepts.
        let _ = TcpStream::connect(self.address);
    }
}

impl Shared {
    fn accept(self: Arc<Shared>, listener: &TcpListener) {
        for stream in listener.incoming() {
            let Ok(stream) = stream else { return };
            if self.has_ended.load(Ordering::Acquire) {
                return;
            }
            let number = self.accepted.fetch_add(1, Ordering::Relaxed);
            self.connections.lock().unwrap().insert(number, stream.try_clone().unwrap());
            let shared = self.clone();
            thread::spawn(move || {
                // The peer leaves as it likes.
                let _ = shared.serve(&stream);
                let _ = stream.shutdown(Shutdown::Both);
                shared.connections.lock().unwrap().remove(&number);
            });
        }
    }

    fn end(&self) {
        self.has_ended.store(true, Ordering::Release);
        for connection in self.connections.lock().unwrap().values() {
            let _ = connection.shutdown(Shutdown::Both);
        }
    }

    fn serve(&self, mut stream: &TcpStream) -> io::Result<()> {
        let mut greeting = [0; 68];
        stream.read_exact(&mut greeting)?;
        let known = |torrent: &&Arc<Torrent>| torrent.hash == greeting[28..48];
        let torrent = self.torrents.lock().unwrap().iter().find(known).cloned();
        let Some(torrent) = torrent else { return Ok(()) };
        greeting[20..28].copy_from_slice(&[0, 0, 0, 0, 0, 0x10, 0, 0]); // BEP 10
        greeting[48..].copy_from_slice(b"-ZV0001-zvfs-engines");
        stream.write_all(&greeting)?;
        self.announce(stream, &torrent)?;
        let mut theirs = 0;
        loop {
            let message = read_message(stream)?;
            match message.split_first() {
                Some((2, [])) if !self.conduct.is_silent => send(stream, 1, &[])?, // interested: unchoke
                Some((6, request)) => self.give(stream, &torrent, request)?,
                Some((&EXTENDED, [0, handshake @ ..])) => {
                    theirs = number_behind(handshake, b"11:ut_metadatai")
                }
                Some((&EXTENDED, [METADATA, request @ ..])) if !self.conduct.is_silent => {
                    let part = number_behind(request, b"5:piecei").into();
                    self.give_metadata(stream, &torrent, theirs, part)?;
                }
                _ => {}
            }
        }
    }

    /// That it has everything, and can extend.
    fn announce(&self, stream: &TcpStream, torrent: &Torrent) -> io::Result<()> {
        let pieces = torrent.content.len().div_ceil(torrent.piece);
        let mut bits = vec![0_u8; pieces.div_ceil(8)];
        (0..pieces).for_each(|piece| bits[piece / 8] |= 0x80 >> (piece % 8));
        send(stream, 5, &bits)?;
        let size = self.conduct.metadata_size.unwrap_or(torrent.info.len());
        let names = [b"1:md".as_slice(), &text(b"ut_metadata"), &integer(METADATA.into()), b"e"].concat();
        let handshake = [b"\0d".as_slice(), &names, &text(b"metadata_size"), &integer(size), b"e"].concat();
        send(stream, EXTENDED, &handshake)
    }

    fn give(&self, stream: &TcpStream, torrent: &Torrent, request: &[u8]) -> io::Result<()> {
        let numbers: Vec<usize> =
            request.chunks(4).map(|bytes| u32::from_be_bytes(bytes.try_into().unwrap()) as usize).collect();
        let [piece, begin, length] = numbers[..] else { return Err(ErrorKind::InvalidData.into()) };
        let start = piece * torrent.piece + begin;
        let block = torrent.content.get(start..start + length).filter(|block| block.len() <= BLOCK_MAX);
        let mut block = block.ok_or(ErrorKind::InvalidData)?.to_vec();
        if self.conduct.corrupt.contains(&piece) {
            block[0] ^= 1;
        }
        let given = self.given.fetch_add(length as u64, Ordering::Relaxed);
        if self.conduct.dies_after.is_some_and(|most| given >= most) {
            self.end();
            return Err(ErrorKind::ConnectionAborted.into());
        }
        send(stream, 7, &[&request[..8], &block].concat())
    }

    fn give_metadata(
        &self,
        stream: &TcpStream,
        torrent: &Torrent,
        theirs: u8,
        part: usize,
    ) -> io::Result<()> {
        let start = (part * PART).min(torrent.info.len());
        let bytes = &torrent.info[start..(start + PART).min(torrent.info.len())];
        let head = format!("d8:msg_typei1e5:piecei{part}e10:total_sizei{}ee", torrent.info.len());
        send(stream, EXTENDED, &[&[theirs], head.as_bytes(), bytes].concat())
    }
}

fn send(mut stream: &TcpStream, kind: u8, body: &[u8]) -> io::Result<()> {
    let length = u32::try_from(body.len() + 1).unwrap().to_be_bytes();
    stream.write_all(&[length.as_slice(), &[kind], body].concat())
}

/// The next message; an empty one keeps alive.
fn read_message(mut stream: &TcpStream) -> io::Result<Vec<u8>> {
    let mut length = [0; 4];
    stream.read_exact(&mut length)?;
    let length = u32::from_be_bytes(length) as usize;
    if length > MESSAGE_MAX {
        return Err(ErrorKind::InvalidData.into());
    }
    let mut message = vec![0; length];
    stream.read_exact(&mut message)?;
    Ok(message)
}

/// The number that follows a key; 0: there is none.
fn number_behind(bencode: &[u8], key: &[u8]) -> u8 {
    let at = bencode.windows(key.len()).position(|window| window == key);
    let digits = bencode[at.map_or(bencode.len(), |at| at + key.len())..]
        .iter()
        .take_while(|byte| byte.is_ascii_digit());
    digits.fold(0_u8, |number, digit| number.wrapping_mul(10).wrapping_add(digit - b'0'))
}
