//! The parent of a provider's process: a few dozen lines that run no code of the provider's. Its host learns from it how the process
//! ended, and has it killed.

use crate::serve;
use crate::system::{Given, fork, leave, reset_signals};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, WaitOptions, pidfd_open, pidfd_send_signal, setsid, waitpid};
use rustix::thread::set_name;
use std::io;
use std::os::fd::OwnedFd;
use std::process::ExitCode;
use vfs_core::process::wire::{FromSupervisor, ToSupervisor};
use vfs_core::process::{Heard, Socket};

/// How often it is seen that the process goes on without its host, and how many times: 5 s together. Waits are counted, not the
/// clock, which goes on while a process is stopped.
const PAUSE: Timespec = Timespec { tv_sec: 0, tv_nsec: 100_000_000 };
const PAUSES: u32 = 50;

/// Forks the provider's process and watches it to its end.
pub(crate) fn run(given: Given) -> ExitCode {
    let Given { control, supervisor, host } = given;
    reset_signals();
    // Kernels before 6.14 call a program that is run by its descriptor after that one's number.
    let _ = set_name(c"zvfs-provider");
    // A terminal's signals are the host's. It fails for who leads a group already, which no terminal's is then.
    let _ = setsid();
    match fork() {
        Ok(None) => {
            drop(supervisor);
            leave(serve::run(control.into(), &host))
        }
        Ok(Some(child)) => {
            drop(control);
            match watch(child, &Socket::from(supervisor), &host) {
                Ok(()) => ExitCode::SUCCESS,
                Err(_) => ExitCode::FAILURE,
            }
        }
        // The host sees both sockets end.
        Err(_) => ExitCode::FAILURE,
    }
}

fn watch(child: Pid, socket: &Socket, host: &OwnedFd) -> io::Result<()> {
    let process = pidfd_open(child, PidfdFlags::empty())?;
    // What ends the wait for the host's word, which is then not waited for any longer.
    let gone = loop {
        let mut polled = [&process, host].map(|fd| PollFd::new(fd, PollFlags::IN)).to_vec();
        polled.push(PollFd::new(socket, PollFlags::IN));
        let _ = poll(&mut polled, None); // EINTR only
        let came: Vec<bool> = polled.iter().map(|polled| !polled.revents().is_empty()).collect();
        match came[..] {
            [true, ..] => break false,
            // Before its end: the last that a host said may be Kill.
            [.., true] => match socket.hear() {
                Ok(Heard::Message(ToSupervisor::Kill, _)) => kill(&process)?,
                Ok(Heard::Nothing) => {}
                // A host that says anything else is none.
                Ok(Heard::End) | Err(_) => break true,
            },
            [_, true, _] => break true,
            _ => {}
        }
    };
    if gone {
        // The process has seen it, too, and stops.
        let ended = (0..PAUSES).any(|_| {
            poll(&mut [PollFd::new(&process, PollFlags::IN)], Some(&PAUSE)).is_ok_and(|ready| ready > 0)
        });
        if !ended {
            kill(&process)?;
        }
    }
    let Some((_, status)) = waitpid(Some(child), WaitOptions::empty())? else { return Ok(()) };
    // It may be that nobody hears it.
    let _ = socket.say(&FromSupervisor::Ended { status: status.as_raw() }, &[]);
    Ok(())
}

fn kill(process: &OwnedFd) -> io::Result<()> {
    Ok(pidfd_send_signal(process, Signal::KILL)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::pipe;
    use std::process::Command;

    /// Found: a host that had the process killed, and ended, left it 5 s.
    #[test]
    fn the_last_word_of_a_host_that_has_ended_counts() {
        let (ours, theirs) = Socket::pair().unwrap();
        let (host, _) = pipe().unwrap(); // readable: the other end is closed
        // It ends by itself before it would be killed for its host's end.
        let mut child = Command::new("sleep").arg("4").spawn().unwrap();
        ours.say(&ToSupervisor::Kill, &[]).unwrap();
        watch(Pid::from_child(&child), &theirs.into(), &host.into()).unwrap();
        let _ = child.wait(); // for clippy: `watch` has reaped it
        let Heard::Message(FromSupervisor::Ended { status }, _) = ours.hear().unwrap() else {
            panic!("nothing was said");
        };
        assert_eq!(status, libc::SIGKILL);
    }
}
