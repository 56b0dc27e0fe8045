//! Where a guest was when it ended: the names of its functions, which are a stranger's.

use std::num::NonZeroUsize;
use vfs_core::Shown;
use wasmtime::{Error, FrameInfo, WasmBacktrace};

/// How many calls are told, the innermost ones.
pub(super) const FRAMES_MAX: NonZeroUsize = NonZeroUsize::new(8).unwrap();
/// How much is told of a name, in characters.
const NAME_MAX: usize = 60;

/// The calls that an error of the engine came out of, the innermost first: "in `f`, called by `g`, `_start`". `None`: it came
/// out of no call.
pub(super) fn stack(error: &Error) -> Option<String> {
    let frames = error.downcast_ref::<WasmBacktrace>()?.frames();
    let (inner, callers) = frames.split_first()?;
    let mut text = format!("in {}", name(inner));
    for (at, caller) in callers.iter().enumerate() {
        text += if at == 0 { ", called by " } else { ", " };
        text += &name(caller);
    }
    if frames.len() >= FRAMES_MAX.get() {
        text += ", ...";
    }
    Some(text)
}

/// A function by its name, cut and escaped, or by its number if it has none.
fn name(frame: &FrameInfo) -> String {
    let Some(name) = frame.func_name().filter(|name| !name.is_empty()) else {
        return format!("function {}", frame.func_index());
    };
    match name.char_indices().nth(NAME_MAX) {
        None => format!("`{}`", Shown(name)),
        Some((end, _)) => format!("`{}...`", Shown(&name[..end])),
    }
}
