//! What the linker must know of libzvm.so.

#[path = "../soname.rs"]
mod soname;

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-changed=../soname.rs");
    // The number of the interface in zvm_session.h, which only grows. Cargo calls the library libzvm_session, since the crate zvm
    // has the other name.
    soname::set("libzvm_session.so", "libzvm.so.1", &["libzvm.so"]);
    // Never unloaded: threads and signal handlers of the engine stay.
    println!("cargo:rustc-cdylib-link-arg=-Wl,-z,nodelete");
}
