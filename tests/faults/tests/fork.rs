//! After a fork: what was started before it is refused with a clear error, a new registry works, and the parent goes on.

use std::process::Command;
use zvfs_faults::Plugins;
use zvfs_test_support::{provider_process, run};

/// A host that is the first process of a container kept a zombie of each provider's process.
#[test]
fn a_host_that_inherits_orphans_reaps_its_providers_processes() {
    let plugins = Plugins::new();
    plugins.add("behave", "behave", &[]);
    let mut command = Command::new(env!("CARGO_BIN_EXE_zvfs-faults-host"));
    command.arg("reap").arg(plugins.path()).arg(provider_process().with_file_name(""));
    let output = run(command).unwrap();
    let [out, err] = [&output.stdout, &output.stderr].map(|text| String::from_utf8_lossy(text));
    assert!(output.status.success() && out == "ok\n", "{out}{err}");
}

#[test]
fn a_child_cannot_use_its_parents_instances_but_its_own() {
    for threads in ["ZVFS_THREADS_PER_FILE", "ZVFS_THREADS_PER_INSTANCE", "ZVFS_THREADS_PER_LIBRARY"] {
        let plugins = Plugins::new();
        plugins.add("behave", "behave", &[&format!("THREADS={threads}")]);
        for program in [None, Some(provider_process().with_file_name(""))] {
            // Forking is for a program with one thread, which a test is not.
            let mut command = Command::new(env!("CARGO_BIN_EXE_zvfs-faults-host"));
            command.arg("fork").arg(plugins.path()).args(&program);
            let output = run(command).unwrap();
            let [out, err] = [&output.stdout, &output.stderr].map(|text| String::from_utf8_lossy(text));
            assert!(output.status.success() && out == "ok\n", "{threads}, {program:?}: {out}{err}");
        }
    }
}
