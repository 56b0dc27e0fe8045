//! What a manifest says, and what each defect is answered with.

use std::io::Write;
use std::time::Duration;
use zvm::{BYTES_MAX, CHANNELS_MAX, Commit, ExitCode, Failure, LINES_MAX, Manifest, Version};

const STANDARD: &str = "\
Channel = /dev/stdin, /dev/stdin, 0, 0, 10, 100, 0, 0
Channel = /dev/stdout, /dev/stdout, 0, 0, 0, 0, 10, 100
Channel = /dev/stderr, /dev/stderr, 0, 0, 0, 0, 10, 100
";

/// A good manifest of 7 lines, with other lines behind it.
fn good(more: &str) -> String {
    format!(
        "Version = 20130611\nProgram = /bin/guest.wasm\nMemory = 4294967296, 0\nTimeout = 5\n{STANDARD}{more}"
    )
}

fn newer(more: &str) -> String {
    good(more).replace("20130611", "20140509")
}

fn parse(text: &str) -> Result<Manifest, Failure> {
    Manifest::parse(text.as_bytes())
}

fn without(key: &str) -> String {
    good("").lines().filter(|line| !line.starts_with(key)).map(|line| format!("{line}\n")).collect()
}

/// A good manifest with another value for a key.
fn with(key: &str, value: &str) -> String {
    format!("{key} = {value}\n{}", without(key))
}

#[track_caller]
fn refused(text: &str, exit: ExitCode, line: usize, words: &str) {
    let failure = parse(text).expect_err(text);
    assert_eq!(failure.exit(), exit, "{failure}");
    let start = format!("MANIFEST {line}: ");
    assert!(failure.text().starts_with(&start), "expected `{start}`, got `{failure}`");
    assert!(failure.text().contains(words), "expected `{words}`, got `{failure}`");
}

#[test]
fn what_a_guest_finds_in_its_directories_is_said_by_keys() {
    let manifest = parse(&good(
        "Scratch = 0x100000\nTime = 7\nChannel = /l.tar, /dev/lib, 1, 0, 9, 9, 0, 0\nMount = /dev/lib, /lib\nMount=/dev/lib,/w,rw
Preopen = /w/tmp, tmp\nPreopen = /lib\nInteractive = /dev/stdin\nInteractive = /dev/stdout\n",
    ))
    .unwrap();
    assert_eq!((manifest.scratch, manifest.time), (Some(1 << 20), Some(7)));
    let mounts: Vec<_> = manifest.mounts.iter().map(|mount| (mount.path.as_str(), mount.writable)).collect();
    assert_eq!(mounts, [("/lib", false), ("/w", true)]);
    let preopens: Vec<_> =
        manifest.preopens.iter().map(|preopen| (preopen.path.as_str(), preopen.name.as_str())).collect();
    assert_eq!(preopens, [("/w/tmp", "tmp"), ("/lib", "/lib")]);
    let interactive: Vec<bool> = manifest.channels.iter().map(|channel| channel.interactive).collect();
    assert_eq!(interactive, [true, true, false, false]);
    for twice in [
        "Interactive = /dev/stdin\nInteractive = /dev/stdin",
        "Preopen = /a, x\nPreopen = /b, x",
        "Scratch = 1\nScratch = 1",
    ] {
        assert_eq!(parse(&good(&format!("{twice}\n"))).unwrap_err().exit(), ExitCode::Manifest, "{twice}");
    }
    let with_positions = "Channel = /a, /a, 1, 0, 9, 9, 0, 0\nInteractive = /a\n";
    assert!(parse(&good(with_positions)).unwrap_err().text().contains("has positions"));
}

#[test]
fn a_good_manifest_means_what_it_says() {
    let manifest = parse(&good(
        "Channel = /srv/b;file:/srv/c, /b, 0, 0, 0x10, 010, 0, 0\nChannel = /srv/a, /a, 3, 0, 1, 2, 3, 4\nNode = 0x10\n",
    ))
    .unwrap();
    assert_eq!(manifest.version, Version::V20130611);
    assert_eq!(manifest.program, "/bin/guest.wasm");
    assert_eq!((manifest.memory, manifest.timeout), (1 << 32, Duration::from_secs(5)));
    assert_eq!(manifest.node.as_deref(), Some("16"));
    assert!(manifest.deterministic && !manifest.preallocate);
    assert_eq!((manifest.fuel, manifest.seed), (None, None));
    let aliases: Vec<&str> = manifest.channels.iter().map(|channel| &*channel.alias).collect();
    assert_eq!(aliases, ["/dev/stdin", "/dev/stdout", "/dev/stderr", "/a", "/b"]);
    let (a, b) = (&manifest.channels[3], &manifest.channels[4]);
    assert!(a.random_get && a.random_put && !b.random_get && !b.random_put);
    assert_eq!((a.line, a.limits.gets, a.limits.get_size, a.limits.puts, a.limits.put_size), (9, 1, 2, 3, 4));
    assert_eq!((b.limits.gets, b.limits.get_size), (16, 8));
    assert_eq!(b.sources, ["/srv/b", "file:/srv/c"]);
    assert_eq!(manifest.warnings, []);
}

#[test]
fn the_newer_version_has_seven_fields_or_eight() {
    let manifest = parse(&newer("Channel = /x, /x, 1, 1, 2, 3, 4\nNode = red\nBroker = 10.0.0.1\n")).unwrap();
    assert_eq!(manifest.version, Version::V20140509);
    assert_eq!((manifest.node.as_deref(), manifest.broker.as_deref()), (Some("red"), Some("10.0.0.1")));
    let limits = manifest.channels[3].limits;
    assert_eq!((limits.gets, limits.get_size, limits.puts, limits.put_size), (1, 2, 3, 4));
}

#[test]
fn a_boot_channel_stands_for_the_program_in_the_newer_version_only() {
    let boot = "Channel = /srv/p.wasm, /boot/elf, 3, 0, 9, 99, 0, 0\n";
    let text = without("Program") + boot;
    assert_eq!(parse(&text.replace("20130611", "20140509")).unwrap().program, "/srv/p.wasm");
    refused(&text, ExitCode::Missing, 7, "no Program");
    refused(&without("Program").replace("20130611", "20140509"), ExitCode::Missing, 6, "no Program");
}

#[test]
fn our_own_keys() {
    let manifest = parse(&good(
        "Args = -n  \"two words\" \"\" \"a\\\"b\\\\c\" x=\"y z\"\nEnv = HOME=/\nEnv=OPTS = a=b \nFuel = 1000\nSeed = 0\n\
         Deterministic = 0\nPreallocate = 1\n",
    ))
    .unwrap();
    assert_eq!(manifest.args, ["-n", "two words", "", "a\"b\\c", "x=y z"]);
    assert_eq!(manifest.env, [("HOME".into(), "/".into()), ("OPTS".into(), "a=b".into())]);
    assert_eq!((manifest.fuel, manifest.seed), (Some(1000), Some(0)));
    assert!(!manifest.deterministic && manifest.preallocate);
}

#[test]
fn what_becomes_of_outputs_is_the_manifests_to_say() {
    let kept = |manifest: &Manifest| {
        let channels = manifest.channels.iter().filter(|channel| channel.keep_partial);
        channels.map(|channel| channel.alias.to_string()).collect::<Vec<_>>()
    };
    let manifest = parse(&good("")).unwrap();
    assert_eq!((manifest.commit, manifest.sync, kept(&manifest).len()), (Commit::End, false, 0));
    let manifest = parse(&good("Commit = success\nSync = 1\nPartial = keep, /dev/stdout\n")).unwrap();
    assert_eq!((manifest.commit, manifest.sync), (Commit::Success, true));
    assert_eq!(kept(&manifest), ["/dev/stdout"]);
    let manifest = parse(&good("Commit = end\nPartial = keep\n")).unwrap();
    assert_eq!((manifest.commit, kept(&manifest).len()), (Commit::End, manifest.channels.len()));
}

#[test]
fn a_line_is_split_at_its_first_equals_sign() {
    let manifest = parse(&good("Channel = http://h/x?a=1&b=2, /x, 0, 0, 1, 1, 0, 0\n")).unwrap();
    assert_eq!(manifest.channels[3].sources, ["http://h/x?a=1&b=2"]);
}

#[test]
fn a_quoted_source_may_hold_separators() {
    let manifest =
        parse(&good("Channel = \"http://h/a,b;c\" ; /d ; \"/e,f\", /x, 0, 0, 1, 1, 0, 0\n")).unwrap();
    assert_eq!(manifest.channels[3].sources, ["http://h/a,b;c", "/d", "/e,f"]);
}

#[test]
fn line_ends_blank_lines_and_comments_do_not_matter() {
    let plain = parse(&good("")).unwrap();
    assert_eq!(parse(&good("").replace('\n', "\r\n")).unwrap(), plain);
    assert_eq!(parse(good("").trim_end()).unwrap(), plain);
    let spaced = parse(&format!("{}# Channel = nonsense\n\n \t\r\n  # x\n", good(""))).unwrap();
    assert_eq!(spaced, plain);
}

#[test]
fn what_has_no_effect_is_warned_of() {
    for (line, words) in [
        ("no equals sign", "has no `=`"),
        ("Job = /tmp/socket", "Job has no effect"),
        ("Etag = x", "Etag has no effect"),
        ("Boot = x", "Boot has no effect"),
        ("Node = 1\nNameServer = udp:1.2.3.4:5", "NameServer has no effect"),
        ("Channel = /x, /x, 0, 1, 1, 1, 0, 0", "etags are not computed"),
        ("Channel = /x, /a/../x, 0, 0, 1, 1, 0, 0", "no guest can open"),
    ] {
        let manifest = parse(&good(line)).unwrap();
        assert_eq!(manifest.warnings.len(), 1, "{line}");
        let shown = manifest.warnings[0].to_string();
        assert!(shown.starts_with("MANIFEST ") && shown.contains(words), "{shown}");
    }
    assert_eq!(parse(&with("Memory", "65536, 1")).unwrap().digest, Some(zvm::DigestAlgorithm::Sha256));
    assert_eq!(parse(&with("Memory", "65536, 0")).unwrap().digest, None);
}

#[test]
fn rule_25_each_bad_manifest_has_its_exit_code() {
    let manifest = ExitCode::Manifest;
    refused("", manifest, 1, "no Version");
    refused("\n\n\n", manifest, 3, "no Version");
    refused(&without("Version"), manifest, 6, "no Version");
    refused(&with("Version", "20120611"), manifest, 1, "unknown version `20120611`");
    refused(&without("Channel"), manifest, 4, "no channel /dev/stdin");
    for standard in ["/dev/stdin", "/dev/stdout", "/dev/stderr"] {
        refused(&without(&format!("Channel = {standard}")), manifest, 6, standard);
    }
    refused(&without("Program"), ExitCode::Missing, 6, "no Program");
    refused(&with("Program", "guest.wasm"), manifest, 1, "Program");
    refused(&without("Timeout"), manifest, 6, "no Timeout");
    for timeout in ["0", "-1", "", "1 0", "x"] {
        refused(&with("Timeout", timeout), manifest, 1, "Timeout");
    }
    refused(&without("Memory"), manifest, 6, "no Memory");
    for memory in ["-1, 0", "0, 0", "4294967297, 0"] {
        refused(&with("Memory", memory), ExitCode::Memory, 1, "out of range");
    }
    for memory in ["65536", "65536, 2", "65536, -1", "65536, x", "65536, 0, 0", "x, 0", ""] {
        refused(&with("Memory", memory), manifest, 1, "Memory");
    }
}

#[test]
fn rule_25_each_bad_channel_has_its_exit_code() {
    let channel = |value: &str| good(&format!("Channel = {value}\n"));
    for (value, words) in [
        ("/x, /dev/stdin, 0, 0, 1, 1, 0, 0", "already in line 5"),
        ("", "not a descriptor"),
        ("/x, /x, 4, 0, 1, 1, 0, 0", "unknown type 4"),
        ("/x, /x, 5, 0, 1, 1, 0, 0", "unknown type 5"),
        ("/x, /x, -1, 0, 1, 1, 0, 0", "unknown type -1"),
        ("x, /x, 0, 0, 1, 1, 0, 0", "not a descriptor"),
        ("./x, /x, 0, 0, 1, 1, 0, 0", "not a descriptor"),
        ("/x, x, 0, 0, 1, 1, 0, 0", "not an absolute path"),
        ("/x, /, 0, 0, 1, 1, 0, 0", "not an absolute path"),
        ("/x, /x, 0, 0, -1, 1, 0, 0", "gets: -1 is negative"),
        ("/x, /x, 0, 0, 1, -1, 0, 0", "get_size: -1 is negative"),
        ("/x, /x, 0, 0, 0, 0, -1, 1", "puts: -1 is negative"),
        ("/x, /x, 0, 0, 0, 0, 1, -1", "put_size: -1 is negative"),
        ("/x, /x, 0, 0, 1, 1, 0", "this one 7"),
        ("/x, /x, 0, 0, 1, 1, 0, 0, 0", "this one 9"),
        ("/x, /x", "this one 2"),
        ("/x", "only a source"),
        ("/x, /x, 0, 0, 1 000, 1, 0, 0", "gets: `1 000` is not a number"),
        ("/x, /x, 0, 0, 1, 9223372036854775808, 0, 0", "63 bits"),
        ("/x, /x, 0, 0, , 1, 0, 0", "gets"),
        ("/x, /x, 0, x, 1, 1, 0, 0", "not a number"),
        ("/x, /x, 0, 0, 1, 1, 1, 1", "type 1 or 3"),
        ("/x, /x, 2, 0, 1, 1, 1, 1", "type 1 or 3"),
        ("/x;/y, /x, 1, 0, 1, 1, 0, 0", "several sources"),
        ("/x;/y, /x, 3, 0, 1, 1, 1, 1", "several sources"),
        ("/x;;/y, /x, 0, 0, 1, 1, 0, 0", "not a descriptor"),
        ("\"/x, /x, 0, 0, 1, 1, 0, 0", "closing quote"),
        ("\"/x\"y, /x, 0, 0, 1, 1, 0, 0", "expected `;` or `,`"),
    ] {
        refused(&channel(value), ExitCode::Manifest, 8, words);
    }
    for quotas in ["0, 0, 0, 0", "1, 0, 0, 1", "0, 1, 1, 0"] {
        refused(
            &channel(&format!("/x, /x, 0, 0, {quotas}")),
            ExitCode::NilChannel,
            8,
            "neither reading nor writing",
        );
    }
}

#[test]
fn the_newer_version_refuses_other_counts_of_fields() {
    for fields in ["/x, /x, 0, 1, 1, 0", "/x, /x, 0, 0, 1, 1, 0, 0, 0"] {
        refused(&newer(&format!("Channel = {fields}\n")), ExitCode::Manifest, 8, "7 or 8");
    }
}

#[test]
fn each_bad_key_names_itself() {
    for (lines, line, words) in [
        ("Timeout = 6", 8, "first in line 4"),
        ("Fuel = 1\nFuel = 1", 9, "Fuel is given twice"),
        ("Node = red", 8, "Node"),
        ("Broker = b", 8, "needs a Node"),
        ("NameServer = n", 8, "needs a Node"),
        ("Fuel = 0", 8, "Fuel: 0 is too small"),
        ("Seed = -1", 8, "Seed: -1 is negative"),
        ("Deterministic = yes", 8, "neither 0 nor 1"),
        ("Preallocate = 2", 8, "neither 0 nor 1"),
        ("Env = HOME", 8, "a name and a value"),
        ("Env = =x", 8, "a name and a value"),
        ("Env = A=1\nEnv = A=2", 9, "A is given twice"),
        ("Args = \"x", 8, "closing quote"),
        ("Scratch = 0", 8, "Scratch: 0 is too small"),
        ("Time = soon", 8, "Time: "),
        // A case report: the clock's nanoseconds overflowed.
        ("Time = 18446744074", 8, "Time: 18446744074 is out of range: 0 to 18446744073"),
        ("Mount = /dev/stdin", 8, "Mount needs a channel and a path"),
        ("Mount = /dev/no, /x", 8, "Mount: there is no channel /dev/no"),
        ("Mount = /dev/stdout, /x", 8, "Mount: channel /dev/stdout cannot be read"),
        ("Mount = /dev/stdin, x", 8, "Mount: `x` is not an absolute path"),
        ("Mount = /dev/stdin, /a/../b", 8, "is not an absolute path without"),
        ("Mount = /dev/stdin, /x, rw", 8, "`rw` needs Scratch"),
        ("Mount = /dev/stdin, /x, wo", 8, "`wo` is neither ro nor rw"),
        ("Tree = mem:, /x", 8, "Tree needs a source, a path, and `ro` with two quotas or `rw` with four"),
        ("Tree = x, /x, ro, 1, 1", 8, "x"),
        ("Tree = mem:, x, ro, 1, 1", 8, "Tree: `x` is not an absolute path"),
        ("Tree = mem:, /x, rw, 1, 1", 8, "`rw` with four"),
        ("Tree = mem:, /x, wo, 1, 1", 8, "tree /x: `wo` is neither ro nor rw"),
        ("Tree = mem:, /x, rw, 1, 1, 1, 1", 8, "tree /x: `rw` needs Scratch"),
        ("Tree = mem:, /x, rw, 1, 1, 0, 1", 8, "tree /x: its quotas allow no writing"),
        (
            "Scratch = 1\nTree = mem:x, /x, rw, 1, 1, 1, 1\nTree = mem:x, /y, rw, 1, 1, 1, 1, 9",
            10,
            "line 9 writes into the same",
        ),
        (
            "Scratch = 1\nTree = mem:x, /x, rw, 1, 1, 1, 1\nExport = mem:x/y, /y, 1, 1",
            10,
            "line 9 writes into the same",
        ),
        ("Tree = mem:, /x, ro, 0, 1", 8, "tree /x: its quotas allow no reading"),
        ("Tree = mem:, /x, ro, 1, -1", 8, "tree /x: get_size: -1 is negative"),
        ("Tree = mem:, /x, ro, 1, 1, 0", 8, "tree /x: entries: 0 is out of range: 1 to 1000000"),
        ("Export = mem:x, /x", 8, "Export needs a target, a path and two quotas"),
        ("Export = mem:x, x, 1, 1", 8, "Export: `x` is not an absolute path"),
        ("Export = mem:x, /x, 0, 1", 8, "export /x: its quotas allow no writing"),
        (
            "Scratch = 1\nExport = mem:x, /, 1, 1",
            9,
            "export /: channels and devices are in it: take a directory",
        ),
        ("Scratch = 1\nExport = mem:x, /dev//, 1, 1", 9, "export /dev//: channels and devices are in it"),
        ("Export = mem:x, /x, 1, x", 8, "export /x: put_size: `x` is not a number"),
        ("Export = mem:x, /x, 1, 1", 8, "export /x: it needs Scratch"),
        (
            "Scratch = 1\nTree = mem:, /x, ro, 1, 1\nExport = mem:x, //x/, 1, 1",
            10,
            "export //x/: line 9 has the same path",
        ),
        (
            "Scratch = 1\nExport = mem:x, /x, 1, 1\nExport = mem:x/y, /y, 1, 1",
            10,
            "line 9 writes into the same folder",
        ),
        ("Preopen = tmp", 8, "Preopen: `tmp` is not an absolute path"),
        ("Preopen = /tmp, /", 8, "Preopen: the name `/` is empty or given twice"),
        ("Digest = md5", 8, "sha256 or blake3"),
        ("Partial = keep\nPartial = drop", 9, "Partial: `drop` is not `keep` or `keep, alias`"),
        ("Partial = keep, /dev/no", 8, "Partial: there is no channel /dev/no"),
        (
            "Scratch = 1m\nTree = mem:, /x, ro, 1, 1\nPartial = keep, /x",
            10,
            "Partial: tree /x is not written",
        ),
        ("Partial = keep, /dev/stdin", 8, "Partial: channel /dev/stdin is not written"),
        ("Commit = 0", 8, "Commit: `0` is neither end nor success"),
        ("Sync = yes", 8, "neither 0 nor 1"),
        ("Interactive = /dev/no", 8, "Interactive: there is no channel /dev/no"),
    ] {
        refused(&good(lines), ExitCode::Manifest, line, words);
    }
}

#[test]
fn sixteen_sources_are_the_most() {
    let sources = |count: usize| vec!["/s"; count].join(";");
    let channel = |count| good(&format!("Channel = {}, /x, 0, 0, 1, 1, 0, 0\n", sources(count)));
    assert_eq!(parse(&channel(16)).unwrap().channels[3].sources.len(), 16);
    refused(&channel(17), ExitCode::Manifest, 8, "more than 16 sources");
}

#[test]
fn too_many_channels_have_their_own_code() {
    let channels = |count: usize| {
        let lines: Vec<String> =
            (3..count).map(|number| format!("Channel = /x, /{number}, 0, 0, 1, 1, 0, 0\n")).collect();
        good(&lines.concat())
    };
    assert_eq!(parse(&channels(CHANNELS_MAX)).unwrap().channels.len(), CHANNELS_MAX);
    refused(&channels(CHANNELS_MAX + 1), ExitCode::TooManyChannels, CHANNELS_MAX + 5, "more than");
}

#[test]
fn size_and_line_limits_hold() {
    let padded = |bytes: usize| {
        let text = good("");
        let filler = "#".repeat(bytes - text.len());
        text + &filler
    };
    parse(&padded(BYTES_MAX)).unwrap();
    refused(&padded(BYTES_MAX + 1), ExitCode::Manifest, 1, "more than 524288 bytes");
    let lines = |count: usize| good(&"\n".repeat(count - 7));
    parse(&lines(LINES_MAX)).unwrap();
    refused(&lines(LINES_MAX + 1), ExitCode::Manifest, LINES_MAX + 1, "more than 8192 lines");
}

#[test]
fn what_is_no_text_is_refused_with_its_line() {
    for (bytes, words) in [(&b"\xff\xfe"[..], "UTF-8"), (b"a = \0", "NUL"), (b"\x7fELF\x02\x01\x01\0", "NUL")]
    {
        let text = [b"Version = 20130611\n", bytes].concat();
        let failure = Manifest::parse(&text).unwrap_err();
        assert_eq!(failure.exit(), ExitCode::Manifest);
        assert!(failure.text().starts_with("MANIFEST 2: ") && failure.text().contains(words), "{failure}");
    }
}

#[test]
fn a_manifest_cut_anywhere_is_good_or_a_defect() {
    let text = good("Channel = \"/x;y\", /x, 0, 0, 1, 1, 0, 0\nArgs = \"a b\"\n");
    for end in 0..text.len() {
        match Manifest::parse(&text.as_bytes()[..end]) {
            Ok(manifest) => assert!(manifest.channels.len() >= 3),
            Err(failure) => assert!(failure.text().starts_with("MANIFEST "), "{failure}"),
        }
    }
}

#[test]
fn messages_escape_what_a_terminal_would_obey() {
    let failure = parse(&good("Channel = /x\x1b[2J, /x, 0, 0, 1, 1, 0, 0\n")).unwrap_err();
    assert!(!failure.text().contains('\x1b'), "{failure:?}");
    let failure = parse(&good("Channel = /x, \x1b[2J, 0, 0, 1, 1, 0, 0\n")).unwrap_err();
    assert!(!failure.text().contains('\x1b'), "{failure:?}");
    let failure = parse(&good("Channel = http://user:secret@h/x y, /x, 9, 0, 1, 1, 0, 0\n")).unwrap_err();
    assert!(!failure.text().contains("secret"), "{failure}");
}

/// `Fule = 5` ran a guest without a limit, with a warning that nobody read.
#[test]
fn an_unknown_key_is_an_error_with_the_key_that_was_meant() {
    for (line, words) in [
        ("Fule = 5", "unknown key `Fule`: did you mean `Fuel`?"),
        ("version = 1", "unknown key `version`: did you mean `Version`?"),
        ("Chanel = /x, /x, 0, 1, 1, 0, 0", "did you mean `Channel`?"),
        ("Colour = red", "unknown key `Colour`"),
        ("http://user:hunter2@h/x?sig = 1", "not a key"),
        ("= 5", "not a key"),
    ] {
        let failure = parse(&good(line)).unwrap_err();
        assert_eq!(failure.exit(), ExitCode::Manifest);
        assert!(failure.text().starts_with("MANIFEST ") && failure.text().contains(words), "{failure}");
        assert!(!failure.text().contains("hunter2"), "{failure}");
    }
}

/// A line without its quotes, or its `=`, was repeated whole, with the password in it.
#[test]
fn a_malformed_line_is_not_repeated() {
    for line in [
        "Channel: http://user:hunter2@h/x, /x, 0, 1, 1, 0, 0",
        "Channel = \"http://user:hunter2@h/x, /x, 0, 1, 1, 0, 0",
        "Channel = \"http://h/x\" hunter2, /x, 0, 1, 1, 0, 0",
        "Channel = http://h/x?a,token=hunter2, /x, 0, 1, 1, 0, 0",
        "Channel = http://h/x?a,token=hunter2",
        "Env = hunter2",
    ] {
        let said = match parse(&newer(line)) {
            Ok(manifest) => format!("{:?}", manifest.warnings),
            Err(failure) => failure.to_string(),
        };
        assert!(said.len() > 10 && !said.contains("hunter2"), "{line}: {said}");
    }
}

#[test]
fn sizes_are_written_as_in_settings_too() {
    let text = newer("Scratch = 64k\nChannel = /x, /x, 1, 1, 2m, 1, 1k\n")
        .replace("Memory = 4294967296", "Memory = 1g");
    let manifest = parse(&text).unwrap();
    let limits = manifest.channels[3].limits;
    assert_eq!((manifest.memory, manifest.scratch), (1 << 30, Some(64 << 10)));
    assert_eq!((limits.get_size, limits.put_size), (2 << 20, 1 << 10));
}

#[test]
fn a_file_is_never_read_beyond_the_limit() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("manifest");
    let failure = Manifest::read(&path).unwrap_err();
    assert_eq!(failure.exit(), ExitCode::Missing);
    assert!(failure.text().contains("manifest"), "{failure}");

    std::fs::write(&path, good("")).unwrap();
    assert_eq!(Manifest::read(&path).unwrap(), parse(&good("")).unwrap());

    // Sparse, and too large for the memory of most machines: only a bounded read can answer.
    let mut file = std::fs::File::create(&path).unwrap();
    file.write_all(good("").as_bytes()).unwrap();
    file.set_len(1 << 40).unwrap();
    assert!(Manifest::read(&path).unwrap_err().text().contains("bytes"));
}

/// Found: a line whose `=` was forgotten was told of only where the run could start without it.
#[test]
fn a_line_without_an_equals_sign_is_told_with_what_is_missing_for_it() {
    let text = good("").replace("Timeout = 5", "Timeout 5");
    let failure = parse(&text).unwrap_err();
    assert!(failure.text().starts_with("MANIFEST "), "{failure}");
    assert!(failure.text().ends_with("; MANIFEST 4: the line is ignored: it has no `=`"), "{failure}");
}

/// A text that is no manifest was told line by line.
#[test]
fn of_many_lines_without_an_equals_sign_three_are_told_and_the_others_counted() {
    let manifest = parse(&good(&"prose\n".repeat(10))).unwrap();
    let told: Vec<&str> = manifest.warnings.iter().map(|warning| warning.text.as_str()).collect();
    assert_eq!(told.len(), 4);
    assert!(told[..3].iter().all(|text| text.contains("has no `=`")));
    assert_eq!(told[3], "7 more lines are ignored: is this a manifest?");
}
