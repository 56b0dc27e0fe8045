//! Debian packages as `packaging/deb` makes them: installed, upgraded, removed and purged in a copy of this machine; and the units.

use crate::support::{Folder, repository, run, run_long};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use zvfs_test_support::{built, free_port, have, library, provider_process, skip};

const TOOLS: [&str; 6] = ["make", "dpkg-deb", "dpkg-shlibdeps", "chroot", "unshare", "useradd"];

/// Makes the packages of one version, in a folder of their own, with these modules for servers.
fn packages(folder: &Folder, version: &str, modules: &str) -> PathBuf {
    provider_process();
    let out = folder.path().join(version);
    let mut deb = Command::new(repository("packaging/deb"));
    deb.arg(&out)
        .arg(format!("TARGET={}", Path::new(env!("CARGO_BIN_EXE_zvfs")).parent().unwrap().display()))
        .arg(format!("LIBRARIES={}", built().display()))
        .args(["WITH=ftp", &format!("MODULES={modules}"), &format!("VERSION={version}")])
        .env("DEB_COMPRESSION", "none");
    run_long(deb).succeeded();
    out
}

/// What packages are made and installed with. One of the larger providers is among them, and `cargo test` without `--workspace` builds
/// none of those.
fn can_be_packed() -> bool {
    if !have(&TOOLS) {
        return false;
    }
    if !rustix::process::geteuid().is_root() {
        skip("only root may install packages, in a copy of the machine too");
        return false;
    }
    if !library("ftp").exists() {
        skip("libzvfs_ftp.so is not built: `cargo test --workspace` builds it");
        return false;
    }
    true
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
    // By which Cargo's tests find their libraries: there it would hide those of the packages.
    command.env_remove("LD_LIBRARY_PATH");
    command
}

/// What is installed of ours, in a shell of the copy. No folder is looked through that has everybody's own files, millions maybe.
const OURS: &str = "find / -xdev \\( -path /packages -o -path /work -o -path /root -o -path /home -o -path /tmp -o -path /check \
    -o -path /proc \\) -prune -o \\( -name '*zvfs*' -o -name '*zvm*' \\) -print";

#[test]
fn packages_are_installed_upgraded_and_removed() {
    if !can_be_packed() {
        return;
    }
    let folder = Folder::new();
    let (first, second) = (packages(&folder, "0.1.0~test1", ""), packages(&folder, "0.1.0~test2", ""));
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
fn the_servers_of_debian_load_what_their_packages_install() {
    let servers =
        ["nginx", "/usr/share/nginx/src/conf_flags", "apache2", "apxs", "redis-server", "cc", "curl"];
    if !can_be_packed() || !have(&servers) {
        return;
    }
    let folder = Folder::new();
    packages(&folder, "0.1.0~test1", "nginx apache redis");
    let [nginx, apache, redis] = [free_port(), free_port(), free_port()];
    folder.write("hello.wat", fs::read(repository("modules/nginx/examples/hello.wat")).unwrap());
    let manifest = fs::read_to_string(repository("modules/apache/examples/hello.manifest")).unwrap();
    folder.write("hello.manifest", manifest.replace("hello.wasm", "hello.wat"));
    // As Debian configures it; its site would have a port that may be another's here.
    let guest = "zvm_program /srv/guests/hello.wat; zvm_timeout 100s;";
    folder.write(
        "nginx.conf",
        format!("server {{ listen 127.0.0.1:{nginx}; location /guest {{ {guest} }} }}\n"),
    );
    folder.write(
        "apache.conf",
        format!(
            "LoadModule mpm_event_module /usr/lib/apache2/modules/mod_mpm_event.so\n\
             LoadModule authz_core_module /usr/lib/apache2/modules/mod_authz_core.so\n\
             Include /etc/apache2/mods-available/zvm.load\n\
             ServerName x\nPidFile /run/apache.pid\nErrorLog /run/apache.log\nListen 127.0.0.1:{apache}\n\
             User www-data\nGroup www-data\nZvmConfiguration /etc/guests.toml\n\
             <Location /guest>\nSetHandler zvm-handler\nZvmManifest /srv/guests/hello.manifest\n</Location>\n"
        ),
    );
    let operator =
        "provider-path = ['/usr/lib/zvfs']\n[provider.file]\nsettings = { root = ['/srv/guests'] }\n";
    folder.write("guests.toml", operator);
    // What runs in the copy sees the same network and processes: it ends with the script, however that ends.
    let script = format!(
        r#"before=$({OURS} | sort)
        end() {{ nginx -s stop; kill $(cat /run/apache.pid); redis-cli -p {redis} shutdown nosave; }}
        trap 'end >/dev/null 2>&1 || true' EXIT
        dpkg -i /packages/0.1.0~test1/*.deb >/dev/null
        readlink /etc/nginx/modules-enabled/*zvm*
        mkdir -p /srv/guests && cp /packages/hello.* /srv/guests && cp /packages/guests.toml /etc
        rm -f /etc/nginx/sites-enabled/default && cp /packages/nginx.conf /etc/nginx/conf.d/guest.conf
        nginx && curl -sS http://127.0.0.1:{nginx}/guest
        apache2 -f /packages/apache.conf -t 2>/dev/null && apache2 -f /packages/apache.conf
        curl -sS --retry 9 --retry-connrefused http://127.0.0.1:{apache}/guest || cat /run/apache.log
        redis-server --port {redis} --save '' --daemonize yes --loadmodule /usr/lib/redis/modules/zvm.so \
            config /etc/guests.toml load hello /srv/guests/hello.manifest >/dev/null
        tries=0; until redis-cli -p {redis} ping >/dev/null 2>&1 || [ $((tries += 1)) = 300 ]; do sleep 0.1; done
        redis-cli -p {redis} module list | grep -x zvm
        end >/dev/null 2>&1
        rm /etc/nginx/conf.d/guest.conf
        modules='libnginx-mod-http-zvm libapache2-mod-zvm redis-zvm'
        dpkg -r $modules >/dev/null
        nginx -t 2>/dev/null && ls /etc/nginx/modules-enabled | grep zvm
        dpkg -i /packages/0.1.0~test1/libnginx-mod*.deb >/dev/null
        readlink /etc/nginx/modules-enabled/*zvm*
        rm /etc/nginx/modules-enabled/*zvm*
        dpkg -i /packages/0.1.0~test1/libnginx-mod*.deb >/dev/null
        ls /etc/nginx/modules-enabled | grep -c zvm || true
        dpkg -P $modules zvfs zvfs-ftp libzvfs-dev libzvfs1 libzvm1 >/dev/null 2>&1
        [ "$before" = "$({OURS} | sort)" ] || {OURS}
        echo gone
        "#
    );
    let done = run_long(in_a_copy(&folder, &script));
    let link = "/usr/share/nginx/modules-available/mod-http-zvm.conf\n";
    let hello = "hello from a guest\n";
    // Taken away with the module and given back with it; but not if the operator took it away.
    let removed = "50-mod-http-zvm.conf.removed\n";
    let said = format!("{link}{hello}{hello}zvm\n{removed}{link}0\ngone\n");
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
