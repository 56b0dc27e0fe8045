//! What must be so of the process before anything else happens in it, and who may end it.
#![expect(
    unsafe_code,
    reason = "looks at descriptors before std does, and is called by the C library's exit"
)]

use crate::exit::{self, Failure, number};
use std::ffi::{CStr, OsStr, c_int, c_void};
use std::fs;
use std::mem::MaybeUninit;
use std::os::unix::ffi::OsStrExt as _;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Mutex, PoisonError};
use vfs_core::{Code, Error, extern_c};

/// Frames that are looked at for whoever called exit: its own are the first few.
const FRAMES: usize = 64;

/// Called before main, and so before std opens /dev/null in the place of what is closed: whatever was written there would be
/// lost without a word.
#[used]
#[unsafe(link_section = ".init_array")]
static BEFORE_MAIN: extern "C" fn() = fail_closed_streams;

extern_c! { by "zvfs":
    /// Puts something that fails with EBADF in the place of each standard stream that is closed: /dev/null the wrong way round.
    /// So no file that is opened later passes for a stream, and each use is an error, in this command and in its providers.
    fn fail_closed_streams() -> (), plain {
        for (stream, mode) in [(0, libc::O_WRONLY), (1, libc::O_RDONLY), (2, libc::O_RDONLY)] {
            // SAFETY: both calls take numbers and a string that stays. The lowest free descriptor is this one, since those below
            // it are open by now.
            unsafe {
                if libc::fcntl(stream, libc::F_GETFD) == -1 {
                    libc::open(c"/dev/null".as_ptr(), mode);
                }
            }
        }
        Ok(())
    }
}

/// Has a write to a pipe that nobody reads fail, where by default it would end the process.
pub fn ignore_broken_pipes() {
    // SAFETY: the call takes numbers, and a program's own first step may set what becomes of a signal.
    unsafe { libc::signal(libc::SIGPIPE, libc::SIG_IGN) };
}

/// Refuses to run with the rights of somebody else than the caller: the options name files to be written and libraries to be
/// loaded.
pub fn refuse_set_uid() -> Result<(), Failure> {
    // SAFETY: getauxval reads the process's own auxiliary vector and has no preconditions.
    if unsafe { libc::getauxval(libc::AT_SECURE) } == 0 {
        return Ok(());
    }
    let text = "zvfs does not run set-uid, set-gid or with file capabilities, since its options name files and libraries: \
        remove these bits, and let a service do what needs the rights";
    Err(Error::new(Code::EPERM, text).into())
}

/// Has all threads allocate from one arena, for a command that runs one guest: of its few threads one works at a time, and each
/// of the others would map and page in an arena for a few hundred bytes. Before the first thread.
pub fn share_arena() {
    #[cfg(target_env = "gnu")]
    // SAFETY: the call takes numbers, and changes only where what is allocated later lies.
    unsafe {
        libc::mallopt(libc::M_ARENA_MAX, 1);
    }
}

/// Threads that may call exit in one moment: each takes one of the functions that are registered and puts another in its place, and one
/// that finds none ends the process with its own code. As many as the C library has room for without allocating, and no more, since
/// each start pays for them.
const EXITS: usize = 24;

/// Set by the first of them.
static LEAVING: AtomicBool = AtomicBool::new(false);

/// Set once the command itself ends the process.
static ENDING: AtomicBool = AtomicBool::new(false);

/// The command's process: what a provider forks off may end as it likes.
static COMMAND: AtomicU32 = AtomicU32::new(0);

/// The command's own end: whoever ends the process as long as this lives is not the command.
pub struct ExitGuard(());

impl ExitGuard {
    /// From now on a call of exit by a provider is a failure that names it, whatever code it gave: half an output must not pass
    /// for the whole.
    pub fn watch() -> Result<ExitGuard, Failure> {
        COMMAND.store(std::process::id(), Ordering::SeqCst);
        match (0..EXITS).all(|_| register()) {
            true => Ok(ExitGuard(())),
            false => Err(Error::new(Code::ENOMEM, "register an exit handler: out of memory").into()),
        }
    }
}

impl Drop for ExitGuard {
    fn drop(&mut self) {
        ENDING.store(true, Ordering::SeqCst);
    }
}

/// Has `at_exit` called once. Returns whether it will be.
fn register() -> bool {
    // SAFETY: the function stays, in the executable.
    unsafe { libc::atexit(at_exit) == 0 }
}

/// Takes the words for an end that is not the command's own.
type ExitHook = Box<dyn FnOnce(&str) + Send>;

static EXIT_HOOK: Mutex<Option<ExitHook>> = Mutex::new(None);

/// Has a function called when somebody else ends the process, with the words that are told.
pub fn on_foreign_exit(call: impl FnOnce(&str) + Send + 'static) {
    *EXIT_HOOK.lock().unwrap_or_else(PoisonError::into_inner) = Some(Box::new(call));
}

extern_c! { by "zvfs":
    fn at_exit() -> (), plain {
        if ENDING.load(Ordering::SeqCst) || COMMAND.load(Ordering::SeqCst) != std::process::id() {
            return Ok(());
        }
        // For the next who calls exit.
        register();
        while LEAVING.swap(true, Ordering::SeqCst) {
            // SAFETY: the call takes nothing; it waits for a signal, and the first thread ends the process.
            unsafe { libc::pause() };
        }
        let who = caller_of_exit().map_or("a provider".to_owned(), |path| path.display().to_string());
        let text = format!(
            "{who}: called exit, which a provider must not do: the process ends here, and its work is incomplete"
        );
        exit::warn(&text);
        let hook = EXIT_HOOK.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(call) = hook {
            call(&text);
        }
        exit::leave(number(Code::ELIBBAD))
    }
}

/// The library that called exit, as far as the stack tells: a provider's own rather than one that it uses.
fn caller_of_exit() -> Option<PathBuf> {
    let mut frames = [std::ptr::null_mut::<c_void>(); FRAMES];
    // SAFETY: the array is this function's own, and as long as is said.
    let count = unsafe { libc::backtrace(frames.as_mut_ptr(), FRAMES as c_int) };
    let ours = [at_exit as *const c_void, libc::exit as *const c_void]
        .map(|place| object_at(place).map(|(base, _)| base));
    let mut found = None;
    for frame in &frames[..usize::try_from(count).unwrap_or(0)] {
        let Some((base, path)) = object_at(*frame) else { continue };
        if ours.contains(&Some(base)) {
            continue;
        }
        let is_provider = path.file_name().is_some_and(|name| name.as_bytes().starts_with(b"libzvfs_"));
        if is_provider {
            return Some(path);
        }
        found.get_or_insert(path);
    }
    found
}

/// The loaded object that an address lies in: where it begins, and its file.
fn object_at(address: *const c_void) -> Option<(usize, PathBuf)> {
    let mut info = MaybeUninit::<libc::Dl_info>::zeroed();
    // SAFETY: any address may be asked for; zeros are a value of the struct, which is this function's own.
    let info = unsafe {
        if libc::dladdr(address, info.as_mut_ptr()) == 0 {
            return None;
        }
        info.assume_init()
    };
    if info.dli_fname.is_null() {
        return None;
    }
    // SAFETY: the linker's own string, which stays as long as the object: it is on the stack.
    let path = PathBuf::from(OsStr::from_bytes(unsafe { CStr::from_ptr(info.dli_fname) }.to_bytes()));
    // A pinned library was loaded from memory, which the name of the descriptor says.
    let path = match path.starts_with("/proc/self/fd") {
        true => fs::read_link(&path).unwrap_or(path),
        false => path,
    };
    Some((info.dli_fbase as usize, path))
}
