//! The functions of the header. Each runs under a panic guard, which stands in the one macro that defines them.

use crate::argument::{Options, bytes, growing, null, text};
use crate::channel::{Callbacks, Channel};
use crate::session::{self, Opaque, find};
use std::any::Any;
use std::ffi::c_char;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr;
use vfs_core::{Code, Error, Result, abi};

/// Defines exported functions; nothing else in this crate does. The body runs under a panic guard; its error goes to the last
/// parameter and becomes the negative code, or, with `plain`, what the type has for it.
macro_rules! exported {
    ($(fn $name:ident($($arg:ident: $type:ty),*) $body:block)*) => {$(
        #[allow(unsafe_code, reason = "the header's name for it; the linker knows no other of that name")]
        #[unsafe(no_mangle)]
        unsafe extern "C" fn $name($($arg: $type,)* err: *mut abi::Error) -> i32 {
            match guarded(|| $body) {
                Ok(()) => 0,
                Err(error) => {
                    // SAFETY: the header: NULL, or the caller's own struct, valid during the call; any bits are a value.
                    if let Some(err) = unsafe { err.as_mut() } {
                        err.struct_size = abi::Error::SIZE;
                        err.set(&error);
                    }
                    -error.code().raw()
                }
            }
        }
    )*};
    (plain $(fn $name:ident($($arg:ident: $type:ty),*) -> $out:ty, or $failed:expr; $body:block)*) => {$(
        #[allow(unsafe_code, reason = "the header's name for it; the linker knows no other of that name")]
        #[unsafe(no_mangle)]
        unsafe extern "C" fn $name($($arg: $type),*) -> $out {
            let failed: fn(&Error) -> $out = $failed;
            guarded(|| $body).unwrap_or_else(|error| failed(&error))
        }
    )*};
}

exported! {
    fn zvm_session_new(manifest: *const u8, size: u64, options: *const Options, out: *mut *mut Opaque) {
        // SAFETY: the header's promises on the arguments.
        let (manifest, options, out) = unsafe {
            (bytes(manifest, size, "manifest")?, growing(options, "options")?, out.as_mut())
        };
        let out = out.ok_or_else(|| null("out"))?;
        *out = session::make(manifest, options)?;
        Ok(())
    }

    fn zvm_session_program(session: *mut Opaque, program: *const u8, size: u64) {
        // SAFETY: the header's promise on the bytes.
        find(session)?.program(unsafe { bytes(program, size, "bytes") }?)
    }

    fn zvm_session_channel(session: *mut Opaque, alias: *const c_char, channel: *const Callbacks) {
        // SAFETY: the header's promises on the arguments.
        let (alias, channel) = unsafe { (text(alias, "alias")?, growing(channel, "channel")?) };
        let alias = alias.ok_or_else(|| null("alias"))?;
        let channel = channel.ok_or_else(|| null("channel"))?;
        find(session)?.channel(alias, || Channel::new(channel))
    }

    fn zvm_session_run(session: *mut Opaque) {
        find(session)?.run()
    }

    fn zvm_session_cancel(session: *mut Opaque) {
        find(session)?.cancel();
        Ok(())
    }
}

exported! { plain
    fn zvm_session_exit_code(session: *mut Opaque) -> i32, or |error| -error.code().raw(); {
        find(session)?.exit_code().map(i32::from)
    }

    fn zvm_session_guest_code(session: *mut Opaque) -> i64, or |error| -i64::from(error.code().raw()); {
        find(session)?.guest_code().map(|code| code as i64)
    }

    fn zvm_session_report(session: *mut Opaque, form: u32) -> *const c_char, or |_| ptr::null(); {
        find(session)?.report(form)
    }

    fn zvm_session_free(session: *mut Opaque) -> (), or |_| (); {
        session::free(session);
        Ok(())
    }
}

fn guarded<T>(body: impl FnOnce() -> Result<T>) -> Result<T> {
    catch_unwind(AssertUnwindSafe(body)).unwrap_or_else(|panic| Err(panicked(&*panic)))
}

/// A defect of ours: it must not unwind into C.
#[cold]
fn panicked(panic: &(dyn Any + Send)) -> Error {
    let text = panic.downcast_ref::<&str>().copied();
    let text =
        text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("without a text");
    Error::new(Code::EIO, format!("libzvm panicked, which is a defect of it: {text}"))
}
