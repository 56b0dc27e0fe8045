//! WASI's error numbers, and the way from ours to them.

use vfs_core::Code;

/// A preview1 errno, never 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Errno(u16);

macro_rules! errnos {
    ($($name:ident = $number:literal;)*) => {
        impl Errno {
            $(pub(super) const $name: Errno = Errno($number);)*
        }
    };
}

errnos! {
    ACCES = 2;
    AGAIN = 6;
    BADF = 8;
    BUSY = 10;
    CONNREFUSED = 14;
    CONNRESET = 15;
    DQUOT = 19;
    EXIST = 20;
    FAULT = 21;
    FBIG = 22;
    ILSEQ = 25;
    INVAL = 28;
    IO = 29;
    ISDIR = 31;
    LOOP = 32;
    MFILE = 33;
    NAMETOOLONG = 37;
    NOENT = 44;
    NOMEM = 48;
    NOSPC = 51;
    NOSYS = 52;
    NOTDIR = 54;
    NOTEMPTY = 55;
    NOTSOCK = 57;
    NOTSUP = 58;
    OVERFLOW = 61;
    PERM = 63;
    PIPE = 64;
    PROTONOSUPPORT = 66;
    ROFS = 69;
    SPIPE = 70;
    STALE = 72;
    TIMEDOUT = 73;
    XDEV = 75;
    NOTCAPABLE = 76;
}

impl Errno {
    /// The number that the guest sees.
    pub(super) fn raw(self) -> u16 {
        self.0
    }
}

impl From<Code> for Errno {
    /// What has no meaning for a guest becomes `IO`. ECANCELED too: the session ends before a guest could see it.
    fn from(code: Code) -> Errno {
        match code {
            Code::EPERM => Errno::PERM,
            Code::ENOENT => Errno::NOENT,
            Code::EBADF => Errno::BADF,
            Code::EAGAIN => Errno::AGAIN,
            Code::ENOMEM => Errno::NOMEM,
            Code::EACCES => Errno::ACCES,
            Code::EFAULT => Errno::FAULT,
            Code::EBUSY => Errno::BUSY,
            Code::EEXIST => Errno::EXIST,
            Code::ENOTDIR => Errno::NOTDIR,
            Code::EISDIR => Errno::ISDIR,
            Code::EINVAL => Errno::INVAL,
            Code::EMFILE => Errno::MFILE,
            Code::EFBIG => Errno::FBIG,
            Code::ENOSPC => Errno::NOSPC,
            Code::ESPIPE => Errno::SPIPE,
            Code::EROFS => Errno::ROFS,
            Code::EPIPE => Errno::PIPE,
            Code::ENAMETOOLONG => Errno::NAMETOOLONG,
            Code::ENOSYS => Errno::NOSYS,
            Code::ELOOP => Errno::LOOP,
            Code::EOVERFLOW => Errno::OVERFLOW,
            Code::EPROTONOSUPPORT => Errno::PROTONOSUPPORT,
            Code::ENOTSUP => Errno::NOTSUP,
            Code::ECONNRESET => Errno::CONNRESET,
            Code::ESTALE => Errno::STALE,
            Code::ETIMEDOUT => Errno::TIMEDOUT,
            Code::ECONNREFUSED => Errno::CONNREFUSED,
            Code::EDQUOT => Errno::DQUOT,
            _ => Errno::IO,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The specification's own numbers, for every code that a guest can meet.
    #[test]
    fn each_code_has_its_wasi_number() {
        for (linux, wasi) in [
            (1, 63),
            (2, 44),
            (5, 29),
            (9, 8),
            (11, 6),
            (12, 48),
            (13, 2),
            (14, 21),
            (16, 10),
            (17, 20),
            (20, 54),
            (21, 31),
            (22, 28),
            (24, 33),
            (27, 22),
            (28, 51),
            (29, 70),
            (30, 69),
            (32, 64),
            (36, 37),
            (38, 52),
            (40, 32),
            (75, 61),
            (93, 66),
            (95, 58),
            (104, 15),
            (116, 72),
            (110, 73),
            (111, 14),
            (122, 19),
        ] {
            assert_eq!(Errno::from(Code::from_raw(linux)).raw(), wasi, "Linux {linux}");
        }
    }

    #[test]
    fn what_a_guest_cannot_know_is_an_input_output_error() {
        for code in [Code::ECANCELED, Code::EBADMSG, Code::from_raw(4096)] {
            assert_eq!(Errno::from(code), Errno::IO, "{code}");
        }
    }
}
