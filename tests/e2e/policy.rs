//! What may load, from where, and what the command says of it.

use crate::support::{Folder, bare, repository, run, zvfs};
use std::fs::{self, Permissions};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;
use zvfs_test_support::{built, free_port, have, have_walls, library, skip};

/// The command under an operator's file of this text, over the providers that were built for this test.
fn under(folder: &Folder, text: &str, arguments: &[&str]) -> Command {
    crate::support::under(&folder.operator("zvfs.toml", text), arguments)
}

#[test]
fn a_scheme_without_a_section_is_not_allowed() {
    let folder = Folder::new();
    let done = run(under(&folder, "[provider.null]\n", &["stat", "/etc/passwd"]));
    done.failed(13, &["scheme `file` is not allowed", "[provider.file]", &folder.at("zvfs.toml")]);
    run(under(&folder, "[provider.null]\n", &["cp", "null:", "null:"])).succeeded();
}

/// `cargo install` puts the command alone into `bin`: docs/packages.md.
#[test]
fn a_command_alone_says_where_it_looks_for_providers_and_finds_them_there() {
    let folder = Folder::new();
    for name in ["bin", "lib"] {
        fs::create_dir(folder.at(name)).unwrap();
    }
    let (command, content) = (folder.at("bin/zvfs"), folder.write("content", "x"));
    fs::copy(env!("CARGO_BIN_EXE_zvfs"), &command).unwrap();
    let cat = || {
        let mut cat = Command::new(&command);
        cat.args(["cat", &content]).env_remove("ZVFS_CONFIG");
        run(cat)
    };
    cat().failed(93, &["no libzvfs_file.so in", &folder.at("bin/../lib/zvfs"), "no such folder"]);
    fs::create_dir(folder.at("lib/zvfs")).unwrap();
    fs::copy(library("file"), folder.at("lib/zvfs/libzvfs_file.so")).unwrap();
    assert_eq!(cat().succeeded().out(), "x");
}

#[test]
fn unknown_not_allowed_and_broken_are_three_errors() {
    let folder = Folder::new();
    let path = folder.path().to_str().unwrap();
    folder.write("libzvfs_broken.so", "not a library");
    let only = |arguments: &[&str]| {
        let mut command = bare();
        command.args(["--provider-path", path]).args(arguments);
        run(command)
    };
    // What the user named comes before standard output, which there is no provider for either.
    only(&["cat", "unknown:x"]).failed(93, &["unknown scheme `unknown`"]);
    let done = only(&["stat", "unknown:x"]);
    done.failed(93, &["unknown scheme `unknown`", "libzvfs_unknown.so", path]);
    only(&["stat", "broken:x"]).failed(80, &["libzvfs_broken.so", "cannot be loaded"]);
    run(under(&folder, "[provider.null]\n", &["stat", "mem:x"])).failed(13, &["not allowed"]);
}

#[test]
fn a_configuration_that_others_may_change_is_refused_with_its_mend() {
    let folder = Folder::new();
    let mut command = under(&folder, "[provider.null]\n", &["providers"]);
    fs::set_permissions(folder.at("zvfs.toml"), Permissions::from_mode(0o666)).unwrap();
    command.env("LC_ALL", "C");
    run(command).failed(13, &["writable by everybody", "chmod o-w"]);
}

#[test]
fn a_configuration_that_is_wrong_is_told_in_one_line() {
    let folder = Folder::new();
    for (text, words) in [
        ("[provider.null", "configuration"),
        ("colour = 1", "line 2: unknown key `colour`"),
        ("[provider.null]\nsettings = { colour = 1 }", "unknown setting `colour`"),
        ("[provider.null]\nsha256 = \"12\"", "SHA-256"),
        ("[alias]\ndata = \"null\"", "not allowed"),
    ] {
        let done = run(under(
            &folder,
            text,
            &["cp", if text.contains("alias") { "data:" } else { "null:" }, "null:"],
        ));
        assert!(matches!(done.code, 13 | 22), "{done:?}");
        done.failed(done.code, &[words]);
        assert_eq!(done.stderr.lines().count(), 1, "{done:?}");
    }
    run(crate::support::under(&folder.at("missing.toml"), &["providers"])).failed(2, &["missing.toml"]);
}

/// A folder as configuration ended with 80, as a broken library does; a slip in --provider-path found nothing, and did not say why.
#[test]
fn what_cannot_be_reached_is_told_and_not_taken_for_none() {
    let folder = Folder::new();
    let with = |arguments: &[&str]| {
        let mut command = bare();
        command.args(arguments);
        run(command)
    };
    with(&["--config", &folder.at(""), "providers"]).failed(21, &["configuration ", "is a folder"]);
    let dangling = folder.at("dangling.toml");
    std::os::unix::fs::symlink(folder.at("nowhere"), &dangling).unwrap();
    with(&["--config", &dangling, "providers"]).failed(2, &["dangling.toml"]);
    let typo = folder.at("typo");
    with(&["--provider-path", &typo, "stat", "mem:x"]).failed(2, &["--provider-path", &typo, "no such file"]);
    let file = folder.write("file", "");
    with(&["--provider-path", &file, "stat", "mem:x"]).failed(20, &["--provider-path", "not a folder"]);
    let config = folder.write("typo.toml", format!("provider-path = [{typo:?}]\n[provider.mem]\n"));
    let done = with(&["--config", &config, "stat", "mem:x"]);
    done.failed(93, &["provider `mem` not found", &format!("{typo} (no such folder)")]);
    // A folder that cannot be searched may hold the very library that was meant: the next folder's is not taken for it.
    std::os::unix::fs::symlink(folder.at("loop"), folder.at("loop")).unwrap();
    let text = format!("provider-path = [{:?}, {:?}]\n[provider.mem]\n", folder.at("loop"), built());
    let config = folder.write("loop.toml", text);
    with(&["--config", &config, "stat", "mem:x"]).failed(40, &[&folder.at("loop/libzvfs_mem.so")]);
}

#[test]
fn an_alias_has_settings_of_its_own() {
    let folder = Folder::new();
    fs::create_dir(folder.path().join("data")).unwrap();
    folder.write("data/inside", "inside\n");
    let outside = folder.write("outside", "outside\n");
    let text = format!(
        "[provider.file]\n[alias]\ndata = {{ provider = \"file\", settings = {{ root = [{:?}], read-only = true }} }}\n",
        folder.at("data")
    );
    let inside = format!("data:{}", folder.at("data/inside"));
    assert_eq!(run(under(&folder, &text, &["cat", &inside])).succeeded().out(), "inside\n");
    assert_eq!(run(under(&folder, &text, &["cat", &outside])).succeeded().out(), "outside\n");
    run(under(&folder, &text, &["cat", &format!("data:{outside}")])).failed(13, &["outside"]);
    run(under(&folder, &text, &["rm", &inside])).failed(30, &["read-only"]);
    let listed = run(under(&folder, &text, &["providers"]));
    assert!(listed.succeeded().out().contains("aliases   data"), "{listed:?}");
}

#[test]
fn a_providers_place_is_listed_and_programs_do_not_notice_it() {
    if !have_walls() {
        return;
    }
    let folder = Folder::new();
    let data = folder.write("data", "some content\n");
    let other = folder.write("other", "other content\n");
    let text = format!(
        "[provider.mem]\n[provider.file]\nplace = \"process\"\nmay = {{ standard-streams = true, read = [{:?}] }}\n",
        folder.path()
    );
    let listed = run(under(&folder, &text, &["providers"]));
    let out = listed.succeeded().out();
    let place =
        format!("runs      in a process of its own: may standard-streams, read {}", folder.path().display());
    assert!(out.contains(&place) && out.contains("runs      in the host"), "{out}");
    assert_eq!(run(under(&folder, &text, &["cat", &data])).succeeded().out(), "some content\n");
    for refused in [
        ["cat", "/etc/passwd"].as_slice(),
        &["cp", &data, &folder.at("copy")],
        &["cp", &data, &other],
        &["ls", "/etc"],
        &["rm", &data],
    ] {
        let may =
            format!("access denied (its process may standard-streams, read {})", folder.path().display());
        run(under(&folder, &text, refused)).failed(13, &[&may]);
    }
    // A standard stream is still known to be the file that is read; and a limit of file sizes ends nothing by its signal.
    let config = folder.at("zvfs.toml");
    for (blocks, code) in [(100_000, 22), (100, 27)] {
        let mut shell = Command::new("sh");
        let line = format!("ulimit -f {blocks}; \"$0\" \"$@\" cat - <{data} >>{data}");
        shell.args(["-c", &line]).arg(bare().get_program()).args(["--config", &config]);
        run(shell).failed(code, &[]);
    }
    // What may not use the standard streams says so, and swallows nothing.
    let text = text.replace("standard-streams = true, ", "");
    run(under(&folder, &text, &["cat", &data])).failed(9, &["standard output", "`standard-streams`"]);
    let words = ["not open in this direction", "add standard-streams = true to its `may`"];
    run(under(&folder, &text, &["cat", "-"])).failed(9, &["/dev/stdin", words[0], words[1]]);
    folder.write("guest.wat", "(module (memory (export \"memory\") 1) (func (export \"_start\")))");
    let manifest = folder.write(
        "guest.manifest",
        "Version = 20140509\nProgram = ${MANIFEST_DIR}/guest.wat\nMemory = 1048576, 0\nTimeout = 60\n\
         Channel = /dev/null, /dev/stdin, 0, 1, 1, 0, 0\n\
         Channel = /dev/stdout, /dev/stdout, 0, 0, 0, 1, 1\n\
         Channel = /dev/null, /dev/stderr, 0, 0, 0, 1, 1\n",
    );
    let done = run(under(&folder, &text, &["run", &manifest]));
    assert!(words.iter().all(|word| done.stderr.contains(word)), "{done:?}");
}

#[test]
fn what_a_provider_in_a_process_may_not_do_names_what_it_may() {
    if !have_walls() || !have(&["/etc/ssl/certs/ca-certificates.crt"]) {
        return;
    }
    let folder = Folder::new();
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let https = format!("https://{}/", server.local_addr().unwrap());
    let key = folder.write("key", "a key");
    let section = |more: &str| format!("[provider.http]\nplace = \"process\"\n{more}\n");
    let connects = "may = { tcp-connect = true }";
    let half = "may = { tcp-connect = true, udp = true }";
    let file = format!("{connects}\nsettings = {{ ca-file = {key:?} }}");
    for (more, descriptor, code, words) in [
        ("", "http://127.0.0.1:9/", 1, ["127.0.0.1", "(its process may compute only)"]),
        (connects, "http://host.invalid/", 1, ["UDP may not be used", "(its process may tcp-connect)"]),
        (
            half,
            "http://host.invalid/",
            1,
            ["/etc/resolv.conf may not be read", "(its process may tcp-connect, udp)"],
        ),
        (
            connects,
            &https,
            1,
            ["may not be read: in a process, let `read` of `may` have it", "(its process may tcp-connect)"],
        ),
        (&file, "http://127.0.0.1:9/", 13, [&key, "(its process may tcp-connect)"]),
    ] {
        run(under(&folder, &section(more), &["cat", descriptor])).failed(code, &words);
    }
}

/// Found: Landlock's word for what it refuses said nothing of `may`.
#[test]
fn what_landlock_refuses_a_netpipe_names_what_its_process_may() {
    if !have_walls() {
        return;
    }
    let folder = Folder::new();
    let data = folder.write("data", "some content\n");
    let pipe = format!("tcp://127.0.0.1:{}", free_port());
    for (may, command, words) in [
        ("tcp-connect", ["cp", pipe.as_str(), "null:"], "listen at 127.0.0.1:"),
        ("tcp-listen", ["cp", data.as_str(), &pipe], "connect to 127.0.0.1:"),
    ] {
        let text = format!(
            "[provider.file]\n[provider.null]\n[provider.tcp]\nplace = \"process\"\nmay = {{ {may} = true }}"
        );
        let process = format!(": access denied (its process may {may})");
        run(under(&folder, &text, &command)).failed(13, &[words, &process]);
    }
    // Of a process that root's host has, too.
    let first = fs::read_to_string("/proc/sys/net/ipv4/ip_unprivileged_port_start").unwrap();
    if first.trim().parse::<u16>().unwrap() <= 1 {
        return skip("any user may listen at any port here");
    }
    let text = "[provider.null]\n[provider.tcp]\nplace = \"process\"\nmay = { tcp-listen = true }";
    run(under(&folder, text, &["cp", "tcp://127.0.0.1:1", "null:"])).failed(
        13,
        &["listen at 127.0.0.1:1 (ports below 1024 need a privilege, which no provider in a process has)"],
    );
}

#[test]
fn a_process_with_too_little_memory_names_that() {
    if !have_walls() {
        return;
    }
    let folder = Folder::new();
    let text = "[provider.mem]\nplace = \"process\"\nmay = { memory = \"4m\" }";
    let done = run(under(&folder, text, &["stat", "mem:x"]));
    assert_ne!(done.code, 0, "{done:?}");
    done.failed(done.code, &["no thread available", "(its process may compute only; memory 4m)"]);
}

#[test]
fn an_open_that_leads_nowhere_is_listed() {
    if !have_walls() {
        return;
    }
    let folder = Folder::new();
    let text = "[provider.mem]\nplace = \"process\"\nmay = { open = [\"nosuch\", \"mem\"] }";
    let done = run(under(&folder, text, &["providers"]));
    assert_ne!(done.code, 0, "{done:?}");
    done.failed(done.code, &["[provider.mem] may = { open = [\"nosuch\"] }: unknown scheme `nosuch`"]);
    assert!(!done.stderr.contains("\"mem\""), "{done:?}");
}

#[test]
fn the_environment_names_the_configuration_and_an_option_goes_before_it() {
    let folder = Folder::new();
    let other = folder.operator("other.toml", "[provider.mem]");
    let mut command = under(&folder, "[provider.null]\n", &["cp", "null:", "null:"]);
    run({
        command.env("ZVFS_CONFIG", &other);
        command
    })
    .succeeded();
    let mut command = bare();
    command.env("ZVFS_CONFIG", &other).args(["cp", "null:", "null:"]);
    run(command).failed(13, &["other.toml"]);
}

#[test]
fn providers_says_what_serves_what_from_where_and_why() {
    let done = run(zvfs(["providers"]));
    for name in ["null", "mem", "file"] {
        let path = library(name).canonicalize().unwrap();
        for words in [
            format!("\n{name} 0.1.0: "),
            format!("from      {}", path.display()),
            format!("serves    {name}"),
        ] {
            assert!(format!("\n{}", done.out()).contains(&words), "no `{words}` in {done:?}");
        }
    }
    assert!(done.out().contains("because   found in a folder of --provider-path"), "{done:?}");
    assert!(done.out().contains("root: path, repeatable, the operator's, default `/`"), "{done:?}");
}

#[test]
fn providers_lists_a_broken_one_with_its_reason() {
    let folder = Folder::new();
    folder.write("libzvfs_broken.so", "not a library");
    let done = run(under(&folder, "[provider.null]\n[provider.broken]\n[provider.absent]\n", &["providers"]));
    assert!(done.out().contains("absent: broken: provider `absent` not found"), "{done:?}");
    assert!(done.out().contains("\nnull 0.1.0"), "{done:?}");
    assert_eq!(done.code, 93, "{done:?}");
    let mut command = bare();
    command.arg("--provider-path").arg(folder.path()).arg("providers");
    let done = run(command);
    assert!(done.out().contains("broken: broken: ") && done.out().contains("libzvfs_broken.so"), "{done:?}");
    assert_eq!(done.code, 80, "{done:?}");
}

#[test]
fn verbose_tells_what_is_loaded() {
    let quiet = run(zvfs(["cp", "null:", "null:"]));
    quiet.succeeded();
    let done = run(zvfs(["-vv", "cp", "null:", "null:"]));
    done.failed(0, &["loaded null", "libzvfs_null.so"]);
}

#[test]
fn a_wrong_setting_is_told_with_its_place() {
    let folder = Folder::new();
    for (text, words) in [
        ("[provider.mem]\nsettings = { limit = \"plenty\" }", "[provider.mem] in "),
        (
            "[provider.mem]\n[alias]\nscratch = { provider = \"mem\", settings = { lmit = 5 } }",
            "[alias] scratch in ",
        ),
    ] {
        let done = run(under(&folder, text, &["providers"]));
        assert_eq!(done.code, 22, "{done:?}");
        let out = done.out();
        assert!(out.contains(words) && out.contains("zvfs.toml") && out.contains("setting `"), "{done:?}");
    }
}

/// In a build tree the command listed the providers of the tests, too: all that is called libzvfs_*.so and lies beside it.
#[test]
fn a_build_makes_no_providers_but_those_that_are_installed() {
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["metadata", "--no-deps", "--offline", "--format-version", "1"]).current_dir(repository("."));
    let metadata: serde_json::Value = serde_json::from_slice(&run(cargo).succeeded().stdout).unwrap();
    let mut providers = Vec::new();
    for package in metadata["packages"].as_array().unwrap() {
        for target in package["targets"].as_array().unwrap() {
            let library = target["crate_types"].as_array().unwrap().iter().any(|kind| kind == "cdylib");
            let name = target["name"].as_str().unwrap();
            if library && name.starts_with("zvfs_") {
                providers.push((name.to_owned(), package["manifest_path"].as_str().unwrap().to_owned()));
            }
        }
    }
    assert!(providers.len() >= 5, "{providers:?}");
    let folder = repository("providers").display().to_string();
    for (name, manifest) in providers {
        assert!(manifest.starts_with(&folder), "{manifest}: a build tree's `zvfs providers` lists {name}");
    }
}
