//! The part of two build scripts that links the unwinder in, in the place of libgcc_s: to find, map and relocate that library takes a tenth
//! of a short command's start. Panics do not cross libraries, so each may have its own.

use std::path::Path;
use std::process::Command;

/// Links it, where the C compiler has it to be linked.
pub fn link() {
    let target = |name| std::env::var(format!("CARGO_CFG_TARGET_{name}")).unwrap_or_default();
    let native = std::env::var("HOST").ok() == std::env::var("TARGET").ok();
    if target("ENV") != "gnu" || !native {
        return;
    }
    let linker = std::env::var("RUSTC_LINKER").unwrap_or_else(|_| "cc".into());
    let told = Command::new(linker).arg("-print-file-name=libgcc_eh.a").output();
    // What it does not find it repeats as it is.
    if told.is_ok_and(|told| Path::new(String::from_utf8_lossy(&told.stdout).trim()).is_absolute()) {
        // Without a kind it stands before the standard library's own libgcc_s, of which nothing is needed then.
        println!("cargo::rustc-link-lib=gcc_eh");
    }
}
