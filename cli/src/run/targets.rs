//! What the manifests of one run write: two sessions with one file would leave to chance whose content stays.
//!
//! The providers refuse a second writer of a run, but only as long as the first one is there. Here the command looks into the
//! descriptors of two of them, `file` and `mem`, because it alone knows all manifests before anything runs.

use crate::exit::Failure;
use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use vfs_core::{Code, Configuration, Descriptor, Shown};
use zvm::Manifest;

/// Refuses a run in which two sessions write one file, by whatever path, or one name in memory.
///
/// # Errors
/// EBUSY: the target, and both of its manifests.
pub fn check(
    paths: &[PathBuf],
    manifests: &[Manifest],
    configuration: &Configuration,
) -> Result<(), Failure> {
    let mut writers: HashMap<PathBuf, (usize, &str)> = HashMap::new();
    for (at, manifest) in manifests.iter().enumerate() {
        for channel in manifest.channels.iter().filter(|channel| channel.limits.writable()) {
            for source in &channel.sources {
                let Some(target) = target(source, configuration) else { continue };
                let (first, alias) = *writers.entry(target).or_insert((at, &channel.alias));
                if first != at {
                    let shown = Descriptor::parse(source).map_or_else(|_| String::new(), |it| it.to_string());
                    return Err(Failure::new(
                        Code::EBUSY,
                        format!(
                            "{shown} is written by channel {} of {} and by channel {} of {}: give each a target of its own",
                            Shown(alias),
                            paths[first].display(),
                            Shown(&channel.alias),
                            paths[at].display()
                        ),
                    ));
                }
            }
        }
    }
    Ok(())
}

/// What is written, as far as two sessions must not share it. A pipe or a device has no content, and what is wrong with a
/// descriptor its open tells.
fn target(source: &str, configuration: &Configuration) -> Option<PathBuf> {
    let descriptor = Descriptor::parse(source).ok()?;
    match configuration.leads_to(descriptor.scheme()).0.as_str() {
        "file" if descriptor.is_bare_path() => file(Path::new(descriptor.rest())),
        "file" => file(&descriptor.url().ok()?.to_file_path().ok()?),
        "mem" => Some(format!("{}:{}", descriptor.scheme().to_ascii_lowercase(), descriptor.rest()).into()),
        _ => None,
    }
}

/// The real path of a regular file, or of one to be made. Standard streams lie in /dev, wherever they lead.
fn file(path: &Path) -> Option<PathBuf> {
    if path.starts_with("/dev") {
        return None;
    }
    match fs::canonicalize(path) {
        Ok(there) => fs::metadata(&there).is_ok_and(|it| it.is_file()).then_some(there),
        Err(_) => Some(fs::canonicalize(path.parent()?).ok()?.join(path.file_name()?)),
    }
}
