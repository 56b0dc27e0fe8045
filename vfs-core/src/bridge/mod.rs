//! The boundary: traits to C for a provider ([`export`]). What a host needs for the other way, `host::import`, uses the same
//! parts.

pub mod entries;
pub mod export;
mod foreign;
pub(crate) mod held;
mod inner;
pub(crate) mod interest;
pub(crate) mod outcome;
mod rules;
pub(crate) mod translate;
pub(crate) mod values;
