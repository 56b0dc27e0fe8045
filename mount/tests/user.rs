//! `zvfs mount` by a user who is not root: the kernel refuses it, and fusermount3, which is root's, does it instead.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking, its helpers too")]

mod support;

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::Path;
use std::process::Command;
use support::{can_mount, program};
use tempfile::{TempDir, tempdir};
use zvfs_test_support::{built, find, have, run, skip};

/// Debian's `nobody`.
const USER: &str = "65534";

/// In a mount namespace of its own, `$5` first makes the device everybody's, as udev has it on most systems; then a user goes on with `$6`.
const AS_USER: &str = r#"
mount -t tmpfs -o mode=755 zvfs-test "$5"
mknod -m "$7" "$5/fuse" c 10 229
mount --bind "$5/fuse" /dev/fuse
exec setpriv --reuid "$8" --regid "$8" --clear-groups -- sh -euc "$6" sh "$1" "$2" "$3" "$4"
"#;

/// Mounts and is told to end; then mounts in the background, and unmounts as any program of FUSE.
const MOUNTS: &str = r#"
"$1" --provider-path "$2" mount "$3" "$4" & served=$!
until [ -e "$4/file" ]; do kill -0 $served; sleep 0.05; done
cat "$4/file"
kill -TERM $served
wait $served
[ ! -e "$4/file" ]
"$1" --provider-path "$2" mount --background --write "$3" "$4"
echo new >"$4/made"
cat "$4/made"
fusermount3 -u "$4"
[ ! -e "$4/file" ]
"#;

/// Once, and what it says of that.
const MOUNTS_ONCE: &str = r#"
"$1" --provider-path "$2" mount $OPTIONS "$3" "$4"
"#;

struct User {
    tree: TempDir,
    at: TempDir,
    device: TempDir,
}

impl User {
    /// `None`: this machine lacks something, which was said; or it is a user who runs the test: then every other test is this one.
    fn new() -> Option<User> {
        if !rustix::process::geteuid().is_root()
            || !can_mount()
            || !have(&["unshare", "setpriv", "mknod", "mount", "sh"])
        {
            return None;
        }
        let helper = find("fusermount3").unwrap();
        let helper_stat = fs::metadata(&helper).unwrap();
        if helper_stat.uid() != 0 || helper_stat.mode() & 0o4000 == 0 {
            skip(format_args!("{}: not set-user-id root", helper.display()));
            return None;
        }
        let mount = Path::new(env!("CARGO_BIN_EXE_zvfs-mount"));
        for path in [mount, &built()] {
            let may = program("setpriv", &["--reuid", USER, "--regid", USER, "--clear-groups", "test", "-r"])
                .arg(path)
                .status();
            if !may.unwrap().success() {
                skip(format_args!("{}: cannot be read by user {USER}", path.display()));
                return None;
            }
        }
        let works = program("unshare", &["--mount", "--propagation", "private", "true"]).output().unwrap();
        if !works.status.success() {
            skip(format_args!("a mount namespace: {}", String::from_utf8_lossy(&works.stderr)));
            return None;
        }
        let user = User { tree: tempdir().unwrap(), at: tempdir().unwrap(), device: tempdir().unwrap() };
        fs::write(user.tree.path().join("file"), "content\n").unwrap();
        for folder in [&user.tree, &user.at] {
            fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
            let owner = Some(USER.parse().unwrap());
            std::os::unix::fs::chown(folder.path(), owner, owner).unwrap();
        }
        Some(user)
    }

    /// Runs a script as the user, with a device of this mode.
    fn runs(&self, script: &str, mode: &str, options: &str) -> (bool, String, String) {
        let mut command: Command =
            program("unshare", &["--mount", "--propagation", "private", "sh", "-euc", AS_USER, "sh"]);
        command.arg(env!("CARGO_BIN_EXE_zvfs-mount")).arg(built()).arg(self.tree.path()).arg(self.at.path());
        command
            .arg(self.device.path())
            .args([script, mode, USER])
            .env("OPTIONS", options)
            .env_remove("ZVFS_CONFIG");
        let done = run(command).unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        (done.status.success(), text(done.stdout), text(done.stderr))
    }
}

#[test]
fn a_user_mounts_and_unmounts_by_fusermount3() {
    let Some(user) = User::new() else { return };
    assert_eq!(user.runs(MOUNTS, "666", ""), (true, "content\nnew\n".to_owned(), String::new()));
    assert_eq!(fs::read_to_string(user.tree.path().join("made")).unwrap(), "new\n");
    assert_eq!(fs::metadata(user.tree.path().join("made")).unwrap().uid().to_string(), USER);
}

#[test]
fn a_user_who_may_not_is_told_what_to_do() {
    let Some(user) = User::new() else { return };
    let refused = |mode: &str, options: &str, words: &[&str]| {
        let (succeeded, out, said) = user.runs(MOUNTS_ONCE, mode, options);
        assert!(!succeeded && out.is_empty() && words.iter().all(|word| said.contains(word)), "{said}");
    };
    refused("600", "", &["mount on", "chmod 666 /dev/fuse"]);
    refused("666", "--allow-other", &["mount on", "user_allow_other"]);
    fs::set_permissions(user.at.path(), fs::Permissions::from_mode(0o555)).unwrap();
    std::os::unix::fs::chown(user.at.path(), Some(0), Some(0)).unwrap();
    refused("666", "", &["mount on", "no write access"]);
}
