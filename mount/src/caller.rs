//! Who waits for a call. The kernel says which thread that is. Its own word for a call that is to be interrupted does not come
//! through: the library for FUSE answers it with ENOSYS, after which the kernel sends no other. So the thread is looked at.

use std::fs;

/// Signals that end a program, or that it wants to end its call: SIGHUP, SIGINT, SIGQUIT, SIGKILL, SIGTERM.
const ENDS: u64 = bit(1) | bit(2) | bit(3) | bit(9) | bit(15);

const fn bit(signal: u32) -> u64 {
    1 << (signal - 1)
}

/// A thread that made a call, by the number that the kernel gives it.
#[derive(Clone, Copy, Debug)]
pub struct Caller(pub u32);

impl Caller {
    /// Whether the thread waits no longer: a signal waits for it that ends its call, or it is gone, and the kernel only read ahead for
    /// it. `false` where that cannot be seen, as from another namespace.
    pub fn is_leaving(self) -> bool {
        self.0 != 0 && self.status().is_none_or(|status| is_signalled(&status))
    }

    /// The process that the thread belongs to.
    pub fn process(self) -> Option<u32> {
        self.status()?.lines().find_map(|line| line.strip_prefix("Tgid:"))?.trim().parse().ok()
    }

    /// Whether it is a process that a signal ends: then it closes nothing of its own will.
    pub fn is_killed(self) -> bool {
        let stat = (self.0 != 0).then(|| fs::read_to_string(format!("/proc/{}/stat", self.0)).ok()).flatten();
        stat.is_some_and(|stat| is_killed(&stat))
    }

    fn status(self) -> Option<String> {
        // 0: the kernel's own call, or a process that cannot be seen from here.
        (self.0 != 0).then(|| fs::read_to_string(format!("/proc/{}/status", self.0)).ok()).flatten()
    }
}

fn is_signalled(status: &str) -> bool {
    let set = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name))?;
        u64::from_str_radix(line.trim(), 16).ok()
    };
    let signals = || Some((set("SigPnd:")? | set("ShdPnd:")?) & !set("SigBlk:")? & !set("SigIgn:")?);
    signals().is_some_and(|signals| signals & ENDS != 0)
}

/// What waitpid(2) would give of it is the last field: its lowest seven bits are the signal.
fn is_killed(stat: &str) -> bool {
    let fields = stat.rsplit_once(')').map(|(_, fields)| fields);
    let code = fields.and_then(|fields| fields.split_whitespace().nth(49)?.parse::<u32>().ok());
    code.is_some_and(|code| code & 0x7f != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signal_counts_that_waits_and_is_neither_blocked_nor_ignored() {
        let status = |own: u64, shared: u64, blocked: u64, ignored: u64| {
            format!(
                "Name:\tcat\nSigPnd:\t{own:016x}\nShdPnd:\t{shared:016x}\nSigBlk:\t{blocked:016x}\nSigIgn:\t{ignored:016x}\n"
            )
        };
        let (int, kill, child) = (bit(2), bit(9), bit(17));
        assert!(is_signalled(&status(kill, 0, 0, 0)) && is_signalled(&status(0, int, 0, 0)));
        assert!(!is_signalled(&status(0, 0, 0, 0)) && !is_signalled(&status(0, child, 0, 0)));
        assert!(!is_signalled(&status(0, int, int, 0)) && !is_signalled(&status(0, int, 0, int)));
        assert!(!is_signalled("") && !Caller(0).is_leaving() && !Caller(std::process::id()).is_leaving());
        assert!(Caller(u32::MAX).is_leaving());
    }

    #[test]
    fn who_exits_is_told_from_who_is_killed() {
        let stat = |code: u32| format!("12 (a ) b) S {} {code}\n", vec!["0"; 48].join(" "));
        assert!(is_killed(&stat(9)) && is_killed(&stat(0x80 | 11)));
        assert!(!is_killed(&stat(0)) && !is_killed(&stat(1 << 8)) && !is_killed(""));
        assert!(!Caller(std::process::id()).is_killed());
    }

    #[test]
    fn a_thread_belongs_to_its_process() {
        let thread =
            std::thread::spawn(|| Caller(rustix::thread::gettid().as_raw_nonzero().get() as u32).process());
        assert_eq!(thread.join().unwrap(), Some(std::process::id()));
    }
}
