//! The boundary: traits to C for a provider ([`export`]), C to traits for a host (`import`).

pub mod export;
mod foreign;
#[cfg(feature = "host")]
pub(crate) mod import;
mod strings;
mod translate;
