//! Opens one shared library: checks who could have changed it, loads it, and reads its table.
#![expect(unsafe_code, reason = "loading a library runs its code")]

use crate::abi;
use crate::error::Result;
use crate::host::import::{Bare, Imported};
use crate::host::loader::{Refusal, image, trust};
use crate::provider::{Host, Info, Instance, Provider};
use crate::settings::Settings;
use libloading::os::unix::{Library as Handle, RTLD_LOCAL, RTLD_NOW};
use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, memfd_create};
use sha2::{Digest as _, Sha256};
use std::fmt;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::mem;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// A SHA-256, written as 64 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Digest([u8; 32]);

impl TryFrom<String> for Digest {
    type Error = String;

    fn try_from(text: String) -> Result<Digest, String> {
        let wrong = || format!("`{}` is not a SHA-256: write 64 hexadecimal digits", text.escape_debug());
        let mut digest = [0; 32];
        // from_str_radix alone would take a sign.
        if text.len() != 64 || !text.bytes().all(|digit| digit.is_ascii_hexdigit()) {
            return Err(wrong());
        }
        for (at, byte) in digest.iter_mut().enumerate() {
            *byte = u8::from_str_radix(&text[2 * at..2 * at + 2], 16).map_err(|_| wrong())?;
        }
        Ok(Digest(digest))
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A loaded provider. The library is never unloaded: threads, thread-local destructors and copied pointers of a plug-in
/// outlive every handle on it.
pub struct Library {
    path: PathBuf,
    provider: Imported,
}

impl Library {
    /// Loads the provider `name` from a path. With `pinned` the file must have that SHA-256, and what is loaded is the very
    /// bytes that were hashed.
    ///
    /// # Errors
    /// One [`Refusal`] each for a file that others could change, a wrong digest, what is no library, no provider, a newer
    /// provider only, a broken table, or another provider's name.
    pub fn load(path: &Path, name: &str, pinned: Option<Digest>) -> Result<Library, Refusal> {
        Library::load_telling(path, name, pinned, &|_| ())
    }

    /// The same; says what has begun and not returned.
    pub(crate) fn load_telling(
        path: &Path,
        name: &str,
        pinned: Option<Digest>,
        doing: &dyn Fn(&'static str),
    ) -> Result<Library, Refusal> {
        let library = Library::load_any_telling(path, pinned, doing)?;
        let found = library.info().name;
        if found != name {
            return Err(Refusal::OtherName { path: library.path, found, expected: name.to_owned() });
        }
        Ok(library)
    }

    /// Loads whatever provider a path holds, whatever its name: for tools that examine one.
    ///
    /// # Errors
    /// As [`load`](Library::load), but for the name.
    pub fn load_any(path: &Path, pinned: Option<Digest>) -> Result<Library, Refusal> {
        Library::load_any_telling(path, pinned, &|_| ())
    }

    fn load_any_telling(
        path: &Path,
        pinned: Option<Digest>,
        doing: &dyn Fn(&'static str),
    ) -> Result<Library, Refusal> {
        let CheckedFile { path, file } = CheckedFile::open(path, pinned)?;
        let unreadable =
            |source: io::Error| Refusal::Unreadable { path: path.clone(), source: source.into() };
        doing("its constructors have not returned");
        let handle = if pinned.is_some() {
            dlopen_descriptor(&path, file.into())?
        } else {
            let checked = file.metadata().map_err(unreadable)?;
            let handle = dlopen(&path, &path)?;
            let now = fs::metadata(&path).map_err(unreadable)?;
            if (checked.dev(), checked.ino()) != (now.dev(), now.ino()) {
                return Err(Refusal::Replaced { path });
            }
            handle
        };
        doing("its entry zvfs_provider_v1 has not returned");
        Library::of(path, handle)
    }

    /// Loads what a descriptor leads to, which somebody else has checked; `path` is for messages. For a provider's process.
    ///
    /// # Errors
    /// As [`load_any`](Library::load_any), but for those of a check.
    #[doc(hidden)]
    pub fn from_descriptor(path: &Path, library: OwnedFd) -> Result<Library, Refusal> {
        Library::of(path.to_owned(), dlopen_descriptor(path, library)?)
    }

    fn of(path: PathBuf, handle: Handle) -> Result<Library, Refusal> {
        let provider = read_table(&path, &handle)?;
        mem::forget(handle);
        Ok(Library { path, provider })
    }

    /// Starts an instance whose functions can be called one by one.
    #[doc(hidden)]
    pub fn start_bare(&self, host: Host, settings: &Settings) -> Result<Bare> {
        Bare::start(&self.provider, host, settings)
    }

    /// The canonical path it was loaded from.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Provider for Library {
    fn info(&self) -> Info {
        self.provider.info()
    }

    fn start(&self, host: Host, settings: Settings) -> Result<Box<dyn Instance>> {
        self.provider.start(host, settings)
    }

    fn is_in_its_turn(&self) -> bool {
        self.provider.is_in_its_turn()
    }
}

/// A library's file that may be loaded.
pub(crate) struct CheckedFile {
    /// Canonical.
    pub(crate) path: PathBuf,
    /// What was checked: with a pin, sealed memory with the bytes that were hashed.
    pub(crate) file: File,
}

impl CheckedFile {
    /// Checks who could have changed a file, and that it is all there.
    pub(crate) fn open(path: &Path, pinned: Option<Digest>) -> Result<CheckedFile, Refusal> {
        let unreadable =
            |source: io::Error| Refusal::Unreadable { path: path.to_owned(), source: source.into() };
        let path = path.canonicalize().map_err(unreadable)?;
        let file = trust::open(&path)
            .map_err(|source| Refusal::Unreadable { path: path.clone(), source: source.into() })?;
        trust::check(&path, &file)?;
        image::check_whole(&path, &file)?;
        let file = match pinned {
            Some(digest) => in_memory(&path, file, digest)?,
            None => file,
        };
        Ok(CheckedFile { path, file })
    }
}

/// Copies the file into sealed memory and hashes it there: nobody can change it between check and use.
fn in_memory(path: &Path, mut file: File, pinned: Digest) -> Result<File, Refusal> {
    let unreadable = |source: io::Error| Refusal::Unreadable { path: path.to_owned(), source: source.into() };
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    let memory = memfd_create("zvfs-provider", flags).map_err(|errno| unreadable(errno.into()))?;
    let mut memory = File::from(memory);
    let digest = copy_and_hash(&mut file, &mut memory).map_err(unreadable)?;
    if digest != pinned {
        let (found, pinned) = (digest.to_string(), pinned.to_string());
        return Err(Refusal::Digest { path: path.to_owned(), found, pinned });
    }
    let seals = SealFlags::SEAL | SealFlags::SHRINK | SealFlags::GROW | SealFlags::WRITE;
    fcntl_add_seals(&memory, seals).map_err(|errno| unreadable(errno.into()))?;
    Ok(memory)
}

fn dlopen_descriptor(path: &Path, library: OwnedFd) -> Result<Handle, Refusal> {
    let handle = dlopen(path, Path::new(&format!("/proc/self/fd/{}", library.as_raw_fd())))?;
    // The loader knows libraries by name: were the descriptor closed, its number reused and another library loaded by the
    // same name, it would return this one again.
    mem::forget(library);
    Ok(handle)
}

fn copy_and_hash(from: &mut File, to: &mut File) -> io::Result<Digest> {
    let (mut hash, mut buf) = (Sha256::new(), vec![0; 64 * 1024]);
    loop {
        match from.read(&mut buf) {
            Ok(0) => return Ok(Digest(hash.finalize().into())),
            Ok(count) => {
                hash.update(&buf[..count]);
                to.write_all(&buf[..count])?;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// RTLD_LOCAL: two providers may each carry their own copy of a library. No RTLD_DEEPBIND: it breaks allocators.
fn dlopen(path: &Path, name: &Path) -> Result<Handle, Refusal> {
    // SAFETY: this runs the library's constructors: the operator allowed it, and the caller checked who could change it.
    unsafe { Handle::open(Some(name), RTLD_NOW | RTLD_LOCAL) }
        .map_err(|error| Refusal::NotLoadable { path: path.to_owned(), reason: reason(&error) })
}

/// The dynamic linker's own words, which libloading keeps as the cause.
fn reason(error: &libloading::Error) -> String {
    std::error::Error::source(error).map_or_else(|| error.to_string(), ToString::to_string)
}

fn read_table(path: &Path, handle: &Handle) -> Result<Imported, Refusal> {
    type Entry = unsafe extern "C" fn() -> *const abi::Provider;
    // SAFETY: a symbol of this name is the ABI's entry, whose type this is.
    let Ok(entry) = (unsafe { handle.get::<Entry>(abi::ENTRY.as_bytes()) }) else {
        // SAFETY: only whether it is there is asked; it is never called.
        let newer = (2..=9)
            .map(|major| format!("zvfs_provider_v{major}"))
            .find(|name| unsafe { handle.get::<Entry>(name.as_bytes()).is_ok() });
        return Err(match newer {
            Some(found) => Refusal::NewerOnly { path: path.to_owned(), found },
            None => Refusal::NoEntry { path: path.to_owned() },
        });
    };
    // SAFETY: the ABI's entry, called once, with what it returns staying as long as the library, which is for ever.
    unsafe { Imported::new(entry()) }.map_err(|defect| Refusal::Defect { path: path.to_owned(), defect })
}
