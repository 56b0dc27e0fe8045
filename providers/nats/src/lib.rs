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
//! docs/netpipe-nats.md is the wire format. NATS itself promises little: a message arrives at most once. So the ends of a pipe number
//! their bytes, keep what the reader has not taken, and send it again.
//!
//! | Module | What it is |
//! |---|---|
//! | `settings`, `plan` | from a request to what is to be done |
//! | `provider`, `instance` | the provider; one configuration and its connection |
//! | `reader`, `writer`, `caller` | the ends as open files; waiting as a caller |
//! | `frame` | what the ends say to each other |
//! | `end` | an end as a state machine without IO: what goes in and out |
//! | `writer_end`, `outgoing` | the writing one; what it keeps to send again |
//! | `reader_end`, `inflow`, `claim` | the reading one; one writer's stream; how a reader comes by its name |
//! | `pipe` | what a file and the service share |
//! | `service`, `names`, `connection` | the task that serves all ends; where names are kept; the connection to the server |

mod caller;
mod claim;
mod connection;
mod end;
mod frame;
mod inflow;
mod instance;
mod names;
mod outgoing;
mod pipe;
mod plan;
mod provider;
mod reader;
mod reader_end;
mod service;
mod settings;
#[cfg(test)]
mod simulation;
mod writer;
mod writer_end;

pub use provider::Nats;

vfs_core::export_provider!(Nats);
