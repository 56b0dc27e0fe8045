//! The provider `ftp`: files of FTP servers, over `ftp` and `ftps`. It returns the right bytes or an error, and what it writes is
//! there as a whole or not at all.
//!
//! `ftp://[user:password@]host[:port]/path`. The path begins where the login leads; `ftp://host//srv/x` is `/srv/x`. It is
//! percent-decoded to bytes, so every name can be written, with `%3F` and `%23` for `?` and `#`, but none with a line break. Without a
//! user, the operator's `login` is sent to the hosts of `credentials-for`, and to others `anonymous`.
//!
//! # TLS
//! `ftps` demands TLS: from AUTH TLS on (`tls = "explicit"`, its default), or from the first byte and at port 990
//! (`tls = "implicit"`). `ftp` is in the clear unless the operator's `tls` says otherwise. With TLS the data connections are encrypted
//! too, and resume the session of their control connection, as vsftpd demands by default. A server that refuses TLS is an error: no
//! login and no byte is sent without it.
//!
//! # Connections
//! A session is a control connection with somebody logged in, and one transfer at a time. Sessions are kept for later transfers of
//! the same account. Transfers are passive: EPSV, or PASV where the server does not list that. A data connection always goes to the
//! address of its control connection, whatever address the server names; that one has passed the operator's `allowed-hosts` and
//! `addresses`. A transfer that ends early is broken off by closing its connection; unless the server then answers the next command
//! as it should, the session is closed.
//!
//! # Reading
//! Open asks for the file's size and time (MLST, or SIZE and MDTM), and begins to read unless the hint RANDOM is given. Each further
//! transfer asks again first: a file with another size or time is ESTALE, for good. The time has seconds only, so a change within one
//! second that keeps the size goes unnoticed.
//!
//! * A transfer that breaks is resumed at the right byte (REST). Each received byte resets the number of attempts.
//! * A file has positions (SEEKABLE, POSITIONAL_READ) if the server lists REST and tells the file's size and time; without them it is
//!   read once from start to end, and a lost connection is ECONNRESET. Up to four transfers of a file stand still between two calls.
//! * A transfer must have as many bytes as the size says, and no more: else it is ESTALE if the size has changed, and EPROTO if not.
//!   Where all bytes came and the server then says that it could not read the file, that is the error (EIO for 451), for good; its word is
//!   not waited for longer than 5 s, and a missing one is none. Where no size is told, that word decides.
//!
//! # Writing
//! An upload makes a new file beside its target, `.zvfs-` and 16 hexadecimal digits. COMMIT ends the transfer, compares the new
//! file's size with what was sent, and renames it to the target: readers see the old file or the new one. If the server says that it
//! could not store the file, that is the error, whatever the size. If it says nothing within `reply-timeout`, another session asks for
//! the size, which decides. An upload is never repeated: a lost connection is ECONNRESET.
//!
//! DISCARD and a plain close remove the new file. DISCARD is EIO if a COMMIT was under way and the server has renamed the file already,
//! or does not say within 4 s what became of it. What a crash of the host or a lost server leaves has that name, and may be
//! removed when it is older than the longest upload: `find /srv/ftp -name '.zvfs-????????????????' -mtime +1 -delete`.
//!
//! TRUNCATE and ATOMIC mean the whole file; without both, a file that exists and is not empty is refused (ENOTSUP). Without CREATE the
//! provider first checks that the file exists. EXCLUSIVE checks that it does not, at open and before the rename; FTP has no command
//! that does both, so two writers may both succeed if they commit within one round trip.
//!
//! # Names
//! List uses MLSD, or LIST in the forms of `ls -l` and MS-DOS, from inside the folder, so that no name is taken for a pattern. A line
//! that is none of these is EPROTO. LIST tells no times, since they are of the server's own zone. Remove never removes a folder.
//!
//! # Waits
//! `connect-timeout`, `reply-timeout` and `stall-timeout` bound every wait, and each ends within 100 ms of the host's cancel or deadline.
//! Transient failures are retried, with pauses that double: 421, 425, 426, 450, 451, lost connections, stalls; a connection
//! that cannot be made only if the file was there before.
//!
//! # Codes
//! A message has the server's own words, without the password.
//!
//! | What | Code |
//! |---|---|
//! | 550, unless its words say otherwise; no such host | ENOENT |
//! | 430, 530, 532, 533, 534, 536, 553; 550 "permission denied"; the operator's policy | EACCES |
//! | the file changed, or is gone | ESTALE |
//! | EXCLUSIVE, and it is there | EEXIST |
//! | to read, write or remove a folder; to list a file | EISDIR; ENOTDIR |
//! | not such a URL; 501 | EINVAL |
//! | 500, 502, 504; reading at positions where it cannot be; read and write at once | ENOTSUP |
//! | 452, 552; others that speak of a full disk or a quota | ENOSPC |
//! | a new file's name of more than 255 bytes; a server that says that a name is too long | ENAMETOOLONG |
//! | 421, 450, a server with too many users, after the attempts | EBUSY |
//! | 425, 426, a lost connection, after the attempts; during an upload at once | ECONNRESET |
//! | 451 after the attempts; the new file's size is not what was sent; a DISCARD that came too late | EIO |
//! | not FTP; a reply of more than 256 KiB, or that does not fit; wrong lengths; TLS, its certificates | EPROTO |
//! | the connection cannot be made | ECONNREFUSED, EHOSTUNREACH, ENETUNREACH, ETIMEDOUT |
//! | silence beyond a limit, after the attempts; of an upload | ETIMEDOUT; ECONNRESET |
//!
//! The protocol is the crate `suppaftp`'s; connections, waiting as a caller and attempts are `zvfs-net`'s and `zvfs-runtime`'s.
//!
//! | Module | What it is |
//! |---|---|
//! | `provider`, `instance` | the provider; one configuration and what its opens become |
//! | `settings` | what an operator and an open may set: the schema, the login |
//! | `target` | what a descriptor names: a server, an account, a path |
//! | `reader`, `download` | a file that is read; a transfer from the server |
//! | `writer`, `upload` | a file that is written; a transfer to the server, and what becomes of its file |
//! | `namespace`, `facts` | stat, list, remove; what a server says of its files |
//! | `client`, `caller` | sessions, kept or begun; who waits |
//! | `session`, `tls` | a control connection and its commands; TLS that is resumed |
//! | `reply`, `features` | what a refusal means; what a server can do |

mod caller;
mod client;
mod download;
mod facts;
mod features;
mod instance;
mod namespace;
mod provider;
mod reader;
mod reply;
mod session;
mod settings;
mod target;
mod tls;
mod upload;
mod writer;

pub use provider::FtpProvider;

vfs_core::export_provider!(FtpProvider);
