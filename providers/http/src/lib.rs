//! The provider `http`: objects of HTTP servers, over `http` and `https`. It returns the right bytes or an error, whatever the
//! server does.
//!
//! `http://[user:password@]host[:port]/path[?query]`. Credentials in the URL work. No message shows them, nor the values of a
//! query or of parameters in the path (`;jsessionid=...`). `zvfs providers` lists the settings.
//!
//! `docs/http.md` says what an operator decides, and what whoever opens may rely on.
//!
//! New connections, waiting as a caller, why an attempt failed and when another one follows are the crate `zvfs-net`'s.
//!
//! | Module | What it is |
//! |---|---|
//! | `provider`, `instance` | the provider; one configuration and what its opens become |
//! | `settings` | what an operator and an open may set: the schema, further headers, credentials, the proxy |
//! | `target` | a URL |
//! | `reader` | an object that is read: its first answer and what later ones are held against, ranges, read-ahead |
//! | `writer` | an object that is written: its head, which decides before the body, and the body |
//! | `namespace` | stat, remove; what is no file |
//! | `client` | requests and what comes of them: redirects, attempts, statuses, the least rate, kept connections |
//! | `wire` | HTTP/1.1 on a connection, by `httparse`: heads, bodies, ranges, TLS. A broken answer is refused here |

mod client;
mod instance;
mod namespace;
mod provider;
mod reader;
mod settings;
mod target;
mod wire;
mod writer;

pub use provider::HttpProvider;

vfs_core::export_provider!(HttpProvider);
