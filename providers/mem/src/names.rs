//! The names of one instance, and which run writes which.

use crate::buffer::Buffer;
use parking_lot::Mutex;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use vfs_core::{Code, Error, Result};

/// The buffers by name. Shared with atomic files, which enter theirs at COMMIT.
#[derive(Debug, Default)]
pub(crate) struct Names {
    pub buffers: Mutex<HashMap<String, Arc<Buffer>>>,
    /// Which run writes which name: two channels of one run must not replace each other's, while of two runs the last COMMIT
    /// wins.
    claims: Mutex<HashSet<(String, String)>>,
}

/// A name that a run writes; free again when it is dropped.
pub(crate) struct Claim {
    key: (String, String),
    names: Arc<Names>,
}

impl Claim {
    /// `None`: the run has it already.
    pub fn of(run: &str, name: &str, names: &Arc<Names>) -> Option<Claim> {
        let key = (run.to_owned(), name.to_owned());
        let free = names.claims.lock().insert(key.clone());
        free.then(|| Claim { key, names: names.clone() })
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        self.names.claims.lock().remove(&self.key);
    }
}

impl Names {
    /// Puts a buffer under a name, replacing what is there unless the name must be new.
    pub fn publish(&self, name: &str, buffer: Arc<Buffer>, exclusive: bool) -> Result<()> {
        let mut buffers = self.buffers.lock();
        if exclusive && buffers.contains_key(name) {
            let text = format!("commit mem:{name}: the name was taken in the meantime");
            return Err(Error::new(Code::EEXIST, text));
        }
        buffers.insert(name.to_owned(), buffer);
        Ok(())
    }
}
