//! What hostile bytes meet: calls of the guest's interface, in any order, with any arguments.
//!
//! There is no engine in it: each call gets a memory, a state, and fuel, as the engine would give them.

use super::call::{CALL_COST, Call, End, Halt};
use super::clock::Clock;
use super::linker::functions;
use super::memory::Memory;
use super::memory_budget::MemoryBudget;
use super::mount::{MountLimits, Plan, mount};
use super::prepare::{Invocation, Names, Prepared, prepare};
use super::random::Random;
use super::state::{State, standard_fds};
use super::stop::Stop;
use super::tree::Tree;
use super::wasi_fd::filetype;
use super::{wasi_fd, wasi_io, wasi_names, wasi_path, wasi_poll, wasi_process};
use crate::channel::{Channels, Counts, RunOptions};
use crate::manifest::Manifest;
use std::io::SeekFrom;
use std::ops::ControlFlow;
use std::sync::Arc;
use vfs_core::{
    Capabilities, Code, Configuration, Control, Entry, File, Host, Info, Instance, Kind, Namespace,
    OpenFlags, Provider, Registry, Request, Result, Settings, Stat,
};

/// The guest's memory, in bytes.
const MEMORY: usize = 64 << 10;
/// What one run may use.
const FUEL: u64 = 50_000;
/// The most calls of one run.
const CALLS: usize = 64;
const SCRATCH: u64 = 64 << 10;

pub(super) const MANIFEST: &str =
    "Version = 20140509\nProgram = toy:p\nMemory = 65536, 0\nTimeout = 9\nScratch = 65536\nPreopen = /tmp
Channel = toy:pipe, /dev/stdin, 0, 999, 20000, 0, 0\nChannel = toy:pipe, /dev/stdout, 0, 0, 0, 99, 5000
Channel = toy:pipe, /dev/stderr, 0, 0, 0, 99, 5000\nChannel = toy:file, /data/rw, 3, 99, 9000, 99, 9000
Channel = toy:file, /data/cdr, 1, 99, 9000, 99, 9000\nChannel = toy:file, /data/ro, 1, 999, 20000, 0, 0
Tree = toy:tree, /t, ro, 99, 9000, 20
Tree = toy:other, /w, rw, 99, 9000, 9, 5000, 20
Export = toy:out, /out, 9, 5000\n";

/// Files in memory: `toy:file` has positions, `toy:pipe` gives the same bytes and takes any number. Below `toy:tree` each folder has one
/// like itself, and a file.
#[derive(Clone)]
struct Toy(Arc<[u8]>);

struct ToyFile {
    data: Vec<u8>,
    at: usize,
    positions: bool,
}

impl Provider for Toy {
    fn info(&self) -> Info {
        let flags = OpenFlags::READ
            | OpenFlags::WRITE
            | OpenFlags::CREATE
            | OpenFlags::TRUNCATE
            | OpenFlags::APPEND
            | OpenFlags::ATOMIC;
        Info::new("toy", "1", "files in memory").supported_flags(flags)
    }

    fn start(&self, _: Host, _: Settings) -> Result<Box<dyn Instance>> {
        Ok(Box::new(self.clone()))
    }
}

impl Instance for Toy {
    fn open(&self, request: &Request<'_>) -> Result<Box<dyn File>> {
        let positions = request.rest() == "file" || request.rest().ends_with("/f");
        Ok(Box::new(ToyFile { data: self.0.to_vec(), at: 0, positions }))
    }

    fn namespace(&self) -> Option<&dyn Namespace> {
        Some(self)
    }
}

impl Namespace for Toy {
    fn stat(&self, _: &Request<'_>) -> Result<Stat> {
        Err(Code::ENOTSUP.into())
    }

    fn list(&self, _: &Request<'_>, each: &mut dyn FnMut(Entry<'_>) -> ControlFlow<()>) -> Result<()> {
        for (name, kind) in [("f", Kind::Regular), ("d", Kind::Directory)] {
            if each(Entry { name, stat: Some(&Stat::of_kind(kind)) }).is_break() {
                break;
            }
        }
        Ok(())
    }
}

impl File for ToyFile {
    fn capabilities(&self) -> Capabilities {
        let pipe =
            Capabilities::READABLE | Capabilities::WRITABLE | Capabilities::STAT | Capabilities::CANCEL;
        match self.positions {
            true => pipe | Capabilities::SEEKABLE | Capabilities::TRUNCATABLE,
            false => pipe,
        }
    }

    fn stat(&mut self) -> Result<Stat> {
        let mut stat = Stat::of_kind(if self.positions { Kind::Regular } else { Kind::Stream });
        stat.size = self.positions.then_some(self.data.len() as u64);
        Ok(stat)
    }

    fn read(&mut self, buf: &mut [u8]) -> Result<usize> {
        let data = self.data.get(self.at..).unwrap_or_default();
        let count = data.len().min(buf.len()).min(777);
        buf[..count].copy_from_slice(&data[..count]);
        self.at += count;
        Ok(count)
    }

    fn write(&mut self, buf: &[u8]) -> Result<usize> {
        let count = buf.len().min(777);
        if self.positions {
            let end = self.at.checked_add(count).filter(|end| *end < 1 << 20).ok_or(Code::EFBIG)?;
            self.data.resize(self.data.len().max(end), 0);
            self.data[self.at..end].copy_from_slice(&buf[..count]);
            self.at = end;
        }
        Ok(count)
    }

    fn seek(&mut self, to: SeekFrom) -> Result<u64> {
        let at = match to {
            SeekFrom::Start(at) => Some(at),
            SeekFrom::Current(by) => (self.at as u64).checked_add_signed(by),
            SeekFrom::End(by) => (self.data.len() as u64).checked_add_signed(by),
        };
        self.at = at.and_then(|at| usize::try_from(at).ok()).ok_or(Code::EINVAL)?;
        Ok(self.at as u64)
    }

    fn truncate(&mut self, size: u64) -> Result<()> {
        let size = usize::try_from(size).ok().filter(|size| *size < 1 << 20).ok_or(Code::EFBIG)?;
        self.data.resize(size, 0);
        Ok(())
    }
}

/// The input, as choices.
struct Choices<'a>(&'a [u8]);

impl Choices<'_> {
    fn byte(&mut self) -> u8 {
        let (first, rest) = self.0.split_first().unwrap_or((&0, &[]));
        self.0 = rest;
        *first
    }

    /// A number of the kinds that calls have: a descriptor, a place in the memory, a length, a huge one, or anything.
    fn number(&mut self) -> u64 {
        match self.byte() {
            small @ 0..=127 => u64::from(small % 16),
            place @ 128..=191 => u64::from(place - 128) * 64,
            192..=207 => u64::from(self.byte()) << 8 | u64::from(self.byte()),
            208..=215 => MEMORY as u64 - u64::from(self.byte()),
            216..=223 => u64::MAX - u64::from(self.byte()),
            224..=231 => u64::from(u32::MAX) - u64::from(self.byte()),
            232..=239 => i64::MAX as u64 - u64::from(self.byte()),
            _ => (0..8).fold(0, |number, _| number << 8 | u64::from(self.byte())),
        }
    }
}

trait Argument {
    fn choose(choices: &mut Choices<'_>) -> Self;
}

impl Argument for u32 {
    fn choose(choices: &mut Choices<'_>) -> u32 {
        choices.number() as u32
    }
}

impl Argument for u64 {
    fn choose(choices: &mut Choices<'_>) -> u64 {
        choices.number()
    }
}

impl Argument for i64 {
    fn choose(choices: &mut Choices<'_>) -> i64 {
        choices.number() as i64
    }
}

/// Makes the call of this number.
macro_rules! dispatch {
    ($call:ident, $choices:ident, $number:ident; $($module:ident :: $name:ident($($parameter:ident: $type:ty),* $(,)?);)*) => {{
        let functions: &[fn(&mut Call<'_>, &mut Choices<'_>) -> std::result::Result<(), Halt>] = &[$(
            |call, choices| {
                $(let $parameter = <$type>::choose(choices);)*
                let _ = &choices;
                $module::$name(call, $($parameter),*)
            },
        )*];
        functions[usize::from($number) % functions.len()]($call, $choices)
    }};
}

/// A session as it starts.
pub(super) fn state() -> State {
    let manifest = Manifest::parse(MANIFEST.as_bytes()).expect("the manifest");
    let data_of_files: Vec<u8> = (0..3000u32).map(|number| number as u8).collect();
    let mut channels = open(&manifest, &data_of_files);
    let Prepared { tree, preopened, arguments, environment, time, .. } =
        prepare(&manifest, &Invocation::default(), &Names::default(), &mut channels, &Stop::default())
            .expect("the tree");
    State {
        tree,
        filetypes: channels.iter().map(filetype).collect(),
        fds: standard_fds(&mut channels, preopened),
        channels,
        arguments,
        environment,
        clock: Clock::new(true, time),
        random: Random::seeded(&[0; 32], None, None),
        stop: Stop::default(),
        memory_budget: MemoryBudget::new(MEMORY as u64),
        memory: None,
        fuel: FUEL,
        buffer: Vec::new(),
    }
}

/// Makes the calls that the input chooses. Returns whether none of them ended the session.
///
/// # Panics
/// Where the interface breaks a promise: a failed call that changed the memory or was counted, more scratch space than there
/// is, fuel that grows.
#[allow(clippy::unwrap_used, clippy::expect_used, reason = "a broken promise is told by a panic")]
pub fn calls(data: &[u8]) -> bool {
    let mut state = state();
    let mut memory = vec![0; MEMORY];
    memory[..4096].copy_from_slice(&page());
    let mut choices = Choices(data);
    for _ in 0..CALLS {
        if choices.0.is_empty() {
            return true;
        }
        let number = choices.byte();
        if number == u8::MAX {
            // The guest's own work: a byte anywhere in the first page.
            let (at, byte) =
                (usize::from(choices.byte()) << 4 | usize::from(choices.byte() >> 4), choices.byte());
            memory[at] = byte;
            continue;
        }
        let (before, counts, fuel) = (memory.clone(), counts(&state), state.fuel);
        let call = &mut Call { memory: Memory::new(&mut memory), state: &mut state };
        let choices = &mut choices;
        let outcome = call.charge(CALL_COST).and_then(|()| functions!(dispatch! call, choices, number));
        assert!(state.fuel <= fuel, "fuel grew");
        state.tree.check(SCRATCH);
        match outcome {
            Ok(()) => {}
            Err(Halt::Errno(errno)) => {
                assert_ne!(errno.raw(), 0);
                assert!(memory == before, "a failed call changed the memory");
                let moved = |counts: &[Counts]| {
                    counts.iter().map(|counts| counts.get_bytes + counts.put_bytes).sum::<u64>()
                };
                assert_eq!(moved(&counts), moved(&self::counts(&state)), "a failed call moved bytes");
            }
            Err(Halt::End(End::Failed(failure))) => panic!("a channel failed: {failure}"),
            Err(Halt::End(_)) => return false,
        }
    }
    true
}

/// Mounts an archive: once where its bytes are, once loaded, once into the scratch space; over each of them
/// once more. Returns whether all three could be.
///
/// # Panics
/// Where a promise is broken: a file beyond the archive's end, more scratch space than there is.
#[allow(clippy::expect_used, reason = "a broken promise is told by a panic")]
pub fn archive(data: &[u8]) -> bool {
    let manifest = Manifest::parse(MANIFEST.as_bytes()).expect("the manifest");
    let mut taken = true;
    for (channel, writable) in [("/data/ro", false), ("/dev/stdin", false), ("/data/ro", true)] {
        let mut channels = open(&manifest, data);
        let mut tree = Tree::new(channels.iter().map(|channel| channel.alias()), Some(SCRATCH));
        let plan = Plan { channel, path: "/m", writable };
        let stop = Stop::default();
        let mounted = mount(plan, &mut channels, &mut tree, &mut MountLimits::new(&stop), 0);
        tree.check(SCRATCH);
        taken &= mounted.is_ok();
        // And over itself, the other way: whether that can be does not matter, if all is well after it.
        let plan = Plan { channel: "/data/ro", writable: !writable, ..plan };
        drop(mount(plan, &mut channels, &mut tree, &mut MountLimits::new(&stop), 0));
        tree.check(SCRATCH);
    }
    taken
}

/// Channels over such bytes, for tests.
#[cfg(test)]
pub(crate) fn channels(data: &[u8]) -> Channels {
    open(&Manifest::parse(MANIFEST.as_bytes()).unwrap(), data)
}

#[allow(clippy::expect_used, reason = "as its callers")]
pub(super) fn open(manifest: &Manifest, data: &[u8]) -> Channels {
    let registry = Registry::new(Configuration::with_provider_path(Vec::<std::path::PathBuf>::new()));
    registry.register(Box::new(Toy(data.into()))).expect("the provider");
    Channels::open(manifest, &registry, &RunOptions::new(), &Control::new()).expect("the channels")
}

fn counts(state: &State) -> Vec<Counts> {
    state.channels.iter().map(|channel| channel.counts()).collect()
}

/// What the guest's memory has at the start: buffers at 0, paths at 1024 and after, subscriptions at 2048.
fn page() -> [u8; 4096] {
    let mut page = [0; 4096];
    for (index, number) in
        [4096u32, 100, 8192, 5000, 4100, 100, 65_535, 1, 0, 0, 65_535, 2].iter().enumerate()
    {
        page[index * 4..index * 4 + 4].copy_from_slice(&number.to_le_bytes());
    }
    for (index, path) in [
        "data/rw",
        "data/cdr",
        "dev/stdin",
        "tmp",
        "tmp/a",
        "tmp/b",
        "../x",
        "/etc",
        "tmp/a/",
        ".",
        "l/../..",
        "é\u{0}",
        "t/f",
        "t/d/../d/f",
        "t",
        "w/f",
        "w/d/f",
        "w/d",
        "out/a",
        "w/d/new",
    ]
    .iter()
    .enumerate()
    {
        let at = 1024 + index * 64;
        page[at..at + path.len()].copy_from_slice(path.as_bytes());
    }
    for (index, tag) in [1u8, 0, 2, 9].iter().enumerate() {
        page[2048 + index * 48 + 8] = *tag;
        page[2048 + index * 48 + 24] = 50;
    }
    page
}
