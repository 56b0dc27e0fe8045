//! What an operator may write into a setting, for every provider in the same way.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking, its helpers too")]

mod support;

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use support::{Folder, bare, providers, repository, run};
use vfs_core::{Library, Provider, Scope, Setting, SettingKind};

/// The settings of every provider that an operator may give.
fn settings() -> Vec<(String, Setting)> {
    let folders = fs::read_dir(repository("providers")).unwrap();
    let mut all = Vec::new();
    for name in folders.map(|folder| folder.unwrap().file_name().into_string().unwrap()) {
        let library = providers().join(format!("libzvfs_{name}.so"));
        let info = Library::load(&library, &name, None).unwrap().info();
        let given = info.settings.into_iter().filter(|setting| setting.scope.contains(Scope::OPERATOR));
        all.extend(given.map(|setting| (name.clone(), setting)));
    }
    assert!(all.len() > 30, "{all:?}");
    all
}

/// What `zvfs providers` says of an operator's file with one section.
fn providers_under(folder: &Folder, provider: &str, settings: &str) -> support::Done {
    let text =
        format!("provider-path = [{:?}]\n[provider.{provider}]\nsettings = {{ {settings} }}\n", providers());
    let mut command = bare();
    command.arg("--config").arg(folder.write("zvfs.toml", text)).arg("providers");
    run(command)
}

/// `root = []` and `allowed-hosts = []` meant everything: a list without values looked like a setting that nobody gave.
#[test]
fn an_empty_list_is_an_error_in_every_setting_that_is_one() {
    let folder = Folder::new();
    let lists: Vec<_> = settings().into_iter().filter(|(_, setting)| setting.list).collect();
    for known in ["root", "allowed-hosts", "credentials-for", "brokers", "advertise"] {
        assert!(lists.iter().any(|(_, setting)| setting.name == known), "{known}: {lists:?}");
    }
    for (provider, setting) in lists {
        let done = providers_under(&folder, &provider, &format!("{} = []", setting.name));
        assert_eq!(done.code, 22, "{done:?}");
        assert!(done.out().contains(&format!("setting `{}` is an empty list", setting.name)), "{done:?}");
    }
}

/// A client's private key was read though everybody could read it; a password in a file was not.
#[test]
fn a_private_key_is_as_private_as_a_secret() {
    let folder = Folder::new();
    let keys: Vec<_> = settings().into_iter().filter(|(_, setting)| setting.name.ends_with("-key")).collect();
    assert!(keys.len() >= 2, "{keys:?}");
    let key = folder.write("key.pem", "");
    for (provider, setting) in keys {
        assert!(setting.private && setting.kind == SettingKind::Path, "{provider}: {setting:?}");
        for (mode, refused) in [(0o644, true), (0o620, true), (0o600, false), (0o640, false)] {
            fs::set_permissions(&key, Permissions::from_mode(mode)).unwrap();
            let done = providers_under(&folder, &provider, &format!("{} = {key:?}", setting.name));
            let words = format!("setting `{}`: {key}: others may read or change it: chmod 600", setting.name);
            assert_eq!(done.out().contains(&words), refused, "{mode:o}: {done:?}");
            assert!(!refused || done.code == 13, "{mode:o}: {done:?}");
        }
    }
}

/// `retries = 5000` and `crc = "sometimes"` passed `zvfs providers`, and failed, or not, with the first open.
#[test]
fn a_value_that_no_setting_can_have_is_told_with_those_that_it_can() {
    let folder = Folder::new();
    for (provider, written, words) in [
        ("http", "retries = 5000", "setting `retries` is `5000`, not an integer, 0 to 1000"),
        ("http", "retrys = 5", "unknown setting `retrys`: did you mean `retries`?"),
        ("http", "stall-timeout = \"0s\"", "not a duration, 1ms or more"),
        ("http", "addresses = \"blah\"", "not `no-link-local`, `public` or `any`"),
        ("tcp", "crc = \"sometimes\"", "not `auto`, `on` or `off`"),
        ("tcp", "window = \"1k\"", "not a size in bytes, 64k to 64m"),
        ("tcp", "peer-timeout = \"10ms\"", "not a duration, 1s or more"),
        ("file", "read-only = 1", "not `true` or `false`"),
    ] {
        let done = providers_under(&folder, provider, written);
        assert_eq!(done.code, 22, "{done:?}");
        assert!(done.out().contains(words), "no `{words}` in {done:?}");
    }
}
