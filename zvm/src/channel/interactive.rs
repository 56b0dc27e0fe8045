//! Channels that the manifest has as interactive: one read of the provider for a call, and an answer to whether there is one.

use super::ahead::{Ahead, Wake};
use super::sources::{Moved, Sources};
use super::{CallError, Channel};
use vfs_core::Error;

impl Channel {
    /// From now on a thread reads ahead, so that [`is_ready`](Channel::is_ready) can tell; only for interactive channels that
    /// are read. `wake` is called after each of its reads.
    ///
    /// # Errors
    /// [`CallError::Failed`]: there is no thread to be had, or the channel was broken before.
    pub(crate) fn poll(&mut self, wake: &Wake) -> Result<(), CallError> {
        self.poll_with(wake, Ahead::start)
    }

    fn poll_with(
        &mut self,
        wake: &Wake,
        start: impl FnOnce(Sources, Wake) -> Result<Ahead, Error>,
    ) -> Result<(), CallError> {
        self.unbroken()?;
        if self.ahead.is_none() && !self.ended() {
            let sources = std::mem::replace(&mut self.sources, Sources::new(Vec::new()));
            // Its sources are gone with the thread that is not there: a channel that only seems to be at its end.
            self.ahead = Some(start(sources, wake.clone()).map_err(|error| self.fail(error))?);
        }
        let left = self.get_quota(usize::MAX);
        if let (Some(ahead), true) = (&self.ahead, left > 0) {
            ahead.ask(left);
        }
        Ok(())
    }

    /// Whether reads can be waited for: whether `poll` makes sense.
    pub(crate) fn can_wait(&self) -> bool {
        self.spec.interactive && self.readable() && !self.random_read
    }

    /// Whether a read would answer at once: there is data, the end, an error, or no quota left.
    pub(crate) fn is_ready(&self) -> bool {
        self.get_quota(1) == 0 || self.ended() || self.ahead.as_ref().is_some_and(Ahead::ready)
    }

    /// How many bytes a read would give at once.
    pub(crate) fn available(&self) -> usize {
        self.ahead.as_ref().map_or(0, Ahead::available)
    }

    /// One read of the provider, or what it gave ahead.
    pub(super) fn read_once(&mut self, buf: &mut [u8]) -> Moved {
        let Some(ahead) = &self.ahead else { return self.sources.read_some(buf) };
        match ahead.take(buf) {
            Ok(0) => {
                // The end, which the thread is no longer needed for.
                self.ahead = None;
                Moved { count: 0, error: None }
            }
            Ok(count) => Moved { count, error: None },
            Err(error) => Moved { count: 0, error: Some(error) },
        }
    }

    /// Whether the end was seen.
    pub(super) fn ended(&self) -> bool {
        self.ahead.is_none() && self.sources.at_end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::guest::fuzz_channels;
    use std::sync::Arc;
    use vfs_core::Code;

    /// Found in a review: where there was no thread to read ahead, the next read gave the end, as if there were no data.
    #[test]
    fn a_channel_that_has_no_thread_is_broken_and_not_at_its_end() {
        let mut channels = fuzz_channels(b"data");
        let stdin = channels.handle_of("/dev/stdin").unwrap();
        let channel = channels.by_handle(stdin).unwrap();
        let wake: Wake = Arc::new(|| ());
        let outcome = channel.poll_with(&wake, |_, _| Err(Error::new(Code::ENOMEM, "start no thread")));
        assert!(matches!(outcome, Err(CallError::Failed(_))), "{outcome:?}");
        assert!(matches!(channel.read_at(&mut [0; 9], 0), Err(CallError::Failed(_))));
        assert!(matches!(channel.poll(&wake), Err(CallError::Failed(_))));
        assert!(channel.failure().is_some_and(|failure| failure.text().contains("start no thread")));
    }
}
