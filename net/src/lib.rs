//! What providers of network protocols share. It knows the SDK and no provider.
//!
//! | Module | What it is |
//! |---|---|
//! | `address` | which addresses an operator allows |
//! | `origin`, `hosts`, `policy` | a server; lists of hosts; where connections may go |
//! | `resolve`, `dial`, `socket`, `autotuning` | names to addresses; the first of several addresses that answers; TCP sockets that never block; their receive buffers |
//! | `waiting`, `stated`, `caller` | waiting as a caller, in the wait of its context; what the host is told of it; the same for the ends of pipes |
//! | `signal`, `awaited` | what wakes a thread that waits; a value that a file waits on and others change |
//! | `failure`, `retry` | why an attempt failed, and whether another one may help; how often, and after how long |
//! | `whole` | opens where a file is read, or replaced as a whole |
//! | `pem`, `certificate`, `tls` | an operator's certificates and private keys, in files; why a certificate was not accepted; TLS to a server |

pub mod address;
mod autotuning;
pub mod awaited;
pub mod caller;
pub mod certificate;
pub mod dial;
pub mod failure;
pub mod hosts;
pub mod origin;
pub mod pem;
pub mod policy;
pub mod resolve;
pub mod retry;
pub mod signal;
pub mod socket;
mod stated;
pub mod tls;
pub mod waiting;
pub mod whole;
