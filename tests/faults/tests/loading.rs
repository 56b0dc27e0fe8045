//! When a library is loaded and started: at its first use, once, by whoever comes first.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Barrier;
use std::thread;
use vfs_core::{Code, Configuration, Control, OpenFlags, OpenOptions, Registry, Wall, Walls, is_loading};
use zvfs_faults::{Plugins, over};
use zvfs_test_support::{bounded, provider_process, run};

/// A folder with the plug-in `loud`, and the file where it leaves its marks.
fn loud() -> (Plugins, PathBuf) {
    let plugins = Plugins::new();
    let marks = plugins.path().join("marks");
    plugins.add("loud", "loud", &[&format!("MARKS={:?}", marks.display().to_string())]);
    plugins.add("quiet", "table", &[]);
    (plugins, marks)
}

fn open(registry: &Registry, descriptor: &str) -> vfs_core::OpenFile {
    registry.open(descriptor, &OpenOptions::new(OpenFlags::READ)).expect(descriptor)
}

#[test]
fn no_library_is_loaded_for_a_scheme_that_nobody_opens() {
    over(loud, |(plugins, marks)| {
        let registry = plugins.registry();
        open(&registry, "quiet:");
        registry.open("unknown:", &OpenOptions::default()).unwrap_err();
        registry.open("loudest:", &OpenOptions::default()).unwrap_err();
        assert!(!marks.exists(), "its constructor has run");
        open(&registry, "loud:");
        assert_eq!(fs::read_to_string(&marks).unwrap(), "Ls");
    });
}

#[test]
fn a_library_that_is_not_allowed_never_runs() {
    over(loud, |(plugins, marks)| {
        let folder = plugins.path().display().to_string();
        let text = format!("provider-path = [{folder:?}]\n[provider.quiet]\n[alias]\nalso = \"loud\"\n");
        let registry = Registry::new(Configuration::parse(&text).unwrap());
        for descriptor in ["loud:", "also:"] {
            registry.open(descriptor, &OpenOptions::default()).unwrap_err();
        }
        registry.providers(&Control::new());
        assert!(!marks.exists(), "its constructor has run");
    });
}

#[test]
fn eight_threads_load_and_start_it_once() {
    over(loud, |(plugins, marks)| {
        let registry = plugins.registry();
        let together = Barrier::new(8);
        thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    together.wait();
                    open(&registry, "loud:");
                });
            }
        });
        assert_eq!(fs::read_to_string(&marks).unwrap(), "Ls");
    });
}

#[test]
fn two_registries_share_the_library_and_nothing_else() {
    over(loud, |(plugins, marks)| {
        let (one, other) = (plugins.registry(), plugins.registry());
        let file = open(&one, "loud:");
        open(&other, "loud:");
        assert_eq!(fs::read_to_string(&marks).unwrap(), "Lss", "the constructor runs once a process");
        drop(one);
        assert_eq!(fs::read_to_string(&marks).unwrap(), "Lss", "an open file keeps its instance");
        drop(file);
        assert_eq!(fs::read_to_string(&marks).unwrap(), "Lsse");
        open(&other, "loud:");
        drop(other);
        assert_eq!(fs::read_to_string(&marks).unwrap(), "Lssee");
    });
}

#[test]
fn an_alias_with_settings_is_an_instance_of_its_own() {
    over(loud, |(plugins, marks)| {
        let folder = plugins.path().display().to_string();
        let text = format!(
            "provider-path = [{folder:?}]\n[provider.loud]\n[alias]\nsame = \"loud\"\nown = {{ provider = \"loud\", settings = {{}} }}\n"
        );
        let registry = Registry::new(Configuration::parse(&text).unwrap());
        for descriptor in ["loud:", "same:", "SAME:", "own:", "own:", "loud:"] {
            open(&registry, descriptor);
        }
        assert_eq!(fs::read_to_string(&marks).unwrap(), "Lss");
    });
}

#[test]
fn the_listing_shows_what_is_broken_beside_what_works() {
    over(loud, |(plugins, _)| {
        fs::write(plugins.file("broken"), "not a library").unwrap();
        fs::write(plugins.path().join("libother.so"), "not ours").unwrap();
        plugins.add("lying", "table", &["NAME=\"honest\""]);
        let listing = plugins.registry().providers(&Control::new());
        let shown: Vec<_> = listing.iter().map(|one| (one.name.as_str(), one.info.is_ok())).collect();
        assert_eq!(shown, [("broken", false), ("loud", true), ("lying", false), ("quiet", true)]);
        for one in listing {
            assert_eq!(one.path, one.info.is_ok().then(|| plugins.file(&one.name)));
            assert!(one.reason.contains("--provider-path"), "{}", one.reason);
            if let Err(error) = one.info {
                assert!(error.chain().contains(&format!("libzvfs_{}.so", one.name)), "{}", error.chain());
            }
        }
    });
}

/// Only SIGKILL ended a host of a library whose constructor never returns: neither cancel nor deadline reached the opener; then still
/// not who asked for its flags before an open, or listed it.
#[test]
fn a_library_that_never_comes_back_is_left_behind() {
    for (stays, object, doing) in [
        (1, "the library", "the library libzvfs_stuck.so for X: its constructors have not returned"),
        (2, "the library", "the library libzvfs_stuck.so for X: its entry zvfs_provider_v1 has not returned"),
        (3, "the start", "the start of provider `stuck` for X: its start has not returned"),
    ] {
        let plugins = Plugins::new();
        let mark = plugins.path().join("mark");
        plugins.add(
            "stuck",
            "stuck",
            &[&format!("MARK={:?}", mark.display().to_string()), &format!("IN={stays}")],
        );
        let mut host = Command::new(env!("CARGO_BIN_EXE_zvfs-faults-host"));
        host.arg("stuck").arg(plugins.path()).arg(&mark).arg(object);
        let output = run(host).unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
        let lines: Vec<&str> = text.lines().collect();
        let expected = [
            format!("open stuck:x: cancelled waiting for {doing}"),
            format!("open stuck:x: timed out waiting for {doing}"),
            // Flags need no start.
            if stays == 3 {
                "okX".to_owned()
            } else {
                format!("open stuck:x: timed out waiting for {doing}")
            },
            format!("{}timed out waiting for {doing}", if stays == 3 { "[provider.stuck]: " } else { "" }),
        ];
        assert_eq!(lines.len(), expected.len(), "{text}");
        for (line, expected) in lines.iter().zip(expected) {
            let (before, after) = expected.split_once('X').unwrap();
            assert!(line.starts_with(before) && line.ends_with(after), "{line}\nis not\n{expected}");
        }
    }
}

/// In a process it is not left behind: that ends with the last who waits.
#[test]
fn a_library_that_never_comes_back_ends_with_its_process() {
    bounded(|| {
        for stays in ["IN=1", "IN=2", "IN=3"] {
            let plugins = Plugins::new();
            let mark = plugins.path().join("mark");
            plugins.add("stuck", "stuck", &[&format!("MARK={:?}", mark.display().to_string()), stays]);
            let mut configuration = Configuration::closed();
            for folder in [plugins.path(), provider_process().with_file_name("")] {
                configuration.add_provider_path(folder).unwrap();
            }
            let may_lack = Wall::ALL.to_vec();
            let walls = Walls { write: vec![plugins.path()], may_lack, ..Walls::default() };
            configuration.place_in_process("stuck", walls).unwrap();
            let registry = Registry::new(configuration);
            // Another process each time.
            for _ in 0..2 {
                let control = Control::new();
                let how = OpenOptions::new(OpenFlags::READ).control(&control);
                thread::scope(|scope| {
                    let opener = scope.spawn(|| registry.open("stuck:x", &how).map(drop).unwrap_err());
                    wait_until(|| mark.exists());
                    assert!(runs("stuck"));
                    control.cancel();
                    assert_eq!(opener.join().unwrap().code(), Code::ECANCELED, "{stays}");
                });
                wait_until(|| !runs("stuck") && !is_loading());
                fs::remove_file(&mark).unwrap();
            }
        }
    });
}

fn wait_until(it_is_so: impl Fn() -> bool) {
    while !it_is_so() {
        thread::yield_now();
    }
}

/// Whether there is a process of a provider.
fn runs(provider: &str) -> bool {
    let wanted = format!("zvfs-provider\0{provider}\0");
    let processes =
        fs::read_dir("/proc").unwrap().filter_map(|entry| Some(entry.ok()?.path().join("cmdline")));
    processes.filter_map(|path| fs::read(path).ok()).any(|command| command == wanted.as_bytes())
}
