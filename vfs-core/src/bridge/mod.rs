//! The boundary: traits to C for a provider ([`export`]), C to traits for a host (`import`).

pub mod entries;
pub mod export;
mod foreign;
mod held;
#[cfg(feature = "host")]
pub(crate) mod import;
mod inner;
mod outcome;
mod rules;
mod translate;
mod values;
