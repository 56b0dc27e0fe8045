//! An instance over a temporary folder, and children of this very test program.

use std::fs;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus};
use std::time::Duration;
use tempfile::TempDir;
use vfs_core::{
    Code, Control, Descriptor, File, Host, Instance, OpenFlags, Provider, Request, Result, Scope, Settings,
};
use zvfs_file::FileProvider;
use zvfs_test_support::{LIMIT, ends, fifo};
pub use zvfs_test_support::{in_thread, terminal, waits_until};

/// A loaded machine gets this much before a test gives up.
pub const SLACK: Duration = Duration::from_secs(10);

pub const READ: OpenFlags = OpenFlags::READ;
pub const WRITE: OpenFlags = OpenFlags::WRITE;
pub const NEW: OpenFlags = OpenFlags::WRITE.union(OpenFlags::CREATE).union(OpenFlags::TRUNCATE);

pub fn start(settings: &[(&str, &str)]) -> Result<Box<dyn Instance>> {
    let given: Vec<_> = settings.iter().map(|(name, text)| (name.to_string(), text.to_string())).collect();
    let settings = Settings::check(&FileProvider.info().settings, Scope::OPERATOR, &given)?;
    let log = |level, text: &str| println!("{level:?}: {text}");
    FileProvider.start(Host::logging("test", "0", log), settings)
}

/// Makes a request as a host would, and gives it to `call`.
pub fn request<T>(descriptor: &str, control: &Control, call: impl FnOnce(Request<'_>) -> T) -> T {
    call(Request::new(&control.context(), "file", Descriptor::parse(descriptor).unwrap()))
}

pub fn open_in(instance: &dyn Instance, descriptor: &str, flags: OpenFlags) -> Result<Box<dyn File>> {
    open_under(instance, &Control::new(), descriptor, flags)
}

pub fn open_under(
    instance: &dyn Instance,
    control: &Control,
    descriptor: &str,
    flags: OpenFlags,
) -> Result<Box<dyn File>> {
    request(descriptor, control, |request| instance.open(&request.with_flags(flags)))
}

/// A temporary folder, and an instance with it as its root.
pub struct House {
    pub folder: TempDir,
    pub instance: Box<dyn Instance>,
}

impl House {
    pub fn new() -> House {
        let folder = TempDir::new().unwrap();
        let instance = start(&[("root", folder.path().to_str().unwrap())]).unwrap();
        House { folder, instance }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A bare path: a descriptor.
    pub fn bare(&self, name: &str) -> String {
        self.path(name).to_str().unwrap().to_owned()
    }

    pub fn with(self, name: &str, content: &str) -> House {
        fs::write(self.path(name), content).unwrap();
        self
    }

    pub fn with_fifo(self, name: &str) -> House {
        fifo(self.path(name));
        self
    }

    pub fn open(&self, name: &str, flags: OpenFlags) -> Result<Box<dyn File>> {
        open_in(&*self.instance, &self.bare(name), flags)
    }

    pub fn open_sized(&self, name: &str, flags: OpenFlags, size: u64) -> Result<Box<dyn File>> {
        request(&self.bare(name), &Control::new(), |request| {
            self.instance.open(&request.with_flags(flags).with_expected_size(Some(size)))
        })
    }

    pub fn content(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap()
    }

    pub fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(self.folder.path()).unwrap();
        let mut names: Vec<_> =
            entries.map(|entry| entry.unwrap().file_name().to_str().unwrap().to_owned()).collect();
        names.sort();
        names
    }
}

/// The code and the text of a refusal.
#[track_caller]
pub fn refused<T>(result: Result<T>, code: Code, words: &str) {
    match result {
        Ok(_) => panic!("not refused, expected {code}"),
        Err(error) => {
            assert_eq!(error.code(), code, "{}", error.chain());
            assert!(error.chain().contains(words), "`{}` does not say `{words}`", error.chain());
        }
    }
}

pub fn write_all(file: &mut dyn File, mut bytes: &[u8]) {
    while !bytes.is_empty() {
        let count = file.write(bytes).unwrap();
        bytes = &bytes[count..];
    }
}

pub fn read_all(file: &mut dyn File) -> Vec<u8> {
    let (mut all, mut buffer) = (Vec::new(), [0; 4096]);
    loop {
        match file.read(&mut buffer).unwrap() {
            0 => return all,
            count => all.extend_from_slice(&buffer[..count]),
        }
    }
}

/// Set in a child of this program to what it should work on.
const CHILD: &str = "ZVFS_FILE_TEST_CHILD";

/// What this process should work on, if it is a child.
pub fn child_argument() -> Option<String> {
    std::env::var(CHILD).ok()
}

/// A command that runs one test of this program as a child.
pub fn child(test: &str, argument: &str) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", test, "--nocapture", "--test-threads", "1"]).env(CHILD, argument);
    command
}

/// Waits for a child, bounded; kills it if it takes too long.
#[track_caller]
pub fn finished(mut child: Child) -> ExitStatus {
    if !ends(&child, LIMIT) {
        child.kill().unwrap();
        panic!("the child is still running after {LIMIT:?}");
    }
    child.wait().unwrap()
}
