//! The boundary: traits to C for a provider ([`export`]), C to traits for a host (`import`).

mod entries;
pub mod export;
mod foreign;
mod guard;
#[cfg(feature = "host")]
pub(crate) mod import;
mod inner;
mod outcome;
mod rules;
mod strings;
mod translate;
mod values;
