//! tar, grep, cp, sqlite3 and git over a mount of each kind of store: they find what they find in the files themselves, and when the server
//! is gone each of them fails, in bounded time, and the folder is unmounted.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking, its helpers too")]

mod support;

use std::fs::{self, File};
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::thread;
use std::time::{Duration, Instant};
use support::{Mounted, can_mount, configured, program, succeeds};
use tempfile::{TempDir, tempdir};
use zvfs_engines::S3;
use zvfs_engines::ftp::FtpServer;
use zvfs_engines::ssh::SshServer;
use zvfs_http_servers::Server;
use zvfs_test_support::{bounded, eventually, have, run};

/// What programs may take at most that are told of errors, on a busy machine: some calls, of 2 s each.
const BOUND: Duration = Duration::from_secs(120);
/// Of a mount whose server is to go.
const QUICK: [&str; 4] = ["--timeout", "2s", "--cache-time", "0ms"];
/// More than the kernel and a provider read ahead.
const LARGE: usize = 24_000_000;
const TABLE: &str = "create table numbers(n); with recursive c(n) as (select 1 union all select n+1 from c where n<50000) \
                     insert into numbers select n from c;";

fn can() -> bool {
    can_mount() && have(&["tar", "grep", "cp", "diff", "sqlite3", "git"])
}

/// What each program reads: some texts, a database, a bare repository and a bundle of it, and a large file. And where the repository is from.
struct Files(TempDir, TempDir);

impl Files {
    fn new() -> Files {
        let files = Files(tempdir().unwrap(), tempdir().unwrap());
        let (at, work) = (|name: &str| files.at(name), files.1.path());
        fs::create_dir_all(at("texts/deeper")).unwrap();
        fs::write(at("texts/deeper/with a needle"), "hay\nneedle\n").unwrap();
        fs::write(at("texts/hay"), "hay\n".repeat(100_000)).unwrap();
        succeeds(program("sqlite3", &[]).arg(at("numbers.db")).arg(TABLE));
        git(work, &["init", "-q"]);
        for number in 0..5 {
            fs::write(work.join(format!("file {number}")), format!("{number}\n").repeat(1000)).unwrap();
            git(work, &["add", "."]);
            git(work, &["commit", "-q", "-m", "one more"]);
        }
        git(
            files.0.path(),
            &["clone", "-q", "--bare", "--no-hardlinks", work.to_str().unwrap(), "repository"],
        );
        git(&at("repository"), &["gc", "-q"]);
        // A store of keys has no empty folders, and git wants to see one of references.
        git(&at("repository"), &["tag", "some"]);
        git(&at("repository"), &["bundle", "create", "-q", "../bundle", "HEAD", "--all"]);
        fs::write(at("large"), (0..LARGE).map(|place| (place / 7) as u8).collect::<Vec<u8>>()).unwrap();
        files
    }

    fn at(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Hands on each file, by its name.
    fn each(&self, mut put: impl FnMut(&str, &[u8])) {
        let mut folders = vec![self.0.path().to_owned()];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    folders.push(path);
                } else {
                    let name = path.strip_prefix(self.0.path()).unwrap().to_str().unwrap();
                    put(name, &fs::read(&path).unwrap());
                }
            }
        }
    }

    /// Puts them below a folder.
    fn put_below(&self, folder: &Path) {
        self.each(|name, content| {
            let path = folder.join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, content).unwrap();
        });
    }
}

fn git(folder: &Path, arguments: &[&str]) -> Output {
    succeeds(git_command(arguments).current_dir(folder))
}

fn git_command(arguments: &[&str]) -> Command {
    let mut git = program("git", &["-c", "safe.directory=*", "-c", "user.name=a", "-c", "user.email=a@b"]);
    git.args(arguments).env("GIT_CONFIG_NOSYSTEM", "1").env("GIT_CONFIG_GLOBAL", "/dev/null");
    git
}

/// The five programs, each of what it reads in a mounted folder, of which the store has the rest of its own names.
fn programs(mounted: &Path, repository: &str, out: &Path) -> [Command; 5] {
    let mut tar = program("tar", &["-cf"]);
    tar.arg(out.join("archive")).arg("-C").arg(mounted).arg(".");
    let mut grep = program("grep", &["-rl", "needle", "."]);
    grep.current_dir(mounted);
    let mut cp = program("cp", &["-r"]);
    cp.arg(mounted).arg(out.join("copy"));
    let mut sqlite = program("sqlite3", &["-readonly", "numbers.db", "select sum(n) from numbers"]);
    sqlite.current_dir(mounted);
    let mut clone = git_command(&["clone", "-q", "--no-hardlinks"]);
    clone.arg(mounted.join(repository)).arg(out.join("clone"));
    [tar, grep, cp, sqlite, clone]
}

/// All of them find in a mounted folder what is in the files themselves.
fn all_find(mounted: Mounted, files: &Files) {
    let out = tempdir().unwrap();
    let [mut tar, mut grep, mut cp, mut sqlite, mut clone] =
        programs(mounted.path(), "repository", out.path());
    succeeds(&mut tar);
    fs::create_dir(out.path().join("unpacked")).unwrap();
    succeeds(program("tar", &["-xf", "archive", "-C", "unpacked"]).current_dir(out.path()));
    succeeds(&mut cp);
    for copy in ["unpacked", "copy"] {
        // What lies in folders that are empty, which a store of keys has not, is nothing.
        let done = succeeds(
            program("sh", &["-c", "cd \"$1\" && find . -type f -exec cmp {} \"$2\"/{} ';' -print", "sh"])
                .arg(files.0.path())
                .arg(out.path().join(copy)),
        );
        let mut count = 0;
        files.each(|_, _| count += 1);
        assert_eq!(String::from_utf8(done.stdout).unwrap().lines().count(), count, "{copy}");
    }
    assert_eq!(succeeds(&mut grep).stdout, b"./texts/deeper/with a needle\n");
    assert_eq!(succeeds(&mut sqlite).stdout, b"1250025000\n");
    succeeds(&mut clone);
    is_whole(&out.path().join("clone"), files);
    mounted.unmount();
}

/// A clone has all that the repository has.
fn is_whole(clone: &Path, files: &Files) {
    succeeds(program("diff", &["-r", "-x", ".git"]).arg(files.1.path()).arg(clone));
    git(clone, &["fsck", "--full"]);
}

/// The server goes while a program reads: that gets an error, as do all that come after it, and the folder is unmounted.
fn all_fail(mounted: Mounted, repository: &str, kill: impl FnOnce()) {
    let mut opened = None;
    eventually("the file is read", || {
        let begun = File::open(mounted.path().join("large"))
            .and_then(|mut large| large.read_exact(&mut [0; 1000]).map(|()| large));
        opened = begun.ok();
        opened.is_some()
    });
    let mut reader = opened.unwrap();
    kill();
    let begun = Instant::now();
    let read = bounded(move || reader.read_to_end(&mut Vec::new()).map_err(|error| error.raw_os_error()));
    assert!(matches!(read, Err(Some(number)) if number > 0), "{read:?}");
    let out = tempdir().unwrap();
    thread::scope(|scope| {
        for command in programs(mounted.path(), repository, out.path()) {
            scope.spawn(move || {
                let shown = format!("{command:?}");
                let done = run(command).unwrap();
                // None was ended by a signal, and each said something.
                assert!(done.status.code().is_some_and(|code| code != 0), "{shown}: {done:?}");
                assert!(!done.stderr.is_empty(), "{shown}: {done:?}");
            });
        }
    });
    assert!(begun.elapsed() < BOUND, "{:?}", begun.elapsed());
    mounted.unmount();
}

#[test]
fn programs_read_files() {
    if !can() {
        return;
    }
    let files = Files::new();
    all_find(Mounted::of(&files.0.path().to_string_lossy(), &[]), &files);
}

#[test]
fn programs_read_an_object_store_until_its_server_goes() {
    if !can() {
        return;
    }
    let Some(server) = S3::moto() else { return };
    let (files, config, at) = (Files::new(), tempdir().unwrap(), tempdir().unwrap());
    files.each(|name, content| server.put(&format!("data/{}", name.replace(' ', "%20")), content));
    let mount = |options: &[&str]| {
        let command = configured(config.path(), "object", &server.settings(), options);
        Mounted::by(command, at.path(), &server.descriptor("data"))
    };
    all_find(mount(&[]), &files);
    all_fail(mount(&QUICK), "repository", || drop(server));
}

#[test]
fn programs_read_an_sftp_server_until_it_goes() {
    if !can() {
        return;
    }
    let Some(mut server) = SshServer::openssh() else { return };
    let (files, config, at) = (Files::new(), tempdir().unwrap(), tempdir().unwrap());
    files.put_below(&server.root());
    all_find(Mounted::sftp(&server, config.path(), at.path(), &[]), &files);
    let mounted = Mounted::sftp(&server, config.path(), at.path(), &QUICK);
    all_fail(mounted, "repository", || server.end());
}

/// A process of vsftpd's own serves each session, which goes on when the server is ended.
#[test]
fn programs_read_ftp_servers_until_one_goes() {
    if !can() {
        return;
    }
    let files = Files::new();
    for (server, goes) in [(FtpServer::vsftpd(), false), (FtpServer::pyftpdlib(), true)] {
        let Some(mut server) = server else { continue };
        files.put_below(&server.root());
        let (config, at) = (tempdir().unwrap(), tempdir().unwrap());
        let (settings, tree) = (format!("ca-file = {:?}", server.ca_file()), server.ftps(""));
        let mount = |options: &[&str]| {
            Mounted::by(configured(config.path(), "ftp", &settings, options), at.path(), &tree)
        };
        all_find(mount(&[]), &files);
        // Found: tar said that a file had changed, whose time the listing did not tell, and was then the mount's own.
        let mounted = mount(&["--cache-time", "0ms"]);
        let name = mounted.path().join("numbers.db");
        assert!(fs::read_dir(mounted.path()).unwrap().count() > 0);
        let listed = fs::metadata(&name).unwrap().modified().unwrap();
        let open = File::open(&name).unwrap();
        assert_eq!(open.metadata().unwrap().modified().unwrap(), listed);
        drop(open);
        mounted.unmount();
        if goes {
            all_fail(mount(&QUICK), "repository", || server.stop());
        }
    }
}

/// HTTP lists nothing, so each file is a mount of its own; a repository is one file as a bundle.
#[test]
fn programs_read_a_web_servers_files_until_that_goes() {
    if !can() {
        return;
    }
    let Some(server) = Server::nginx() else { return };
    let (files, out) = (Files::new(), tempdir().unwrap());
    for name in ["bundle", "large", "numbers.db"] {
        server.put(name, &fs::read(files.at(name)).unwrap());
    }
    server.put("needle", b"hay\nneedle\n");
    for name in ["bundle", "large", "numbers.db", "needle"] {
        let mounted = Mounted::of(&server.http(name), &[]);
        let folder = out.path().join(name);
        fs::create_dir(&folder).unwrap();
        let [mut tar, mut grep, mut cp, mut sqlite, mut clone] = programs(mounted.path(), "bundle", &folder);
        succeeds(&mut tar);
        succeeds(program("tar", &["-xf", "archive"]).current_dir(&folder));
        succeeds(&mut cp);
        let content = fs::read(mounted.path().join(name)).unwrap();
        assert!(
            fs::read(folder.join(name)).unwrap() == content
                && fs::read(folder.join("copy").join(name)).unwrap() == content
        );
        match name {
            "needle" => assert_eq!(succeeds(&mut grep).stdout, b"./needle\n"),
            "numbers.db" => assert_eq!(succeeds(&mut sqlite).stdout, b"1250025000\n"),
            "bundle" => {
                succeeds(&mut clone);
                is_whole(&folder.join("clone"), &files);
            }
            _ => assert!(content == fs::read(files.at(name)).unwrap()),
        }
        mounted.unmount();
    }
    all_fail(Mounted::of(&server.http("large"), &QUICK), "bundle", || drop(server));
}
