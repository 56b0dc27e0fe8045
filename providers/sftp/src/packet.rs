//! Packets of SFTP version 3 (draft-ietf-secsh-filexfer-02), as bytes.
//!
//! Names and handles are bytes, as the draft has them: a name need not be UTF-8, and OpenSSH's handles are binary numbers.

mod stream;

pub use stream::Stream;

use bytes::{Buf, BufMut, Bytes, BytesMut};

/// The version that is spoken. Servers that know a later one fall back to it.
const VERSION: u32 = 3;

/// Flags of [`Request::Open`].
pub mod open {
    pub const READ: u32 = 1;
    pub const WRITE: u32 = 2;
    pub const APPEND: u32 = 4;
    pub const CREATE: u32 = 8;
    pub const TRUNCATE: u32 = 16;
    pub const EXCLUSIVE: u32 = 32;
}

/// The codes of [`Reply::Status`] that mean something here.
pub mod status {
    pub const OK: u32 = 0;
    pub const END: u32 = 1;
    pub const NO_SUCH_FILE: u32 = 2;
    pub const PERMISSION_DENIED: u32 = 3;
    pub const FAILURE: u32 = 4;
    pub const BAD_MESSAGE: u32 = 5;
    pub const NO_CONNECTION: u32 = 6;
    pub const CONNECTION_LOST: u32 = 7;
    pub const UNSUPPORTED: u32 = 8;
    // Later versions', which some servers send in this one too.
    pub const NO_SPACE: u32 = 14;
    pub const QUOTA_EXCEEDED: u32 = 15;
}

/// Names of extensions.
pub mod extension {
    pub const RENAME: &str = "posix-rename@openssh.com";
    pub const SYNC: &str = "fsync@openssh.com";
    pub const SPACE: &str = "statvfs@openssh.com";
    pub const LIMITS: &str = "limits@openssh.com";
}

/// What a server is asked.
#[derive(Clone, Copy, Debug)]
pub enum Request<'a> {
    Open {
        path: &'a [u8],
        flags: u32,
        attributes: &'a Attributes,
    },
    Close {
        handle: &'a [u8],
    },
    Read {
        handle: &'a [u8],
        offset: u64,
        count: u32,
    },
    /// So many bytes follow it.
    Write {
        handle: &'a [u8],
        offset: u64,
        count: u32,
    },
    /// Of a symbolic link itself.
    StatLink {
        path: &'a [u8],
    },
    StatHandle {
        handle: &'a [u8],
    },
    SetHandle {
        handle: &'a [u8],
        attributes: &'a Attributes,
    },
    /// Of what a symbolic link leads to.
    Set {
        path: &'a [u8],
        attributes: &'a Attributes,
    },
    OpenFolder {
        path: &'a [u8],
    },
    ReadFolder {
        handle: &'a [u8],
    },
    Remove {
        path: &'a [u8],
    },
    MakeFolder {
        path: &'a [u8],
    },
    RemoveFolder {
        path: &'a [u8],
    },
    RealPath {
        path: &'a [u8],
    },
    ReadLink {
        path: &'a [u8],
    },
    Stat {
        path: &'a [u8],
    },
    Rename {
        from: &'a [u8],
        to: &'a [u8],
    },
    /// As [`Request::Rename`], in the place of what is there.
    Replace {
        from: &'a [u8],
        to: &'a [u8],
    },
    Sync {
        handle: &'a [u8],
    },
    /// How much room there is.
    Space {
        path: &'a [u8],
    },
    /// How much one request may ask.
    Limits,
}

/// What a server answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    Status { code: u32, text: String },
    Handle(Bytes),
    Data(Bytes),
    Names(Vec<Name>),
    Attributes(Attributes),
    Extended(Bytes),
}

/// A name in a folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Name {
    pub name: Bytes,
    pub attributes: Attributes,
}

/// What is known of a file, or to be set.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Attributes {
    pub size: Option<u64>,
    /// User and group.
    pub owner: Option<(u32, u32)>,
    /// The type and the permissions, as in `st_mode`.
    pub mode: Option<u32>,
    /// Seconds since 1970: of the last access and the last change.
    pub times: Option<(u32, u32)>,
}

/// A packet that is none: why.
pub type Malformed = &'static str;

impl Request<'_> {
    /// The packet, with its length in front. Of a [`Request::Write`] the bytes are still to follow.
    pub fn encode(&self, id: u32) -> Bytes {
        let mut packet = BytesMut::with_capacity(128);
        packet.put_u32(0); // the length
        packet.put_u8(self.kind());
        packet.put_u32(id);
        let mut following = 0;
        match *self {
            Request::Open { path, flags, attributes } => {
                string(&mut packet, path);
                packet.put_u32(flags);
                attributes.encode(&mut packet);
            }
            Request::Read { handle, offset, count } | Request::Write { handle, offset, count } => {
                string(&mut packet, handle);
                packet.put_u64(offset);
                packet.put_u32(count);
                if matches!(self, Request::Write { .. }) {
                    following = count;
                }
            }
            Request::SetHandle { handle: of, attributes } | Request::Set { path: of, attributes } => {
                string(&mut packet, of);
                attributes.encode(&mut packet);
            }
            Request::Close { handle: one }
            | Request::StatHandle { handle: one }
            | Request::ReadFolder { handle: one }
            | Request::StatLink { path: one }
            | Request::Stat { path: one }
            | Request::OpenFolder { path: one }
            | Request::Remove { path: one }
            | Request::RemoveFolder { path: one }
            | Request::ReadLink { path: one }
            | Request::RealPath { path: one } => string(&mut packet, one),
            Request::MakeFolder { path } => {
                string(&mut packet, path);
                Attributes::NONE.encode(&mut packet);
            }
            Request::Rename { from, to } => {
                string(&mut packet, from);
                string(&mut packet, to);
            }
            Request::Replace { from, to } => {
                string(&mut packet, extension::RENAME.as_bytes());
                string(&mut packet, from);
                string(&mut packet, to);
            }
            Request::Sync { handle } => {
                string(&mut packet, extension::SYNC.as_bytes());
                string(&mut packet, handle);
            }
            Request::Space { path } => {
                string(&mut packet, extension::SPACE.as_bytes());
                string(&mut packet, path);
            }
            Request::Limits => string(&mut packet, extension::LIMITS.as_bytes()),
        }
        with_length(packet, following)
    }

    fn kind(&self) -> u8 {
        match self {
            Request::Open { .. } => 3,
            Request::Close { .. } => 4,
            Request::Read { .. } => 5,
            Request::Write { .. } => 6,
            Request::StatLink { .. } => 7,
            Request::StatHandle { .. } => 8,
            Request::Set { .. } => 9,
            Request::SetHandle { .. } => 10,
            Request::OpenFolder { .. } => 11,
            Request::ReadFolder { .. } => 12,
            Request::Remove { .. } => 13,
            Request::MakeFolder { .. } => 14,
            Request::RemoveFolder { .. } => 15,
            Request::RealPath { .. } => 16,
            Request::Stat { .. } => 17,
            Request::Rename { .. } => 18,
            Request::ReadLink { .. } => 19,
            Request::Replace { .. } | Request::Sync { .. } | Request::Space { .. } | Request::Limits => 200,
        }
    }
}

/// The first packet, which says the version.
pub fn hello() -> Bytes {
    let mut packet = BytesMut::with_capacity(9);
    packet.put_u32(0);
    packet.put_u8(1);
    packet.put_u32(VERSION);
    with_length(packet, 0)
}

/// The names of the extensions in a server's first packet.
///
/// # Errors
/// It is another packet, or of another version.
pub fn extensions(mut packet: Bytes) -> Result<Vec<Bytes>, Malformed> {
    if number_8(&mut packet)? != 2 || number(&mut packet)? != VERSION {
        return Err("the server speaks no SFTP version 3");
    }
    let mut names = Vec::new();
    while packet.has_remaining() {
        names.push(take(&mut packet)?);
        take(&mut packet)?; // its version
    }
    Ok(names)
}

/// A packet without its length: which request it answers, and how.
///
/// # Errors
/// It is no reply.
pub fn reply(mut packet: Bytes) -> Result<(u32, Reply), Malformed> {
    let kind = number_8(&mut packet)?;
    let id = number(&mut packet)?;
    let reply = match kind {
        101 => {
            let code = number(&mut packet)?;
            // Servers of the first drafts sent no text.
            let text = take(&mut packet).unwrap_or_default();
            Reply::Status { code, text: String::from_utf8_lossy(&text).into_owned() }
        }
        102 => Reply::Handle(take(&mut packet)?),
        103 => Reply::Data(take(&mut packet)?),
        104 => Reply::Names(names(&mut packet)?),
        105 => Reply::Attributes(Attributes::decode(&mut packet)?),
        201 => Reply::Extended(packet),
        _ => return Err("a packet of an unknown type"),
    };
    Ok((id, reply))
}

/// The numbers of an extended reply.
///
/// # Errors
/// There are fewer.
pub fn numbers<const N: usize>(mut packet: Bytes) -> Result<[u64; N], Malformed> {
    let mut numbers = [0; N];
    for number in &mut numbers {
        *number = packet.try_get_u64().map_err(|_| SHORT)?;
    }
    Ok(numbers)
}

impl Attributes {
    const SIZE: u32 = 1;
    const OWNER: u32 = 2;
    const MODE: u32 = 4;
    const TIMES: u32 = 8;
    const EXTENDED: u32 = 1 << 31;

    fn encode(&self, packet: &mut BytesMut) {
        let flag = |is: bool, flag: u32| if is { flag } else { 0 };
        packet.put_u32(
            flag(self.size.is_some(), Self::SIZE)
                | flag(self.owner.is_some(), Self::OWNER)
                | flag(self.mode.is_some(), Self::MODE)
                | flag(self.times.is_some(), Self::TIMES),
        );
        if let Some(size) = self.size {
            packet.put_u64(size);
        }
        if let Some((user, group)) = self.owner {
            packet.put_u32(user);
            packet.put_u32(group);
        }
        if let Some(mode) = self.mode {
            packet.put_u32(mode);
        }
        if let Some((accessed, modified)) = self.times {
            packet.put_u32(accessed);
            packet.put_u32(modified);
        }
    }

    fn decode(packet: &mut Bytes) -> Result<Attributes, Malformed> {
        let flags = number(packet)?;
        let has = |flag: u32| flags & flag != 0;
        let mut attributes = Attributes::default();
        if has(Self::SIZE) {
            attributes.size = Some(packet.try_get_u64().map_err(|_| SHORT)?);
        }
        if has(Self::OWNER) {
            attributes.owner = Some((number(packet)?, number(packet)?));
        }
        if has(Self::MODE) {
            attributes.mode = Some(number(packet)?);
        }
        if has(Self::TIMES) {
            attributes.times = Some((number(packet)?, number(packet)?));
        }
        if has(Self::EXTENDED) {
            for _ in 0..number(packet)? {
                take(packet)?;
                take(packet)?;
            }
        }
        Ok(attributes)
    }
}

fn names(packet: &mut Bytes) -> Result<Vec<Name>, Malformed> {
    let count = number(packet)?;
    let mut names = Vec::new();
    for _ in 0..count {
        let name = take(packet)?;
        take(packet)?; // the line that `ls -l` would print
        names.push(Name { name, attributes: Attributes::decode(packet)? });
    }
    Ok(names)
}

const SHORT: Malformed = "a packet that ends too early";

fn with_length(mut packet: BytesMut, following: u32) -> Bytes {
    let length = (packet.len() - 4) as u32 + following;
    packet[..4].copy_from_slice(&length.to_be_bytes());
    packet.freeze()
}

fn string(packet: &mut BytesMut, bytes: &[u8]) {
    packet.put_u32(bytes.len() as u32);
    packet.put_slice(bytes);
}

fn number_8(packet: &mut Bytes) -> Result<u8, Malformed> {
    packet.try_get_u8().map_err(|_| SHORT)
}

fn number(packet: &mut Bytes) -> Result<u32, Malformed> {
    packet.try_get_u32().map_err(|_| SHORT)
}

fn take(packet: &mut Bytes) -> Result<Bytes, Malformed> {
    let length = number(packet)? as usize;
    if length > packet.len() { Err(SHORT) } else { Ok(packet.split_to(length)) }
}

#[cfg(test)]
mod tests;
