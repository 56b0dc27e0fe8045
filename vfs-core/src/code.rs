//! Error codes: Linux's asm-generic errno numbers, on every system.

use std::fmt;

/// A positive errno number, the same on every system.
///
/// The numbers are Linux's asm-generic ones; `include/zvfs_provider.h` lists those with a meaning in the ABI. 4096 to
/// 65535 are reserved for what Linux lacks.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Code(u16);

impl Code {
    /// Turns a raw number into a code. What no code can be (0, negative, over 65535) becomes [`Code::EIO`].
    pub fn from_raw(number: i64) -> Code {
        match u16::try_from(number) {
            Ok(number) if number != 0 => Code(number),
            _ => Code::EIO,
        }
    }

    /// The number, 1 to 65535.
    pub fn raw(self) -> i32 {
        i32::from(self.0)
    }
}

macro_rules! codes {
    ($($name:ident = $number:literal, $text:literal;)*) => {
        #[allow(missing_docs, reason = "the names are errno's own")]
        impl Code {
            $(pub const $name: Code = Code($number);)*

            /// The errno name, such as `ENOENT`; `None` for a number without one here.
            pub fn name(self) -> Option<&'static str> {
                match self.0 { $($number => Some(stringify!($name)),)* _ => None }
            }

            /// A few words for a person, such as `no such file`.
            pub fn text(self) -> &'static str {
                match self.0 { $($number => $text,)* _ => "unknown error" }
            }
        }
    };
}

codes! {
    EPERM = 1, "not permitted";
    ENOENT = 2, "no such file";
    ESRCH = 3, "no such process";
    EINTR = 4, "interrupted";
    EIO = 5, "input/output error";
    ENXIO = 6, "no such device or address";
    E2BIG = 7, "too long";
    ENOEXEC = 8, "not an executable";
    EBADF = 9, "wrong direction, or closed";
    ECHILD = 10, "no child process";
    EAGAIN = 11, "try again";
    ENOMEM = 12, "out of memory";
    EACCES = 13, "access denied";
    EFAULT = 14, "bad address";
    ENOTBLK = 15, "not a block device";
    EBUSY = 16, "busy";
    EEXIST = 17, "exists already";
    EXDEV = 18, "on another device";
    ENODEV = 19, "no such device";
    ENOTDIR = 20, "not a directory";
    EISDIR = 21, "is a directory";
    EINVAL = 22, "invalid";
    ENFILE = 23, "too many open files in the system";
    EMFILE = 24, "too many open files";
    ENOTTY = 25, "not a terminal";
    ETXTBSY = 26, "text file busy";
    EFBIG = 27, "file too large";
    ENOSPC = 28, "no space left";
    ESPIPE = 29, "no positions";
    EROFS = 30, "read-only";
    EMLINK = 31, "too many links";
    EPIPE = 32, "the reader closed";
    EDOM = 33, "out of domain";
    ERANGE = 34, "out of range";
    EDEADLK = 35, "would deadlock";
    ENAMETOOLONG = 36, "name too long";
    ENOLCK = 37, "no locks available";
    ENOSYS = 38, "not implemented";
    ENOTEMPTY = 39, "not empty";
    ELOOP = 40, "too many links in a row";
    ENODATA = 61, "no data";
    ETIME = 62, "the timer ended";
    ENOLINK = 67, "link severed";
    EPROTO = 71, "protocol error";
    EBADMSG = 74, "damaged data";
    EOVERFLOW = 75, "value too large";
    ELIBBAD = 80, "broken library";
    EILSEQ = 84, "not UTF-8";
    EUSERS = 87, "too many users";
    ENOTSOCK = 88, "not a socket";
    EDESTADDRREQ = 89, "an address is needed";
    EMSGSIZE = 90, "message too long";
    EPROTOTYPE = 91, "wrong protocol for the socket";
    ENOPROTOOPT = 92, "no such protocol option";
    EPROTONOSUPPORT = 93, "kind of file not supported";
    ENOTSUP = 95, "not supported";
    EAFNOSUPPORT = 97, "kind of address not supported";
    EADDRINUSE = 98, "address in use";
    EADDRNOTAVAIL = 99, "not an address of this machine";
    ENETDOWN = 100, "network down";
    ENETUNREACH = 101, "network unreachable";
    ENETRESET = 102, "connection dropped by the network";
    ECONNABORTED = 103, "connection aborted";
    ECONNRESET = 104, "the other side was lost";
    ENOBUFS = 105, "no buffer space";
    EISCONN = 106, "connected already";
    ENOTCONN = 107, "not connected";
    ETOOMANYREFS = 109, "too many descriptors under way";
    ETIMEDOUT = 110, "timed out";
    ECONNREFUSED = 111, "connection refused";
    EHOSTDOWN = 112, "host down";
    EHOSTUNREACH = 113, "host unreachable";
    EALREADY = 114, "in progress already";
    EINPROGRESS = 115, "in progress";
    ESTALE = 116, "changed meanwhile";
    EUCLEAN = 117, "the file system is damaged";
    EREMOTEIO = 121, "input/output error of the other side";
    EDQUOT = 122, "quota exhausted";
    ENOMEDIUM = 123, "no medium";
    ECANCELED = 125, "cancelled";
    ENOKEY = 126, "no such key";
    EKEYEXPIRED = 127, "the key has expired";
    EKEYREJECTED = 129, "the key was rejected";
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => f.write_str(name),
            None => write!(f, "E{}", self.0),
        }
    }
}

impl fmt::Debug for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// EADDRNOTAVAIL was an "unknown error": what a call about files or the network may fail with has words.
    #[test]
    fn what_the_system_says_of_files_and_networks_has_words() {
        // Without words: of terminals, old networks, semaphores and others that no provider here calls for.
        let known = (1..=40).chain([61, 62, 67, 71, 74, 75]).chain(88..=117).chain([121, 122, 123, 125]);
        let nameless: Vec<i64> = known.filter(|raw| Code::from_raw(*raw).name().is_none()).collect();
        assert_eq!(nameless, [94, 96, 108]);
        assert_eq!(Code::from_raw(99).text(), "not an address of this machine");
    }
}
