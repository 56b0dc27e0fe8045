//! The provider `sftp`: files of SSH servers, by SFTP version 3. It returns the right bytes or an error, whatever the server does.
//!
//! `sftp://[user[:password]@]host[:port]/path`. The path is absolute and percent-decoded once; `/~/x` is `x` in the user's home
//! folder, `/%7E/x` is not. A name need not be UTF-8 (`%FF`). No message shows what stands before the `@`. `zvfs providers` lists
//! the settings.
//!
//! # Host keys
//! The key that a server shows must be in one of the files of `known-hosts`, under its name as the descriptor has it, in lower case
//! and with a port other than 22 as `[host]:port`. Patterns, negated ones and hashed names count, and so does `@revoked`;
//! `@cert-authority` is passed over. A key that is not there is EACCES, with its fingerprint and the line to add; one that differs
//! is, too. Of several keys the server is asked for one that is known. With `unknown-hosts = "trust-first"`, a server of which no key
//! is known is trusted by the first that it shows, until the instance ends; nothing is written down.
//!
//! Ed25519 and ECDSA keys are known, of servers and of users. RSA keys log in through an agent only, and are no host keys here: the
//! SSH library has RSA from a package with an open advisory (RUSTSEC-2023-0071), and so is built without it. A server that has only an
//! RSA key is EPROTO, and can be given another one beside it: `ssh-keygen -A` makes those that OpenSSH lacks.
//!
//! # Logging in
//! As the descriptor's user, or else `user`: with the key of `key-file`, the first five keys of the `agent`, and the descriptor's
//! password, or else `password` for the hosts in `credentials-for`, also where the server asks for it in a dialogue
//! (keyboard-interactive). What a server wants several of, it gets one after the other.
//!
//! # Connections
//! One for each server and user, shared by the files of an instance, with at most `channels` SFTP sessions: servers serve the files
//! of one session one after the other. It is closed when nobody has used it for `idle-timeout`, and replaced when it is lost. A
//! silent server is asked whether it is there (`keep-alive`); one that leaves requests without a word for `reply-timeout` is lost.
//!
//! # Reading
//! What is read from start to end is requested ahead, at most `window` bytes at once, less at first; with the hint RANDOM it is not. A
//! positional read is as many requests at once as it needs, and may return less than was asked for.
//!
//! A file that is only read is opened again when its connection is lost, and read on at the right byte, if its size and its time of
//! change are what they were; if not, that is ESTALE. So is a file that ends before the size that it had. (SFTP's times are in
//! seconds: a change of the same size within the second that the file was opened in is not seen.) A file that is read and written is
//! not opened again: ECONNRESET.
//!
//! # Writing
//! Writes are taken into a buffer and sent in pieces, at most `window` bytes under way. A failure is met by the next call, and by
//! COMMIT. Reading, the size and SYNC wait for what was written. SYNC is ENOTSUP if the server cannot say that a file is durable
//! (`fsync@openssh.com`). With APPEND each write waits until it is done.
//!
//! With ATOMIC a file is written under a hidden name beside its own, `.name.zvfs-0` (to `-7`), and renamed by COMMIT, once it is
//! closed and has the size that was written. It has the owner and the permissions of the file that it replaces, without set-id
//! bits; where it cannot, where the folder takes no new file, and where what is there is no regular file, ATOMIC is ENOTSUP. A
//! symbolic link is followed, and what it leads to is replaced. A killed process or a lost connection may leave a hidden file: one
//! that nobody has written for a day is removed by the next ATOMIC open of the name that finds it in its way. A server without
//! `posix-rename@openssh.com` cannot replace a file at once: there the old one is removed first, and a process that is killed between the
//! two leaves only the hidden one.
//!
//! EXCLUSIVE is the server's own in place. With ATOMIC the name is looked at when the file is opened, and by the rename, which
//! refuses a name that is taken. A COMMIT that was begun goes on when its caller's time is over, and may be asked for again. DISCARD
//! breaks it off and removes a hidden file; in place, what was written stays. Where the server does not say within 4 s that the hidden
//! file is gone, or says that it is no more there, DISCARD is EIO.
//!
//! Other writers are not kept out: SFTP has no locks.
//!
//! # Codes
//! SFTP has few statuses. What a server says in words is taken from there; where it has none, it is asked how much room there is.
//!
//! | What | Code |
//! |---|---|
//! | no such file, folder or host | ENOENT |
//! | an unknown, changed or revoked host key; a refused login; the server's permissions; the operator's policy | EACCES |
//! | it is there, with EXCLUSIVE | EEXIST |
//! | a folder, to open or to remove; no folder, to list | EISDIR, ENOTDIR |
//! | a FIFO, a socket, a device | EPROTONOSUPPORT, or ENOTSUP with ATOMIC |
//! | a name that is too long | ENAMETOOLONG |
//! | no room | ENOSPC |
//! | the file changed, or ends too early | ESTALE |
//! | no SFTP on that server; what it cannot do | ENOTSUP |
//! | no more channels | EBUSY |
//! | not SSH, not SFTP, no common algorithms, answers to something else | EPROTO |
//! | the connection cannot be made | ECONNREFUSED, EHOSTUNREACH, ENETUNREACH, ETIMEDOUT |
//! | it was lost, after the attempts | ECONNRESET, ETIMEDOUT |
//! | any other status | EIO |
//!
//! # The library
//! SSH is `russh`. SFTP is ours: `russh-sftp` 3.0 takes names and handles for text. OpenSSH's handles are binary numbers, so that the
//! 129th open file of a session could not be read; and it ends a session at a status that version 3 does not have.
//!
//! | Module | What it is |
//! |---|---|
//! | `provider`, `instance` | the provider; one configuration and what its opens become |
//! | `settings` | what an operator and an open may set |
//! | `target` | a descriptor |
//! | `pool` | the connections of an instance |
//! | `connection`, `known_hosts`, `login` | one connection: dialled, its host key checked, logged in |
//! | `session`, `packet` | an SFTP session: requests and replies; their bytes |
//! | `calls` | the calls on files and names, and what they fail with |
//! | `file` | an open file |
//! | `source` | what is read: requested ahead, opened again |
//! | `store`, `upload` | what is written, on its way; a file that is hidden until COMMIT |
//! | `namespace` | stat, list, remove |
//! | `caller`, `failure` | who waits; SSH's errors and SFTP's statuses in our codes |

mod caller;
mod calls;
mod connection;
mod failure;
mod file;
mod instance;
mod known_hosts;
mod login;
mod namespace;
mod packet;
mod pool;
mod provider;
mod session;
mod settings;
mod source;
mod store;
mod target;
mod upload;

pub use provider::SftpProvider;

vfs_core::export_provider!(SftpProvider);
