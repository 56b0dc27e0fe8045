//! What an operator may write into a setting, for every provider in the same way.

use crate::support::{Folder, bare, run, under};
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use vfs_core::{Library, Provider, Scope, Setting, SettingKind};
use zvfs_test_support::{built, library, providers};

/// The settings of every provider that an operator may give.
fn settings() -> Vec<(String, Setting)> {
    let mut all = Vec::new();
    for name in providers() {
        let info = Library::load(&library(&name), &name, None).unwrap().info();
        let given = info.settings.into_iter().filter(|setting| setting.scope.contains(Scope::OPERATOR));
        all.extend(given.map(|setting| (name.clone(), setting)));
    }
    assert!(all.len() > 30, "{all:?}");
    all
}

/// What `zvfs providers` says of an operator's file with one section.
fn providers_under(folder: &Folder, provider: &str, settings: &str) -> crate::support::Done {
    let text = format!("[provider.{provider}]\nsettings = {{ {settings} }}");
    run(under(&folder.operator("zvfs.toml", &text), &["providers"]))
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
    // An access key is the name of one, and a secret is read from no path of its own.
    let is_key =
        |setting: &Setting| setting.name.ends_with("-key") && setting.name != "access-key" && !setting.secret;
    let keys: Vec<_> = settings().into_iter().filter(|(_, setting)| is_key(setting)).collect();
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

/// All of these passed `zvfs providers`, and failed with the first open.
#[test]
fn what_only_the_provider_can_tell_is_told_without_an_open() {
    let folder = Folder::new();
    let key = folder.write("key.pem", "nonsense");
    fs::set_permissions(&key, Permissions::from_mode(0o600)).unwrap();
    for (provider, written, code, words) in [
        ("file", "root = \"/nope\"".to_owned(), 2, "/nope"),
        ("http", "proxy = \"x\"".to_owned(), 22, "setting `proxy`"),
        ("http", "ca-file = \"/nope\"".to_owned(), 2, "/nope"),
        ("http", "client-cert = \"/nope\"".to_owned(), 22, "client-key"),
        ("http", "allowed-hosts = [\"a b\"]".to_owned(), 22, "allowed-hosts"),
        ("tcp", "listen = \"nowhere at all\"".to_owned(), 22, "nowhere at all"),
        ("tcp", format!("tls-ca = {key:?}, tls-cert = {key:?}, tls-key = {key:?}"), 22, "tls-"),
    ] {
        let done = providers_under(&folder, provider, &written);
        assert_eq!(done.code, code, "{done:?}");
        assert!(done.out().contains("  problem   [provider.") && done.out().contains(words), "{done:?}");
    }
    let done =
        providers_under(&folder, "http", "retries = 5000, addresses = \"blah\", proxy = \"ok\", x = 1");
    assert_eq!(done.out().matches("  problem   ").count(), 3, "each problem is a line: {done:?}");
}

/// Aliases in a circle, and to what is not served, were found by whoever opened them.
#[test]
fn an_alias_that_leads_nowhere_is_a_problem() {
    let folder = Folder::new();
    for (text, code, words) in [
        ("[provider.mem]\n[alias]\naa = \"bb\"\nbb = \"aa\"", 22, "[alias] aa: `bb` is an alias too"),
        ("[provider.mem]\n[alias]\naa = \"null\"", 13, "add a section [provider.null]"),
        ("[provider.mem]\n[alias]\naa = { provider = \"mem\", scheme = \"s3\" }", 93, "does not serve `s3`"),
    ] {
        let done = run(under(&folder.operator("zvfs.toml", text), &["providers"]));
        assert_eq!(done.code, code, "{done:?}");
        assert!(done.out().contains(words) || done.stderr.contains(words), "no `{words}` in {done:?}");
    }
    let text = format!("provider-path = [{:?}, \"/nope\"]\n[provider.mem]\n", built());
    run(under(&folder.write("zvfs.toml", text), &["providers"]))
        .failed(2, &["provider-path /nope: no such folder"]);
}

/// One library that exits, aborts or never returns took the whole listing with it, or held it for ever.
#[test]
fn one_bad_library_is_one_broken_line() {
    let Some(folder) = Folder::needing(&["cc"]) else { return };
    for (name, body) in [("exits", "exit(0);"), ("aborts", "abort();"), ("pauses", "for (;;) pause();")] {
        let source = format!(
            "#include <stdlib.h>\n#include <unistd.h>\n__attribute__((constructor)) static void begin(void) {{ {body} }}\n"
        );
        folder.library(&format!("libzvfs_{name}.so"), &source);
    }
    let path = folder.path().to_str().unwrap();
    let mut command = bare();
    command.args(["--provider-path", path, "--provider-path", built().to_str().unwrap(), "providers"]);
    let done = run(command);
    for words in [
        "exits: broken: ",
        "aborts: broken: it ends the process that loads it by signal 6",
        "pauses: broken: loading, starting and stopping it does not finish within",
        "\nnull 0.1.0: ",
        "\nfile 0.1.0: ",
    ] {
        assert!(format!("\n{}", done.out()).contains(words), "no `{words}` in {done:?}");
    }
    assert_eq!(done.code, 80, "{done:?}");
}
