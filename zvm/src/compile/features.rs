//! Which features a program needs that guests do not have: the engine names an instruction, and its author has to know what to build
//! instead.

use super::bad;
use crate::exit::{Failure, one_line};
use crate::guest::FEATURES;
use wasmparser::{Validator, WasmFeatures};

/// A feature that guests do not have.
struct Feature {
    flag: WasmFeatures,
    what: &'static str,
    instead: &'static str,
}

const fn feature(flag: WasmFeatures, what: &'static str, instead: &'static str) -> Feature {
    Feature { flag, what, instead }
}

const ANOTHER: &str = "build it without";

const MISSING: [Feature; 12] = [
    feature(
        WasmFeatures::LEGACY_EXCEPTIONS,
        "exceptions as they were before WebAssembly 3",
        "build it with -mllvm -wasm-use-legacy-eh=false (Emscripten: -sWASM_LEGACY_EXCEPTIONS=0)",
    ),
    feature(
        WasmFeatures::GC,
        "objects in the engine's own heap (GC)",
        "build it with a compiler that keeps its objects in linear memory",
    ),
    feature(WasmFeatures::FUNCTION_REFERENCES, "typed function references", ANOTHER),
    feature(
        WasmFeatures::RELAXED_SIMD,
        "relaxed SIMD, which gives other results on other machines",
        "build it without -mrelaxed-simd",
    ),
    feature(WasmFeatures::WIDE_ARITHMETIC, "wide arithmetic", "build it without -mwide-arithmetic"),
    feature(WasmFeatures::MEMORY64, "64-bit addresses", "build it for wasm32"),
    feature(WasmFeatures::MULTI_MEMORY, "several memories", ANOTHER),
    feature(WasmFeatures::CUSTOM_PAGE_SIZES, "pages that are not of 64 KiB", ANOTHER),
    feature(WasmFeatures::STACK_SWITCHING, "stack switching", ANOTHER),
    feature(WasmFeatures::SHARED_EVERYTHING_THREADS, "shared tables, globals or functions", ANOTHER),
    feature(WasmFeatures::MEMORY_CONTROL, "memory control", ANOTHER),
    feature(WasmFeatures::CUSTOM_DESCRIPTORS, "custom descriptors", ANOTHER),
];

/// What a program in binary form needs and guests do not have, with what to do about it. `None`: something else is wrong with it.
pub(super) fn needed(binary: &[u8]) -> Option<String> {
    let takes = |features| Validator::new_with_features(features).validate_all(binary).is_ok();
    let all = MISSING.iter().fold(ours(), |all, missing| all | missing.flag);
    if !takes(all) {
        return None;
    }
    // Features include each other: what can be taken away, one after the other, is not needed.
    let least = MISSING.iter().map(|missing| missing.flag).fold(all, |rest, flag| {
        let fewer = rest.difference(flag);
        if takes(fewer) { fewer } else { rest }
    });
    let needed = MISSING.iter().filter(|missing| least.contains(missing.flag));
    let texts: Vec<String> =
        needed.map(|missing| format!("it needs {}: {}", missing.what, missing.instead)).collect();
    (!texts.is_empty()).then(|| texts.join("; "))
}

/// Whether a program in binary form is valid, with what guests have.
///
/// # Errors
/// What is wrong with it, as the compiler would say.
pub(super) fn check(binary: &[u8]) -> Result<(), Failure> {
    let valid = Validator::new_with_features(ours()).validate_all(binary);
    valid.map(drop).map_err(|error| bad(needed(binary).unwrap_or_else(|| one_line(&error.to_string()))))
}

fn ours() -> WasmFeatures {
    FEATURES.iter().fold(WasmFeatures::empty(), |all, feature| all | *feature)
}
