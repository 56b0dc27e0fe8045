//! What stands behind a `zvm_template *`.

use crate::argument::SessionOptions;
use crate::jobs::Jobs;
use crate::objects::{Objects, Opaque};
use crate::session::{self, Common, Slot};
use crate::signals;
use std::sync::{Arc, Mutex, PoisonError};
use vfs_core::{Code, Control, Error, Result};
use zvm::{ExitCode, Failure, Template};

static TEMPLATES: Objects<TemplateSlot> = Objects::new("template");

/// One template.
pub struct TemplateSlot {
    jobs: Arc<Jobs>,
    /// Replaced when the program is.
    template: Mutex<Template>,
    /// Ends what is being prepared.
    control: Control,
}

/// Makes a template and gives out its number.
pub fn make(manifest: &[u8], options: Option<SessionOptions>) -> Result<*mut Opaque> {
    let mut template = Template::new(session::parse(manifest)?);
    let mut jobs = Arc::default();
    if let Some(options) = options {
        let common = Common::of(&options)?;
        template = template.registry(common.registry).options(common.options).compiler(common.compiler);
        jobs = common.jobs;
    }
    let template = Mutex::new(template);
    Ok(TEMPLATES.insert(TemplateSlot { jobs, template, control: Control::new() }))
}

/// The template of a number.
pub fn find(template: *mut Opaque) -> Result<Arc<TemplateSlot>> {
    TEMPLATES.find(template)
}

/// Forgets a template; what is being prepared is cancelled.
pub fn free(template: *mut Opaque) {
    if let Some(slot) = TEMPLATES.remove(template) {
        slot.control.cancel();
    }
}

impl TemplateSlot {
    pub fn program(&self, bytes: &[u8]) -> Result<()> {
        session::check_program(bytes)?;
        let mut template = self.template.lock().unwrap_or_else(PoisonError::into_inner);
        *template = template.clone().program(bytes);
        Ok(())
    }

    pub fn prepare(&self) -> Result<()> {
        let template = self.get();
        signals::blocked(|| template.prepare(&self.control)).map_err(|failure| error(&failure))
    }

    /// Makes a session and gives out its number.
    pub fn session(&self) -> *mut Opaque {
        session::insert(Slot::new(self.jobs.clone(), self.get().session()))
    }

    fn get(&self) -> Template {
        // Nothing panics while it is held.
        self.template.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

fn error(failure: &Failure) -> Error {
    let code = match failure.exit() {
        ExitCode::Missing => Code::ENOENT,
        ExitCode::Stopped => Code::ECANCELED,
        ExitCode::Memory => Code::ENOMEM,
        ExitCode::Io => Code::EIO,
        ExitCode::Manifest => Code::EACCES,
        _ => Code::EINVAL,
    };
    Error::new(code, failure.text().to_owned())
}
