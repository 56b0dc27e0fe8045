//! The operator's policy over real libraries: who could have changed them, what is pinned, what is configured.

use sha2::{Digest as _, Sha256};
use std::error::Error as _;
use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use vfs_core::{Code, Configuration, Error, Library, OpenFlags, OpenOptions, Refusal, Registry};
use zvfs_faults::{Plugins, over};
use zvfs_test_support::{bounded, fifo, run, skip, succeeded};

/// Neither root nor anybody's login.
const STRANGER: u32 = 54321;

fn plugins() -> Plugins {
    let plugins = Plugins::new();
    plugins.add("table", "table", &[]);
    plugins
}

fn mode(path: &Path, bits: u32) {
    fs::set_permissions(path, Permissions::from_mode(bits)).expect("chmod");
}

fn open(registry: &Registry, descriptor: &str) -> Result<(), Error> {
    registry.open(descriptor, &OpenOptions::new(OpenFlags::READ)).map(drop)
}

/// The refusal that an open failed with, found from the error as a host finds it.
fn refused(registry: &Registry, descriptor: &str) -> (Error, String) {
    let error = open(registry, descriptor).expect_err(descriptor);
    let mut cause = error.source();
    while let Some(inner) = cause {
        if let Some(refusal) = inner.downcast_ref::<Refusal>() {
            assert_eq!(error.code(), refusal.code());
            let text = refusal.to_string();
            return (error, text);
        }
        cause = inner.source();
    }
    panic!("no refusal in {error:?}");
}

fn configured(plugins: &Plugins, section: &str) -> Registry {
    let folder = plugins.path().display().to_string();
    Registry::new(
        Configuration::parse(&format!("provider-path = [{folder:?}]\n{section}")).expect("a configuration"),
    )
}

fn sha256(path: &Path) -> String {
    Sha256::digest(fs::read(path).expect("a library")).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn what_others_can_write_is_refused_with_the_chmod_that_mends_it() {
    over(plugins, |plugins| {
        let (library, folder) = (plugins.file("table"), plugins.path());
        for (path, bad, good) in [(&library, 0o757, 0o755), (&folder, 0o707, 0o700), (&folder, 0o702, 0o700)]
        {
            mode(path, bad);
            let (error, text) = refused(&plugins.registry(), "table:");
            assert_eq!(error.code(), Code::EACCES);
            assert!(
                matches!(plugins.refusal("table"), Refusal::WorldWritable { path: found } if found == *path)
            );
            assert!(text.contains(&format!("chmod o-w {}", path.display())), "{text}");
            // The very command that it names mends it.
            mend(&text);
            open(&plugins.registry(), "table:").unwrap();
            mode(path, good);
        }
    });
}

#[test]
fn what_strangers_own_or_share_is_refused_with_the_command_that_mends_it() {
    if !rustix::process::geteuid().is_root() {
        skip("only root can give files away");
        return;
    }
    over(plugins, |plugins| {
        for path in [plugins.file("table"), plugins.path()] {
            chown(&path, Some(STRANGER), None).unwrap();
            let (error, text) = refused(&plugins.registry(), "table:");
            assert_eq!(error.code(), Code::EACCES);
            assert!(text.contains(&STRANGER.to_string()), "{text}");
            assert!(matches!(plugins.refusal("table"), Refusal::Owner { owner: STRANGER, .. }));
            mend(&text);
            open(&plugins.registry(), "table:").unwrap();

            chown(&path, None, Some(STRANGER)).unwrap();
            mode(&path, 0o770);
            let (_, text) = refused(&plugins.registry(), "table:");
            assert!(matches!(plugins.refusal("table"), Refusal::GroupWritable { group: STRANGER, .. }));
            mend(&text);
            open(&plugins.registry(), "table:").unwrap();
        }
    });
}

/// Runs the command between backquotes.
fn mend(text: &str) {
    let command = text.split('`').nth(1).expect("a command between backquotes");
    let words: Vec<&str> = command.split(' ').collect();
    assert!(["chmod", "chown"].contains(&words[0]), "{command}");
    assert!(Command::new(words[0]).args(&words[1..]).status().expect("a command").success(), "{command}");
}

#[test]
fn a_symbolic_link_is_judged_by_where_it_leads() {
    bounded(|| {
        let (plugins, elsewhere) = (plugins(), Plugins::new());
        let target = elsewhere.add("table", "table", &[]);
        let link = plugins.file("table");
        fs::remove_file(&link).unwrap();
        symlink(&target, &link).unwrap();
        assert_eq!(Library::load(&link, "table", None).unwrap().path(), target);
        mode(&elsewhere.path(), 0o777);
        assert!(
            matches!(plugins.refusal("table"), Refusal::WorldWritable { path } if path == elsewhere.path())
        );

        fs::remove_file(&target).unwrap();
        assert!(matches!(plugins.refusal("table"), Refusal::Unreadable { .. }), "a link to nothing");
    });
}

#[test]
fn a_pin_lets_only_those_bytes_in() {
    over(plugins, |plugins| {
        let path = plugins.file("table");
        let pin = sha256(&path);
        open(&configured(&plugins, &format!("[provider.table]\nsha256 = {pin:?}")), "table:").unwrap();
        let upper = pin.to_uppercase();
        open(&configured(&plugins, &format!("[provider.table]\nsha256 = {upper:?}")), "table:").unwrap();

        let other = "0".repeat(64);
        let registry = configured(&plugins, &format!("[provider.table]\nsha256 = {other:?}"));
        let (error, text) = refused(&registry, "table:");
        assert_eq!(error.code(), Code::EACCES);
        assert!(
            text.contains(&pin) && text.contains(&other) && text.contains("install the pinned build"),
            "{text}"
        );

        for bad in ["", "12", &"g".repeat(64), &"+f".repeat(32), &format!("{pin}00")] {
            let error = Configuration::parse(&format!("[provider.table]\nsha256 = {bad:?}")).unwrap_err();
            assert!(
                error.code() == Code::EINVAL && error.to_string().contains("64 hexadecimal digits"),
                "{error}"
            );
        }
    });
}

#[test]
fn a_pinned_library_stays_the_bytes_that_were_hashed() {
    over(plugins, |plugins| {
        let path = plugins.file("table");
        let section = format!("[provider.table]\nsha256 = {:?}", sha256(&path));
        let (loaded, fresh) = (configured(&plugins, &section), configured(&plugins, &section));
        open(&loaded, "table:").unwrap();
        // In place, as an attacker with the file still open would: what is mapped from this file loses its pages.
        fs::File::options().write(true).truncate(true).open(&path).unwrap();
        for _ in 0..3 {
            open(&loaded, "table:").unwrap();
        }
        let (_, text) = refused(&fresh, "table:");
        assert!(text.contains("SHA-256"), "{text}");
    });
}

#[test]
fn unknown_not_allowed_not_found_and_broken_are_four_errors() {
    over(plugins, |plugins| {
        fs::write(plugins.file("broken"), "not a library").unwrap();
        let sections = "[provider.broken]\n[provider.missing]\n[alias]\nalso = \"missing\"\nwrong = { provider = \"fine\", scheme = \"other\" }\n[provider.fine]";
        plugins.add("fine", "table", &[]);
        let registry = configured(&plugins, sections);
        let folder = plugins.path().display().to_string();
        for (descriptor, code, words) in [
            (
                "nobody:x",
                Code::EPROTONOSUPPORT,
                ["unknown scheme `nobody`", "libzvfs_nobody.so", folder.as_str()],
            ),
            ("table:x", Code::EACCES, ["`table` is not allowed", "[provider.table]", "add a section"]),
            ("also:x", Code::EPROTONOSUPPORT, ["`missing` not found", "libzvfs_missing.so", folder.as_str()]),
            ("broken:x", Code::ELIBBAD, ["libzvfs_broken.so", "cannot be loaded", folder.as_str()]),
            (
                "wrong:x",
                Code::EPROTONOSUPPORT,
                ["`fine` does not serve `other`", "only fine", "correct the alias"],
            ),
        ] {
            let (error, text) = refused(&registry, descriptor);
            assert_eq!(error.code(), code, "{descriptor}");
            for word in words {
                assert!(text.contains(word), "`{word}` is not in `{text}`");
            }
            assert!(
                error.chain().starts_with(&format!("open {descriptor}: ")) || text == error.to_string(),
                "{error:?}"
            );
        }
        open(&registry, "fine:x").unwrap();
        open(&registry, "FINE:x").unwrap();
    });
}

#[test]
fn a_provider_mended_on_disk_works_without_a_restart() {
    over(plugins, |plugins| {
        let registry = plugins.registry();
        refused(&registry, "late:x");
        plugins.add("late", "table", &[]);
        open(&registry, "late:x").unwrap();
    });
}

#[test]
fn the_environments_configuration_is_honoured_and_checked_like_a_library() {
    let plugins = plugins();
    let config = plugins.path().join("zvfs.toml");
    let text = format!("provider-path = [{:?}]\n[provider.table]\n", plugins.path().display().to_string());
    fs::write(&config, text).unwrap();
    let open = |config: &Path| -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_zvfs-faults-host"));
        // Not in the configuration's own folder, and not without one: the default would be the host's folder.
        command.args(["open", "table:"]).env("ZVFS_CONFIG", config).current_dir("/");
        run(command).expect("the host")
    };
    let said = |output: &Output| String::from_utf8_lossy(&output.stdout).into_owned();
    let output = open(&config);
    assert!(output.status.success(), "{}", said(&output));

    mode(&config, 0o666);
    let output = open(&config);
    assert_eq!(output.status.code(), Some(1));
    assert!(said(&output).contains(&format!("chmod o-w {}", config.display())), "{}", said(&output));

    mode(&config, 0o600);
    mode(&plugins.path(), 0o777);
    let output = open(&config);
    assert!(!output.status.success() && said(&output).contains("chmod o-w"), "{}", said(&output));

    mode(&plugins.path(), 0o700);
    let output = open(&plugins.path().join("absent.toml"));
    assert!(!output.status.success() && said(&output).contains("absent.toml"), "{}", said(&output));
}

/// A set-uid copy of the host: it runs as a stranger whom root started. `None`, with the reason printed, where that cannot be.
fn set_uid_host(folder: &Plugins) -> Option<PathBuf> {
    let host = folder.path().join("host");
    // By another process: a file that a thread of this one still had open for writing could not be run (ETXTBSY).
    let mut copy = Command::new("cp");
    copy.arg(env!("CARGO_BIN_EXE_zvfs-faults-host")).arg(&host);
    succeeded(copy);
    let mounted = rustix::fs::statvfs(&host).expect("a file system").f_flag;
    if !rustix::process::geteuid().is_root() || mounted.contains(rustix::fs::StatVfsMountFlags::NOSUID) {
        skip("set-uid needs root, and a file system that allows it");
        return None;
    }
    chown(&host, Some(STRANGER), None).expect("chown");
    mode(&host, 0o4755);
    mode(&folder.path(), 0o755);
    Some(host)
}

#[test]
fn a_set_uid_host_ignores_the_environments_configuration() {
    let plugins = plugins();
    let Some(host) = set_uid_host(&plugins) else { return };
    let config = plugins.path().join("zvfs.toml");
    let text = format!("provider-path = [{:?}]\n[provider.table]\n", plugins.path().display().to_string());
    fs::write(&config, text).unwrap();
    let run_as = |bits: u32| {
        mode(&host, bits);
        let mut command = Command::new(&host);
        command.args(["open", "table:"]).env("ZVFS_CONFIG", &config);
        let output = run(command).expect("the host");
        (output.status.success(), String::from_utf8_lossy(&output.stdout).into_owned())
    };
    assert_eq!(run_as(0o755), (true, "ok\n".to_owned()), "without the bit it works");
    let (success, text) = run_as(0o4755);
    assert!(!success && text.contains("unknown scheme `table`") && text.contains("lib/zvfs"), "{text}");
}

#[test]
fn a_set_uid_host_trusts_root_only() {
    let plugins = plugins();
    let Some(host) = set_uid_host(&plugins) else { return };
    let library = plugins.file("table");
    chown(&library, Some(STRANGER), None).unwrap();
    let load =
        |command: &mut Command| command.args(["load", "table"]).arg(&library).output().expect("the host");
    // Its own library is good enough for a stranger who started it, and not for one whom somebody else did.
    let output = load(Command::new(&host).uid(STRANGER));
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    let output = load(&mut Command::new(&host));
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(!output.status.success() && text.contains(&format!("owned by user {STRANGER}")), "{text}");
    chown(&library, Some(0), None).unwrap();
    assert!(load(&mut Command::new(&host)).status.success());
}

#[test]
fn a_configuration_that_is_no_file_is_refused_at_once() {
    over(plugins, |plugins| {
        let fifo = fifo(plugins.path().join("zvfs.toml"));
        for (path, words) in [(fifo, "not a regular file"), (plugins.path(), "is a folder")] {
            let error = Configuration::read(&path).unwrap_err();
            assert!(error.chain().contains(words), "{}", error.chain());
        }
    });
}
