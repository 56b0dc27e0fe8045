//! What the operator's file may say, and the words for what it may not.
#![cfg(feature = "host")]

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use vfs_core::{Code, Configuration, Refusal, Walls};

#[test]
fn what_is_malformed_is_einval_with_its_line_and_what_was_meant() {
    for (text, words) in [
        (
            "\n\nprovider-paths = []",
            &["line 3", "unknown key `provider-paths`", "did you mean `provider-path`?"][..],
        ),
        ("[provider.file]\nsetings = {}", &["line 2", "unknown key `setings`", "did you mean `settings`?"]),
        (
            "[provider.file]\ncolour = 1",
            &["line 2", "`colour` of [provider.file]", "`sha256`, `settings`, `place`"],
        ),
        ("[providers.file]", &["line 1", "unknown key `providers`", "did you mean `provider`?"]),
        ("[provider]\nfile = 7", &["line 2", "write [provider.file]"]),
        ("provider = 7", &["line 1", "write [provider.file]"]),
        ("alias = 7", &["line 1", "write [alias]"]),
        (
            "[alias]\nx1 = { provider = \"file\", schema = \"a\" }",
            &["line 2", "alias `x1`", "did you mean `scheme`?"],
        ),
        (
            "[alias]\nx1 = { provider = \"file\", scheme = \"a b\" }",
            &["line 2", "alias `x1`", "`scheme`", "2 to 32"],
        ),
        ("[alias]\nx1 = { scheme = \"ab\" }", &["line 2", "an alias is"]),
        ("[alias]\nx1 = 7", &["line 2", "an alias is"]),
        ("[alias]\nDATA = \"file\"\ndata = \"mem\"", &["alias `", "in another case"]),
        ("[provider.x]\nsettings = { a = 1.5 }", &["line 2", "setting `a`", "a setting is"]),
        ("[provider.x]\nsettings = { a = 1979-05-27 }", &["line 2", "setting `a`", "a setting is"]),
        ("[provider.x]\nsettings = { a = [1] }", &["line 2", "setting `a`", "a list of texts"]),
        ("[provider.x]\nsettings = { a = 99999999999999999999 }", &["line 2", "setting `a`", "64 bits"]),
        ("[provider.x]\nsettings = 7", &["line 2", "write settings = { name = value }"]),
        ("[provider.x]\nsha256 = 7", &["line 2", "64 hexadecimal digits"]),
        ("[provider.x]\nplace = \"proces\"", &["line 2", "`place` is \"host\" or \"process\""]),
        ("[provider.x]\nplace = true", &["line 2", "`place` is \"host\" or \"process\""]),
        ("[provider.x]\nmay = {}", &["line 2", "`may` is about a process", "write place = \"process\""]),
        ("[provider.x]\nplace = \"host\"\nmay = { udp = true }", &["line 3", "leave `may` out"]),
        ("[provider.x]\nmay-lack = []", &["line 2", "`may-lack` is about a process"]),
        ("[provider.x]\nplace = \"process\"\nmay = 7", &["line 3", "`may` is a table"]),
        (
            "[provider.x]\nplace = \"process\"\nmay = { tcp-conect = true }",
            &["line 3", "`tcp-conect` of `may`", "did you mean `tcp-connect`?"],
        ),
        ("[provider.x]\nplace = \"process\"\nmay = { dns = 1 }", &["line 3", "`dns` is true or false"]),
        ("[provider.x]\nplace = \"process\"\nmay = { read = \"/a\" }", &["`read` is a list of paths"]),
        ("[provider.x]\nplace = \"process\"\nmay = { write = [\"a\"] }", &["write \"a\"", "absolute path"]),
        ("[provider.x]\nplace = \"process\"\nmay = { read = [\"\"] }", &["read \"\"", "absolute path"]),
        (
            "[provider.x]\nplace = \"process\"\nmay = { open = [\"FILE:\"] }",
            &["open \"FILE:\"", "without its colon"],
        ),
        ("[provider.x]\nplace = \"process\"\nmay = { memory = \"big\" }", &["line 3", "memory = \"512m\""]),
        (
            "[provider.x]\nplace = \"process\"\nmay = { memory = \"0\" }",
            &["line 3", "`memory` is 0", "leave it out"],
        ),
        ("[provider.x]\nplace = \"process\"\nmay-lack = [\"landlok\"]", &["did you mean `landlock`?"]),
        ("[provider.x]\nplace = \"process\"\nmay-lack = [\"x\"]", &["`landlock`, `landlock-net`, `seccomp`"]),
        ("provider-path = [\"relative\"]", &["line 1", "provider-path \"relative\"", "absolute path"]),
        ("provider-path = \"/x\"", &["line 1", "`provider-path` is a list"]),
        ("provider-path = []", &["line 1", "`provider-path` is an empty list"]),
        ("[provider.UPPER]", &["line 1", "[provider.UPPER]", "not a provider's name"]),
        ("[provider.\"../x\"]", &["not a provider's name"]),
        ("[alias]\nx = \"file\"", &["line 2", "alias `x`", "2 to 32"]),
        ("[alias]\n\"a/b\" = \"file\"", &["alias `a/b`"]),
        ("[alias]\nlogs = \"No Name\"", &["line 2", "alias `logs`", "`No Name`", "not a provider's name"]),
        ("[provider.x\n", &["line 1"]),
    ] {
        let error = Configuration::parse(text).unwrap_err();
        assert_eq!(error.code(), Code::EINVAL, "{text}");
        let shown = error.chain();
        for word in words {
            assert!(shown.contains(word), "`{word}` is not in `{shown}`");
        }
        assert!(!shown.contains('\n'), "one line: {shown:?}");
        for word in ["struct", "sequence", "field", "i128", "__toml", "variant", "Some("] {
            assert!(!shown.contains(word), "the library's words: {shown}");
        }
    }
}

#[test]
fn a_malformed_files_error_does_not_repeat_what_stands_there() {
    for text in [
        "[provider.x]\nsettings = { key = hunter2 }",
        "[provider.x]\nsettings = { key = \"hunter2\"",
        "[provider.x]\nsettings = { key = \"hunter2\" }\nkey = 1",
    ] {
        let error = Configuration::parse(text).unwrap_err();
        assert!(!error.chain().contains("hunter2"), "{}", error.chain());
    }
}

#[test]
fn a_file_is_read_by_its_name_and_its_errors_name_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().canonicalize().unwrap().join("zvfs.toml");
    let named = |text: &str| {
        fs::write(&path, text).unwrap();
        Configuration::find(Some(&path), &[])
    };
    named("provider-path = [\"/usr/lib/zvfs\"]\n[provider.file]\nsettings = { root = [\"/a\", \"/b\"] }")
        .unwrap();
    for text in ["nonsense", "[alias]\nx = \"y\"", &"#".repeat((1 << 20) + 1)] {
        let error = named(text).unwrap_err();
        assert!(
            error.chain().starts_with(&format!("configuration {}: ", path.display())),
            "{}",
            error.chain()
        );
    }
    fs::write(&path, b"# a\n# b\xff\n").unwrap();
    let error = Configuration::find(Some(&path), &[]).unwrap_err();
    assert_eq!(error.code(), Code::EINVAL);
    assert!(error.chain().ends_with("line 2: not UTF-8 text"), "{}", error.chain());
    let error = Configuration::find(Some(folder.path()), &[]).unwrap_err();
    assert_eq!(error.code(), Code::EISDIR, "{}", error.chain());

    let absent = folder.path().join("absent.toml");
    let error = Configuration::find(Some(&absent), &[PathBuf::from("/usr/lib/zvfs")]).unwrap_err();
    assert_eq!(error.code(), Code::ENOENT, "a file that was named must be there");
    assert!(error.chain().contains("absent.toml"), "{}", error.chain());
}

#[test]
fn a_file_that_others_can_write_is_refused_as_a_library_would_be() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().canonicalize().unwrap().join("zvfs.toml");
    fs::write(&path, "").unwrap();
    fs::set_permissions(&path, Permissions::from_mode(0o606)).unwrap();
    let error = Configuration::read(&path).unwrap_err();
    assert_eq!(error.code(), Code::EACCES);
    assert!(error.chain().contains(&format!("chmod o-w {}", path.display())), "{}", error.chain());
    let mut cause: Option<&dyn std::error::Error> = Some(&error);
    let refusal = std::iter::from_fn(|| {
        let error = cause?;
        cause = error.source();
        Some(error)
    })
    .find_map(|error| error.downcast_ref::<Refusal>());
    assert!(matches!(refusal, Some(Refusal::WorldWritable { .. })), "{refusal:?}");
}

#[test]
fn what_a_process_may_do_is_written_as_in_the_file() {
    let walls: Walls = "dns = true, read = [\"/etc/ssl\"], memory = \"1g\"".parse().unwrap();
    assert_eq!(walls.to_string(), "may dns, read /etc/ssl; memory 1g");
    assert_eq!("".parse::<Walls>().unwrap(), Walls::default());
    let error = "dsn = true".parse::<Walls>().unwrap_err();
    assert!(error.chain().contains("did you mean `dns`?"), "{}", error.chain());
    assert_eq!("} , x = { }".parse::<Walls>().unwrap_err().code(), Code::EINVAL);
}
