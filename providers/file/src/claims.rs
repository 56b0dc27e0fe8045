//! Which run writes which name: two channels of one run must not replace each other's file, while of two runs the last COMMIT
//! wins.

use crate::failure::fail;
use crate::place::Place;
use parking_lot::Mutex;
use std::collections::BTreeSet;
use std::ffi::OsString;
use vfs_core::{Code, Error, Request, Result};

/// A run, a folder's device and inode, and a name in it.
type Key = (String, (u64, u64), OsString);

/// For all instances: aliases of one run may lead to one folder.
static CLAIMS: Mutex<BTreeSet<Key>> = Mutex::new(BTreeSet::new());

/// A name that a run writes; free again when it is dropped.
#[derive(Debug)]
pub struct Claim(Key);

impl Claim {
    /// Claims a name for the run that opens it; `None`: it does not say which that is.
    ///
    /// # Errors
    /// EBUSY: the run writes it already.
    pub fn of(place: &Place, request: &Request<'_>) -> Result<Option<Claim>> {
        let Some(run) = request.settings().text("run") else { return Ok(None) };
        let folder = place.folder().map_err(|errno| fail("open", request.shown(), errno))?;
        let key = (run.to_owned(), folder, place.name().to_owned());
        if CLAIMS.lock().insert(key.clone()) {
            return Ok(Some(Claim(key)));
        }
        let text = format!("open {}: another channel of this run writes it", request.shown());
        Err(Error::new(Code::EBUSY, text))
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        CLAIMS.lock().remove(&self.0);
    }
}
