//! Loads providers, under the operator's policy.
//!
//! Every refusal is a variant of [`Refusal`], found as the source of the error, and says what mends it.

mod image;
mod library;
mod refusal;
pub(crate) mod trust;

pub(crate) use library::CheckedFile;
pub use library::{Digest, Library};
pub use refusal::Refusal;
