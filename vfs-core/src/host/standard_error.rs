//! The log of a host that gave none.

use crate::sigpipe::without_sigpipe;
use rustix::io::Errno;

/// Writes a line to standard error, behind a name. Whoever reads there may be gone: that loses the line, but raises neither a
/// panic, as `eprintln!` does, nor SIGPIPE.
pub fn log_to_stderr(name: &str, text: &str) {
    let line = format!("{name}: {text}\n");
    let mut left = line.as_bytes();
    while !left.is_empty() {
        match without_sigpipe(|| rustix::io::write(std::io::stderr(), left)) {
            Ok(count) => left = &left[count.min(left.len())..],
            Err(Errno::INTR) => {}
            Err(_) => return,
        }
    }
}
