//! The provider `nats`: netpipes, named pipes between machines, over NATS servers. Schemes `nats`, and by an operator's alias
//! `netpipe` and `opaque`: `netpipe = "nats"` moves the pipes of a job from `tcp`'s broker to a NATS cluster, and nothing else changes.
//!
//! | Descriptor | |
//! |---|---|
//! | `nats:name:mode` | the pipe `name`; mode is `r` or `w` |
//! | `nats:server:port:name:mode`, `nats://server:port/name?mode=w` | the same at a server that the operator lists; in a URL the name is the whole name, without node and job |
//!
//! Each may end in `?key=value&...`: `mode`, and the settings that an open may give. `netpipe::descriptor` has the grammar.
//!
//! docs/netpipe-nats.md is the wire format. NATS itself promises little: a message arrives at most once. `netpipe::lossy` makes pipes of
//! that: frames, and both ends as state machines. Here is what executes them.
//!
//! | Module | What it is |
//! |---|---|
//! | `settings`, `plan` | from a request to what is to be done |
//! | `provider`, `instance` | the provider; one configuration and its connection |
//! | `reader`, `writer` | the ends as open files |
//! | `pipe` | what a file and the service share |
//! | `service`, `messages` | the task that serves all ends; what it publishes and listens to |
//! | `names`, `connection` | where names are kept; the connection to the server |
//! | `permissions` | what the server does not let this side do |

mod connection;
mod instance;
mod messages;
mod names;
mod permissions;
mod pipe;
mod plan;
mod provider;
mod reader;
mod service;
mod settings;
mod writer;

pub use provider::Nats;

vfs_core::export_provider!(Nats);
