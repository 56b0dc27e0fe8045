//! A provider.
