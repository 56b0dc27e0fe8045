//! A disk that is soon full.

use crate::skips::{have, skip};
use std::path::{Path, PathBuf};
use std::process::Command;

/// A small file system, unmounted when dropped.
pub struct SmallDisk(PathBuf);

impl SmallDisk {
    /// Mounts one at a folder, where anybody may write; `size` is tmpfs's option.
    ///
    /// `None`: the machine, or the user, cannot, which was said.
    pub fn mount(at: &Path, size: &str) -> Option<SmallDisk> {
        if !have(&["mount", "umount"]) {
            return None;
        }
        let options = format!("size={size},mode=777");
        let mut mount = Command::new("mount");
        let output = mount.args(["-t", "tmpfs", "-o", &options, "zvfs-test"]).arg(at).output().unwrap();
        if !output.status.success() {
            skip(format_args!(
                "a small file system takes root's rights to mount: {}",
                String::from_utf8_lossy(&output.stderr)
            ));
            return None;
        }
        Some(SmallDisk(at.to_owned()))
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // A server may still be in there.
        let _ = Command::new("umount").arg("--lazy").arg(&self.0).status();
    }
}
