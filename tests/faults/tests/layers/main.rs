//! Layers, in C and in Rust, through their libraries: every call passes, and what a layer may do wrong harms nobody.

mod failing;
mod opening;
mod passing;

use std::ffi::OsStr;
use std::fs;
use std::io::{Read, SeekFrom};
use std::ops::ControlFlow;
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::mpsc::channel;
use std::thread;
use std::time::{Duration, Instant, SystemTime};
use vfs_core::{
    Capabilities, Code, Configuration, Control, Direction, Entry, Finish, Flush, Kind, Name, OpenFile,
    OpenFlags, OpenOptions, Registry, copy,
};
use zvfs_faults::{Plugins, of_tests};
use zvfs_test_support::{bounded, fifo, free_port, library, provider_process};

/// The layers: one in C, one in Rust.
const LAYERS: [&str; 2] = ["clayer", "layering"];
/// The promise of CANCEL, with room for a busy machine.
const SOON: Duration = Duration::from_secs(20);

/// The providers that run in a process of their own, one set after the other: layers and what is below them, in the host or not.
const IN_PROCESSES: [&[&str]; 4] = [
    &[],
    &LAYERS,
    &["file", "context", "panicking"],
    &["clayer", "layering", "file", "context", "panicking"],
];

/// A folder with the layer in C, and the configuration's text for it and cargo's own providers.
struct Place {
    plugins: Plugins,
    folders: String,
    in_processes: &'static [&'static str],
}

/// Makes a test wherever its providers run.
fn everywhere(test: fn(&Place)) {
    bounded(move || {
        for in_processes in IN_PROCESSES {
            println!("in processes: {in_processes:?}");
            test(&Place::new(in_processes));
        }
    });
}

impl Place {
    fn new(in_processes: &'static [&'static str]) -> Place {
        let plugins = Plugins::new();
        plugins.add("clayer", "layer", &[]);
        plugins.add("context", "context", &[]);
        let folders = [library("file"), of_tests("layering"), of_tests("panicking")];
        let [built, of_tests, _] = folders.map(|library| library.with_file_name(""));
        let program = provider_process().with_file_name("");
        let folders =
            format!("provider-path = [{:?}, {of_tests:?}, {built:?}, {program:?}]\n", plugins.path());
        Place { plugins, folders, in_processes }
    }

    fn with(&self, sections: &str) -> Registry {
        let place = format!(
            "place = \"process\"\nmay-lack = [\"landlock\", \"landlock-net\", \"seccomp\"]\nmay = {{ write = [{:?}, \"/dev\"], open = [{schemes}] }}\n",
            self.plugins.path(),
            schemes = r#""clayer", "layering", "file", "context", "panicking", "nosuch""#
        );
        let mut text = self.folders.clone();
        for line in sections.lines() {
            let name = line.strip_prefix("[provider.").and_then(|line| line.strip_suffix("]"));
            let placed = name.is_some_and(|name| self.in_processes.contains(&name));
            text.extend([line, "\n", if placed { &place } else { "" }]);
        }
        Registry::new(Configuration::parse(&text).expect("a configuration"))
    }

    /// Everything may load.
    fn registry(&self) -> Registry {
        self.with("[provider.clayer]\n[provider.layering]\n[provider.file]\n[provider.panicking]\n[provider.context]")
    }

    fn path(&self, name: &str) -> PathBuf {
        self.plugins.path().join(name)
    }

    /// A layer's descriptor over a file in this folder.
    fn over(&self, layer: &str, how: &str, name: &str) -> String {
        format!("{layer}:{how},file:{}", self.path(name).display())
    }
}

fn read() -> OpenOptions {
    OpenOptions::new(OpenFlags::READ)
}

fn opened(registry: &Registry, descriptor: &str, flags: OpenFlags) -> OpenFile {
    registry.open(descriptor, &OpenOptions::new(flags)).expect(descriptor)
}
