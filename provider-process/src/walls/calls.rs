//! Filters for system calls: they refuse what Landlock lets pass. What is refused returns EPERM, so that libraries go on without it.
//!
//! They look at numbers and not at what a pointer points to: no paths, no addresses.

use super::lacking;
use libc::{c_int, c_long};
use seccompiler::{
    BackendError, BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule, apply_filter, sock_filter,
};
use std::collections::BTreeMap;
use std::env::consts::ARCH;
use vfs_core::{Code, Error, Result, Wall, Walls};

/// Calls from this number on came with Linux 5.12 and later. They are refused as unknown ones, whatever they will be: some change
/// files' modes and mounts, and libraries know how to do without. Numbers of the x32 ABI are higher still.
const NEWER: u32 = 442;

/// What no provider needs: other programs and processes, namespaces, identities, attributes of files by their path, what is shared
/// with strangers, and parts of the kernel that have had many holes.
const NEVER: &[c_long] = &[
    libc::SYS_execve,
    libc::SYS_execveat,
    libc::SYS_ptrace,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_process_madvise,
    libc::SYS_kcmp,
    libc::SYS_pidfd_open,
    libc::SYS_pidfd_getfd,
    libc::SYS_pidfd_send_signal,
    libc::SYS_tkill,
    libc::SYS_move_pages,
    libc::SYS_migrate_pages,
    libc::SYS_unshare,
    libc::SYS_setns,
    libc::SYS_setuid,
    libc::SYS_setreuid,
    libc::SYS_setresuid,
    libc::SYS_setgid,
    libc::SYS_setregid,
    libc::SYS_setresgid,
    libc::SYS_setfsuid,
    libc::SYS_setfsgid,
    libc::SYS_setgroups,
    libc::SYS_capset,
    libc::SYS_fchmodat,
    libc::SYS_fchownat,
    libc::SYS_setxattr,
    libc::SYS_lsetxattr,
    libc::SYS_removexattr,
    libc::SYS_lremovexattr,
    libc::SYS_open_by_handle_at,
    libc::SYS_inotify_add_watch,
    libc::SYS_fanotify_init,
    libc::SYS_fanotify_mark,
    libc::SYS_mount,
    libc::SYS_umount2,
    libc::SYS_pivot_root,
    libc::SYS_chroot,
    libc::SYS_open_tree,
    libc::SYS_move_mount,
    libc::SYS_fsopen,
    libc::SYS_fsconfig,
    libc::SYS_fsmount,
    libc::SYS_fspick,
    libc::SYS_shmget,
    libc::SYS_shmat,
    libc::SYS_shmctl,
    libc::SYS_semget,
    libc::SYS_semop,
    libc::SYS_semtimedop,
    libc::SYS_semctl,
    libc::SYS_msgget,
    libc::SYS_msgsnd,
    libc::SYS_msgrcv,
    libc::SYS_msgctl,
    libc::SYS_mq_open,
    libc::SYS_mq_unlink,
    libc::SYS_keyctl,
    libc::SYS_add_key,
    libc::SYS_request_key,
    libc::SYS_bpf,
    libc::SYS_perf_event_open,
    libc::SYS_userfaultfd,
    libc::SYS_io_uring_setup,
    libc::SYS_io_uring_enter,
    libc::SYS_io_uring_register,
    libc::SYS_personality,
    libc::SYS_syslog,
    libc::SYS_kexec_load,
    libc::SYS_init_module,
    libc::SYS_finit_module,
    libc::SYS_delete_module,
];

/// The older forms of them, which newer machines do not have.
#[cfg(target_arch = "x86_64")]
const NEVER_HERE: &[c_long] = &[
    libc::SYS_fork,
    libc::SYS_vfork,
    libc::SYS_chmod,
    libc::SYS_chown,
    libc::SYS_lchown,
    libc::SYS_utime,
    libc::SYS_utimes,
    libc::SYS_futimesat,
    libc::SYS_iopl,
    libc::SYS_ioperm,
    libc::SYS_modify_ldt,
];
#[cfg(not(target_arch = "x86_64"))]
const NEVER_HERE: &[c_long] = &[];

/// Attributes of open files: who may write needs them for what is written. They cannot tell a file that may only be read.
const ATTRIBUTES: [c_long; 4] =
    [libc::SYS_fchmod, libc::SYS_fchown, libc::SYS_fsetxattr, libc::SYS_fremovexattr];

/// Commands of fcntl that send signals to others, or let them wait: the second is F_SETOWN_EX.
const FCNTL: [c_int; 4] = [libc::F_SETOWN, 15, libc::F_SETLEASE, libc::F_NOTIFY];
/// The commands of ioctl that there are. Others send signals, type into terminals, and change files that may only be read.
const IOCTL: [u32; 19] = [
    0x5401,      // TCGETS
    0x802c_542a, // TCGETS2
    0x5413,      // TIOCGWINSZ
    0x5411,      // TIOCOUTQ, SIOCOUTQ
    0x541b,      // FIONREAD, SIOCINQ
    FIONBIO,
    0x5450,      // FIONCLEX
    0x5451,      // FIOCLEX
    0x8905,      // SIOCATMARK
    0x8910,      // SIOCGIFNAME
    0x8912,      // SIOCGIFCONF
    0x8913,      // SIOCGIFFLAGS
    0x8915,      // SIOCGIFADDR
    0x891b,      // SIOCGIFNETMASK
    0x8921,      // SIOCGIFMTU
    0x8933,      // SIOCGIFINDEX
    0x4004_9409, // FICLONE
    0x4020_940d, // FICLONERANGE
    0x8008_6601, // FS_IOC_GETFLAGS
];
const FIONBIO: u32 = 0x5421;
/// Options of TCP that connect past Landlock: TCP_FASTOPEN, TCP_FASTOPEN_CONNECT, TCP_ULP.
const TCP_OPTIONS: [c_int; 3] = [23, 30, 31];

/// Opens an unnamed file, without the bits that make it a folder's.
const TMPFILE: c_int = libc::O_TMPFILE & !libc::O_DIRECTORY;
const SET_ID: [u32; 2] = [libc::S_ISUID, libc::S_ISGID];

/// Puts the filters up: for this thread, and those that it starts.
pub fn refuse(walls: &Walls) -> Result<()> {
    let wrong = |error: BackendError| Error::new(Code::EIO, format!("raise the wall `seccomp`: {error}"));
    for filter in [newer(), unknown(walls).map_err(wrong)?, refused(walls).map_err(wrong)?] {
        match apply_filter(&filter) {
            Ok(()) => {}
            Err(_) if walls.may_lack.contains(&Wall::Seccomp) => return Ok(()),
            Err(_) => return Err(lacking(Wall::Seccomp, "CONFIG_SECCOMP_FILTER")),
        }
    }
    Ok(())
}

/// What is not in the kernel, as far as this process can see.
fn unknown(walls: &Walls) -> Result<BpfProgram, BackendError> {
    let mut rules = Rules::default();
    // Its flags stand in memory. Without it, threads are made by clone.
    rules.never(&[libc::SYS_clone3]);
    if !walls.write.is_empty() {
        // The new file's mode stands in memory too.
        rules.never(&[libc::SYS_openat2]);
    }
    rules.filter(libc::ENOSYS)
}

/// `NEWER` and above.
fn newer() -> BpfProgram {
    let instruction = |code: u32, jt, jf, k| sock_filter { code: code as u16, jt, jf, k };
    vec![
        instruction(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0, 0, 0), // the number stands first
        instruction(libc::BPF_JMP | libc::BPF_JGE | libc::BPF_K, 0, 1, NEWER),
        instruction(libc::BPF_RET | libc::BPF_K, 0, 0, SeccompAction::Errno(libc::ENOSYS as u32).into()),
        instruction(libc::BPF_RET | libc::BPF_K, 0, 0, SeccompAction::Allow.into()),
    ]
}

fn refused(walls: &Walls) -> Result<BpfProgram, BackendError> {
    let mut rules = Rules::default();
    processes(&mut rules)?;
    sockets(&mut rules, walls)?;
    files(&mut rules, walls)?;
    if walls.memory.is_some() {
        memory(&mut rules)?;
    }
    rules.never(NEVER);
    rules.never(NEVER_HERE);
    rules.filter(libc::EPERM)
}

/// Threads, not processes; this process, not others.
fn processes(rules: &mut Rules) -> Result<(), BackendError> {
    // One table of descriptors for all threads: its limit counts once.
    for shared in [libc::CLONE_THREAD, libc::CLONE_FILES] {
        rules.when(libc::SYS_clone, vec![has_not(0, shared as u32)?])?;
    }
    rules.when(libc::SYS_close_range, vec![has(2, libc::CLOSE_RANGE_UNSHARE)?])?;
    let this = rustix::process::getpid().as_raw_nonzero().get() as u32;
    for call in [libc::SYS_kill, libc::SYS_tgkill, libc::SYS_rt_sigqueueinfo, libc::SYS_rt_tgsigqueueinfo] {
        rules.when(call, none_of(0, [this])?)?;
    }
    for call in [
        libc::SYS_prlimit64,
        libc::SYS_sched_setaffinity,
        libc::SYS_sched_setattr,
        libc::SYS_sched_setparam,
        libc::SYS_sched_setscheduler,
    ] {
        rules.when(call, none_of(0, [0, this])?)?;
    }
    for (call, one_process) in [(libc::SYS_setpriority, libc::PRIO_PROCESS), (libc::SYS_ioprio_set, 1)] {
        rules.when(call, none_of(0, [one_process])?)?;
        rules.when(call, none_of(1, [0, this])?)?;
    }
    Ok(())
}

/// Sockets of the families and types that are allowed; no way to a Unix socket that has a name.
fn sockets(rules: &mut Rules, walls: &Walls) -> Result<(), BackendError> {
    let (tcp, udp) = (walls.tcp_connect || walls.tcp_listen, walls.udp || walls.dns);
    let of = |allowed: bool, number: c_int| allowed.then_some(number);
    let types: Vec<c_int> =
        [of(tcp, libc::SOCK_STREAM), of(udp, libc::SOCK_DGRAM)].into_iter().flatten().collect();
    // Not MPTCP, of which Landlock knows nothing.
    let protocols = [Some(0), of(tcp, libc::IPPROTO_TCP), of(udp, libc::IPPROTO_UDP)]
        .into_iter()
        .flatten()
        .map(|number| number as u32);
    if types.is_empty() {
        rules.never(&[libc::SYS_socket]);
    } else {
        rules.when(libc::SYS_socket, none_of(0, [libc::AF_INET as u32, libc::AF_INET6 as u32])?)?;
        rules.when(libc::SYS_socket, none_of(1, with_flags(&types))?)?;
        rules.when(libc::SYS_socket, none_of(2, protocols)?)?;
    }
    // A datagram socket of a pair could still send to any named one.
    rules.when(libc::SYS_socketpair, none_of(0, [libc::AF_UNIX as u32])?)?;
    rules.when(libc::SYS_socketpair, none_of(1, with_flags(&[libc::SOCK_STREAM, libc::SOCK_SEQPACKET]))?)?;
    if !walls.tcp_listen {
        // Landlock asks at bind, and listening without it takes any port.
        rules.never(&[libc::SYS_listen, libc::SYS_accept, libc::SYS_accept4]);
    }
    for (call, flags) in [(libc::SYS_sendto, 3), (libc::SYS_sendmsg, 2), (libc::SYS_sendmmsg, 3)] {
        rules.when(call, vec![has(flags, libc::MSG_FASTOPEN as u32)?])?;
    }
    // A host closes what it is sent, and would wait for the peer.
    rules
        .when(libc::SYS_setsockopt, vec![is(1, libc::SOL_SOCKET as u32)?, is(2, libc::SO_LINGER as u32)?])?;
    for option in TCP_OPTIONS {
        rules.when(libc::SYS_setsockopt, vec![is(1, libc::IPPROTO_TCP as u32)?, is(2, option as u32)?])?;
    }
    Ok(())
}

/// Modes, owners, times and attributes. Landlock lets all of them pass.
fn files(rules: &mut Rules, walls: &Walls) -> Result<(), BackendError> {
    for command in FCNTL {
        rules.when(libc::SYS_fcntl, vec![is(1, command as u32)?])?;
    }
    rules.when(libc::SYS_ioctl, none_of(1, IOCTL)?)?;
    if walls.standard_streams {
        // The flags of an open file are its host's and other programs' too, and stay when this process has ended.
        rules.when(libc::SYS_fcntl, vec![is(1, libc::F_SETFL as u32)?])?;
        rules.when(libc::SYS_ioctl, vec![is(1, FIONBIO)?])?;
    }
    // It leaves a device where the file was.
    rules.when(libc::SYS_renameat2, vec![has(4, libc::RENAME_WHITEOUT)?])?;
    if walls.write.is_empty() {
        rules.never(&ATTRIBUTES);
        rules.never(&[libc::SYS_utimensat]);
        return Ok(());
    }
    // By a path; without one it is about an open file.
    let path = SeccompCondition::new(1, SeccompCmpArgLen::Qword, SeccompCmpOp::Ne, 0)?;
    rules.when(libc::SYS_utimensat, vec![path])?;
    // Nothing that is written may run with this user's rights.
    for bit in SET_ID {
        rules.when(libc::SYS_fchmod, vec![has(1, bit)?])?;
        rules.when(libc::SYS_mknodat, vec![has(2, bit)?])?;
        #[cfg(target_arch = "x86_64")]
        {
            rules.when(libc::SYS_mknod, vec![has(1, bit)?])?;
            rules.when(libc::SYS_creat, vec![has(1, bit)?])?;
        }
        for makes in [libc::O_CREAT, TMPFILE] {
            rules.when(libc::SYS_openat, vec![has(2, makes as u32)?, has(3, bit)?])?;
            #[cfg(target_arch = "x86_64")]
            rules.when(libc::SYS_open, vec![has(1, makes as u32)?, has(2, bit)?])?;
        }
    }
    Ok(())
}

/// Memory that the limit does not count: shared, or a stack's.
fn memory(rules: &mut Rules) -> Result<(), BackendError> {
    let (kind, shared) = (libc::MAP_TYPE | libc::MAP_ANONYMOUS, libc::MAP_SHARED | libc::MAP_ANONYMOUS);
    rules.when(libc::SYS_mmap, vec![masked(3, kind as u32, shared as u32)?])?;
    rules.when(libc::SYS_mmap, vec![has(3, libc::MAP_GROWSDOWN as u32)?])?;
    rules.never(&[libc::SYS_memfd_create]);
    Ok(())
}

/// What is refused, by the calls' numbers: always where there is no rule, else where one of its rules holds.
#[derive(Default)]
struct Rules(BTreeMap<i64, Option<Vec<SeccompRule>>>);

impl Rules {
    fn never(&mut self, calls: &[c_long]) {
        self.0.extend(calls.iter().map(|call| (*call, None)));
    }

    /// Refuses a call of which all conditions hold.
    fn when(&mut self, call: c_long, conditions: Vec<SeccompCondition>) -> Result<(), BackendError> {
        let rule = SeccompRule::new(conditions)?;
        if let Some(rules) = self.0.entry(call).or_insert_with(|| Some(Vec::new())) {
            rules.push(rule);
        }
        Ok(())
    }

    fn filter(self, errno: c_int) -> Result<BpfProgram, BackendError> {
        // A call without a rule is one that always matches.
        let rules = self.0.into_iter().map(|(call, rules)| (call, rules.unwrap_or_default())).collect();
        let errno = SeccompAction::Errno(errno as u32);
        SeccompFilter::new(rules, SeccompAction::Allow, errno, ARCH.try_into()?)?.try_into()
    }
}

/// The types of sockets, with each choice of flags: a rule can ask for bits, not for their absence.
fn with_flags(types: &[c_int]) -> impl Iterator<Item = u32> {
    let flags = [0, libc::SOCK_CLOEXEC, libc::SOCK_NONBLOCK, libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK];
    types.iter().flat_map(move |kind| flags.map(|flags| (kind | flags) as u32))
}

fn none_of(
    argument: u8,
    values: impl IntoIterator<Item = u32>,
) -> Result<Vec<SeccompCondition>, BackendError> {
    values.into_iter().map(|value| condition(argument, SeccompCmpOp::Ne, value)).collect()
}

fn is(argument: u8, value: u32) -> Result<SeccompCondition, BackendError> {
    condition(argument, SeccompCmpOp::Eq, value)
}

fn has(argument: u8, bit: u32) -> Result<SeccompCondition, BackendError> {
    masked(argument, bit, bit)
}

fn has_not(argument: u8, bit: u32) -> Result<SeccompCondition, BackendError> {
    masked(argument, bit, 0)
}

fn masked(argument: u8, mask: u32, value: u32) -> Result<SeccompCondition, BackendError> {
    condition(argument, SeccompCmpOp::MaskedEq(mask.into()), value)
}

/// About the lower half of an argument: of numbers that are no pointers the kernel takes no more.
fn condition(argument: u8, operator: SeccompCmpOp, value: u32) -> Result<SeccompCondition, BackendError> {
    SeccompCondition::new(argument, SeccompCmpArgLen::Dword, operator, value.into())
}
