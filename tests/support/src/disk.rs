//! Disks that are soon full.

use crate::skips::{have, skip};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The least that mkfs.xfs takes.
const SHARING: u64 = 320 << 20;

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
        mounted(Command::new("mount").args(["-t", "tmpfs", "-o", &options, "zvfs-test"]), at)
    }

    /// Mounts one at a folder whose files can share blocks: `btrfs` or `xfs`, of 320 MiB. Its image is a sparse file beside the folder.
    ///
    /// `None`: the machine, or the user, cannot, which was said.
    pub fn sharing(at: &Path, kind: &str) -> Option<SmallDisk> {
        let mkfs = format!("mkfs.{kind}");
        if !have(&["mount", "umount", &mkfs]) {
            return None;
        }
        let image = at.with_extension("img");
        File::create(&image).unwrap().set_len(SHARING).unwrap();
        let made = Command::new(mkfs).arg(&image).output().unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        mounted(Command::new("mount").args(["-t", kind, "-o", "loop"]).arg(&image), at)
    }
}

/// Mounts at a folder.
fn mounted(mount: &mut Command, at: &Path) -> Option<SmallDisk> {
    let output = mount.arg(at).output().unwrap();
    if output.status.success() {
        return Some(SmallDisk(at.to_owned()));
    }
    let why = String::from_utf8_lossy(&output.stderr);
    skip(format_args!("a small file system takes root's rights to mount: {why}"));
    None
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // A server may still be in there.
        let _ = Command::new("umount").arg("--lazy").arg(&self.0).status();
    }
}
