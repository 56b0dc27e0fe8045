//! Where this library lies.

use std::ffi::{CStr, OsStr, c_void};
use std::mem::MaybeUninit;
use std::os::unix::ffi::OsStrExt as _;
use std::path::PathBuf;
use vfs_core::{Code, Error, Result};

/// The canonical path of libzvfs.so, or of the executable that libzvfs.a was linked into.
pub fn library() -> Result<PathBuf> {
    let unknown = || Error::new(Code::ENOENT, "find libzvfs: the dynamic linker does not know its path");
    let here = image_of(library as *const c_void).ok_or_else(unknown)?;
    // SAFETY: getauxval reads the process's own auxiliary vector and has no preconditions.
    let headers = unsafe { libc::getauxval(libc::AT_PHDR) } as *const c_void;
    // What the linker knows of the executable is how it was called, which may be anything.
    let path = match image_of(headers) {
        Some(executable) if executable.base == here.base => std::env::current_exe(),
        _ => here.path.canonicalize(),
    };
    path.map_err(|error| Error::from(error).context("find libzvfs"))
}

struct Image {
    base: usize,
    path: PathBuf,
}

/// What is loaded at an address.
fn image_of(address: *const c_void) -> Option<Image> {
    let mut info = MaybeUninit::<libc::Dl_info>::zeroed();
    // SAFETY: any address may be asked for; zeros are a value of the struct, which is this function's own.
    let info = unsafe {
        if libc::dladdr(address, info.as_mut_ptr()) == 0 {
            return None;
        }
        info.assume_init()
    };
    if info.dli_fname.is_null() {
        return None;
    }
    // SAFETY: the linker's own string, which stays as long as the library, and this one is never unloaded.
    let path = unsafe { CStr::from_ptr(info.dli_fname) };
    Some(Image { base: info.dli_fbase as usize, path: OsStr::from_bytes(path.to_bytes()).into() })
}

#[cfg(test)]
mod tests {
    #[test]
    fn linked_into_a_program_it_lies_where_that_lies() {
        assert_eq!(super::library().unwrap(), std::env::current_exe().unwrap());
    }
}
