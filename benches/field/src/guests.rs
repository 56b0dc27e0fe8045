//! Guests: `zvfs exec` and `zvfs run` of a program in their cache, against wasmtime's command and its package of PyPI. Whole processes.

use crate::ours::{Host, Ours};
use crate::{Failure, ROUNDS, skips, text};
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use zvfs_benches::python::script;
use zvfs_benches::{cost, cost_of, heading, keep, pair_of_processes};

const SMALL: &str = r#"(module (memory (export "memory") 1) (func (export "_start")))"#;

/// A linear congruential generator, each number of which waits for the one before: about a second. The sum is looked at, so that nothing of it
/// can be left out.
const COMPUTES: &str = r#"(module
    (memory (export "memory") 1)
    (func (export "_start") (local $left i32) (local $x i64)
        (local.set $left (i32.const 600000000))
        (loop $more
            (local.set $x (i64.add (i64.mul (local.get $x) (i64.const 6364136223846793005)) (i64.const 1442695040888963407)))
            (br_if $more (local.tee $left (i32.sub (local.get $left) (i32.const 1)))))
        (if (i64.eqz (local.get $x)) (then unreachable))
        (i64.store (i32.const 0) (local.get $x))))"#;

/// The package, which keeps what it compiled as well. `guarded`: with what bounds a guest of ours, the count of its instructions and the
/// interruption from outside.
const PYTHON: &str = "import sys, wasmtime
config = wasmtime.Config()
config.cache = True
if sys.argv[2] == 'guarded':
    config.consume_fuel = True
    config.epoch_interruption = True
engine = wasmtime.Engine(config)
module = wasmtime.Module.from_file(engine, sys.argv[1])
linker = wasmtime.Linker(engine)
linker.define_wasi()
store = wasmtime.Store(engine)
if sys.argv[2] == 'guarded':
    store.set_fuel(2**63)
    store.set_epoch_deadline(1)
store.set_wasi(wasmtime.WasiConfig())
linker.instantiate(store, module).exports(store)['_start'](store)
";

pub fn run(ours: &Ours) -> Result<(), Failure> {
    let folder = tempfile::tempdir()?;
    let host = ours.host("[provider.file]\n[provider.null]\n")?;
    tell_versions();
    for (title, name, program, runs) in [
        ("a guest that does nothing", "small", SMALL, 5),
        ("a guest that computes for a second", "computes", COMPUTES, 1),
    ] {
        let path = folder.path().join(format!("{name}.wat"));
        fs::write(&path, program)?;
        compare(title, &host, &path, runs)?;
    }
    Ok(())
}

/// Says which peers these are: their rows keep their names from one version to the next.
fn tell_versions() {
    let mut command = Command::new("wasmtime");
    command.arg("--version");
    for (peer, mut version) in [
        ("wasmtime run", command),
        ("PyPI's wasmtime", script("import importlib.metadata as known; print(known.version('wasmtime'))")),
    ] {
        if let Ok(output) = version.output()
            && output.status.success()
        {
            println!("\n{peer}: {}", String::from_utf8_lossy(&output.stdout).trim());
        }
    }
}

/// `runs`: of each side in a round, since the processors' time is known in steps of 10 ms.
fn compare(title: &str, host: &Host, program: &Path, runs: u64) -> Result<(), Failure> {
    let folder = program.parent().unwrap_or(program);
    let manifest = program.with_extension("manifest");
    fs::write(&manifest, manifest_of(program))?;
    let ours = |subcommand: &str, what: &Path| {
        let mut command = host.command(subcommand);
        command.arg("--cache-dir").arg(folder.join("cache")).arg("--cache-key").arg(folder.join("key"));
        command.arg(what);
        command
    };
    let mut peers = Vec::new();
    for (row, guards) in [
        ("wasmtime run", &[][..]),
        ("wasmtime run, fuel and epochs", &["-Wfuel=9223372036854775807,timeout=1000s"][..]),
    ] {
        let mut command = Command::new("wasmtime");
        command.arg("run").args(guards).arg(program);
        peers.push(("wasmtime", row, command));
    }
    for (row, how) in [("PyPI's wasmtime", "plain"), ("PyPI's wasmtime, fuel and epochs", "guarded")] {
        let mut command = script(PYTHON);
        command.arg(program).arg(how);
        peers.push(("python3", row, command));
    }
    for (row, mut ours) in [("zvfs exec", ours("exec", program)), ("zvfs run", ours("run", &manifest))] {
        heading(&format!("{title}, cached"), row, "the peer's");
        for (needed, row, peer) in &mut peers {
            // Its cache is not to stay on this machine.
            peer.env("XDG_CACHE_HOME", folder.join("wasmtime"));
            if let Some(reason) = skips::missing(&[needed]).or_else(|| trial(peer)) {
                skips::skip(&format!("{title}: {row}"), reason);
                continue;
            }
            let all = |command: &mut Command| cost_of(|| (0..runs).for_each(|_| keep(cost(command))));
            pair_of_processes(row, runs, ROUNDS, || all(&mut ours), || all(peer));
        }
    }
    Ok(())
}

/// Why a peer does not run its guest.
fn trial(peer: &mut Command) -> Option<String> {
    match peer.stdin(Stdio::null()).output() {
        Ok(output) if output.status.success() => None,
        Ok(output) => {
            let said = String::from_utf8_lossy(&output.stderr);
            Some(said.lines().last().unwrap_or("it fails").to_owned())
        }
        Err(error) => Some(error.to_string()),
    }
}

fn manifest_of(program: &Path) -> String {
    format!(
        "Version = 20140509\nProgram = {}\nMemory = 1048576, 0\nTimeout = 1000
        Channel = /dev/null, /dev/stdin, 0, 99, 9999, 0, 0
        Channel = /dev/null, /dev/stdout, 0, 0, 0, 99, 9999
        Channel = /dev/null, /dev/stderr, 0, 0, 0, 99, 9999\n",
        text(program)
    )
}
