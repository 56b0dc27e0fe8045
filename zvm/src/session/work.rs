//! What a session's own thread does: load, open, run, end.

use super::cpu::{ended, thread_time, used_before};
use super::pool::Permit;
use super::watch::{Step, Watch};
use super::{Session, Template};
use crate::channel::{Channels, HostFiles};
use crate::compile::{Compiled, PROGRAM_MAX};
use crate::exit::{ExitCode, Failure, panic_text};
use crate::guest::{self, Program, Ran, Reason, Setup};
use crate::manifest::Commit;
use crate::report::Report;
use std::mem;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use vfs_core::{Code, Control, Descriptor, Error, OpenFlags, OpenOptions};

/// How much of a program is asked for first. A small one fits in, and each further read is of as much as there is already.
const CHUNK: usize = 64 << 10;

/// A session with its watch.
pub(super) struct Work {
    pub(super) session: Session,
    pub(super) watch: Arc<Watch>,
}

/// What its report says beside the outcome and the counters.
#[derive(Default)]
struct ReportParts {
    fuel: Option<u64>,
    guest_code: Option<u32>,
    digests: Vec<Option<String>>,
    notes: Vec<String>,
    /// To be closed.
    channels: Option<Channels>,
}

impl Work {
    /// Runs the session, and reports it. A panic stays within it. The permit is another session's before the report is there, so that
    /// whoever has the report can start the next one.
    pub(super) fn run(mut self, permit: Option<Permit>) {
        // A pool's thread has run others.
        let before = used_before();
        let mut parts = ReportParts::default();
        let mut host_files = mem::take(&mut self.session.host_files);
        let outcome = catch_unwind(AssertUnwindSafe(|| self.load_and_run(&mut host_files, &mut parts)));
        let outcome = outcome.unwrap_or_else(|panic| {
            Err(Failure::new(ExitCode::Io, format!("panic: {}", panic_text(&*panic))))
        });
        let meters = self.watch.meters();
        let meters = meters.as_deref().unwrap_or_default();
        let mut report = match outcome {
            Ok(code) => Report::ended(code, meters),
            Err(failure) => Report::failed(&failure, meters),
        };
        let Work { session, watch } = self;
        let Template { manifest, registry, .. } = session.template;
        let timeout = watch.stop.thrown() == Some(Reason::Timeout);
        report.fuel = parts.fuel;
        let interactive = manifest.channels.iter().any(|channel| channel.interactive);
        report.nondeterministic = !manifest.deterministic || interactive || timeout;
        report.digest = manifest.digest;
        for (channel, digest) in report.channels.iter_mut().zip(parts.digests) {
            channel.digest = digest;
        }
        report.guest_code = parts.guest_code;
        report.notes = report.notes_of_outputs();
        report.notes.append(&mut parts.notes);
        report.cpu = thread_time().since(before);
        watch.over(report);
        let mut channels = parts.channels;
        let quietly = |work: &mut dyn FnMut()| drop(catch_unwind(AssertUnwindSafe(work)));
        quietly(&mut || channels.iter_mut().for_each(Channels::close_all));
        // What the host gave is closed by now or here: a host that has the report may take away what stands behind it.
        let mut host_files = Some(host_files);
        quietly(&mut || drop(host_files.take()));
        // A process may end with its last report: its providers have delivered then what was ended, unless others have the registry too.
        let mut registry = Some(registry);
        quietly(&mut || {
            if let Some(registry) = registry.take() {
                registry.stop(|provider| watch.stopping(provider));
            }
        });
        let cpu = ended().since(before);
        drop(permit);
        watch.finish_over(cpu);
    }

    /// The program is found fit before anything is opened, and everything is open before a target is touched.
    fn load_and_run(&self, host_files: &mut HostFiles, parts: &mut ReportParts) -> Result<u32, Failure> {
        self.unless_stopped()?;
        let program = self.program(parts, Some(&*host_files))?;
        self.unless_stopped()?;
        self.watch.at(Step::Open);
        let Session { template, invocation, .. } = &self.session;
        let Template { manifest, registry, options, program: prepared, .. } = template;
        let doing = |what| self.watch.doing(what);
        let channels = Channels::open_with(manifest, registry, options, self.control(), host_files, &doing)
            .map_err(|failure| self.not_opened(failure, parts))?;
        self.watch.show(channels.meters());
        self.watch.at(Step::Run);
        let (names, stop) = (prepared.names(), self.watch.stop.clone());
        let ran = guest::run(&program, Setup { manifest, invocation, names, channels, stop });
        let Ran { mut channels, outcome, fuel, mut notes, files } = ran;
        let read = |file: usize, buf: &mut [u8], at: u64| files.read(file, buf, at);
        parts.fuel = Some(fuel);
        let outcome = outcome.and_then(|code| {
            parts.guest_code = Some(code);
            self.unless_stopped()?;
            if manifest.commit == Commit::Success && code != 0 {
                let text =
                    format!("the guest exited with code {code}, and the manifest says `Commit = success`");
                return Err(Failure::new(ExitCode::NotCommitted, text));
            }
            channels.check_uncut()?;
            if manifest.sync {
                channels.sync_files().map_err(|failure| self.echo(failure))?;
            }
            let changes = files.changes(&channels)?;
            match code {
                0 => {
                    channels
                        .write_exports(changes, &read, manifest.sync)
                        .map_err(|failure| self.echo(failure))?;
                }
                code => channels.leave_exports(changes, code),
            }
            // Ends first, then the readers, then what waits for others: a mesh of sessions deadlocks in any other order.
            channels.end_all().map_err(|failure| self.echo(failure))?;
            channels.close_readers();
            // Before the first COMMIT: a failure that the guest did not run into.
            channels.failure().map_or(Ok(()), |failure| Err(failure.clone()))?;
            let deadline = Some(self.watch.deadline);
            channels.commit_with(deadline, &read, manifest.sync).map_err(|failure| self.echo(failure))?;
            Ok(code)
        });
        parts.digests = channels.digests();
        if let Err(failure) = &outcome {
            self.watch.discarding(failure.clone());
            channels.discard_all();
        }
        parts.notes.append(&mut notes);
        parts.notes.extend(channels.notes().map(str::to_owned));
        parts.channels = Some(channels);
        outcome
    }

    /// Reads and compiles the program, and holds it against the manifest's Memory.
    pub(super) fn prepare(&self) -> Result<(), Failure> {
        self.unless_stopped()?;
        let program = self.program(&mut ReportParts::default(), None)?;
        self.session.template.manifest.check_memory(program.least())
    }

    /// The same, if nothing has to be compiled for it. Returns whether that was so.
    pub(super) fn load(&self) -> Result<bool, Failure> {
        let Template { manifest, compiler, program: prepared, .. } = &self.session.template;
        if let Some(program) = prepared.ready() {
            return manifest.check_memory(program.least()).map(|()| true);
        }
        let mut parts = ReportParts::default();
        let kept = |bytes: &[u8]| compiler.kept(bytes, manifest.entry(), &self.watch.stop);
        let found = self.with_bytes(&mut parts, kept)?;
        let Some(Compiled { program, .. }) = found else { return Ok(false) };
        prepared.keep(&program);
        manifest.check_memory(program.least()).map(|()| true)
    }

    /// Opens, reads and compiles the program, unless that was done before. If it has to be compiled for a session, whose host has given it
    /// these files, what would be refused after that is refused before.
    fn program(
        &self,
        parts: &mut ReportParts,
        host_files: Option<&HostFiles>,
    ) -> Result<Arc<Program>, Failure> {
        let Template { manifest, registry, options, compiler, program: prepared } = &self.session.template;
        if let Some(program) = prepared.ready() {
            return Ok(program);
        }
        let check_before = || {
            let Some(host_files) = host_files else { return Ok(()) };
            self.watch.at(Step::Open);
            let doing = |what| self.watch.doing(what);
            Channels::check_before(manifest, registry, options, self.control(), host_files, &doing)
                .map_err(|failure| self.echo(failure))?;
            self.watch.at(Step::Compile);
            Ok(())
        };
        let Compiled { program, mut notes } = self.with_bytes(parts, |bytes| {
            self.watch.at(Step::Compile);
            compiler.program(bytes, manifest.entry(), &self.watch.stop, &check_before)
        })?;
        parts.notes.append(&mut notes);
        prepared.keep(&program);
        Ok(program)
    }

    /// Does something with the bytes of the program, as they were given or are read, unless the session was stopped.
    fn with_bytes<T>(
        &self,
        parts: &mut ReportParts,
        make: impl FnOnce(&[u8]) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        let template = &self.session.template;
        let read;
        let bytes = match template.program.bytes() {
            Some(given) => given,
            None => {
                let doing = |what| self.watch.doing(what);
                // The session's thread is left behind with a provider that does not return: so it loads the program's, too.
                let open = OpenOptions::default().control(self.control()).load_on_this_thread();
                read = read_program(template, open, &doing)
                    .map_err(|failure| self.not_opened(failure, parts))?;
                &read
            }
        };
        self.unless_stopped()?;
        make(bytes)
    }

    fn control(&self) -> &Control {
        self.watch.stop.control()
    }

    fn unless_stopped(&self) -> Result<(), Failure> {
        self.watch.stopped();
        self.watch.stop.failure().map_or(Ok(()), Err)
    }

    /// A failure before there are channels, which note the same by themselves: what a provider's process was killed for is told.
    fn not_opened(&self, failure: Failure, parts: &mut ReportParts) -> Failure {
        self.watch.stopped();
        if self.watch.stop.thrown().is_some() && failure.exit() == ExitCode::Io {
            parts.notes.push(failure.text().to_owned());
        }
        self.echo(failure)
    }

    /// A failure of a stopped session is only the echo of its cancel.
    fn echo(&self, failure: Failure) -> Failure {
        self.watch.stopped();
        self.watch.stop.echo(failure)
    }
}

/// Opens and reads the program that a manifest names; `open` says what ends that. Says to `doing` what it does next.
pub(super) fn read_program(
    template: &Template,
    open: OpenOptions,
    doing: &dyn Fn(String),
) -> Result<Vec<u8>, Failure> {
    let Template { manifest, registry, options: run, .. } = template;
    let shown =
        Descriptor::parse(&manifest.program).map_or_else(|_| String::new(), |shown| shown.to_string());
    doing(format!("open the program {shown}"));
    let options = run.offered(open.with_flags(OpenFlags::READ | OpenFlags::SEQUENTIAL), manifest);
    let mut file = registry.open(&manifest.program, &options).map_err(|error| no_program(&error))?;
    doing(format!("read the program {}", file.shown()));
    let (mut bytes, mut length) = (vec![0; CHUNK], 0);
    loop {
        let count = file.read(&mut bytes[length..]).map_err(|error| {
            Failure::new(ExitCode::Io, format!("read program {}: {}", file.shown(), error.chain()))
                .of(error.code())
        })?;
        length += count;
        if count == 0 {
            bytes.truncate(length);
            return Ok(bytes);
        }
        if length > PROGRAM_MAX {
            let text = format!("bad program: {} is over {PROGRAM_MAX} bytes", file.shown());
            return Err(Failure::new(ExitCode::BadProgram, text));
        }
        if length == bytes.len() {
            bytes.resize((2 * length).min(PROGRAM_MAX + 1), 0);
        }
    }
}

pub(super) fn no_program(error: &Error) -> Failure {
    let exit = match error.code() {
        Code::ENOENT | Code::ENOTDIR => ExitCode::Missing,
        Code::EISDIR | Code::EPROTONOSUPPORT if error.refusal().is_none() => ExitCode::BadProgram,
        Code::EIO => ExitCode::Io,
        _ => ExitCode::Manifest,
    };
    Failure::new(exit, format!("program: {}", error.chain())).of(error.code())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::Manifest;
    use std::io::{self, Read};
    use std::sync::mpsc::{Sender, TryRecvError, channel};

    /// Closed when it is dropped.
    struct Body(#[expect(dead_code, reason = "its end is what counts")] Sender<()>);

    impl Read for Body {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            Ok(0)
        }
    }

    /// A session that did not come to open its channels was reported before they were closed.
    #[test]
    fn what_the_host_gave_is_closed_before_the_report_though_it_was_never_opened() {
        let manifest = "Version = 20140509\nProgram = /given\nMemory = 65536, 0\nTimeout = 20\n\
                        Channel = /given, /dev/stdin, 0, 9, 9, 0, 0\n\
                        Channel = /dev/null, /dev/stdout, 0, 0, 0, 9, 9\nChannel = /dev/null, /dev/stderr, 0, 0, 0, 9, 9\n";
        let (sender, closed) = channel();
        let manifest = Manifest::parse(manifest.as_bytes()).unwrap();
        let session = Session::new(manifest).program("no program").reader("/dev/stdin", Body(sender));
        assert_eq!(session.run().exit_code, ExitCode::BadProgram);
        assert_eq!(closed.try_recv(), Err(TryRecvError::Disconnected));
    }
}
