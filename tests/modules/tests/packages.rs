//! What `make install` puts where the servers of Debian look for their modules. The modules themselves are built elsewhere.

#![allow(clippy::unwrap_used, reason = "clippy takes only the #[test] functions of this file for tests")]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use zvfs_abi_tests::project;
use zvfs_test_support::{have, succeeded};

/// Runs a module's makefile as the project's does, for a package: MODULES and all.
fn make(goal: &str, name: &str, folder: &Path) {
    let built = folder.join("built.so");
    let mut make = Command::new("make");
    make.arg("-C").arg(project().join("modules").join(name)).arg(goal);
    // -o: it is there, and not to be built.
    make.arg("-o").arg(&built).arg(format!("OUT={}", built.display()));
    make.arg(format!("DESTDIR={}", folder.join("package").display()));
    make.args(["MODULES=nginx apache redis", "ZVM_CFLAGS=", "ZVM_LIBS=-lzvm"]);
    succeeded(make);
}

/// The files below a folder.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
        match entry.file_type().unwrap().is_dir() {
            true => found.append(&mut files(&entry.path())),
            false => found.push(entry.path()),
        }
    }
    found.sort();
    found
}

/// Found: `make install MODULES=nginx` put nginx's module into a folder `nginx`, since its makefile had a variable of that name.
fn installs(name: &str, library: &str, load: Option<(&str, &str)>) {
    let folder = tempfile::tempdir().unwrap();
    let package = folder.path().join("package");
    fs::write(folder.path().join("built.so"), "a library").unwrap();
    make("install", name, folder.path());
    let below = |path: &str| package.join(path.trim_start_matches('/'));
    let mut expected = vec![below(library)];
    assert_eq!(fs::read_to_string(&expected[0]).unwrap(), "a library");
    // Redis loads what may be executed, and nothing else.
    let mode = fs::metadata(&expected[0]).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode, if name == "redis" { 0o755 } else { 0o644 });
    if let Some((path, line)) = load {
        assert_eq!(fs::read_to_string(below(path)).unwrap(), format!("{line}\n"));
        expected.push(below(path));
    }
    expected.sort();
    assert_eq!(files(&package), expected);
    make("uninstall", name, folder.path());
    let left = files(&package);
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn nginx_has_its_module_where_load_module_looks() {
    if !have(&["make", "nginx"]) {
        return;
    }
    let mut nginx = Command::new("nginx");
    nginx.arg("-V");
    let told = String::from_utf8(succeeded(nginx).stderr).unwrap();
    assert!(told.contains("--modules-path=/usr/lib/nginx/modules"), "{told}");
    let library = "/usr/lib/nginx/modules/ngx_http_zvm_module.so";
    let load = "/usr/share/nginx/modules-available/mod-http-zvm.conf";
    installs("nginx", library, Some((load, "load_module modules/ngx_http_zvm_module.so;")));
}

#[test]
fn apache_has_its_module_where_a2enmod_looks() {
    if !have(&["make", "apxs"]) {
        return;
    }
    let mut apxs = Command::new("apxs");
    apxs.args(["-q", "LIBEXECDIR"]);
    let folder = String::from_utf8(succeeded(apxs).stdout).unwrap();
    let library = format!("{}/mod_zvm.so", folder.trim());
    let line = format!("LoadModule zvm_module {library}");
    installs("apache", &library, Some(("/etc/apache2/mods-available/zvm.load", &line)));
}

#[test]
fn redis_has_its_module_in_a_folder() {
    if have(&["make"]) {
        installs("redis", "/usr/lib/redis/modules/zvm.so", None);
    }
}
