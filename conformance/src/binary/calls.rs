//! The checks.

use super::request::Owned;
use super::{Binary, Raw, RawFile, empty_error, failed, openable, opened};
use crate::step::{Step, Stop};
use crate::steps::{ensure, skip};
use std::ffi::{CStr, c_char};
use std::ptr;
use vfs_core::{Code, OpenFlags, Provider as _, abi};

/// In Rust what exports the provider refuses them.
pub fn contradictory_flags_are_einval(binary: &Binary) -> Step {
    type F = OpenFlags;
    let raw = Raw::start(binary)?;
    let supported = binary.library.info().supported_flags;
    let (descriptor, ..) = openable(binary)?;
    let contradictions = [
        F::READ | F::CREATE,
        F::READ | F::TRUNCATE,
        F::READ | F::APPEND,
        F::READ | F::ATOMIC,
        F::READ | F::PREALLOCATE,
        F::WRITE | F::EXCLUSIVE,
        F::WRITE | F::ATOMIC | F::APPEND | (F::CREATE & supported),
    ];
    let mut tried = 0;
    for flags in contradictions.into_iter().filter(|flags| supported.contains(*flags)) {
        let (returned, file) = raw.open(&descriptor, flags, ptr::null_mut())?;
        if returned == 0 {
            drop(RawFile { raw: &raw, file });
        }
        ensure!(returned == -Code::EINVAL.raw(), "open with {flags:?} returned {returned}, expected -EINVAL");
        tried += 1;
    }
    if tried == 0 { skip("no supported flags contradict each other") } else { Ok(()) }
}

pub fn unknown_values_are_einval(binary: &Binary) -> Step {
    let raw = Raw::start(binary)?;
    let (file, ..) = opened(&raw, binary)?;
    let table = raw.bare.table();
    let unknown = 99;
    let mut results = Vec::new();
    // SAFETY: for all three: the library's own function on its own open file, without an error's place.
    unsafe {
        results.extend(
            table.finish.map(|finish| ("finish", finish(file.file, unknown, ptr::null_mut()).into())),
        );
        results.extend(table.flush.map(|flush| ("flush", flush(file.file, unknown, ptr::null_mut()).into())));
        results.extend(table.seek.map(|seek| ("seek", seek(file.file, 0, unknown, ptr::null_mut()))));
    }
    for (name, returned) in &results {
        let codes = [Code::EINVAL, Code::ESPIPE, Code::EBADF];
        let refused = codes.iter().any(|code| i64::from(code.raw()) == -returned);
        ensure!(refused, "{name} with the unknown value {unknown} returned {returned}, expected -EINVAL");
    }
    if results.is_empty() { skip("it has neither finish nor flush nor seek") } else { Ok(()) }
}

pub fn unknown_extensions_are_null(binary: &Binary) -> Step {
    let raw = Raw::start(binary)?;
    let Some(extension) = raw.bare.table().extension else { return skip("it has no extensions") };
    for id in [c"", c"zvfs.unknown/1", c"zvfs.stat/99", c"zvfs.stat", c"\xff"] {
        // SAFETY: the library's own function; the id is valid during the call.
        let found = unsafe { extension(id.as_ptr()) };
        ensure!(found.is_null(), "extension({id:?}) is not NULL");
    }
    Ok(())
}

pub fn errors_come_with_their_text(binary: &Binary) -> Step {
    let raw = Raw::start(binary)?;
    raw.each_refusal(&binary.subject, |descriptor, _, returned, error| {
        ensure!(returned < 0, "open of {descriptor} returned {returned}: a code is negative");
        let text = text(&error.message);
        let text = text.ok_or_else(|| {
            Stop::Fail(format!("open of {descriptor}: the message does not end within its 1000 bytes"))
        })?;
        ensure!(!text.trim().is_empty(), "open of {descriptor} failed with {returned} and wrote no message");
        ensure!(
            error.code == -returned,
            "open of {descriptor} returned {returned} and wrote the code {}",
            error.code
        );
        ensure!(
            error.struct_size == abi::Error::SIZE,
            "open of {descriptor} changed the error's struct_size"
        );
        Ok(())
    })
}

fn text(message: &[c_char; 1000]) -> Option<String> {
    let bytes: Vec<u8> = message.iter().map(|byte| *byte as u8).collect();
    Some(CStr::from_bytes_until_nul(&bytes).ok()?.to_string_lossy().into_owned())
}

pub fn a_null_error_is_borne(binary: &Binary) -> Step {
    let raw = Raw::start(binary)?;
    raw.each_refusal(&binary.subject, |descriptor, flags, returned, _| {
        let (again, file) = raw.open(descriptor, flags, ptr::null_mut())?;
        if again == 0 {
            drop(RawFile { raw: &raw, file });
        }
        ensure!(again == returned, "open of {descriptor} returned {returned}, and {again} with err NULL");
        Ok(())
    })
}

pub fn a_failed_open_leaves_its_output_alone(binary: &Binary) -> Step {
    let raw = Raw::start(binary)?;
    let pattern: *mut abi::File = ptr::without_provenance_mut(0x5a5a_5a50);
    raw.each_refusal(&binary.subject, |descriptor, flags, _, _| {
        let mut out = pattern;
        let returned =
            raw.open_with(descriptor, flags, ptr::null_mut(), &mut out, |request, open| open(request))?;
        if returned == 0 {
            drop(RawFile { raw: &raw, file: out });
            return Ok(());
        }
        ensure!(out == pattern, "open of {descriptor} failed and wrote *out");
        Ok(())
    })
}

pub fn success_leaves_the_error_alone(binary: &Binary) -> Step {
    let raw = Raw::start(binary)?;
    let (descriptor, flags, content) = openable(binary)?;
    let mut error = Box::new(empty_error());
    let untouched = |error: &abi::Error| {
        error.code == 0 && error.flags == 0 && error.message.iter().all(|byte| *byte == 0)
    };
    let (returned, file) = raw.open(&descriptor, flags, &raw mut *error)?;
    if returned != 0 {
        return Err(failed(&format!("open of {descriptor}"), returned.into()));
    }
    let file = RawFile { raw: &raw, file };
    ensure!(untouched(&error), "open of {descriptor} succeeded and wrote into err");
    if content.is_some()
        && let Some(read) = raw.bare.table().read
    {
        let mut buf = [0_u8; 16];
        // SAFETY: the library's own function on its own open file; the buffer has 16 bytes.
        let count = unsafe { read(file.file, buf.as_mut_ptr().cast(), 16, &raw mut *error) };
        ensure!(count < 0 || untouched(&error), "read returned {count} and wrote into err");
    }
    Ok(())
}

pub fn larger_structs_are_borne(binary: &Binary) -> Step {
    #[repr(C)]
    struct Later<T> {
        known: T,
        more: [u64; 32],
    }
    let raw = Raw::start(binary)?;
    let (descriptor, flags, _) = openable(binary)?;
    let mut out = ptr::null_mut();
    let returned = raw.open_with(&descriptor, flags, ptr::null_mut(), &mut out, |request, open| {
        let mut later = Later { known: *request, more: [u64::MAX; 32] };
        later.known.struct_size = size_of_val(&later) as u64;
        open((&raw const later).cast())
    })?;
    if returned != 0 || out.is_null() {
        return Err(failed("open with a request of a later version", returned.into()));
    }
    drop(RawFile { raw: &raw, file: out });
    Ok(())
}

pub fn no_pointer_is_kept_past_a_call(binary: &Binary) -> Step {
    let raw = Raw::start(binary)?;
    let (descriptor, flags, content) = openable(binary)?;
    let mut out = ptr::null_mut();
    let returned = raw.open_with(&descriptor, flags, ptr::null_mut(), &mut out, |request, open| {
        match Owned::of(request) {
            Ok(owned) => open(owned.request()), // unmapped when it has returned
            Err(_) => open(request),
        }
    })?;
    if returned != 0 || out.is_null() {
        return Err(failed(&format!("open of {descriptor}"), returned.into()));
    }
    let file = RawFile { raw: &raw, file: out };
    let (Some(mut left), Some(read)) = (content, raw.bare.table().read) else { return Ok(()) };
    let mut buf = vec![0_u8; 4096];
    while !left.is_empty() {
        // SAFETY: the library's own function on its own open file; the buffer has as many bytes.
        let count = unsafe { read(file.file, buf.as_mut_ptr().cast(), buf.len() as u64, ptr::null_mut()) };
        let count = usize::try_from(count).map_err(|_| failed("read", count))?;
        let same = count > 0 && count <= left.len() && left[..count] == buf[..count];
        ensure!(same, "with the request's memory gone, read gives something else");
        left.drain(..count);
    }
    Ok(())
}
