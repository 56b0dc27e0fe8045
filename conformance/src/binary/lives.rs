//! What is left of a life: of the process, and of threads, once an instance is stopped.

use super::Binary;
use crate::case::{self, Case};
use crate::process::Threads;
use crate::step::Step;
use crate::steps::{ensure, read_some, sample, write_all};
use crate::subject::Subject;
use crate::watched::Watched;
use std::sync::Arc;
use vfs_core::{Finish, Host, OpenFlags};

/// Starts an instance, uses a file in each direction that can be, and stops it.
fn life(subject: &Subject, host: Host) -> Step {
    let case = Case::start_under(subject, host)?;
    if case.supports(OpenFlags::WRITE) && subject.can_write() {
        let mut writer = case.writer()?;
        write_all(&mut *writer.file, b"bytes")?;
        writer.file.finish(Finish::Commit)?;
    }
    if case.supports(OpenFlags::READ) && subject.can_read() {
        let mut reader = case.reader(&sample(1000))?;
        read_some(&mut *reader.file, 100)?;
    }
    Ok(())
}

pub fn the_process_is_left_alone(binary: &Binary) -> Step {
    life(&binary.subject, case::host(&binary.subject))?;
    let changes = binary.before.state.changes();
    ensure!(changes.is_none(), "the library changed {}", changes.unwrap_or_default());
    Ok(())
}

pub fn stop_leaves_no_thread(binary: &Binary) -> Step {
    let watched = Arc::new(Watched::new(case::host(&binary.subject)));
    life(&binary.subject, Host::new(watched.clone()))?;
    let mut left = if watched.was_opened() {
        // They may be of the provider beneath this layer, which the host keeps: those do not come again.
        let threads = Threads::now();
        life(&binary.subject, Host::new(watched))?;
        threads.left_behind()
    } else {
        binary.before.threads.left_behind()
    };
    // The one that runs this check.
    let own = std::thread::current();
    left.retain(|name| !own.name().is_some_and(|own| own.starts_with(name.as_str())));
    ensure!(left.is_empty(), "stop has returned, and these threads run on: {}", left.join(", "));
    Ok(())
}
