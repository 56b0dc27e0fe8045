//! The provider `object`: objects of S3 and of what speaks its protocol, of Google Cloud Storage and of Azure Blob Storage, by the
//! library `object_store` over connections of our own. It returns the right bytes or an error, whatever the store does.
//!
//! `docs/object.md` says what an operator decides, and what whoever opens may rely on.
//!
//! | Module | What it is |
//! |---|---|
//! | `provider`, `instance` | the provider; one configuration and what its opens become |
//! | `settings`, `credentials` | what an operator and an open may set; who we are to the store |
//! | `target` | a descriptor: kind of store, bucket, key |
//! | `stores` | the library's clients, one for each bucket |
//! | `reader` | an object that is read: as it was when it was opened, ranges, read-ahead |
//! | `writer` | an object that is written: one request, or parts; what is removed after a close |
//! | `namespace`, `mtime` | stat, list, remove; the time that an object is given |
//! | `transport` | HTTP/1.1 for the library, by hyper: connections, limits, answers that are no success |
//! | `started`, `failure` | work that goes on while nobody waits; what the library's errors mean |

mod credentials;
mod failure;
mod instance;
mod mtime;
mod namespace;
mod provider;
mod reader;
mod settings;
mod started;
mod stores;
mod target;
mod transport;
mod writer;

pub use provider::ObjectProvider;

vfs_core::export_provider!(ObjectProvider);
