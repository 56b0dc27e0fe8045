//! One check's instance of the provider, and its ways to open, fill and look.

use crate::step::{Step, Stop};
use crate::steps::{CONTENT_MAX, claims, read_all, same, skip, write_all};
use crate::subject::{Sources, Subject, Targets};
use vfs_core::{
    Capabilities, Code, Control, Descriptor, Error, File, Finish, Host, Info, Instance, OpenFlags, Request,
    Scope, Settings,
};

/// The host that an instance gets: the subject's own, or one that only logs.
pub(crate) fn host(subject: &Subject) -> Host {
    let log = |level, text: &str| println!("  log {level:?}: {text}");
    let suite = || Host::logging("zvfs-conformance", env!("CARGO_PKG_VERSION"), log);
    subject.host.clone().unwrap_or_else(suite)
}

/// Starts an instance with the subject's settings.
pub(crate) fn start(subject: &Subject) -> Step<Box<dyn Instance>> {
    start_under(subject, host(subject))
}

fn start_under(subject: &Subject, host: Host) -> Step<Box<dyn Instance>> {
    let info = subject.provider.info();
    let settings = Settings::check(&info.settings, Scope::OPERATOR, &subject.settings)?;
    Ok(subject.provider.start(host, settings)?)
}

fn as_error((Stop::Skip(text) | Stop::Fail(text) | Stop::Lost(text)): Stop) -> Error {
    Error::new(Code::EIO, text)
}

/// What takes an instance of the provider.
impl Subject {
    /// Names the one thing that can be read, reads it once through the provider, and takes that for its content. What is said of
    /// settings and host must be said before.
    ///
    /// # Errors
    /// The provider's: it does not start, open or read; EFBIG: it has no end in sight.
    pub fn read_source(self, descriptor: &str) -> vfs_core::Result<Subject> {
        let content = Case::content(&self, descriptor)?;
        Ok(self.fixed_source(descriptor, &content))
    }

    /// Removes, by the provider, what the checks made under names of their own. Returns the descriptors that are there still.
    ///
    /// # Errors
    /// The provider's: it does not start.
    pub fn clean_up(&self) -> vfs_core::Result<Vec<String>> {
        Case::remove(self, self.take_named())
    }

    /// The same for a run in another process, which ended before it could.
    ///
    /// # Errors
    /// As [`clean_up`](Subject::clean_up).
    pub fn clean_up_after(&self, process: u32) -> vfs_core::Result<Vec<String>> {
        Case::remove(self, self.named_by(process))
    }
}

/// An instance of its own for one check.
pub(crate) struct Case<'a> {
    pub subject: &'a Subject,
    pub info: Info,
    pub instance: Box<dyn Instance>,
    pub open_settings: Settings,
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
        Case::start_under(subject, host(subject))
    }

    /// The same with another host.
    pub fn start_under(subject: &'a Subject, host: Host) -> Step<Case<'a>> {
        let info = subject.provider.info();
        let open_settings = Settings::check(&info.settings, Scope::OPEN, &[])?;
        Ok(Case { subject, info, instance: start_under(subject, host)?, open_settings })
    }

    /// What is under a descriptor.
    pub fn content(subject: &Subject, descriptor: &str) -> vfs_core::Result<Vec<u8>> {
        let read = || -> Step<Vec<u8>> {
            let case = Case::start(subject)?;
            let mut file = case.open(descriptor, OpenFlags::READ)?;
            // Nothing is checked here, so that a check of its own can say what is wrong: hence the room on both sides.
            let (mut buffer, mut content) = ([0; 4096 + 128], Vec::new());
            loop {
                match file.read(&mut buffer[64..4096 + 64])?.min(4096) {
                    0 => return Ok(content),
                    count => content.extend_from_slice(&buffer[64..64 + count]),
                }
                if content.len() > CONTENT_MAX {
                    return Err(Stop::Fail(format!("read: no end after {CONTENT_MAX} bytes")));
                }
            }
        };
        read().map_err(as_error)
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
                Ok((self.written(wanted)?, self.back(wanted)?))
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
            Some(Targets::Names(make)) => Ok(self.subject.fresh_target(make)?),
            Some(Targets::Sinks(make)) => Ok(make(&self.subject.fresh_name())?),
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

    /// What comes back of what was written.
    pub fn back(&self, written: &[u8]) -> Step<Vec<u8>> {
        match &self.subject.comes_back {
            Some(transform) => Ok(transform(written)?),
            None => Ok(written.to_owned()),
        }
    }

    /// Commits and closes a file, and checks that these bytes are what was written under its name.
    pub fn commit(&self, mut file: Box<dyn File>, descriptor: &str, written: &[u8]) -> Step {
        file.finish(Finish::Commit)?;
        drop(file);
        self.expect(descriptor, written)
    }

    /// Checks that what is under a target is what comes back of these bytes, written.
    pub fn expect(&self, descriptor: &str, written: &[u8]) -> Step {
        self.holds(descriptor, &self.back(written)?)
    }

    /// Checks what is under a target.
    pub fn holds(&self, descriptor: &str, wanted: &[u8]) -> Step {
        match self.look(descriptor)? {
            Some(content) => same(&content, wanted, "what is under the target's name"),
            None => Err(Stop::Fail("nothing is under the target's name".to_owned())),
        }
    }

    /// Removes names with an instance of its own; returns those that are there still.
    pub fn remove(subject: &Subject, descriptors: Vec<String>) -> vfs_core::Result<Vec<String>> {
        if descriptors.is_empty() {
            return Ok(Vec::new());
        }
        let case = Case::start(subject).map_err(as_error)?;
        let control = Control::new();
        let mut left = Vec::new();
        for descriptor in descriptors {
            let removed = match case.instance.namespace() {
                Some(names) => case.request(&descriptor, &control, |request| names.remove(&request)),
                None => Err(Error::from(Code::ENOTSUP)),
            };
            // What was never made is not there; what cannot be removed may be no longer.
            let gone = |error: &Error| error.code() == Code::ENOENT;
            let absent = || matches!(case.open(&descriptor, OpenFlags::READ), Err(error) if gone(&error));
            if removed.is_err_and(|error| !gone(&error)) && !absent() {
                left.push(descriptor);
            }
        }
        Ok(left)
    }
}
