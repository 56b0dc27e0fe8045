//! Every struct, field and constant of the header against Rust's, in both directions, as a C and a C++ compiler see them.

#![allow(clippy::unwrap_used, reason = "clippy takes only the #[test] functions of this file for tests")]

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::process::Command;
use vfs_core::{COUNT_MAX, Capabilities, Code, Events, Finish, Flush, Level, OpenFlags, Scope, Wanted, abi};
use zvfs_abi_tests::{Header, Tool, compilers, project};
use zvfs_test_support::succeeded;

type Fields = &'static [(&'static str, usize)];

macro_rules! structs {
    ($($c:literal = $rust:ident;)*) => {
        [$(($c, stringify!($rust), abi::$rust::SIZE, abi::$rust::FIELDS),)*]
    };
}

/// The header's name and ours.
const STRUCTS: [(&str, &str, u64, Fields); 25] = structs! {
    "zvfs_error" = Error;
    "zvfs_setting" = Setting;
    "zvfs_value" = Value;
    "zvfs_open_request" = OpenRequest;
    "zvfs_host" = Host;
    "zvfs_provider" = Provider;
    "zvfs_positional" = Positional;
    "zvfs_stat" = Stat;
    "zvfs_stat_extension" = StatExtension;
    "zvfs_entry" = Entry;
    "zvfs_namespace" = Namespace;
    "zvfs_name" = Name;
    "zvfs_names" = Names;
    "zvfs_folders" = Folders;
    "zvfs_times" = Times;
    "zvfs_lease" = Lease;
    "zvfs_fd_extension" = FdExtension;
    "zvfs_splice" = Splice;
    "zvfs_interest" = Interest;
    "zvfs_poll" = Poll;
    "zvfs_setting_rule" = SettingRule;
    "zvfs_settings_extension" = SettingsExtension;
    "zvfs_inner_request" = InnerRequest;
    "zvfs_host_open" = HostOpen;
    "zvfs_host_waiting" = HostWaiting;
};

macro_rules! numbers {
    ($($name:ident)*) => { [$((stringify!($name), abi::$name as u64),)*] };
}

/// The constants of `abi`, under the header's name less its prefix.
const NUMBERS: [(&str, u64); 26] = numbers! {
    ERROR_RETRYABLE
    TYPE_STRING TYPE_BOOLEAN TYPE_INTEGER TYPE_SIZE TYPE_DURATION TYPE_PATH TYPE_LIST
    SIZE_UNKNOWN TIME_UNKNOWN TIME_UNLIMITED OFFSET_STREAM LAYERS_MAX RULE_PRIVATE
    THREADS_PER_FILE THREADS_PER_INSTANCE THREADS_PER_LIBRARY
    SEEK_SET SEEK_CUR SEEK_END
    KIND_UNKNOWN KIND_REGULAR KIND_DIRECTORY KIND_STREAM KIND_DEVICE KIND_TERMINAL
};

const TEXTS: [(&str, &str); 12] = [
    ("EXT_POSITIONAL", abi::EXT_POSITIONAL),
    ("EXT_STAT", abi::EXT_STAT),
    ("EXT_NAMESPACE", abi::EXT_NAMESPACE),
    ("EXT_NAMES", abi::EXT_NAMES),
    ("EXT_FOLDERS", abi::EXT_FOLDERS),
    ("EXT_TIMES", abi::EXT_TIMES),
    ("EXT_FD", abi::EXT_FD),
    ("EXT_SPLICE", abi::EXT_SPLICE),
    ("EXT_POLL", abi::EXT_POLL),
    ("EXT_SETTINGS", abi::EXT_SETTINGS),
    ("EXT_HOST_OPEN", abi::EXT_HOST_OPEN),
    ("EXT_HOST_WAITING", abi::EXT_HOST_WAITING),
];

/// What the compilers say of the header: `struct.field` to offset and size, a struct to its size, a constant to its value.
struct Layout {
    sizes: BTreeMap<String, u64>,
    fields: BTreeMap<String, (u64, u64)>,
    constants: BTreeMap<String, String>,
}

#[test]
fn structs_lie_alike_in_c_and_rust() {
    let header = Header::read().unwrap();
    for tool in compilers() {
        let layout = Layout::of(&header, tool);
        let known: BTreeSet<&str> = STRUCTS.iter().map(|(c, ..)| *c).collect();
        let declared: BTreeSet<&str> = header.structs.iter().map(|declared| declared.name.as_str()).collect();
        assert_eq!(declared, known, "structs of the header, and structs of Rust");
        for (c, _, size, fields) in STRUCTS {
            let ours: Vec<_> = fields.iter().map(|(name, at)| (c_field(c, name), *at as u64)).collect();
            let declared = header.structs.iter().find(|declared| declared.name == c).unwrap();
            let theirs: Vec<_> = declared
                .fields
                .iter()
                .map(|field| (field.clone(), layout.fields[&format!("{c}.{field}")].0))
                .collect();
            assert_eq!(theirs, ours, "{c}: names and offsets, {tool:?}");
            assert_eq!(layout.sizes[c], size, "size of {c}, {tool:?}");
            assert_eq!(theirs[0], ("struct_size".to_owned(), 0), "{c} starts with its size");
            let sum: u64 = declared.fields.iter().map(|field| layout.fields[&format!("{c}.{field}")].1).sum();
            assert_eq!(sum, size, "{c} has padding");
        }
    }
}

/// `type` is a word of Rust's.
fn c_field(c: &str, rust: &str) -> String {
    let renamed = matches!(c, "zvfs_setting" | "zvfs_value") && rust == "kind";
    if renamed { "type" } else { rust }.to_owned()
}

#[test]
fn constants_are_alike_in_c_and_rust() {
    let header = Header::read().unwrap();
    let mut expected: BTreeMap<String, String> = BTreeMap::new();
    let mut expect = |name: String, value: String| expected.insert(format!("ZVFS_{name}"), value);
    for (name, value) in NUMBERS {
        expect(name.to_owned(), value.to_string());
    }
    for (name, text) in TEXTS {
        expect(name.to_owned(), text.to_owned());
    }
    expect("COUNT_MAX".into(), COUNT_MAX.to_string());
    for (name, value) in [("END", Finish::End), ("COMMIT", Finish::Commit), ("DISCARD", Finish::Discard)] {
        expect(format!("FINISH_{name}"), (value as u32).to_string());
    }
    for (name, value) in [("PUSH", Flush::Push), ("SYNC", Flush::Sync)] {
        expect(format!("FLUSH_{name}"), (value as u32).to_string());
    }
    let levels = [
        ("ERROR", Level::Error),
        ("WARNING", Level::Warning),
        ("INFO", Level::Info),
        ("DEBUG", Level::Debug),
    ];
    for (name, value) in levels {
        expect(format!("LOG_{name}"), (value as u32).to_string());
    }
    // Every bit that has a name in Rust must have the same one in the header, and the other way round.
    for bit in (0..64).map(|at| 1 << at) {
        for (prefix, name) in [
            ("OPEN", format!("{:?}", OpenFlags::from_bits(bit))),
            ("CAP", format!("{:?}", Capabilities::from_bits(bit))),
            ("EVENT", format!("{:?}", Events::from_bits(bit))),
            ("SCOPE", format!("{:?}", Scope::from_bits(bit))),
            ("FOR", format!("{:?}", Wanted::from_bits(bit))),
        ] {
            if !name.starts_with("0x") {
                expect(format!("{prefix}_{name}"), bit.to_string());
            }
        }
    }
    for tool in compilers() {
        let layout = Layout::of(&header, tool);
        let (codes, others): (BTreeMap<_, _>, BTreeMap<_, _>) =
            layout.constants.into_iter().partition(|(name, _)| is_code(name));
        assert_eq!(others, expected, "{tool:?}");
        assert!(codes.len() >= 30, "{codes:?}");
        // Rust names more of errno than the header gives a meaning to.
        for (name, number) in codes {
            let code = Code::from_raw(number.parse().unwrap());
            assert_eq!(code.name().map(|name| format!("ZVFS_{name}")), Some(name), "{number}");
        }
    }
}

/// `ZVFS_ENOENT`, not `ZVFS_EVENT_READ`, `ZVFS_EXT_FD` or `ZVFS_ERROR_RETRYABLE`.
fn is_code(name: &str) -> bool {
    name.strip_prefix("ZVFS_E").is_some_and(|rest| !rest.contains('_'))
}

#[test]
fn nothing_of_the_rust_side_escapes_this_test() {
    let source = fs::read_to_string(project().join("vfs-core/src/abi.rs")).unwrap();
    let words = |text: &'static str| {
        source
            .split(text)
            .skip(1)
            .filter_map(|after| after.trim_start().split(|c: char| !c.is_alphanumeric() && c != '_').next())
    };
    let structs: BTreeSet<&str> = words("abi_struct! {").collect();
    assert_eq!(structs, STRUCTS.iter().map(|(_, rust, ..)| *rust).collect());
    // Constants inside the macro are indented.
    let constants: BTreeSet<&str> = words("\npub const ").collect();
    let tested = NUMBERS.iter().map(|(name, _)| *name).chain(TEXTS.iter().map(|(name, _)| *name));
    assert_eq!(constants, tested.chain(["ENTRY", "STRUCT_SIZE_MAX"]).collect());
}

#[test]
fn the_compilers_speak_of_what_the_scanner_found() {
    let header = Header::read().unwrap();
    let fields: usize = header.structs.iter().map(|found| found.fields.len()).sum();
    assert!(header.structs.len() >= 13 && fields >= 80, "{header:?}");
    let layout = Layout::of(&header, compilers()[0]);
    assert_eq!((layout.sizes.len(), layout.fields.len()), (header.structs.len(), fields));
    assert_eq!(layout.constants.len(), header.constants.len());
}

/// The header as it froze, and as it is: a size, offset or value may be added and none may change.
#[test]
fn nothing_that_is_frozen_has_changed() {
    let header = Header::read().unwrap();
    let stored = fs::read_to_string(project().join("tests/abi/frozen/layout.txt")).unwrap();
    for tool in compilers() {
        let now = Layout::of(&header, tool).lines();
        if std::env::var_os("ZVFS_PRINT_LAYOUT").is_some() {
            print!("{now}");
        }
        let now: BTreeSet<&str> = now.lines().collect();
        let stored: BTreeSet<&str> = stored.lines().collect();
        // A struct that grew has a line for each of its sizes.
        let grown = |line: &&&str| {
            size_line(line).is_some_and(|(name, size)| {
                now.iter()
                    .filter_map(|line| size_line(line))
                    .any(|(other, larger)| other == name && larger > size)
            })
        };
        let gone: Vec<_> = stored.difference(&now).filter(|line| !grown(line)).collect();
        assert!(gone.is_empty(), "version 1 is frozen: these may not change: {gone:#?} ({tool:?})");
        let new: Vec<_> = now.difference(&stored).collect();
        assert!(
            new.is_empty(),
            "add these lines to tests/abi/frozen/layout.txt if they are meant to stay for ever: {new:#?}"
        );
    }
}

/// Name and size in a line like `struct zvfs_stat has 160 bytes`.
fn size_line(line: &str) -> Option<(&str, u64)> {
    let (name, size) = line.strip_prefix("struct ")?.strip_suffix(" bytes")?.split_once(" has ")?;
    Some((name, size.parse().ok()?))
}

impl Layout {
    /// A line for each size, offset and value.
    fn lines(&self) -> String {
        let mut text = String::new();
        for (name, size) in &self.sizes {
            // The size of a struct is where it may grow; its fields are what must stay.
            let _ = writeln!(text, "struct {name} has {size} bytes");
        }
        for (name, (at, size)) in &self.fields {
            let _ = writeln!(text, "{name} has {size} bytes at {at}");
        }
        for (name, value) in &self.constants {
            let _ = writeln!(text, "{name} is {value}");
        }
        text
    }

    fn of(header: &Header, tool: Tool) -> Layout {
        let folder = tempfile::tempdir().unwrap();
        let source = folder.path().join("layout").with_extension(tool.language.extension());
        fs::write(&source, program(header)).unwrap();
        let binary = folder.path().join("layout");
        tool.build(&source, &binary, &[]).unwrap();
        let output = succeeded(Command::new(&binary));
        let mut layout =
            Layout { sizes: BTreeMap::new(), fields: BTreeMap::new(), constants: BTreeMap::new() };
        for line in String::from_utf8(output.stdout).unwrap().lines() {
            let number = |text: &str| text.parse::<u64>().unwrap();
            match line.split(' ').collect::<Vec<_>>()[..] {
                ["struct", name, size] => layout.sizes.insert(name.to_owned(), number(size)).is_none(),
                ["field", name, at, size] => {
                    layout.fields.insert(name.to_owned(), (number(at), number(size))).is_none()
                }
                ["constant", name, value] => {
                    layout.constants.insert(name.to_owned(), value.to_owned()).is_none()
                }
                _ => panic!("{line}"),
            };
        }
        layout
    }
}

/// A program, in what C and C++ have in common, that prints everything.
fn program(header: &Header) -> String {
    let mut text = String::from(
        "#include \"zvfs_provider.h\"\n#include <stddef.h>\n\
         typedef unsigned long long number;\n\
         #define STRUCT(t) printf(\"struct %s %llu\\n\", #t, (number)sizeof(t));\n\
         #define FIELD(t, f) printf(\"field %s.%s %llu %llu\\n\", #t, #f, (number)offsetof(t, f), \\\n\
         (number)sizeof(((t *)0)->f));\n\
         int main(void) {\n",
    );
    for found in &header.structs {
        let _ = writeln!(text, "STRUCT({})", found.name);
        for field in &found.fields {
            let _ = writeln!(text, "FIELD({}, {field})", found.name);
        }
    }
    // The names as texts of their own: a macro's `#x` could be what it stands for.
    for name in &header.constants {
        let _ = if name.starts_with("ZVFS_EXT_") {
            writeln!(text, "printf(\"constant %s %s\\n\", \"{name}\", {name});")
        } else {
            writeln!(text, "printf(\"constant %s %llu\\n\", \"{name}\", (number)({name}));")
        };
    }
    text + "return 0;\n}\n"
}
