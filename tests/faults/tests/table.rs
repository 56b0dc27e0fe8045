//! Tables that break the ABI: each is refused with its own words, and nothing of it is used.

use std::fs;
use vfs_core::{Capabilities, Code, Error, Library, OpenFlags, OpenOptions, Provider, Refusal, Threads};
use zvfs_faults::{Plugins, over};
use zvfs_test_support::fifo;

/// What a -D spoils, and the words that must be in the refusal.
const DEFECTS: &[(&str, &[&str])] = &[
    ("SIZE=0", &["struct_size is 0", "or more"]),
    ("SIZE=8", &["struct_size is 8:", "or more"]),
    ("SIZE=sizeof(zvfs_provider)-1", &["struct_size is", "or more"]),
    ("SIZE=65537", &["struct_size is 65537", "65536 at most"]),
    ("SIZE=UINT64_MAX", &["struct_size is 18446744073709551615", "at most"]),
    ("NO_TABLE", &["NULL"]),
    ("NAME=NULL -DSCHEME=\"xx\"", &["name is NULL"]),
    ("NAME=\"\" -DSCHEME=\"xx\"", &["name ``"]),
    ("NAME=\"Upper\" -DSCHEME=\"xx\"", &["name `Upper`"]),
    ("NAME=\"../up\" -DSCHEME=\"xx\"", &["name `../up`"]),
    ("NAME=\"a\\nb\" -DSCHEME=\"xx\"", &["name `a\\nb`"]),
    ("NAME=\"\\xff\" -DSCHEME=\"xx\"", &["name is not UTF-8"]),
    ("VERSION=\"\\xff\"", &["version is not UTF-8"]),
    ("SCHEMES=NULL", &["schemes is NULL"]),
    ("SCHEMES=no_schemes", &["no schemes"]),
    ("SCHEMES=endless", &["schemes", "no NULL after 1024"]),
    ("SCHEME=\"x\"", &["scheme `x`"]),
    ("SCHEME=\"\"", &["scheme ``"]),
    ("SCHEME=\"UPPER\"", &["scheme `UPPER`"]),
    ("SCHEME=\"1ab\"", &["scheme `1ab`"]),
    ("SCHEME=\"a b\"", &["scheme `a b`"]),
    ("SCHEME=\"a/b\"", &["scheme `a/b`"]),
    ("SCHEME=\"a123456789012345678901234567890bc\"", &["scheme `a1234"]),
    ("SCHEME=\"\\xff\\xfe\"", &["scheme is not UTF-8"]),
    ("OPEN=NULL", &["no function open"]),
    ("CLOSE=NULL", &["no function close"]),
    ("CAPABILITIES=NULL", &["no function capabilities"]),
    ("READ=NULL -DWRITE=NULL", &["no function read or write"]),
    ("FLAGS=0", &["neither READ nor WRITE"]),
    ("FLAGS=ZVFS_OPEN_CREATE", &["neither READ nor WRITE"]),
    ("RESERVED=1", &["zvfs_provider.reserved is not 0"]),
    ("EXTENSION=short_positional", &["zvfs.positional/1", "struct_size is 8"]),
    ("SETTINGS=endless_settings", &["settings", "no NULL after 1024"]),
    ("SETTINGS=one_setting -DSETTING_SIZE=8", &["zvfs_setting", "struct_size is 8"]),
    ("SETTINGS=one_setting -DSETTING_NAME=NULL", &["setting's name is NULL"]),
    ("SETTINGS=one_setting -DSETTING_NAME=\"De pth\"", &["setting `De pth`"]),
    ("SETTINGS=one_setting -DSETTING_RESERVED=1", &["setting `depth`", "zvfs_setting.reserved is not 0"]),
    ("SETTINGS=one_setting -DSETTING_DEFAULT=\"seven\"", &["default", "integer"]),
    ("SETTINGS=one_setting -DEXTENSION=settings_rules -DRULES=NULL", &["rules is NULL"]),
    (
        "SETTINGS=one_setting -DEXTENSION=settings_rules -DRULE_SIZE=8",
        &["zvfs_setting_rule", "struct_size is 8"],
    ),
    ("SETTINGS=one_setting -DEXTENSION=settings_rules -DRULE_SETTING=NULL", &["a rule's setting is NULL"]),
    (
        "SETTINGS=one_setting -DEXTENSION=settings_rules -DRULE_SETTING=\"dpth\"",
        &["`dpth`, which is not a setting"],
    ),
    ("SETTINGS=one_setting -DEXTENSION=settings_rules -DRULES=two_rules", &["two rules for setting `depth`"]),
    (
        "SETTINGS=one_setting -DEXTENSION=settings_rules -DRULE_MINIMUM=10",
        &["`depth`", "minimum 10 is above maximum 9"],
    ),
    ("SETTINGS=one_setting -DEXTENSION=settings_rules -DRULE_MINIMUM=8", &["its default", "8 to 9"]),
    (
        "SETTINGS=one_setting -DEXTENSION=settings_rules -DRULE_VALUES=two_values",
        &["values are only for type text"],
    ),
    (
        "SETTINGS=one_setting -DEXTENSION=settings_rules -DRULE_FLAGS=ZVFS_RULE_PRIVATE",
        &["PRIVATE is only for type path"],
    ),
    (
        "SETTINGS=one_setting -DEXTENSION=settings_rules -DSETTING_TYPE=ZVFS_TYPE_STRING -DRULE_VALUES=no_values",
        &["it names no value"],
    ),
];

#[test]
fn each_defect_of_a_table_is_refused_with_its_own_words() {
    over(Plugins::new, |plugins| {
        for (at, (defines, words)) in DEFECTS.iter().enumerate() {
            let name = format!("defect{at}");
            let defines: Vec<_> = defines.split(" -D").collect();
            plugins.add(&name, "table", &defines);
            let refusal = plugins.refusal(&name);
            assert!(matches!(refusal, Refusal::Defect { .. }), "{defines:?}: {refusal:?}");
            assert_eq!(refusal.code(), Code::ELIBBAD);
            let text = refusal.to_string();
            assert!(text.contains(&format!("libzvfs_{name}.so")), "{text}");
            assert!(text.contains("author"), "{text}");
            for word in *words {
                assert!(text.contains(word), "{defines:?}: `{word}` is not in `{text}`");
            }
            assert!(!text.contains(char::is_control), "{text:?}");
        }
    });
}

#[test]
fn no_byte_beyond_a_struct_is_read() {
    over(Plugins::new, |plugins| {
        // It claims eight bytes, and the ninth cannot be read; then it is whole, and ends where memory does.
        plugins.add("edge", "table", &["SIZE=8", "EDGE=8"]);
        assert!(plugins.refusal("edge").to_string().contains("struct_size is 8"));
        let whole = plugins.add("whole", "table", &["EDGE=sizeof(zvfs_provider)"]);
        Library::load(&whole, "whole", None).unwrap();
    });
}

#[test]
fn a_larger_table_of_a_later_version_works() {
    over(Plugins::new, |plugins| {
        plugins.add("future", "table", &["FUTURE", "CLAIMED=ZVFS_CAP_READABLE|(UINT64_C(1)<<40)"]);
        let mut file = plugins.registry().open("future:x", &OpenOptions::new(OpenFlags::READ)).unwrap();
        assert!(file.capabilities().contains(Capabilities::READABLE));
        assert_eq!(file.read(&mut [0; 4]).unwrap(), 0);
    });
}

#[test]
fn what_a_later_version_adds_is_left_alone() {
    over(Plugins::new, |plugins| {
        let path = plugins.add("later", "table", &["SETTINGS=one_setting", "SETTING_TYPE=99", "THREADS=77"]);
        let info = Library::load(&path, "later", None).unwrap().info();
        assert_eq!(info.settings, [], "a setting of a type that this host cannot parse is not offered");
        assert_eq!(info.threads, Threads::PerLibrary, "a promise that this host does not know is no promise");
    });
}

/// `retries = 5000`, `crc = "sometimes"` were found at the first open, if at all: a provider had no way to tell its host.
#[test]
fn the_values_that_a_library_names_are_checked_by_its_host() {
    over(Plugins::new, |plugins| {
        let path = plugins.add("ranged", "table", &["SETTINGS=one_setting", "EXTENSION=settings_rules"]);
        let info = Library::load(&path, "ranged", None).unwrap().info();
        assert_eq!(info.settings[0].range, Some(1..=9));
        let text = ["SETTING_TYPE=ZVFS_TYPE_STRING", "SETTING_DEFAULT=\"deep\"", "RULE_VALUES=two_values"];
        let defines = [&["SETTINGS=one_setting", "EXTENSION=settings_rules"][..], &text].concat();
        let path = plugins.add("named", "table", &defines);
        let info = Library::load(&path, "named", None).unwrap().info();
        assert_eq!(info.settings[0].values, ["shallow", "deep"]);
        // A rule for a setting of a type that this host leaves out is left out with it.
        let later = ["SETTINGS=one_setting", "EXTENSION=settings_rules", "SETTING_TYPE=99"];
        let path = plugins.add("later", "table", &later);
        assert_eq!(Library::load(&path, "later", None).unwrap().info().settings, []);
    });
}

#[test]
fn a_capability_without_its_function_is_an_error_at_open() {
    over(Plugins::new, |plugins| {
        let cases = [
            ("READABLE", "READ=NULL"),
            ("WRITABLE", "WRITE=NULL"),
            ("SEEKABLE", "NONE"),
            ("TRUNCATABLE", "NONE"),
            ("POSITIONAL_READ", "NONE"),
            ("POSITIONAL_READ", "EXTENSION=hollow_extensions"),
            ("POSITIONAL_WRITE", "EXTENSION=hollow_extensions"),
            ("STAT", "NONE"),
            ("STAT", "EXTENSION=hollow_extensions"),
            ("FD", "NONE"),
            ("FD", "EXTENSION=hollow_extensions"),
            ("SPLICE", "NONE"),
            ("SPLICE", "EXTENSION=hollow_extensions"),
            ("POLL", "EXTENSION=hollow_extensions"),
            ("TIMES", "EXTENSION=hollow_extensions"),
        ];
        let registry = plugins.registry();
        for (at, (capability, define)) in cases.into_iter().enumerate() {
            let name = format!("claims{at}");
            let claimed = format!("CLAIMED=ZVFS_CAP_{capability}");
            plugins.add(&name, "table", &[&claimed, define]);
            let error =
                registry.open(&format!("{name}:"), &OpenOptions::new(OpenFlags::empty())).unwrap_err();
            assert_eq!(error.code(), Code::EIO, "{capability}");
            assert!(error.chain().contains(&format!("claims {capability} ")), "{}", error.chain());
        }
    });
}

/// A layer that is older than the bit passes on what its inner file has, and was broken by a host that knows the bit.
#[test]
fn a_later_bit_is_taken_away_where_it_cannot_be_kept() {
    over(Plugins::new, |plugins| {
        let claimed = "CLAIMED=ZVFS_CAP_READABLE|ZVFS_CAP_POLL";
        plugins.add("older", "table", &[claimed]);
        plugins.add("shared", "behave", &["THREADS=ZVFS_THREADS_PER_INSTANCE"]);
        plugins.add("free", "behave", &[]);
        plugins.add("untimed", "table", &["CLAIMED=ZVFS_CAP_READABLE|ZVFS_CAP_TIMES"]);
        let registry = plugins.registry();
        let untimed = registry.open("untimed:", &OpenOptions::default()).unwrap();
        assert!(!untimed.capabilities().contains(Capabilities::TIMES));
        for (name, keeps) in [("older", false), ("shared", false), ("free", true)] {
            let file = registry.open(&format!("{name}:polls"), &OpenOptions::default()).unwrap();
            assert_eq!(file.capabilities().contains(Capabilities::POLL), keeps, "{name}");
        }
    });
}

#[test]
fn a_name_that_lies_is_refused_with_the_name_to_give_it() {
    over(Plugins::new, |plugins| {
        plugins.add("honest", "table", &["NAME=\"liar\""]);
        let refusal = plugins.refusal("honest");
        assert!(
            matches!(&refusal, Refusal::OtherName { found, expected, .. } if found == "liar" && expected == "honest")
        );
        assert!(refusal.to_string().contains("libzvfs_liar.so"), "{refusal}");
    });
}

#[test]
fn a_missing_entry_and_a_newer_one_are_two_refusals() {
    over(Plugins::new, |plugins| {
        plugins.add("other", "table", &["ENTRY=some_other_symbol"]);
        let refusal = plugins.refusal("other");
        assert!(matches!(refusal, Refusal::NoEntry { .. }), "{refusal:?}");
        assert!(refusal.to_string().contains("zvfs_provider_v1"), "{refusal}");

        plugins.add("newer", "table", &["ENTRY=zvfs_provider_v2"]);
        let refusal = plugins.refusal("newer");
        assert!(matches!(&refusal, Refusal::NewerOnly { found, .. } if found == "zvfs_provider_v2"));
        assert!(refusal.to_string().contains("newer host"), "{refusal}");
    });
}

#[test]
fn a_file_that_is_no_library_is_refused_in_the_linkers_words() {
    over(Plugins::new, |plugins| {
        let whole = fs::read(plugins.add("whole", "table", &[])).unwrap();
        let wrong_machine = {
            let mut bytes = whole.clone();
            bytes[18..20].copy_from_slice(&[0xff, 0x7f]); // e_machine
            bytes
        };
        let cases: [(&str, &[u8]); 5] = [
            ("text", b"#!/bin/sh\nexit 0\n"),
            ("empty", b""),
            ("header", &whole[..40]),
            ("part", &whole[..whole.len() / 3]),
            ("machine", &wrong_machine),
        ];
        for (name, bytes) in cases {
            fs::write(plugins.file(name), bytes).unwrap();
            let refusal = plugins.refusal(name);
            let Refusal::NotLoadable { path, reason } = &refusal else { panic!("{name}: {refusal:?}") };
            assert_eq!(*path, plugins.file(name));
            assert!(!reason.is_empty());
            let error =
                plugins.registry().open(&format!("{name}:"), &OpenOptions::new(OpenFlags::READ)).unwrap_err();
            assert_eq!(error.code(), Code::ELIBBAD);
            assert!(source(&error).is_some(), "{error:?}");
        }
    });
}

#[test]
fn what_is_not_a_regular_file_is_refused_at_once() {
    over(Plugins::new, |plugins| {
        fs::create_dir(plugins.file("folder")).unwrap();
        fifo(plugins.file("fifo"));
        std::os::unix::fs::symlink("/dev/zero", plugins.file("device")).unwrap();
        for name in ["folder", "fifo", "device"] {
            let refusal = plugins.refusal(name);
            assert!(matches!(refusal, Refusal::NotRegular { .. }), "{name}: {refusal:?}");
        }
    });
}

/// The refusal that an error was made of.
fn source(error: &Error) -> Option<&Refusal> {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(error) = cause {
        if let Some(refusal) = error.downcast_ref() {
            return Some(refusal);
        }
        cause = error.source();
    }
    None
}
