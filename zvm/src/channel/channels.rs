//! All channels of a session, by handle.

use super::changes::{Changes, ReadContent};
use super::ends::DISCARD_TIME;
use super::exports::{Export, OPEN_MAX};
use super::outputs::Output;
use super::{CallError, Channel, Counters, Counts, OutputReport, Quota, SourceTree};
use crate::exit::{ExitCode, Failure};
use std::borrow::Cow;
use std::sync::Arc;
use std::time::Instant;
use vfs_core::{Code, Shown};

/// The channels of a session: handles 0 to 2 are the standard ones, the others follow by alias.
#[derive(Debug)]
pub struct Channels {
    pub(super) list: Vec<Channel>,
    /// Folders, in the manifest's order.
    pub(super) trees: Vec<SourceTree>,
    /// Directories that are written to folders: writable trees, then the manifest's exports, both in its order.
    pub(super) exports: Vec<Export>,
    pub(super) meters: Arc<[Meter]>,
}

/// What can be told of a channel, a tree or an export from any thread, also while its own is stuck in a provider.
#[derive(Clone, Debug)]
pub struct Meter {
    /// The channel's alias, the tree's or the export's path.
    pub alias: Arc<str>,
    /// What it is, for messages.
    pub(super) what: &'static str,
    /// Whether one of its sources leaves the machine: any scheme but `file`, `mem` and `null`.
    pub network: bool,
    /// Its sources, secrets hidden.
    pub(super) shown: Arc<str>,
    /// The providers of its sources, for messages.
    pub(crate) provider: Cow<'static, str>,
    pub(super) counters: Arc<Counters>,
    pub(super) outputs: Box<[Arc<Output>]>,
}

impl Meter {
    /// What the channel moved so far.
    pub fn counts(&self) -> Counts {
        self.counters.counts()
    }

    /// The call that it is in, in the words of its failures.
    pub(crate) fn call(&self) -> Option<String> {
        let verb = self.counters.call()?;
        Some(format!("{} {}: {verb} {}", self.what, Shown(&self.alias), self.shown))
    }

    /// The quotas that a call was refused by so far.
    pub fn exhausted(&self) -> Vec<Quota> {
        self.counters.exhausted()
    }

    /// What became of its targets so far, in the manifest's order.
    pub fn outputs(&self) -> Vec<OutputReport> {
        self.outputs.iter().map(|output| output.report()).collect()
    }
}

impl Channels {
    /// How many there are.
    #[allow(clippy::len_without_is_empty, reason = "there are always the three standard ones")]
    pub fn len(&self) -> usize {
        self.list.len()
    }

    /// The channel of a handle.
    pub fn by_handle(&mut self, handle: usize) -> Option<&mut Channel> {
        self.list.get_mut(handle)
    }

    /// The handle of an alias.
    pub fn handle_of(&self, alias: &str) -> Option<usize> {
        self.list.iter().position(|channel| channel.alias() == alias)
    }

    /// All channels in the order of their handles.
    pub fn iter(&self) -> impl Iterator<Item = &Channel> {
        self.list.iter()
    }

    /// The counters of all channels in the order of their handles, then those of the trees and exports, for any thread.
    pub fn meters(&self) -> Arc<[Meter]> {
        self.meters.clone()
    }

    /// What is worth telling of a good run: readers that closed early.
    pub fn notes(&self) -> impl Iterator<Item = &str> {
        let channels = self.list.iter().flat_map(|channel| channel.notes.iter().map(String::as_str));
        let trees = self.trees.iter().flat_map(SourceTree::notes);
        channels.chain(trees).chain(self.exports.iter().flat_map(Export::notes))
    }

    /// The trees, in the manifest's order.
    pub(crate) fn trees(&self) -> impl Iterator<Item = &SourceTree> {
        self.trees.iter()
    }

    /// A tree, by its place in the manifest's order.
    pub(crate) fn tree(&mut self, number: usize) -> Option<&mut SourceTree> {
        self.trees.get_mut(number)
    }

    /// The writable trees, then the exports, both in the manifest's order.
    pub(crate) fn exports(&self) -> impl Iterator<Item = &Export> {
        self.exports.iter()
    }

    /// Writes what the guest made for each export, in their order, as far as it can be done before the first COMMIT. Nothing of it is
    /// to be seen yet.
    ///
    /// # Errors
    /// The first failure.
    ///
    /// # Blocking
    /// As the providers do.
    pub(crate) fn write_exports(
        &mut self,
        changes: Vec<Changes>,
        read: &ReadContent<'_>,
        sync: bool,
    ) -> Result<(), Failure> {
        self.exports.iter_mut().zip(changes).for_each(|(export, changes)| export.plan(changes, &self.trees));
        let mut room = OPEN_MAX;
        self.exports.iter_mut().try_for_each(|export| export.write(read, &mut room, sync))
    }

    /// Leaves out what the guest made for exports, since it says by its exit code that it failed.
    pub(crate) fn leave_exports(&mut self, changes: Vec<Changes>, code: u32) {
        for (export, changes) in
            self.exports.iter_mut().zip(changes).filter(|(_, changes)| !changes.is_empty())
        {
            export.plan(changes, &self.trees);
            export.note(format_args!("the guest exited with code {code}"));
            export.discard(Instant::now());
        }
    }

    /// COMMIT on what was written, then the same with the files that were too many.
    fn commit_exports(
        &mut self,
        deadline: Option<Instant>,
        read: &ReadContent<'_>,
        sync: bool,
    ) -> Result<(), Failure> {
        loop {
            self.exports.iter_mut().try_for_each(|export| export.commit(deadline))?;
            if !self.exports.iter().any(Export::has_more) {
                break;
            }
            let mut room = OPEN_MAX;
            self.exports.iter_mut().try_for_each(|export| export.write(read, &mut room, sync))?;
        }
        self.exports.iter_mut().try_for_each(Export::remove)?;
        self.exports.iter_mut().for_each(Export::complete);
        Ok(())
    }

    /// The digests of all channels, then those of the trees and of the exports.
    pub(crate) fn digests(&self) -> Vec<Option<String>> {
        let channels = self.list.iter().map(Channel::digest);
        let trees = self.trees.iter().map(SourceTree::digest);
        let exports = self.exports.iter().filter(|export| export.tree().is_none());
        channels.chain(trees).chain(exports.map(Export::digest)).collect()
    }

    /// The first failure that broke a channel, by handle.
    pub fn failure(&self) -> Option<&Failure> {
        self.list.iter().find_map(Channel::failure)
    }

    /// Reads as ZeroVM's `zvm_pread` does. `buffer` is `None` for memory that the caller may not write.
    ///
    /// # Errors
    /// In this order: EINVAL: no such handle. EFAULT: negative size. EINVAL: negative offset; a buffer that is not there or
    /// shorter than `size`, unless that is 0. Then as [`Channel::read_at`].
    pub fn read_at(
        &mut self,
        handle: i64,
        buffer: Option<&mut [u8]>,
        size: i64,
        offset: i64,
    ) -> Result<usize, CallError> {
        let (channel, size) = self.check(handle, size, offset)?;
        let buffer = match (size, buffer) {
            (0, _) => &mut [],
            (size, Some(buffer)) => buffer.get_mut(..size).ok_or(Code::EINVAL)?,
            (_, None) => return Err(Code::EINVAL.into()),
        };
        channel.read_at(buffer, offset)
    }

    /// Writes as ZeroVM's `zvm_pwrite` does. `buffer` is `None` for memory that the caller may not read.
    ///
    /// # Errors
    /// As [`read_at`](Channels::read_at), then as [`Channel::write_at`].
    pub fn write_at(
        &mut self,
        handle: i64,
        buffer: Option<&[u8]>,
        size: i64,
        offset: i64,
    ) -> Result<usize, CallError> {
        let (channel, size) = self.check(handle, size, offset)?;
        let buffer = match (size, buffer) {
            (0, _) => &[],
            (size, Some(buffer)) => buffer.get(..size).ok_or(Code::EINVAL)?,
            (_, None) => return Err(Code::EINVAL.into()),
        };
        channel.write_at(buffer, offset)
    }

    fn check(&mut self, handle: i64, size: i64, offset: i64) -> Result<(&mut Channel, usize), CallError> {
        let channel =
            usize::try_from(handle).ok().and_then(|handle| self.list.get_mut(handle)).ok_or(Code::EINVAL)?;
        let size = usize::try_from(size).map_err(|_| Code::EFAULT)?;
        if offset < 0 {
            return Err(Code::EINVAL.into());
        }
        Ok((channel, size))
    }

    /// Begins to write: what is written in place is emptied. Until then no target is touched, and the session may still fail
    /// for another reason without a trace.
    ///
    /// # Errors
    /// The first failure.
    pub(crate) fn begin(&mut self) -> Result<(), Failure> {
        self.list.iter_mut().try_for_each(|channel| channel.begin().map_err(failure))
    }

    /// Makes the files that were written durable; to be called before [`end_all`](Channels::end_all).
    ///
    /// # Errors
    /// The first failure.
    ///
    /// # Blocking
    /// As the disk does.
    pub fn sync_files(&mut self) -> Result<(), Failure> {
        self.list.iter_mut().try_for_each(|channel| channel.sync_files().map_err(failure))
    }

    /// Finds out whether all that is to be whole (to appear at COMMIT, or a pipe whose reader hears END) is what the guest wrote.
    ///
    /// # Errors
    /// [`ExitCode::NotCommitted`]: a quota cut it.
    pub fn check_uncut(&mut self) -> Result<(), Failure> {
        self.list.iter_mut().try_for_each(Channel::check_uncut)?;
        self.exports.iter().try_for_each(Export::check_uncut)
    }

    /// Tells every reader that no data follows (END), and waits for none.
    ///
    /// A session that ends well calls [`check_uncut`](Channels::check_uncut), this, then [`close_readers`](Channels::close_readers), then
    /// [`commit_all`](Channels::commit_all): each session of a mesh must have ended and let go before it waits for others.
    ///
    /// # Errors
    /// The first failure; all channels had their turn.
    pub fn end_all(&mut self) -> Result<(), Failure> {
        let mut first = Ok(());
        for channel in &mut self.list {
            first = first.and(channel.end().map_err(failure));
        }
        first
    }

    /// Closes the channels that are only read: whoever writes them need not wait for this session.
    pub fn close_readers(&mut self) {
        for channel in self.list.iter_mut().filter(|channel| channel.only_reads()) {
            channel.close();
        }
        self.trees.iter_mut().for_each(SourceTree::close);
    }

    /// Waits until everything that was written is complete: taken by its reader, uploaded, visible under its name. What
    /// is only renamed comes last, since pipes and uploads fail more easily, and then nothing is to be seen beside them.
    ///
    /// # Errors
    /// The first failure, at once; [`ExitCode::Stopped`] with a text that begins with `timeout` if the deadline came. Call
    /// [`discard_all`](Channels::discard_all) then: what was committed stays.
    ///
    /// # Blocking
    /// Until the deadline; a provider that cannot be cancelled may take longer.
    pub fn commit_all(&mut self, deadline: Option<Instant>) -> Result<(), Failure> {
        self.commit_with(deadline, &|_, _, _| 0, false)
    }

    /// As [`commit_all`](Channels::commit_all), with the files of exports that were too many for
    /// [`write_exports`](Channels::write_exports). Exports come before what is only renamed.
    pub(crate) fn commit_with(
        &mut self,
        deadline: Option<Instant>,
        read: &ReadContent<'_>,
        sync: bool,
    ) -> Result<(), Failure> {
        let committed = self
            .commit_channels(deadline, false)
            .and_then(|()| self.commit_exports(deadline, read, sync))
            .and_then(|()| self.commit_channels(deadline, true));
        committed.map_err(|failure| match deadline.is_some_and(|deadline| Instant::now() >= deadline) {
            true => Failure::timeout(Some(failure.text())),
            false => failure,
        })
    }

    fn commit_channels(&mut self, deadline: Option<Instant>, renamed: bool) -> Result<(), Failure> {
        self.list.iter_mut().try_for_each(|channel| channel.commit(deadline, renamed).map_err(failure))
    }

    /// Closes all files that are open still.
    pub fn close_all(&mut self) {
        for channel in &mut self.list {
            channel.close();
        }
        self.trees.iter_mut().for_each(SourceTree::close);
        self.exports.iter_mut().for_each(Export::close);
    }

    /// Ends a failed session: no reader takes what it wrote for the whole. Then all files are closed.
    ///
    /// # Blocking
    /// Up to 5 s after the first call, plus 5 s for one that began before; a provider that cannot be cancelled may take
    /// longer.
    pub fn discard_all(&mut self) {
        let until = Instant::now() + DISCARD_TIME;
        for channel in &mut self.list {
            channel.discard(until);
        }
        self.exports.iter_mut().for_each(|export| export.discard(until));
        self.trees.iter_mut().for_each(SourceTree::close);
    }
}

fn failure(error: CallError) -> Failure {
    match error {
        CallError::Failed(failure) => failure,
        CallError::Refused(code) => Failure::new(ExitCode::Io, code.text()).of(code),
    }
}
