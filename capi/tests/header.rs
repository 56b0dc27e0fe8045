//! The headers and the library say the same.

#![allow(clippy::unwrap_used, reason = "clippy takes only the #[test] functions of this file for tests")]

use std::collections::BTreeSet;
use std::fs;
use std::process::Command;
use zvfs_abi_tests::{compilers, include_folder, starts_in_a_build_tree, without_comments};
use zvfs_test_support::{built, succeeded};

const HEADERS: [&str; 2] = ["zvfs.h", "zvm.h"];

fn header(name: &str) -> String {
    fs::read_to_string(include_folder().join(name)).unwrap()
}

/// The names of the functions that the headers declare.
fn declared() -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for name in HEADERS {
        let code = without_comments(&header(name));
        for declaration in code.split(';').map(str::trim) {
            let head = declaration.split('(').next().unwrap_or_default();
            let function = head.rsplit([' ', '*', '\n']).next().unwrap_or_default();
            let is_function = declaration.contains("ZVFS_CALL zvfs_") || declaration.contains("extern ");
            if is_function && declaration.contains('(') && !declaration.starts_with("typedef") {
                names.insert(function.to_owned());
            }
        }
    }
    names
}

#[test]
fn the_library_exports_what_the_headers_declare_and_nothing_else() {
    let mut nm = Command::new("nm");
    nm.args(["-D", "--defined-only", "--format=just-symbols"]).arg(built().join("libzvfs.so"));
    let output = String::from_utf8(succeeded(nm).stdout).unwrap();
    let exported: BTreeSet<String> = output.lines().map(str::to_owned).collect();
    let declared = declared();
    assert!(declared.len() > 40 && declared.contains("netpipe_write"), "{declared:?}");
    assert_eq!(exported, declared);
}

#[test]
fn the_library_has_its_name_and_stays_loaded() {
    let mut readelf = Command::new("readelf");
    readelf.args(["-d", "-W"]).arg(built().join("libzvfs.so"));
    let output = String::from_utf8(succeeded(readelf).stdout).unwrap();
    assert!(output.contains("soname: [libzvfs.so.1]"), "{output}");
    assert!(output.contains("NODELETE"), "{output}");
}

/// A build tree had no libzvfs.so.1: what was linked there did not start.
#[test]
fn a_program_that_is_linked_in_a_build_tree_starts() {
    let source = "#include <zvfs.h>\nint main(void) { return zvfs_version() == 0; }\n";
    starts_in_a_build_tree("zvfs", source);
}

#[test]
fn the_headers_alone_compile_without_a_warning() {
    let folder = tempfile::tempdir().unwrap();
    for tool in compilers() {
        for includes in [vec!["zvfs.h"], vec!["zvm.h"], vec!["zvm.h", "zvfs_provider.h", "zvfs.h", "zvm.h"]] {
            let source = folder.path().join("alone").with_extension(tool.language.extension());
            let lines: String = includes.iter().map(|name| format!("#include \"{name}\"\n")).collect();
            fs::write(&source, lines).unwrap();
            for standard in tool.language.standards() {
                tool.check(standard, &source).unwrap();
            }
        }
    }
}

#[test]
fn about_half_of_a_header_is_words() {
    for name in HEADERS {
        let text = header(name);
        let code = without_comments(&text).lines().filter(|line| !line.trim().is_empty()).count();
        let all = text.lines().filter(|line| !line.trim().is_empty()).count();
        let words = (all - code) as f64 / all as f64;
        assert!((0.4..=0.8).contains(&words), "{name}: {words}");
    }
}

#[test]
fn the_header_has_the_packages_version() {
    let line = format!("#define ZVFS_VERSION \"{}\"", env!("CARGO_PKG_VERSION"));
    assert!(header("zvfs.h").contains(&line));
}

/// To the letter, as the proposal has them.
#[test]
fn the_four_functions_are_the_proposals() {
    let folder = tempfile::tempdir().unwrap();
    let text = "#include \"zvm.h\"\n\
         struct netpipe_t;\n\
         typedef netpipe_t *(*opens)(const char *descriptor);\n\
         typedef int (*closes)(netpipe_t *pipe);\n\
         typedef int64_t (*reads)(netpipe_t *pipe, void *buf, int32_t count);\n\
         typedef int64_t (*writes)(netpipe_t *pipe, void *buf, int32_t count);\n\
         opens one = netpipe_open; closes two = netpipe_close; reads three = netpipe_read; writes four = netpipe_write;\n";
    for tool in compilers() {
        let source = folder.path().join("four").with_extension(tool.language.extension());
        fs::write(&source, text).unwrap();
        tool.check(tool.language.standards()[0], &source).unwrap();
    }
    let code = without_comments(&header("zvm.h"));
    for line in [
        "struct netpipe_t;",
        "typedef struct netpipe_t netpipe_t;",
        "extern netpipe_t *netpipe_open(const char *descriptor);",
        "extern int netpipe_close(netpipe_t *pipe);",
        "extern int64_t netpipe_read(netpipe_t *pipe, void *buf, int32_t count);",
        "extern int64_t netpipe_write(netpipe_t *pipe, void *buf, int32_t count);",
    ] {
        assert!(code.contains(line), "{line}");
    }
}

/// The example in the header's first comment, as somebody would copy it.
#[test]
fn the_headers_own_example_compiles() {
    let text = header("zvfs.h");
    let example =
        text.split("\n *     #include <stdio.h>").nth(1).unwrap().split("\n *     cc -o").next().unwrap();
    let lines: Vec<&str> =
        example.lines().map(|line| line.strip_prefix(" *     ").unwrap_or_default()).collect();
    let folder = tempfile::tempdir().unwrap();
    for tool in compilers() {
        let source = folder.path().join("example").with_extension(tool.language.extension());
        fs::write(&source, format!("#include <stdio.h>{}", lines.join("\n"))).unwrap();
        tool.check(tool.language.standards()[0], &source).unwrap();
    }
}
