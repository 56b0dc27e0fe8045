//! For the build scripts of libzvfs and libzvm: the name that programs are linked with, also in a build tree.

use std::env;
use std::fs;
use std::io;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

/// Gives the library that Cargo makes as `built` the name `soname`, and lets a program that was linked with it start: the dynamic
/// linker looks for that name, which Cargo makes no file of. `also` are more names for whoever links.
pub fn set(built: &str, soname: &str, also: &[&str]) {
    println!("cargo:rustc-cdylib-link-arg=-Wl,-soname,{soname}");
    let Some(profile) = profile_folder() else { return };
    // A library lies in the profile's folder if it was asked for, and in `deps` always. A link may lead nowhere until it is built.
    let links = [(profile.join("deps"), soname), (profile.clone(), soname)];
    let links = links.into_iter().chain(also.iter().map(|name| (profile.clone(), *name)));
    for (folder, name) in links {
        if let Err(error) = link(&folder, name, built) {
            println!("cargo:warning=link {}: {error}", folder.join(name).display());
        }
    }
}

/// `target/<profile>`, seen from `target/<profile>/build/<package>/out`; `None`: Cargo keeps that elsewhere.
fn profile_folder() -> Option<PathBuf> {
    let out = PathBuf::from(env::var_os("OUT_DIR")?);
    let build = out.ancestors().nth(2)?;
    if build.ends_with("build") { build.parent().map(Path::to_owned) } else { None }
}

fn link(folder: &Path, name: &str, built: &str) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    let link = folder.join(name);
    match fs::read_link(&link) {
        Ok(leads) if leads == Path::new(built) => return Ok(()),
        Ok(_) => fs::remove_file(&link)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    symlink(built, link)
}
