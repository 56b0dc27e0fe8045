//! A host and a port, as an operator or a descriptor writes them.

pub use netpipe::endpoint::{BROKER_PORT, Endpoint};

use std::borrow::Cow;
use vfs_core::{Code, Error, Result};

/// Parses `host:port`, or `host` alone where there is a default.
///
/// # Errors
/// EINVAL: it is neither.
pub fn parse(text: &str, default: Option<u16>) -> Result<Endpoint> {
    Endpoint::parse(text, default).map_err(|error| {
        // What stands before an @ may be a password, as in a URL, though there is none here.
        let text =
            text.rsplit_once('@').map_or(Cow::Borrowed(text), |(_, host)| format!("***@{host}").into());
        Error::new(Code::EINVAL, format!("`{}` is {error}", text.escape_debug()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A stranger's report: `tcp://u:pw@host:port` was shown without the password, and then with it.
    #[test]
    fn no_password_is_in_an_error() {
        for text in ["u:secret@127.0.0.1:5000", "u:secret@h", "secret@h@h:1"] {
            let error = parse(text, None).unwrap_err().to_string();
            assert!(!error.contains("secret") && error.contains("***@"), "{error}");
        }
    }
}
