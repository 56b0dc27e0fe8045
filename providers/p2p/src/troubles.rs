//! Why the other end is not there yet, of each peer where it may be.

use std::collections::BTreeMap;

/// Troubles by the names of peers.
#[derive(Debug, Default)]
pub struct Troubles(BTreeMap<String, String>);

impl Troubles {
    /// Notes why the other end is not at a peer; `None`: it may be. Returns whether that is news.
    pub fn note(&mut self, peer: &str, trouble: Option<String>) -> bool {
        match trouble {
            Some(trouble) if self.0.get(peer) == Some(&trouble) => false,
            Some(trouble) => {
                self.0.insert(peer.to_owned(), trouble);
                true
            }
            None => self.0.remove(peer).is_some(),
        }
    }

    /// All of them, in words.
    pub fn told(&self) -> Option<String> {
        let said: Vec<_> = self.0.iter().map(|(peer, trouble)| format!("{peer}: {trouble}")).collect();
        (!said.is_empty()).then(|| said.join("; "))
    }
}
