//! The nginx of this machine, whose answers are guests'.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking, its helpers too")]

mod answers;
mod clients;
mod compiling;
mod configuration;
mod failures;
mod limits;
mod load;
mod streams;

use std::fs;

/// One guest that does what a request says.
const CGI: &str = "location /cgi { zvm_program @CGI@; }";

const MIB: usize = 1 << 20;

/// A file of this project.
fn text(path: &str) -> String {
    fs::read_to_string(zvfs_abi_tests::project().join(path)).unwrap()
}

fn status(output: &std::process::Output) -> Option<i32> {
    output.status.code()
}
