//! What a step of a check comes to: a value, or why the check does not go on.

/// What a step of a check comes to.
pub type Step<T = ()> = Result<T, Stop>;

/// Why a check does not go on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stop {
    /// It does not apply: the reason, such as a capability that is not claimed.
    Skip(String),
    /// The provider is at fault: how.
    Fail(String),
}

impl From<vfs_core::Error> for Stop {
    fn from(error: vfs_core::Error) -> Stop {
        Stop::Fail(format!("{} ({})", error.chain(), error.code()))
    }
}

impl From<std::io::Error> for Stop {
    fn from(error: std::io::Error) -> Stop {
        Stop::Fail(format!("the suite's own side: {error}"))
    }
}
