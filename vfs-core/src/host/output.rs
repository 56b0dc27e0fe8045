//! The one way to write a file anew: whole or not there where that can be had, else in place, and why.

use crate::code::Code;
use crate::descriptor::Descriptor;
use crate::error::Result;
use crate::file::Kind;
use crate::flags::{Capabilities, OpenFlags};
use crate::host::open::{OpenFile, OpenOptions};
use crate::host::registry::Registry;
use std::mem;
use std::sync::Arc;

/// How a file is written that [`Registry::create`] opened.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Placement {
    in_place: Option<Arc<str>>,
    keeps_old: bool,
}

impl Placement {
    /// Of a file that is written where it is, for this reason, and has no content to be emptied.
    pub fn in_its_place(why: impl Into<Arc<str>>) -> Placement {
        Placement { in_place: Some(why.into()), keeps_old: false }
    }

    /// Why it is written in place, in words that follow its name; `None`: what stands under the name changes with COMMIT, at
    /// once, or not at all.
    pub fn in_place(&self) -> Option<&str> {
        self.in_place.as_deref()
    }

    /// The same, to be kept without a copy.
    pub fn in_place_shared(&self) -> Option<&Arc<str>> {
        self.in_place.as_ref()
    }

    /// Whether [`begin`](Placement::begin) will empty what is there.
    pub fn empties(&self) -> bool {
        self.keeps_old
    }

    /// Ends what was written over the old content from its start, `size` bytes, in place of a [`begin`](Placement::begin): cuts off
    /// what is left of that. So a file that is its own source, by a name that nobody knows for that, keeps its content.
    ///
    /// # Errors
    /// The provider's.
    pub fn cut(&mut self, file: &mut OpenFile, size: u64) -> Result<()> {
        if mem::take(&mut self.keeps_old) {
            file.truncate(size)
                .map_err(|error| error.context(format!("cut {} to its size", file.shown())))?;
        }
        Ok(())
    }

    /// Begins to write: empties what is written in place and still has its old content. Until then a file that was there is
    /// untouched, and may be closed again.
    ///
    /// # Errors
    /// The provider's.
    pub fn begin(&mut self, file: &mut OpenFile) -> Result<()> {
        if mem::take(&mut self.keeps_old) {
            file.truncate(0).map_err(|error| error.context(format!("empty {}", file.shown())))?;
        }
        Ok(())
    }
}

impl Registry {
    /// Opens a file to be written anew, from its start: ATOMIC where its provider can do that for what is there, else in
    /// place; `in_place` asks for that, and says why. Of the flags in `options` only PREALLOCATE and hints count. A provider is
    /// asked to create, to empty or to reserve if it can: a pipe has nothing to.
    ///
    /// Call [`Placement::begin`] before the first write.
    ///
    /// # Errors
    /// As [`open`](Registry::open).
    ///
    /// # Blocking
    /// As the provider's open does.
    pub fn create(
        &self,
        descriptor: &str,
        options: &OpenOptions,
        in_place: Option<&str>,
    ) -> Result<(OpenFile, Placement)> {
        self.create_guarded(descriptor, options, in_place, &mut || Ok(()))
    }

    /// The same, where the open itself may destroy what is wanted still: `guard` is called before one that empties what is there at
    /// once, and refuses it by an error. What [`Placement::begin`] empties is not asked about.
    ///
    /// # Errors
    /// As [`create`](Registry::create); the guard's.
    ///
    /// # Blocking
    /// As the provider's open does.
    pub fn create_guarded(
        &self,
        descriptor: &str,
        options: &OpenOptions,
        in_place: Option<&str>,
        guard: &mut dyn FnMut() -> Result<()>,
    ) -> Result<(OpenFile, Placement)> {
        let supported = self.supported_flags(descriptor, options)?;
        let reserve = options.flags & OpenFlags::PREALLOCATE;
        let new = (OpenFlags::CREATE | OpenFlags::TRUNCATE | reserve) & supported;
        let base = OpenFlags::WRITE | (options.flags & OpenFlags::HINTS);
        let open = |flags: OpenFlags| self.open(descriptor, &options.clone().with_flags(base | flags));
        let why = match in_place {
            Some(why) => why.to_owned(),
            None if !supported.contains(OpenFlags::ATOMIC) => {
                "its provider does not support ATOMIC".to_owned()
            }
            None => match open(new | OpenFlags::ATOMIC) {
                Err(error) if error.code() == Code::ENOTSUP => error.why(),
                opened => return Ok((opened?, Placement::default())),
            },
        };
        let placed = |file, keeps_old| Ok((file, Placement { keeps_old, ..Placement::in_its_place(&*why) }));
        // What is there is opened without a flag that changes it. To try that on what may be a pipe would break the pipe; and
        // room for more must be found before the old content goes, which is the provider's to do.
        let parsed = Descriptor::parse(descriptor)?;
        let stat = || self.named(parsed, options, "stat", |names, request| names.stat(request));
        if new.contains(OpenFlags::TRUNCATE)
            && reserve.is_empty()
            && let Ok(there) = stat()
            && there.kind == Kind::Regular
            && let Ok(mut file) = open(OpenFlags::empty())
            && can_be_cut(&mut file, there.size)
        {
            return placed(file, true);
        }
        if new.contains(OpenFlags::TRUNCATE) {
            guard()?;
        }
        match open(new) {
            // One file may have less than its provider, such as a layer's above a pipe. What keeps its content must still be
            // emptied.
            Err(error) if error.code() == Code::ENOTSUP && reserve.is_empty() && !new.is_empty() => {
                let file = open(OpenFlags::empty()).map_err(|second| match second.code() {
                    // It comes of what was left out: a server without uploads refuses them (405), and then has nothing to
                    // replace (404).
                    Code::ENOENT | Code::ENOTSUP => error,
                    _ => second,
                })?;
                let keeps_old = file.capabilities().contains(Capabilities::SEEKABLE);
                placed(file, keeps_old)
            }
            opened => placed(opened?, false),
        }
    }
}

/// Whether a file that is open can be cut later, which some servers refuse for every file: that is asked for its own size.
fn can_be_cut(file: &mut OpenFile, size: Option<u64>) -> bool {
    let capabilities = file.capabilities();
    capabilities.contains(Capabilities::TRUNCATABLE)
        && (capabilities.contains(Capabilities::FD) || size.is_none_or(|size| file.truncate(size).is_ok()))
}
