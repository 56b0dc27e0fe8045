//! The functions of the header.

use crate::argument::{SessionOptions, bytes};
use crate::channel::{Callbacks, Channel};
use crate::session::{self, Opaque, Slot};
use std::ffi::c_char;
use std::sync::Arc;
use vfs_core::boundary::{Argument, Input, Options, Place};
use vfs_core::{Result, extern_c};

/// A session that was not freed.
struct Live(Arc<Slot>);

impl Argument for Live {
    type C = *mut Opaque;

    unsafe fn check(value: *mut Opaque, _: &'static str) -> Result<Live> {
        session::find(value).map(Live)
    }
}

/// A session's number, whatever has become of it.
struct Number(*mut Opaque);

impl Argument for Number {
    type C = *mut Opaque;

    unsafe fn check(value: *mut Opaque, _: &'static str) -> Result<Number> {
        Ok(Number(value))
    }
}

extern_c! { exported by "libzvm":
    fn zvm_session_new(
        manifest: Input<'_>, size: u64, options: Option<Options<SessionOptions>>, out: Place<'_, *mut Opaque>
    ) -> i32 {
        // SAFETY: the header's promise on the bytes.
        let manifest = unsafe { bytes(manifest, size, "manifest") }?;
        out.put(session::make(manifest, options.map(|options| options.0))?);
        Ok(())
    }
    fn zvm_session_program(session: Live, program: Input<'_>, size: u64) -> i32 {
        // SAFETY: the header's promise on the bytes.
        session.0.program(unsafe { bytes(program, size, "bytes") }?)
    }
    fn zvm_session_channel(session: Live, alias: &str, channel: Options<Callbacks>) -> i32 {
        session.0.channel(alias, || Channel::new(channel.0))
    }
    fn zvm_session_run(session: Live) -> i32 {
        session.0.run()
    }
    fn zvm_session_cancel(session: Live) -> i32 {
        session.0.cancel();
        Ok(())
    }
    fn zvm_session_exit_code(session: Live) -> i32, plain {
        session.0.exit_code().map(u32::from)
    }
    fn zvm_session_guest_code(session: Live) -> i64, plain {
        session.0.guest_code()
    }
    fn zvm_session_report(session: Live, form: u32) -> *const c_char, plain {
        session.0.report(form)
    }
    fn zvm_session_free(session: Number) -> (), plain {
        session::free(session.0);
        Ok(())
    }
}
