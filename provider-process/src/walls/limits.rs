//! Memory, open files and privileges.

use super::failed;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use rustix::thread::{CapabilitySet, CapabilitySets, set_capabilities, set_no_new_privs};
use vfs_core::Result;

/// Open files: a leak ends here, and not at the system's limit.
const FILES: u64 = 4096;
/// The main thread's stack, which grows beside the limit of memory.
const STACK: u64 = 8 << 20;

/// Sets them. `memory` counts what is writable and private: the heap, and the stacks of threads. Not the address space: engines
/// reserve much of it and use little.
pub fn set(memory: Option<u64>) -> Result<()> {
    set_no_new_privs(true).map_err(|errno| failed("give up new privileges", errno))?;
    let none = CapabilitySet::empty();
    let none = CapabilitySets { effective: none, permitted: none, inheritable: none };
    set_capabilities(None, none).map_err(|errno| failed("give up capabilities", errno))?;
    // No image of the memory, which may hold secrets.
    limit(Resource::Core, 0)?;
    limit(Resource::Nofile, FILES)?;
    match memory {
        None => Ok(()),
        Some(memory) => {
            limit(Resource::Stack, STACK)?;
            limit(Resource::Data, memory)
        }
    }
}

/// Lowers a limit for good.
fn limit(resource: Resource, most: u64) -> Result<()> {
    let old = getrlimit(resource);
    let lowered = |limit: Option<u64>| Some(limit.map_or(most, |limit| limit.min(most)));
    let new = Rlimit { current: lowered(old.current), maximum: lowered(old.maximum) };
    setrlimit(resource, new).map_err(|errno| failed(&format!("limit {resource:?} to {most}"), errno))
}
