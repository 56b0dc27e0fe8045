//! The promise to programs that are linked with libzvfs.so.1 or libzvm.so.1, kept by machine: abidiff of what the headers say today
//! against what they said when it was frozen (`tests/abi/frozen/libzvfs.abi`, `libzvm.abi`).
//!
//! The debug information of the library itself is Rust's: it knows nothing of the headers' types and changes with every edit. So what
//! is compared is a library in C that is made of the headers, with a body for each function that they declare. That the real one
//! exports the same functions is `header.rs`'s test, and that its structs lie alike is a test of `capi/src/structs.rs`; for libzvm
//! both are in `capi/zvm/tests`.

#![allow(clippy::unwrap_used, reason = "clippy takes only the #[test] functions of this file for tests")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use tempfile::TempDir;
use zvfs_abi_tests::{include_folder, project, without_comments};
use zvfs_test_support::{have, run, succeeded};

/// Set it to write the dump anew: for additions. Whatever else abidiff reports breaks programs.
const UPDATE: &str = "ZVFS_UPDATE_ABI";

/// A library, and the headers that declare its functions.
#[derive(Clone, Copy)]
struct Of {
    library: &'static str,
    headers: &'static [&'static str],
}

const LIBZVFS: Of = Of { library: "libzvfs", headers: &["zvfs.h", "zvm.h"] };
const LIBZVM: Of = Of { library: "libzvm", headers: &["zvm_session.h"] };

/// The headers with a change, and the library that they would be the headers of.
struct Headers {
    of: Of,
    folder: TempDir,
}

impl Headers {
    fn new(of: Of, change: impl Fn(&str) -> String) -> Headers {
        let folder = tempfile::tempdir().unwrap();
        let changed = |name: &str| {
            let text = change(&fs::read_to_string(include_folder().join(name)).unwrap());
            fs::write(folder.path().join(name), &text).unwrap();
            text
        };
        changed("zvfs_provider.h");
        let mut source = String::from("#include <stdlib.h>\n");
        for name in of.headers {
            source.push_str(&format!("#include \"{name}\"\n{}", bodies(&changed(name))));
        }
        let file = format!("{}.c", of.library);
        fs::write(folder.path().join(&file), source).unwrap();
        let headers = Headers { of, folder };
        let mut cc = Command::new("cc");
        cc.args(["-std=c99", "-g", "-O0", "-shared", "-fPIC"])
            .arg(format!("-Wl,-soname,{}.so.1", of.library))
            .arg("-o")
            .arg(headers.library())
            .arg(file)
            .current_dir(headers.folder.path());
        succeeded(cc);
        headers
    }

    fn library(&self) -> PathBuf {
        self.folder.path().join(self.of.library).with_extension("so.1")
    }

    fn frozen(&self) -> PathBuf {
        project().join("tests/abi/frozen").join(self.of.library).with_extension("abi")
    }

    fn against_frozen(&self) -> Output {
        let mut abidiff = Command::new("abidiff");
        abidiff.arg("--no-show-locs").arg(self.frozen()).arg(self.library());
        run(abidiff).unwrap()
    }
}

/// A body for each function that a header declares.
fn bodies(header: &str) -> String {
    let code = without_comments(header);
    let code: String =
        code.lines().filter(|line| !line.starts_with('#')).flat_map(|line| [line, "\n"]).collect();
    let mut bodies = String::new();
    for declaration in code.split(';').map(str::trim) {
        let is_function = declaration.contains("ZVFS_CALL zvfs_")
            || declaration.contains("ZVFS_CALL zvm_")
            || declaration.starts_with("extern netpipe_t *netpipe")
            || declaration.starts_with("extern int");
        // Behind `extern "C" {` and struct bodies stands the first declaration of a header.
        let declaration = declaration.rsplit(['{', '}']).next().unwrap_or_default();
        if is_function && !declaration.trim_start().starts_with("typedef") {
            bodies.push_str(&format!("{} {{ abort(); }}\n", declaration.replace("extern ", "")));
        }
    }
    bodies
}

fn dump(library: &Path) -> String {
    let mut abidw = Command::new("abidw");
    abidw.args(["--no-show-locs", "--no-corpus-path", "--no-comp-dir-path"]).arg(library);
    String::from_utf8(succeeded(abidw).stdout).unwrap()
}

#[test]
fn programs_that_are_linked_with_it_go_on_working() {
    if !have(&["abidiff"]) {
        return;
    }
    for of in [LIBZVFS, LIBZVM] {
        let headers = Headers::new(of, str::to_owned);
        if std::env::var_os(UPDATE).is_some() {
            fs::create_dir_all(headers.frozen().parent().unwrap()).unwrap();
            fs::write(headers.frozen(), dump(&headers.library())).unwrap();
        }
        let output = headers.against_frozen();
        assert!(
            output.status.success(),
            "{}\nif all of it is new at the end of structs or new functions, freeze it too: {UPDATE}=1 cargo test -p zvfs-capi --test abi",
            String::from_utf8_lossy(&output.stdout)
        );
    }
}

/// What a careless edit would look like; each must be seen.
#[test]
fn a_change_that_breaks_programs_is_seen() {
    if !have(&["abidiff"]) {
        return;
    }
    type Change = fn(&str) -> String;
    let changes: [(Of, &str, Change); 9] = [
        (LIBZVFS, "a parameter of another size", |text| {
            text.replace("uint64_t size, zvfs_error *err);", "uint32_t size, zvfs_error *err);")
        }),
        (LIBZVFS, "a field in the middle", |text| {
            text.replace(
                "    uint64_t expected_size;      /*",
                "    uint64_t more; uint64_t expected_size;      /*",
            )
        }),
        (LIBZVFS, "fields swapped", |text| {
            text.replace(
                "    const char *name;    /* the program's",
                "    uint64_t name;    /* the program's",
            )
        }),
        (LIBZVFS, "a function gone", |text| {
            text.replace("int64_t ZVFS_CALL zvfs_handle_tell(zvfs_handle *handle, zvfs_error *err);", "")
        }),
        (LIBZVFS, "another proposal", |text| {
            text.replace("void *buf, int32_t count);", "void *buf, int64_t count);")
        }),
        (LIBZVM, "a parameter of another size", |text| {
            text.replace("const void *bytes, uint64_t size,", "const void *bytes, uint32_t size,")
        }),
        (LIBZVM, "a field in the middle", |text| {
            text.replace("    const char *worker;", "    const char *more; const char *worker;")
        }),
        (LIBZVM, "another callback", |text| {
            text.replace("(void *arg, uint32_t how);", "(void *arg, uint64_t how);")
        }),
        (LIBZVM, "a function gone", |text| {
            text.replace("int32_t ZVFS_CALL zvm_session_run(zvm_session *session, zvfs_error *err);", "")
        }),
    ];
    for (of, what, change) in changes {
        let output = Headers::new(of, change).against_frozen();
        assert!(!output.status.success(), "not seen: {what}");
    }
}
