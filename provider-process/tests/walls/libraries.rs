//! The library that is loaded behind the walls, and what it links to.

use crate::{Case, Outcome, Setting, by_landlock, c_string};
use std::ffi::CStr;
use std::fs::{self, File};
use std::os::fd::{AsFd, AsRawFd};
use std::path::Path;
use std::process::Command;
use vfs_core::Walls;

pub fn cases() -> Vec<Case> {
    vec![
        ("a_library_and_all_that_it_links_to_can_be_loaded", loads),
        ("a_library_cannot_make_a_file_readable_by_naming_it", names_a_secret),
    ]
}

/// Builds a library of one function that calls others, which it links to.
fn build(path: &Path, function: &str, calls: &str, more: &[&str]) -> Outcome {
    let source = path.with_extension("c");
    fs::write(&source, format!("int {calls}(void); int {function}(void) {{ return {calls}() + 1; }}\n"))?;
    let mut compiler = Command::new("cc");
    compiler.args(["-shared", "-fPIC", "-o"]).arg(path).arg(source).args(more);
    assert!(compiler.status()?.success(), "{compiler:?}");
    Ok(())
}

fn loads(setting: &Setting) -> Outcome {
    if !zvfs_test_support::have(&["cc"]) {
        return Ok(());
    }
    // The provider's folder names another, which names one beside itself.
    let (elsewhere, provider) = (setting.at("elsewhere"), setting.at("libprovider.so"));
    fs::create_dir(&elsewhere)?;
    fs::write(elsewhere.join("secret"), "text")?;
    build(&elsewhere.join("libinner.so"), "inner", "getpid", &[])?;
    let there = format!("-L{}", elsewhere.display());
    build(&elsewhere.join("libouter.so"), "outer", "inner", &[&there, "-linner", "-Wl,-rpath,$ORIGIN"])?;
    let rpath = format!("-Wl,-rpath,{}", elsewhere.display());
    build(&provider, "provider", "outer", &[&there, "-louter", &rpath])?;

    let library = File::open(&provider)?;
    zvfs_provider::walls::raise(&Walls::default(), library.as_fd())?;
    let path = c_string(Path::new(&format!("/proc/self/fd/{}", library.as_raw_fd())));
    // SAFETY: the test's own library, which has no constructors.
    let loaded = unsafe { libc::dlopen(path.as_ptr(), libc::RTLD_NOW) };
    if loaded.is_null() {
        // SAFETY: after a failure it points to a text.
        let error = unsafe { CStr::from_ptr(libc::dlerror()) };
        return Err(error.to_string_lossy().into());
    }
    by_landlock("a file beside", fs::read(elsewhere.join("secret")))?;
    by_landlock("the folder", fs::read_dir(elsewhere))
}

fn names_a_secret(setting: &Setting) -> Outcome {
    if !zvfs_test_support::have(&["cc"]) {
        return Ok(());
    }
    let (named, library) = (setting.at("libnamed.so"), setting.at("libhostile.so"));
    build(&named, "named", "getpid", &[])?;
    build(&library, "hostile", "named", &[named.to_str().expect("UTF-8")])?;
    // It is no library any more by the time that the walls are raised.
    fs::write(&named, "text")?;
    zvfs_provider::walls::raise(&Walls::default(), File::open(library)?.as_fd())?;
    by_landlock("what it names", fs::read(named))
}
