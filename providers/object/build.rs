//! The C symbols of a library that this provider stands on are not its own to export: another one in the same host may have them too.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rustc-cdylib-link-arg=-Wl,--exclude-libs,ALL");
}
