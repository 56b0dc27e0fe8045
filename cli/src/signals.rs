//! SIGINT, SIGTERM and SIGHUP: the first one asks, the second one ends the process at once.

use crate::exit::{Failure, of_signal};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use signal_hook::low_level;
use std::thread;
use vfs_core::Error;

/// Calls `first` for the first signal, on a thread of its own. A later one ends the process.
pub fn listen(first: impl FnOnce(i32) + Send + 'static) -> Result<(), Failure> {
    let failed = |error: std::io::Error| Failure::from(Error::from(error).context("listen for signals"));
    let mut signals = Signals::new([SIGINT, SIGTERM, SIGHUP]).map_err(failed)?;
    let listen = move || {
        let mut first = Some(first);
        for signal in signals.forever() {
            match first.take() {
                Some(first) => first(signal),
                None => leave(of_signal(signal)),
            }
        }
    };
    thread::Builder::new().name("signals".to_owned()).spawn(listen).map_err(failed)?;
    Ok(())
}

/// Ends the process without waiting for any thread: one of them may be stuck in a provider.
pub fn leave(code: u8) -> ! {
    low_level::exit(code.into())
}
