//! The provider `tcp`: netpipes, named pipes between machines, over TCP. Schemes `tcp`, `netpipe` and `opaque`; all of them
//! speak the netpipe protocol, none is a raw socket.
//!
//! A pipe has one reader and one writer, or as many as the reader's `writers` says; each end may be opened first.
//!
//! `netpipe::descriptor` has every form of a descriptor, `zvfs providers` lists the settings that one may end in.
//!
//! | Module | What it is |
//! |---|---|
//! | `settings`, `plan` | from a request to what is to be done |
//! | `provider`, `instance` | the provider; one configuration and its thread |
//! | `reader`, `inflow` | the reading end; one writer's stream |
//! | `writer`, `splice` | the writing end; a frame out of a file |
//! | `pipe`, `upstream`, `outgoing`, `queue` | what files and the service thread share |
//! | `service`, `reactor` | the service thread |
//! | `tls`, `certificate`, `link` | TLS; why there is no trust; a connection |
//! | `failure` | why a pipe cannot go on |

mod certificate;
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
mod splice;
mod tls;
mod upstream;
mod writer;

pub use provider::Tcp;

vfs_core::export_provider!(Tcp);
