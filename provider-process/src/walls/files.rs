//! Landlock: which files may be used, and in what way; connecting and listening over TCP.

use super::{lacking, libraries};
use landlock::{
    ABI, Access, AccessFs, AccessNet, BitFlags, CompatLevel, Compatible, PathBeneath, PathFd, PathFdError,
    Ruleset, RulesetAttr, RulesetCreated, RulesetCreatedAttr, RulesetError, Scope, make_bitflags,
};
use rustix::fs::fstat;
use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;
use vfs_core::{Code, Error, Result, Wall, Walls};

/// The version that has a right for everything that is done to files: with an older one, whoever may read may truncate.
const FILES: ABI = ABI::V3;
/// Refines what the filters hold already: devices, sockets in folders, abstract sockets, signals.
const MORE: ABI = ABI::V9;

const READ: BitFlags<AccessFs> = make_bitflags!(AccessFs::{ReadFile | ReadDir});
/// Regular files, folders and FIFOs. No symbolic links: those who follow one may reach what the provider may not.
const WRITE: BitFlags<AccessFs> = make_bitflags!(AccessFs::{
    ReadFile | ReadDir | WriteFile | Truncate | MakeReg | MakeDir | MakeFifo | RemoveFile | RemoveDir | Refer
});

/// What every process needs.
const DEVICES: [(&str, BitFlags<AccessFs>); 3] = [
    ("/dev/null", make_bitflags!(AccessFs::{ReadFile | WriteFile})),
    ("/dev/random", make_bitflags!(AccessFs::{ReadFile})),
    ("/dev/urandom", make_bitflags!(AccessFs::{ReadFile})),
];
const LINKER_CACHE: &str = "/etc/ld.so.cache";
/// What the system's resolver reads. Its modules lie with the libraries.
const RESOLVER: [&str; 5] =
    ["/etc/resolv.conf", "/etc/hosts", "/etc/nsswitch.conf", "/etc/gai.conf", "/etc/host.conf"];

/// Fences this thread, and those that it starts.
pub fn fence(walls: &Walls, library: BorrowedFd<'_>) -> Result<()> {
    let mut fence = Fence(ruleset(walls)?);
    for folder in libraries::FOLDERS {
        fence.allow_if_there(folder, READ)?;
    }
    fence.allow_if_there(LINKER_CACHE, READ)?;
    for (device, access) in DEVICES {
        fence.allow_if_there(device, access)?;
    }
    if walls.dns {
        for file in RESOLVER {
            fence.allow_if_there(file, READ)?;
        }
    }
    let library = library.try_clone_to_owned().map(File::from).map_err(Error::from)?;
    // A pinned library is a copy in memory, which has no name and needs no rule.
    if fstat(&library).is_ok_and(|stat| stat.st_nlink > 0) {
        fence.allow(&library, READ)?;
    }
    for file in libraries::needed_by(&library) {
        fence.allow(&file, READ)?;
    }
    for (paths, access, what) in [(&walls.read, READ, "read"), (&walls.write, WRITE, "write")] {
        for path in paths {
            fence.allow_named(path, access).map_err(|error| not_there(what, path, &error))?;
        }
    }
    fence.0.restrict_self().map_err(failed)?;
    Ok(())
}

/// What is refused unless a rule allows it.
fn ruleset(walls: &Walls) -> Result<RulesetCreated> {
    let level = |wall| match walls.may_lack.contains(&wall) {
        true => CompatLevel::BestEffort,
        false => CompatLevel::HardRequirement,
    };
    let mut rules = Ruleset::default()
        .set_compatibility(level(Wall::Landlock))
        .handle_access(AccessFs::from_all(FILES))
        .map_err(|_| lacking(Wall::Landlock, "Linux 6.2 and landlock among its security modules"))?;
    // Where neither is allowed the filters refuse the sockets, and where both are there is nothing to refuse.
    let net = match walls.tcp_connect == walls.tcp_listen {
        true => CompatLevel::BestEffort,
        false => level(Wall::LandlockNet),
    };
    for (allowed, right) in
        [(walls.tcp_connect, AccessNet::ConnectTcp), (walls.tcp_listen, AccessNet::BindTcp)]
    {
        if !allowed {
            rules = rules
                .set_compatibility(net)
                .handle_access(right)
                .map_err(|_| lacking(Wall::LandlockNet, "Linux 6.7"))?;
        }
    }
    let rules = rules
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(AccessFs::from_all(MORE))
        .and_then(|rules| rules.scope(Scope::from_all(MORE)));
    rules.and_then(Ruleset::create).map_err(failed)
}

/// A ruleset that is being filled.
struct Fence(RulesetCreated);

impl Fence {
    /// A file, or what is below a folder.
    fn allow(&mut self, file: impl AsFd, access: BitFlags<AccessFs>) -> Result<()> {
        (&mut self.0).add_rule(PathBeneath::new(file, access)).map_err(failed)?;
        Ok(())
    }

    /// What the operator named, so it must be there.
    fn allow_named(&mut self, path: &Path, access: BitFlags<AccessFs>) -> Result<()> {
        match PathFd::new(path) {
            Ok(file) => self.allow(file, access),
            Err(PathFdError::OpenCall { source, .. }) => Err(source.into()),
            Err(error) => Err(Error::new(Code::EIO, error.to_string())),
        }
    }

    /// What a system may not have.
    fn allow_if_there(&mut self, path: &str, access: BitFlags<AccessFs>) -> Result<()> {
        match PathFd::new(path) {
            Ok(file) => self.allow(file, access),
            Err(_) => Ok(()),
        }
    }
}

/// The operator's mistake: with the kernel's own code it would look as if what is opened were not there.
fn not_there(what: &str, path: &Path, error: &Error) -> Error {
    Error::new(Code::EINVAL, format!("may {what} {}: {}", path.display(), error.code().text()))
}

fn failed(error: RulesetError) -> Error {
    Error::new(Code::EIO, format!("raise the wall `landlock`: {error}"))
}
