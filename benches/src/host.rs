//! Hosts of the libraries beside the bench, and whole files through them.

use crate::peers::Failure;
use crate::provider_folder;
use std::fs::File;
use std::io::Read;
use std::path::Path;
use vfs_core::{Configuration, Finish, OpenFlags, OpenOptions, Registry};

/// A host that finds the libraries that Cargo left beside this executable; `sections` are those of an operator's file.
///
/// # Errors
/// The sections cannot be read.
pub fn host(sections: &str) -> Result<Registry, Failure> {
    let text = format!("provider-path = [{:?}]\n{sections}", provider_folder());
    Ok(Registry::new(Configuration::parse(&text)?))
}

/// Reads a file to its end, and does nothing with it.
///
/// # Errors
/// The provider's.
pub fn get(host: &Registry, descriptor: &str) -> Result<(), Failure> {
    let flags = OpenFlags::READ | OpenFlags::SEQUENTIAL;
    let mut file = host.open(descriptor, &OpenOptions::new(flags))?;
    let mut buf = vec![0; 256 << 10];
    while file.read(&mut buf)? > 0 {}
    Ok(())
}

/// Writes a local file's content as a whole.
///
/// # Errors
/// The provider's; the local file cannot be read.
pub fn put(host: &Registry, descriptor: &str, from: &Path) -> Result<(), Failure> {
    let flags = OpenFlags::WRITE | OpenFlags::CREATE | OpenFlags::TRUNCATE | OpenFlags::ATOMIC;
    let mut file = host.open(descriptor, &OpenOptions::new(flags))?;
    let (mut from, mut buf) = (File::open(from)?, vec![0; 256 << 10]);
    loop {
        match from.read(&mut buf)? {
            0 => return Ok(file.finish(Finish::Commit)?),
            count => file.write_all(&buf[..count])?,
        }
    }
}
