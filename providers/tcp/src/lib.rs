//! The provider `tcp`: netpipes, named pipes between machines, over TCP. Schemes `tcp`, `netpipe` and `opaque`; all of them
//! speak the netpipe protocol, none is a raw socket.
//!
//! A pipe has one reader and one writer, or as many as the reader's `writers` says; each end may be opened first.
//!
//! | Descriptor | |
//! |---|---|
//! | `tcp://host:port` | direct: the reader listens there, the writer dials; `?role=listen` or `connect` turns it round |
//! | `tcp:host:port` | the same, shorter |
//! | `tcp://broker:port/name` | through a broker; the name as it stands, percent-decoded once |
//! | `netpipe:broker:port:name:mode` | read from the right: mode (`r`, `w`), name; what is left is the broker, or the configured one |
//! | `tcp:2:`, `tcp:2:0` | ZeroVM's: the node 2, as in `netpipe:2` |
//! | `opaque:broker\|name`, `opaque:broker\|>name` | read; write; the broker `local` is the configured one |
//!
//! Each may end in `?key=value&...`: `mode`, `role`, and the settings that an open may give. `zvfs providers` lists those.
//!
//! | Module | What it is |
//! |---|---|
//! | `descriptor`, `endpoint`, `settings`, `plan` | from a request to what is to be done |
//! | `provider`, `instance` | the provider; one configuration and its thread |
//! | `reader`, `inflow` | the reading end; one writer's stream |
//! | `writer`, `splice` | the writing end; a frame out of a file |
//! | `pipe`, `upstream`, `outgoing`, `queue`, `signal` | what files and the service thread share |
//! | `service`, `reactor` | the service thread |
//! | `socket`, `tls`, `certificate`, `link` | TCP as this provider wants it; TLS on it; why there is no trust; a connection |
//! | `waiting`, `failure` | waiting as a caller; why a pipe cannot go on |

mod certificate;
mod descriptor;
mod endpoint;
mod failure;
mod inflow;
mod instance;
mod link;
mod outgoing;
mod pipe;
mod plan;
mod provider;
mod queue;
mod reactor;
mod reader;
mod service;
mod settings;
mod signal;
mod socket;
mod splice;
mod tls;
mod upstream;
mod waiting;
mod writer;

pub use provider::Tcp;

vfs_core::export_provider!(Tcp);
