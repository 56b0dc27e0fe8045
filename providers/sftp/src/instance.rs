//! One configuration: its connections, and what its opens become.

use crate::caller::Caller;
use crate::calls::Handle;
use crate::connection::Link;
use crate::failure::plain;
use crate::file::{Opened, Remote};
use crate::packet::{Attributes, open};
use crate::pool::Pool;
use crate::settings::{Config, Tuning};
use crate::target::Target;
use crate::upload::{Upload, unmade};
use std::sync::Arc;
use vfs_core::{Code, Error, File, Host, Instance, Kind, Namespace, OpenFlags, Request, Result, Settings};
use zvfs_net::failure::{Attempt, Failure};
use zvfs_net::policy::Policy;
use zvfs_runtime::Runtime;

/// What opens can be asked for.
pub const SUPPORTED: OpenFlags = OpenFlags::READ
    .union(OpenFlags::WRITE)
    .union(OpenFlags::CREATE)
    .union(OpenFlags::TRUNCATE)
    .union(OpenFlags::EXCLUSIVE)
    .union(OpenFlags::APPEND)
    .union(OpenFlags::ATOMIC)
    .union(OpenFlags::SEQUENTIAL)
    .union(OpenFlags::RANDOM);

/// What only a writer is asked for.
const FOR_WRITERS: OpenFlags =
    OpenFlags::CREATE.union(OpenFlags::TRUNCATE).union(OpenFlags::APPEND).union(OpenFlags::ATOMIC);

/// An instance.
pub struct Sftp {
    pub(crate) host: Host,
    pub(crate) pool: Arc<Pool>,
}

/// What a request is about, and who asks.
pub struct Asked {
    pub target: Target,
    pub caller: Caller,
    pub tuning: Tuning,
}

impl Sftp {
    /// Makes an instance.
    ///
    /// # Errors
    /// EINVAL, ENOENT, ...: the settings'. EMFILE, ...: the runtime's.
    pub fn new(host: Host, settings: &Settings) -> Result<Sftp> {
        let policy = Policy::new(settings)?;
        let config = Config::new(settings, &policy)?;
        let runtime = Runtime::start(settings, "zvfs-sftp")?;
        Ok(Sftp { host, pool: Pool::new(config, policy, runtime) })
    }

    /// Reads a request.
    ///
    /// # Errors
    /// EINVAL: its descriptor is no URL.
    pub fn asked(&self, request: &Request<'_>) -> Result<Asked> {
        let target = Target::of(request)?;
        let tuning = self.pool.config().tuning.with(request.settings());
        let caller =
            Caller::of(request, &self.host, self.pool.runtime(), &target.login.origin, tuning.retries);
        Ok(Asked { target, caller, tuning })
    }
}

impl Instance for Sftp {
    fn open(&self, request: &Request<'_>) -> Result<Box<dyn File>> {
        let Asked { target, caller, tuning } = self.asked(request)?;
        let flags = with_direction(request.flags());
        if flags.contains(OpenFlags::READ) && flags.intersects(OpenFlags::APPEND | OpenFlags::ATOMIC) {
            let text = format!(
                "open {}: a file is appended to, or written with ATOMIC, or read: not both",
                request.shown()
            );
            return Err(Error::new(Code::ENOTSUP, text));
        }
        let open = || opened(self.pool.clone(), target.clone(), flags);
        let opened = match flags.contains(OpenFlags::EXCLUSIVE) && !flags.contains(OpenFlags::ATOMIC) {
            // A second attempt would find what a first one made.
            true => caller.wait("an open file", open()),
            false => caller.persist("an open file", open),
        };
        let opened = opened.map_err(|failure| caller.error("open", &failure))?;
        Ok(Box::new(Remote::new(&self.pool, target, caller, tuning, flags, opened)))
    }

    fn namespace(&self) -> Option<&dyn Namespace> {
        Some(self)
    }
}

impl Drop for Sftp {
    fn drop(&mut self) {
        self.pool.stop();
    }
}

/// With neither direction it is read, unless a flag is for writers.
fn with_direction(flags: OpenFlags) -> OpenFlags {
    match flags {
        flags if flags.intersects(OpenFlags::READ | OpenFlags::WRITE) => flags,
        flags if flags.intersects(FOR_WRITERS) => flags | OpenFlags::WRITE,
        flags => flags | OpenFlags::READ,
    }
}

async fn opened(pool: Arc<Pool>, target: Target, flags: OpenFlags) -> Attempt<Opened> {
    if !flags.contains(OpenFlags::ATOMIC) {
        return in_place(&pool, &target, flags).await;
    }
    let (handle, upload) = Upload::begin(pool, target, flags).await?;
    Ok(Opened { handle, known: Attributes::NONE, upload: Some(upload) })
}

/// Opens what is there, or makes it. What is no regular file is refused before: a server that opens a FIFO answers nobody until
/// somebody else opens it.
async fn in_place(pool: &Arc<Pool>, target: &Target, flags: OpenFlags) -> Attempt<Opened> {
    let link = pool.link(&target.login).await?;
    match link.stat(&target.path).await {
        Ok(_) if flags.contains(OpenFlags::EXCLUSIVE) => return Err(plain(Code::EEXIST)),
        Ok(known) => regular(&known)?,
        Err(failure) if failure.code == Code::ENOENT && flags.contains(OpenFlags::CREATE) => {}
        Err(failure) => return Err(failure),
    }
    let handle = open(&link, &target.path, flags).await?;
    let known = handle.stat().await?;
    Ok(Opened { handle, known, upload: None })
}

fn regular(known: &Attributes) -> Attempt<()> {
    let refuse = |code, what: &str| Err(Failure::new(code, what));
    match known.kind() {
        Kind::Regular => Ok(()),
        Kind::Directory => refuse(Code::EISDIR, "is a directory"),
        Kind::Stream => refuse(Code::EPROTONOSUPPORT, "is a FIFO or a socket: channels are regular files"),
        Kind::Device => refuse(Code::EPROTONOSUPPORT, "is a device: channels are regular files"),
        _ => refuse(Code::EPROTONOSUPPORT, "is no regular file: channels are"),
    }
}

async fn open(link: &Link, path: &[u8], flags: OpenFlags) -> Attempt<Handle> {
    const FLAGS: [(OpenFlags, u32); 6] = [
        (OpenFlags::READ, open::READ),
        (OpenFlags::WRITE, open::WRITE),
        (OpenFlags::CREATE, open::CREATE),
        (OpenFlags::TRUNCATE, open::TRUNCATE),
        (OpenFlags::EXCLUSIVE, open::EXCLUSIVE),
        (OpenFlags::APPEND, open::APPEND),
    ];
    let bits = FLAGS.iter().filter(|(flag, _)| flags.contains(*flag)).map(|(_, bit)| bit).sum();
    match link.open(path, bits, &Attributes::NONE).await {
        Err(_) if flags.contains(OpenFlags::EXCLUSIVE) && link.stat_link(path).await.is_ok() => {
            Err(plain(Code::EEXIST))
        }
        Err(failure) if flags.contains(OpenFlags::CREATE) => Err(unmade(link, path, failure).await),
        outcome => outcome,
    }
}
