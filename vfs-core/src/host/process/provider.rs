//! A provider whose instances run in processes of their own.

use super::instance::{ProcessInstance, Recipe};
use super::running::{Blueprint, Program, Running};
use crate::context::Context;
use crate::control::Control;
use crate::error::Result;
use crate::host::loader::{CheckedFile, Digest};
use crate::host::walls::Walls;
use crate::lock::Mutex;
use crate::provider::{Host, Info, Instance, Provider};
use crate::settings::Settings;
use std::path::Path;
use std::sync::Arc;

/// A library that was looked at in a process, which then becomes the first instance's.
pub struct ProcessProvider {
    blueprint: Arc<Blueprint>,
    info: Info,
    first: Mutex<Option<Running>>,
}

/// Loads whatever provider a path holds in a process of its own, as a registry does: for tools that examine one. `program` is
/// `zvfs-provider`.
///
/// # Errors
/// As [`Library::load_any`](crate::Library::load_any). EIO: the process ended. ECANCELED, ETIMEDOUT: the context did.
pub fn load(
    context: &Context,
    program: &Path,
    library: &Path,
    pinned: Option<Digest>,
    walls: &Walls,
) -> Result<Box<dyn Provider>> {
    let file = (library, None, pinned);
    let provider = ProcessProvider::load(context, Program::open(program)?, file, walls, &|_| ())?;
    Ok(Box::new(provider))
}

impl ProcessProvider {
    /// Loads the provider `name`, or any, from a path, in a process behind these walls; says what has begun and not returned.
    ///
    /// # Errors
    /// As [`Library::load`](crate::Library::load). EIO: the process ended. ECANCELED, ETIMEDOUT: the context did.
    pub(crate) fn load(
        context: &Context,
        program: Program,
        (path, name, pinned): (&Path, Option<&str>, Option<Digest>),
        walls: &Walls,
        doing: &dyn Fn(&'static str),
    ) -> Result<ProcessProvider> {
        let library = CheckedFile::open(path, pinned)?;
        // Until a library that may be any says its name, it is called as its file.
        let file = library.path.file_name().unwrap_or_default().to_string_lossy();
        let (expected, name) = (name.map(str::to_owned), name.map_or(file.into_owned(), str::to_owned));
        let mut blueprint = Blueprint { name, expected, program, library, walls: walls.clone() };
        doing("its process has not loaded it");
        let (running, info) = blueprint.launch(context)?;
        blueprint.name.clone_from(&info.name);
        Ok(ProcessProvider { blueprint: Arc::new(blueprint), info, first: Mutex::new(Some(running)) })
    }

    /// The library's canonical path.
    pub(crate) fn path(&self) -> &Path {
        &self.blueprint.library.path
    }
}

impl Provider for ProcessProvider {
    fn info(&self) -> Info {
        self.info.clone()
    }

    fn start(&self, host: Host, settings: Settings) -> Result<Box<dyn Instance>> {
        self.start_under(&Control::new().context(), host, settings)
    }

    fn start_under(&self, context: &Context, host: Host, settings: Settings) -> Result<Box<dyn Instance>> {
        let recipe = Recipe { blueprint: self.blueprint.clone(), info: self.info.clone(), host, settings };
        let first = self.first.lock().take().filter(|running| !running.is_dead());
        let running = match first {
            Some(running) => {
                recipe.start(&running, context)?;
                running
            }
            None => recipe.start_another(context)?,
        };
        Ok(Box::new(ProcessInstance::new(recipe, running)))
    }
}
