//! The structs of `zvfs.h`, field by field; the header has the words.

use crate::control::ControlSlot;
use std::ffi::{c_char, c_void};
use std::ptr;
use vfs_core::{Code, Error, Result, abi};

/// A struct claiming to be larger than this is refused: it was not initialised.
const SIZE_MAX: u64 = 64 * 1024;

/// `zvfs_log_fn`.
pub type LogFn = unsafe extern "C" fn(arg: *mut c_void, level: u32, text: *const c_char);
/// `zvfs_progress_fn`.
pub type ProgressFn = unsafe extern "C" fn(arg: *mut c_void, bytes: u64);
/// `zvfs_entry_fn`.
pub type EntryFn = unsafe extern "C" fn(arg: *mut c_void, entry: *const abi::Entry) -> i32;

/// `zvfs_name_fn`.
pub type NameFn = unsafe extern "C" fn(arg: *mut c_void, name: *const abi::Name) -> i32;

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
    pub control: *const ControlSlot,
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

/// A struct that starts with its size and grows at its end. All zeros are a value, and so are any bits: integers and pointers.
///
/// # Safety
/// Both must be true of the type, and it is `repr(C)` with a `u64` first.
pub unsafe trait Growing: Copy {
    /// The size that it had in the library's first version.
    const FIRST: u64;

    /// Copies a struct of the caller's. One of an older version ends earlier: the rest is zero. One of a newer version must be
    /// zero there, since what it asks for would not happen.
    ///
    /// # Safety
    /// `from` points to a struct that is as large as its first field says.
    unsafe fn read(from: *const Self, name: &'static str) -> Result<Self> {
        // SAFETY: the caller's promise, and every such struct starts with its size.
        let size = unsafe { from.cast::<u64>().read_unaligned() };
        check_size(size, Self::FIRST, name)?;
        let known = size_of::<Self>().min(size as usize);
        // SAFETY: zeros are a value of the type, and `known` is within both structs.
        let ours = unsafe {
            let mut ours: Self = std::mem::zeroed();
            ptr::copy_nonoverlapping(from.cast::<u8>(), (&raw mut ours).cast(), known);
            ours
        };
        for at in known..size as usize {
            // SAFETY: within the caller's struct.
            if unsafe { *from.cast::<u8>().add(at) } != 0 {
                return Err(Error::new(
                    Code::EINVAL,
                    format!(
                        "{name}: uses a field that this libzvfs ({}) does not know",
                        env!("CARGO_PKG_VERSION")
                    ),
                ));
            }
        }
        Ok(ours)
    }
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
unsafe impl Growing for abi::Stat {
    const FIRST: u64 = 160;
}

// SAFETY: as above.
unsafe impl Growing for Waiting {
    const FIRST: u64 = 1040;
}

/// A struct of the caller's own version, for an answer.
pub struct Report<T>(*mut T);

impl<T: Growing> crate::argument::Argument for Report<T> {
    type C = *mut T;

    unsafe fn check(value: *mut T, name: &'static str) -> Result<Report<T>> {
        if value.is_null() {
            return Err(Error::new(Code::EINVAL, format!("{name} is NULL")));
        }
        // SAFETY: the caller's promise: a struct of his own, as large as its first field says.
        check_size(unsafe { value.cast::<u64>().read_unaligned() }, T::FIRST, name)?;
        Ok(Report(value))
    }
}

impl<T: Growing> Report<T> {
    /// Writes what the caller's version has room for; his struct_size stays.
    pub fn put(self, ours: T) {
        let first = size_of::<u64>();
        // SAFETY: the caller's own during the call; no more is written than its first field says it holds.
        unsafe {
            let size = self.0.cast::<u64>().read_unaligned();
            let known = size_of::<T>().min(size as usize);
            let (from, to) = ((&raw const ours).cast::<u8>(), self.0.cast::<u8>());
            ptr::copy_nonoverlapping(from.add(first), to.add(first), known - first);
        }
    }
}

impl Waiting {
    /// What a control says; nothing is waited for without one.
    pub fn new(waiting: Option<&vfs_core::Waiting>) -> Waiting {
        let ns = waiting.map_or(0, |waiting| waiting.since.elapsed().as_nanos());
        Waiting {
            struct_size: size_of::<Waiting>() as u64,
            ns: u64::try_from(ns).unwrap_or(u64::MAX),
            object: array(waiting.map_or("", |waiting| &waiting.object)),
            refusal: array(waiting.and_then(|waiting| waiting.refusal.as_deref()).unwrap_or("")),
        }
    }
}

/// A text in an array of its own: cut at a character's boundary, terminated.
fn array<const N: usize>(text: &str) -> [c_char; N] {
    let mut array = [0; N];
    let end = text.floor_char_boundary(N - 1);
    for (to, from) in array.iter_mut().zip(&text.as_bytes()[..end]) {
        *to = *from as c_char;
    }
    array
}

fn check_size(size: u64, least: u64, name: &'static str) -> Result<()> {
    if (least..=SIZE_MAX).contains(&size) {
        return Ok(());
    }
    Err(Error::new(Code::EINVAL, format!("{name}: struct_size is {size}: set it to sizeof, {least} or more")))
}

#[cfg(test)]
mod tests {
    use super::*;

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

    fn options(size: u64) -> [u64; 8] {
        [size, 3, 0, 0, 0, 0, 0, 0]
    }

    fn read(of: &[u64; 8]) -> Result<OpenOptions> {
        // SAFETY: the array is as large as its first element says, or that is refused before more is read.
        unsafe { OpenOptions::read(of.as_ptr().cast(), "options") }
    }

    #[test]
    fn a_struct_of_another_version_is_read_as_far_as_both_know_it() {
        assert_eq!(size_of::<OpenOptions>() as u64, OpenOptions::FIRST);
        assert_eq!(size_of::<RegistryOptions>() as u64, RegistryOptions::FIRST);
        assert_eq!(read(&options(48)).unwrap().flags, 3);
        assert_eq!(read(&options(64)).unwrap().flags, 3);
        let mut newer = options(64);
        newer[7] = 1;
        let refused = read(&newer).err().map(|error| (error.code(), error.to_string())).unwrap();
        assert_eq!(refused.0, Code::EINVAL);
        assert!(refused.1.contains("does not know"), "{}", refused.1);
    }

    #[test]
    fn a_long_text_is_cut_between_characters() {
        let array: [c_char; 6] = array("ab\u{20ac}\u{20ac}");
        assert_eq!(array.map(|byte| byte as u8), *b"ab\xe2\x82\xac\0");
    }

    #[test]
    fn a_struct_without_its_size_is_refused() {
        for size in [0, 8, 47, SIZE_MAX + 1, u64::MAX] {
            assert_eq!(read(&options(size)).err().map(|error| error.code()), Some(Code::EINVAL), "{size}");
        }
    }
}
