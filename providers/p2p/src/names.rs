//! The names of this instance's readers. The whole name of a pipe is its reader's key and this: nobody else can claim it.

use crate::reader_end::ReaderEnd;
use netpipe::Name;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;
use tokio::sync::watch;
use zvfs_net::awaited::Awaited;

/// Readers by name.
pub struct Names {
    readers: Mutex<HashMap<Name, Arc<Awaited<ReaderEnd>>>>,
    /// Changes with each new reader.
    opened: watch::Sender<()>,
}

impl Names {
    /// No readers.
    pub fn new() -> Names {
        Names { readers: Mutex::default(), opened: watch::Sender::new(()) }
    }

    /// Gives a reader a name; false: another one has it. One that is at its end, or broken, has none.
    pub fn claim(&self, name: &Name, reader: &Arc<Awaited<ReaderEnd>>) -> bool {
        let mut readers = self.readers.lock();
        if readers.get(name).is_some_and(|other| other.with(|end| end.is_open())) {
            return false;
        }
        readers.insert(name.clone(), reader.clone());
        self.opened.send_replace(());
        true
    }

    /// Forgets a reader, if it has the name still.
    pub fn leave(&self, name: &Name, reader: &Arc<Awaited<ReaderEnd>>) {
        let mut readers = self.readers.lock();
        if readers.get(name).is_some_and(|other| Arc::ptr_eq(other, reader)) {
            readers.remove(name);
        }
    }

    /// The reader of a name, if there is one.
    pub fn reader(&self, name: &Name) -> Option<Arc<Awaited<ReaderEnd>>> {
        self.readers.lock().get(name).filter(|reader| reader.with(|end| end.is_open())).cloned()
    }

    /// Tells of readers that come from now on.
    pub fn watch(&self) -> watch::Receiver<()> {
        self.opened.subscribe()
    }
}
