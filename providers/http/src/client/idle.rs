//! Answers that lie idle: between two calls a file keeps the answer that it reads on, half read, and its connection with it.
//!
//! A server that serves one connection at a time would never get to another request then, be it of the same file. So whoever
//! waits longer than a moment has the idle answers and connections of that origin closed; what was lost is asked for again
//! from its next byte on.

use crate::client::stream::Stream;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::mem;
use std::os::fd::OwnedFd;
use std::sync::{Arc, OnceLock, Weak};
use std::time::{Duration, Instant};
use zvfs_net::origin::Origin;

/// Idle answers of one file: one for each of a few places that are read on.
const STREAMS_MAX: usize = 4;
/// An answer that comes so soon after others were closed has waited for that.
const RIGHT_AFTER: Duration = Duration::from_millis(500);
/// How long an origin is known to serve one connection at a time, after it has shown that.
const KNOWN: Duration = Duration::from_secs(60);

/// The idle answers of one file.
pub struct FileAnswers {
    origin: Origin,
    /// They can be asked for again.
    can_resume: bool,
    /// The last used at the end.
    streams: Mutex<Vec<Stream>>,
    /// Written when they were closed for another request: whoever awaits one of them would wait for ever.
    closed: OnceLock<Arc<OwnedFd>>,
}

impl FileAnswers {
    /// Takes one out.
    pub fn take(&self, fits: impl Fn(&Stream) -> bool) -> Option<Stream> {
        let mut streams = self.streams.lock();
        let at = streams.iter().rposition(fits)?;
        Some(streams.remove(at))
    }

    /// Keeps one that is not at its end. Returns the one that gives way to it.
    #[must_use]
    pub fn put(&self, stream: Stream) -> Option<Stream> {
        let mut streams = self.streams.lock();
        streams.push(stream);
        (streams.len() > STREAMS_MAX).then(|| streams.remove(0))
    }

    /// Looks at one.
    pub fn look<T>(&self, fits: impl Fn(&Stream) -> bool, look: impl FnOnce(&Stream) -> T) -> Option<T> {
        self.streams.lock().iter().rev().find(|stream| fits(stream)).map(look)
    }

    /// Has an eventfd written when they are closed for another request; the first one is kept.
    pub fn tell(&self, eventfd: &Arc<OwnedFd>) {
        self.closed.get_or_init(|| eventfd.clone());
    }
}

/// The idle answers of an instance, and what is known of the servers that do not bear them.
#[derive(Default)]
pub struct IdleAnswers {
    files: Mutex<Files>,
    /// When answers last had to be closed for another request, and whether that helped.
    eased: Mutex<HashMap<Origin, (Instant, bool)>>,
}

#[derive(Default)]
struct Files {
    known: Vec<Weak<FileAnswers>>,
    /// Files at which those that were closed are looked for.
    sweep_at: usize,
}

impl IdleAnswers {
    /// The place for a file's answers; `can_resume`: they may be closed and asked for again.
    pub fn file(&self, origin: Origin, can_resume: bool) -> Arc<FileAnswers> {
        let idle =
            Arc::new(FileAnswers { origin, can_resume, streams: Mutex::default(), closed: OnceLock::new() });
        let mut files = self.files.lock();
        if files.known.len() >= files.sweep_at {
            files.known.retain(|idle| idle.strong_count() > 0);
            files.sweep_at = 2 * files.known.len() + 16;
        }
        files.known.push(Arc::downgrade(&idle));
        idle
    }

    /// Closes those of an origin, as far as they can be asked for again. `idle_connections`: some lay idle without an answer,
    /// and were closed too.
    pub fn ease(&self, origin: &Origin, idle_connections: bool) {
        let files: Vec<Arc<FileAnswers>> = self.files.lock().known.iter().filter_map(Weak::upgrade).collect();
        let concerned = files.iter().filter(|idle| idle.can_resume && idle.origin == *origin);
        let mut any = false;
        for idle in concerned {
            // Closed here, without a lock.
            let closed = mem::take(&mut *idle.streams.lock());
            any |= !closed.is_empty();
            drop(closed);
            if let Some(eventfd) = idle.closed.get() {
                // It is full only if nobody reads it.
                let _ = rustix::io::write(eventfd, &1_u64.to_ne_bytes());
            }
        }
        if idle_connections || any {
            let mut eased = self.eased.lock();
            eased.retain(|_, (at, _)| at.elapsed() < KNOWN);
            let helped = eased.get(origin).is_some_and(|(_, helped)| *helped);
            eased.insert(origin.clone(), (Instant::now(), helped));
        }
    }

    /// Says that an origin answers. If that came right after [`ease`](IdleAnswers::ease), it serves one connection at a time.
    pub fn answered(&self, origin: &Origin) {
        if let Some((at, helped)) = self.eased.lock().get_mut(origin) {
            *helped |= at.elapsed() < RIGHT_AFTER;
        }
    }

    /// Whether an origin serves one connection at a time, as far as is known.
    pub fn is_one_at_a_time(&self, origin: &Origin) -> bool {
        self.eased.lock().get(origin).is_some_and(|(at, helped)| *helped && at.elapsed() < KNOWN)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn origin(port: u16) -> Origin {
        Origin { secure: false, host: "h".to_owned(), port }
    }

    #[test]
    fn a_server_is_known_by_what_helped_it() {
        let idles = IdleAnswers::default();
        idles.ease(&origin(1), false);
        idles.answered(&origin(1));
        assert!(!idles.is_one_at_a_time(&origin(1)), "nothing was closed");
        let eased = |ago| {
            let at = Instant::now().checked_sub(ago).unwrap();
            idles.eased.lock().insert(origin(1), (at, false));
            idles.answered(&origin(1));
        };
        eased(RIGHT_AFTER);
        assert!(!idles.is_one_at_a_time(&origin(1)), "the answer came much later");
        eased(Duration::ZERO);
        assert!(idles.is_one_at_a_time(&origin(1)));
        assert!(!idles.is_one_at_a_time(&origin(2)));
    }

    #[test]
    fn closed_files_are_forgotten() {
        let idles = IdleAnswers::default();
        let kept = idles.file(origin(1), true);
        (0..1_000).for_each(|_| drop(idles.file(origin(1), true)));
        assert!(idles.files.lock().known.len() <= 40);
        assert_eq!(Arc::weak_count(&kept), 1);
    }
}
