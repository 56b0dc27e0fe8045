//! What libzvfs adds: reads through its C functions against the same reads through vfs-core, over the same providers.

#![expect(unsafe_code, reason = "calls libzvfs as a C program does")]

use std::ffi::{CString, c_char, c_void};
use std::fs::File;
use std::hint::black_box;
use std::io::{SeekFrom, Write};
use std::ptr;
use vfs_core::{Configuration, OpenFile, OpenFlags, OpenOptions, Registry};
use zvfs_benches::{heading, keep, pair, provider_folder};

const FILE: u64 = 16 << 20;
const BLOCK: usize = 4 << 10;
const CALLS: u64 = 200_000;

type Read = unsafe extern "C" fn(*mut c_void, *mut c_void, u64, *mut c_void) -> i64;
type ReadAt = unsafe extern "C" fn(*mut c_void, *mut c_void, u64, u64, *mut c_void) -> i64;
type Seek = unsafe extern "C" fn(*mut c_void, i64, u32, *mut c_void) -> i64;
type New = unsafe extern "C" fn(*const c_void, *const c_void, *mut *mut c_void, *mut c_void) -> i32;
type OpenFn =
    unsafe extern "C" fn(*mut c_void, *const c_char, *const c_void, *mut *mut c_void, *mut c_void) -> i32;

/// libzvfs.so, as the dynamic linker gives it to a C program.
struct Zvfs {
    read: Read,
    read_at: ReadAt,
    seek: Seek,
    open: OpenFn,
    registry: *mut c_void,
}

impl Zvfs {
    fn load() -> Result<Zvfs, Box<dyn std::error::Error>> {
        // SAFETY: our own library, whose constructors are the standard library's; its functions have these types.
        unsafe {
            let library = libloading::Library::new(provider_folder().join("libzvfs.so"))?;
            let new: New = *library.get(b"zvfs_registry_new")?;
            let mut registry = ptr::null_mut();
            if new(ptr::null(), ptr::null(), &mut registry, ptr::null_mut()) != 0 {
                return Err("zvfs_registry_new failed".into());
            }
            let zvfs = Zvfs {
                read: *library.get(b"zvfs_handle_read")?,
                read_at: *library.get(b"zvfs_handle_read_at")?,
                seek: *library.get(b"zvfs_handle_seek")?,
                open: *library.get(b"zvfs_registry_open")?,
                registry,
            };
            std::mem::forget(library);
            Ok(zvfs)
        }
    }

    fn open(&self, descriptor: &str) -> Result<*mut c_void, Box<dyn std::error::Error>> {
        let descriptor = CString::new(descriptor)?;
        let mut handle = ptr::null_mut();
        // SAFETY: the header's types; the strings and the place are valid during the call.
        let code = unsafe {
            (self.open)(self.registry, descriptor.as_ptr(), ptr::null(), &mut handle, ptr::null_mut())
        };
        if code == 0 { Ok(handle) } else { Err(format!("zvfs_registry_open: {code}").into()) }
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("data");
    let mut data = File::create(&path)?;
    for _ in 0..FILE / BLOCK as u64 {
        data.write_all(&[7; BLOCK])?;
    }
    let path = path.to_str().ok_or("a path that is not UTF-8")?;
    let registry = Registry::new(Configuration::with_provider_path([provider_folder()]));
    let zvfs = Zvfs::load()?;

    heading("reads through zvfs.h", "libzvfs.so", "vfs-core");
    let how = OpenOptions::new(OpenFlags::READ);
    nothing("null, 1 byte", 1, &zvfs, zvfs.open("null:zero")?, registry.open("null:zero", &how)?);
    nothing("null, 4 KiB", BLOCK, &zvfs, zvfs.open("null:zero")?, registry.open("null:zero", &how)?);
    sequential(&zvfs, zvfs.open(path)?, registry.open(path, &how)?);
    random(&zvfs, zvfs.open(path)?, registry.open(path, &how)?);
    Ok(())
}

/// A provider that costs next to nothing: what is left is the interface.
fn nothing(name: &str, size: usize, zvfs: &Zvfs, handle: *mut c_void, mut file: OpenFile) {
    // One buffer for both: where it lies makes a difference of its own.
    let mut buf = vec![0; size];
    let at: *mut u8 = buf.as_mut_ptr();
    let through_c = || {
        for _ in 0..CALLS {
            // SAFETY: an open handle; the buffer outlives the call, and nothing else uses it meanwhile.
            keep(unsafe {
                (zvfs.read)(black_box(handle), black_box(at).cast(), size as u64, ptr::null_mut())
            });
        }
    };
    let through_rust = || {
        for _ in 0..CALLS {
            // SAFETY: as above.
            keep(file.read(unsafe { std::slice::from_raw_parts_mut(black_box(at), size) }).ok());
        }
    };
    pair(name, CALLS, through_c, through_rust);
}

fn sequential(zvfs: &Zvfs, handle: *mut c_void, mut file: OpenFile) {
    let mut buf = vec![0; BLOCK];
    let at: *mut u8 = buf.as_mut_ptr();
    let reads = FILE / BLOCK as u64;
    let through_c = || {
        // SAFETY: an open handle.
        keep(unsafe { (zvfs.seek)(handle, 0, 0, ptr::null_mut()) });
        for _ in 0..reads {
            // SAFETY: as in `nothing`.
            keep(unsafe { (zvfs.read)(handle, black_box(at).cast(), BLOCK as u64, ptr::null_mut()) });
        }
    };
    let through_rust = || {
        keep(file.seek(SeekFrom::Start(0)).ok());
        for _ in 0..reads {
            // SAFETY: as in `nothing`.
            keep(file.read(unsafe { std::slice::from_raw_parts_mut(black_box(at), BLOCK) }).ok());
        }
    };
    pair("file, 4 KiB, sequential", reads, through_c, through_rust);
}

fn random(zvfs: &Zvfs, handle: *mut c_void, file: OpenFile) {
    let mut buf = vec![0; BLOCK];
    let at: *mut u8 = buf.as_mut_ptr();
    let blocks = FILE / BLOCK as u64;
    // A full-period walk over all blocks: both sides visit the same ones in the same order.
    let offsets: Vec<u64> =
        (0..blocks).map(|at| (at.wrapping_mul(0x9e37_79b9) + 7) % blocks * BLOCK as u64).collect();
    let through_c = || {
        for offset in &offsets {
            // SAFETY: as in `nothing`.
            keep(unsafe {
                (zvfs.read_at)(handle, black_box(at).cast(), BLOCK as u64, *offset, ptr::null_mut())
            });
        }
    };
    let through_rust = || {
        for offset in &offsets {
            // SAFETY: as in `nothing`.
            keep(file.read_at(unsafe { std::slice::from_raw_parts_mut(black_box(at), BLOCK) }, *offset).ok());
        }
    };
    pair("file, 4 KiB, random", blocks, through_c, through_rust);
}
