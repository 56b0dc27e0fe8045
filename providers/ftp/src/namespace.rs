//! Work on names: stat, list, remove, folders, and times.

use crate::caller::Caller;
use crate::client::Client;
use crate::download::Download;
use crate::facts::{Facts, Line};
use crate::target::Target;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::SystemTime;
use vfs_core::{Code, Kind, Name, Printable};
use zvfs_net::failure::{Attempt, Failure, Retry};
use zvfs_net::retry::{Budget, persist};

/// The longest line of a listing.
const LINE_MAX: usize = 64 << 10;

/// What is known of a file or folder.
///
/// # Errors
/// ENOENT, EACCES: the server's word. As [`Client::session`].
pub fn stat(client: &Arc<Client>, target: &Target, caller: &Caller) -> Attempt<Facts> {
    persist(caller, &mut Budget::new(), || {
        let (theirs, target, tuning) = (client.clone(), target.clone(), caller.tuning.clone());
        caller.wait(client, "the facts", async move {
            let mut session = theirs.session(&target.account, &tuning).await?;
            let facts = session.facts(&target.path).await;
            theirs.keep(session).await;
            facts
        })
    })
}

/// Calls with each name of a folder, until the function breaks off. Once a name came, a lost listing is not begun again.
///
/// # Errors
/// ENOTDIR: it is a file. ENOENT, EACCES: the server's word. EPROTO: lines that no program can read. As [`Client::session`].
pub fn list(
    client: &Arc<Client>,
    target: &Target,
    caller: &Caller,
    each: &mut dyn FnMut(Name<'_>) -> ControlFlow<()>,
) -> Attempt<()> {
    let (mut download, is_mlsd) = persist(caller, &mut Budget::new(), || {
        let (theirs, target, tuning) = (client.clone(), target.clone(), caller.tuning.clone());
        caller.wait(client, "the listing", async move {
            let mut session = theirs.session(&target.account, &tuning).await?;
            match session.list(&target.path).await {
                Ok((data, is_mlsd)) => {
                    Ok((Download::new(&theirs, session, data, 0, tuning.stall_timeout)?, is_mlsd))
                }
                Err(failure) => {
                    theirs.keep(session).await;
                    Err(failure)
                }
            }
        })
    })?;
    while let Some(line) = download.read_line(LINE_MAX, caller)? {
        if line.is_empty() {
            continue;
        }
        let parsed = if is_mlsd { Line::of_mlsd(&line) } else { Line::of_list(&line) };
        match parsed {
            Line::Nothing => {}
            Line::Unknown => {
                let line = String::from_utf8_lossy(&line).chars().take(100).collect::<String>();
                let text = format!("a line of the listing that cannot be read: `{}`", Printable(&line));
                return Err(Failure::protocol(text));
            }
            Line::Entry(name, facts) => {
                if each(Name { bytes: &name, stat: Some(&facts.stat()) }).is_break() {
                    return Ok(());
                }
            }
        }
    }
    Ok(())
}

/// Makes a folder. Not repeated: a second attempt would find what a first one made.
///
/// # Errors
/// EEXIST: something has that name. ENOENT, EACCES: the server's word. As [`Client::session`].
pub fn make_folder(client: &Arc<Client>, target: &Target, caller: &Caller) -> Attempt<()> {
    let (theirs, target, tuning) = (client.clone(), target.clone(), caller.tuning.clone());
    caller.wait(client, "the new folder", async move {
        let mut session = theirs.session(&target.account, &tuning).await?;
        let made = session.make_folder(&target.path).await;
        theirs.keep(session).await;
        made
    })
}

/// Sets the time of what is there.
///
/// # Errors
/// ENOTSUP: the server has no MFMT. ENOENT, EACCES: the server's word. As [`Client::session`].
pub fn set_modified(client: &Arc<Client>, target: &Target, caller: &Caller, time: SystemTime) -> Attempt<()> {
    persist(caller, &mut Budget::new(), || {
        let (theirs, target, tuning) = (client.clone(), target.clone(), caller.tuning.clone());
        caller.wait(client, "the new time", async move {
            let mut session = theirs.session(&target.account, &tuning).await?;
            let set = session.set_modified(&target.path, time).await;
            theirs.keep(session).await;
            set
        })
    })
}

/// Removes an empty folder. Not repeated, as a new one is not.
///
/// # Errors
/// ENOTDIR: it is a file. ENOTEMPTY, ENOENT, EACCES: the server's word. As [`Client::session`].
pub fn remove_folder(client: &Arc<Client>, target: &Target, caller: &Caller) -> Attempt<()> {
    let (theirs, target, tuning) = (client.clone(), target.clone(), caller.tuning.clone());
    caller.wait(client, "the removal", async move {
        let mut session = theirs.session(&target.account, &tuning).await?;
        let removed = session.remove_folder(&target.path).await;
        theirs.keep(session).await;
        removed
    })
}

/// Removes a file, never a folder.
///
/// # Errors
/// EISDIR: it is a folder. ENOENT, EACCES: the server's word. As [`Client::session`].
pub fn remove(client: &Arc<Client>, target: &Target, caller: &Caller) -> Attempt<()> {
    let mut unheard = false;
    persist(caller, &mut Budget::new(), || {
        let (theirs, target, tuning) = (client.clone(), target.clone(), caller.tuning.clone());
        let removed = caller.wait(client, "the removal", async move {
            let mut session = theirs.session(&target.account, &tuning).await?;
            // Some servers remove folders too.
            let facts = session.facts(&target.path).await;
            let removed = match facts {
                Ok(facts) if facts.kind == Kind::Directory => {
                    Err(Failure::new(Code::EISDIR, "it is a folder"))
                }
                Ok(_) => session.remove(&target.path).await,
                Err(failure) => Err(failure),
            };
            theirs.keep(session).await;
            removed
        });
        match removed {
            // The connection was lost before it said that it had done it.
            Err(failure) if failure.code == Code::ENOENT && unheard => Ok(()),
            Err(failure) => {
                unheard |= failure.retry != Retry::No;
                Err(failure)
            }
            Ok(()) => Ok(()),
        }
    })
}
