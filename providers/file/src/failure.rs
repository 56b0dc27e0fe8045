//! System errors, turned into ours.

use rustix::fs::FileType;
use rustix::io::Errno;
use std::fmt;
use vfs_core::{Code, Error, OpenFlags, Request};

/// Says what failed: `doing` is the operation, `shown` the descriptor for messages.
///
/// EXDEV stands for a path outside the roots, or outside the folder that the open named: no call made here can fail with it for another
/// reason.
pub fn fail(doing: &str, shown: &str, errno: Errno) -> Error {
    let (code, text) = match errno {
        Errno::XDEV => (
            Code::EACCES,
            "outside the roots that the operator allows (setting `root`), or not below `within`",
        ),
        Errno::NXIO | Errno::NODEV => (Code::ENODEV, "no such device"),
        Errno::NOTDIR => (Code::ENOTDIR, "a part of the path is not a directory"),
        Errno::LOOP => (Code::ELOOP, "too many symbolic links, or one where none is followed (`within`)"),
        Errno::AGAIN => (Code::EBUSY, "somebody else holds a lease on it"),
        Errno::PIPE => (Code::EPIPE, "the reader closed"),
        other => {
            let code = Code::from_raw(other.raw_os_error().into());
            (code, code.text())
        }
    };
    Error::new(code, format!("{doing} {shown}: {text}"))
}

/// Tells why a file was not opened that CREATE would have made: not that itself is missing.
pub fn fail_to_make(request: &Request<'_>, flags: OpenFlags, errno: Errno) -> Error {
    match errno {
        Errno::NOENT if flags.contains(OpenFlags::CREATE) => {
            let text = format!("open {}: its folder does not exist, or accepts no new file", request.shown());
            Error::new(Code::ENOENT, text)
        }
        errno => fail("open", request.shown(), errno),
    }
}

/// Says that a direction was not asked for at open, or is over.
pub fn wrong_direction(doing: &str, shown: &str, finished: bool) -> Error {
    let text = match (finished, doing) {
        (true, _) => "already finished",
        (false, "read") => "not open for reading",
        (false, _) => "not open for writing",
    };
    Error::new(Code::EBADF, format!("{doing} {shown}: {text}"))
}

/// What no channel can be.
pub fn unsupported(kind: FileType, request: &Request<'_>) -> Error {
    let (code, what) = match kind {
        FileType::Directory => (Code::EISDIR, "is a directory"),
        FileType::Socket => (Code::EPROTONOSUPPORT, "is a socket"),
        FileType::BlockDevice => (Code::EPROTONOSUPPORT, "is a block device"),
        _ => (Code::EPROTONOSUPPORT, "is of an unknown kind"),
    };
    let allowed = "channels are regular files, FIFOs and character devices";
    Error::new(code, format!("open {}: {what}: {allowed}", request.shown()))
}

/// Refuses to change anything.
pub fn read_only(doing: &str, request: &Request<'_>) -> Error {
    let shown = request.shown();
    Error::new(
        Code::EROFS,
        format!("{doing} {shown}: the operator made files read-only (setting `read-only`)"),
    )
}

/// Says why ATOMIC cannot be had of what is at hand.
pub fn only_in_place(request: &Request<'_>, why: impl fmt::Display) -> Error {
    Error::new(Code::ENOTSUP, format!("open {} with ATOMIC: {why}", request.shown()))
}
