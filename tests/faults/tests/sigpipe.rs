//! A provider raises no SIGPIPE, though its host is written in C and leaves that signal deadly.

use std::path::Path;
use std::process::Command;
use zvfs_abi_tests::compilers;
use zvfs_faults::Plugins;
use zvfs_test_support::{fifo, library, run};

#[test]
fn a_write_to_a_fifo_whose_reader_left_is_epipe_and_not_death() {
    let folder = Plugins::new();
    let (host, fifo) = (folder.path().join("sigpipe"), fifo(folder.path().join("fifo")));
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("hosts/sigpipe.c");
    compilers()[0].build(&source, &host, &["-D_GNU_SOURCE", "-Wno-pedantic", "-ldl"]).unwrap();
    let mut command = Command::new(&host);
    command.arg(library("file")).arg(&fifo);
    let output = run(command).unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    // A signal would be in the status: `signal: 13 (SIGPIPE)`.
    assert!(output.status.success(), "{}: {text}", output.status);
    assert_eq!(text, "write returned -32\nhandler as it was, signal as it was\n");
}
