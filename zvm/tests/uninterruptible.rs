//! A guest in an instruction that cannot be interrupted. Alone in its process: what the session gives back is looked for there.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Sender, channel};
use std::time::Duration;
use zvfs_test_support::{eventually, resident};
use zvm::{ExitCode, Manifest, Session};

const LONG: Duration = Duration::from_secs(120);
/// The guest's memory, filled by one instruction: a tenth of a second on an idle machine.
const MEMORY: usize = 256 << 20;

fn session(body: &str, closed: Sender<PathBuf>) -> Session {
    let program = format!(r#"(module (memory (export "memory") 4096) (func (export "_start") {body}))"#);
    let manifest = format!(
        "Version = 20140509\nProgram = /given\nMemory = {MEMORY}, 0\nTimeout = 600\nno equals sign\n\
         Channel = /given, /dev/stdin, 0, 9, 9, 0, 0\nChannel = /given, /dev/stdout, 0, 0, 0, 9, 9\n\
         Channel = /given, /dev/stderr, 0, 0, 0, 9, 9\n"
    );
    Session::new(Manifest::parse(manifest.as_bytes()).unwrap())
        .program(program)
        .reader("/dev/stdin", io::empty())
        .writer("/dev/stdout", Closes(closed))
        .writer("/dev/stderr", io::sink())
}

/// A channel that tells, when it is closed, which thread did that: the session's.
struct Closes(Sender<PathBuf>);

impl Write for Closes {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        Ok(buf.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for Closes {
    fn drop(&mut self) {
        let thread = fs::read_link("/proc/thread-self").unwrap();
        let _ = self.0.send(Path::new("/proc").join(thread));
    }
}

/// Of a guest that filled its memory over and over it was told that a provider ignored its cancel, or that it was a very large
/// program.
#[test]
fn a_guest_in_a_long_instruction_is_told_truly_and_gives_back_what_it_held() {
    let (closes, closed) = channel();
    // What the engine keeps is there from now on.
    assert_eq!(session("", closes.clone()).run().exit_code, ExitCode::Ok);
    closed.recv_timeout(LONG).unwrap();
    let before = resident();

    let fill = "(loop (memory.fill (i32.const 0) (i32.const 7) (i32.const 268435456)) (br 0))";
    let running = session(fill, closes).start();
    eventually("the guest fills its memory", || resident() > before + MEMORY / 4 * 3);
    running.control().cancel();
    let report = running.wait();
    assert_eq!((report.exit_code, report.state.as_str()), (ExitCode::Stopped, "cancelled"), "{report:?}");
    // Where the machine is slow, the instruction outlasts the patience with it.
    let told = report.notes.join("; ");
    let note = "an instruction of the guest over a large memory range, which cannot be interrupted, keeps its thread and memory";
    assert_eq!(told.contains(note), report.left_behind, "{report:?}");
    // Also of a session that is left behind.
    assert!(told.starts_with("MANIFEST 5: the line is ignored: it has no `=`"), "{told}");
    assert!(!told.contains("provider"), "{told}");

    let thread = closed.recv_timeout(LONG).unwrap();
    eventually("the session's thread ends", || !thread.exists());
    assert!(resident() < before + MEMORY / 4, "{before} bytes before, {} after", resident());
}
