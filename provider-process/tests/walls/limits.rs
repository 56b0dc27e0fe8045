//! Memory, open files, privileges.

use crate::{Case, Outcome, Setting, allowed, by_filter, call, raise, refused};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use rustix::thread::{CapabilitySet, capabilities, no_new_privs};
use std::fs::File;
use std::io;
use std::thread;
use vfs_core::Walls;

const LIMIT: usize = 256 << 20;
const PAGE: usize = 4096;

pub fn cases() -> Vec<Case> {
    vec![
        ("memory_ends_at_its_limit", memory),
        ("without_a_limit_memory_is_shared", shared_memory),
        ("a_leak_of_descriptors_ends", descriptors),
        ("no_privilege_is_left_and_none_comes_back", privileges),
    ]
}

/// Maps a page or more, and never writes to them.
fn map(size: usize, protection: i32, flags: i32) -> io::Result<usize> {
    call(libc::SYS_mmap, [0, size, protection as usize, flags as usize, usize::MAX, 0])
}

const READ_WRITE: i32 = libc::PROT_READ | libc::PROT_WRITE;

fn memory(_: &Setting) -> Outcome {
    raise(&Walls { memory: Some(LIMIT as u64), ..Walls::default() })?;
    let mut all = Vec::<Vec<u8>>::new();
    let size = 16 << 20;
    let enough = loop {
        let mut more = Vec::new();
        if more.try_reserve_exact(size).is_err() {
            break all.len() * size;
        }
        all.push(more);
    };
    assert!((LIMIT / 2..LIMIT).contains(&enough), "{enough} bytes");
    // What would not count is not there.
    let anonymous = libc::MAP_ANONYMOUS;
    by_filter("shared", map(PAGE, READ_WRITE, libc::MAP_SHARED | anonymous))?;
    by_filter("a stack", map(PAGE, READ_WRITE, libc::MAP_PRIVATE | anonymous | libc::MAP_GROWSDOWN))?;
    by_filter("a file in memory", call(libc::SYS_memfd_create, [c"x".as_ptr() as usize, 0]))?;
    let out = &[libc::ENOMEM];
    refused("private", map(LIMIT, READ_WRITE, libc::MAP_PRIVATE | anonymous), out)?;
    // Address space is not memory, until it can be written.
    let reserved = allowed("reserved", map(4 * LIMIT, libc::PROT_NONE, libc::MAP_PRIVATE | anonymous))?;
    refused("made writable", call(libc::SYS_mprotect, [reserved, 4 * LIMIT, READ_WRITE as usize]), out)?;
    let raised = Rlimit { current: None, maximum: None };
    refused("a higher limit", setrlimit(Resource::Data, raised).map_err(io::Error::from), &[libc::EPERM])?;
    drop(all);
    allowed("a thread", thread::Builder::new().spawn(|| ()))?;
    Ok(())
}

fn shared_memory(_: &Setting) -> Outcome {
    raise(&Walls::default())?;
    allowed("shared", map(PAGE, READ_WRITE, libc::MAP_SHARED | libc::MAP_ANONYMOUS))?;
    allowed("a file in memory", call(libc::SYS_memfd_create, [c"x".as_ptr() as usize, 0]))?;
    Ok(())
}

fn descriptors(_: &Setting) -> Outcome {
    raise(&Walls::default())?;
    let mut leaked = Vec::new();
    let error = loop {
        match File::open("/dev/null") {
            Ok(file) => leaked.push(file),
            Err(error) => break error,
        }
    };
    assert_eq!(error.raw_os_error(), Some(libc::EMFILE));
    assert!(leaked.len() <= 4096, "{}", leaked.len());
    let raised = Rlimit { current: Some(5000), maximum: Some(5000) };
    refused("more", setrlimit(Resource::Nofile, raised).map_err(io::Error::from), &[libc::EPERM])
}

fn privileges(_: &Setting) -> Outcome {
    raise(&Walls::default())?;
    let held = capabilities(None)?;
    assert!(held.effective.is_empty() && held.permitted.is_empty() && held.inheritable.is_empty());
    assert!(no_new_privs()?);
    assert_eq!(getrlimit(Resource::Core).maximum, Some(0));
    let wanted = rustix::thread::CapabilitySets { effective: CapabilitySet::SYS_ADMIN, ..held };
    by_filter("a capability", rustix::thread::set_capabilities(None, wanted).map_err(io::Error::from))
}
