//! What the linker must know of libzvm.so.

fn main() {
    // The number of the interface in zvm_session.h, which only grows. Never unloaded: threads and signal handlers of the engine
    // stay.
    println!("cargo:rustc-cdylib-link-arg=-Wl,-soname,libzvm.so.1");
    println!("cargo:rustc-cdylib-link-arg=-Wl,-z,nodelete");
    println!("cargo:rerun-if-changed=build.rs");
}
