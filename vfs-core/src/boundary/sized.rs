//! Structs that start with their size and grow at their end. Whoever reads the other side's reads what lies within its size: what an
//! older one lacks is zero, and what a newer one has at its end is left alone. Of options it must be zero, since what it asks for
//! would not happen.
#![expect(unsafe_code, reason = "reads and writes the other side's structs")]

use crate::abi;
use crate::boundary::argument::{Argument, null};
use crate::code::Code;
use crate::error::{Error, Result};
use std::marker::PhantomData;
use std::mem::MaybeUninit;
use std::{ptr, slice};

/// A struct that starts with its size and grows at its end.
///
/// # Safety
/// It is `repr(C)` with a `u64` first and no padding, and holds numbers, pointers and functions that may be absent: any bits are a
/// value, and so are zeros.
pub unsafe trait Growing: Copy {
    /// The size that it had in its first version.
    const FIRST: u64;
}

macro_rules! growing {
    ($($struct:ident)*) => {$(
        // SAFETY: the ABI's structs are of that kind.
        unsafe impl Growing for abi::$struct {
            const FIRST: u64 = abi::$struct::SIZE;
        }
    )*};
}

growing! {
    Provider Positional StatExtension Namespace Names Folders Times FdExtension Splice Poll
    SettingsExtension Setting SettingRule Host HostWaiting OpenRequest InnerRequest Value Entry Name Stat Lease Interest
}

// SAFETY: as above.
unsafe impl Growing for abi::HostOpen {
    const FIRST: u64 = abi::HostOpen::FIRST_SIZE;
}

/// Copies what this version knows of the other side's struct.
///
/// # Safety
/// `from` is NULL or points to a struct that is as large as its first field says.
///
/// # Errors
/// EINVAL: NULL, not aligned, smaller than in its first version, or larger than any is.
pub unsafe fn read<T: Growing>(from: *const T, name: &str) -> Result<T> {
    // SAFETY: the caller's promise.
    let known = unsafe { size_of_struct(from, name) }?.min(size_of::<T>());
    let mut ours = MaybeUninit::<T>::zeroed();
    // SAFETY: bytes that the other side's struct has and ours has room for; the others are zero, which is a value of each field.
    unsafe {
        ptr::copy_nonoverlapping(from.cast::<u8>(), ours.as_mut_ptr().cast(), whole_fields(known));
        Ok(ours.assume_init())
    }
}

/// What a field or more fills: no half of a pointer.
fn whole_fields(size: usize) -> usize {
    size / size_of::<u64>() * size_of::<u64>()
}

/// The size that a struct says it has.
///
/// # Safety
/// As for [`read`].
unsafe fn size_of_struct<T: Growing>(of: *const T, name: &str) -> Result<usize> {
    if !of.is_aligned() {
        return Err(Error::new(Code::EINVAL, format!("{name} is at {of:p}, which is not aligned")));
    }
    // SAFETY: aligned, and the caller's promise: each such struct starts with its size.
    let size = *unsafe { of.cast::<u64>().as_ref() }.ok_or_else(|| null(name))?;
    let first = T::FIRST;
    if (first..=abi::STRUCT_SIZE_MAX).contains(&size) {
        return Ok(size as usize);
    }
    let text = match size < first {
        true => format!("{name}: struct_size is {size}: set it to sizeof, {first} or more"),
        false => format!("{name}: struct_size is {size}: set it to sizeof, {} at most", abi::STRUCT_SIZE_MAX),
    };
    Err(Error::new(Code::EINVAL, text))
}

/// The caller's struct, as far as this version knows it.
pub struct Struct<T>(pub T);

impl<T: Growing> Argument for Struct<T> {
    type C = *const T;

    unsafe fn check(value: *const T, name: &'static str) -> Result<Struct<T>> {
        // SAFETY: the caller's promise is the same.
        unsafe { read(value, name) }.map(Struct)
    }
}

/// The caller's options: what this version does not know must be zero.
pub struct Options<T>(pub T);

impl<T: Growing> Argument for Options<T> {
    type C = *const T;

    unsafe fn check(value: *const T, name: &'static str) -> Result<Options<T>> {
        // SAFETY: the caller's promise is the same.
        let (options, size) = unsafe { (read(value, name)?, size_of_struct(value, name)?) };
        let known = whole_fields(size.min(size_of::<T>()));
        // SAFETY: within the caller's struct, whose maker set all of it to zero first.
        let unknown = unsafe { slice::from_raw_parts(value.cast::<u8>().add(known), size - known) };
        if unknown.iter().any(|byte| *byte != 0) {
            let text =
                format!("{name}: uses a field that version {} does not know", env!("CARGO_PKG_VERSION"));
            return Err(Error::new(Code::EINVAL, text));
        }
        Ok(Options(options))
    }
}

/// The caller's struct, for an answer.
pub struct Answer<'a, T>(*mut T, PhantomData<&'a mut T>);

impl<T: Growing> Argument for Answer<'_, T> {
    type C = *mut T;

    unsafe fn check(value: *mut T, name: &'static str) -> Result<Self> {
        // SAFETY: the caller's promise is the same.
        unsafe { size_of_struct(value, name) }?;
        Ok(Answer(value, PhantomData))
    }
}

impl<T: Growing> Answer<'_, T> {
    /// Writes what the caller's version has room for; its size stays.
    pub fn put(self, ours: T) {
        let first = size_of::<u64>();
        // SAFETY: the caller's own during the call, checked above; no more is written than its first field says it holds.
        unsafe {
            let size = *self.0.cast::<u64>();
            let known = size_of::<T>().min(size as usize);
            let (from, to) = ((&raw const ours).cast::<u8>(), self.0.cast::<u8>());
            ptr::copy_nonoverlapping(from.add(first), to.add(first), known - first);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[repr(C)]
    #[derive(Clone, Copy)]
    struct Sample {
        struct_size: u64,
        flags: u64,
        later: u64,
    }

    // SAFETY: three numbers.
    unsafe impl Growing for Sample {
        const FIRST: u64 = 16;
    }

    fn sample(size: u64) -> [u64; 5] {
        [size, 3, 4, 0, 0]
    }

    fn options(of: &[u64; 5]) -> Result<Sample> {
        // SAFETY: the array is as large as its first element says, or that is refused before more is read.
        unsafe { Options::check(of.as_ptr().cast(), "options") }.map(|options| options.0)
    }

    #[test]
    fn a_struct_of_another_version_is_read_as_far_as_both_know_it() {
        for (size, later) in [(16, 0), (20, 0), (24, 4), (40, 4)] {
            // SAFETY: as above.
            let read = unsafe { read(sample(size).as_ptr().cast::<Sample>(), "sample") }.unwrap();
            assert_eq!((read.struct_size, read.flags, read.later), (size, 3, later));
        }
        assert_eq!(options(&sample(40)).unwrap().later, 4);
        let mut newer = sample(40);
        newer[4] = 1;
        let refused = options(&newer).err().map(|error| (error.code(), error.to_string())).unwrap();
        assert_eq!(refused.0, Code::EINVAL);
        assert!(refused.1.contains("does not know"), "{}", refused.1);
    }

    #[test]
    fn a_struct_without_its_size_is_refused() {
        for size in [0, 8, 15, abi::STRUCT_SIZE_MAX + 1, u64::MAX] {
            let refused =
                options(&sample(size)).err().map(|error| (error.code(), error.to_string())).unwrap();
            assert_eq!(refused.0, Code::EINVAL);
            assert!(refused.1.contains(&format!("struct_size is {size}: set it to sizeof")), "{}", refused.1);
        }
    }

    #[test]
    fn an_answer_stays_within_the_callers_struct() {
        let mut of = sample(16);
        // SAFETY: the array is larger than its first element says.
        let answer = unsafe { Answer::check(of.as_mut_ptr().cast(), "out") }.unwrap();
        answer.put(Sample { struct_size: 24, flags: 7, later: 8 });
        assert_eq!(of, [16, 7, 4, 0, 0]);
    }
}
