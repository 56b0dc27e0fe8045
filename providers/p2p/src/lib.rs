//! The provider `p2p`: netpipes, named pipes between machines, between peers that know each other by their public keys, without a
//! server. Schemes `p2p`, and by an operator's alias `netpipe` and `opaque`: `netpipe = "p2p"` moves the pipes of a job here.
//!
//! | Descriptor | |
//! |---|---|
//! | `p2p:name:mode` | the pipe `name`; mode is `r` or `w`. With a node, as in a job, `name` is the peer's node |
//! | `p2p:peer:name:mode`, `p2p://peer/name?mode=w` | the same; the other end is this peer, by a name of the setting `peers` or by its key. In a URL the name is the whole name, without node and job |
//! | `p2p:` | this side's own public key, to read |
//!
//! Each but the last may end in `?key=value&...`: `mode`, and the settings that an open may give. `netpipe::descriptor` has the grammar.
//!
//! A pipe is at its reader: its whole name is the reader's key and its name, so nobody else can claim it. A writer opens a stream to
//! whoever may be its reader, says what it wants, and waits there. docs/netpipe-p2p.md is the wire format: the frames of netpipe
//! in streams of QUIC. iroh makes the connections; it takes neither our resolver nor our connector, so `addresses` and
//! `allowed-hosts` are no settings here. What it dials are the addresses of the setting `peers`.
//!
//! | Module | What it is |
//! |---|---|
//! | `settings`, `key`, `peers`, `plan` | from a request to what is to be done |
//! | `provider`, `instance` | the provider; one configuration and its socket |
//! | `reader`, `writer`, `shown_key` | the ends as open files; the key as a file |
//! | `troubles` | why the other end is not there yet |
//! | `side` | one side of a stream without IO: bytes go in and out |
//! | `writer_end` | the writing one |
//! | `reader_end`, `inflow` | the reading one; one writer's stream |
//! | `stream` | a stream to the other end, and who moves the bytes of a side |
//! | `tasks` | what runs, and what a stop waits for |
//! | `node`, `link` | this side among its peers; the connection to one of them |
//! | `discovery` | what peers say on the local network of where they are |
//! | `seek`, `greet`, `names` | a writer looks for its reader; whoever comes is led to one; the readers that are here |

mod discovery;
mod greet;
mod inflow;
mod instance;
mod key;
mod link;
mod names;
mod node;
mod peers;
mod plan;
mod provider;
mod reader;
mod reader_end;
mod seek;
mod settings;
mod shown_key;
mod side;
#[cfg(test)]
mod simulation;
mod stream;
mod tasks;
mod troubles;
mod writer;
mod writer_end;

pub use provider::P2p;

vfs_core::export_provider!(P2p);
