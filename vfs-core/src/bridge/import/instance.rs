//! An instance behind the ABI, and the values that go to it.
#![expect(unsafe_code, reason = "calls the provider's functions")]

use crate::abi;
use crate::boundary::c_string;
use crate::bridge::entries::{take_entries, take_names};
use crate::bridge::import::call::turn;
use crate::bridge::import::file::ImportedFile;
use crate::bridge::import::hosting::{Hosting, context_pointer};
use crate::bridge::import::table::ImportedLibrary;
use crate::bridge::outcome::{broken_rule, call_status};
use crate::bridge::translate::{empty_stat, stat_from_abi};
use crate::bridge::values::Values;
use crate::code::Code;
use crate::context::Context;
use crate::error::{Error, Result};
use crate::file::{File, Stat};
use crate::forks::{forks, forks_now};
use crate::host::Host;
use crate::provider::{Entry, Instance, Name, Namespace, Request, Threads};
use crate::settings::Settings;
use parking_lot::{ReentrantMutex, ReentrantMutexGuard};
use std::ffi::CString;
use std::mem;
use std::ops::ControlFlow;
use std::ptr;
use std::sync::Arc;
use std::time::Duration;

/// How long a close waits for its turn.
const LAST_TURN: Duration = Duration::from_secs(5);

/// A started instance. Its files hold it too, so that it stops only when all are closed.
pub(crate) struct ImportedInstance {
    pub(crate) library: Arc<ImportedLibrary>,
    pub(crate) raw: *mut abi::Instance,
    serial: ReentrantMutex<()>,
    /// The process it was started in.
    pub(crate) forks: u32,
    hosting: Arc<Hosting>,
}

// SAFETY: the raw pointer is only passed back to the provider, whose calls on an instance may come from any thread.
unsafe impl Send for ImportedInstance {}
// SAFETY: as above; `threads` is honoured by `turn`.
unsafe impl Sync for ImportedInstance {}

struct Handle(Arc<ImportedInstance>);

pub(crate) fn start(
    library: Arc<ImportedLibrary>,
    host: Host,
    settings: &Settings,
) -> Result<Box<dyn Instance>> {
    Ok(Box::new(Handle(start_shared(library, host, settings)?)))
}

pub(crate) fn start_shared(
    library: Arc<ImportedLibrary>,
    host: Host,
    settings: &Settings,
) -> Result<Arc<ImportedInstance>> {
    let forks = forks();
    let hosting = Hosting::new(host);
    let values = Values::new(settings);
    let mut raw = ptr::null_mut();
    if let Some(start) = library.table.start {
        let _turn = match library.info.threads {
            Threads::PerLibrary => {
                let busy =
                    || Error::new(Code::EBUSY, "another call of the library does not return").retryable();
                Some(library.serial.try_lock_for(LAST_TURN).ok_or_else(busy)?)
            }
            _ => None,
        };
        // SAFETY: the provider's own function; the table lives in the instance, the list and the place for the result during
        // the call.
        call_status(|err| unsafe { start(hosting.table(), values.list(), &mut raw, err) })?;
        if raw.is_null() {
            return Err(broken_rule("start succeeded without an instance"));
        }
    }
    hosting.set_started();
    let instance = ImportedInstance { library, raw, serial: ReentrantMutex::new(()), forks, hosting };
    Ok(Arc::new(instance))
}

impl ImportedInstance {
    /// Refuses a call in a forked child: what the provider holds (threads, locks, connections) stayed with the parent.
    pub(crate) fn alive(&self) -> Result<()> {
        if self.forks == forks_now() {
            return Ok(());
        }
        Err(Error::new(
            Code::EPERM,
            "the provider's instance belongs to the parent process: make a new registry after a fork",
        ))
    }

    /// The turn that `threads` asks for.
    pub(crate) fn turn(&self, context: &Context) -> Result<Option<ReentrantMutexGuard<'_, ()>>> {
        match self.library.info.threads {
            Threads::PerFile => Ok(None),
            Threads::PerInstance => turn(&self.serial, context).map(Some),
            Threads::PerLibrary => turn(&self.library.serial, context).map(Some),
        }
    }

    /// Makes the last call on a file or the instance, in its turn, and says whether it did. One that doesn't come (another call
    /// of the library is stuck) is not waited for: what the provider still has must then be left behind.
    #[must_use]
    pub(crate) fn last_call(&self, call: impl FnOnce()) -> bool {
        let serial = match self.library.info.threads {
            Threads::PerFile => {
                call();
                return true;
            }
            Threads::PerInstance => &self.serial,
            Threads::PerLibrary => &self.library.serial,
        };
        let turn = serial.try_lock_for(LAST_TURN);
        if turn.is_some() {
            call();
        }
        turn.is_some()
    }
}

impl Drop for ImportedInstance {
    fn drop(&mut self) {
        if let Some(stop) = self.library.table.stop
            && self.alive().is_ok()
        {
            // SAFETY: made by this library's start, stopped once, and every file held this instance and is gone.
            let stopped = self.last_call(|| unsafe { stop(self.raw) });
            if !stopped {
                // The provider may go on calling its host.
                mem::forget(self.hosting.clone());
            }
        }
    }
}

impl Instance for Handle {
    fn open(&self, request: &Request<'_>) -> Result<Box<dyn File>> {
        let instance = &self.0;
        instance.alive()?;
        let Some(open) = instance.library.table.open else { return Err(broken_rule("no open")) };
        // The context's address must stay until close.
        let context = Arc::new(request.context().clone());
        let passed = PassedRequest::new(request, &context);
        let mut raw = ptr::null_mut();
        let turn = instance.turn(&context)?;
        // SAFETY: the provider's own function; request and place for the result are valid during the call, the context until
        // close has returned.
        let opened = call_status(|err| unsafe { open(instance.raw, &passed.request(), &mut raw, err) });
        let opened = match opened {
            Ok(()) if raw.is_null() => Err(broken_rule("open succeeded without a file")),
            opened => opened,
        };
        if let Err(error) = opened {
            // The context goes: a cancel must not run what a failed open left there.
            let _ = context.withdraw();
            return Err(error);
        }
        // Still in this turn: it asks for the capabilities.
        let file = ImportedFile::new(instance.clone(), raw, context);
        drop(turn);
        Ok(Box::new(file?))
    }

    fn namespace(&self) -> Option<&dyn Namespace> {
        self.0.library.namespace.is_some().then_some(self)
    }
}

impl Handle {
    /// Makes one call of the namespace, whose context ends with it.
    fn named(
        &self,
        request: &Request<'_>,
        verb: &str,
        function: impl FnOnce(&abi::Namespace, *const abi::OpenRequest, *mut abi::Error) -> Option<i32>,
    ) -> Result<()> {
        let instance = &self.0;
        instance.alive()?;
        let unsupported =
            || Error::new(Code::ENOTSUP, format!("{verb} {}: this provider cannot", request.shown()));
        let table = instance.library.namespace.as_ref().ok_or_else(unsupported)?;
        let passed = PassedRequest::new(request, request.context());
        let _turn = instance.turn(request.context())?;
        let mut present = true;
        let result = call_status(|err| {
            function(table, &passed.request(), err).unwrap_or_else(|| {
                present = false;
                0
            })
        });
        let _ = request.context().withdraw();
        if present { result } else { Err(unsupported()) }
    }
}

impl Namespace for Handle {
    fn stat(&self, request: &Request<'_>) -> Result<Stat> {
        let mut out = empty_stat();
        self.named(request, "stat", |table, request, err| {
            // SAFETY: the provider's own function; all arguments are valid during the call.
            table.stat.map(|stat| unsafe { stat(self.0.raw, request, &mut out, err) })
        })?;
        Ok(stat_from_abi(&out))
    }

    fn list(&self, request: &Request<'_>, each: &mut dyn FnMut(Entry<'_>) -> ControlFlow<()>) -> Result<()> {
        take_entries(each, |each, arg| {
            self.named(request, "list", |table, request, err| {
                // SAFETY: the provider's own function; all arguments are valid during the call.
                table.list.map(|list| unsafe { list(self.0.raw, request, Some(each), arg, err) })
            })
        })
    }

    fn names(&self, request: &Request<'_>, each: &mut dyn FnMut(Name<'_>) -> ControlFlow<()>) -> Result<()> {
        let Some(list) = self.0.library.names.and_then(|names| names.list) else {
            return self.list(request, &mut |entry| each(entry.into()));
        };
        take_names(each, |each, arg| {
            self.named(request, "list", |_, request, err| {
                // SAFETY: the provider's own function; all arguments are valid during the call.
                Some(unsafe { list(self.0.raw, request, Some(each), arg, err) })
            })
        })
    }

    fn remove(&self, request: &Request<'_>) -> Result<()> {
        self.named(request, "remove", |table, request, err| {
            // SAFETY: the provider's own function; all arguments are valid during the call.
            table.remove.map(|remove| unsafe { remove(self.0.raw, request, err) })
        })
    }
}

/// A request in C's form, with what it points to.
pub(crate) struct PassedRequest {
    descriptor: CString,
    shown: Option<CString>,
    scheme: CString,
    rest: usize,
    flags: u64,
    expected_size: u64,
    values: Values,
    context: *mut abi::Context,
}

impl PassedRequest {
    pub(crate) fn new(request: &Request<'_>, context: &Context) -> PassedRequest {
        let descriptor = request.descriptor();
        let text = descriptor.as_written();
        PassedRequest {
            descriptor: c_string(text),
            shown: (request.shown() != text).then(|| c_string(request.shown())),
            scheme: c_string(request.scheme()),
            rest: text.len() - descriptor.rest().len(),
            flags: request.flags().bits(),
            expected_size: request.expected_size().unwrap_or(abi::SIZE_UNKNOWN),
            values: Values::new(request.settings()),
            context: context_pointer(context),
        }
    }

    pub(crate) fn request(&self) -> abi::OpenRequest {
        let descriptor = self.descriptor.as_ptr();
        abi::OpenRequest {
            struct_size: abi::OpenRequest::SIZE,
            context: self.context,
            scheme: self.scheme.as_ptr(),
            // A descriptor was parsed, so it has no NUL and its rest is its tail.
            rest: descriptor.wrapping_add(self.rest),
            descriptor,
            shown: self.shown.as_ref().map_or(descriptor, |shown| shown.as_ptr()),
            flags: self.flags,
            expected_size: self.expected_size,
            settings: self.values.list(),
        }
    }
}
