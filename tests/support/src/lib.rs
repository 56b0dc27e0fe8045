//! What the tests of several crates need. It knows none of them.
//!
//! | Module | What it is |
//! |---|---|
//! | `skips` | what a test does where the machine lacks what it needs: says so past the harness's capture, and counts |

mod skips;

pub use skips::{find, have, skip, summary};
