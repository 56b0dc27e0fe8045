//! Threads, processes, and the kernel's less trodden parts.

use crate::{Case, Outcome, Setting, allowed, by_filter, by_landlock, call, raise, refused};
use std::fs;
use std::io;
use std::net::UdpSocket;
use std::process::Command;
use std::thread;
use vfs_core::Walls;

pub fn cases() -> Vec<Case> {
    vec![
        ("threads_are_made_and_are_inside_too", threads),
        ("no_process_and_no_program", programs),
        ("other_processes_are_left_alone", others),
        ("no_way_into_the_kernels_less_trodden_parts", kernel),
        ("nothing_is_shared_with_strangers", shared),
        ("newer_calls_are_unknown", newer),
    ]
}

fn threads(setting: &Setting) -> Outcome {
    raise(&Walls::default())?;
    let secret = setting.at("secret");
    let thread = allowed(
        "a thread",
        thread::Builder::new().spawn(move || {
            let opened = by_landlock("a file", fs::read(secret)).map_err(|error| error.to_string());
            opened
                .and(by_filter("a socket", UdpSocket::bind("127.0.0.1:0")).map_err(|error| error.to_string()))
        }),
    )?;
    Ok(thread.join().expect("no panic")?)
}

/// A call that would return twice.
fn twice(number: libc::c_long, flags: usize) -> io::Result<usize> {
    let process = call(number, [flags, 0, 0, 0, 0]);
    if matches!(process, Ok(0)) {
        // The other process, which must not be.
        std::process::exit(0);
    }
    process
}

fn programs(_: &Setting) -> Outcome {
    raise(&Walls::default())?;
    by_filter("clone", twice(libc::SYS_clone, libc::SIGCHLD as usize))?;
    by_filter("clone, as vfork", twice(libc::SYS_clone, (libc::CLONE_VFORK | libc::SIGCHLD) as usize))?;
    let thread = libc::CLONE_VM | libc::CLONE_SIGHAND | libc::CLONE_THREAD;
    by_filter("a thread with descriptors of its own", twice(libc::SYS_clone, thread as usize))?;
    let unshare = libc::CLOSE_RANGE_UNSHARE as usize;
    by_filter("the same, by close_range", call(libc::SYS_close_range, [900, 900, unshare]))?;
    allowed("closing", call(libc::SYS_close_range, [900, 900, 0]))?;
    refused("clone3", call(libc::SYS_clone3, [0, 0]), &[libc::ENOSYS])?;
    #[cfg(target_arch = "x86_64")]
    by_filter("fork", twice(libc::SYS_fork, 0))?;
    by_filter("as a library does it", Command::new("/bin/true").spawn())?;
    let path = c"/bin/true".as_ptr() as usize;
    by_filter("execve", call(libc::SYS_execve, [path, 0, 0]))?;
    by_filter("execveat", call(libc::SYS_execveat, [libc::AT_FDCWD as usize, path, 0, 0, 0]))
}

fn others(_: &Setting) -> Outcome {
    raise(&Walls::default())?;
    let (this, parent) = (std::process::id() as usize, std::os::unix::process::parent_id() as usize);
    allowed("a signal to itself", call(libc::SYS_kill, [this, 0]))?;
    allowed("the same, to a thread", call(libc::SYS_tgkill, [this, this, 0]))?;
    for process in [parent, 0, usize::MAX] {
        by_filter("kill", call(libc::SYS_kill, [process, 0]))?;
        by_filter("tgkill", call(libc::SYS_tgkill, [process, parent, 0]))?;
    }
    by_filter("tkill", call(libc::SYS_tkill, [parent, 0]))?;
    by_filter("pidfd_open", call(libc::SYS_pidfd_open, [parent, 0]))?;
    let owner = |command: usize| call(libc::SYS_fcntl, [2, command, parent]);
    by_filter("F_SETOWN", owner(libc::F_SETOWN as usize))?;
    by_filter("F_SETOWN_EX", owner(15))?;
    // FIOSETOWN, SIOCSPGRP, TIOCSTI
    for command in [0x8901, 0x8902, 0x5412] {
        by_filter("ioctl", call(libc::SYS_ioctl, [2, command, 0]))?;
    }
    by_filter("prlimit", call(libc::SYS_prlimit64, [parent, libc::RLIMIT_NOFILE as usize, 0, 0]))?;
    by_filter("affinity", call(libc::SYS_sched_setaffinity, [parent, 0, 0]))?;
    by_filter("priority", call(libc::SYS_setpriority, [0, parent, 19]))?;
    by_filter("priority of a user", call(libc::SYS_setpriority, [2, 0, 19]))?;
    allowed("its own priority", call(libc::SYS_setpriority, [0, 0, 19]))?;
    by_filter("ptrace", call(libc::SYS_ptrace, [libc::PTRACE_ATTACH as usize, parent, 0, 0]))?;
    by_filter("memory", call(libc::SYS_process_vm_readv, [parent, 0, 0, 0, 0, 0]))?;
    by_filter("memory", call(libc::SYS_process_vm_writev, [parent, 0, 0, 0, 0, 0]))?;
    by_filter("pidfd_getfd", call(libc::SYS_pidfd_getfd, [0, 0, 0]))?;
    by_filter("pidfd_send_signal", call(libc::SYS_pidfd_send_signal, [0, 0, 0, 0]))
}

fn kernel(_: &Setting) -> Outcome {
    raise(&Walls::default())?;
    for (what, number) in [
        ("unshare", libc::SYS_unshare),
        ("setns", libc::SYS_setns),
        ("mount", libc::SYS_mount),
        ("umount2", libc::SYS_umount2),
        ("fsopen", libc::SYS_fsopen),
        ("open_tree", libc::SYS_open_tree),
        ("chroot", libc::SYS_chroot),
        ("open_by_handle_at", libc::SYS_open_by_handle_at),
        ("bpf", libc::SYS_bpf),
        ("keyctl", libc::SYS_keyctl),
        ("add_key", libc::SYS_add_key),
        ("perf_event_open", libc::SYS_perf_event_open),
        ("userfaultfd", libc::SYS_userfaultfd),
        ("io_uring_setup", libc::SYS_io_uring_setup),
        ("io_uring_enter", libc::SYS_io_uring_enter),
        ("setuid", libc::SYS_setuid),
        ("setresgid", libc::SYS_setresgid),
    ] {
        by_filter(what, call(number, [0; 6]))?;
    }
    by_filter("a user namespace", call(libc::SYS_unshare, [libc::CLONE_NEWUSER as usize]))
}

fn shared(_: &Setting) -> Outcome {
    raise(&Walls::default())?;
    by_filter("shmget", call(libc::SYS_shmget, [0, 4096, 0o666 | libc::IPC_CREAT as usize]))?;
    by_filter("msgget", call(libc::SYS_msgget, [0, 0o666 | libc::IPC_CREAT as usize]))?;
    by_filter("semget", call(libc::SYS_semget, [0, 1, 0o666 | libc::IPC_CREAT as usize]))?;
    by_filter("mq_open", call(libc::SYS_mq_open, [c"x".as_ptr() as usize, libc::O_CREAT as usize, 0o666, 0]))
}

fn newer(_: &Setting) -> Outcome {
    raise(&Walls::default())?;
    // mount_setattr, landlock_create_ruleset, memfd_secret, fchmodat2, what does not exist yet, and less than none
    for number in [442, 444, 447, 452, 1000, -1] {
        refused("a newer call", call(number, [0; 6]), &[libc::ENOSYS])?;
    }
    #[cfg(target_arch = "x86_64")]
    for number in [libc::SYS_getpid, libc::SYS_socket, 512] {
        refused("of the x32 ABI", call(number | 0x4000_0000, [0; 6]), &[libc::ENOSYS])?;
    }
    Ok(())
}
