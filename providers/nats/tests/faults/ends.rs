//! Ends whose process is killed, or stopped.

use crate::common::*;
use rustix::process::{Pid, Signal, kill_process};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;
use vfs_core::{Code, Finish};
use zvfs_engines::NatsServer;
use zvfs_test_support::{built, command};

/// The command, with an end of a pipe. Killed when it is dropped.
pub struct Copy {
    child: Child,
    folder: TempDir,
}

impl Copy {
    /// Reads a pipe into a file, or writes zeros into it for ever.
    pub fn start(server: &NatsServer, settings: &str, pipe: &str, is_reader: bool) -> Copy {
        Copy::by(Command::new(command()), &server.address(), settings, pipe, is_reader)
    }

    /// The same by a command to which only arguments are to be added.
    pub fn by(mut copy: Command, server: &str, settings: &str, pipe: &str, is_reader: bool) -> Copy {
        let folder = TempDir::new().unwrap();
        let config = folder.path().join("zvfs.toml");
        let text = format!(
            "provider-path = [{:?}]\n[provider.file]\n[provider.nats]\nsettings = {{ servers = [{server:?}], {settings} }}\n",
            built()
        );
        fs::write(&config, text).unwrap();
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o755)).unwrap();
        let place = format!("file:{}", folder.path().join("copy").display());
        let (from, to) = if is_reader { (pipe, place.as_str()) } else { ("file:/dev/zero", pipe) };
        copy.arg("--config").arg(&config).args(["cp", from, to]).stdin(Stdio::null());
        Copy { child: copy.spawn().unwrap(), folder }
    }

    pub fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    fn copied(&self) -> PathBuf {
        self.folder.path().join("copy")
    }
}

impl Drop for Copy {
    fn drop(&mut self) {
        // It may have ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

const SOON: &str = "peer-timeout = \"2s\"";
/// Payload by the server, and through memory.
pub const WAYS: [&str; 2] =
    ["peer-timeout = \"2s\", same-host = \"off\"", "peer-timeout = \"2s\", same-host-after = 0"];

#[test]
fn a_reader_that_is_killed_is_lost_to_its_writer() {
    let Some(server) = NatsServer::debian() else { return };
    let servers = [server];
    let house = House::at(&servers, SOON);
    let reader = Copy::start(&servers[0], SOON, "nats:a:r", true);
    let mut writer = house.writer("a");
    writer.write_all(&sample(100_000)).unwrap();
    reader.signal(Signal::KILL);
    let start = Instant::now();
    let error = write_until_it_fails(&mut writer);
    assert_eq!(error.code(), Code::ECONNRESET, "{}", error.chain());
    assert!(start.elapsed() < SLACK, "{:?}", start.elapsed());
    drop(writer);
    // Its name is free again after a while.
    goes_through(&mut house.reader("a"), house.writer("a"), b"bytes");
}

#[test]
fn a_writer_that_is_killed_is_lost_to_its_reader() {
    let Some(server) = NatsServer::debian() else { return };
    let servers = [server];
    let house = House::at(&servers, SOON);
    let mut reader = house.reader("a");
    let writer = Copy::start(&servers[0], SOON, "nats:a:w", false);
    read_exactly(&mut reader, 1_000_000);
    writer.signal(Signal::KILL);
    let (_, error) = drain(&mut reader);
    let error = error.expect("a killed writer is no end");
    assert_eq!(error.code(), Code::ECONNRESET, "{}", error.chain());
    refused(reader.read(&mut [0; 8]), Code::ECONNRESET, "the writer was lost");
}

/// A server drops whoever takes its messages too slowly, and with it what was for them: nothing of a pipe is lost.
#[test]
fn a_slow_consumer_that_the_server_drops_loses_nothing() {
    let Some(server) =
        NatsServer::with("jetstream { store_dir: '$FOLDER/js' }\nmax_pending: 2MB\nwrite_deadline: '200ms'")
    else {
        return;
    };
    let servers = [server];
    let house = House::at(&servers, "");
    let mut reader = Copy::start(&servers[0], "window = \"64m\"", "nats:a:r", true);
    let mut writer = house.writer("a");
    writer.write_all(b"x").unwrap();
    reader.signal(Signal::STOP);
    let content = sample(40_000_000);
    writer.write_all(&content).unwrap();
    eventually("the server drops whoever is too slow", || servers[0].slow_consumers() > 0);
    reader.signal(Signal::CONT);
    writer.control().set_deadline(Some(Instant::now() + Duration::from_secs(100)));
    writer.finish(Finish::Commit).unwrap();
    assert!(reader.child.wait().unwrap().success());
    assert!(fs::read(reader.copied()).unwrap()[1..] == content, "other bytes arrived than were sent");
}
