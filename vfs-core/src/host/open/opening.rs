//! How a file is opened: by a provider's instance, or given by the host itself.

use super::ending::Ending;
use super::promises::Promises;
use super::{OpenFile, OpenOptions};
use crate::code::Code;
use crate::context::Context;
use crate::control::Control;
use crate::error::{Error, Result};
use crate::file::File;
use crate::flags::{Capabilities, OpenFlags};
use crate::lock::Mutex;
use crate::provider::{Instance, Request};
use std::any::Any;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

impl OpenFile {
    /// Opens a request on an instance. `shown` is the request's, to be shared; `keep` and `registry` live as long as the file: the
    /// former owns the instance.
    ///
    /// # Errors
    /// The provider's; EBADF if it opened less than was asked for; ECANCELED, ETIMEDOUT: the control ended meanwhile.
    pub(crate) fn open(
        instance: &dyn Instance,
        request: &Request<'_>,
        shown: Arc<str>,
        control: Control,
        keep: Arc<dyn Any + Send + Sync>,
        registry: Option<Arc<dyn Any + Send + Sync>>,
    ) -> Result<OpenFile> {
        let file = instance.open(request)?;
        // A result that comes is given, but for this one: nobody is there to close it.
        if let Err(ended) = control.status() {
            let made = request.flags() & (OpenFlags::CREATE | OpenFlags::TRUNCATE);
            let stays = !made.is_empty() && !request.flags().contains(OpenFlags::ATOMIC);
            return Err(if stays { ended.context(format!("what {made} did stays")) } else { ended });
        }
        let open = OpenFile { _keep: Some(keep), _registry: registry, ..OpenFile::of(file, shown, control) };
        open.check(request.flags())?;
        Ok(open)
    }

    /// Opens a file of the host's own, which no provider stands behind and no policy applies to. Of `options` only flags and control
    /// count; the context that the file is made with ends as that control does. `shown` is its name in messages.
    ///
    /// # Errors
    /// EBADF: it cannot be read or written as the flags say. ENOTSUP: flags other than READ, WRITE and hints. ECANCELED, ETIMEDOUT: the
    /// control ended before or meanwhile.
    pub fn own(
        shown: impl Into<Arc<str>>,
        options: &OpenOptions,
        make: impl FnOnce(&Context) -> Box<dyn File>,
    ) -> Result<OpenFile> {
        let shown = shown.into();
        let unsupported = options.flags.without(OpenFlags::READ | OpenFlags::WRITE).without(OpenFlags::HINTS);
        if !unsupported.is_empty() {
            let text = format!("open {shown}: a file of the host's own does not support {unsupported}");
            return Err(Error::new(Code::ENOTSUP, text));
        }
        let control = Control::new();
        options.leader.as_ref().map_or(Ok(()), |leader| control.follow(leader))?;
        control.status()?;
        let file = make(&control.context());
        control.status()?;
        let open = OpenFile::of(file, shown, control);
        open.check(options.flags)?;
        Ok(open)
    }

    fn of(file: Box<dyn File>, shown: Arc<str>, control: Control) -> OpenFile {
        OpenFile {
            capabilities: file.capabilities(),
            file,
            control,
            shown,
            ending: Ending::default(),
            promises: Promises::default(),
            write_failed: AtomicBool::new(false),
            write_error: Mutex::new(None),
            _keep: None,
            _registry: None,
        }
    }

    /// Holds it against what was asked for.
    fn check(&self, flags: OpenFlags) -> Result<()> {
        for (flag, capability, verb) in [
            (OpenFlags::READ, Capabilities::READABLE, "read"),
            (OpenFlags::WRITE, Capabilities::WRITABLE, "written"),
        ] {
            if flags.contains(flag) && !self.capabilities.contains(capability) {
                return Err(Error::new(Code::EBADF, format!("open {}: cannot be {verb}", self.shown)));
            }
        }
        Ok(())
    }
}
