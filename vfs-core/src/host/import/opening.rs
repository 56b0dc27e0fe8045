//! What an instance is asked for: files and names; and the request that goes with it.
#![expect(unsafe_code, reason = "calls the provider's functions")]

use crate::abi;
use crate::boundary::Time;
use crate::bridge::entries::{take_entries, take_names};
use crate::bridge::outcome::{broken_rule, call_status};
use crate::bridge::translate::{empty_stat, stat_from_abi};
use crate::bridge::values::Values;
use crate::code::Code;
use crate::context::Context;
use crate::entry::{self, Entry, Name};
use crate::error::{Error, Result};
use crate::file::{File, Stat};
use crate::host::import::file::ImportedFile;
use crate::host::import::hosting::context_pointer;
use crate::host::import::instance::ImportedInstance;
use crate::provider::{Instance, Level, Namespace, Request};
use std::ops::ControlFlow;
use std::ptr;
use std::sync::Arc;
use std::time::SystemTime;

/// An instance as the trait; its files hold the instance too.
pub(super) struct Handle(pub(super) Arc<ImportedInstance>);

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

    /// Ends a listing: what it left out is told to the log.
    fn listed(&self, request: &Request<'_>, (result, left_out): (Result<()>, u64)) -> Result<()> {
        if left_out > 0 {
            self.0.log(Level::Warning, &entry::left_out(request.shown(), left_out));
        }
        result
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
        let listed = take_entries(each, |each, arg| {
            self.named(request, "list", |table, request, err| {
                // SAFETY: the provider's own function; all arguments are valid during the call.
                table.list.map(|list| unsafe { list(self.0.raw, request, Some(each), arg, err) })
            })
        });
        self.listed(request, listed)
    }

    fn names(&self, request: &Request<'_>, each: &mut dyn FnMut(Name<'_>) -> ControlFlow<()>) -> Result<()> {
        let Some(list) = self.0.library.names.and_then(|names| names.list) else {
            return self.list(request, &mut |entry| each(entry.into()));
        };
        let listed = take_names(each, |each, arg| {
            self.named(request, "list", |_, request, err| {
                // SAFETY: the provider's own function; all arguments are valid during the call.
                Some(unsafe { list(self.0.raw, request, Some(each), arg, err) })
            })
        });
        self.listed(request, listed)
    }

    fn remove(&self, request: &Request<'_>) -> Result<()> {
        self.named(request, "remove", |table, request, err| {
            // SAFETY: the provider's own function; all arguments are valid during the call.
            table.remove.map(|remove| unsafe { remove(self.0.raw, request, err) })
        })
    }

    fn make_folder(&self, request: &Request<'_>) -> Result<()> {
        let make = self.0.library.folders.and_then(|folders| folders.make);
        self.named(request, "make folder", |_, request, err| {
            // SAFETY: the provider's own function; all arguments are valid during the call.
            make.map(|make| unsafe { make(self.0.raw, request, err) })
        })
    }

    fn remove_folder(&self, request: &Request<'_>) -> Result<()> {
        let remove = self.0.library.folders.and_then(|folders| folders.remove);
        self.named(request, "remove folder", |_, request, err| {
            // SAFETY: the provider's own function; all arguments are valid during the call.
            remove.map(|remove| unsafe { remove(self.0.raw, request, err) })
        })
    }

    fn set_modified(&self, request: &Request<'_>, time: SystemTime) -> Result<()> {
        let set = self.0.library.times.and_then(|times| times.name_set_modified);
        let time = Time(time).ns()?;
        self.named(request, "set the time of", |_, request, err| {
            // SAFETY: the provider's own function; all arguments are valid during the call.
            set.map(|set| unsafe { set(self.0.raw, request, time, err) })
        })
    }
}

/// Longer texts of a request are on the heap.
const SHORT: usize = 128;

/// A request in C's form, with what it points to.
pub(crate) struct PassedRequest {
    /// The descriptor, the scheme, and the form for messages where that is another one, each with a NUL. Here, unless `long` has them.
    short: [u8; SHORT],
    long: Vec<u8>,
    /// Where in it the others begin.
    rest: usize,
    scheme: usize,
    shown: usize,
    flags: u64,
    expected_size: u64,
    values: Values,
    context: *mut abi::Context,
}

impl PassedRequest {
    pub(crate) fn new(request: &Request<'_>, context: &Context) -> PassedRequest {
        let descriptor = request.descriptor();
        let text = descriptor.as_written();
        let shown = Some(request.shown()).filter(|shown| *shown != text);
        let room = text.len() + request.scheme().len() + shown.map_or(0, str::len) + 3;
        let (mut short, mut long) = ([0; SHORT], Vec::new());
        let texts = if room <= SHORT {
            short.as_mut_slice()
        } else {
            long.resize(room, 0);
            long.as_mut_slice()
        };
        let mut end = 0;
        let mut begin = |text: &str| {
            let at = end;
            end += text.len() + 1;
            texts[at..end - 1].copy_from_slice(text.as_bytes());
            at
        };
        PassedRequest {
            // A descriptor was parsed, so it has no NUL and its rest is its tail.
            rest: begin(text) + text.len() - descriptor.rest().len(),
            scheme: begin(request.scheme()),
            shown: shown.map_or(0, begin),
            short,
            long,
            flags: request.flags().bits(),
            expected_size: request.expected_size().unwrap_or(abi::SIZE_UNKNOWN),
            values: Values::new(request.settings()),
            context: context_pointer(context),
        }
    }

    pub(crate) fn request(&self) -> abi::OpenRequest {
        let texts = if self.long.is_empty() { &self.short } else { self.long.as_slice() };
        let at = |at: usize| texts[at..].as_ptr().cast();
        abi::OpenRequest {
            struct_size: abi::OpenRequest::SIZE,
            context: self.context,
            scheme: at(self.scheme),
            rest: at(self.rest),
            descriptor: at(0),
            shown: at(self.shown),
            flags: self.flags,
            expected_size: self.expected_size,
            settings: self.values.list(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::Control;
    use crate::descriptor::Descriptor;
    use std::ffi::{CStr, c_char};

    #[test]
    fn texts_of_any_length_are_passed_as_they_are() {
        let context = Control::new().context();
        for length in 0..2 * SHORT {
            for host in ["host", "user:pw@host"] {
                let text = format!("sftp://{host}/{}", "x".repeat(length));
                let request = Request::new(&context, "ssh", Descriptor::parse(&text).unwrap());
                let passed = PassedRequest::new(&request, &context);
                let c = passed.request();
                // SAFETY: terminated strings, which `passed` holds.
                let text_of = |text: *const c_char| unsafe { CStr::from_ptr(text) }.to_str().unwrap();
                let passed = [c.descriptor, c.rest, c.scheme, c.shown].map(text_of);
                assert_eq!(passed, [text.as_str(), &text["sftp:".len()..], "ssh", request.shown()]);
            }
        }
    }
}
