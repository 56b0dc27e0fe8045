//! Channels that the manifest has as interactive: one read of the provider for a call, and an answer to whether there is one.

use super::Channel;
use super::ahead::{Ahead, Wake};
use super::sources::{Moved, Sources};
use vfs_core::Result;

impl Channel {
    /// From now on a thread reads ahead, so that [`is_ready`](Channel::is_ready) can tell; only for interactive channels that
    /// are read. `wake` is called after each of its reads.
    ///
    /// # Errors
    /// There is no thread to be had.
    pub(crate) fn poll(&mut self, wake: &Wake) -> Result<()> {
        if self.ahead.is_none() && !self.ended() {
            let sources = std::mem::replace(&mut self.sources, Sources::new(Vec::new()));
            self.ahead = Some(Ahead::start(sources, wake.clone())?);
        }
        let left = self.quota_left();
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
        self.quota_left() == 0 || self.ended() || self.ahead.as_ref().is_some_and(Ahead::ready)
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

    /// How many bytes the quotas allow to be read.
    fn quota_left(&self) -> usize {
        let (limits, counts) = (&self.spec.limits, self.counters.counts());
        if counts.gets >= limits.gets {
            return 0;
        }
        usize::try_from(limits.get_size.saturating_sub(counts.get_bytes)).unwrap_or(usize::MAX)
    }
}
