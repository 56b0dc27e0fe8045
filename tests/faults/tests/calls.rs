//! Calls that break the rules: counts that cannot be, codes that are none, errors without a text, cancels ignored.

use std::io::{SeekFrom, Write as _};
use std::ops::ControlFlow;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};
use vfs_core::{
    Capabilities, Code, Configuration, Control, Direction, Error, Finish, Flush, Host, Kind, Name, OpenFile,
    OpenFlags, OpenOptions, Registry, Stat,
};
use zvfs_faults::{Plugins, over};
use zvfs_test_support::{bounded, fifo, run};

type Call = fn(&mut OpenFile) -> Result<(), Error>;

const READ: Call = |file| file.read(&mut [0; 8]).map(drop);
const WRITE: Call = |file| file.write(b"12345678").map(drop);
const READ_AT: Call = |file| file.read_at(&mut [0; 8], 0).map(drop);
const WRITE_AT: Call = |file| file.write_at(b"12345678", 0).map(drop);
const TELL: Call = |file| file.tell().map(drop);

fn plugins() -> (Plugins, Registry) {
    let plugins = Plugins::new();
    plugins.add("behave", "behave", &[]);
    let registry = plugins.registry();
    (plugins, registry)
}

fn both() -> OpenOptions {
    OpenOptions::new(OpenFlags::READ | OpenFlags::WRITE)
}

fn open(registry: &Registry, what: &str) -> Result<OpenFile, Error> {
    registry.open(&format!("behave:{what}"), &both())
}

#[test]
fn a_count_larger_than_asked_is_eio_and_poisons_the_file() {
    over(plugins, |(_plugins, registry)| {
        for (what, call, words) in [
            ("read-more", READ, "9 bytes where 8"),
            ("read-more", READ_AT, "9 bytes where 8"),
            ("write-more", WRITE, "9 bytes where 8"),
            ("write-more", WRITE_AT, "9 bytes where 8"),
            ("write=0", WRITE, "took nothing"),
            ("write=0", WRITE_AT, "took nothing"),
            ("read=0x7fffffffffffffff", READ, "where 8"),
            ("write=0x7fffffffffffffff", WRITE, "where 8"),
        ] {
            let mut file = open(&registry, what).unwrap();
            TELL(&mut file).unwrap();
            let error = call(&mut file).unwrap_err();
            assert_eq!(error.code(), Code::EIO, "{what}");
            assert!(
                error.chain().contains("broke a rule") && error.chain().contains(words),
                "{}",
                error.chain()
            );
            assert_eq!(TELL(&mut file).unwrap_err().code(), Code::EIO, "{what} poisons");
            TELL(&mut open(&registry, what).unwrap()).unwrap();
        }
    });
}

#[test]
fn what_is_no_code_becomes_eio() {
    over(plugins, |(_plugins, registry)| {
        let i64_min = i64::MIN.to_string();
        for number in [i64_min.as_str(), "-65536", "-70000", "-4", "-11"] {
            for (verb, call) in [("read", READ), ("write", WRITE), ("tell", TELL)] {
                let mut file = open(&registry, &format!("{verb}={number}")).unwrap();
                assert_eq!(call(&mut file).unwrap_err().code(), Code::EIO, "{verb}={number}");
            }
        }
        // EINTR and EAGAIN are said to be what they are: an author finds the reason.
        for (number, name) in [(-4, "EINTR"), (-11, "EAGAIN")] {
            let error = READ(&mut open(&registry, &format!("read={number}")).unwrap()).unwrap_err();
            assert!(
                error.to_string().contains("broke a rule") && error.to_string().contains(name),
                "{error}"
            );
        }
        // Any other number of Linux's, and those reserved for what Linux lacks, pass as they are.
        for number in [-1, -133, -4096, -65535] {
            let error = READ(&mut open(&registry, &format!("read={number}")).unwrap()).unwrap_err();
            assert_eq!(error.code(), Code::from_raw(-number), "{number}");
            assert!(!error.to_string().is_empty());
        }
    });
}

#[test]
fn a_positive_code_is_no_success() {
    over(plugins, |(_plugins, registry)| {
        let calls: [(&str, Call); 7] = [
            ("truncate", |file| file.truncate(1)),
            ("flush", |file| file.flush(Flush::Sync)),
            ("finish", |file| file.finish(Finish::Commit)),
            ("stat", |file| file.stat().map(drop)),
            ("lease", |file| file.lease(Direction::Read).map(drop)),
            ("advance", |file| file.advance(Direction::Write, 1)),
            ("seek", |file| file.seek(SeekFrom::Start(7)).map(drop)),
        ];
        for (verb, call) in calls {
            call(&mut open(&registry, "nothing odd").unwrap()).unwrap();
            if verb != "seek" {
                let error = call(&mut open(&registry, &format!("{verb}=28")).unwrap()).unwrap_err();
                assert_eq!(error.code(), Code::EIO, "{verb}");
                assert!(error.chain().contains("returned 28"), "{}", error.chain());
            }
            let error = call(&mut open(&registry, &format!("{verb}=-28")).unwrap()).unwrap_err();
            assert_eq!(error.code(), Code::ENOSPC, "{verb}");
        }
        let error = open(&registry, "open=2").unwrap_err();
        assert!(error.code() == Code::EIO && error.chain().contains("returned 2 "), "{}", error.chain());
    });
}

#[test]
fn success_without_an_object_is_eio() {
    over(plugins, |(plugins, registry)| {
        let error = open(&registry, "null-file").unwrap_err();
        assert!(
            error.code() == Code::EIO && error.chain().contains("open succeeded without a file"),
            "{error:?}"
        );

        for (start, code, words) in [
            ("null", Code::EIO, "start succeeded without an instance"),
            ("positive", Code::EIO, "returned 2 "),
            ("fail", Code::ENOENT, "no key file"),
        ] {
            let error = configured(&plugins.path(), start).open("behave:x", &both()).unwrap_err();
            assert_eq!(error.code(), code, "{start}");
            assert!(error.chain().contains(words) && error.chain().contains("behave"), "{}", error.chain());
        }
    });
}

#[test]
fn a_cancel_runs_nothing_that_a_failed_open_left() {
    over(plugins, |(_plugins, registry)| {
        let control = Control::new();
        registry.open("behave:null-file-listening", &both().control(&control)).unwrap_err();
        control.cancel();
        let mut count = [0; 4];
        open(&registry, "cancels").unwrap().read(&mut count).unwrap();
        assert_eq!(count, [0; 4], "the function of an open that failed has run");
    });
}

#[test]
fn every_error_has_a_text_that_a_person_can_read() {
    over(plugins, |(_plugins, registry)| {
        let long = "x".repeat(1000);
        for (what, code, words) in [
            ("no-text", Code::ENOENT, "no such file"),
            ("unterminated", Code::ENOENT, long.as_str()),
            ("not-utf8", Code::ENOENT, "caf\u{fffd} au lait"),
            ("control", Code::ENOENT, "a b [2J c"),
            ("two-codes", Code::ENOENT, "the text's code"),
            ("huge-error-size", Code::ENOENT, "sizes do not matter"),
            ("retryable", Code::EBUSY, "later"),
        ] {
            // First a long text, so that what it leaves behind would be seen.
            open(&registry, "unterminated").unwrap_err();
            let error = open(&registry, what).unwrap_err();
            assert_eq!((error.code(), error.is_retryable()), (code, what == "retryable"), "{what}");
            assert_eq!(error.chain(), format!("open behave:{what}: {words}"));
        }
        open(&registry, "unterminated").unwrap_err();
        let error = READ(&mut open(&registry, "read=-32").unwrap()).unwrap_err();
        assert_eq!(error.chain(), "the reader closed", "an earlier call's text is not this one's");
    });
}

#[test]
fn an_odd_stat_or_lease_is_made_sense_of_or_refused() {
    over(plugins, |(_plugins, registry)| {
        let stat: Stat = open(&registry, "odd-stat").unwrap().stat().unwrap();
        assert_eq!((stat.kind, stat.size), (Kind::Unknown, Some(u64::MAX - 1)));
        assert!(stat.version.chars().all(|character| character == '\u{fffd}'));

        let mut file = open(&registry, "fd=-1").unwrap();
        let error = file.lease(Direction::Read).unwrap_err();
        assert!(error.code() == Code::EIO && error.chain().contains("below 0"), "{error:?}");
    });
}

#[test]
fn a_listing_leaves_out_what_is_no_name_and_says_so_and_stops_when_told() {
    over(plugins, |(plugins, _)| {
        let (tell, told) = channel();
        let host = Host::logging("test", "1", move |_, text| tell.send(text.to_owned()).unwrap());
        let registry = Registry::with_host(Configuration::with_provider_path([plugins.path()]), host);
        let listed = |until: usize| {
            let mut names = Vec::new();
            let result = registry.list("behave:x", &OpenOptions::default(), &mut |entry| {
                names.push(entry.name.to_owned());
                if names.len() == until { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
            });
            result.map(|()| names).unwrap()
        };
        assert_eq!(listed(usize::MAX), ["good", "also"]);
        let left_out = |text: String| text.starts_with("list behave:x: left out 7 of its entries");
        assert!(told.try_iter().any(left_out));
        assert_eq!(listed(1), ["good"], "the provider goes on, but nobody listens");
        let mut names = Vec::new();
        let each = &mut |name: Name<'_>| {
            names.push(name.bytes.to_owned());
            ControlFlow::Continue(())
        };
        registry.names("behave:", &OpenOptions::default(), each).unwrap();
        assert_eq!(names, [&b"good"[..], b"\xff", b"also"]);
        assert_eq!(registry.remove("behave:", &OpenOptions::default()).unwrap_err().code(), Code::ENOTSUP);
    });
}

#[test]
fn a_panic_of_the_host_goes_round_the_provider() {
    over(plugins, |(_plugins, registry)| {
        let listing = AssertUnwindSafe(|| {
            registry.list("behave:", &OpenOptions::default(), &mut |_| panic!("the host's own"))
        });
        let panic = catch_unwind(listing).unwrap_err();
        assert_eq!(panic.downcast_ref::<&str>(), Some(&"the host's own"));
        READ(&mut open(&registry, "x").unwrap()).unwrap();
    });
}

#[test]
fn a_call_deaf_to_its_cancel_holds_only_its_own_thread() {
    over(plugins, |(plugins, registry)| {
        let fifo = fifo(plugins.path().join("fifo"));
        let control = Control::new();
        let descriptor = format!("behave:stuck{}", fifo.display());
        let mut file = registry.open(&descriptor, &both().control(&control)).unwrap();
        assert!(!file.capabilities().contains(Capabilities::CANCEL));
        let (done, wait) = channel();
        let stuck = thread::spawn(move || {
            let mut byte = [0];
            let result = file.read(&mut byte).map(|count| (count, byte[0]));
            done.send(()).unwrap();
            result
        });
        // Opening returns once the other end is open: then the call is in the kernel.
        let mut writer = std::fs::File::options().write(true).open(&fifo).unwrap();
        control.cancel();
        control.set_deadline(Some(Instant::now()));
        assert_eq!(wait.recv_timeout(Duration::from_millis(200)), Err(RecvTimeoutError::Timeout));
        // It can be left behind: the host and the provider go on.
        READ(&mut open(&registry, "x").unwrap()).unwrap();
        writer.write_all(b"!").unwrap();
        assert_eq!(stuck.join().unwrap().unwrap(), (1, b'!'), "what it moved is reported all the same");
    });
}

#[test]
fn a_log_line_is_one_line_and_a_closed_stderr_harms_nobody() {
    let (plugins, _) = plugins();
    let config = plugins.path().join("zvfs.toml");
    std::fs::write(&config, configuration(&plugins.path(), "log")).unwrap();
    let host = || {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_zvfs-faults-host"));
        command.args(["open", "behave:x"]).env("ZVFS_CONFIG", &config);
        command
    };
    let output = run(host()).unwrap();
    assert!(output.status.success(), "{output:?}");
    assert_eq!(
        String::from_utf8(output.stderr).unwrap(),
        "zvfs: two lines and  [2Jan escape\nzvfs: \u{fffd} is not UTF-8\n"
    );

    // The reading end of its stderr is gone before it starts.
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let mut child = host().stderr(writer).stdout(std::process::Stdio::null()).spawn().unwrap();
    let status = bounded(move || child.wait().unwrap());
    assert!(status.success(), "{status:?}");
}

fn configured(folder: &Path, start: &str) -> Registry {
    Registry::new(Configuration::parse(&configuration(folder, start)).expect("a configuration"))
}

fn configuration(folder: &Path, start: &str) -> String {
    let folder = folder.display().to_string();
    format!("provider-path = [{folder:?}]\n[provider.behave]\nsettings = {{ start = {start:?} }}\n")
}
