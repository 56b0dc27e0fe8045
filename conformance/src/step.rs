//! What a step of a check comes to: a value, or why the check does not go on.

use vfs_core::Code;

/// What a step of a check comes to.
pub type Step<T = ()> = Result<T, Stop>;

/// Why a check does not go on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stop {
    /// It does not apply: the reason, such as a capability that is not claimed.
    Skip(String),
    /// The provider is at fault: how.
    Fail(String),
    /// So is this, but another failure may have caused it: a connection was lost.
    Lost(String),
}

impl From<vfs_core::Error> for Stop {
    fn from(error: vfs_core::Error) -> Stop {
        let how = format!("{} ({})", error.chain(), error.code());
        match error.code() {
            Code::EPIPE | Code::ECONNRESET => Stop::Lost(how),
            _ => Stop::Fail(how),
        }
    }
}

impl From<std::io::Error> for Stop {
    fn from(error: std::io::Error) -> Stop {
        Stop::Fail(format!("the suite's own side: {error}"))
    }
}
