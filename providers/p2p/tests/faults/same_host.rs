//! Ends on one host: what the writer sends goes through memory where they meet, and by their stream elsewhere.

use crate::common::{
    Circle, SLACK, drain, in_thread, met, reader, refused, registry, write_until_it_fails, writer,
};
use rustix::process::{Pid, Signal, kill_process};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use vfs_core::{Code, Finish, OpenFile};
use zvfs_test_support::{
    ANOTHER_USER, Random, alone, built, by_another_user, command, read_by_turns, without_proc,
};

/// From a pipe's first frames on.
const ON: &str = ", same-host-after = 0";
const OFF: &str = ", same-host = \"off\"";

/// One byte after the other, each read before the next is written: time to meet.
fn warm_up((mut reader, mut writer): (OpenFile, OpenFile)) -> (OpenFile, OpenFile) {
    for number in 0..40_u8 {
        writer.write_all(&[number]).unwrap();
        assert_eq!(reader.read(&mut [0; 8]).unwrap(), 1);
    }
    (reader, writer)
}

/// Both ends in this process, warmed up.
fn pair(circle: &Circle, reading: &str, writing: &str) -> (OpenFile, OpenFile) {
    let reading = registry(&format!("{}{reading}", circle.settings(0)));
    let writing = registry(&format!("{}{writing}", circle.settings(1)));
    warm_up(met(reader(&reading, "a"), writer(&writing, "p0:a")))
}

/// Whether this process has memory that the ends of a pipe share.
fn shares() -> bool {
    fs::read_to_string("/proc/self/maps").unwrap().contains("memfd:zvfs-shared")
}

fn sample(count: usize) -> Vec<u8> {
    Random(1).noise(count)
}

/// Alone, as it looks at the memory of its process. An end that does not know of meetings says what one says that is not to.
#[test]
fn ends_meet_where_both_are_to_and_else_go_on_by_their_stream() {
    alone(|| {
        let folders = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
        let [one, other] = folders.each_ref().map(|folder| format!(", same-host = {:?}{ON}", folder.path()));
        let gone = format!(", same-host = \"/nonexistent\"{ON}");
        for (reading, writing, meets) in [
            (ON, ON, true),
            (&one, &one, true),
            (ON, OFF, false),
            (OFF, ON, false),
            (ON, &one, false),
            (&one, &other, false),
            (&gone, &gone, false),
            ("", "", false),
        ] {
            let circle = Circle::new(2);
            let (mut read, mut write) = pair(&circle, reading, writing);
            assert_eq!(shares(), meets, "{reading}; {writing}");
            let (content, sent) = (sample(3 << 20), sample(3 << 20));
            let done = in_thread(move || {
                sent.chunks(70_001).for_each(|piece| write.write_all(piece).unwrap());
                write.finish(Finish::Commit).unwrap();
            });
            assert!(drain(&mut read) == (content, None), "{reading}; {writing}");
            done.recv_timeout(SLACK).unwrap();
        }
        for folder in folders {
            assert_eq!(folder.path().read_dir().unwrap().count(), 0, "something is left where they met");
        }
    });
}

/// Nothing is lost, and nothing comes in another order, where the writer leaves its stream: in whatever pieces, and wherever that is.
#[test]
fn what_is_written_around_the_turn_comes_whole_and_in_order() {
    for (piece, after) in [(1, "0"), (1000, "\"100k\""), (70_000, "\"2m\""), (300_000, "0")] {
        let circle = Circle::new(2);
        let more = format!(", same-host-after = {after}");
        let (mut read, mut write) = pair(&circle, &more, &more);
        let content = sample((3000 * piece).min(12 << 20));
        let sent = content.clone();
        let done = in_thread(move || {
            sent.chunks(piece).for_each(|piece| write.write_all(piece).unwrap());
            write.finish(Finish::Commit).unwrap();
        });
        assert!(drain(&mut read) == (content, None), "in pieces of {piece}");
        done.recv_timeout(SLACK).unwrap();
    }
}

/// Several writers, in memory and not: none is left out, and each write arrives whole.
#[test]
fn writers_in_memory_and_others_are_read_by_turns() {
    let circle = Circle::new(5);
    let reading = registry(&format!("{}{ON}", circle.settings(0)));
    let read = reader(&reading, "a?writers=4");
    let writers = [(1, ON), (2, ON), (3, OFF), (4, OFF)].map(|(peer, more)| {
        let settings = format!("{}{more}", circle.settings(peer));
        move || writer(&registry(&settings), "p0:a")
    });
    read_by_turns(read, writers, 500, |mut writer| writer.finish(Finish::Commit).unwrap());
}

#[test]
fn what_a_writer_left_when_its_host_went_is_read() {
    let circle = Circle::new(2);
    let (mut read, mut write) = pair(&circle, ON, ON);
    write.write_all(&sample(300_000)).unwrap();
    write.finish(Finish::End).unwrap();
    drop(write);
    assert!(drain(&mut read) == (sample(300_000), None));
}

/// The command, with an end of a pipe, in a process of its own. Killed when it is dropped.
struct Copy(Child);

impl Copy {
    fn start(folder: &Path, settings: &str, pipe: &str, is_reader: bool) -> Copy {
        Copy::by(Command::new(command()), folder, settings, pipe, is_reader)
    }

    /// The same by a command to which only arguments are to be added.
    fn by(mut copy: Command, folder: &Path, settings: &str, pipe: &str, is_reader: bool) -> Copy {
        let config = folder.join("zvfs.toml");
        let text = format!(
            "provider-path = [{:?}]\n[provider.file]\n[provider.p2p]\nsettings = {{ {settings} }}\n",
            built()
        );
        fs::write(&config, text).unwrap();
        fs::set_permissions(folder, fs::Permissions::from_mode(0o755)).unwrap();
        let (from, to) = if is_reader { (pipe, "file:/dev/null") } else { ("file:/dev/zero", pipe) };
        copy.arg("--config").arg(&config).args(["cp", from, to]).stdin(Stdio::null());
        Copy(copy.spawn().unwrap())
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.0), signal).unwrap();
    }
}

impl Drop for Copy {
    fn drop(&mut self) {
        // It may have ended.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Killed, its kernel closes the socket where the two met; stopped, it gives no sign of life by the connection.
#[test]
fn an_end_that_is_killed_or_stopped_in_memory_is_lost() {
    for signal in [Signal::KILL, Signal::STOP] {
        let (circle, folder) = (Circle::new(2), tempfile::tempdir().unwrap());
        let here = registry(&format!("{}{ON}, peer-timeout = \"3s\"", circle.settings(0)));
        let there = format!("{}{ON}", circle.settings(1));
        let mut read = reader(&here, "a");
        let copy = Copy::start(folder.path(), &there, "p2p:p0:a", false);
        let (mut came, mut bytes) = (0, vec![0; 100_000]);
        while came < 3_000_000 {
            came += read.read(&mut bytes).unwrap();
        }
        copy.signal(signal);
        let error = in_thread(move || {
            loop {
                match read.read(&mut bytes) {
                    Ok(0) => panic!("an end"),
                    Ok(_) => {}
                    Err(error) => return error,
                }
            }
        });
        refused::<()>(Err(error.recv_timeout(SLACK).unwrap()), Code::ECONNRESET, "");
        drop(copy);
        let mut write = writer(&here, "p1:b");
        let copy = Copy::start(folder.path(), &there, "p2p:b", true);
        write.write_all(&sample(3_000_000)).unwrap();
        copy.signal(signal);
        let error = write_until_it_fails(&mut write);
        assert_eq!(error.code(), Code::ECONNRESET, "{signal:?}: {}", error.chain());
    }
}

/// Whether a writer behind a wall meets its reader before it has sent far more than one without needs for that.
fn meets(circle: &Circle, walled: Command) -> bool {
    let folder = tempfile::tempdir().unwrap();
    let here = registry(&format!("{}{ON}", circle.settings(0)));
    let mut read = reader(&here, "a");
    let there = format!("{}{ON}", circle.settings(1));
    let _copy = Copy::by(walled, folder.path(), &there, "p2p:p0:a", false);
    let (mut came, mut bytes) = (0, vec![0; 100_000]);
    while came < 5_000_000 && !shares() {
        came += read.read(&mut bytes).unwrap();
    }
    shares()
}

/// Another user's memory is none of this one's. Alone, as it looks at the memory of its process.
#[test]
fn ends_of_two_users_do_not_meet() {
    alone(|| {
        let Some(nobody) = by_another_user(command(), "--version") else { return };
        let circle = Circle::new(2);
        circle.give_key(1, ANOTHER_USER);
        assert!(!meets(&circle, nobody));
    });
}

/// What the kernel would tell in /proc is not needed. Alone, as above.
#[test]
fn ends_without_proc_meet() {
    alone(|| {
        if let Some(without) = without_proc(command()) {
            assert!(meets(&Circle::new(2), without));
        }
    });
}
