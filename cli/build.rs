//! How the command is linked.

mod unwinder;

use std::process::Command;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=unwinder.rs");
    unwinder::link();
    // Of its 23,000 addresses to relocate at each start nearly all are relative. Packed, they are 10 KB instead of half a megabyte to
    // page in and go through. The C library reads that form since 2.36, and refuses the program before: so it is used where the C
    // library that is here, and that the program will say it needs, has it.
    if glibc().is_some_and(|version| version >= (2, 36)) {
        println!("cargo::rustc-link-arg-bins=-Wl,-z,pack-relative-relocs");
    }
}

/// The version of the GNU C library that is linked to; `None`: it is another, or that of another machine.
fn glibc() -> Option<(u32, u32)> {
    let variable = |name| std::env::var(name).unwrap_or_default();
    if variable("CARGO_CFG_TARGET_ENV") != "gnu" || variable("HOST") != variable("TARGET") {
        return None;
    }
    let told = Command::new("getconf").arg("GNU_LIBC_VERSION").output().ok()?;
    let text = String::from_utf8(told.stdout).ok()?;
    let (major, minor) = text.trim().strip_prefix("glibc ")?.split_once('.')?;
    Some((major.parse().ok()?, minor.split('.').next()?.parse().ok()?))
}
