//! Ends on one host: what the writer sends goes through memory where they meet, and by their stream elsewhere.

use crate::common::{
    Circle, SLACK, drain, in_thread, met, reader, refused, registry, write_until_it_fails, writer,
};
use rustix::process::{Pid, Signal, kill_process};
use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;
use vfs_core::{Code, Finish, OpenFile};
use zvfs_test_support::{Random, alone, built, command};

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
    let mut read = reader(&reading, "a?writers=4");
    let seen = Arc::new(AtomicUsize::new(0));
    let writing: Vec<_> = (0..4_u8)
        .map(|number| {
            let more = if number < 2 { ON } else { OFF };
            let host = registry(&format!("{}{more}", circle.settings(1 + usize::from(number))));
            let seen = seen.clone();
            in_thread(move || {
                let mut write = writer(&host, "p0:a");
                let (until, mut frames) = (Instant::now() + SLACK, 0);
                // A writer that is left out would let the others write for ever.
                while frames < 500 || seen.load(Ordering::SeqCst) != 0b1111 {
                    frames += 1;
                    assert!(Instant::now() < until, "{:04b}", seen.load(Ordering::SeqCst));
                    write.write_all(&[number; 1000]).unwrap();
                }
                write.finish(Finish::Commit).unwrap();
            })
        })
        .collect();
    let (mut bytes, mut total) = ([0; 1000], 0);
    loop {
        let count = read.read(&mut bytes).unwrap();
        if count == 0 {
            break;
        }
        for byte in &bytes[..count] {
            seen.fetch_or(1 << byte, Ordering::SeqCst);
        }
        total += count;
    }
    writing.into_iter().for_each(|done| done.recv_timeout(SLACK).unwrap());
    assert_eq!(total % 1000, 0);
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
        let config = folder.join("zvfs.toml");
        let text = format!(
            "provider-path = [{:?}]\n[provider.file]\n[provider.p2p]\nsettings = {{ {settings} }}\n",
            built()
        );
        fs::write(&config, text).unwrap();
        let (from, to) = if is_reader { (pipe, "file:/dev/null") } else { ("file:/dev/zero", pipe) };
        let mut copy = Command::new(command());
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
