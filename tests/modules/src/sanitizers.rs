//! AddressSanitizer and UndefinedBehaviorSanitizer in a module, in a server that was built without them.

use std::fs;
use std::path::Path;
use std::process::Command;
use zvfs_test_support::succeeded;

/// Variables of a module's makefile. Its sanitizers are in the server, not in the module: see [`environment`].
pub const VARIABLES: [&str; 2] =
    ["CFLAGS=-g -O1 -fsanitize=address,undefined -fno-sanitize-recover=undefined", "LDFLAGS=-Wl,-z,undefs"];

/// The server's environment, in which `$FOLDER` is to be a folder of its own. Faults are the engine's.
pub fn environment() -> [(&'static str, String); 2] {
    let library = |name: &str| {
        let mut cc = Command::new("cc");
        cc.arg(format!("-print-file-name={name}"));
        String::from_utf8(succeeded(cc).stdout).unwrap().trim().to_owned()
    };
    let faults = "handle_segv=0:handle_sigbus=0:handle_sigill=0:handle_sigfpe=0";
    [
        ("LD_PRELOAD", format!("{}:{}", library("libasan.so"), library("libubsan.so"))),
        ("ASAN_OPTIONS", format!("{faults}:log_path=$FOLDER/sanitizer")),
    ]
}

/// What they found, of a server that has ended: leaks too.
pub fn findings(folder: &Path) -> String {
    let files = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap());
    let logs = files.filter(|file| file.file_name().to_string_lossy().starts_with("sanitizer"));
    logs.map(|log| fs::read_to_string(log.path()).unwrap()).collect()
}
