//! What the host is told of a wait.

use std::borrow::Cow;
use vfs_core::{Context, WaitsFor};

/// What the host knows of a wait, until this is dropped.
pub(crate) struct Stated {
    object: Cow<'static, str>,
    /// That an attempt failed too, which it goes on saying.
    is_refused: bool,
    waits: WaitsFor,
}

impl Stated {
    /// States a wait for an object, or goes on with the one that was stated for the same: its time does not begin anew. One whose
    /// refusal is over is stated anew, since the host keeps the last one.
    pub(crate) fn keep(
        stated: &mut Option<Stated>,
        context: &Context,
        object: Cow<'static, str>,
        refusal: Option<String>,
    ) {
        // The old statement is withdrawn before the new one is made: there is one at a time.
        let earlier = stated.take().filter(|stated| stated.object == object);
        let earlier = earlier.filter(|stated| !stated.is_refused || refusal.is_some());
        let now = stated.insert(earlier.unwrap_or_else(|| {
            let waits = context.waits_for(&object);
            Stated { object, is_refused: false, waits }
        }));
        if let Some(refusal) = refusal {
            now.waits.refused(refusal);
            now.is_refused = true;
        }
    }
}
