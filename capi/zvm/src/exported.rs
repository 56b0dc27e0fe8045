//! The functions of the header.

use crate::argument::{HostOptions, Provider, SessionOptions, bytes};
use crate::channel::{Callbacks, Channel};
use crate::host::{self, Shared};
use crate::jobs::Counters;
use crate::objects::Opaque;
use crate::session::{self, Slot};
use crate::template::{self, TemplateSlot, ToldSource};
use std::ffi::{CStr, c_char, c_void};
use std::sync::Arc;
use vfs_core::boundary::{Answer, Argument, Callback, Input, Options, Place, null};
use vfs_core::{Result, built_in, extern_c};

/// A session that was not freed.
struct Live(Arc<Slot>);

impl Argument for Live {
    type C = *mut Opaque;

    unsafe fn check(value: *mut Opaque, _: &'static str) -> Result<Live> {
        session::find(value).map(Live)
    }
}

/// A template that was not freed.
struct Known(Arc<TemplateSlot>);

impl Argument for Known {
    type C = *mut Opaque;

    unsafe fn check(value: *mut Opaque, _: &'static str) -> Result<Known> {
        template::find(value).map(Known)
    }
}

/// A host that was not freed.
struct Hosting(Arc<Shared>);

impl Argument for Hosting {
    type C = *mut Opaque;

    unsafe fn check(value: *mut Opaque, _: &'static str) -> Result<Hosting> {
        host::find(value).map(Hosting)
    }
}

/// Text of any bytes.
struct Bytes<'a>(&'a CStr);

impl Argument for Bytes<'_> {
    type C = *const c_char;

    unsafe fn check(value: *const c_char, name: &'static str) -> Result<Self> {
        if value.is_null() {
            return Err(null(name));
        }
        // SAFETY: not NULL, so the caller's promise: a terminated string.
        Ok(Bytes(unsafe { CStr::from_ptr(value) }))
    }
}

/// A function to be called at a session's end, with its argument.
struct Ended {
    call: unsafe extern "C" fn(*mut c_void),
    arg: *mut c_void,
}

// SAFETY: the header: it is called on whichever thread.
unsafe impl Send for Ended {}

impl Ended {
    fn call(self) {
        // SAFETY: the header: a function of this type, called with the arg that came with it.
        unsafe { (self.call)(self.arg) };
    }
}

/// An object's number, whatever has become of it.
struct Number(*mut Opaque);

impl Argument for Number {
    type C = *mut Opaque;

    unsafe fn check(value: *mut Opaque, _: &'static str) -> Result<Number> {
        Ok(Number(value))
    }
}

extern_c! { exported by "libzvm":
    fn zvm_host_new(options: Option<Options<HostOptions>>, out: Place<'_, *mut Opaque>) -> i32 {
        out.put(host::make(options.map(|options| options.0))?);
        Ok(())
    }
    fn zvm_host_register(host: Hosting, provider: Provider) -> i32 {
        // SAFETY: the header: a table that stays for the rest of the process.
        let provider = unsafe { built_in(provider.0) }.map_err(|error| error.context("register"))?;
        host.0.registry.register(provider)
    }
    fn zvm_host_counters(host: Hosting, out: Answer<'_, Counters>) -> i32 {
        out.put(host.0.jobs.counters());
        Ok(())
    }
    fn zvm_host_free(host: Number) -> (), plain {
        host::free(host.0);
        Ok(())
    }
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
    fn zvm_session_job(session: Live, name: &str) -> i32 {
        session.0.job(name)
    }
    fn zvm_session_argument(session: Live, text: Bytes<'_>) -> i32 {
        session.0.argument(text.0)
    }
    fn zvm_session_environment(session: Live, name: Bytes<'_>, value: Bytes<'_>) -> i32 {
        session.0.environment(name.0, value.0)
    }
    fn zvm_session_run(session: Live) -> i32 {
        session.0.run()
    }
    fn zvm_session_start(
        session: Live, ended: Callback<unsafe extern "C" fn(*mut c_void)>, arg: *mut c_void
    ) -> i32 {
        let ended = Ended { call: ended.0, arg };
        session.0.start(move || ended.call())
    }
    fn zvm_session_check(session: Live) -> i32 {
        session.0.check()
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
    fn zvm_session_fuel(session: Live) -> i64, plain {
        session.0.fuel()
    }
    fn zvm_session_state(session: Live) -> *const c_char, plain {
        session.0.state()
    }
    fn zvm_session_report(session: Live, form: u32) -> *const c_char, plain {
        session.0.report(form)
    }
    fn zvm_session_free(session: Number) -> (), plain {
        session::free(session.0);
        Ok(())
    }
    fn zvm_template_new(
        manifest: Input<'_>, size: u64, options: Option<Options<SessionOptions>>, out: Place<'_, *mut Opaque>
    ) -> i32 {
        // SAFETY: the header's promise on the bytes.
        let manifest = unsafe { bytes(manifest, size, "manifest") }?;
        out.put(template::make(manifest, options.map(|options| options.0))?);
        Ok(())
    }
    fn zvm_template_program(template: Known, program: Input<'_>, size: u64) -> i32 {
        // SAFETY: the header's promise on the bytes.
        template.0.program(unsafe { bytes(program, size, "bytes") }?)
    }
    fn zvm_template_source(template: Known, index: u64, out: Answer<'_, ToldSource>) -> i32 {
        out.put(template.0.source(index)?);
        Ok(())
    }
    fn zvm_template_prepare(template: Known) -> i32 {
        template.0.prepare()
    }
    fn zvm_template_load(template: Known) -> i64 {
        template.0.load().map(i64::from)
    }
    fn zvm_template_session(template: Known, out: Place<'_, *mut Opaque>) -> i32 {
        out.put(template.0.session());
        Ok(())
    }
    fn zvm_template_free(template: Number) -> (), plain {
        template::free(template.0);
        Ok(())
    }
}
