//! The header and the sample provider, under every standard that they promise.

use std::fs;
use std::path::Path;
use vfs_core::{Capabilities, Code, Configuration, Finish, OpenFlags, OpenOptions, Registry};
use zvfs_abi_tests::{Language, compilers};

const SAMPLE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/env.c");

#[test]
fn the_header_alone_compiles_without_a_warning() {
    let folder = tempfile::tempdir().unwrap();
    for tool in compilers() {
        let source = folder.path().join("alone").with_extension(tool.language.extension());
        // Twice: the guard. What it needs it must include itself, so nothing stands before it.
        fs::write(&source, "#include \"zvfs_provider.h\"\n#include \"zvfs_provider.h\"\n").unwrap();
        for standard in tool.language.standards() {
            tool.check(standard, &source).unwrap();
        }
    }
}

#[test]
fn the_strict_flags_would_catch_a_sloppy_header() {
    let folder = tempfile::tempdir().unwrap();
    for tool in compilers() {
        let source = folder.path().join("sloppy").with_extension(tool.language.extension());
        fs::write(&source, "#include \"zvfs_provider.h\"\nstatic int unused(int argument) { return 0; }\n")
            .unwrap();
        tool.check(tool.language.standards()[0], &source).unwrap_err();
    }
}

#[test]
fn the_sample_provider_is_short_and_compiles_without_a_warning() {
    let text = fs::read_to_string(SAMPLE).unwrap();
    assert!(text.lines().count() <= 40, "a simple provider has grown to {} lines", text.lines().count());
    for tool in compilers().into_iter().filter(|tool| tool.language == Language::C) {
        for standard in tool.language.standards() {
            tool.check(standard, Path::new(SAMPLE)).unwrap();
        }
    }
}

#[test]
fn the_sample_provider_loads_and_reads_a_variable() {
    for tool in compilers().into_iter().filter(|tool| tool.language == Language::C) {
        let folder = tempfile::tempdir().unwrap();
        tool.build(Path::new(SAMPLE), &folder.path().join("libzvfs_env.so"), &["-shared", "-fPIC"]).unwrap();
        let registry = Registry::new(Configuration::with_provider_path([folder.path()]));
        let read = OpenOptions::new(OpenFlags::READ);

        let mut file = registry.open("env:PATH", &read).unwrap();
        assert_eq!(file.capabilities(), Capabilities::READABLE | Capabilities::CANCEL);
        assert_eq!(std::io::read_to_string(&mut file).unwrap(), std::env::var("PATH").unwrap());
        assert_eq!(file.read(&mut [0; 8]).unwrap(), 0, "the end repeats");
        assert_eq!(file.write(b"x").unwrap_err().code(), Code::EBADF);
        assert_eq!(file.tell().unwrap_err().code(), Code::ESPIPE);
        file.finish(Finish::Commit).unwrap();

        let error = registry.open("env:NO_SUCH_VARIABLE", &read).unwrap_err();
        assert_eq!(error.code(), Code::ENOENT);
        assert_eq!(error.chain(), "open env:NO_SUCH_VARIABLE: no variable NO_SUCH_VARIABLE");
        // It never declared WRITE, so it is not even asked.
        let error = registry.open("env:PATH", &OpenOptions::new(OpenFlags::WRITE)).unwrap_err();
        assert_eq!(error.code(), Code::ENOTSUP);
    }
}
