//! The structs of `zvfs.h`, field by field; the header has the words.

use crate::pool::Slot;
use std::ffi::{c_char, c_void};
use vfs_core::Control;
use vfs_core::boundary::{Growing, write_array};

/// `zvfs_log_fn`.
pub type LogFn = unsafe extern "C" fn(arg: *mut c_void, level: u32, text: *const c_char);
/// `zvfs_progress_fn`.
pub type ProgressFn = unsafe extern "C" fn(arg: *mut c_void, bytes: u64);

/// `zvfs_registry_options`.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct RegistryOptions {
    pub struct_size: u64,
    pub name: *const c_char,
    pub version: *const c_char,
    pub log: Option<LogFn>,
    pub log_arg: *mut c_void,
    pub log_level: u32,
    pub reserved: u32,
}

/// `zvfs_open_options`.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct OpenOptions {
    pub struct_size: u64,
    pub flags: u64,
    pub expected_size: u64,
    pub settings: *const *const c_char,
    pub offered: *const *const c_char,
    pub control: *const Slot<Control>,
}

/// `zvfs_waiting`.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Waiting {
    pub struct_size: u64,
    pub ns: u64,
    pub object: [c_char; 512],
    pub refusal: [c_char; 512],
}

// SAFETY: repr(C), a u64 first, pointers and integers; a function pointer's zero is None.
unsafe impl Growing for RegistryOptions {
    const FIRST: u64 = 48;
}

// SAFETY: as above.
unsafe impl Growing for OpenOptions {
    const FIRST: u64 = 48;
}

// SAFETY: as above; arrays of characters too.
unsafe impl Growing for Waiting {
    const FIRST: u64 = 1040;
}

impl Waiting {
    /// What a control says; nothing is waited for without one.
    pub fn new(waiting: Option<&vfs_core::Waiting>) -> Waiting {
        let ns = waiting.map_or(0, |waiting| waiting.since.elapsed().as_nanos());
        let mut out = Waiting {
            struct_size: size_of::<Waiting>() as u64,
            ns: u64::try_from(ns).unwrap_or(u64::MAX),
            object: [0; 512],
            refusal: [0; 512],
        };
        write_array(&mut out.object, waiting.map_or("", |waiting| &waiting.object));
        write_array(&mut out.refusal, waiting.and_then(|waiting| waiting.refusal.as_deref()).unwrap_or(""));
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use vfs_core::abi;

    /// The header is the authority; what it says is asked of a compiler.
    #[test]
    fn the_structs_lie_as_in_the_header() {
        use std::mem::offset_of;
        let fields = [
            ("zvfs_registry_options", "name", offset_of!(RegistryOptions, name)),
            ("zvfs_registry_options", "version", offset_of!(RegistryOptions, version)),
            ("zvfs_registry_options", "log", offset_of!(RegistryOptions, log)),
            ("zvfs_registry_options", "log_arg", offset_of!(RegistryOptions, log_arg)),
            ("zvfs_registry_options", "log_level", offset_of!(RegistryOptions, log_level)),
            ("zvfs_registry_options", "reserved", offset_of!(RegistryOptions, reserved)),
            ("zvfs_open_options", "flags", offset_of!(OpenOptions, flags)),
            ("zvfs_open_options", "expected_size", offset_of!(OpenOptions, expected_size)),
            ("zvfs_open_options", "settings", offset_of!(OpenOptions, settings)),
            ("zvfs_open_options", "offered", offset_of!(OpenOptions, offered)),
            ("zvfs_open_options", "control", offset_of!(OpenOptions, control)),
            ("zvfs_waiting", "ns", offset_of!(Waiting, ns)),
            ("zvfs_waiting", "object", offset_of!(Waiting, object)),
            ("zvfs_waiting", "refusal", offset_of!(Waiting, refusal)),
        ];
        let sizes = [
            ("zvfs_registry_options", size_of::<RegistryOptions>()),
            ("zvfs_open_options", size_of::<OpenOptions>()),
            ("zvfs_stat", size_of::<abi::Stat>()),
            ("zvfs_waiting", size_of::<Waiting>()),
            ("zvfs_error", size_of::<abi::Error>()),
        ];
        let mut text = String::from("#include \"zvfs.h\"\n#include <stddef.h>\n");
        let mut asserted = 0;
        let mut assert_in_c = |condition: String| {
            text.push_str(&format!("typedef char assertion_{asserted}[({condition}) ? 1 : -1];\n"));
            asserted += 1;
        };
        fields.iter().for_each(|(of, field, at)| assert_in_c(format!("offsetof({of}, {field}) == {at}")));
        sizes.iter().for_each(|(of, size)| assert_in_c(format!("sizeof({of}) == {size}")));
        let folder = tempfile::tempdir().unwrap();
        for tool in zvfs_abi_tests::compilers() {
            let source = folder.path().join("layout").with_extension(tool.language.extension());
            std::fs::write(&source, &text).unwrap();
            tool.check(tool.language.standards()[0], &source).unwrap();
            std::fs::write(&source, text.replace(" == 24", " == 25")).unwrap();
            tool.check(tool.language.standards()[0], &source).unwrap_err();
        }
    }
}
