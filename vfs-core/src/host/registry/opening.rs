//! From a descriptor to a call of its provider, under a control of its own.

use crate::code::Code;
use crate::context::{Context, Origin};
use crate::control::{Control, Log};
use crate::descriptor::{Descriptor, Shown};
use crate::entry::Name;
use crate::error::{Error, Result};
use crate::flags::OpenFlags;
use crate::host::configuration::open_settings;
use crate::host::open::{OpenFile, OpenOptions};
use crate::host::registry::Registry;
use crate::host::registry::first_use::{Resolved, Started};
use crate::provider::{Namespace, Request};
use std::any::Any;
use std::borrow::Cow;
use std::sync::Arc;

/// The names of one listing, in bytes, each with [`BESIDE_A_NAME`]: a server that lists without end must not fill the memory of
/// whoever keeps what it lists. About two million names of 20 bytes.
const NAMES_MAX: usize = 256 << 20;
/// What whoever keeps a name keeps beside it, in bytes: its status, and what the memory costs.
const BESIDE_A_NAME: usize = 128;

/// A call of a provider as it is made for one descriptor.
pub(super) struct Opening {
    /// Of this call alone.
    control: Control,
    /// The provider's end of it.
    pub(super) context: Context,
    /// The descriptor for messages.
    shown: Arc<str>,
}

impl Registry {
    /// Opens, after what any open of any provider must keep.
    pub(super) fn opened(&self, descriptor: Descriptor<'_>, options: &OpenOptions) -> Result<OpenFile> {
        self.with_request(descriptor, options, "open", |started, request, opening| {
            let unsupported =
                request.flags().without(started.loaded.info.supported_flags).without(OpenFlags::HINTS);
            if !unsupported.is_empty() {
                let name = &started.loaded.info.name;
                return Err(Error::new(
                    Code::ENOTSUP,
                    format!("provider `{name}` does not support {unsupported}"),
                ));
            }
            let registry = (options.depth == 0).then(|| self.0.clone() as Arc<dyn Any + Send + Sync>);
            let Opening { control, shown, .. } = opening;
            OpenFile::open(
                &*started.instance,
                request,
                shown.clone(),
                control.clone(),
                started.clone(),
                registry,
            )
        })
    }

    /// Works on a name: opens nothing.
    pub(crate) fn named<T>(
        &self,
        descriptor: Descriptor<'_>,
        options: &OpenOptions,
        verb: &str,
        call: impl FnOnce(&dyn Namespace, &Request<'_>) -> Result<T>,
    ) -> Result<T> {
        let options = OpenOptions { flags: OpenFlags::empty(), ..options.clone() };
        self.with_request(descriptor, &options, verb, |started, request, _| {
            let name = &started.loaded.info.name;
            let names = started.instance.namespace();
            let absent = || Error::new(Code::ENOTSUP, format!("provider `{name}` does not support names"));
            call(names.ok_or_else(absent)?, request)
        })
    }

    /// Makes a call of the provider's instance, loaded and started if this is its first use.
    fn with_request<T>(
        &self,
        descriptor: Descriptor<'_>,
        options: &OpenOptions,
        verb: &str,
        call: impl FnOnce(&Arc<Started>, &Request<'_>, &Opening) -> Result<T>,
    ) -> Result<T> {
        self.controlled(descriptor, options, verb, |opening| {
            let Opening { control, context, shown } = opening;
            options.flags.check()?;
            let resolved = self.resolved(descriptor.scheme(), options.loads_on, context)?;
            let Resolved { scheme, started, settings } = &*resolved;
            let given = (&options.settings, &options.offered);
            let settings = match settings {
                Some(settings) if given.0.is_empty() && given.1.is_empty() => Cow::Borrowed(settings),
                _ => Cow::Owned(open_settings(&started.loaded.info.settings, given.0, given.1)?),
            };
            control.status()?;
            let request = Request::shown_as(context, scheme, descriptor, (&**shown).into())
                .with_flags(options.flags)
                .with_expected_size(options.expected_size)
                .with_settings(&settings);
            call(started, &request, opening)
        })
    }

    /// Works under a control of its own, which follows the opener's. An error says what was being done.
    pub(super) fn controlled<T>(
        &self,
        descriptor: Descriptor<'_>,
        options: &OpenOptions,
        verb: &str,
        work: impl FnOnce(&Opening) -> Result<T>,
    ) -> Result<T> {
        let attempt = || {
            self.check_process()?;
            let shown: Arc<str> = Shown(descriptor.as_written()).to_cow().into();
            let origin = Origin { depth: options.depth, offered: options.offered.clone(), file: 0 };
            let control = Control::of(origin, Log::new(self.0.host.clone(), shown.clone()));
            options.leader.as_ref().map_or(Ok(()), |leader| control.follow(leader))?;
            control.status()?;
            let opening = Opening { context: control.context(), control, shown };
            opening.control.call_ended(work(&opening))
        };
        attempt().map_err(|error| error.context(format!("{verb} {descriptor}")))
    }

    /// Lists, and ends between two entries once the control says so, or there are more names than a caller may have to keep.
    pub(super) fn listed(
        &self,
        descriptor: &str,
        options: &OpenOptions,
        list: impl FnOnce(&dyn Namespace, &Request<'_>, &mut dyn FnMut(Name<'_>) -> bool) -> Result<()>,
    ) -> Result<()> {
        let descriptor = Descriptor::parse(descriptor)?;
        self.named(descriptor, options, "list", |names, request| {
            let (mut ended, mut left) = (Ok(()), NAMES_MAX);
            let listed = list(names, request, &mut |name| {
                ended = request.context().status().and_then(|()| {
                    left = left.checked_sub(name.bytes.len() + BESIDE_A_NAME).ok_or_else(too_many)?;
                    Ok(())
                });
                ended.is_ok()
            });
            ended.and(listed)
        })
    }
}

#[cold]
fn too_many() -> Error {
    let text = format!("more than {} MiB of names: list a folder with fewer", NAMES_MAX >> 20);
    Error::new(Code::EOVERFLOW, text)
}
