//! Servers that the larger providers are tested and measured against: one module for each kind. Each is on loopback, at a port that
//! nobody else has, with its files in a temporary folder, and ends when it is dropped or the test is killed. A server whose program
//! is not installed is skipped, which the test prints; in CI that is a failure.
#![allow(clippy::unwrap_used, reason = "support of tests: what cannot be prepared fails the test")]

mod azure;
mod fetched;

pub mod ftp;
mod google;
mod nats;
mod s3;
pub mod ssh;
pub mod torrent;

pub use azure::Azure;
pub use google::Google;
pub use nats::NatsServer;
pub use s3::S3;
