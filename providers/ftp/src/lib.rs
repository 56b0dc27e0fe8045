//! The provider `ftp`: files of FTP servers, over `ftp` and `ftps`. It returns the right bytes or an error, and what it writes is
//! there as a whole or not at all.
//!
//! `docs/ftp.md` says what an operator decides, and what whoever opens may rely on.
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
//! | `times` | whether the server gives that file a time |
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
mod times;
mod tls;
mod upload;
mod writer;

pub use provider::FtpProvider;

vfs_core::export_provider!(FtpProvider);
