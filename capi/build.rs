//! What the linker must know of libzvfs.so.

mod soname;

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-changed=soname.rs");
    // The number of the interface in zvfs.h and zvm.h, which only grows: tests/abi/frozen holds what programs rely on. It
    // changes when something is taken away, which the package's version says nothing about.
    soname::set("libzvfs.so", "libzvfs.so.1", &[]);
    // Providers are never unloaded and call their host from threads of their own: neither may their host be.
    println!("cargo:rustc-cdylib-link-arg=-Wl,-z,nodelete");
}
