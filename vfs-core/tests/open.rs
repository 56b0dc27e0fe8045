//! The chokepoint around an open file: what is refused, remembered and bounded there, whatever the provider does.
#![cfg(feature = "host")]
#![allow(clippy::unwrap_used, reason = "clippy takes only the #[test] functions of this file for tests")]

#[path = "open/script.rs"]
mod script;

use script::{ALL, failure, open, opened, scripted};
use std::io::SeekFrom;
use std::ops::ControlFlow;
use std::os::fd::AsFd;
use std::time::{Duration, Instant, SystemTime};
use vfs_core::{
    COUNT_MAX, Capabilities, Code, Control, Direction, Error, File, Finish, Flush, OpenFile, OpenFlags,
    OpenOptions, Result, copy,
};

#[test]
fn what_a_file_does_not_claim_is_refused_without_asking_it() {
    let (script, mut file) = opened(Capabilities::CANCEL);
    let shown = file.shown().to_owned();
    for (code, verb, result) in [
        (Code::EBADF, "read", file.read(&mut [0; 4]).map(drop)),
        (Code::EBADF, "read", file.try_read(&mut [0; 4]).map(drop)),
        (Code::EBADF, "write", file.write(b"x").map(drop)),
        (Code::EBADF, "write", file.try_write(b"x").map(drop)),
        (Code::ESPIPE, "seek", file.seek(SeekFrom::Start(0)).map(drop)),
        (Code::ESPIPE, "tell", file.tell().map(drop)),
        (Code::ENOTSUP, "truncate", file.truncate(0)),
        (Code::ENOTSUP, "read_at", file.read_at(&mut [0; 4], 0).map(drop)),
        (Code::ENOTSUP, "write_at", file.write_at(b"x", 0).map(drop)),
        (Code::ENOTSUP, "stat", file.stat().map(drop)),
        (Code::ENOTSUP, "set_modified", file.set_modified(SystemTime::UNIX_EPOCH)),
        (Code::ENOTSUP, "lease", file.lease(Direction::Read).map(drop)),
        (Code::ENOTSUP, "advance", file.advance(Direction::Read, 1)),
    ] {
        let error = result.unwrap_err();
        assert_eq!(error.code(), code);
        assert!(error.to_string().starts_with(&format!("{verb} {shown}: ")), "{error}");
    }
    assert_eq!(script.asked(), Vec::<String>::new());
}

#[test]
fn a_file_that_cannot_do_what_was_asked_for_is_not_opened() {
    for (flags, claimed) in [
        (OpenFlags::READ, Capabilities::WRITABLE),
        (OpenFlags::WRITE, Capabilities::READABLE),
        (OpenFlags::READ | OpenFlags::WRITE, Capabilities::READABLE),
    ] {
        let (_, file) = open(claimed.bits(), &OpenOptions::new(flags));
        assert_eq!(file.unwrap_err().code(), Code::EBADF, "{flags:?}");
    }
}

#[test]
fn an_empty_buffer_asks_nobody_and_a_huge_one_is_cut() {
    let (script, mut file) = opened(Capabilities::from_bits(ALL));
    assert_eq!((file.read(&mut []).unwrap(), file.write(&[]).unwrap()), (0, 0));
    assert_eq!((file.read_at(&mut [], 0).unwrap(), file.write_at(&[], 0).unwrap()), (0, 0));
    assert_eq!(script.asked(), Vec::<String>::new());
    // Untouched pages of zeros: nothing reads them.
    let huge = vec![0; COUNT_MAX + 4096];
    script.answer([Ok(COUNT_MAX), Ok(4096)]);
    file.write_all(&huge).unwrap();
    assert_eq!(script.asked(), [format!("write {COUNT_MAX}"), "write 4096".to_owned()]);
}

#[test]
fn a_failed_write_stays_failed_and_reaches_commit() {
    let (script, mut file) = opened(Capabilities::from_bits(ALL));
    script.answer([Ok(3), failure(Code::ENOSPC)]);
    assert_eq!(file.write_all(b"five!").unwrap_err().code(), Code::ENOSPC);
    script.asked();
    for result in [
        file.write(b"x").map(drop),
        file.write_at(b"x", 0).map(drop),
        file.flush(Flush::Sync),
        // A stream that lacks bytes ended as if it were whole.
        file.finish(Finish::End),
        file.finish(Finish::Commit),
    ] {
        let error = result.unwrap_err();
        assert_eq!((error.code(), error.chain().as_str()), (Code::ENOSPC, "as told"));
    }
    assert_eq!(script.asked(), Vec::<String>::new(), "nobody was asked again");
    file.read(&mut [0; 4]).unwrap();
    file.finish(Finish::Discard).unwrap();
    assert_eq!(script.asked().len(), 2, "reading and discarding go on");
}

#[test]
fn a_write_that_timed_out_may_be_repeated() {
    let (script, mut file) = opened(Capabilities::from_bits(ALL));
    script.answer([failure(Code::ETIMEDOUT), Ok(4), Ok(0)]);
    assert_eq!(file.write(b"four").unwrap_err().code(), Code::ETIMEDOUT);
    assert_eq!(file.write(b"four").unwrap(), 4);
    file.finish(Finish::Commit).unwrap();
}

#[test]
fn a_discard_has_five_seconds_whatever_the_control_says_and_leaves_that_alone() {
    let control = Control::new();
    let (script, file) = open(ALL, &OpenOptions::default().control(&control));
    let mut file = file.unwrap();
    let (sibling_script, sibling) = open(ALL, &OpenOptions::default().control(&control));
    let mut sibling = sibling.unwrap();
    control.cancel();
    control.set_deadline(Some(Instant::now() - Duration::from_secs(1)));
    file.finish(Finish::Discard).unwrap();
    assert_eq!(script.asked(), ["finish Discard: Ok(()), 5 s"]);
    assert!(control.is_cancelled() && file.control().is_cancelled());
    assert_eq!(sibling.read(&mut [0; 4]).unwrap_err().code(), Code::ECANCELED);
    assert!(sibling_script.asked().is_empty());
}

/// A provider that never waits never looked: after a cancel it wrote and committed all the same.
#[test]
fn no_call_begins_that_the_control_has_ended() {
    for (end, code) in [
        (Control::cancel as fn(&Control), Code::ECANCELED),
        (|control| control.set_deadline(Some(Instant::now())), Code::ETIMEDOUT),
    ] {
        let control = Control::new();
        let (script, file) = open(0x1ff, &OpenOptions::default().control(&control));
        let mut file = file.unwrap();
        end(&control);
        let kernel = std::fs::File::open("/dev/null").unwrap();
        let mut calls = [
            file.read(&mut [0; 4]).map(drop),
            file.write(b"x").map(drop),
            file.write_all(b"x"),
            file.seek(SeekFrom::Start(0)).map(drop),
            file.tell().map(drop),
            file.truncate(0),
            file.flush(Flush::Push),
            file.read_at(&mut [0; 4], 0).map(drop),
            file.write_at(b"x", 0).map(drop),
            file.stat().map(drop),
            file.lease(Direction::Read).map(drop),
            file.send_from(kernel.as_fd(), 0, 1).map(drop),
            file.receive_into(kernel.as_fd(), 0, 1).map(drop),
            file.finish(Finish::End),
            file.finish(Finish::Commit),
        ];
        assert!(
            calls.iter_mut().all(|result| result.as_ref().is_err_and(|error| error.code() == code)),
            "{calls:?}"
        );
        assert!(script.asked().is_empty(), "a provider was asked");
        // No call was made, so none has failed: lifted, all goes on.
        control.lift();
        control.set_deadline(None);
        script.answer([Ok(1)]);
        assert_eq!(file.write(b"x").unwrap(), 1);
        file.finish(Finish::Commit).unwrap();
    }
}

#[test]
fn a_result_that_came_is_given_however_late() {
    let control = Control::new();
    let (script, file) = open(ALL, &OpenOptions::default().control(&control));
    let mut file = file.unwrap();
    script.at_the_next_call(&control);
    file.finish(Finish::Commit).unwrap();
    assert!(control.is_cancelled());
    file.finish(Finish::Commit).expect("the first one's answer, which no cancel changes");
}

/// A provider without CANCEL took 3 s over an open that was cancelled after 0.3 s, and the file was handed out.
#[test]
fn an_open_that_ends_after_its_control_is_dropped() {
    let (script, registry) = scripted();
    let control = Control::new();
    let how = OpenOptions::new(OpenFlags::WRITE | OpenFlags::CREATE | OpenFlags::TRUNCATE).control(&control);
    script.at_the_next_call(&control);
    let error = registry.open(&format!("script:{ALL}"), &how).unwrap_err();
    assert_eq!(error.code(), Code::ECANCELED);
    assert_eq!(error.chain(), "open script:255: what CREATE, TRUNCATE did stays: cancelled");
    assert_eq!(script.asked(), ["close"]);
}

#[test]
fn a_list_ends_between_two_entries() {
    let (_, registry) = scripted();
    let control = Control::new();
    let mut seen = 0;
    let listed = registry.list("script:511", &OpenOptions::default().control(&control), &mut |_| {
        seen += 1;
        control.cancel();
        ControlFlow::Continue(())
    });
    assert_eq!((listed.unwrap_err().code(), seen), (Code::ECANCELED, 1));
}

#[test]
fn a_list_without_end_ends() {
    let (_, registry) = scripted();
    let mut seen = 0;
    let listed = registry.list("script:endless", &OpenOptions::default(), &mut |entry| {
        seen += entry.name.len();
        ControlFlow::Continue(())
    });
    let error = listed.unwrap_err();
    assert_eq!(error.code(), Code::EOVERFLOW);
    assert_eq!(error.chain(), "list script:endless: more than 256 MiB of names: list a folder with fewer");
    assert!(seen > 255 << 20 && seen <= 256 << 20, "{seen}");
}

#[test]
fn a_cancelled_or_late_open_asks_nobody() {
    let control = Control::new();
    control.cancel();
    let (_, file) = open(ALL, &OpenOptions::default().control(&control));
    assert_eq!(file.unwrap_err().code(), Code::ECANCELED);
    control.lift();
    control.set_deadline(Some(Instant::now()));
    let (_, file) = open(ALL, &OpenOptions::default().control(&control));
    assert_eq!(file.unwrap_err().code(), Code::ETIMEDOUT);
}

/// Such a call said "timed out" and nothing else.
#[test]
fn a_call_that_its_control_has_ended_says_what_it_was() {
    let (script, mut file) = opened(Capabilities::from_bits(ALL));
    let shown = file.shown().to_owned();
    for (code, why) in [(Code::ECANCELED, "cancelled"), (Code::ETIMEDOUT, "timed out")] {
        match code {
            Code::ECANCELED => file.control().cancel(),
            _ => file.control().set_deadline(Some(Instant::now())),
        }
        for (verb, result) in [
            ("read", file.read(&mut [0; 4]).map(drop)),
            ("write", file.write(b"x").map(drop)),
            ("seek", file.seek(SeekFrom::Start(0)).map(drop)),
            ("truncate", file.truncate(0)),
            ("flush", file.flush(Flush::Push)),
            ("end", file.finish(Finish::End)),
            ("commit", file.finish(Finish::Commit)),
        ] {
            let error = result.unwrap_err();
            assert_eq!((error.code(), error.chain()), (code, format!("{verb} {shown}: {why}")));
        }
        file.control().lift();
    }
    assert_eq!(script.asked(), Vec::<String>::new());
}

/// A COMMIT failed with EEXIST and a second one returned 0; a write after it went through.
#[test]
fn what_follows_a_finish_is_the_same_for_every_provider() {
    type F = Finish;
    let done = || Ok(0);
    let failed = || failure(Code::EEXIST);
    let late = || failure(Code::ETIMEDOUT);
    const OK: Result<(), Code> = Ok(());
    const FAILED: Result<(), Code> = Err(Code::EEXIST);
    const INVALID: Result<(), Code> = Err(Code::EINVAL);
    // What was finished, with the provider's answers; then the result of a further END, COMMIT and DISCARD.
    type Finished<'a> = &'a [(F, Result<usize>)];
    let cases: [(Finished<'_>, [Result<(), Code>; 3]); 8] = [
        (&[(F::End, done())], [OK, OK, OK]),
        (&[(F::Commit, done())], [OK, OK, INVALID]),
        (&[(F::Commit, failed())], [FAILED, FAILED, OK]),
        (&[(F::Commit, late())], [OK, OK, OK]),
        (&[(F::End, done()), (F::Commit, failed())], [FAILED, FAILED, OK]),
        (&[(F::Discard, done())], [INVALID, INVALID, OK]),
        (&[(F::Discard, failed())], [INVALID, INVALID, FAILED]),
        (&[(F::Commit, late()), (F::Commit, late())], [OK, OK, OK]),
    ];
    for (finished, then) in cases {
        for (next, expected) in [F::End, F::Commit, F::Discard].into_iter().zip(then) {
            let (script, file) = open(0x9ff, &OpenOptions::default());
            let mut file = file.unwrap();
            for (how, answer) in finished {
                script.answer([answer.as_ref().map(|count| *count).map_err(Error::flattened)]);
                let _ = file.finish(*how);
            }
            script.asked();
            let kernel = std::fs::File::open("/dev/null").unwrap();
            let writes = [
                file.write(b"x").map(drop),
                file.write_at(b"x", 0).map(drop),
                file.truncate(0),
                file.set_modified(SystemTime::UNIX_EPOCH),
                file.lease(Direction::Write).map(drop),
                file.send_from(kernel.as_fd(), 0, 1).map(drop),
            ];
            assert!(
                writes.iter().all(|result| result.as_ref().is_err_and(|error| error.code() == Code::EBADF)),
                "{finished:?}: {writes:?}"
            );
            assert!(script.asked().is_empty());
            let result = file.finish(next).map_err(|error| error.code());
            assert_eq!(result, expected, "{next:?} after {finished:?}");
            file.read(&mut [0; 4]).expect("reading goes on");
        }
    }
}

#[test]
fn a_time_is_set_of_what_is_written_and_only_one_that_the_abi_has_a_number_for() {
    let (some, beyond) = (Duration::from_secs(1 << 30), Duration::from_secs(1 << 34));
    let (script, mut file) = opened(Capabilities::from_bits(ALL) | Capabilities::TIMES);
    file.set_modified(SystemTime::UNIX_EPOCH + some).unwrap();
    assert_eq!(script.asked(), ["set_modified 1073741824s"]);
    // A refusal stops nothing.
    script.answer([failure(Code::ENOTSUP)]);
    assert_eq!(file.set_modified(SystemTime::UNIX_EPOCH).unwrap_err().code(), Code::ENOTSUP);
    script.asked();
    for time in [SystemTime::UNIX_EPOCH + beyond, SystemTime::UNIX_EPOCH - beyond] {
        assert_eq!(file.set_modified(time).unwrap_err().code(), Code::EOVERFLOW);
    }
    assert_eq!(script.asked(), Vec::<String>::new());
    script.answer([Ok(1), Ok(0)]);
    assert_eq!(file.write(b"x").unwrap(), 1);
    file.finish(Finish::Commit).unwrap();
    // Of a reader nothing is set, whatever it claims.
    let (script, mut file) = opened(Capabilities::READABLE | Capabilities::TIMES);
    assert_eq!(file.set_modified(SystemTime::UNIX_EPOCH).unwrap_err().code(), Code::ENOTSUP);
    assert_eq!(script.asked(), Vec::<String>::new());
    // Of a name.
    let (_, registry) = scripted();
    let how = OpenOptions::default();
    let refused = |time| registry.set_modified("script:0", &how, time).unwrap_err().code();
    assert_eq!(refused(SystemTime::UNIX_EPOCH + beyond), Code::EOVERFLOW);
    assert_eq!(refused(SystemTime::UNIX_EPOCH), Code::ENOTSUP);
}

#[test]
fn std_traits_pass_through_and_keep_the_code() {
    let (script, mut file) = opened(Capabilities::from_bits(ALL));
    script.answer([Ok(2), Ok(1), Ok(9), Ok(0), failure(Code::EDQUOT)]);
    let file: &mut OpenFile = &mut file;
    assert_eq!(std::io::Read::read(file, &mut [0; 4]).unwrap(), 2);
    assert_eq!(std::io::Write::write(file, b"abc").unwrap(), 1);
    assert_eq!(std::io::Seek::seek(file, SeekFrom::End(-1)).unwrap(), 9);
    std::io::Write::flush(file).unwrap();
    let error = std::io::Write::write(file, b"abc").unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::QuotaExceeded);
    assert_eq!(Error::from(error).code(), Code::EDQUOT);
    assert_eq!(script.asked(), ["read 4", "write 3", "seek End(-1)", "flush Push", "write 3"]);
}

#[test]
fn a_copy_takes_short_counts_and_stops_at_its_limit() {
    let readable = Capabilities::READABLE;
    let (from, mut source) = opened(readable);
    let (to, mut target) = opened(Capabilities::WRITABLE);
    from.answer([Ok(7), Ok(3), Ok(0)]);
    to.answer([Ok(2), Ok(5), Ok(3)]);
    let mut progress = Vec::new();
    assert_eq!(copy(&mut source, &mut target, None, &mut |total| progress.push(total)).unwrap(), 10);
    assert_eq!(progress, [7, 10]);
    assert_eq!(to.asked(), ["write 7", "write 5", "write 3"]);

    from.asked();
    from.answer([Ok(4), Ok(1)]);
    to.answer([Ok(4), Ok(1)]);
    assert_eq!(copy(&mut source, &mut target, Some(5), &mut |_| ()).unwrap(), 5);
    assert_eq!(from.asked(), ["read 5", "read 1"], "it asks for no byte beyond the limit");

    from.answer([Ok(4), failure(Code::ECONNRESET)]);
    to.answer([Ok(4)]);
    assert_eq!(copy(&mut source, &mut target, None, &mut |_| ()).unwrap_err().code(), Code::ECONNRESET);
    from.answer([Ok(4)]);
    to.answer([failure(Code::ENOSPC)]);
    assert_eq!(copy(&mut source, &mut target, None, &mut |_| ()).unwrap_err().code(), Code::ENOSPC);
    assert_eq!(target.finish(Finish::Commit).unwrap_err().code(), Code::ENOSPC);
}

/// A file of the host's own that gives an endless row of one byte.
struct Endless;

impl File for Endless {
    fn capabilities(&self) -> Capabilities {
        Capabilities::READABLE
    }

    fn read(&mut self, buf: &mut [u8]) -> Result<usize> {
        buf.fill(b'x');
        Ok(buf.len())
    }
}

#[test]
fn a_file_of_the_hosts_own_is_held_to_what_any_file_is() {
    let control = Control::new();
    let open =
        |flags| OpenFile::own("mine", &OpenOptions::new(flags).control(&control), |_| Box::new(Endless));
    let mut file = open(OpenFlags::READ | OpenFlags::SEQUENTIAL).unwrap();
    let mut bytes = [0; 3];
    assert_eq!(file.read(&mut bytes).unwrap(), 3);
    assert_eq!((file.shown(), bytes), ("mine", *b"xxx"));
    assert_eq!(file.write(b"x").unwrap_err().code(), Code::EBADF);
    for (flags, code) in
        [(OpenFlags::WRITE, Code::EBADF), (OpenFlags::READ | OpenFlags::APPEND, Code::ENOTSUP)]
    {
        assert_eq!(open(flags).unwrap_err().code(), code);
    }
    control.cancel();
    assert_eq!(file.read(&mut bytes).unwrap_err().code(), Code::ECANCELED);
    let made = OpenFile::own("mine", &OpenOptions::new(OpenFlags::READ).control(&control), |_| {
        unreachable!("it is not made once the control has ended")
    });
    assert_eq!(made.unwrap_err().code(), Code::ECANCELED);
}
