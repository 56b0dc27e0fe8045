//! Peers that know each other: keys, free ports, and the settings of each.

use iroh::{EndpointAddr, PublicKey, SecretKey};
use std::fs;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU8, Ordering};
use tempfile::TempDir;

/// Some peers of one machine.
pub struct Circle {
    folder: TempDir,
    peers: Vec<Peer>,
}

struct Peer {
    key: SecretKey,
    at: SocketAddr,
}

impl Circle {
    /// So many, called `p0`, `p1`, ...
    pub fn new(count: u8) -> Circle {
        let folder = tempfile::tempdir().unwrap();
        // An address that no other test has, and all ports at once: no two are the same.
        let at = address();
        let sockets: Vec<UdpSocket> = (0..count).map(|_| UdpSocket::bind((at, 0)).unwrap()).collect();
        let peers = sockets
            .iter()
            .map(|socket| Peer { key: SecretKey::generate(), at: socket.local_addr().unwrap() });
        let circle = Circle { peers: peers.collect(), folder };
        for (at, peer) in circle.peers.iter().enumerate() {
            let digits: String = peer.key.to_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
            fs::write(circle.key_file(at), digits).unwrap();
            fs::set_permissions(circle.key_file(at), fs::Permissions::from_mode(0o600)).unwrap();
        }
        circle
    }

    /// What an operator writes for one of them, which knows all.
    pub fn settings(&self, at: usize) -> String {
        self.settings_knowing(at, &(0..self.peers.len()).collect::<Vec<_>>())
    }

    /// The same, knowing some.
    pub fn settings_knowing(&self, at: usize, known: &[usize]) -> String {
        let entry = |at: &usize| format!("p{at}={}@{}", self.peers[*at].key.public(), self.peers[*at].at);
        let peers: Vec<String> = known.iter().map(entry).collect();
        format!("key-file = {:?}, listen = [\"{}\"], peers = {peers:?}", self.key_file(at), self.peers[at].at)
    }

    #[allow(dead_code, reason = "not every test asks")]
    pub fn key(&self, at: usize) -> PublicKey {
        self.peers[at].key.public()
    }

    /// Where one of them is.
    #[allow(dead_code, reason = "not every test asks")]
    pub fn address(&self, at: usize) -> EndpointAddr {
        EndpointAddr::new(self.key(at)).with_ip_addr(self.peers[at].at)
    }

    /// Where the keys are.
    #[allow(dead_code, reason = "not every test asks")]
    pub fn folder(&self) -> PathBuf {
        self.folder.path().to_owned()
    }

    /// Gives the key of one of them to another user: nobody else may read it then.
    #[allow(dead_code, reason = "not every test asks")]
    pub fn give_key(&self, at: usize, user: u32) {
        chown(self.key_file(at), Some(user), None).unwrap();
        fs::set_permissions(&self.folder, fs::Permissions::from_mode(0o755)).unwrap();
    }

    fn key_file(&self, at: usize) -> PathBuf {
        self.folder.path().join(format!("key-{at}"))
    }
}

/// A loopback address of this circle's own.
fn address() -> Ipv4Addr {
    static NEXT: AtomicU8 = AtomicU8::new(1);
    let [low, high, ..] = std::process::id().to_le_bytes();
    Ipv4Addr::new(127, 1 + high % 250, low, NEXT.fetch_add(1, Ordering::Relaxed))
}
