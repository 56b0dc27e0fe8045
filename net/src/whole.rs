//! Opens where a file is read, or replaced as a whole: what objects, and files of servers that can do no more, have in common.

use crate::failure::Attempt;
use vfs_core::{Code, Error, OpenFlags, Request, Result};

/// What opens can be asked for.
pub const SUPPORTED: OpenFlags = OpenFlags::READ
    .union(OpenFlags::WRITE)
    .union(OpenFlags::CREATE)
    .union(OpenFlags::TRUNCATE)
    .union(OpenFlags::EXCLUSIVE)
    .union(OpenFlags::ATOMIC)
    .union(OpenFlags::SEQUENTIAL)
    .union(OpenFlags::RANDOM);

/// What only a writer is asked for.
const FOR_WRITERS: OpenFlags = OpenFlags::CREATE.union(OpenFlags::TRUNCATE).union(OpenFlags::ATOMIC);

/// Whether a request is a writer's: where it names no direction, a flag that is for writers does.
///
/// # Errors
/// ENOTSUP: it asks for both directions.
pub fn is_writers(request: &Request<'_>) -> Result<bool> {
    let flags = request.flags();
    match (flags.contains(OpenFlags::READ), flags.contains(OpenFlags::WRITE)) {
        (true, true) => Err(refusal(request, Code::ENOTSUP, "a file is read or written, not both at once")),
        (false, false) => Ok(flags.intersects(FOR_WRITERS)),
        (_, writes) => Ok(writes),
    }
}

/// Whether a writer's upload must find nothing under its name. What an upload cannot say itself has to be known before: only then `size` is
/// asked for what is there, `None` if that is not known.
///
/// # Errors
/// EEXIST: something is there, and the open is exclusive. ENOTSUP: something is there that is not empty, and that the open does not replace.
/// ENOENT: nothing is there, and the open makes nothing. What `size` failed with.
pub fn is_exclusive(request: &Request<'_>, size: impl FnOnce() -> Attempt<Option<u64>>) -> Result<bool> {
    let flags = request.flags();
    let creates = flags.contains(OpenFlags::CREATE);
    let replaces = flags.intersects(OpenFlags::TRUNCATE | OpenFlags::ATOMIC);
    let exclusive = flags.contains(OpenFlags::EXCLUSIVE);
    if creates && replaces && !exclusive {
        return Ok(false);
    }
    match size() {
        Ok(_) if exclusive => Err(refusal(request, Code::EEXIST, "it exists already")),
        Ok(size) if !replaces && size != Some(0) => {
            Err(refusal(request, Code::ENOTSUP, "an upload replaces the whole file: add TRUNCATE"))
        }
        Ok(_) => Ok(false),
        // Whoever makes it meanwhile is not to lose it.
        Err(failure) if failure.code == Code::ENOENT && creates => Ok(exclusive || !replaces),
        Err(failure) => Err(failure.error("open", request.shown())),
    }
}

fn refusal(request: &Request<'_>, code: Code, why: &str) -> Error {
    Error::new(code, format!("open {}: {why}", request.shown()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::failure::Failure;
    use vfs_core::{Control, Descriptor};

    type O = OpenFlags;

    fn with<T>(flags: OpenFlags, call: impl FnOnce(&Request<'_>) -> T) -> T {
        let context = Control::new().context();
        let descriptor = Descriptor::parse("ftp://h/f").unwrap();
        call(&Request::new(&context, descriptor.scheme(), descriptor).with_flags(flags))
    }

    #[test]
    fn the_direction_is_named_or_follows_from_what_is_for_writers() {
        for (flags, expected) in [
            (O::empty(), Some(false)),
            (O::READ | O::RANDOM, Some(false)),
            (O::WRITE, Some(true)),
            (O::CREATE, Some(true)),
            (O::TRUNCATE | O::SEQUENTIAL, Some(true)),
            (O::READ | O::WRITE, None),
        ] {
            assert_eq!(with(flags, is_writers).ok(), expected, "{flags:?}");
        }
    }

    #[test]
    fn what_is_there_is_asked_for_where_the_upload_cannot_say_it() {
        let absent = || Err(Failure::new(Code::ENOENT, "no such file"));
        let refused = |code| Err(Failure::new(code, "refused"));
        for (flags, found, expected) in [
            // Asked, this would be an error.
            (O::CREATE | O::TRUNCATE, refused(Code::EIO), Ok(false)),
            (O::CREATE | O::ATOMIC, refused(Code::EIO), Ok(false)),
            (O::CREATE | O::TRUNCATE | O::EXCLUSIVE, absent(), Ok(true)),
            (O::CREATE | O::TRUNCATE | O::EXCLUSIVE, Ok(Some(0)), Err(Code::EEXIST)),
            (O::TRUNCATE, Ok(Some(7)), Ok(false)),
            (O::TRUNCATE, absent(), Err(Code::ENOENT)),
            (O::CREATE, absent(), Ok(true)),
            (O::CREATE, Ok(Some(0)), Ok(false)),
            (O::CREATE, Ok(Some(7)), Err(Code::ENOTSUP)),
            (O::CREATE, Ok(None), Err(Code::ENOTSUP)),
            (O::CREATE, refused(Code::EACCES), Err(Code::EACCES)),
        ] {
            let decided = with(O::WRITE | flags, |request| is_exclusive(request, || found));
            assert_eq!(decided.map_err(|error| error.code()), expected, "{flags:?}");
        }
    }
}
