//! From the command line to a folder that is served, and its end.

use crate::attributes::Look;
use crate::background;
use crate::calls::Calls;
use crate::filesystem::Folder;
use crate::place::{self, Unmounted};
use crate::tree::{ROOT, Top, Tree};
use fuser::{Config, MountOption, Session, SessionACL};
use std::fs::File;
use std::io::{self, ErrorKind};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Instant, SystemTime};
use vfs_core::{Code, Control, Error, Kind, OpenFlags, OpenOptions, Registry, Result, Shown, last_name};
use zvfs_command::exit::{Failure, warn};
use zvfs_command::mount::Mount;
use zvfs_command::options::Options;
use zvfs_command::setup::registry;
use zvfs_command::signals::listen;

/// Serves the folder until it is unmounted.
pub fn serve(mount: &Mount, options: &Options) -> std::result::Result<(), Failure> {
    if mount.background && !background::serves() {
        return background::start();
    }
    let folder = place::find(&mount.folder)?;
    place::refuse_within(&folder, &mount.descriptor)?;
    let registry = registry(options)?;
    if let Some(path) = &mount.log {
        background::log_to(path)?;
    }
    if mount.background {
        background::detach()?;
    }
    let open = mount
        .settings
        .iter()
        .fold(OpenOptions::new(OpenFlags::empty()), |open, (name, text)| open.setting(name, text));
    let (control, is_ours) = (Control::new(), Arc::new(AtomicBool::new(false)));
    let (stopped, mounted_by_us, at) = (control.clone(), is_ours.clone(), folder.clone());
    listen(move |_| {
        stopped.cancel();
        // Before that another mount may be there, which is not this program's.
        if mounted_by_us.load(Ordering::SeqCst) {
            unmount(&at);
        }
    })?;
    let (top, modified) = top(&registry, mount, &open, &control)?;
    // A listing may have been before a link was put there.
    let open = match &top {
        Top::Folder(folder) => open.offer("within", folder.as_str()),
        Top::File(..) => open,
    };
    let calls = Calls::new(mount.timeout)?;
    let tree = Tree::new(top, registry, open, mount.cache_time, mount.write);
    if let Some(time) = modified {
        tree.has_time(ROOT, time);
    }
    let served = Folder::new(tree, Look::new(mount.write), calls.clone());
    let device = served.device();
    let session = mounted(served, &folder, mount)?;
    if let Some(found) = place::device(&folder) {
        device.get_or_init(|| found);
    }
    is_ours.store(true, Ordering::SeqCst);
    if control.is_cancelled() {
        unmount(&folder);
    }
    if mount.background {
        background::ready(mount.log.is_some())?;
    }
    let ended = session.run();
    is_ours.store(false, Ordering::SeqCst);
    // What programs closed is still being brought to its end.
    calls.finish();
    Ok(ended.map_err(|error| Error::from(error).context(format!("serve {}", folder.display())))?)
}

/// What is to be shown, and its time, if it has one. It must be there: what is wrong with it, or with its provider, is told before anything is mounted.
fn top(
    registry: &Registry,
    mount: &Mount,
    open: &OpenOptions,
    control: &Control,
) -> Result<(Top, Option<SystemTime>)> {
    control.set_deadline(Some(Instant::now() + mount.timeout));
    let stat = registry.stat(&mount.descriptor, &open.clone().control(control))?;
    if stat.kind == Kind::Directory {
        return Ok((Top::Folder(mount.descriptor.clone()), stat.modified));
    }
    let name = last_name(&mount.descriptor).ok_or_else(|| {
        let text = format!("mount {}: it is a file without a name of its own", Shown(&mount.descriptor));
        Error::new(Code::EINVAL, text)
    })?;
    Ok((Top::File(name, mount.descriptor.clone()), stat.modified))
}

fn mounted(served: Folder, folder: &Path, mount: &Mount) -> Result<Session<Folder>> {
    // The kernel's table and fusermount3 take a comma for the end of an option.
    let shown: String = Shown(&mount.descriptor)
        .to_string()
        .chars()
        .map(|letter| if letter.is_ascii_graphic() && !matches!(letter, ',' | '\\') { letter } else { '_' })
        .collect();
    let mut config = Config::default();
    config.mount_options = vec![
        MountOption::FSName(shown),
        MountOption::Subtype("zvfs".to_owned()),
        MountOption::DefaultPermissions,
        MountOption::NoSuid,
        MountOption::NoDev,
        MountOption::NoAtime,
        if mount.write { MountOption::RW } else { MountOption::RO },
    ];
    config.acl = if mount.allow_other { SessionACL::All } else { SessionACL::Owner };
    Session::new(served, folder, &config).map_err(|error| {
        let help = help(&error);
        let error = Error::from(error);
        match help {
            Some(help) => error.context(help),
            None => error,
        }
        .context(format!("mount on {}", folder.display()))
    })
}

/// What to do about a mount that failed, where the system's error does not say.
fn help(error: &io::Error) -> Option<&'static str> {
    let device = || File::options().read(true).write(true).open("/dev/fuse").err();
    match error.kind() {
        ErrorKind::NotFound => Some(
            "no /dev/fuse, or no fusermount3: load the kernel's module `fuse`, install Debian's package fuse3",
        ),
        ErrorKind::PermissionDenied
            if device().is_some_and(|error| error.kind() == ErrorKind::PermissionDenied) =>
        {
            Some(
                "/dev/fuse is not yours to use: root lets users mount by `chmod 666 /dev/fuse`, as most systems do",
            )
        }
        _ => None,
    }
}

/// Ends the service, whoever is in the folder.
fn unmount(folder: &Path) {
    match place::leave(folder) {
        Ok(Unmounted::Whole) => {}
        Ok(Unmounted::InUse) => warn(&format!(
            "{} is in use: it is unmounted, and served until what is open in it is closed; a second signal ends that",
            folder.display()
        )),
        Err(error) => warn(&error.chain()),
    }
}
