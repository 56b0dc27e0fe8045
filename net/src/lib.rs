//! What providers of network protocols share. It knows the SDK and no provider.
//!
//! | Module | What it is |
//! |---|---|
//! | `socket` | TCP sockets that never block |
//! | `pem` | an operator's certificates and private keys, in files |

pub mod pem;
pub mod socket;
