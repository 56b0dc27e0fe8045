//! A small host for what a test cannot do to its own process: fork it, change its environment, close its stderr.
//!
//! `load NAME PATH` loads a library; `open DESCRIPTOR` opens one with the configuration that is found; `fork FOLDER...` goes on
//! in a child, with the provider in a process if there is a second folder, which has zvfs-provider; `reap FOLDER FOLDER` inherits orphans as a container's first process does; `crowded FOLDER FOLDER PATH` reads a file in a process, and starts another process, while this user has more descriptors under way than it may send; `stuck FOLDER MARK OBJECT` opens, asks about and lists `stuck:`, and ends that once the file MARK is there and all wait for OBJECT. Prints what came of it; exit code 0 is success, 1 an error of the library or the open.
#![expect(unsafe_code, reason = "fork and _exit are unsafe")]

use rustix::io::Errno;
use rustix::net::{
    AddressFamily, SendAncillaryBuffer, SendAncillaryMessage, SendFlags, SocketFlags, SocketType, sendmsg,
    socketpair,
};
use rustix::process::{
    Pid, Resource, Rlimit, WaitOptions, getpid, set_child_subreaper, setrlimit, wait, waitpid,
};
use rustix::thread::{CapabilitySet, CapabilitySets, set_capabilities};
use std::fs;
use std::io::{IoSlice, Write};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::process::{ExitCode, exit};
use std::sync::{Arc, Barrier};
use std::thread;
use std::time::{Duration, Instant};
use vfs_core::{
    Code, Configuration, Control, Error, Library, OpenFile, OpenFlags, OpenOptions, Registry, Wall, Walls,
};

const CHILD_LIMIT: Duration = Duration::from_secs(60);

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let result = match arguments[..] {
        ["load", name, path] => Library::load(Path::new(path), name, None).map(drop).map_err(Error::from),
        ["open", descriptor] => open(descriptor),
        ["fork", ref folders @ ..] => fork(folders),
        ["reap", ref folders @ ..] => reap(folders),
        ["crowded", ref folders @ .., path] => crowded(folders, path),
        ["stuck", folder, mark, object] => stuck(Path::new(folder), Path::new(mark), object),
        _ => return ExitCode::from(64),
    };
    match result {
        Ok(()) => {
            println!("ok");
            ExitCode::SUCCESS
        }
        Err(error) => {
            println!("{}", error.chain());
            ExitCode::from(1)
        }
    }
}

fn reading() -> OpenOptions {
    OpenOptions::new(OpenFlags::READ)
}

fn open(descriptor: &str) -> Result<(), Error> {
    let registry = Registry::new(Configuration::find(None, &[])?);
    registry.open(descriptor, &reading()).map(drop)
}

/// What a program does with a provider, under a control, and how that is ended.
type Use = (fn(&Registry, &Control) -> Result<(), Error>, fn(&Control));

/// All that loads a library, cancelled or timed out once that is where it stays; one begins the load, the others wait for it.
const USES: [Use; 4] = [
    (|registry, control| registry.open("stuck:x", &reading().control(control)).map(drop), Control::cancel),
    (|registry, control| registry.open("stuck:x", &reading().control(control)).map(drop), time_out),
    (|registry, control| registry.info("stuck:x", &reading().control(control)).map(drop), time_out),
    (
        |registry, control| {
            let listing = registry.provider("stuck", control);
            listing.info.and_then(|_| listing.problems.into_iter().next().map_or(Ok(()), Err))
        },
        time_out,
    ),
];

fn time_out(control: &Control) {
    control.set_deadline(Some(Instant::now()));
}

fn stuck(folder: &Path, mark: &Path, object: &str) -> ! {
    let registry = Registry::new(Configuration::with_provider_path([folder]));
    // All threads run before the first of them loads: a new one waits for the dynamic linker, too.
    let ready = Arc::new(Barrier::new(USES.len()));
    let using = USES.map(|(work, end)| {
        let (registry, ready, control) = (registry.clone(), ready.clone(), Control::new());
        let theirs = control.clone();
        let thread = thread::spawn(move || {
            ready.wait();
            work(&registry, &theirs)
        });
        (control, end, thread)
    });
    let waits = |control: &Control| control.waiting().is_some_and(|it| it.to_string().contains(object));
    while !mark.exists() || using.iter().any(|(control, _, thread)| !waits(control) && !thread.is_finished())
    {
        thread::yield_now();
    }
    for (control, end, _) in &using {
        end(control);
    }
    for (_, _, thread) in using {
        match thread.join() {
            Ok(Err(error)) => println!("{}", error.chain()),
            Ok(Ok(())) => println!("ok"),
            Err(_) => println!("panicked"),
        }
    }
    // Not exit: that would wait for the dynamic linker's lock, which the stuck constructor keeps.
    // SAFETY: ends the process; what was printed is flushed line by line, or here.
    unsafe {
        let _ = std::io::stdout().flush();
        libc::_exit(0)
    }
}

/// With `behave`, in a process if there is a second folder, which has zvfs-provider.
fn configuration(folders: &[&str]) -> Result<Configuration, Error> {
    let mut configuration = Configuration::closed();
    folders.iter().try_for_each(|folder| configuration.add_provider_path(*folder))?;
    match folders {
        [_, _] => configuration.place_in_process("behave", weak_walls())?,
        _ => configuration.allow("behave")?,
    }
    Ok(configuration)
}

/// That any kernel has.
fn weak_walls() -> Walls {
    Walls { may_lack: Wall::ALL.to_vec(), ..Walls::default() }
}

/// Opens `behave:process` (whose close kills a process that did not open it), forks, and uses everything in the child.
fn fork(folders: &[&str]) -> Result<(), Error> {
    let registry = Registry::new(configuration(folders)?);
    let mut file = registry.open("behave:process", &reading())?;
    file.read(&mut [0; 4])?;
    // A host that waits for any child must not meet one that is not its own.
    if !matches!(wait(WaitOptions::NOHANG), Err(Errno::CHILD)) {
        return Err(Error::new(Code::EIO, "the provider's process is a child of its host's"));
    }
    // SAFETY: this process has one thread, or another one that only listens, so the child has every lock in a known state.
    match unsafe { libc::fork() } {
        0 => exit(match child(&registry, file, folders) {
            Ok(()) => 0,
            Err(text) => {
                println!("child: {text}");
                1
            }
        }),
        child => {
            let status = wait_for(child)?;
            if status != Some(0) {
                return Err(Error::new(Code::EIO, format!("the child ended with {status:?}")));
            }
            // The parent's own go on.
            file.read(&mut [0; 4])?;
            registry.open("behave:process", &reading()).map(drop)
        }
    }
}

/// As many descriptors may be under way, and one more is. Other tests of this user's leave fewer there.
const FEW: u64 = 250;

/// Reads a file over a provider in a process, and starts another process, when neither this process nor that one can send a descriptor.
fn crowded(folders: &[&str], path: &str) -> Result<(), Error> {
    let system = |errno: Errno| Error::from(std::io::Error::from(errno));
    let mut configuration = Configuration::closed();
    folders.iter().try_for_each(|folder| configuration.add_provider_path(*folder))?;
    let walls = Walls { read: vec![path.into()], ..weak_walls() };
    configuration.place_in_process("file", walls)?;
    // A process with these rights may send what it likes.
    let none = CapabilitySet::empty();
    let none = CapabilitySets { effective: none, permitted: none, inheritable: none };
    set_capabilities(None, none).map_err(system)?;
    setrlimit(Resource::Nofile, Rlimit { current: Some(FEW), maximum: Some(FEW) }).map_err(system)?;
    let registry = Registry::new(configuration.clone());
    let mut file = registry.open(&format!("file:{path}"), &reading())?;
    let _under_way = leave_under_way().map_err(system)?;
    // From the second read on it is asked to lend the file.
    for expected in [1, 1, 1, 1, 0] {
        let count = file.read(&mut [0])?;
        if count != expected {
            return Err(Error::new(Code::EIO, format!("{count} bytes read instead of {expected}")));
        }
    }
    Registry::new(configuration).open(&format!("file:{path}"), &reading()).map(drop)
}

/// Leaves descriptors in a socket that nobody reads.
fn leave_under_way() -> Result<[OwnedFd; 2], Errno> {
    let (from, to) = socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?;
    let many = [from.as_fd(); FEW as usize + 1];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(FEW as usize + 1))];
    let mut beside = SendAncillaryBuffer::new(&mut space);
    beside.push(SendAncillaryMessage::ScmRights(&many));
    sendmsg(&from, &[IoSlice::new(b"x")], &mut beside, SendFlags::empty())?;
    Ok([from, to])
}

/// As the first process of a container: whatever is left by others becomes its child, and stays a zombie until it is reaped.
fn reap(folders: &[&str]) -> Result<(), Error> {
    let system = |errno: Errno| Error::from(std::io::Error::from(errno));
    set_child_subreaper(Some(getpid())).map_err(system)?;
    let registry = Registry::new(configuration(folders)?);
    registry.open("behave:process", &reading())?.read(&mut [0; 4])?;
    if children()?.is_empty() {
        return Err(Error::new(Code::EIO, "the provider's supervisor is no child of who inherits orphans"));
    }
    drop(registry);
    while !children()?.is_empty() {
        thread::yield_now();
    }
    Ok(())
}

/// This process's children, zombies too.
fn children() -> Result<String, Error> {
    let mut children = String::new();
    for task in fs::read_dir("/proc/self/task")? {
        // A thread may end meanwhile.
        children += &fs::read_to_string(task?.path().join("children")).unwrap_or_default();
    }
    Ok(children)
}

fn child(registry: &Registry, mut file: OpenFile, folders: &[&str]) -> Result<(), String> {
    let refused = |what: &str, result: Result<(), Error>| match result {
        Err(error) if error.code() == Code::EPERM && error.chain().contains("new registry after a fork") => {
            Ok(())
        }
        other => Err(format!("{what} in the child: {other:?}")),
    };
    refused("read", file.read(&mut [0; 4]).map(drop))?;
    refused("open", registry.open("behave:process", &reading()).map(drop))?;
    refused("stat", registry.stat("behave:process", &reading()).map(drop))?;
    drop(file);
    let anew = Registry::new(configuration(folders).map_err(|error| error.chain())?);
    let mut file = anew.open("behave:process", &reading()).map_err(|error| error.chain())?;
    file.read(&mut [0; 4]).map(drop).map_err(|error| error.chain())
}

fn wait_for(child: i32) -> Result<Option<i32>, Error> {
    let pid = Pid::from_raw(child).ok_or(Code::EIO)?;
    let until = Instant::now() + CHILD_LIMIT;
    while Instant::now() < until {
        if let Some((_, status)) = waitpid(Some(pid), WaitOptions::NOHANG)
            .map_err(|errno| Error::from(std::io::Error::from(errno)))?
        {
            return Ok(status.exit_status());
        }
        thread::sleep(Duration::from_millis(5));
    }
    let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
    Err(Error::new(Code::ETIMEDOUT, format!("the child was not done after {CHILD_LIMIT:?}")))
}
