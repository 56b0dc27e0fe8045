//! Cancel and deadline, in every state that a call can wait in.

use crate::common::*;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use vfs_core::{Control, Finish, OpenFile, OpenFlags, OpenOptions, Registry, Result};
use zvfs_conformance::stops;
use zvfs_engines::NatsServer;
use zvfs_http_servers::{BlackHole, FaultServer};

/// Opens one end of a pipe, for a call that is to be stopped.
fn open(registry: &Registry, pipe: &str, flags: OpenFlags, control: &Control) -> Result<OpenFile> {
    registry.open(&format!("nats:{pipe}"), &OpenOptions::new(flags).control(control))
}

/// Stops a call on a pipe, each time another one.
#[track_caller]
fn stops_on_a_pipe(
    call: impl Fn(&House, &str, &Control, &mut Option<OpenFile>) -> Result<()> + Clone + Send + 'static,
) {
    let Some(server) = NatsServer::debian() else { return };
    let servers = [server];
    let house = Arc::new(House::at(&servers, ""));
    let pipes = Arc::new(AtomicUsize::new(0));
    stops(move |control, open| {
        let pipe = format!("pipe-{}", pipes.fetch_add(1, Ordering::Relaxed));
        call(&house, &pipe, control, open)
    });
}

/// Stops an open at a server that keeps quiet in one way or another.
#[track_caller]
fn stops_opening(address: impl std::fmt::Display) {
    let host = registry(&format!("servers = [\"{address}\"]"));
    stops(move |control, _| open(&host, "a", OpenFlags::READ, control).map(drop));
}

#[test]
fn while_connecting() {
    let hole = BlackHole::new();
    stops_opening(hole.address());
}

#[test]
fn while_the_server_says_nothing() {
    let server = FaultServer::silent();
    stops_opening(server.address());
}

#[test]
fn while_the_servers_store_says_nothing() {
    stops_opening(silent_server());
}

#[test]
fn while_nobody_writes() {
    stops_on_a_pipe(|house, pipe, control, kept| {
        let reader = kept.insert(open(&house.reading, pipe, OpenFlags::READ, control)?);
        reader.read(&mut [0; 8]).map(drop)
    });
}

#[test]
fn while_nobody_reads() {
    stops_on_a_pipe(|house, pipe, control, kept| {
        let writer = kept.insert(open(&house.writing, pipe, OpenFlags::WRITE, control)?);
        writer.write(b"x").map(drop)
    });
}

#[test]
fn while_the_writer_writes_no_more() {
    stops_on_a_pipe(|house, pipe, control, kept| {
        let mut writer = house.writer(pipe);
        let reader = kept.insert(open(&house.reading, pipe, OpenFlags::READ, control)?);
        writer.write_all(b"x")?;
        reader.read(&mut [0; 8])?;
        reader.read(&mut [0; 8]).map(drop)
    });
}

#[test]
fn while_the_reader_reads_no_more() {
    stops_on_a_pipe(|house, pipe, control, kept| {
        let _reader = house.reader(pipe);
        let writer = kept.insert(open(&house.writing, pipe, OpenFlags::WRITE, control)?);
        (0..1000).try_for_each(|_| writer.write_all(&[7; 1 << 16]))
    });
}

#[test]
fn while_committing() {
    stops_on_a_pipe(|house, pipe, control, kept| {
        let _reader = house.reader(pipe);
        let writer = kept.insert(open(&house.writing, pipe, OpenFlags::WRITE, control)?);
        writer.write_all(b"not taken")?;
        writer.finish(Finish::Commit)
    });
}
