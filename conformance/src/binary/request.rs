//! A request whose every byte lies in memory that is gone when it is dropped: whoever kept a pointer faults.

use crate::memory::{Against, Guarded};
use rustix::io::Errno;
use std::ffi::{CStr, c_char};
use std::ptr;
use vfs_core::abi;

/// The request and its strings and values, each in a mapping of its own.
pub struct Owned {
    request: Guarded,
    _parts: Vec<Guarded>,
}

impl Owned {
    /// Copies a request and what it points to.
    pub fn of(request: &abi::OpenRequest) -> Result<Owned, Errno> {
        let mut parts = Vec::new();
        let mut ours = *request;
        ours.scheme = string(&mut parts, request.scheme)?;
        ours.descriptor = string(&mut parts, request.descriptor)?;
        ours.shown = string(&mut parts, request.shown)?;
        // The rest is the descriptor's tail here too.
        let rest = (request.rest as usize).wrapping_sub(request.descriptor as usize);
        ours.rest = ours.descriptor.wrapping_add(rest);
        ours.settings = settings(&mut parts, request.settings)?;
        Ok(Owned { request: copied(&ours)?, _parts: parts })
    }

    pub fn request(&self) -> *const abi::OpenRequest {
        self.request.as_slice().as_ptr().cast()
    }
}

fn string(parts: &mut Vec<Guarded>, text: *const c_char) -> Result<*const c_char, Errno> {
    // SAFETY: a request's strings are terminated.
    let bytes = unsafe { CStr::from_ptr(text) }.to_bytes_with_nul();
    let mut part = Guarded::new(bytes.len(), Against::BackGuard)?;
    part.as_mut_slice().copy_from_slice(bytes);
    let address = part.as_slice().as_ptr().cast();
    parts.push(part);
    Ok(address)
}

fn settings(
    parts: &mut Vec<Guarded>,
    list: *const *const abi::Value,
) -> Result<*const *const abi::Value, Errno> {
    let mut addresses: Vec<*const abi::Value> = Vec::new();
    let mut at = list;
    // SAFETY: the list ends with NULL, and every step before that stays within it.
    while let Some(value) = unsafe { (*at).as_ref() } {
        let mut ours = *value;
        ours.name = string(parts, value.name)?;
        ours.text = string(parts, value.text)?;
        let part = copied(&ours)?;
        addresses.push(part.as_slice().as_ptr().cast());
        parts.push(part);
        // SAFETY: this element was not the terminator.
        at = unsafe { at.add(1) };
    }
    addresses.push(ptr::null());
    let bytes = addresses.iter().flat_map(|address| (*address as usize).to_ne_bytes()).collect::<Vec<_>>();
    let mut part = Guarded::new(bytes.len(), Against::BackGuard)?;
    part.as_mut_slice().copy_from_slice(&bytes);
    let address = part.as_slice().as_ptr().cast();
    parts.push(part);
    Ok(address)
}

/// A struct of the ABI in memory of its own. They have no padding, so all of their bytes are initialised.
fn copied<T: Copy>(value: &T) -> Result<Guarded, Errno> {
    let mut part = Guarded::new(size_of::<T>(), Against::BackGuard)?;
    // SAFETY: as many bytes as the struct has, without padding.
    let bytes = unsafe { std::slice::from_raw_parts(ptr::from_ref(value).cast::<u8>(), size_of::<T>()) };
    part.as_mut_slice().copy_from_slice(bytes);
    Ok(part)
}
