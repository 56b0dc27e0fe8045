//! The host's table as a plug-in in C uses and misuses it: status, deadline, cancel function, wait.

use std::fs::File;
use std::sync::mpsc::channel;
use std::thread;
use std::time::{Duration, Instant};
use vfs_core::{
    Code, Control, Descriptor, Library, OpenFile, OpenFlags, OpenOptions, Provider, Registry, Request,
    Result, Settings,
};
use zvfs_faults::{Plugins, over};
use zvfs_test_support::fifo;

/// The promise of CANCEL, with room for a busy machine.
const SOON: Duration = Duration::from_secs(5);

fn registry() -> (Plugins, Registry) {
    let plugins = Plugins::new();
    plugins.add("context", "context", &[]);
    let registry = plugins.registry();
    (plugins, registry)
}

fn open(registry: &Registry, what: &str, control: &Control) -> OpenFile {
    let how = OpenOptions::new(OpenFlags::READ).control(control);
    registry.open(&format!("context:{what}"), &how).expect(what)
}

/// A file of the plug-in without the host's chokepoint, which would not ask it once the control has ended.
fn bare(plugins: &Plugins, what: &str, control: &Control) -> Box<dyn vfs_core::File> {
    let library = Library::load(&plugins.file("context"), "context", None).expect("the library");
    let host = plugins.registry().host();
    let instance = library.start(host, Settings::none()).expect("an instance");
    let (descriptor, context) = (format!("context:{what}"), control.context());
    let descriptor = Descriptor::parse(&descriptor).expect("a descriptor");
    let request = Request::new(&context, "context", descriptor).with_flags(OpenFlags::READ);
    instance.open(&request).expect(what)
}

fn answer(read: impl FnOnce(&mut [u8]) -> Result<usize>) -> String {
    let mut buf = [0; 64];
    let count = read(&mut buf).expect("an answer");
    String::from_utf8_lossy(&buf[..count]).into_owned()
}

fn asked(registry: &Registry, what: &str) -> String {
    let mut file = open(registry, what, &Control::new());
    answer(|buf| file.read(buf))
}

#[test]
fn status_and_time_left_follow_the_control() {
    over(registry, |(plugins, _registry)| {
        let control = Control::new();
        let mut status = bare(&plugins, "status", &control);
        let mut left = bare(&plugins, "time-left", &control);
        assert_eq!((answer(|buf| status.read(buf)), answer(|buf| left.read(buf))), ("0".into(), "-1".into()));
        control.set_deadline(Some(Instant::now() + Duration::from_secs(1000)));
        let ns: u64 = answer(|buf| left.read(buf)).parse().unwrap();
        assert!((900_000_000_000..=1_000_000_000_000).contains(&ns), "{ns}");
        control.set_deadline(Some(Instant::now()));
        assert_eq!(
            (answer(|buf| status.read(buf)), answer(|buf| left.read(buf))),
            ("-110".into(), "0".into())
        );
        control.cancel();
        assert_eq!(answer(|buf| status.read(buf)), "-125", "a cancel outranks a deadline");
        control.lift();
        control.set_deadline(None);
        assert_eq!(answer(|buf| status.read(buf)), "0");
    });
}

#[test]
fn wait_is_poll_with_an_end() {
    over(registry, |(_plugins, registry)| {
        assert_eq!(asked(&registry, "wait"), "0 12");
        assert_eq!(asked(&registry, "wait-zero"), "0 0");
        assert_eq!(asked(&registry, "bad-fd"), "-9 0");
    });
}

#[test]
fn a_wait_ends_soon_after_a_cancel_or_the_deadline() {
    over(registry, |(_plugins, registry)| {
        let (control, late) = (Control::new(), Control::new());
        let (sending, sent) = channel();
        let waiters = [&control, &late].map(|control| {
            let mut file = open(&registry, "wait-forever", control);
            let sending = sending.clone();
            thread::spawn(move || {
                sending.send(()).unwrap();
                file.read(&mut [0; 8]).map_err(|error| error.code())
            })
        });
        for _ in 0..2 {
            sent.recv().unwrap();
        }
        let start = Instant::now();
        control.cancel();
        late.set_deadline(Some(start + Duration::from_millis(50)));
        let ended = waiters.map(|waiter| waiter.join().unwrap());
        assert_eq!(ended, [Err(Code::ECANCELED), Err(Code::ETIMEDOUT)]);
        assert!(start.elapsed() < SOON, "{:?}", start.elapsed());
    });
}

#[test]
fn an_open_in_progress_can_be_cancelled() {
    over(registry, |(plugins, registry)| {
        let fifo = fifo(plugins.path().join("fifo"));
        let control = Control::new();
        let opening = {
            let how = OpenOptions::new(OpenFlags::READ).control(&control);
            let descriptor = format!("context:wait-in-open{}", fifo.display());
            thread::spawn(move || registry.open(&descriptor, &how).map(drop))
        };
        // Opening returns once the plug-in has the other end.
        let _writer = File::options().write(true).open(&fifo).unwrap();
        control.cancel();
        let error = opening.join().unwrap().unwrap_err();
        assert_eq!(error.code(), Code::ECANCELED);
        assert!(error.chain().ends_with("waited in open"), "{}", error.chain());
    });
}

#[test]
fn the_cancel_function_is_one_and_runs_once() {
    over(registry, |(plugins, _registry)| {
        for (what, counts) in [("replaced", "0 1"), ("withdrawn", "0 0")] {
            let control = Control::new();
            let mut file = bare(&plugins, what, &control);
            control.cancel();
            control.cancel();
            assert_eq!(answer(|buf| file.read(buf)), counts, "{what}");
        }
        let control = Control::new();
        let mut file = bare(&plugins, "cancelled-already", &control);
        control.cancel();
        assert_eq!(answer(|buf| file.read(buf)), "-125 0", "refused, and not called");
    });
}

#[test]
fn no_cancel_function_runs_once_close_has_begun() {
    over(registry, |(plugins, registry)| {
        let control = Control::new();
        drop(bare(&plugins, "after-close", &control));
        control.cancel();
        assert_eq!(asked(&registry, "count-after-close"), "0");
        // It would have run before.
        let control = Control::new();
        let mut file = bare(&plugins, "after-close", &control);
        control.cancel();
        assert_eq!(answer(|buf| file.read(buf)), "1");
    });
}

#[test]
fn null_in_the_hosts_table_is_an_error_and_not_a_crash() {
    over(registry, |(_plugins, registry)| {
        assert_eq!(asked(&registry, "null"), "-22 1");
        assert_eq!(asked(&registry, "on-cancel-null"), "-22 -22");
    });
}

/// Found: whoever asked was told of a wait for ever that a provider had not taken back before its call returned.
#[test]
fn a_wait_that_is_not_taken_back_ends_with_its_call() {
    over(registry, |(_plugins, registry)| {
        let control = Control::new();
        let mut file = open(&registry, "forgets-a-wait", &control);
        assert_eq!(file.read(&mut [0; 8]).map_err(|error| error.code()), Ok(0));
        assert_eq!(control.waiting(), None);
        assert_eq!(file.read(&mut [0]).map_err(|error| error.code()), Err(Code::EIO));
        assert_eq!(control.waiting(), None);
    });
}

/// A stop said "stopped" and nothing else: neither which one it was nor what had been waited for.
#[test]
fn what_is_waited_for_is_told_while_it_lasts_and_in_the_error() {
    over(registry, |(_plugins, registry)| {
        for (end, word) in [
            (Control::cancel as fn(&Control), "cancelled"),
            (|control| control.set_deadline(Some(Instant::now())), "timed out"),
        ] {
            let control = Control::new();
            let mut file = open(&registry, "waits-for", &control);
            assert_eq!(control.waiting(), None);
            let reader = thread::spawn(move || file.read(&mut [0; 8]).unwrap_err());
            let waiting = loop {
                match control.waiting() {
                    Some(waiting) if waiting.refusal.is_some() => break waiting,
                    _ => thread::yield_now(),
                }
            };
            assert_eq!(waiting.object, "a tide");
            assert_eq!(waiting.refusal.as_deref(), Some("the moon is absent"));
            end(&control);
            let error = reader.join().unwrap().chain();
            assert!(error.starts_with(&format!("{word} waiting for a tide for ")), "{error}");
            assert!(error.ends_with("(last refusal: the moon is absent): read: stopped"), "{error}");
            assert_eq!(control.waiting(), None);
        }
    });
}
