//! Where this library lies.

use std::ffi::{CStr, OsStr, c_void};
use std::fs;
use std::io;
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
        _ if here.path.is_absolute() => here.path.canonicalize(),
        // It was meant in the folder where the program was then, and may be another one in this.
        _ => mapped_at(library as *const c_void)
            .map_err(|error| Error::from(error).context(format!("loaded as {}", here.path.display())))?
            .canonicalize(),
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

/// The absolute path of the file that the kernel has mapped at an address.
fn mapped_at(address: *const c_void) -> io::Result<PathBuf> {
    let maps = fs::read("/proc/self/maps")?;
    mapping_of(&maps, address as usize)
        .map(|path| OsStr::from_bytes(path).into())
        .ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, "its file is not in /proc/self/maps"))
}

/// A line is `from-to rwxp offset device inode   path`.
fn mapping_of(maps: &[u8], address: usize) -> Option<&[u8]> {
    maps.split(|byte| *byte == b'\n').find_map(|line| {
        let range = std::str::from_utf8(line.split(|byte| *byte == b' ').next()?).ok()?;
        let (from, to) = range.split_once('-')?;
        let within = usize::from_str_radix(from, 16).ok()?..usize::from_str_radix(to, 16).ok()?;
        let path = line.iter().position(|byte| *byte == b'/')?;
        within.contains(&address).then(|| &line[path..])
    })
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_mapping_is_found_by_an_address_within() {
        let maps = b"1000-2000 r--p 00000000 08:01 7    /a b/libx.so\n2000-3000 rw-p 00000000 00:00 0\n\
            3000-4000 r-xp 00001000 08:01 8    /lib/liby.so\n";
        for (address, path) in [
            (0xfff, None),
            (0x1000, Some("/a b/libx.so")),
            (0x1fff, Some("/a b/libx.so")),
            (0x2000, None),
            (0x3abc, Some("/lib/liby.so")),
            (0x4000, None),
        ] {
            assert_eq!(super::mapping_of(maps, address), path.map(str::as_bytes), "{address:x}");
        }
    }

    #[test]
    fn linked_into_a_program_it_lies_where_that_lies() {
        assert_eq!(super::library().unwrap(), std::env::current_exe().unwrap());
    }
}
