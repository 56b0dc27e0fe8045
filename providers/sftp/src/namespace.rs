//! Work on names: stat, list, remove, folders, and times.

use crate::calls::{Handle, seconds};
use crate::instance::{Asked, Sftp};
use crate::packet::{Attributes, Name as Found};
use crate::pool::Pool;
use crate::target::Target;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::SystemTime;
use vfs_core::{Code, Entry, Kind, Name, Namespace, Request, Result, Stat};
use zvfs_net::failure::{Attempt, Failure};

impl Namespace for Sftp {
    fn stat(&self, request: &Request<'_>) -> Result<Stat> {
        let Asked { target, caller, .. } = self.asked(request)?;
        let found = caller.persist("a status", || status(self.pool.clone(), target.clone()));
        found.map(|attributes| attributes.stat()).map_err(|failure| caller.error("stat", &failure))
    }

    fn list(&self, request: &Request<'_>, each: &mut dyn FnMut(Entry<'_>) -> ControlFlow<()>) -> Result<()> {
        self.names(request, &mut self.host.entries(request.shown(), each))
    }

    fn names(&self, request: &Request<'_>, each: &mut dyn FnMut(Name<'_>) -> ControlFlow<()>) -> Result<()> {
        let Asked { target, caller, .. } = self.asked(request)?;
        let failed = |failure: Failure| caller.error("list", &failure);
        let opened = caller.persist("an open folder", || folder(self.pool.clone(), target.clone()));
        let folder = Arc::new(opened.map_err(failed)?);
        loop {
            let next = folder.clone();
            let names = caller.wait("names", async move { next.names().await }).map_err(failed)?;
            if names.is_empty() || names.iter().try_for_each(|found| entry(found, each)).is_break() {
                return Ok(());
            }
        }
    }

    fn remove(&self, request: &Request<'_>) -> Result<()> {
        let Asked { target, caller, .. } = self.asked(request)?;
        let removed = caller.wait("a removal", remove(self.pool.clone(), target));
        removed.map_err(|failure| caller.error("remove", &failure))
    }

    fn make_folder(&self, request: &Request<'_>) -> Result<()> {
        let Asked { target, caller, .. } = self.asked(request)?;
        let pool = self.pool.clone();
        let made = caller.wait("a new folder", async move {
            pool.link(&target.login).await?.make_folder(&target.path).await
        });
        made.map_err(|failure| caller.error("make folder", &failure))
    }

    fn set_modified(&self, request: &Request<'_>, time: SystemTime) -> Result<()> {
        let Asked { target, caller, .. } = self.asked(request)?;
        let failed = |failure: Failure| caller.error("set the time of", &failure);
        let (pool, seconds) = (self.pool.clone(), seconds(time).map_err(failed)?);
        let set = caller.wait("a new time", async move {
            pool.link(&target.login).await?.set_modified(&target.path, seconds).await
        });
        set.map_err(failed)
    }

    fn remove_folder(&self, request: &Request<'_>) -> Result<()> {
        let Asked { target, caller, .. } = self.asked(request)?;
        let pool = self.pool.clone();
        let removed = caller.wait("a removal", async move {
            pool.link(&target.login).await?.remove_folder(&target.path).await
        });
        removed.map_err(|failure| caller.error("remove folder", &failure))
    }
}

async fn status(pool: Arc<Pool>, target: Target) -> Attempt<Attributes> {
    pool.link(&target.login).await?.stat(&target.path).await
}

async fn remove(pool: Arc<Pool>, target: Target) -> Attempt<()> {
    let link = pool.link(&target.login).await?;
    if link.stat_link(&target.path).await?.kind() == Kind::Directory {
        return Err(Failure::new(Code::EISDIR, "is a directory: only files are removed"));
    }
    link.remove(&target.path).await
}

async fn folder(pool: Arc<Pool>, target: Target) -> Attempt<Handle> {
    let link = pool.link(&target.login).await?;
    match link.open_folder(&target.path).await {
        Ok(folder) => Ok(folder),
        // Servers have no status for it.
        Err(failure) => match link.stat(&target.path).await {
            Ok(found) if found.kind() != Kind::Directory => {
                Err(Failure::new(Code::ENOTDIR, "is not a directory"))
            }
            Err(told) if told.code == Code::ELOOP => Err(told),
            _ => Err(failure),
        },
    }
}

fn entry(found: &Found, each: &mut dyn FnMut(Name<'_>) -> ControlFlow<()>) -> ControlFlow<()> {
    if found.is_the_folders_own() {
        return ControlFlow::Continue(());
    }
    // Where a link leads is not known without asking.
    let stat = (!found.attributes.is_link()).then(|| found.attributes.stat());
    each(Name { bytes: &found.name, stat: stat.as_ref() })
}
