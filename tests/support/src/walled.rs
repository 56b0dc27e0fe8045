//! Programs with a wall between them and this process.

use crate::skips::{have, skip};
use rustix::process::geteuid;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

/// A user who is nobody else here, and in no group.
pub const ANOTHER_USER: u32 = 65534;

/// A program, run by [another user](ANOTHER_USER). `harmless` is an argument with which it does nothing and succeeds. `None`: this
/// process cannot do that, which was said.
pub fn by_another_user(program: &Path, harmless: &str) -> Option<Command> {
    if !geteuid().is_root() {
        skip("only root can start a process of another user");
        return None;
    }
    let command = || {
        let mut command = Command::new(program);
        command.uid(ANOTHER_USER);
        command
    };
    if !command().arg(harmless).output().is_ok_and(|output| output.status.success()) {
        skip(format_args!("another user cannot execute {}", program.display()));
        return None;
    }
    Some(command())
}

/// A program that sees no process but its own, in a process namespace: this one sees it, and has no number there. `None`: this process
/// cannot do that, which was said.
pub fn in_a_process_namespace(program: &Path) -> Option<Command> {
    if !have(&["unshare"]) {
        return None;
    }
    let apart = |program: &Path| {
        let mut command = Command::new("unshare");
        command.args(["--pid", "--fork", "--kill-child"]).arg(program);
        command
    };
    if !apart(Path::new("true")).status().is_ok_and(|status| status.success()) {
        skip("this process cannot make a process namespace");
        return None;
    }
    Some(apart(program))
}

/// A program that finds nothing in /proc. `None`: this process cannot hide that, which was said.
pub fn without_proc(program: &Path) -> Option<Command> {
    if !have(&["unshare", "mount", "sh"]) {
        return None;
    }
    let hidden = |then: &str| {
        let mut command = Command::new("unshare");
        command.args(["-m", "sh", "-c", &format!("mount -t tmpfs none /proc && {then}"), "sh"]);
        command
    };
    if !hidden("! test -e /proc/self").status().is_ok_and(|status| status.success()) {
        skip("this process cannot hide /proc");
        return None;
    }
    let mut command = hidden("exec \"$@\"");
    command.arg(program);
    Some(command)
}
