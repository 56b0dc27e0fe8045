//! From C's values to Rust's, beyond what every C boundary has: the structs of `zvm_session.h`.

use crate::channel::Callbacks;
use crate::objects::Opaque;
use std::ffi::{c_char, c_void};
use vfs_core::boundary::{Argument, Growing, Input, null};
use vfs_core::{Result, abi};

/// `zvm_session_options`.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct SessionOptions {
    pub struct_size: u64,
    pub configuration: *const c_char,
    pub worker: *const c_char,
    pub cache_folder: *const c_char,
    pub cache_key: *const c_char,
    pub job: *const c_char,
    pub host: *mut Opaque,
}

/// `zvm_host_options`.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct HostOptions {
    pub struct_size: u64,
    pub configuration: *const c_char,
    pub worker: *const c_char,
    pub cache_folder: *const c_char,
    pub cache_key: *const c_char,
    pub log: Option<LogFn>,
    pub log_arg: *mut c_void,
    pub jobs: u64,
    pub flags: u64,
}

/// `ZVM_HOST_POOLED`.
pub const HOST_POOLED: u64 = 1;

/// A host's log.
pub type LogFn = unsafe extern "C" fn(arg: *mut c_void, level: u32, text: *const c_char);

/// A provider's table, checked by whoever takes it.
pub struct Provider(pub *const abi::Provider);

// SAFETY: repr(C), a u64 first, and pointers.
unsafe impl Growing for SessionOptions {
    const FIRST: u64 = 48;
}

// SAFETY: repr(C), a u64 first, pointers, numbers, and a function that may be absent.
unsafe impl Growing for HostOptions {
    const FIRST: u64 = 56;
}

impl Argument for Provider {
    type C = *const abi::Provider;

    unsafe fn check(value: *const abi::Provider, name: &'static str) -> Result<Provider> {
        if value.is_null() { Err(null(name)) } else { Ok(Provider(value)) }
    }
}

// SAFETY: repr(C), a u64 first, a pointer, and functions that may be absent.
unsafe impl Growing for Callbacks {
    const FIRST: u64 = 48;
}

/// So many bytes, of a text or a program: NULL is EINVAL, as for all that is no buffer.
///
/// # Safety
/// NULL, or `size` bytes are readable during the call and nobody changes them.
pub unsafe fn bytes<'a>(value: Input<'a>, size: u64, name: &str) -> Result<&'a [u8]> {
    // SAFETY: the caller's promise.
    unsafe { value.bytes(size) }.map_err(|_| null(name))
}
