//! `zvfs run` compiles strangers' programs: bombs, the cache, and an end in time.

#[path = "../../zvm/tests/worker/bombs.rs"]
mod bombs;

use crate::support::{Done, Folder, Started, run, run_timed, zvfs};
use bombs::{module, nothing, tangle};
use rustix::process::Signal;
use std::fs::{self, Permissions};
use std::io::Read as _;
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use zvfs_test_support::{bounded, eventually, have, skip, terminal};

/// A manifest of these bytes.
fn manifest(folder: &Folder, program: impl AsRef<[u8]>, timeout: u64) -> String {
    folder.write("program", program);
    folder.write(
        "manifest",
        format!(
            "Version = 20140509\nProgram = ${{MANIFEST_DIR}}/program\nMemory = 1048576, 0\nTimeout = {timeout}\n\
             Channel = /dev/null, /dev/stdin, 0, 1, 1, 0, 0\n\
             Channel = /dev/null, /dev/stdout, 0, 0, 0, 1, 1\n\
             Channel = /dev/null, /dev/stderr, 0, 0, 0, 1, 1\n"
        ),
    )
}

/// Within every limit, and work for a compiler for many seconds.
fn heavy() -> Vec<u8> {
    module(vec![tangle(1000, 400_000); 40].into_iter())
}

/// A run with a cache in the folder.
fn cached(folder: &Folder, manifest: &str) -> Command {
    let (cache, key) = (folder.at("cache"), folder.at("key"));
    zvfs(["run", "--cache-dir", &cache, "--cache-key", &key, manifest])
}

fn entry(folder: &Folder) -> PathBuf {
    let mut entries = fs::read_dir(folder.at("cache")).unwrap();
    let entry = entries.next().unwrap().unwrap().path();
    assert!(entries.next().is_none());
    entry
}

#[test]
fn bombs_are_refused_at_once() {
    for (bomb, words) in [
        (module([tangle(40_000, 470_000)].into_iter()), "40000 locals in one function"),
        (module(vec![b"\0\x41\0\x1a\x41\0\x1a\x0b".to_vec(); 500_000].into_iter()), "500000 functions"),
    ] {
        let folder = Folder::new();
        let start = Instant::now();
        run(zvfs(["run", &manifest(&folder, bomb, 100)])).failed(8, &["bad program", words]);
        assert!(start.elapsed() < Duration::from_secs(30), "{:?}", start.elapsed());
    }
}

#[test]
fn timeout_ends_a_compilation() {
    let folder = Folder::new();
    let start = Instant::now();
    run(zvfs(["run", "--no-cache", &manifest(&folder, heavy(), 1)])).failed(4, &["timeout"]);
    assert!(start.elapsed() < Duration::from_secs(30), "{:?}", start.elapsed());
}

/// A guest without a manifest, with so many seconds, compiled anew.
fn exec(seconds: u32, options: &[&str], program: &str) -> Command {
    let timeout = format!("{seconds}s");
    zvfs([&["exec", "--timeout", &timeout], options, &[program]].concat())
}

/// Found: what is wrong with an output was told once the compiler had taken its minutes.
#[test]
fn what_is_wrong_with_an_output_is_told_before_the_program_is_compiled() {
    let folder = Folder::new();
    // The compiler refuses it, whose turn would come first otherwise.
    let start = "(module (memory (export \"memory\") 1) (func (export \"_start\")) (func (result i32)))";
    let program = folder.write("bad.wat", start);
    run(exec(60, &["--no-cache"], &program)).failed(8, &["type mismatch"]);
    folder.write("file", "x");
    let file = folder.at("file");
    for (option, given, words) in [
        ("--out-dir", format!("out={file}"), "export /out: "),
        ("--out-dir", "out=/proc/none".to_owned(), "no file can be written into /proc"),
        ("--dir", format!("data={}", folder.at("none")), "tree /data: stat "),
        ("--dir-rw", format!("data={file}"), "tree /data: "),
        ("--write", "x=nothing-of-this-name:x".to_owned(), "nothing-of-this-name"),
    ] {
        let done = run(exec(60, &["--no-cache", option, &given], &program));
        done.failed(14, &["bad.wat: ", words]);
    }
}

/// A run of minutes that says nothing looks like one that hangs.
#[test]
fn a_program_that_takes_its_time_to_compile_is_told_once_to_whoever_waits() {
    let folder = Folder::new();
    let program = folder.write("heavy.wasm", heavy());
    let (cache, key) = (folder.at("cache"), folder.at("key"));
    let compiling = format!("compiling {program}");
    let (mut terminal, path) = terminal();
    let other = fs::OpenOptions::new().read(true).write(true).open(path).unwrap();
    let mut command = exec(600, &["--cache-dir", &cache, "--cache-key", &key], &program);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(other);
    let mut started = Started::as_set(&mut command);
    drop(command);
    let seen = bounded(move || {
        let (mut seen, mut buffer) = (String::new(), [0; 4096]);
        while !seen.contains('\n') {
            let count = terminal.read(&mut buffer).unwrap();
            seen.push_str(&String::from_utf8_lossy(&buffer[..count]));
        }
        seen
    });
    assert!(seen.starts_with(&format!("zvfs: {compiling} (only the first time)")), "{seen}");
    started.still_runs();
    drop(started);
    // Elsewhere it is the guest's stream, and who keeps it asks for more by -v. Without a cache it is told each time.
    let done = run(exec(4, &["--no-cache"], &program));
    done.failed(4, &["timeout"]);
    assert!(!done.stderr.contains("compiling"), "{done:?}");
    let json = |seconds| exec(4 * seconds, &["-v", "--log-format", "json", "--no-cache"], &program);
    let done = run_timed("compiling", json);
    let lines = done.stderr.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
    let told: Vec<_> = lines.filter(|line| line["message"] == compiling.as_str()).collect();
    assert_eq!((told.len(), told[0]["level"].as_str()), (1, Some("info")), "{done:?}");
    // Nor is one told that takes no time.
    let small = folder.write("small.wasm", module([nothing()].into_iter()));
    run(exec(600, &["-v", "--no-cache"], &small)).succeeded();
}

/// A run under a limit of the shell's, in KiB of address space.
fn limited(kib: u64, manifest: &str) -> Command {
    let command = zvfs(["run", "--no-cache", manifest]);
    let mut shell = Command::new("sh");
    shell.args(["-c", &format!("ulimit -v {kib} && exec \"$0\" \"$@\"")]);
    shell.arg(command.get_program()).args(command.get_args());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => shell.env(name, value),
            None => shell.env_remove(name),
        };
    }
    shell
}

/// A case report: a user's own limit was to be raised, which only root may: "exit status: 1, without an answer".
#[test]
fn a_lower_limit_of_the_process_is_kept_and_named() {
    let folder = Folder::new();
    let small = manifest(&folder, module([nothing()].into_iter()), 100);
    run(limited(6_000_000, &small)).succeeded();
    run(limited(2_000_000, &small))
        .failed(12, &["over 4 GiB of address space", "1953 MiB for all (ulimit -v)"]);
    let large = manifest(&folder, module([tangle(1000, 400_000)].into_iter()), 100);
    run(limited(350_000, &large))
        .failed(12, &["its compiler was killed", "341 MiB of address space (ulimit -v)"]);
}

/// The compiler ends with the command, however that ends: nothing is left to burn a core.
#[test]
fn a_signal_ends_a_compilation_and_the_compiler_goes_with_the_command() {
    for signal in [Signal::TERM, Signal::KILL] {
        let folder = Folder::new();
        let started = Started::new(&mut zvfs(["run", "--no-cache", &manifest(&folder, heavy(), 1000)]));
        let command = started.child.id();
        let children = || fs::read_to_string(format!("/proc/{command}/task/{command}/children"));
        let all = || {
            let tasks = fs::read_dir(format!("/proc/{command}/task")).unwrap();
            tasks
                .filter_map(|task| fs::read_to_string(task.ok()?.path().join("children")).ok())
                .collect::<String>()
        };
        children().unwrap();
        eventually("a compiler runs", || !all().trim().is_empty());
        let compiler = all().trim().to_owned();
        started.signal(signal);
        let done = started.end();
        assert_eq!(done.code, if signal == Signal::KILL { 128 + 9 } else { 4 }, "{done:?}");
        // Gone, or waiting to be noticed by whoever inherited it.
        eventually("the compiler is gone", || {
            let stat = fs::read_to_string(format!("/proc/{compiler}/stat")).unwrap_or_default();
            stat.is_empty() || stat.contains(") Z ") || stat.contains(") X ")
        });
    }
}

#[test]
fn the_second_run_is_from_the_cache_and_a_torn_entry_is_compiled_anew() {
    let folder = Folder::new();
    let manifest = manifest(&folder, module([nothing()].into_iter()), 100);
    run(cached(&folder, &manifest)).succeeded();
    let whole = fs::read(entry(&folder)).unwrap();
    // Marked by its time: a use renews that, and a new file would have another content's.
    run(cached(&folder, &manifest)).succeeded();
    assert_eq!(fs::read(entry(&folder)).unwrap(), whole);
    for damage in [&whole[..100], &[&whole[..], b"x"].concat()] {
        fs::write(entry(&folder), damage).unwrap();
        let done = run(cached(&folder, &manifest));
        assert!(done.code == 0 && done.stderr.contains("compiled again"), "{done:?}");
        run(cached(&folder, &manifest)).succeeded();
    }
}

#[test]
fn no_cache_keeps_nothing() {
    let folder = Folder::new();
    let manifest = manifest(&folder, module([nothing()].into_iter()), 100);
    let mut command = zvfs(["run", "--no-cache", &manifest]);
    command.env("XDG_CACHE_HOME", folder.at("c")).env("XDG_STATE_HOME", folder.at("s"));
    run(command).succeeded();
    assert_eq!(folder.names(), ["manifest", "program"]);
}

#[test]
fn a_place_that_others_may_reach_is_an_error_if_asked_for_and_else_not_used() {
    let folder = Folder::new();
    let manifest = manifest(&folder, module([nothing()].into_iter()), 100);
    fs::create_dir_all(folder.path().join("zvfs/modules")).unwrap();
    fs::set_permissions(folder.path().join("zvfs/modules"), Permissions::from_mode(0o755)).unwrap();
    let dir = folder.at("zvfs/modules");
    run(zvfs(["run", "--cache-dir", &dir, &manifest])).failed(13, &["chmod 700"]);
    let default = |arguments: &[&str]| -> Done {
        let mut command = zvfs(arguments);
        command.env("XDG_CACHE_HOME", folder.path()).env("XDG_STATE_HOME", folder.path());
        run(command)
    };
    default(&["run", &manifest]).succeeded();
    let told = default(&["-v", "run", &manifest]);
    assert!(told.code == 0 && told.stderr.contains("chmod 700"), "{told:?}");
    assert_eq!(fs::read_dir(&dir).unwrap().count(), 0);
}

/// `sudo` may keep HOME: root's machine code must not lie where another user can put some.
#[test]
fn another_users_home_is_not_used() {
    if !rustix::process::geteuid().is_root() {
        skip("only root can give files away");
        return;
    }
    let folder = Folder::new();
    let manifest = manifest(&folder, module([nothing()].into_iter()), 100);
    let home = Folder::new();
    chown(home.path(), Some(12345), Some(12345)).unwrap();
    let mut command = zvfs(["-v", "run", &manifest]);
    command.env_remove("XDG_CACHE_HOME").env_remove("XDG_STATE_HOME").env("HOME", home.path());
    let done = run(command);
    assert!(done.code == 0 && done.stderr.contains("belongs to user 12345"), "{done:?}");
    assert!(!home.path().join(".cache/zvfs").exists());
}

/// A daemon's HOME is often a folder that nobody made, and root made it, for a cache.
#[test]
fn a_home_that_is_not_there_is_not_made() {
    let folder = Folder::new();
    let mut command = zvfs(["-v", "run", &manifest(&folder, module([nothing()].into_iter()), 100)]);
    command.env_remove("XDG_CACHE_HOME").env_remove("XDG_STATE_HOME").env("HOME", folder.at("nobody"));
    run(command).failed(0, &["set HOME to an existing folder", "compiled programs are not kept"]);
    assert!(!folder.path().join("nobody").exists());
}

#[test]
fn runs_at_the_same_time_share_a_cache() {
    let folder = Folder::new();
    let manifest = manifest(&folder, module([nothing()].into_iter()), 100);
    let started: Vec<Started> = (0..6).map(|_| Started::new(&mut cached(&folder, &manifest))).collect();
    for started in started {
        started.end().succeeded();
    }
    entry(&folder);
}

#[test]
fn a_full_disk_is_a_note() {
    if !have(&["unshare", "mount"]) {
        return;
    }
    if !rustix::process::geteuid().is_root() {
        skip("only root can mount");
        return;
    }
    let folder = Folder::new();
    let manifest = manifest(&folder, module([nothing()].into_iter()), 100);
    let cache = folder.at("cache");
    fs::create_dir(&cache).unwrap();
    let run_in_small =
        format!("mount -t tmpfs -o size=4k,mode=0700 none {cache} && exec \"$@\" && ls -A {cache}",);
    let zvfs = cached(&folder, &manifest);
    let mut command = Command::new("unshare");
    command.args(["-m", "sh", "-c", &run_in_small, "sh"]).arg(zvfs.get_program()).args(zvfs.get_args());
    let done = run(command);
    assert!(done.code == 0 && done.stderr.contains("was not cached"), "{done:?}");
}

/// Under `ulimit -u` a compiler's pool of threads panicked, and its text was all that the user saw.
#[test]
fn a_program_is_compiled_where_no_thread_can_be_started() {
    // A user who has no other process; root's have no such limit.
    const NOBODY: u32 = 61_238;
    let Some(folder) = Folder::needing(&["prlimit"]) else { return };
    let program = folder.write("program", module([nothing(), nothing()].into_iter()));
    let mut command = Command::new("prlimit");
    command.args(["--nproc=1:1", env!("CARGO_BIN_EXE_zvfs"), "compile-child", "1073741824", "60", "9"]);
    command.env("RAYON_NUM_THREADS", "4").stdin(fs::File::open(program).unwrap());
    if rustix::process::geteuid().is_root() {
        command.uid(NOBODY).gid(NOBODY);
    }
    let done = command.output().unwrap();
    if done.status.code() == Some(126) {
        return skip("the command cannot be run by another user");
    }
    let told = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success() && told.is_empty(), "{:?}: {told}", done.status);
    assert_eq!(done.stdout[0], 0, "no artifact");
}
