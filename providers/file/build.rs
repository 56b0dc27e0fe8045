//! How the library is linked: it is the one that nearly every command loads.

#[path = "../../cli/unwinder.rs"]
mod unwinder;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=../../cli/unwinder.rs");
    unwinder::link();
}
