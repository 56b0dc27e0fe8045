//! The host as a provider sees it through the ABI: its table, a context, a request.
#![expect(unsafe_code, reason = "reads the host's structs and calls its functions")]

use crate::abi;
use crate::boundary::{Argument, Behind, c_string, copied, read};
use crate::bridge::inner::{HostOpen, extension};
use crate::bridge::translate::{events_from_abi, limit_from_abi, limit_to_abi};
use crate::code::Code;
use crate::context::{CancelFn, Context, ContextCalls};
use crate::descriptor::Descriptor;
use crate::entry::{Entry, Name};
use crate::error::{Error, Result};
use crate::extern_c;
use crate::file::{File, Stat};
use crate::flags::{Events, OpenFlags};
use crate::provider::{HostCalls, Inner, Level, Request, opens_nothing};
use crate::settings::Settings;
use std::ffi::{CString, c_void};
use std::ops::ControlFlow;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::ptr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

/// Turns a C request into ours for one call. The context stays usable as long as what is returned with the result.
pub(crate) fn with_request<T>(
    host: &Arc<ForeignHost>,
    request: &abi::OpenRequest,
    call: impl FnOnce(&Request<'_>) -> Result<T>,
) -> Result<(LiveContext, T)> {
    // SAFETY: the ABI's strings are terminated and valid during the call.
    let scheme = unsafe { <&str>::check(request.scheme, "the scheme") }?;
    // SAFETY: as above.
    let descriptor = unsafe { <&str>::check(request.descriptor, "the descriptor") }?;
    let shown = match request.shown {
        // What most descriptors are: nothing in them is hidden.
        shown if shown == request.descriptor => descriptor,
        // SAFETY: as above.
        shown => unsafe { <&str>::check(shown, "the descriptor for messages") }?,
    };
    // SAFETY: the ABI: a NULL-terminated list, valid during the call.
    let settings = unsafe { <Settings as Argument>::check(request.settings, "the settings") }?;
    let live = LiveContext(Arc::new(ForeignContext {
        host: host.clone(),
        context: request.context,
        on_cancel: Mutex::new(None),
        had_on_cancel: AtomicBool::new(false),
        ended: AtomicBool::new(false),
        inside: AtomicUsize::new(0),
    }));
    let context = Context::new(live.0.clone());
    let ours = Request::shown_as(&context, scheme, Descriptor::parse(descriptor)?, shown.into())
        .with_flags(OpenFlags::from_bits(request.flags))
        .with_expected_size(Some(request.expected_size).filter(|size| *size != abi::SIZE_UNKNOWN))
        .with_settings(&settings);
    let made = call(&ours)?;
    Ok((live, made))
}

/// A host's context as long as it may be used: it ends when this is dropped, however the call that it came with is left.
pub(crate) struct LiveContext(Arc<ForeignContext>);

impl Drop for LiveContext {
    fn drop(&mut self) {
        self.0.end();
    }
}

/// The host's table, as seen from a provider.
pub(crate) struct ForeignHost {
    /// For `log`, whose first argument it is.
    address: *const abi::Host,
    table: abi::Host,
    /// For layers.
    host_open: Option<HostOpen>,
    /// `None`: a host that does not ask what is waited for.
    waits_for: Option<abi::WaitsForFn>,
    name: String,
    version: String,
}

// SAFETY: the table's functions may be called on any thread ([any] in the header), until stop has returned.
unsafe impl Send for ForeignHost {}
// SAFETY: as above.
unsafe impl Sync for ForeignHost {}

impl Argument for ForeignHost {
    type C = *const abi::Host;

    /// What is checked stays until stop has returned.
    unsafe fn check(host: *const abi::Host, name: &'static str) -> Result<ForeignHost> {
        // SAFETY: the caller's promise: a host's table.
        let table = unsafe { read(host, name) }?;
        // SAFETY: the table's strings live as long as the table.
        let (name, version) =
            unsafe { (copied(table.name, "the host's name")?, copied(table.version, "the host's version")?) };
        // SAFETY: the table stands at that address.
        let host_open = unsafe { HostOpen::of(host, &table) };
        // SAFETY: as above; the table of this id is a zvfs_host_waiting.
        let waiting: Option<abi::HostWaiting> = unsafe { extension(host, &table, abi::EXT_HOST_WAITING) };
        let waits_for = waiting.and_then(|waiting| waiting.waits_for);
        Ok(ForeignHost { address: host, table, host_open, waits_for, name, version })
    }
}

impl HostCalls for ForeignHost {
    fn name(&self) -> &str {
        &self.name
    }

    fn version(&self) -> &str {
        &self.version
    }

    fn log(&self, level: Level, text: &str) {
        if let Some(log) = self.table.log {
            let text = c_string(text);
            // SAFETY: the host's own function and table; the text is valid during the call.
            unsafe { log(self.address, level as u32, text.as_ptr()) };
        }
    }

    fn open(&self, context: &Context, descriptor: &str, options: &Inner) -> Result<Box<dyn File>> {
        self.host_open.ok_or_else(opens_nothing)?.open(context, descriptor, options)
    }

    fn supported_flags(&self, context: &Context, descriptor: &str) -> Result<OpenFlags> {
        self.host_open.ok_or_else(opens_nothing)?.supported_flags(context, descriptor)
    }

    fn stat(&self, context: &Context, descriptor: &str, options: &Inner) -> Result<Stat> {
        self.host_open.ok_or_else(opens_nothing)?.stat(context, descriptor, options)
    }

    fn list(
        &self,
        context: &Context,
        descriptor: &str,
        options: &Inner,
        each: &mut dyn FnMut(Entry<'_>) -> ControlFlow<()>,
    ) -> Result<()> {
        self.host_open.ok_or_else(opens_nothing)?.list(context, descriptor, options, each)
    }

    fn names(
        &self,
        context: &Context,
        descriptor: &str,
        options: &Inner,
        each: &mut dyn FnMut(Name<'_>) -> ControlFlow<()>,
    ) -> Result<()> {
        self.host_open.ok_or_else(opens_nothing)?.names(context, descriptor, options, each)
    }

    fn remove(&self, context: &Context, descriptor: &str, options: &Inner) -> Result<()> {
        self.host_open.ok_or_else(opens_nothing)?.remove(context, descriptor, options)
    }

    fn make_folder(&self, context: &Context, descriptor: &str, options: &Inner) -> Result<()> {
        self.host_open.ok_or_else(opens_nothing)?.make_folder(context, descriptor, options)
    }

    fn remove_folder(&self, context: &Context, descriptor: &str, options: &Inner) -> Result<()> {
        self.host_open.ok_or_else(opens_nothing)?.remove_folder(context, descriptor, options)
    }

    fn set_modified(
        &self,
        context: &Context,
        descriptor: &str,
        options: &Inner,
        time: SystemTime,
    ) -> Result<()> {
        self.host_open.ok_or_else(opens_nothing)?.set_modified(context, descriptor, options, time)
    }
}

/// A host's context, as seen from a provider.
pub(crate) struct ForeignContext {
    host: Arc<ForeignHost>,
    context: *mut abi::Context,
    on_cancel: Mutex<Option<CancelFn>>,
    /// Whether there ever was one: most files need none.
    had_on_cancel: AtomicBool,
    /// Set by close: a clone that a provider kept is then answered here, since the pointer no longer points to anything.
    ended: AtomicBool,
    /// Calls that passed `ended` and have not come back.
    inside: AtomicUsize,
}

/// How long the end waits for a call of a clone that a provider kept against the rules. A call that is this old has long since
/// entered the host, which keeps what such a call uses.
const LATE: Duration = Duration::from_millis(100);

/// A call on a host's live context.
struct Inside<'a> {
    context: *mut abi::Context,
    count: &'a AtomicUsize,
}

impl Drop for Inside<'_> {
    fn drop(&mut self) {
        self.count.fetch_sub(1, Ordering::SeqCst);
    }
}

// SAFETY: the calls on a context may be made on any thread ([any] in the header; on_cancel only by whoever has the file).
unsafe impl Send for ForeignContext {}
// SAFETY: as above.
unsafe impl Sync for ForeignContext {}

impl ForeignContext {
    pub(crate) fn end(&self) {
        self.ended.store(true, Ordering::SeqCst);
        if self.inside.load(Ordering::SeqCst) > 0 {
            self.await_inside();
        }
        if self.had_on_cancel.load(Ordering::Acquire) {
            *self.on_cancel.lock().unwrap_or_else(PoisonError::into_inner) = None;
        }
    }

    #[cold]
    fn await_inside(&self) {
        let until = Instant::now() + LATE;
        while self.inside.load(Ordering::SeqCst) > 0 && Instant::now() < until {
            thread::yield_now();
        }
    }

    /// Counted before it looks: either it sees the end, or the end sees it.
    fn live(&self) -> Result<Inside<'_>> {
        self.inside.fetch_add(1, Ordering::SeqCst);
        let inside = Inside { context: self.context, count: &self.inside };
        if self.ended.load(Ordering::SeqCst) {
            return Err(Error::new(Code::ECANCELED, "the file is closed"));
        }
        Ok(inside)
    }
}

impl Behind for ForeignContext {
    type C = c_void;
}

extern_c! { by "the provider":
    /// What the host calls on a cancel. Close, which frees the context, comes after the last run.
    fn run_on_cancel(context: &ForeignContext) -> (), plain {
        let function = context.on_cancel.lock().unwrap_or_else(PoisonError::into_inner).take();
        function.into_iter().for_each(|function| function());
        Ok(())
    }
}

fn answer(returned: i32) -> Result<i32> {
    if returned < 0 { Err(Error::from(Code::from_raw(-i64::from(returned)))) } else { Ok(returned) }
}

impl ContextCalls for ForeignContext {
    fn status(&self) -> Result<()> {
        let live = self.live()?;
        // SAFETY: the host's function on its own context, live as long as `live`.
        answer(self.host.table.status.map_or(0, |status| unsafe { status(live.context) })).map(|_| ())
    }

    fn time_left(&self) -> Option<Duration> {
        let live = self.live().ok()?;
        // SAFETY: as in status.
        self.host.table.time_left.and_then(|time_left| limit_from_abi(unsafe { time_left(live.context) }))
    }

    fn set_on_cancel(&self, function: Option<CancelFn>) -> Result<()> {
        let live = self.live()?;
        let Some(on_cancel) = self.host.table.on_cancel else { return Ok(()) };
        // SAFETY: as in status; NULL withdraws. Always first: a cancel in progress must not run the new function under the
        // old registration.
        let withdrawn = answer(unsafe { on_cancel(live.context, None, ptr::null_mut()) });
        *self.on_cancel.lock().unwrap_or_else(PoisonError::into_inner) = None;
        withdrawn?;
        let Some(function) = function else { return Ok(()) };
        self.had_on_cancel.store(true, Ordering::Release);
        *self.on_cancel.lock().unwrap_or_else(PoisonError::into_inner) = Some(function);
        let arg = ptr::from_ref(self).cast_mut().cast();
        // SAFETY: as in status; `self` outlives the registration: close comes after its end.
        answer(unsafe { on_cancel(live.context, Some(run_on_cancel), arg) }).map(|_| ())
    }

    fn wait(&self, fd: Option<BorrowedFd<'_>>, events: Events, limit: Option<Duration>) -> Result<Events> {
        let live = self.live()?;
        let wait = self.host.table.wait.ok_or_else(|| Error::new(Code::ENOTSUP, "this host cannot wait"))?;
        let fd = fd.map_or(-1, |fd| fd.as_raw_fd());
        // SAFETY: as in status; the fd is borrowed for the call.
        let came = answer(unsafe { wait(live.context, fd, events.bits() as u32, limit_to_abi(limit)) })?;
        Ok(events_from_abi(came.unsigned_abs()))
    }

    fn set_waiting(&self, object: Option<&str>, refusal: Option<&str>) {
        let (Some(waits_for), Ok(live)) = (self.host.waits_for, self.live()) else { return };
        let (object, refusal) = (object.map(c_string), refusal.map(c_string));
        let pointer = |text: &Option<CString>| text.as_ref().map_or(ptr::null(), |text| text.as_ptr());
        // SAFETY: as in status; the texts are valid during the call.
        unsafe { waits_for(live.context, pointer(&object), pointer(&refusal)) };
    }

    fn at_its_host(&self, call: &mut dyn FnMut(*mut ())) {
        match self.live() {
            Ok(live) => call(live.context.cast()),
            Err(_) => call(ptr::null_mut()),
        }
    }
}
