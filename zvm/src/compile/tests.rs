//! What is no program, and what is one.

use super::*;
use crate::manifest::START;
use std::sync::Barrier;
use std::thread;
use std::time::{Duration, Instant};

#[path = "../../tests/worker/bombs.rs"]
mod bombs;

fn compiled(program: &str) -> Result<Compiled, Failure> {
    Compiler::new().program(program.as_bytes(), START, &Stop::default(), &|| Ok(()))
}

fn refusal(program: &str) -> String {
    match compiled(program) {
        Ok(_) => panic!("compiled: {program}"),
        Err(failure) => {
            assert_eq!(failure.exit(), ExitCode::BadProgram, "{failure}");
            failure.text().to_owned()
        }
    }
}

#[test]
fn what_is_no_program_is_refused_and_told_why() {
    for (program, words) in [
        ("", "neither"),
        ("#!/bin/sh\n", "neither"),
        ("\u{7f}ELF", "neither"),
        ("\0asm\x01", "bad program"),
        ("(module", "bad program"),
        ("(module (memory (export \"memory\") 1))", "_start"),
        ("(module (func (export \"_start\")))", "memory"),
        ("(module (memory (export \"memory\") 1) (func (export \"_start\") (param i32)))", "_start"),
        ("(module (memory (export \"memory\") 1) (global (export \"_start\") i32 (i32.const 0)))", "_start"),
    ] {
        let text = refusal(program);
        assert!(text.contains(words), "{program:?}: {text}");
        assert!(!text.contains('\n'), "{text}");
    }
}

/// A stranger's report: while a program of 60,000 functions was compiled, requests to others waited until their Timeout.
#[test]
fn a_large_program_holds_up_no_small_one() {
    let mut large = String::from("(module (memory (export \"memory\") 1) (func (export \"_start\"))");
    (0..4_000).for_each(|number| {
        large += &format!("(func (param i32) (result i32) local.get 0 i32.const {number} i32.mul)");
    });
    large += ")";
    let large = wat::parse_str(large).unwrap();
    let small = |number| {
        let small = format!(
            "(module (memory (export \"memory\") 1) (data (i32.const 0) \"{number}\") (func (export \"_start\")))"
        );
        compiled(&small).unwrap();
    };
    let meanwhile = || {
        let both = Barrier::new(2);
        thread::scope(|scope| {
            let whole = scope.spawn(|| {
                both.wait();
                let start = Instant::now();
                artifact::compile(&large).unwrap();
                start.elapsed()
            });
            both.wait();
            let mut longest = Duration::ZERO;
            for number in 0.. {
                if whole.is_finished() {
                    break;
                }
                let start = Instant::now();
                small(number);
                longest = longest.max(start.elapsed());
            }
            (longest, whole.join().unwrap())
        })
    };
    // A busy machine may hold up a small one by itself, but not each time for so long.
    let mut times = Vec::new();
    let is_free = (0..5).any(|_| {
        let (longest, whole) = meanwhile();
        times.push((longest, whole));
        2 * longest < whole
    });
    assert!(is_free, "the longest small one and the large one, five times: {times:?}");
}

#[test]
fn the_programs_own_text_is_told_in_bounds_and_without_control_characters() {
    let text = refusal(&format!("(module \u{1b}[2J {}", "x".repeat(1 << 20)));
    assert!(text.len() < 2000 && text.contains("\\u{1b}") && !text.contains('\u{1b}'), "{text}");
}

/// A case report: large programs were compiled for 5 to 28 s, at each start, before they were found to be none.
#[test]
fn what_cannot_run_is_told_without_a_compiler_and_with_what_to_build() {
    let whole =
        |import: &str| format!("(module {import} (memory (export \"memory\") 1) (func (export \"_start\")))");
    let preview1 = |import: &str| whole(&format!("(import \"wasi_snapshot_preview1\" {import})"));
    let memory = "(memory (export \"memory\") 1)";
    for (program, words) in [
        (whole("(import \"env\" \"system\" (func))"), "unknown import env::system: a guest can import"),
        (preview1("\"fd_reed\" (func)"), "unknown import wasi_snapshot_preview1::fd_reed"),
        (
            preview1("\"fd_close\" (func)"),
            "fd_close is imported as (func), but is (func (param i32) (result i32))",
        ),
        (preview1("\"fd_close\" (global i32)"), "fd_close is imported, but is not a function"),
        (whole("(import \"wasi_unstable\" \"fd_read\" (func))"), "of the interface before preview1"),
        (whole("(import \"wasi:cli/exit@0.2.0\" \"exit\" (func))"), "of preview2 or later"),
        (
            "(module (import \"env\" \"memory\" (memory 1)) (func (export \"_start\")))".into(),
            "imports its memory, env::memory",
        ),
        (
            format!("(module {memory} (func (export \"_initialize\")))"),
            "exports `_initialize` and no `_start`, as a library does",
        ),
        (format!("(module {memory} (func (export \"main\")))"), "no `_start` is exported"),
        (
            format!("(module {memory} (func (export \"_start\") (param i32)))"),
            "`_start` is not a function without",
        ),
        (
            format!("(module {memory} (global (export \"_start\") i32 (i32.const 0)))"),
            "`_start` is not a function",
        ),
        ("(module (func (export \"_start\")))".into(), "no memory is exported"),
        (
            "(module (memory (export \"memory\") 1 1 shared) (func (export \"_start\")))".into(),
            "without threads",
        ),
        ("(module (memory (export \"memory\") i64 1) (func (export \"_start\")))".into(), "wasm32"),
        ("(component)".into(), "it is a component"),
    ] {
        let binary = match program.as_str() {
            "(component)" => b"\0asm\x0d\0\x01\0".to_vec(),
            text => wat::parse_str(text).unwrap(),
        };
        // A worker that is not there shows that nothing was compiled.
        let compiler = Compiler::new().worker(Worker::new("/nowhere"));
        let failure = compiler.program(&binary, START, &Stop::default(), &|| Ok(())).err().unwrap();
        assert_eq!(failure.exit(), ExitCode::BadProgram, "{program}: {failure}");
        assert!(failure.text().contains(words), "{program}: {failure}");
        assert!(refusal(&program).starts_with("bad program: "), "{program}");
    }
}

#[test]
fn features_beyond_the_list_are_off_and_named_with_what_to_build() {
    let memory = "(memory (export \"memory\") 1)";
    for (body, words) in [
        ("(memory (export \"memory\") 1 1 shared)", "without threads"),
        ("(memory (export \"memory\") i64 1)", "for wasm32"),
        ("(memory (export \"memory\") 1) (memory 1)", "2 memories"),
        (&format!("{memory} (func (param i31ref))"), "(GC): build it"),
        (&format!("{memory} (type (struct))"), "(GC): build it"),
        (&format!("{memory} (type (array i32))"), "(GC): build it"),
        (&format!("{memory} (type $f (func)) (func (param (ref $f)))"), "typed function references"),
        (&format!("{memory} (tag $e) (func try nop catch $e end)"), "-mllvm -wasm-use-legacy-eh=false"),
        (
            &format!(
                "{memory} (func (param v128) (result v128)
                    (i16x8.relaxed_q15mulr_s (local.get 0) (local.get 0)))"
            ),
            "without -mrelaxed-simd",
        ),
        (
            &format!(
                "{memory} (func (param i64 i64 i64 i64) (result i64 i64)
                    (i64.add128 (local.get 0) (local.get 1) (local.get 2) (local.get 3)))"
            ),
            "wide arithmetic",
        ),
        ("(memory (export \"memory\") 1 (pagesize 1))", "pages that are not of 64 KiB"),
        (
            &format!("{memory} (type (struct)) (tag $e) (func try nop catch $e end)"),
            "-sWASM_LEGACY_EXCEPTIONS=0); it needs objects",
        ),
        // Something else is wrong with it: the engine says what.
        (&format!("{memory} (func (result i32))"), "type mismatch"),
    ] {
        let text = refusal(&format!("(module {body} (func (export \"_start\")))"));
        assert!(text.contains(words), "{body}: {text}");
    }
}

#[test]
fn features_on_the_list_are_on() {
    for body in [
        "(func (result i32) (i32.extend8_s (i32.const 1)))",
        "(func (result i32) (i32.trunc_sat_f32_s (f32.const 1)))",
        "(func (result i32 i32) (i32.const 1) (i32.const 2))",
        "(func (memory.fill (i32.const 0) (i32.const 0) (i32.const 0)))",
        "(table 1 funcref) (func (drop (table.size 0)))",
        "(func (result v128) (i32x4.splat (i32.const 1)))",
        "(func $f (return_call $f))",
        "(global (mut i32) (i32.add (i32.const 1) (i32.const 2)))",
        "(func (param externref exnref))",
        "(tag $e) (func (block $l (try_table (catch $e $l) (throw $e))))",
    ] {
        let program = format!("(module (memory (export \"memory\") 1) {body} (func (export \"_start\")))");
        assert!(compiled(&program).is_ok(), "{body}");
    }
}

#[test]
fn more_tables_than_the_limit_are_refused() {
    let tables = |count: usize| {
        let tables = "(table 0 funcref)".repeat(count);
        format!("(module (memory (export \"memory\") 1) {tables} (func (export \"_start\")))")
    };
    assert!(compiled(&tables(16)).is_ok());
    assert!(refusal(&tables(17)).contains("17 tables"));
}

#[test]
fn what_is_over_a_limit_is_refused_and_told_which() {
    let module =
        |body: &str| format!("(module {body} (memory (export \"memory\") 1) (func (export \"_start\")))");
    let many = |count: usize, text: &str| text.repeat(count);
    for (body, words) in [
        (format!("(func (local {}))", many(10_001, "i32 ")), "10001 locals in one function"),
        (many(20_001, "(type (func))"), "types"),
        (many(1_001, "(import \"a\" \"b\" (func))"), "1001 imports"),
        (many(50_001, "(global i32 i32.const 0)"), "50001 globals"),
        (many(100_001, "(data \"\")"), "100001 data segments"),
        (many(100_001, "(elem func)"), "100001 element segments"),
    ] {
        let text = refusal(&module(&body));
        assert!(text.contains(words), "{words}: {text}");
    }
    let refusal = |binary: &[u8]| limits::check(binary, limits::FUNCTIONS).unwrap_err().to_string();
    let mut nops = vec![1; (2 << 20) + 1];
    nops[0] = 0;
    assert!(refusal(&bombs::module([nops].into_iter())).contains("bytes in one function"));
    let many = bombs::module(vec![bombs::nothing(); 250_001].into_iter());
    assert!(refusal(&many).contains("250001 functions: at most 250000, unless the host allows more"));
    assert!(limits::check(&many, 250_001).is_ok());
    assert!(
        refusal(&bombs::module([bombs::tangle(9_000, 1 << 20)].into_iter())).contains("bytes times locals")
    );
    let mut elements = vec![1, 1, 0];
    elements.extend(bombs::leb(1_000_001));
    elements.extend(vec![0; 1_000_001]);
    let mut binary = b"\0asm\x01\0\0\0".to_vec();
    bombs::section(&mut binary, 9, &elements);
    assert!(refusal(&binary).contains("1000001 elements in segments"));
}

#[test]
fn a_precompiled_file_is_no_program() {
    let binary =
        wat::parse_str("(module (memory (export \"memory\") 1) (func (export \"_start\")))").unwrap();
    let artifact = artifact::compile(&binary).unwrap();
    artifact::load(Artifact::Made(&artifact), None).unwrap();
    let failure = Compiler::new().program(&artifact, START, &Stop::default(), &|| Ok(())).err().unwrap();
    assert!(failure.text().contains("neither"), "{failure}");
}

#[test]
fn a_cached_program_is_used_and_a_bad_one_compiled_anew_with_a_note() {
    let root = tempfile::tempdir().unwrap();
    let cache = Cache::open(&root.path().join("cache"), &root.path().join("key")).unwrap();
    let program = "(module (memory (export \"memory\") 1) (func (export \"_start\")))";
    let compile = || {
        Compiler::new()
            .cache(cache.clone())
            .program(program.as_bytes(), START, &Stop::default(), &|| Ok(()))
            .unwrap()
    };
    assert!(compile().notes.is_empty());
    // A worker that is not there shows that the cache was enough.
    let nobody = Compiler::new().cache(cache.clone()).worker(Worker::new("/nowhere"));
    assert!(
        nobody.program(program.as_bytes(), START, &Stop::default(), &|| Ok(())).unwrap().notes.is_empty()
    );
    let entry = std::fs::read_dir(root.path().join("cache")).unwrap().next().unwrap().unwrap().path();
    std::fs::write(&entry, "torn").unwrap();
    let notes = compile().notes;
    assert!(notes.len() == 1 && notes[0].contains("compiled again"), "{notes:?}");
    assert!(compile().notes.is_empty());
}

/// What the host lets a program have does not depend on whether another host compiled it before.
#[test]
fn a_cached_program_is_held_against_the_function_that_is_called_and_the_hosts_limit() {
    let root = tempfile::tempdir().unwrap();
    let cache = Cache::open(&root.path().join("cache"), &root.path().join("key")).unwrap();
    let program =
        wat::parse_str("(module (memory (export \"memory\") 1) (func) (func (export \"_start\")))").unwrap();
    let compile = |functions, entry| {
        let compiler = Compiler::new().cache(cache.clone()).functions(functions);
        compiler
            .program(&program, entry, &Stop::default(), &|| Ok(()))
            .map(|compiled| assert!(compiled.notes.is_empty()))
    };
    compile(2, START).unwrap();
    compile(2, START).unwrap();
    assert!(compile(1, START).unwrap_err().text().contains("2 functions: at most 1"));
    assert!(compile(2, "other").unwrap_err().text().contains("no `other` is exported"));
}

#[test]
fn an_artifact_of_the_users_own_that_the_engine_refuses_is_compiled_anew() {
    let root = tempfile::tempdir().unwrap();
    let cache = Cache::open(&root.path().join("cache"), &root.path().join("key")).unwrap();
    let program = b"(module (memory (export \"memory\") 1) (func (export \"_start\")))";
    let name = artifact::name(&fingerprint(program)).unwrap();
    cache.store(&name, &[0; 32], b"no machine code").unwrap();
    let compiled =
        Compiler::new().cache(cache).program(program, START, &Stop::default(), &|| Ok(())).unwrap();
    assert!(compiled.notes[0].contains("load the compiled program"), "{:?}", compiled.notes);
}

#[test]
fn an_unusable_cache_is_a_note_and_no_failure() {
    let root = tempfile::tempdir().unwrap();
    let cache = Cache::open(&root.path().join("cache"), &root.path().join("key")).unwrap();
    std::fs::remove_dir(root.path().join("cache")).unwrap();
    let program = b"(module (memory (export \"memory\") 1) (func (export \"_start\")))";
    let compiled =
        Compiler::new().cache(cache).program(program, START, &Stop::default(), &|| Ok(())).unwrap();
    assert!(compiled.notes[0].contains("was not cached"), "{:?}", compiled.notes);
}

#[test]
fn who_waits_for_anothers_compiler_is_stopped_and_a_failure_hands_the_turn_on() {
    let loaded = Loaded::default();
    let make = || -> Result<(Program, usize), Failure> {
        let stop = Stop::default();
        stop.throw(crate::guest::Reason::Cancelled, None);
        // Within: its turn is taken.
        let inner = loaded.get_or_make([1; 32], &stop, || unreachable!());
        assert_eq!(inner.err().unwrap().exit(), ExitCode::Stopped);
        Err(bad("no"))
    };
    assert!(loaded.get_or_make([1; 32], &Stop::default(), make).is_err());
    assert!(loaded.get_or_make([1; 32], &Stop::default(), || Err(bad("again"))).is_err());
}

/// A library's functions are called by name; what is refused for one name may be compiled already for another.
#[test]
fn a_library_is_held_against_the_function_that_is_called() {
    let library = r#"(module (memory (export "memory") 1) (func (export "_initialize"))
        (func (export "works")) (func (export "counts") (result i32) (i32.const 1))
        (func (export "needs") (param i32)) (func (export "tells") (result i64) (i64.const 1))
        (global (export "is") i32 (i32.const 0)))"#;
    let binary = wat::parse_str(library).unwrap();
    for program in [library.as_bytes(), &binary] {
        let compiler = Compiler::new();
        let refusal = |entry| {
            let failure = compiler.program(program, entry, &Stop::default(), &|| Ok(())).err()?;
            assert_eq!(failure.exit(), ExitCode::BadProgram);
            Some(failure.text().to_owned())
        };
        for round in 0..2 {
            assert_eq!((refusal("works"), refusal("counts")), (None, None), "{round}");
            for unfit in ["needs", "tells", "is"] {
                let words =
                    format!("Function: `{unfit}` is not a function without parameters, and with an i32");
                assert!(refusal(unfit).unwrap().contains(&words), "{round}");
            }
            assert!(refusal("wroks").unwrap().ends_with("Function: no `wroks` is exported"));
            assert!(refusal("_start").unwrap().contains("as a library does"));
        }
    }
}
