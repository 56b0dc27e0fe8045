//! An object that is sent in parts. Parts go on while nobody waits for them; the store shows nothing before they are completed.

use crate::failure;
use crate::started::Started;
use crate::writer::{Destination, refused};
use bytes::Bytes;
use object_store::multipart::PartId;
use object_store::{Attributes, PutMultipartOptions};
use std::future::Future;
use std::sync::Arc;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use vfs_core::{Code, Printable};
use zvfs_net::failure::{Attempt, Failure};
use zvfs_runtime::Runtime;

/// An upload in parts.
pub struct Upload {
    destination: Destination,
    runtime: Runtime,
    /// The store's name for it.
    id: Started<String>,
    /// In the object's order.
    parts: Vec<Started<PartId>>,
    slots: Slots,
}

/// Room for parts that are under way. After a failure there is none.
#[derive(Clone)]
struct Slots {
    free: Arc<Semaphore>,
    failure: Arc<std::sync::OnceLock<Failure>>,
}

/// Room for a part.
pub struct Slot {
    _permit: OwnedSemaphorePermit,
}

impl Upload {
    /// Begins an upload of which `parallel` parts are under way at most.
    pub fn start(
        destination: &Destination,
        attributes: &Attributes,
        runtime: &Runtime,
        parallel: usize,
    ) -> Upload {
        let Destination { store, path, .. } = destination.clone();
        let options =
            PutMultipartOptions { attributes: attributes.clone(), ..PutMultipartOptions::default() };
        // Not ended with whoever waits: what the store began has to be known, to be aborted.
        let id = Started::new(runtime, async move {
            store.create_multipart_opts(&path, options).await.map_err(|error| failure::meaning(&error))
        });
        Upload {
            destination: destination.clone(),
            runtime: runtime.clone(),
            id,
            parts: Vec::new(),
            slots: Slots { free: Arc::new(Semaphore::new(parallel)), failure: Arc::default() },
        }
    }

    /// Parts so far.
    pub fn count(&self) -> usize {
        self.parts.len()
    }

    /// Waits for room for a part.
    ///
    /// # Errors
    /// What an earlier part failed with.
    pub fn slot(&self) -> impl Future<Output = Attempt<Slot>> + Send + use<> {
        let slots = self.slots.clone();
        async move {
            let slot = slots.free.acquire_owned().await;
            slot.map(|permit| Slot { _permit: permit }).map_err(|_| {
                let failure = slots.failure.get().cloned();
                failure.unwrap_or_else(|| Failure::new(Code::EIO, "an earlier part failed"))
            })
        }
    }

    /// Sends the next part.
    pub fn send(&mut self, slot: Slot, bytes: Bytes) {
        let Destination { store, path, .. } = self.destination.clone();
        let (slots, id, number) = (self.slots.clone(), self.id.outcome(), self.parts.len());
        self.parts.push(Started::new(&self.runtime, async move {
            let _slot = slot;
            let sent = async {
                let id = id.await?;
                store
                    .put_part(&path, &id, number, bytes.into())
                    .await
                    .map_err(|error| failure::meaning(&error))
            };
            sent.await.inspect_err(|failure| slots.fail(failure))
        }));
    }

    /// Waits for all parts and makes the object visible.
    pub fn complete(&self) -> impl Future<Output = Attempt<()>> + Send + use<> {
        let Destination { store, path, exclusive, .. } = self.destination.clone();
        let id = self.id.outcome();
        let parts: Vec<_> = self.parts.iter().map(Started::outcome).collect();
        async move {
            let id = id.await?;
            let mut sent = Vec::with_capacity(parts.len());
            for part in parts {
                sent.push(part.await?);
            }
            match store.complete_multipart(&path, &id, sent).await {
                Ok(_) => Ok(()),
                // Tried again after an answer that was lost, or somebody else's doing.
                Err(error) if failure::status(&error) == Some(404) => {
                    let text = "the store knows the upload no more: it was completed or aborted, and the answer was lost: look at the object";
                    Err(Failure::new(Code::EIO, text))
                }
                Err(error) => Err(refused(&error, exclusive)),
            }
        }
    }

    /// Ends what is under way and removes what was sent.
    ///
    /// # Errors
    /// The store's: the parts stay, and the text says which, and what to do.
    pub fn abort(self) -> impl Future<Output = Attempt<()>> + Send {
        let Upload { destination: Destination { store, path, .. }, id, parts, .. } = self;
        async move {
            // A part that comes after the abort would stay.
            for part in parts {
                part.stop().await;
            }
            // If it never began there is nothing to remove.
            let Ok(id) = id.outcome().await else { return Ok(()) };
            match store.abort_multipart(&path, &id).await {
                Err(error) if failure::status(&error) != Some(404) => {
                    let left =
                        format!("the parts of the upload {} stay at the store, and cost", Printable(&id));
                    let advice =
                        ": abort it with the store's own tool, or have a rule of the bucket expire it";
                    Err(failure::meaning(&error).context(&left).followed_by(advice))
                }
                _ => Ok(()),
            }
        }
    }
}

impl Slots {
    /// Lets nobody in any more.
    fn fail(&self, failure: &Failure) {
        let _ = self.failure.set(failure.clone());
        self.free.close();
    }
}
