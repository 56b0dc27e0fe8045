//! A file that is read while another program of the folder makes it as a whole: what has been written so far, as in any folder, where the
//! provider reads what it has not shown yet. Nobody outside the folder sees anything of it before it is complete.

use crate::calls::Call;
use crate::handle::Handle;
use crate::tree::{Node, Tree};
use crate::writer::Writer;
use parking_lot::Mutex;
use std::sync::Arc;
use vfs_core::Result;

/// An open file of that kind.
pub struct Joined {
    /// Of no version: which one it becomes is not known before.
    node: Node,
    writer: Arc<Writer>,
    /// The file itself, once that is complete.
    complete: Mutex<Option<Arc<Handle>>>,
}

impl Joined {
    /// Reads what this writer writes.
    pub fn new(node: &Node, writer: Arc<Writer>) -> Joined {
        Joined { node: node.of_any_version(), writer, complete: Mutex::default() }
    }

    /// Reads from an offset what there is by now.
    ///
    /// # Errors
    /// What it was given up for. The provider's.
    pub fn read(&self, tree: &Tree, call: &Call, offset: u64, size: usize) -> Result<Vec<u8>> {
        if let Some(bytes) = self.writer.read_so_far(call, offset, size)? {
            return Ok(bytes);
        }
        let mut complete = self.complete.lock();
        let handle = match &*complete {
            Some(handle) => handle.clone(),
            None => complete.insert(Arc::new(Handle::open(tree, &self.node, call)?)).clone(),
        };
        drop(complete);
        handle.read(call, offset, size)
    }
}
