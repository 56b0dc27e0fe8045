//! A provider's own library, as cargo just built it.

use std::io;
use std::path::{Path, PathBuf};
use vfs_core::process::load;
use vfs_core::{Control, Library, Provider, Wall, Walls};

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

/// Loads it in a process of its own, which `program` (`zvfs-provider`) runs behind `walls`. Those that the kernel does not have may be
/// absent: the suite is not about them.
///
/// # Errors
/// As [`load_built`]; the process's.
pub fn load_in_process(name: &str, program: &Path, walls: &Walls) -> io::Result<Box<dyn Provider>> {
    let context = Control::new().context();
    let walls = Walls { may_lack: Wall::ALL.to_vec(), ..walls.clone() };
    Ok(load(&context, program, &built(name)?, None, &walls)?)
}

fn built(name: &str) -> io::Result<PathBuf> {
    let test = std::env::current_exe()?;
    Ok(test.with_file_name(format!("libzvfs_{name}.so")))
}
