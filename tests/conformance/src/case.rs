//! One check's instance of the provider, and its ways to open, fill and look.

use crate::memory::{Against, Guarded, ReadOnly};
use crate::subject::{Sources, Subject, Targets};
use crate::suite::{Step, Stop};
use std::sync::Arc;
use std::thread::ScopedJoinHandle;
use vfs_core::{
    Capabilities, Code, Control, Descriptor, Error, File, Finish, Host, HostCalls, Info, Instance, Level,
    OpenFlags, Request, Scope, Settings,
};

/// More than this and a source counts as endless.
const CONTENT_MAX: usize = 64 << 20;

/// Fails the check unless the condition holds.
macro_rules! ensure {
    ($condition:expr, $($text:tt)+) => {
        if !$condition {
            return Err($crate::suite::Stop::Fail(format!($($text)+)));
        }
    };
}
pub(crate) use ensure;

/// Skips the check, with a reason.
pub(crate) fn skip<T>(reason: impl Into<String>) -> Step<T> {
    Err(Stop::Skip(reason.into()))
}

/// The host that the suite is.
struct SuiteHost;

impl HostCalls for SuiteHost {
    fn name(&self) -> &str {
        "zvfs-conformance"
    }

    fn version(&self) -> &str {
        env!("CARGO_PKG_VERSION")
    }

    fn log(&self, level: Level, text: &str) {
        println!("  log {level:?}: {text}");
    }
}

/// Starts an instance with the subject's settings.
pub(crate) fn start(subject: &Subject) -> Step<Box<dyn Instance>> {
    let info = subject.provider.info();
    let settings = Settings::check(&info.settings, Scope::OPERATOR, &subject.settings)?;
    Ok(subject.provider.start(Host::new(Arc::new(SuiteHost)), settings)?)
}

/// An instance of its own for one check.
pub(crate) struct Case<'a> {
    pub subject: &'a Subject,
    pub info: Info,
    pub instance: Box<dyn Instance>,
    open_settings: Settings,
}

/// A file open for reading, and what it should hold.
pub(crate) struct Reader {
    pub file: Box<dyn File>,
    pub content: Vec<u8>,
    pub descriptor: String,
}

/// A file open for writing.
pub(crate) struct Writer {
    pub file: Box<dyn File>,
    pub descriptor: String,
}

impl<'a> Case<'a> {
    pub fn start(subject: &'a Subject) -> Step<Case<'a>> {
        let info = subject.provider.info();
        let open_settings = Settings::check(&info.settings, Scope::OPEN, &[])?;
        Ok(Case { subject, info, instance: start(subject)?, open_settings })
    }

    pub fn supports(&self, flags: OpenFlags) -> bool {
        self.info.supported_flags.contains(flags)
    }

    /// Skips the check unless the provider supports these flags.
    pub fn needs(&self, flags: OpenFlags) -> Step {
        if self.supports(flags) { Ok(()) } else { skip(format!("{flags:?} is not supported")) }
    }

    /// Makes a request and gives it to `call`, as the host would.
    pub fn request<T>(
        &self,
        descriptor: &str,
        control: &Control,
        call: impl FnOnce(Request<'_>) -> vfs_core::Result<T>,
    ) -> vfs_core::Result<T> {
        let parsed = Descriptor::parse(descriptor)?;
        let written = parsed.scheme().to_ascii_lowercase();
        let schemes = &self.info.schemes;
        let scheme = schemes.iter().find(|known| **known == written).or(schemes.first());
        let scheme = scheme.ok_or_else(|| Error::new(Code::EINVAL, "the provider declares no scheme"))?;
        call(Request::new(&control.context(), scheme, parsed).with_settings(&self.open_settings))
    }

    pub fn open(&self, descriptor: &str, flags: OpenFlags) -> vfs_core::Result<Box<dyn File>> {
        self.open_under(&Control::new(), descriptor, flags)
    }

    pub fn open_under(
        &self,
        control: &Control,
        descriptor: &str,
        flags: OpenFlags,
    ) -> vfs_core::Result<Box<dyn File>> {
        self.request(descriptor, control, |request| self.instance.open(&request.with_flags(flags)))
    }

    /// Puts content where it can be read; returns its descriptor and what is really there.
    pub fn source(&self, wanted: &[u8]) -> Step<(String, Vec<u8>)> {
        match &self.subject.sources {
            Some(Sources::Made(make)) => Ok((make(&self.subject.fresh_name(), wanted)?, wanted.to_owned())),
            Some(Sources::Fixed { descriptor, content }) => Ok((descriptor.clone(), content.clone())),
            None if matches!(self.subject.targets, Some(Targets::Names(_))) => {
                Ok((self.written(wanted)?, wanted.to_owned()))
            }
            None => skip("the subject has no source"),
        }
    }

    /// Opens a source for reading.
    pub fn reader(&self, wanted: &[u8]) -> Step<Reader> {
        self.needs(OpenFlags::READ)?;
        let (descriptor, content) = self.source(wanted)?;
        let file = self.open(&descriptor, OpenFlags::READ)?;
        Ok(Reader { file, content, descriptor })
    }

    /// Opens a source for reading; skips the check unless the file claims these capabilities.
    pub fn reader_with(&self, claimed: Capabilities, wanted: &[u8]) -> Step<Reader> {
        let reader = self.reader(wanted)?;
        claims(&*reader.file, claimed)?;
        Ok(reader)
    }

    /// A descriptor to write to, with nothing under it if the subject has names.
    pub fn target(&self) -> Step<String> {
        match &self.subject.targets {
            Some(Targets::Names(make) | Targets::Sinks(make)) => Ok(make(&self.subject.fresh_name())?),
            None => skip("the subject has no target"),
        }
    }

    /// A descriptor with nothing under it; skips the check if there are none, as for devices and pipes.
    pub fn absent(&self) -> Step<String> {
        match &self.subject.targets {
            Some(Targets::Names(_)) => self.target(),
            Some(Targets::Sinks(_)) => skip("the subject's targets are there already"),
            None => skip("the subject has no target"),
        }
    }

    /// A descriptor with this content, written through the provider and committed.
    pub fn written(&self, content: &[u8]) -> Step<String> {
        let descriptor = self.absent()?;
        let mut file = self.open(&descriptor, self.write_flags())?;
        write_all(&mut *file, content)?;
        file.finish(Finish::Commit)?;
        Ok(descriptor)
    }

    /// WRITE, and CREATE and TRUNCATE where they are supported.
    pub fn write_flags(&self) -> OpenFlags {
        let wanted = OpenFlags::CREATE | OpenFlags::TRUNCATE;
        OpenFlags::WRITE | (wanted & self.info.supported_flags)
    }

    /// Opens a fresh target for writing.
    pub fn writer(&self) -> Step<Writer> {
        self.needs(OpenFlags::WRITE)?;
        let descriptor = self.target()?;
        let file = self.open(&descriptor, self.write_flags())?;
        Ok(Writer { file, descriptor })
    }

    /// Opens a fresh target for writing; skips the check unless the file claims these capabilities.
    pub fn writer_with(&self, claimed: Capabilities) -> Step<Writer> {
        let writer = self.writer()?;
        claims(&*writer.file, claimed)?;
        Ok(writer)
    }

    /// Opens a fresh target in both directions; skips the check where one file has but one, or keeps nothing.
    pub fn both(&self, claimed: Capabilities) -> Step<Writer> {
        self.needs(OpenFlags::READ | OpenFlags::WRITE)?;
        let descriptor = self.absent()?;
        let file = match self.open(&descriptor, OpenFlags::READ | self.write_flags()) {
            Err(error) if error.code() == Code::ENOTSUP => return skip(error.chain()),
            opened => opened?,
        };
        claims(&*file, Capabilities::READABLE | Capabilities::WRITABLE | claimed)?;
        Ok(Writer { file, descriptor })
    }

    /// What is under a target; `None`: nothing. Skips the check if nobody can look.
    pub fn look(&self, descriptor: &str) -> Step<Option<Vec<u8>>> {
        if let Some(look) = &self.subject.contents {
            return Ok(look(descriptor)?);
        }
        if !matches!(self.subject.targets, Some(Targets::Names(_))) || !self.supports(OpenFlags::READ) {
            return skip("what was written cannot be seen");
        }
        match self.open(descriptor, OpenFlags::READ) {
            Ok(mut file) => Ok(Some(read_all(&mut *file, 64 << 10)?)),
            Err(error) if error.code() == Code::ENOENT => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Checks what is under a target.
    pub fn expect(&self, descriptor: &str, wanted: &[u8]) -> Step {
        match self.look(descriptor)? {
            Some(content) => same(&content, wanted, "what is under the target's name"),
            None => Err(Stop::Fail("nothing is under the target's name".to_owned())),
        }
    }
}

/// Skips the check unless the file claims these capabilities.
pub(crate) fn claims(file: &dyn File, claimed: Capabilities) -> Step {
    let missing = claimed.without(file.capabilities());
    if missing.is_empty() { Ok(()) } else { skip(format!("{missing:?} is not claimed")) }
}

/// A buffer of the suite's: every file call in every check gets guarded memory.
pub(crate) fn guarded(len: usize, against: Against) -> Step<Guarded> {
    Guarded::new(len, against).map_err(|errno| Stop::Fail(format!("cannot map {len} bytes: {errno}")))
}

/// Memory that faults when written.
pub(crate) fn read_only(bytes: &[u8], against: Against) -> Step<ReadOnly> {
    Guarded::read_only(bytes, against)
        .map_err(|errno| Stop::Fail(format!("cannot map {} bytes: {errno}", bytes.len())))
}

/// Runs a reading call on a buffer full of a pattern; checks the count and that the tail is as it was.
pub(crate) fn read_into(
    buffer: &mut [u8],
    what: &str,
    call: impl FnOnce(&mut [u8]) -> vfs_core::Result<usize>,
) -> Step<usize> {
    let pattern = |at: usize| (at as u8).wrapping_mul(31) ^ 0xa5;
    buffer.iter_mut().enumerate().for_each(|(at, byte)| *byte = pattern(at));
    let length = buffer.len();
    let count = call(buffer)?;
    ensure!(count <= length, "{what} of {length} bytes returned the count {count}");
    let touched = (count..length).find(|&at| buffer[at] != pattern(at));
    ensure!(touched.is_none(), "{what} returned {count} and changed byte {} beyond it", touched.unwrap_or(0));
    Ok(count)
}

/// Reads on to the end, `chunk` bytes at a time.
pub(crate) fn read_all(file: &mut dyn File, chunk: usize) -> Step<Vec<u8>> {
    let mut buffer = guarded(chunk, Against::BackGuard)?;
    let mut all = Vec::new();
    loop {
        let count = read_into(buffer.as_mut_slice(), "read", |buffer| file.read(buffer))?;
        if count == 0 {
            return Ok(all);
        }
        all.extend_from_slice(&buffer.as_slice()[..count]);
        ensure!(all.len() <= CONTENT_MAX, "read: no end after {CONTENT_MAX} bytes");
    }
}

/// Reads up to `wanted` bytes, as many calls as it takes; fewer only at the end.
pub(crate) fn read_some(file: &mut dyn File, wanted: usize) -> Step<Vec<u8>> {
    let mut all = Vec::new();
    while all.len() < wanted {
        let mut buffer = guarded(wanted - all.len(), Against::BackGuard)?;
        match read_into(buffer.as_mut_slice(), "read", |buffer| file.read(buffer))? {
            0 => break,
            count => all.extend_from_slice(&buffer.as_slice()[..count]),
        }
    }
    Ok(all)
}

/// Reads up to `wanted` bytes at an offset, as many calls as it takes; fewer only at the end.
pub(crate) fn read_some_at(file: &dyn File, wanted: usize, offset: u64) -> Step<Vec<u8>> {
    let mut all = Vec::new();
    while all.len() < wanted {
        let mut buffer = guarded(wanted - all.len(), Against::BackGuard)?;
        let at = offset + all.len() as u64;
        match read_into(buffer.as_mut_slice(), "read_at", |buffer| file.read_at(buffer, at))? {
            0 => break,
            count => all.extend_from_slice(&buffer.as_slice()[..count]),
        }
    }
    Ok(all)
}

/// Writes everything, from memory that faults when it is changed.
pub(crate) fn write_all(file: &mut dyn File, bytes: &[u8]) -> Step {
    let source = read_only(bytes, Against::BackGuard)?;
    let mut rest = source.as_slice();
    while !rest.is_empty() {
        let count = file.write(rest)?;
        ensure!(count > 0 && count <= rest.len(), "write of {} bytes returned the count {count}", rest.len());
        rest = &rest[count..];
    }
    Ok(())
}

/// Writes everything at an offset.
pub(crate) fn write_all_at(file: &dyn File, bytes: &[u8], offset: u64) -> Step {
    let source = read_only(bytes, Against::BackGuard)?;
    let mut done = 0;
    while done < bytes.len() {
        let rest = &source.as_slice()[done..];
        let count = file.write_at(rest, offset + done as u64)?;
        ensure!(
            count > 0 && count <= rest.len(),
            "write_at of {} bytes returned the count {count}",
            rest.len()
        );
        done += count;
    }
    Ok(())
}

/// Compares bytes and says where they part.
pub(crate) fn same(found: &[u8], wanted: &[u8], what: &str) -> Step {
    if found == wanted {
        return Ok(());
    }
    let at = found.iter().zip(wanted).position(|(found, wanted)| found != wanted);
    let at = at.unwrap_or(found.len().min(wanted.len()));
    Err(Stop::Fail(format!(
        "{what}: {} bytes, expected {}; they part at byte {at} ({:?}, expected {:?})",
        found.len(),
        wanted.len(),
        &found[at..found.len().min(at + 8)],
        &wanted[at..wanted.len().min(at + 8)]
    )))
}

/// Checks that a call failed, with one of these codes and with a text that a person can use.
pub(crate) fn refused<T>(result: vfs_core::Result<T>, codes: &[Code], what: &str) -> Step {
    match result {
        Ok(_) => Err(Stop::Fail(format!("{what} succeeded, expected {codes:?}"))),
        Err(error) => {
            ensure!(
                codes.contains(&error.code()),
                "{what} failed with {} ({}), expected {codes:?}",
                error.code(),
                error.chain()
            );
            well_said(&error, what)
        }
    }
}

/// Checks the form of an error.
pub(crate) fn well_said(error: &Error, what: &str) -> Step {
    let (code, text) = (error.code(), error.to_string());
    ensure!(
        code != Code::EINTR && code != Code::EAGAIN,
        "{what} failed with {code}, which is never returned"
    );
    ensure!(!text.trim().is_empty(), "{what} failed with {code} and no text");
    ensure!(!text.contains(char::is_control), "{what}: a control character in the error text {text:?}");
    ensure!(text.len() < 1000, "{what}: an error text of {} bytes", text.len());
    ensure!(!text.ends_with('.'), "{what}: a full stop ends the error text {text:?}");
    Ok(())
}

/// Joins the threads of a scope; a panic in one is a failure of the check.
pub(crate) fn joined(threads: Vec<ScopedJoinHandle<'_, Step>>) -> Step {
    threads.into_iter().try_for_each(|thread| {
        thread.join().unwrap_or_else(|_| Err(Stop::Fail("a call panicked in another thread".to_owned())))
    })
}

/// Bytes that look like no other stretch of themselves, the same at each call.
pub(crate) fn sample(len: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 32) as u8
    };
    std::iter::repeat_with(next).take(len).collect()
}
