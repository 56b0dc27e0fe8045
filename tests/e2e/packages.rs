//! Debian packages as `packaging/deb` makes them: installed, upgraded, removed and purged in a copy of this machine; and the units.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking, its helpers too")]

mod support;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use support::{Folder, repository, run, run_long};
use zvfs_test_support::{built, have, library, provider_process, skip};

const TOOLS: [&str; 6] = ["make", "dpkg-deb", "dpkg-shlibdeps", "chroot", "unshare", "useradd"];

/// Makes the packages of one version, in a folder of their own.
fn packages(folder: &Folder, version: &str) -> PathBuf {
    provider_process();
    library("ftp"); // one of the larger providers, built beside the others
    let out = folder.path().join(version);
    let mut deb = Command::new(repository("packaging/deb"));
    deb.arg(&out)
        .arg(format!("TARGET={}", Path::new(env!("CARGO_BIN_EXE_zvfs")).parent().unwrap().display()))
        .arg(format!("LIBRARIES={}", built().display()))
        .args(["WITH=ftp", &format!("VERSION={version}")])
        .env("DEB_COMPRESSION", "none");
    run_long(deb).succeeded();
    out
}

/// A copy of this machine that is gone with the shell that runs in it: whatever it changes is kept in memory. The packages lie in `/packages`.
fn in_a_copy(folder: &Folder, script: &str) -> Command {
    let (below, inside) = (folder.at("below"), folder.write("inside", script));
    let mount = format!(
        "mount -t tmpfs none {below} && mkdir {below}/new {below}/work {below}/all && \
         mount -t overlay overlay -o lowerdir=/,upperdir={below}/new,workdir={below}/work {below}/all && \
         mkdir {below}/all/packages && mount --bind {} {below}/all/packages && mount -t proc none {below}/all/proc && \
         mount -t tmpfs none {below}/all/run && exec chroot {below}/all sh -e /packages/inside",
        folder.path().display()
    );
    fs::create_dir_all(&below).unwrap();
    assert_eq!(inside, folder.at("inside"));
    let mut command = Command::new("unshare");
    command.args(["--mount", "--propagation", "private", "sh", "-c", &mount]);
    command
}

/// What is installed of ours, in a shell of the copy.
const OURS: &str = "find / -xdev \\( -name '*zvfs*' -o -name 'libzvm*' \\) -not -path '/packages/*' -not -path '/work/*' \
    -not -path '/root/*' -not -path '/home/*' -not -path '/tmp/*' -not -path '/check/*' -not -path '/proc/*'";

#[test]
fn packages_are_installed_upgraded_and_removed() {
    let Some(folder) = Folder::needing(&TOOLS) else { return };
    if !rustix::process::geteuid().is_root() {
        skip("only root may install packages, in a copy of the machine too");
        return;
    }
    let (first, second) = (packages(&folder, "0.1.0~test1"), packages(&folder, "0.1.0~test2"));
    let names = |folder: &Path| {
        let mut names: Vec<String> = fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().to_string_lossy().split('_').next().unwrap().to_owned())
            .collect();
        names.sort();
        names
    };
    let expected = ["libzvfs-dev", "libzvfs1", "libzvm1", "zvfs", "zvfs-ftp"];
    assert_eq!((names(&first), names(&second)), (expected.map(str::to_owned).to_vec(), names(&first)));
    let manifest = folder.wordcount("count.manifest", 60, "/packages/text", "/var/lib/counted");
    let program = repository("examples/jobs/wordcount/wordcount.wat");
    folder.write("wordcount.wat", fs::read(&program).unwrap());
    let there = fs::read_to_string(&manifest).unwrap();
    folder.write("count.manifest", there.replace(&program.display().to_string(), "/packages/wordcount.wat"));
    folder.write("text", "five words on this line\n");
    folder.write("program.c", "#include <zvfs.h>\nint main(void) { return zvfs_registry_default() == 0; }\n");
    let script = format!(
        r#"before=$({OURS} | sort)
        dpkg -i /packages/0.1.0~test1/*.deb >/dev/null
        zvfs providers | grep -q '^ftp '
        zvfs providers | grep -q 'from      /usr/lib/zvfs/libzvfs_file.so'
        zvfs run /packages/count.manifest && cat /var/lib/counted
        id zvfs >/dev/null && stat -c '%U:%G %a' /etc/zvfs
        echo mine > /etc/zvfs/jobs/mine.manifest
        dpkg -i /packages/0.1.0~test2/*.deb >/dev/null
        dpkg-query -W -f '${{Version}}\n' zvfs zvfs-ftp libzvfs1 libzvm1 libzvfs-dev | sort -u
        cat /etc/zvfs/jobs/mine.manifest
        dpkg --verify zvfs zvfs-ftp libzvfs1 libzvm1 libzvfs-dev
        dpkg -r zvfs-ftp libzvfs-dev >/dev/null
        zvfs providers | grep -c '^ftp ' || true
        dpkg -r zvfs libzvfs1 libzvm1 >/dev/null
        cat /etc/zvfs/jobs/mine.manifest
        dpkg -P zvfs zvfs-ftp libzvfs-dev libzvfs1 libzvm1 >/dev/null 2>&1
        ! id zvfs >/dev/null 2>&1
        [ "$before" = "$({OURS} | sort)" ] || {OURS}
        echo gone
        "#
    );
    let done = run_long(in_a_copy(&folder, &script));
    let counted = format!("{:7} {:7} {:7}\n", 1, 5, 24);
    let said = format!("{counted}root:zvfs 750\n0.1.0~test2\nmine\n0\nmine\ngone\n");
    assert_eq!((done.code, done.out()), (0, said.as_str()), "{done:?}");
}

#[test]
fn the_script_says_what_it_needs() {
    if !have(&["make", "dpkg-deb", "dpkg-shlibdeps"]) {
        return;
    }
    let folder = Folder::new();
    let fails = |arguments: &[&str], code: i32, words: &str| {
        let mut deb = Command::new(repository("packaging/deb"));
        deb.args(arguments);
        let done = run(deb);
        assert!(done.code == code && done.stderr.contains(words), "{done:?}");
    };
    for arguments in [&[][..], &["WITH=ftp"]] {
        fails(arguments, 64, "first the folder that the packages go to");
    }
    fails(&[&folder.at("out"), "PREFIX=/opt"], 64, "below /usr: no PREFIX=/opt");
    fails(&[&folder.at("out"), &format!("TARGET={}", folder.at(""))], 2, "is not built");
}

/// Nothing wrong in them, and nobody is exposed to more than they need.
#[test]
fn the_units_are_sound_and_hardened() {
    if !have(&["systemd-analyze"]) {
        return;
    }
    let folder = Folder::new();
    for (name, exposure) in [("zvfs-broker.service", "20"), ("zvfs-job@.service", "40")] {
        let unit = repository("packaging/systemd").join(name);
        let text = fs::read_to_string(&unit).unwrap();
        // The command is not installed here; its pages neither.
        let here = text
            .replace("/usr/bin/zvfs", env!("CARGO_BIN_EXE_zvfs"))
            .replace("Documentation=", "X-Documentation=");
        let copy = folder.write(name, here);
        let mut verify = Command::new("systemd-analyze");
        verify.args(["verify", "--recursive-errors=no", &copy]);
        let done = run(verify);
        assert!(done.code == 0 && done.stderr.is_empty(), "{done:?}");
        let mut security = Command::new("systemd-analyze");
        security.args([
            "security",
            "--offline=true",
            "--no-pager",
            &format!("--threshold={exposure}"),
            &copy,
        ]);
        let done = run(security);
        assert!(done.code == 0, "{name} is more exposed than {exposure}: {done:?}");
    }
}
