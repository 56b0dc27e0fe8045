//! What stands behind a `zvm_template *`.

use crate::argument::SessionOptions;
use crate::jobs::Jobs;
use crate::objects::{Objects, Opaque};
use crate::session::{self, Common, Slot, error};
use std::ffi::{CString, c_char};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use vfs_core::boundary::Growing;
use vfs_core::{Code, Control, Error, Result};
use zvm::{ChannelSpec, Manifest, Template};

static TEMPLATES: Objects<TemplateSlot> = Objects::new("template");

/// One template.
pub struct TemplateSlot {
    jobs: Arc<Jobs>,
    /// Replaced when the program is.
    template: Mutex<Template>,
    /// Ends what is being prepared.
    control: Control,
    /// What the manifest names, once somebody has asked: never changed, so that C can have the addresses.
    sources: OnceLock<Vec<Source>>,
}

/// A channel's alias, one of its sources, and the flags of the channel.
struct Source {
    alias: CString,
    source: CString,
    flags: u64,
}

/// `zvm_source`.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct ToldSource {
    struct_size: u64,
    alias: *const c_char,
    source: *const c_char,
    flags: u64,
}

// SAFETY: repr(C), a u64 first, pointers and a number.
unsafe impl Growing for ToldSource {
    const FIRST: u64 = 32;
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
    let (control, sources) = (Control::new(), OnceLock::new());
    Ok(TEMPLATES.insert(TemplateSlot { jobs, template, control, sources }))
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

    /// Valid as long as the slot is in the table.
    pub fn source(&self, index: u64) -> Result<ToldSource> {
        let sources = self.sources.get_or_init(|| sources_of(self.get().manifest()));
        let source = usize::try_from(index).ok().and_then(|index| sources.get(index)).ok_or_else(|| {
            Error::new(Code::ENOENT, format!("the manifest has {} sources, no number {index}", sources.len()))
        })?;
        let Source { alias, source, flags } = source;
        Ok(ToldSource { struct_size: 0, alias: alias.as_ptr(), source: source.as_ptr(), flags: *flags })
    }

    pub fn prepare(&self) -> Result<()> {
        let template = self.get();
        template.prepare(&self.control).map_err(|failure| error(&failure))
    }

    /// Whether it is ready, without compiling it.
    pub fn load(&self) -> Result<bool> {
        let template = self.get();
        template.load(&self.control).map_err(|failure| error(&failure))
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

fn sources_of(manifest: &Manifest) -> Vec<Source> {
    // Neither has a NUL: the manifest's parser and that of descriptors refuse control characters.
    let text = |text: &str| CString::new(text).unwrap_or_default();
    let of_channel = |channel: &Arc<ChannelSpec>| {
        let flags = u64::from(channel.limits.readable()) | u64::from(channel.limits.writable()) << 1;
        let alias = text(&channel.alias);
        let sources = channel.sources.iter();
        sources.map(|source| Source { alias: alias.clone(), source: text(source), flags }).collect::<Vec<_>>()
    };
    manifest.channels.iter().flat_map(of_channel).collect()
}
