//! What stands behind a `zvm_template *`.

use crate::argument::SessionOptions;
use crate::objects::{Objects, Opaque};
use crate::session::{self, Common, Slot};
use crate::signals;
use std::sync::{Arc, Mutex, PoisonError};
use vfs_core::{Code, Control, Error, Result};
use zvm::{ExitCode, Failure, Manifest, Template};

static TEMPLATES: Objects<TemplateSlot> = Objects::new("template");

/// One template.
pub struct TemplateSlot {
    aliases: Arc<[String]>,
    /// Replaced when the program is.
    template: Mutex<Template>,
    /// Ends what is being prepared.
    control: Control,
}

/// Makes a template and gives out its number.
pub fn make(manifest: &[u8], options: Option<SessionOptions>) -> Result<*mut Opaque> {
    let manifest = session::parse(manifest)?;
    let aliases = session::aliases(&manifest);
    let template = Mutex::new(with_options(manifest, options)?);
    Ok(TEMPLATES.insert(TemplateSlot { aliases, template, control: Control::new() }))
}

fn with_options(manifest: Manifest, options: Option<SessionOptions>) -> Result<Template> {
    let template = Template::new(manifest);
    let Some(options) = options else { return Ok(template) };
    let Common { registry, options, compiler } = Common::of(&options)?;
    Ok(template.registry(registry).options(options).compiler(compiler))
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
        let control = Control::new();
        let session = self.get().session().control(&control);
        session::insert(Slot::new(self.aliases.clone(), control, session))
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
