//! Which processes have a file open to be written. The kernel tells of each close, of every process that shares an open file, but not
//! which is the last one; it shows in /proc what each process has open.

use crate::kcmp::is_same_file;
use rustix::param::clock_ticks_per_second;
use std::fs;

/// As many descriptors are looked at as a program may have open unless its limit is raised, four times.
const DESCRIPTORS_MAX: usize = 4096;
/// Which of a descriptor's flags say how it is open, and those of one that is only read.
const ACCESS: u32 = libc::O_ACCMODE.unsigned_abs();
const READS: u32 = libc::O_RDONLY.unsigned_abs();

/// A file, as programs see it.
#[derive(Clone, Copy, Debug)]
pub struct Sought {
    /// The number of its file system's device.
    pub device: (u32, u32),
    pub ino: u64,
}

impl Sought {
    /// How many times a process has it open to be written, at least as many as `enough` if there are so many: two descriptors that are
    /// one open file are counted once. `None` where that cannot be seen: a kernel before 5.14, another user's process without root's
    /// rights, more than one descriptor without kcmp(2).
    pub fn opened_by(self, process: u32, enough: usize) -> Option<usize> {
        let descriptors = self.descriptors(process)?;
        let mut distinct: Vec<u32> = Vec::new();
        for descriptor in descriptors {
            if distinct.len() >= enough {
                break;
            }
            let mut is_known = false;
            for known in &distinct {
                is_known |= is_same_file(process, *known, descriptor)?;
            }
            if !is_known {
                distinct.push(descriptor);
            }
        }
        Some(distinct.len())
    }

    /// A process that has it open to be written and was started after a moment, as one that inherited it was: the first one.
    pub fn inherited_since(self, moment: &Moment) -> Option<u32> {
        if last_process() == Some(moment.last_process) {
            return None;
        }
        let processes = fs::read_dir("/proc").ok()?.filter_map(|entry| {
            let process = entry.ok()?.file_name().to_str()?.parse().ok()?;
            let started = started(&fs::read_to_string(format!("/proc/{process}/stat")).ok()?)?;
            (started >= moment.ticks).then_some((started, process))
        });
        let mut since: Vec<(u64, u32)> = processes.collect();
        since.sort_unstable();
        let mut inheritors = since.into_iter().map(|(_, process)| process);
        inheritors.find(|process| self.descriptors(*process).is_some_and(|found| !found.is_empty()))
    }

    /// The descriptors of a process that lead to it and can be written by.
    fn descriptors(self, process: u32) -> Option<Vec<u32>> {
        let all = fs::read_dir(format!("/proc/{process}/fdinfo")).ok()?.take(DESCRIPTORS_MAX);
        let open: Vec<(u32, String)> = all
            .filter_map(|one| {
                let one = one.ok()?;
                let mount = mount_if_written(&fs::read_to_string(one.path()).ok()?, self.ino)?;
                Some((one.file_name().to_str()?.parse().ok()?, mount))
            })
            .collect();
        if open.is_empty() {
            return Some(Vec::new());
        }
        // What lies in a file system of its own is found without a question to that: it would be asked of this program.
        let table = fs::read_to_string(format!("/proc/{process}/mountinfo")).ok()?;
        let is_here = |mount: &str| is_of(&table, mount, self.device);
        Some(open.iter().filter(|(_, mount)| is_here(mount)).map(|(descriptor, _)| *descriptor).collect())
    }
}

/// A moment, to tell which processes were started after it.
#[derive(Debug)]
pub struct Moment {
    /// The kernel's ticks since it was started.
    ticks: u64,
    /// The process, or thread, that was started last.
    last_process: u64,
}

impl Moment {
    /// This one; `None`: the kernel does not say.
    pub fn now() -> Option<Moment> {
        let last_process = last_process()?;
        let uptime: f64 = fs::read_to_string("/proc/uptime").ok()?.split_whitespace().next()?.parse().ok()?;
        // In hundredths of a second, as a tick is nearly everywhere. One less, for what rounding does.
        let ticks = ((uptime * clock_ticks_per_second() as f64) as u64).saturating_sub(1);
        Some(Moment { ticks, last_process })
    }
}

fn last_process() -> Option<u64> {
    fs::read_to_string("/proc/loadavg").ok()?.split_whitespace().nth(4)?.parse().ok()
}

/// When a process was started, of its line in /proc.
fn started(stat: &str) -> Option<u64> {
    let (_, fields) = stat.rsplit_once(')')?;
    fields.split_whitespace().nth(19)?.parse().ok()
}

/// The number of the mount that a descriptor leads into, if it writes a file of this number.
fn mount_if_written(descriptor: &str, ino: u64) -> Option<String> {
    let value = |name: &str| descriptor.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
    let writes = u32::from_str_radix(value("flags:")?, 8).ok()? & ACCESS != READS;
    (writes && value("ino:")?.parse() == Ok(ino)).then(|| value("mnt_id:").map(str::to_owned))?
}

/// Whether a mount of this number, in a table of the kernel's, is of the file system with this device's number.
fn is_of(table: &str, mount: &str, (major, minor): (u32, u32)) -> bool {
    table.lines().any(|line| {
        let mut fields = line.split(' ');
        fields.next() == Some(mount) && fields.nth(1) == Some(format!("{major}:{minor}").as_str())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;
    use std::os::linux::fs::MetadataExt as _;
    use std::process::{Command, Stdio};

    fn sought(file: &File) -> Sought {
        let known = file.metadata().unwrap();
        let device = (rustix::fs::major(known.st_dev()), rustix::fs::minor(known.st_dev()));
        Sought { device, ino: known.st_ino() }
    }

    #[test]
    fn each_time_that_a_process_opened_a_file_to_write_it_is_seen() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let it = sought(file.as_file());
        let opened = |it: Sought| it.opened_by(std::process::id(), usize::MAX);
        assert_eq!(opened(it), Some(1), "{it:?}");
        assert_eq!(opened(Sought { ino: u64::MAX, ..it }), Some(0));
        assert_eq!(opened(Sought { device: (it.device.0, it.device.1 + 1), ..it }), Some(0));
        let copy = file.as_file().try_clone().unwrap();
        assert_eq!(opened(it), Some(1));
        let again = File::options().append(true).open(file.path()).unwrap();
        assert_eq!((opened(it), it.opened_by(std::process::id(), 1)), (Some(2), Some(1)));
        drop((copy, again));
        let path = file.into_temp_path();
        assert_eq!(opened(it), Some(0));
        let _read = File::open(&path).unwrap();
        assert_eq!((opened(it), it.opened_by(u32::MAX, 1)), (Some(0), None));
    }

    #[test]
    fn who_inherited_a_file_is_seen() {
        let before = Moment::now().unwrap();
        let file = tempfile::NamedTempFile::new().unwrap();
        let it = sought(file.as_file());
        let mut heir = Command::new("cat").stdin(Stdio::piped()).stdout(file.into_file()).spawn().unwrap();
        assert_eq!(it.inherited_since(&before), Some(heir.id()));
        drop(heir.stdin.take());
        heir.wait().unwrap();
        assert_eq!(it.inherited_since(&before), None);
    }
}
