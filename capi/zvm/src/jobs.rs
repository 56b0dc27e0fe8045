//! How many sessions of a host run, and what has become of the others.

use std::sync::{Mutex, MutexGuard, PoisonError};
use vfs_core::Result;
use vfs_core::boundary::Growing;
use zvm::{ExitCode, Permit, Report, SessionPool, Stopped};

/// `zvm_counters`.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
pub struct Counters {
    struct_size: u64,
    started: u64,
    running: u64,
    refused: u64,
    ok: u64,
    guest_failed: u64,
    trapped: u64,
    timed_out: u64,
    cancelled: u64,
    failed: u64,
    left_behind: u64,
    fuel: u64,
    bytes_read: u64,
    bytes_written: u64,
}

// SAFETY: repr(C), and numbers.
unsafe impl Growing for Counters {
    const FIRST: u64 = 112;
}

/// The sessions of one host, or a session that has none.
#[derive(Default)]
pub struct Jobs {
    /// `None`: any number may run.
    pool: Option<SessionPool>,
    counters: Mutex<Counters>,
}

impl Jobs {
    /// Up to so many at a time; 0: any number.
    pub fn new(limit: u32) -> Jobs {
        Jobs { pool: (limit > 0).then(|| SessionPool::new(limit)), counters: Mutex::default() }
    }

    /// The right to run a session, where that is limited, and counts it as started.
    ///
    /// # Errors
    /// EMFILE: as many run as may.
    pub fn begin(&self) -> Result<Option<Permit>> {
        let permit = self.pool.as_ref().map(SessionPool::permit).transpose();
        let mut counters = self.lock();
        match &permit {
            Ok(_) => {
                counters.started += 1;
                counters.running += 1;
            }
            Err(_) => counters.refused += 1,
        }
        permit
    }

    /// Counts a session that has a report.
    pub fn end(&self, report: &Report) {
        let mut counters = self.lock();
        counters.running -= 1;
        let ended = match (report.stopped, report.exit_code, report.guest_code) {
            (Some(Stopped::Timeout), ..) => &mut counters.timed_out,
            (Some(Stopped::Cancelled), ..) => &mut counters.cancelled,
            (Some(_), ..) => &mut counters.trapped,
            (None, ExitCode::Ok, Some(0)) => &mut counters.ok,
            (None, ExitCode::Ok | ExitCode::NotCommitted, _) => &mut counters.guest_failed,
            (None, ..) => &mut counters.failed,
        };
        *ended += 1;
        counters.left_behind += u64::from(report.left_behind);
        counters.fuel = counters.fuel.saturating_add(report.fuel.unwrap_or(0));
        counters.bytes_read += report.local.get_bytes + report.network.get_bytes;
        counters.bytes_written += report.local.put_bytes + report.network.put_bytes;
    }

    /// All of it at one moment.
    pub fn counters(&self) -> Counters {
        *self.lock()
    }

    fn lock(&self) -> MutexGuard<'_, Counters> {
        // Nothing panics while it is held.
        self.counters.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
