//! kcmp(2), which no library that this program has offers.

#![expect(unsafe_code, reason = "a system call without a wrapper")]

/// `KCMP_FILE` of linux/kcmp.h.
const FILE: libc::c_int = 0;

/// Whether two descriptors of a process are one open file, as dup(2) makes them; `None`: the kernel does not say.
pub fn is_same_file(process: u32, one: u32, other: u32) -> Option<bool> {
    let process = libc::pid_t::try_from(process).ok()?;
    let [one, other] = [one, other].map(libc::c_ulong::from);
    // SAFETY: kcmp(2) takes numbers only, and changes nothing.
    let order = unsafe { libc::syscall(libc::SYS_kcmp, process, process, FILE, one, other) };
    (order >= 0).then_some(order == 0)
}
