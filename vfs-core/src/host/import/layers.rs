//! `zvfs.host.open/1`: what a layer calls to open and use a file of another provider.
#![expect(unsafe_code, reason = "called by providers through the C table")]

use crate::abi;
use crate::boundary::{Answer, Argument, Behind, Callback, Input, Output, Place, Struct, Time, copied};
use crate::bridge::entries::{pass_entry, pass_name};
use crate::bridge::held::{HeldFile, file_calls};
use crate::bridge::values::values;
use crate::code::Code;
use crate::context::Context;
use crate::entry::{Entry, Name};
use crate::error::{Error, Result};
use crate::extern_c;
use crate::flags::OpenFlags;
use crate::host::import::hosting::Hosting;
use crate::provider::{Host, Inner};
use std::ffi::c_void;
use std::os::fd::BorrowedFd;

pub(crate) static HOST_OPEN: abi::HostOpen = abi::HostOpen {
    struct_size: abi::HostOpen::SIZE,
    open: Some(open),
    supported_flags: Some(supported_flags),
    finish: Some(finish),
    close: Some(close),
    read: Some(read),
    write: Some(write),
    seek: Some(seek),
    tell: Some(tell),
    truncate: Some(truncate),
    flush: Some(flush),
    capabilities: Some(capabilities),
    read_at: Some(read_at),
    write_at: Some(write_at),
    stat: Some(stat),
    lease: Some(lease),
    advance: Some(advance),
    send_from: Some(send_from),
    receive_into: Some(receive_into),
    name_stat: Some(name_stat),
    name_list: Some(name_list),
    name_remove: Some(name_remove),
    interest: Some(interest),
    try_read: Some(try_read),
    try_write: Some(try_write),
    try_finish: Some(try_finish),
    names_list: Some(names_list),
    folder_make: Some(folder_make),
    folder_remove: Some(folder_remove),
    name_set_modified: Some(name_set_modified),
    set_modified: Some(set_modified),
};

/// What a layer's pointer to an inner file points to.
struct InnerFile {
    context: LayersContext,
    file: HeldFile,
}

impl Behind for InnerFile {
    type C = abi::Inner;
}

impl InnerFile {
    fn under(&self, context: LayersContext) -> Result<&HeldFile> {
        if self.context == context {
            return Ok(&self.file);
        }
        Err(Error::new(Code::EINVAL, "context is not the one that the inner file was opened with"))
    }
}

/// The context of a layer's own file, as the layer names it. Where it only says whose an inner file is, it is compared and never
/// followed: the layer's file may be gone.
#[derive(Clone, Copy, PartialEq)]
struct LayersContext(*mut abi::Context);

impl Argument for LayersContext {
    type C = *mut abi::Context;

    unsafe fn check(value: *mut abi::Context, _: &'static str) -> Result<LayersContext> {
        Ok(LayersContext(value))
    }
}

impl LayersContext {
    /// The context itself.
    ///
    /// # Safety
    /// It is NULL, or of a file that is open or being opened.
    unsafe fn of(self, host: &Hosting) -> Result<Context> {
        // First: in start there is no context yet.
        host.started()?;
        // SAFETY: the caller's promise.
        unsafe { Context::check(self.0, "the context of an open file") }
    }
}

/// What a layer asks for.
struct LayersRequest<'a> {
    host: &'a Host,
    context: Context,
    descriptor: &'a str,
    options: Inner,
}

impl<'a> LayersRequest<'a> {
    /// # Safety
    /// The context is NULL, or of a file that is open or being opened; the request's pointers are as the header says.
    unsafe fn new(
        host: &'a Hosting,
        context: LayersContext,
        request: &abi::InnerRequest,
    ) -> Result<LayersRequest<'a>> {
        // SAFETY: the caller's promise.
        let context = unsafe { context.of(host) }?;
        // SAFETY: the ABI's strings are terminated and valid during the call.
        let descriptor = unsafe { <&str>::check(request.descriptor, "the descriptor") }?;
        let size = Some(request.expected_size).filter(|size| *size != abi::SIZE_UNKNOWN);
        let mut options = Inner::new(OpenFlags::from_bits(request.flags)).expected_size(size);
        // SAFETY: NULL or a NULL-terminated list, valid during the call.
        for value in unsafe { values(request.settings) }? {
            // SAFETY: as above.
            let name = unsafe { copied(value.name, "a setting's name") }?;
            // SAFETY: as above.
            options.settings.push((name, unsafe { copied(value.text, "a setting's text") }?));
        }
        Ok(LayersRequest { host: host.host(), context, descriptor, options })
    }
}

// SAFETY of the contexts and requests below: the header's promises on the arguments.
extern_c! { by "the host":
    fn open(
        host: &Hosting, context: LayersContext, request: Struct<abi::InnerRequest>, out: Place<'_, *mut abi::Inner>
    ) -> i32 {
        // SAFETY: see above.
        let asked = unsafe { LayersRequest::new(host, context, &request.0) }?;
        let file = HeldFile::new(asked.host.open(&asked.context, asked.descriptor, &asked.options)?);
        out.put(InnerFile { context, file }.hand_out());
        Ok(())
    }
    fn close(_context: LayersContext, inner: Box<InnerFile>) -> (), plain {
        drop(inner);
        Ok(())
    }
    fn capabilities(_context: LayersContext, inner: &InnerFile) -> u64, plain {
        Ok(inner.file.capabilities().bits())
    }
    fn supported_flags(host: &Hosting, context: LayersContext, descriptor: &str, out: Place<'_, u64>) -> i32 {
        // SAFETY: see above.
        let context = unsafe { context.of(host) }?;
        out.put(host.host().supported_flags(&context, descriptor)?.bits());
        Ok(())
    }
    fn name_stat(
        host: &Hosting, context: LayersContext, request: Struct<abi::InnerRequest>, out: Answer<'_, abi::Stat>
    ) -> i32 {
        // SAFETY: see above.
        let asked = unsafe { LayersRequest::new(host, context, &request.0) }?;
        out.put(abi::Stat::from(&asked.host.stat(&asked.context, asked.descriptor, &asked.options)?));
        Ok(())
    }
    fn name_list(
        host: &Hosting, context: LayersContext, request: Struct<abi::InnerRequest>, each: Callback<abi::EntryFn>,
        arg: *mut c_void
    ) -> i32 {
        // SAFETY: see above.
        let asked = unsafe { LayersRequest::new(host, context, &request.0) }?;
        // SAFETY: the layer's own function with its own argument, during the call that they came with.
        let mut pass = |entry: Entry<'_>| unsafe { pass_entry(entry, each.0, arg) };
        asked.host.list(&asked.context, asked.descriptor, &asked.options, &mut pass)
    }
    fn name_remove(host: &Hosting, context: LayersContext, request: Struct<abi::InnerRequest>) -> i32 {
        // SAFETY: see above.
        let asked = unsafe { LayersRequest::new(host, context, &request.0) }?;
        asked.host.remove(&asked.context, asked.descriptor, &asked.options)
    }
    fn names_list(
        host: &Hosting, context: LayersContext, request: Struct<abi::InnerRequest>, each: Callback<abi::NameFn>,
        arg: *mut c_void
    ) -> i32 {
        // SAFETY: see above.
        let asked = unsafe { LayersRequest::new(host, context, &request.0) }?;
        // SAFETY: as in name_list.
        let mut pass = |name: Name<'_>| unsafe { pass_name(name, each.0, arg) };
        asked.host.names(&asked.context, asked.descriptor, &asked.options, &mut pass)
    }
    fn folder_make(host: &Hosting, context: LayersContext, request: Struct<abi::InnerRequest>) -> i32 {
        // SAFETY: see above.
        let asked = unsafe { LayersRequest::new(host, context, &request.0) }?;
        asked.host.make_folder(&asked.context, asked.descriptor, &asked.options)
    }
    fn folder_remove(host: &Hosting, context: LayersContext, request: Struct<abi::InnerRequest>) -> i32 {
        // SAFETY: see above.
        let asked = unsafe { LayersRequest::new(host, context, &request.0) }?;
        asked.host.remove_folder(&asked.context, asked.descriptor, &asked.options)
    }
    fn name_set_modified(
        host: &Hosting, context: LayersContext, request: Struct<abi::InnerRequest>, time: Time
    ) -> i32 {
        // SAFETY: see above.
        let asked = unsafe { LayersRequest::new(host, context, &request.0) }?;
        asked.host.set_modified(&asked.context, asked.descriptor, &asked.options, time.0)
    }
}

macro_rules! inner_file {
    ($(fn $name:ident($($arg:ident: $type:ty),*) -> $out:ty;)*) => {
        extern_c! { by "the host":
            $(fn $name(context: LayersContext, inner: &InnerFile, $($arg: $type),*) -> $out {
                inner.under(context)?.$name($($arg),*)
            })*
        }
    };
}
file_calls!(inner_file);
