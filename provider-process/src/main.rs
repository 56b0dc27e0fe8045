//! The program of the library that is beside it.

use std::env::args_os;
use std::process::ExitCode;

fn main() -> ExitCode {
    zvfs_provider::main(args_os())
}
