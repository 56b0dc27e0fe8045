//! A provider's promise about threads is kept for it: calls that must not overlap take turns.

use std::fs::File;
use std::io::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};
use vfs_core::{Code, Control, OpenFile, OpenFlags, OpenOptions, Registry};
use zvfs_faults::Plugins;
use zvfs_test_support::{bounded, fifo};

/// Long enough for the other call to come in if it may, in milliseconds.
const SERIAL: &str = "300";
/// A call waits so long for company that it must have: far more than a thread's start takes.
const PARALLEL: &str = "60000";

fn open(registry: &Registry, provider: &str, limit: &str) -> OpenFile {
    registry.open(&format!("{provider}:{limit}"), &OpenOptions::new(OpenFlags::READ)).expect("an open file")
}

/// Reads from both at the same time, and says whether the provider saw them overlap.
fn overlap(files: [OpenFile; 2]) -> bool {
    let readers = files.map(|mut file| {
        thread::spawn(move || {
            let mut byte = [0];
            assert_eq!(file.read(&mut byte).expect("a byte"), 1);
            byte[0] == 1
        })
    });
    // No short-circuit: both are to be joined.
    readers.map(|reader| reader.join().expect("a reader")).contains(&true)
}

fn plugins(threads: &str) -> Plugins {
    let plugins = Plugins::new();
    plugins.add("overlap", "overlap", &[&format!("THREADS={threads}")]);
    plugins
}

#[test]
fn independent_files_overlap() {
    bounded(|| {
        let plugins = plugins("ZVFS_THREADS_PER_FILE");
        let registry = plugins.registry();
        assert!(overlap([open(&registry, "overlap", PARALLEL), open(&registry, "overlap", PARALLEL)]));
    });
}

#[test]
fn per_instance_serialises_an_instances_files_and_no_others() {
    bounded(|| {
        let plugins = plugins("ZVFS_THREADS_PER_INSTANCE");
        let registry = plugins.registry();
        assert!(!overlap([open(&registry, "overlap", SERIAL), open(&registry, "overlap", SERIAL)]));
        // Another registry starts another instance of the same library.
        let other = plugins.registry();
        assert!(overlap([open(&registry, "overlap", PARALLEL), open(&other, "overlap", PARALLEL)]));
    });
}

#[test]
fn per_library_serialises_all_instances_of_all_registries() {
    bounded(|| {
        let plugins = plugins("ZVFS_THREADS_PER_LIBRARY");
        let registries = [plugins.registry(), plugins.registry()];
        assert!(!overlap([open(&registries[0], "overlap", SERIAL), open(&registries[0], "overlap", SERIAL)]));
        assert!(!overlap(registries.map(|registry| open(&registry, "overlap", SERIAL))));
    });
}

/// capabilities was once asked after open's turn was over.
#[test]
fn an_open_keeps_its_turn_until_its_capabilities_are_known() {
    bounded(|| {
        let plugins = plugins("ZVFS_THREADS_PER_LIBRARY");
        let registry = plugins.registry();
        let mut file = open(&registry, "overlap", "0");
        let stop = Arc::new(AtomicBool::new(false));
        let reader = thread::spawn({
            let stop = stop.clone();
            move || {
                let mut byte = [0];
                while !stop.load(Ordering::SeqCst) {
                    assert_eq!(file.read(&mut byte).expect("a byte"), 1);
                }
                file.read(&mut byte).expect("a byte");
                byte[0] == 1
            }
        });
        drop(open(&registry, "overlap", &format!("{SERIAL}c")));
        stop.store(true, Ordering::SeqCst);
        assert!(!reader.join().expect("a reader"));
    });
}

/// A close that got no turn was skipped, and the context freed that the provider still had.
#[test]
fn a_file_whose_close_gets_no_turn_keeps_its_context() {
    bounded(|| {
        let plugins = plugins("ZVFS_THREADS_PER_LIBRARY");
        let registry = plugins.registry();
        let (kept, mut stuck) = (open(&registry, "overlap", "0k"), open(&registry, "overlap", "7000s"));
        let mut third = open(&registry, "overlap", "0");
        let reader = thread::spawn(move || {
            let mut byte = [0];
            stuck.read(&mut byte).expect("a byte");
            byte[0] == 1
        });
        // The library is stuck once nobody else gets a turn.
        let mut gets_a_turn = || {
            third.control().set_deadline(Some(Instant::now() + Duration::from_millis(50)));
            third.read(&mut [0]).is_ok()
        };
        while gets_a_turn() {}
        drop(kept);
        // Takes what was freed: whoever still looks there meets this.
        let taken: Vec<Box<[u8; 32]>> = (0..1000).map(|_| Box::new([0xff; 32])).collect();
        assert!(!reader.is_finished(), "the close was to wait in vain, and for less than the read");
        assert!(reader.join().expect("a reader"), "the kept context answers");
        drop(taken);
    });
}

#[test]
fn an_unknown_promise_is_none() {
    bounded(|| {
        let plugins = plugins("3");
        let registries = [plugins.registry(), plugins.registry()];
        assert!(!overlap(registries.map(|registry| open(&registry, "overlap", SERIAL))));
    });
}

#[test]
fn who_waits_for_a_turn_can_be_cancelled() {
    bounded(|| {
        let plugins = Plugins::new();
        plugins.add("behave", "behave", &["THREADS=ZVFS_THREADS_PER_INSTANCE"]);
        let registry = plugins.registry();
        let fifo = fifo(plugins.path().join("fifo"));
        let mut stuck = open(&registry, "behave", &format!("stuck{}", fifo.display()));
        let controls = [Control::new(), Control::new()];
        let mut waiting = controls.each_ref().map(|control| {
            let how = OpenOptions::new(OpenFlags::READ).control(control);
            registry.open("behave:x", &how).unwrap()
        });
        let holder = thread::spawn(move || stuck.read(&mut [0]).unwrap());
        // Opening returns once the other end is open: then that call has its turn, and keeps it.
        let mut writer = File::options().write(true).open(&fifo).unwrap();

        controls[0].set_deadline(Some(Instant::now() + Duration::from_millis(100)));
        assert_eq!(waiting[0].read(&mut [0]).map_err(|error| error.code()), Err(Code::ETIMEDOUT));
        controls[1].cancel();
        assert_eq!(waiting[1].read(&mut [0]).map_err(|error| error.code()), Err(Code::ECANCELED));

        writer.write_all(b"!").unwrap();
        assert_eq!(holder.join().unwrap(), 1);
        controls[1].lift();
        assert_eq!(waiting[1].read(&mut [0]).unwrap(), 1, "its turn has come");
    });
}
