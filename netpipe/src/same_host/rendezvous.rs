//! Where two ends on one kernel meet: a socket in a folder, or in the kernel's own namespace of names.

use super::meeting::Meeting;
use super::ring::{self, Consumer, Producer};
use crate::values::Role;
use rustix::io::{Errno, IoSlice, IoSliceMut, retry_on_intr};
use rustix::net::{
    self, AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags,
    SendAncillaryBuffer, SendAncillaryMessage, SendFlags, SocketAddrUnix, SocketFlags, SocketType,
};
use rustix::process::geteuid;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::PathBuf;
use vfs_core::{Memory, peer_user};

/// Nobody comes but one, and whoever errs.
const BACKLOG: i32 = 4;

/// Where ends meet: both are to have the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// The abstract names of a network namespace.
    Abstract,
    /// A folder, which namespaces may share.
    Folder(PathBuf),
}

/// The writer's place, until it is dropped.
#[derive(Debug)]
pub struct Venue {
    listener: OwnedFd,
    path: Option<PathBuf>,
}

/// What this end brings: its memory.
#[derive(Debug)]
pub struct Offer {
    role: Role,
    size: u32,
    memory: Memory,
    file: OwnedFd,
}

/// An end of a ring.
#[derive(Debug)]
pub enum Ring {
    /// The reader's.
    Consumer(Consumer),
    /// The writer's.
    Producer(Producer),
}

impl Place {
    /// The longest path of a folder, in bytes: the kernel's names of sockets have 107.
    pub const FOLDER_MAX: usize = 64;

    fn address(&self, meeting: &Meeting) -> Result<(SocketAddrUnix, Option<PathBuf>), Errno> {
        match self {
            Place::Abstract => Ok((SocketAddrUnix::new_abstract_name(meeting.name().as_bytes())?, None)),
            Place::Folder(folder) => {
                let path = folder.join(meeting.name());
                Ok((SocketAddrUnix::new(&path)?, Some(path)))
            }
        }
    }

    /// The writer's: waits there for the reader. Before it says so, so that nobody comes too early.
    ///
    /// # Errors
    /// The folder is not there, or this process may not.
    pub fn listen(&self, meeting: &Meeting) -> Result<Venue, Errno> {
        let (address, path) = self.address(meeting)?;
        let listener = socket()?;
        net::bind(&listener, &address)?;
        let venue = Venue { listener, path };
        net::listen(&venue.listener, BACKLOG)?;
        Ok(venue)
    }

    /// The reader's: goes there. Who waits there is this user's, or is not shown anything: the writer then goes on over the connection.
    ///
    /// # Errors
    /// Nobody waits there. ACCESS: somebody else's.
    pub fn connect(&self, meeting: &Meeting) -> Result<OwnedFd, Errno> {
        let socket = socket()?;
        net::connect(&socket, &self.address(meeting)?.0)?;
        if is_of_this_user(&socket) { Ok(socket) } else { Err(Errno::ACCESS) }
    }
}

impl Venue {
    /// Takes whoever has come and is this user's; others are sent away. `None`: nobody.
    ///
    /// # Errors
    /// The system's.
    pub fn accept(&self) -> Result<Option<OwnedFd>, Errno> {
        let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
        loop {
            match retry_on_intr(|| net::accept_with(&self.listener, flags)) {
                Ok(socket) if is_of_this_user(&socket) => return Ok(Some(socket)),
                Ok(_) => {}
                Err(Errno::AGAIN) => return Ok(None),
                Err(errno) => return Err(errno),
            }
        }
    }
}

impl AsFd for Venue {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.listener.as_fd()
    }
}

impl Drop for Venue {
    fn drop(&mut self) {
        if let Some(path) = &self.path {
            // Whoever took it away already did no harm.
            let _ = std::fs::remove_file(path);
        }
    }
}

impl Offer {
    /// Makes this end's memory.
    ///
    /// # Errors
    /// EMFILE, ENOMEM, EFBIG.
    pub fn new(meeting: &Meeting) -> vfs_core::Result<Offer> {
        let (role, size) = (meeting.role, ring::size(meeting.window));
        let (memory, file) = ring::make(role, size)?;
        Ok(Offer { role, size, memory, file })
    }

    /// The memory, for the other end.
    pub fn file(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }

    /// Makes the ring of both ends' memory; and gives this end's, to be sent if it was not yet.
    ///
    /// # Errors
    /// EIO: the other's is not as it is to be. ENOMEM.
    pub fn join(self, theirs: impl AsFd) -> vfs_core::Result<(Ring, OwnedFd)> {
        let ring = match self.role {
            Role::Reader => Ring::Consumer(Consumer::new(self.memory, theirs, self.size)?),
            Role::Writer => Ring::Producer(Producer::new(self.memory, theirs, self.size)?),
        };
        Ok((ring, self.file))
    }
}

impl Meeting {
    /// Sends this end's memory, and the proof.
    ///
    /// # Errors
    /// The socket's.
    pub fn send(&self, socket: impl AsFd, memory: BorrowedFd<'_>) -> Result<(), Errno> {
        let files = [memory];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        control.push(SendAncillaryMessage::ScmRights(&files));
        let bytes = [IoSlice::new(self.proof())];
        let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
        let sent = retry_on_intr(|| net::sendmsg(socket.as_fd(), &bytes, &mut control, flags))?;
        if sent == self.proof().len() { Ok(()) } else { Err(Errno::PROTO) }
    }

    /// Takes what the other end sent, if it is who it is to be. `None`: nothing yet.
    ///
    /// # Errors
    /// ACCESS: it is not. PROTO: it sent something else. The socket's.
    pub fn receive(&self, socket: impl AsFd) -> Result<Option<OwnedFd>, Errno> {
        let mut bytes = [0; 64];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let flags = RecvFlags::DONTWAIT | RecvFlags::CMSG_CLOEXEC;
        let received = retry_on_intr(|| {
            net::recvmsg(socket.as_fd(), &mut [IoSliceMut::new(&mut bytes)], &mut control, flags)
        });
        let (count, flags) = match received {
            Err(Errno::AGAIN) => return Ok(None),
            received => received.map(|received| (received.bytes, received.flags))?,
        };
        let mut files: Vec<OwnedFd> = control
            .drain()
            .filter_map(|message| match message {
                RecvAncillaryMessage::ScmRights(files) => Some(files),
                _ => None,
            })
            .flatten()
            .collect();
        // One, and no more than this side has seen.
        let cut = flags.intersects(ReturnFlags::CTRUNC | ReturnFlags::TRUNC);
        let file = files.pop().filter(|_| files.is_empty() && !cut).ok_or(Errno::PROTO)?;
        if self.is_theirs(&bytes[..count]) { Ok(Some(file)) } else { Err(Errno::ACCESS) }
    }
}

/// Whether the other end has sent something, or is gone. What it sent is still to be received.
///
/// # Errors
/// The socket's.
pub fn is_shown(socket: &OwnedFd) -> Result<bool, Errno> {
    match retry_on_intr(|| net::recv(socket, &mut [0_u8; 1], RecvFlags::PEEK | RecvFlags::DONTWAIT)) {
        Err(Errno::AGAIN) => Ok(false),
        received => received.map(|_| true),
    }
}

/// Whether the other end is. Whoever stands between the two is another user's, or could look into this process anyhow.
fn is_of_this_user(socket: &OwnedFd) -> bool {
    peer_user(socket).is_ok_and(|user| user == geteuid().as_raw())
}

fn socket() -> Result<OwnedFd, Errno> {
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    net::socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::{Secret, Side, Transcript};

    const WINDOW: u32 = 1 << 20;

    /// The two sides of one handshake: the dialler writes.
    fn meetings(secrets: [&[u8]; 2]) -> [Meeting; 2] {
        let transcript = Transcript::new(b"one hello", b"another", None);
        let [dialler, acceptor] = secrets.map(|secret| Secret::new(secret).unwrap());
        [
            Meeting::new(Some(&dialler), &transcript, Side::Dialler, Role::Writer, WINDOW).unwrap(),
            Meeting::new(Some(&acceptor), &transcript, Side::Acceptor, Role::Reader, WINDOW).unwrap(),
        ]
    }

    fn met(place: &Place) {
        let [dialler, acceptor] = meetings([b"sixteen bytes at least"; 2]);
        let venue = place.listen(&acceptor).unwrap();
        assert!(venue.accept().unwrap().is_none());
        let there = place.connect(&dialler).unwrap();
        let here = venue.accept().unwrap().unwrap();
        let [theirs, ours] = [&dialler, &acceptor].map(|meeting| Offer::new(meeting).unwrap());
        assert!(acceptor.receive(&here).unwrap().is_none());
        dialler.send(&there, theirs.file()).unwrap();
        let memory = acceptor.receive(&here).unwrap().unwrap();
        let (Ring::Consumer(mut consumer), file) = ours.join(memory).unwrap() else { panic!("the reader's") };
        acceptor.send(&here, file.as_fd()).unwrap();
        let memory = dialler.receive(&there).unwrap().unwrap();
        let (Ring::Producer(mut producer), _) = theirs.join(memory).unwrap() else { panic!("the writer's") };
        producer.put([b"bytes", &[]]).unwrap();
        let mut bytes = [0; 5];
        consumer.take([&mut bytes, &mut []]).unwrap();
        assert_eq!(&bytes, b"bytes");
    }

    #[test]
    fn two_ends_meet_under_an_abstract_name() {
        met(&Place::Abstract);
    }

    #[test]
    fn two_ends_meet_in_a_folder_and_leave_nothing_there() {
        let folder = std::env::temp_dir().join(format!("netpipe-meeting-{}", std::process::id()));
        std::fs::create_dir(&folder).unwrap();
        met(&Place::Folder(folder.clone()));
        std::fs::remove_dir(&folder).unwrap();
    }

    #[test]
    fn who_has_another_secret_finds_nobody_and_proves_nothing() {
        let [dialler, acceptor] = meetings([b"sixteen bytes at least", b"another sixteen bytes"]);
        let place = Place::Abstract;
        let venue = place.listen(&acceptor).unwrap();
        assert_eq!(place.connect(&dialler).unwrap_err(), Errno::CONNREFUSED);
        // Even where it knows the name.
        let there = place.connect(&acceptor).unwrap();
        let here = venue.accept().unwrap().unwrap();
        dialler.send(&there, Offer::new(&dialler).unwrap().file()).unwrap();
        assert_eq!(acceptor.receive(&here).unwrap_err(), Errno::ACCESS);
    }

    /// What an end proves is not what the other one does: nothing can be sent back to who sent it.
    #[test]
    fn a_proof_that_is_sent_back_proves_nothing() {
        let [dialler, acceptor] = meetings([b"sixteen bytes at least"; 2]);
        assert!(dialler.is_theirs(acceptor.proof()) && acceptor.is_theirs(dialler.proof()));
        assert!(!dialler.is_theirs(dialler.proof()) && !acceptor.is_theirs(acceptor.proof()));
        assert!(!acceptor.is_theirs(&dialler.proof()[..31]));
    }

    /// Where two sides of one handshake have come to: the dialler's socket, and the acceptor's.
    fn at_the_place(dialler: &Meeting, acceptor: &Meeting) -> [OwnedFd; 2] {
        let venue = Place::Abstract.listen(acceptor).unwrap();
        let there = Place::Abstract.connect(dialler).unwrap();
        [there, venue.accept().unwrap().unwrap()]
    }

    fn shows(socket: &OwnedFd, proof: &[u8], files: &[BorrowedFd<'_>]) {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(3))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        assert!(files.is_empty() || control.push(SendAncillaryMessage::ScmRights(files)));
        net::sendmsg(socket, &[IoSlice::new(proof)], &mut control, SendFlags::empty()).unwrap();
    }

    #[test]
    fn who_shows_anything_but_a_proof_and_one_memory_is_refused() {
        let [dialler, acceptor] = meetings([b"sixteen bytes at least"; 2]);
        let offer = Offer::new(&dialler).unwrap();
        let (proof, memory) = (*dialler.proof(), offer.file());
        let longer = [&proof[..], &[0; 64]].concat();
        let nothing: &[BorrowedFd<'_>] = &[];
        for (proof, files, errno) in [
            (&proof[..], nothing, Errno::PROTO),
            (&proof, &[memory, memory], Errno::PROTO),
            (&proof, &[memory, memory, memory], Errno::PROTO),
            (&[], &[memory], Errno::ACCESS),
            (&proof[1..], &[memory], Errno::ACCESS),
            (&longer[..33], &[memory], Errno::ACCESS),
            (&longer, &[memory], Errno::PROTO),
            (acceptor.proof(), &[memory], Errno::ACCESS),
        ] {
            let [there, here] = at_the_place(&dialler, &acceptor);
            shows(&there, proof, files);
            let shown = (proof.len(), files.len());
            assert_eq!(acceptor.receive(&here).unwrap_err(), errno, "{shown:?}");
        }
        let [there, here] = at_the_place(&dialler, &acceptor);
        shows(&there, &proof, &[memory]);
        assert!(acceptor.receive(&here).unwrap().is_some());
        let [there, here] = at_the_place(&dialler, &acceptor);
        drop(there);
        assert_eq!(acceptor.receive(&here).unwrap_err(), Errno::PROTO);
    }
}
