//! What a provider in a process of its own may do. `SECURITY.md` has the table of what holds it to that.

use crate::settings::written_size;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::path::PathBuf;

/// What a provider's process may do, besides computing and talking to its host. Default: nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Walls {
    /// Connect over TCP, to any address.
    pub tcp_connect: bool,
    /// Listen on TCP ports.
    pub tcp_listen: bool,
    /// Send and receive over UDP, to and from any address.
    pub udp: bool,
    /// Resolve names: UDP, and the files of the resolver.
    pub dns: bool,
    /// Use the host's standard input, output and error.
    pub standard_streams: bool,
    /// Read these files, and what is below these folders.
    pub read: Vec<PathBuf>,
    /// Read, write, make and remove below these.
    pub write: Vec<PathBuf>,
    /// Have the host open descriptors of these schemes for it, as a layer does. The host sees to it, and the process need not know.
    #[serde(skip)]
    pub open: Vec<String>,
    /// The most bytes of memory of its own; `None`: as much as the system gives.
    pub memory: Option<u64>,
    /// The walls that may be absent where the kernel does not have them.
    pub may_lack: Vec<Wall>,
}

/// A wall that depends on the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Wall {
    /// Files: Landlock's third version, Linux 6.2.
    Landlock,
    /// Of TCP, connecting without listening or the other way round: Landlock's fourth version, Linux 6.7.
    LandlockNet,
    /// Everything else: filters for system calls.
    Seccomp,
}

impl Wall {
    /// All there are.
    pub const ALL: [Wall; 3] = [Wall::Landlock, Wall::LandlockNet, Wall::Seccomp];

    /// As an operator writes it.
    pub fn name(self) -> &'static str {
        match self {
            Wall::Landlock => "landlock",
            Wall::LandlockNet => "landlock-net",
            Wall::Seccomp => "seccomp",
        }
    }
}

impl fmt::Display for Walls {
    /// `may tcp-connect, dns, read /etc/ssl, memory 512m; may lack landlock`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut may: Vec<String> = [
            ("tcp-connect", self.tcp_connect),
            ("tcp-listen", self.tcp_listen),
            ("udp", self.udp),
            ("dns", self.dns),
            ("standard-streams", self.standard_streams),
        ]
        .iter()
        .filter(|(_, may)| *may)
        .map(|(name, _)| (*name).to_owned())
        .collect();
        may.extend(self.read.iter().map(|path| format!("read {}", path.display())));
        may.extend(self.write.iter().map(|path| format!("write {}", path.display())));
        may.extend(self.open.iter().map(|scheme| format!("open {scheme}:")));
        match may.is_empty() {
            true => f.write_str("may compute only")?,
            false => write!(f, "may {}", may.join(", "))?,
        }
        if let Some(memory) = self.memory {
            write!(f, "; memory {}", written_size(memory))?;
        }
        if !self.may_lack.is_empty() {
            let names: Vec<&str> = self.may_lack.iter().map(|wall| wall.name()).collect();
            write!(f, "; may lack {}", names.join(", "))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn walls_are_said_in_the_operators_words() {
        assert_eq!(Walls::default().to_string(), "may compute only");
        let walls = Walls {
            tcp_connect: true,
            dns: true,
            open: vec!["file".into()],
            read: vec!["/etc/ssl".into()],
            memory: Some(512 << 20),
            may_lack: vec![Wall::LandlockNet],
            ..Walls::default()
        };
        let said = "may tcp-connect, dns, read /etc/ssl, open file:; memory 512m; may lack landlock-net";
        assert_eq!(walls.to_string(), said);
    }
}
