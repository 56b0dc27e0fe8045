//! A provider's own library, as cargo just built it.

use std::io;
use std::path::PathBuf;
use vfs_core::{Library, Provider};

/// Loads `libzvfs_<name>.so` from the folder of the running test: `cargo test -p` leaves fresh libraries there only.
///
/// # Errors
/// The loader's refusal, or there is no such file.
pub fn load_built(name: &str) -> io::Result<Box<dyn Provider>> {
    let path = built(name)?;
    let library = Library::load(&path, name, None).map_err(|refusal| {
        io::Error::other(format!("{}: {}", path.display(), vfs_core::Error::from(refusal).chain()))
    })?;
    Ok(Box::new(library))
}

fn built(name: &str) -> io::Result<PathBuf> {
    let test = std::env::current_exe()?;
    Ok(test.with_file_name(format!("libzvfs_{name}.so")))
}
