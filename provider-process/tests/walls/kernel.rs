//! Kernels that lack a wall, and a process that comes too late. A filter of the test's own makes this kernel such a one.

use crate::{Case, Outcome, Setting, by_filter, by_landlock, raise};
use libc::c_long;
use seccompiler::{BpfProgram, SeccompAction, SeccompFilter, apply_filter};
use std::fs;
use std::net::{TcpListener, UdpSocket};
use std::sync::mpsc::channel;
use std::thread;
use vfs_core::{Code, Error, Wall, Walls};

pub fn cases() -> Vec<Case> {
    vec![
        ("walls_are_not_raised_around_one_thread_of_two", too_late),
        ("what_the_operator_names_must_be_there", absent),
        ("without_landlock_nothing_starts_unless_that_is_accepted", without_landlock),
        ("half_of_tcp_needs_landlock_too", without_landlock_for_tcp),
        ("without_seccomp_nothing_starts", without_seccomp),
        ("without_seccomp_the_other_walls_stand_if_that_is_accepted", accepted_without_seccomp),
    ]
}

fn too_late(_: &Setting) -> Outcome {
    let (end, ended) = channel::<()>();
    let thread = thread::spawn(move || ended.recv().is_err());
    let error = raise(&Walls::default()).expect_err("two threads");
    assert_eq!(
        (error.code(), error.chain().contains("2 threads")),
        (Code::EINVAL, true),
        "{}",
        error.chain()
    );
    drop(end);
    assert!(thread.join().expect("no panic"));
    Ok(())
}

fn absent(setting: &Setting) -> Outcome {
    let path = setting.at("absent");
    let error = raise(&Walls { write: vec![path.clone()], ..Walls::default() }).expect_err("nothing there");
    assert_eq!(error.code(), Code::EINVAL);
    assert!(error.chain().contains(&format!("may write {}", path.display())), "{}", error.chain());
    Ok(())
}

fn without_landlock(setting: &Setting) -> Outcome {
    hide(libc::SYS_landlock_create_ruleset)?;
    is_missing("landlock", raise(&Walls::default()));
    raise(&Walls { may_lack: vec![Wall::Landlock], ..Walls::default() })?;
    // What was accepted is open, and the other walls stand.
    assert_eq!(fs::read(setting.at("secret"))?, b"text");
    by_filter("udp", UdpSocket::bind("127.0.0.1:0"))
}

fn without_landlock_for_tcp(_: &Setting) -> Outcome {
    hide(libc::SYS_landlock_create_ruleset)?;
    let half = Walls { tcp_connect: true, may_lack: vec![Wall::Landlock], ..Walls::default() };
    is_missing("landlock-net", raise(&half));
    let accepted = Walls { may_lack: vec![Wall::Landlock, Wall::LandlockNet], ..half.clone() };
    raise(&accepted)?;
    Ok(())
}

fn without_seccomp(_: &Setting) -> Outcome {
    hide(libc::SYS_seccomp)?;
    is_missing("seccomp", raise(&Walls::default()));
    Ok(())
}

fn accepted_without_seccomp(setting: &Setting) -> Outcome {
    hide(libc::SYS_seccomp)?;
    raise(&Walls { may_lack: vec![Wall::Seccomp], ..Walls::default() })?;
    UdpSocket::bind("127.0.0.1:0")?;
    by_landlock("tcp", TcpListener::bind("127.0.0.1:0"))?;
    by_landlock("a file", fs::read(setting.at("secret")))
}

/// Makes this process's kernel one that does not know a call.
fn hide(number: c_long) -> Outcome {
    let rules = [(number, Vec::new())].into_iter().collect();
    let unknown = SeccompAction::Errno(libc::ENOSYS as u32);
    let filter =
        SeccompFilter::new(rules, SeccompAction::Allow, unknown, std::env::consts::ARCH.try_into()?)?;
    Ok(apply_filter(&BpfProgram::try_from(filter)?)?)
}

fn is_missing(wall: &str, raised: Result<(), Error>) {
    let error = raised.expect_err(wall);
    assert_eq!(error.code(), Code::ENOTSUP);
    let text = error.chain();
    assert!(text.contains(&format!("no wall `{wall}`")), "{text}");
    assert!(text.contains(&format!("may-lack = [\"{wall}\"]")), "{text}");
}
