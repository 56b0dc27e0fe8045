//! The provider `file`: files, FIFOs and character devices of this machine, below the operator's roots.
//!
//! `file:/path`, `file:///path` and `file://localhost/path` are percent-decoded once, as RFC 8089 says; a bare path
//! `/path` is taken as it is. `/dev/stdin`, `/dev/stdout` and `/dev/stderr` are the host's own fds 0 to 2, whatever the
//! roots are.
//!
//! | Setting | |
//! |---|---|
//! | `root` | paths must lie below one of these, as the operator wrote it; symbolic links may not lead out, and absolute ones begin with the root. Default: `/`, everything |
//! | `run` | per open, offered by a host that opens several files for one run: no two of its writers may have one name (EBUSY) |
//! | `within` | per open, offered by a host for what it found in a folder: the path must lie in that, and no symbolic link is followed from there on (ELOOP) |
//! | `read-only` | refuses to write, create or remove (EROFS); not for the host's own stdout and stderr |
//!
//! What a descriptor turns out to be decides how it behaves:
//!
//! | | |
//! |---|---|
//! | regular file | positions, truncate, stat, a kernel file to lend. One writer at a time: a second gets EBUSY, also from another process. With neither READ nor WRITE it is read, unless a flag is for writers only |
//! | ATOMIC | a file without a name, put under it by COMMIT. Starts empty; takes over the old file's owner, group, permissions, access list and extended attributes, but no set-id bits. ENOTSUP where the old one can only be written in place: it has several hard links, is mounted there, its folder takes no new file, or its owner cannot be kept. A writer in place excludes it, another ATOMIC one does not: the last COMMIT wins. A process that is killed in its COMMIT may leave `.name.zvfs-0`, which the next ATOMIC open that finds the name there removes; with it go `-1` to `-7`, which several COMMITs of one name in the same moment may leave, and where `-1` is without `-0` too |
//! | FIFO | one direction. A reader opens at once and waits for a writer; a writer opens at once, and its first write waits for a reader. SYNC waits until the reader has taken everything. DISCARD is END: the kernel cannot break a FIFO |
//! | character device | read and written as a stream |
//! | standard stream | as it is, whatever it is: a regular file too goes on where the host's descriptor stands, and moves that. No CANCEL if it is a terminal, since its modes are the host's |
//! | directory; socket, block device | EISDIR; EPROTONOSUPPORT |
//!
//! Hosts with an event loop get POLL for FIFOs, terminals, `/dev/null` and its like, and for standard streams that are pipes or sockets.
//! O_NONBLOCK is set on a description of our own only: those of standard streams belong to others too, and are asked not to wait
//! call by call. A terminal or another device among them cannot be asked, and a regular file always waits for its disk: no POLL.
//!
//! A FIFO, a device and a standard stream have nothing to create, truncate or reserve: those flags do nothing there;
//! ATOMIC is ENOTSUP.
//!
//! | Module | What it is |
//! |---|---|
//! | `path` | descriptor to path |
//! | `confine`, `walk` | path to descriptor, below the roots: by openat2, or name by name |
//! | `place` | a name in a folder: create, remove, make durable |
//! | `provider`, `flags` | the provider, and what an open file becomes |
//! | `regular`, `atomic`, `pending` | regular files; those that appear on COMMIT |
//! | `claims` | which run writes which name |
//! | `hidden`, `attributes` | the name of a file between two others; what it takes over from the one it replaces |
//! | `stream`, `transfer` | FIFOs, devices, standard streams; moving bytes without holding the caller |
//! | `namespace`, `status`, `times` | stat, list, remove; what stat says; the time that a file is given |
//! | `failure` | system errors to ours |

mod atomic;
mod attributes;
mod claims;
mod confine;
mod failure;
mod flags;
mod hidden;
mod namespace;
mod path;
mod pending;
mod place;
mod provider;
mod regular;
mod status;
mod stream;
mod times;
mod transfer;
mod walk;

pub use provider::FileProvider;

vfs_core::export_provider!(FileProvider);
