//! The provider `sftp`: files of SSH servers, by SFTP version 3. It returns the right bytes or an error, whatever the server does.
//!
//! `docs/sftp.md` says what an operator decides, and what whoever opens may rely on.
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
