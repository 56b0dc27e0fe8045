//! The sets of bits that cross the ABI.

use crate::code::Code;
use crate::error::{Error, Result};

macro_rules! flags {
    ($(#[$doc:meta])* $type:ident: $($(#[$bit_doc:meta])* $name:ident = $bit:expr;)*) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
        #[cfg_attr(feature = "host", derive(serde::Serialize, serde::Deserialize))]
        pub struct $type(u64);

        impl $type {
            $($(#[$bit_doc])* pub const $name: $type = $type($bit);)*

            /// No bit.
            pub const fn empty() -> $type {
                $type(0)
            }

            /// The set of these raw bits, unknown ones too.
            pub const fn from_bits(bits: u64) -> $type {
                $type(bits)
            }

            /// The raw bits.
            pub const fn bits(self) -> u64 {
                self.0
            }

            /// Whether every bit of `other` is here.
            pub const fn contains(self, other: $type) -> bool {
                self.0 & other.0 == other.0
            }

            /// Whether any bit of `other` is here.
            pub const fn intersects(self, other: $type) -> bool {
                self.0 & other.0 != 0
            }

            /// Whether no bit is set.
            pub const fn is_empty(self) -> bool {
                self.0 == 0
            }

            /// This set without the bits of `other`.
            pub const fn without(self, other: $type) -> $type {
                $type(self.0 & !other.0)
            }

            /// Both sets together, in a constant.
            pub const fn union(self, other: $type) -> $type {
                $type(self.0 | other.0)
            }
        }

        impl std::ops::BitOr for $type {
            type Output = $type;
            fn bitor(self, other: $type) -> $type {
                self.union(other)
            }
        }

        impl std::ops::BitOrAssign for $type {
            fn bitor_assign(&mut self, other: $type) {
                self.0 |= other.0;
            }
        }

        impl std::ops::BitAnd for $type {
            type Output = $type;
            fn bitand(self, other: $type) -> $type {
                $type(self.0 & other.0)
            }
        }

        impl $type {
            fn names(self) -> Vec<String> {
                let mut rest = self.0;
                let mut names = Vec::new();
                $(if self.0 & $bit != 0 {
                    names.push(stringify!($name).to_owned());
                    rest &= !$bit;
                })*
                if rest != 0 || names.is_empty() {
                    names.push(format!("{rest:#x}"));
                }
                names
            }
        }

        impl std::fmt::Debug for $type {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(&self.names().join("|"))
            }
        }

        impl std::fmt::Display for $type {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(&self.names().join(", "))
            }
        }
    };
}

flags! {
    /// How to open. Bits 0 to 31 must be understood by whoever gets them, 32 to 63 are hints.
    OpenFlags:
    /// For reading. With neither this nor `WRITE` the descriptor decides.
    READ = 0x1;
    /// For writing.
    WRITE = 0x2;
    /// Create it if it is absent.
    CREATE = 0x4;
    /// Start empty.
    TRUNCATE = 0x8;
    /// With `CREATE`: EEXIST if it is there.
    EXCLUSIVE = 0x10;
    /// Every write goes to the end of that moment.
    APPEND = 0x20;
    /// Nothing is visible under the name until COMMIT.
    ATOMIC = 0x40;
    /// Reserve the expected size now, or fail with ENOSPC or EFBIG.
    PREALLOCATE = 0x80;
    /// Hint: from start to end.
    SEQUENTIAL = 1 << 32;
    /// Hint: no read-ahead.
    RANDOM = 1 << 33;
}

impl OpenFlags {
    /// The bits that may be ignored.
    pub const HINTS: OpenFlags = OpenFlags(0xffff_ffff_0000_0000);

    /// Refuses contradictions, the same ones for every provider. With neither direction the descriptor decides, so that
    /// what needs `WRITE` is let through.
    ///
    /// # Errors
    /// EINVAL: `CREATE`, `TRUNCATE`, `APPEND`, `ATOMIC` or `PREALLOCATE` for reading only, `EXCLUSIVE` without `CREATE`,
    /// `ATOMIC` with `APPEND` (it starts empty, under no name).
    pub fn check(self) -> Result<()> {
        let refuse = |text: String| Err(Error::new(Code::EINVAL, text));
        let writing = self & OpenFlags::FOR_WRITING;
        if self.contains(OpenFlags::READ) && !self.contains(OpenFlags::WRITE) && !writing.is_empty() {
            return refuse(format!("open: {writing} needs WRITE"));
        }
        if self.contains(OpenFlags::EXCLUSIVE) && !self.contains(OpenFlags::CREATE) {
            return refuse("open: EXCLUSIVE needs CREATE".to_owned());
        }
        if self.contains(OpenFlags::ATOMIC | OpenFlags::APPEND) {
            return refuse("open: ATOMIC starts empty, so it excludes APPEND".to_owned());
        }
        Ok(())
    }

    /// What means something to a writer only.
    const FOR_WRITING: OpenFlags = OpenFlags::CREATE
        .union(OpenFlags::TRUNCATE)
        .union(OpenFlags::APPEND)
        .union(OpenFlags::ATOMIC)
        .union(OpenFlags::PREALLOCATE);
}

flags! {
    /// What an open file can do; constant for its life.
    Capabilities:
    /// `read`.
    READABLE = 0x1;
    /// `write`.
    WRITABLE = 0x2;
    /// `seek` and `tell`.
    SEEKABLE = 0x4;
    /// `truncate`.
    TRUNCATABLE = 0x8;
    /// `read_at`.
    POSITIONAL_READ = 0x10;
    /// `write_at`.
    POSITIONAL_WRITE = 0x20;
    /// `stat`.
    STAT = 0x40;
    /// `lease` and `advance`.
    FD = 0x80;
    /// `send_from` where it is writable, `receive_into` where it is readable.
    SPLICE = 0x100;
    /// Every call ends within 100 ms of a cancel or the deadline.
    CANCEL = 0x200;
    /// `interest` and the `try_` calls.
    POLL = 0x400;
    /// `set_modified`, of a file that is written.
    TIMES = 0x800;
}

flags! {
    /// What a host that must not wait wants to do, and what of it is ready.
    Wanted:
    /// `try_read`.
    READ = 0x1;
    /// `try_write`.
    WRITE = 0x2;
    /// `try_finish`, of a COMMIT that was begun.
    FINISH = 0x4;
}

flags! {
    /// What to wait for, and what came.
    Events:
    /// A read would not block.
    READ = 0x1;
    /// A write would not block.
    WRITE = 0x2;
    /// Came only: the descriptor is in error.
    ERROR = 0x4;
    /// Came only: the other end hung up.
    HANGUP = 0x8;
}

flags! {
    /// Who may give a setting.
    Scope:
    /// The operator's configuration, at start.
    OPERATOR = 0x1;
    /// Whoever opens, with each open.
    OPEN = 0x2;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn contradictory_open_flags_are_einval() {
        type F = OpenFlags;
        for flags in [
            F::READ | F::CREATE,
            F::READ | F::TRUNCATE,
            F::READ | F::APPEND,
            F::READ | F::ATOMIC,
            F::READ | F::PREALLOCATE,
            F::WRITE | F::EXCLUSIVE,
            F::WRITE | F::CREATE | F::ATOMIC | F::APPEND,
        ] {
            assert_eq!(flags.check().unwrap_err().code(), Code::EINVAL, "{flags:?}");
        }
        for flags in [
            F::empty(),
            F::READ | F::from_bits(1 << 40),
            F::READ | F::WRITE | F::CREATE | F::TRUNCATE | F::PREALLOCATE,
            F::WRITE | F::CREATE | F::EXCLUSIVE | F::ATOMIC,
            F::CREATE | F::TRUNCATE,
        ] {
            assert!(flags.check().is_ok(), "{flags:?}");
        }
    }
}
