//! Checks that only a library can be put to: its functions, called one by one as no host of ours calls them, but as another
//! language's or a later version's may.
#![expect(unsafe_code, reason = "calls the library's functions")]

mod calls;
mod lives;
mod request;

use crate::case;
use crate::check::checks;
use crate::process::Before;
use crate::step::{Step, Stop};
use crate::steps::{sample, skip};
use crate::subject::{Sources, Subject, Targets};
use std::ptr;
use vfs_core::{
    Bare, Code, Context, Control, Descriptor, Library, OpenFlags, Provider, Request, Scope, Settings, abi,
};

/// What these checks need: the library, and how to reach files of it.
pub struct Binary {
    /// The library.
    pub library: Library,
    /// The descriptors; its provider is not used, but by the checks of a whole life.
    pub subject: Subject,
    /// The process when no instance had been started yet.
    pub before: Before,
}

checks! { Binary:
    calls {
        contradictory_flags_are_einval = "READ with TRUNCATE, EXCLUSIVE without CREATE and the like are refused";
        unknown_values_are_einval = "a finish, a flush and a whence that this version does not know are refused, not taken";
        unknown_extensions_are_null = "an id that the library does not know gives NULL";
        errors_come_with_their_text = "a failed open fills code and message, and the message ends within its 1000 bytes";
        a_null_error_is_borne = "err may be NULL";
        a_failed_open_leaves_its_output_alone = "*out is written on success only";
        success_leaves_the_error_alone = "err is written on failure only";
        larger_structs_are_borne = "a request and a zvfs_stat of a later version, with more at their ends";
        no_pointer_is_kept_past_a_call = "the request's memory is gone when open has returned";
    }
    lives {
        the_process_is_left_alone = "working folder, umask, locale, environment and signals are after start, a file's life and stop what they were";
        stop_leaves_no_thread = "when stop has returned, the threads that came since start have ended";
    }
}

pub use CHECKS as BINARY_CHECKS;

/// An instance, and the two descriptors that checks open.
struct Raw {
    bare: Bare,
    scheme: String,
    open_settings: Settings,
    /// Its address is the provider's until close, so files borrow this struct.
    context: Context,
}

/// A file that a check opened; closed when dropped.
struct RawFile<'a> {
    raw: &'a Raw,
    file: *mut abi::File,
}

impl Drop for RawFile<'_> {
    fn drop(&mut self) {
        if let Some(close) = self.raw.bare.table().close {
            // SAFETY: the library's own open file, closed once.
            unsafe { close(self.file) };
        }
    }
}

impl Raw {
    fn start(binary: &Binary) -> Step<Raw> {
        let info = binary.library.info();
        let settings = Settings::check(&info.settings, Scope::OPERATOR, &binary.subject.settings)?;
        let bare = binary.library.start_bare(case::host(&binary.subject), &settings)?;
        let open_settings = Settings::check(&info.settings, Scope::OPEN, &[])?;
        let scheme = info.schemes.first().cloned().unwrap_or_default();
        Ok(Raw { bare, scheme, open_settings, context: Control::new().context() })
    }

    /// Makes a request and lets `call` call open with it, or with another.
    fn open_with(
        &self,
        descriptor: &str,
        flags: OpenFlags,
        err: *mut abi::Error,
        out: &mut *mut abi::File,
        call: impl FnOnce(&abi::OpenRequest, &mut dyn FnMut(*const abi::OpenRequest) -> i32) -> i32,
    ) -> Step<i32> {
        let parsed = Descriptor::parse(descriptor)?;
        let request = Request::new(&self.context, &self.scheme, parsed)
            .with_flags(flags)
            .with_settings(&self.open_settings);
        let Some(open) = self.bare.table().open else { return skip("there is no open") };
        Ok(self.bare.with_request(&request, |request| {
            // SAFETY: the library's own function; request, place for the result and error are valid during the call.
            call(request, &mut |request| unsafe { open(self.bare.instance(), request, out, err) })
        }))
    }

    fn open(&self, descriptor: &str, flags: OpenFlags, err: *mut abi::Error) -> Step<(i32, *mut abi::File)> {
        let mut out = ptr::null_mut();
        let returned = self.open_with(descriptor, flags, err, &mut out, |request, open| open(request))?;
        Ok((returned, out))
    }

    /// Descriptors that may well be refused; each refusal is looked at.
    fn refusals(&self, subject: &Subject) -> Vec<(String, OpenFlags)> {
        let odd = ["", "/../..", "%", "%00", "?", "//", "\u{fffd}"];
        let mut all: Vec<_> =
            odd.iter().map(|rest| (format!("{}:{rest}", self.scheme), OpenFlags::READ)).collect();
        if let Some(Targets::Names(make)) = &subject.targets
            && let Ok(absent) = make(&subject.fresh_name())
        {
            all.push((absent, OpenFlags::READ));
        }
        all
    }

    /// Calls open for each of these, and `look` for those that fail.
    fn each_refusal(
        &self,
        subject: &Subject,
        mut look: impl FnMut(&str, OpenFlags, i32, &abi::Error) -> Step,
    ) -> Step {
        let mut seen = 0;
        for (descriptor, flags) in self.refusals(subject) {
            let mut error = Box::new(empty_error());
            let (returned, file) = self.open(&descriptor, flags, &raw mut *error)?;
            if returned == 0 {
                drop(RawFile { raw: self, file });
            } else {
                look(&descriptor, flags, returned, &error)?;
                seen += 1;
            }
        }
        if seen == 0 { skip("no open could be made to fail") } else { Ok(()) }
    }
}

fn empty_error() -> abi::Error {
    abi::Error { struct_size: abi::Error::SIZE, code: 0, flags: 0, message: [0; 1000] }
}

/// Something that can be opened, how, and what is in it if it is read.
fn openable(binary: &Binary) -> Step<(String, OpenFlags, Option<Vec<u8>>)> {
    let supported = binary.library.info().supported_flags;
    match (&binary.subject.sources, &binary.subject.targets) {
        (Some(Sources::Fixed { descriptor, content }), _) if supported.contains(OpenFlags::READ) => {
            Ok((descriptor.clone(), OpenFlags::READ, Some(content.clone())))
        }
        (Some(Sources::Made(make)), _) if supported.contains(OpenFlags::READ) => {
            let content = sample(1000);
            Ok((make(&binary.subject.fresh_name(), &content)?, OpenFlags::READ, Some(content)))
        }
        (_, Some(Targets::Names(make) | Targets::Sinks(make))) => {
            let more = (OpenFlags::CREATE | OpenFlags::TRUNCATE) & supported;
            Ok((binary.subject.fresh_target(make)?, OpenFlags::WRITE | more, None))
        }
        _ => skip("the subject has nothing to open"),
    }
}

fn failed(what: &str, returned: i64) -> Stop {
    let code = Code::from_raw(returned.checked_neg().unwrap_or(0));
    Stop::Fail(format!("{what} returned {returned} ({code})"))
}

fn opened<'a>(raw: &'a Raw, binary: &Binary) -> Step<(RawFile<'a>, OpenFlags, Option<Vec<u8>>)> {
    let (descriptor, flags, content) = openable(binary)?;
    match raw.open(&descriptor, flags, ptr::null_mut())? {
        (0, file) if !file.is_null() => Ok((RawFile { raw, file }, flags, content)),
        (returned, _) => Err(failed(&format!("open of {descriptor}"), returned.into())),
    }
}
