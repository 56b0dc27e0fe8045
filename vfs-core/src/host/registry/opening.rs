//! From a descriptor to a call of its provider, under a control of its own.

use crate::code::Code;
use crate::context::{Context, Origin};
use crate::control::{Control, Log};
use crate::descriptor::Descriptor;
use crate::error::{Error, Result};
use crate::flags::OpenFlags;
use crate::host::configuration::open_settings;
use crate::host::open::{OpenFile, OpenOptions};
use crate::host::registry::Registry;
use crate::host::registry::first_use::Started;
use crate::provider::{Info, Namespace, Request};
use std::any::Any;
use std::sync::Arc;

impl Registry {
    /// What the provider says of itself, loaded but not started.
    pub(super) fn info_of(&self, descriptor: Descriptor<'_>, options: &OpenOptions) -> Result<Info> {
        let scheme = descriptor.scheme().to_ascii_lowercase();
        self.controlled(descriptor, options, |_, context| {
            let loaded = self.loaded(&self.resolve(&scheme).provider, &scheme, context)?;
            Ok(loaded.info.clone())
        })
    }

    /// Opens, after what any open of any provider must keep.
    pub(super) fn opened(&self, descriptor: Descriptor<'_>, options: &OpenOptions) -> Result<OpenFile> {
        options.flags.check()?;
        self.with_request(descriptor, options, |started, request, control| {
            let unsupported =
                request.flags().without(started.loaded.info.supported_flags).without(OpenFlags::HINTS);
            if !unsupported.is_empty() {
                let name = &started.loaded.info.name;
                return Err(Error::new(
                    Code::ENOTSUP,
                    format!("provider `{name}` does not support {unsupported:?}"),
                ));
            }
            let registry = (options.depth == 0).then(|| self.0.clone() as Arc<dyn Any + Send + Sync>);
            OpenFile::open(&*started.instance, request, control.clone(), started.clone(), registry)
        })
    }

    /// Works on a name: opens nothing.
    pub(crate) fn named<T>(
        &self,
        descriptor: Descriptor<'_>,
        options: &OpenOptions,
        call: impl FnOnce(&dyn Namespace, &Request<'_>) -> Result<T>,
    ) -> Result<T> {
        let options = OpenOptions { flags: OpenFlags::empty(), ..options.clone() };
        self.with_request(descriptor, &options, |started, request, _| {
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
        call: impl FnOnce(&Arc<Started>, &Request<'_>, &Control) -> Result<T>,
    ) -> Result<T> {
        self.controlled(descriptor, options, |control, context| {
            let written = descriptor.scheme().to_ascii_lowercase();
            let target = self.resolve(&written);
            let loaded = self.loaded(&target.provider, &written, context)?;
            let scheme = target.scheme(&written, &loaded.info)?;
            let started = self.started(&target, &written, &loaded, context)?;
            let settings = open_settings(&loaded.info.settings, &options.settings, &options.offered)?;
            control.status()?;
            let request = Request::new(context, &scheme, descriptor)
                .with_flags(options.flags)
                .with_expected_size(options.expected_size)
                .with_settings(&settings);
            call(&started, &request, control)
        })
    }

    /// Works under a control of its own, which follows the opener's.
    fn controlled<T>(
        &self,
        descriptor: Descriptor<'_>,
        options: &OpenOptions,
        work: impl FnOnce(&Control, &Context) -> Result<T>,
    ) -> Result<T> {
        self.check_process()?;
        let control = Control::new();
        options.leader.as_ref().map_or(Ok(()), |leader| control.follow(leader))?;
        control.status()?;
        let log = Log::new(self.0.host.clone(), descriptor.to_string());
        let context =
            control.context_of(Origin { depth: options.depth, offered: options.offered.clone() }, log);
        control.call_ended(work(&control, &context))
    }

    /// Lists, and ends between two entries once the control says so.
    pub(super) fn listed(
        &self,
        descriptor: &str,
        options: &OpenOptions,
        list: impl FnOnce(&dyn Namespace, &Request<'_>, &mut dyn FnMut() -> bool) -> Result<()>,
    ) -> Result<()> {
        let descriptor = Descriptor::parse(descriptor)?;
        let mut ended = Ok(());
        let listed = self.named(descriptor, options, |names, request| {
            list(names, request, &mut || {
                ended = request.context().status();
                ended.is_ok()
            })
        });
        let listed = listed.and(ended);
        listed.map_err(|error| in_context(error, "list", descriptor))
    }
}

/// Adds what was being done, unless the provider's own text names the object already.
pub(super) fn in_context(error: Error, verb: &str, descriptor: Descriptor<'_>) -> Error {
    let shown = descriptor.to_string();
    if error.to_string().contains(&shown) { error } else { error.context(format!("{verb} {shown}")) }
}
