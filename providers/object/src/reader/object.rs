//! An object as it was when it was opened. Every range is held against that.

use crate::failure;
use crate::mtime;
use crate::started::Started;
use crate::stores::Store;
use bytes::Bytes;
use futures_util::StreamExt;
use object_store::path::Path;
use object_store::{Attributes, GetOptions, GetRange, GetResult, ObjectMeta};
use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use vfs_core::{Code, Context, Kind, Stat};
use zvfs_net::failure::{Attempt, Failure};
use zvfs_net::waiting::Waiting;
use zvfs_runtime::Runtime;

/// The longest tag that a status can show.
const VERSION_MAX: usize = 127;

/// The bytes of a range, under way.
pub type Pieces = Started<Vec<Bytes>>;

/// An object that has been opened.
pub struct Object {
    source: Source,
    context: Context,
    runtime: Runtime,
    /// Bytes.
    pub size: u64,
    stat: Stat,
}

/// What a range is asked of, and what it has to be a part of.
#[derive(Clone)]
struct Source {
    store: Arc<dyn Store>,
    path: Path,
    size: u64,
    tag: Arc<str>,
}

impl Object {
    /// Opens an object by asking for its first bytes, `first` of them, and returns those too.
    ///
    /// # Errors
    /// ENOENT, EACCES and the like: the store's. EPROTO: it has no tag to tell it by.
    pub fn open(
        store: &Arc<dyn Store>,
        path: &Path,
        first: u64,
        context: &Context,
        runtime: &Runtime,
    ) -> Attempt<(Object, Pieces)> {
        let asked = begin(store.clone(), path.clone(), first);
        let found = runtime.wait(patient(context, "answer of the store"), asked)?;
        let Some(tag) = found.meta.e_tag.as_deref() else {
            return Err(Failure::protocol(
                "the store gives no ETag, to tell that each range is of the same object",
            ));
        };
        let (size, stat) = (found.meta.size, describe(&found.meta, &found.attributes));
        let source = Source { store: store.clone(), path: path.clone(), size, tag: tag.into() };
        let first = Started::new(runtime, collect(found));
        Ok((Object { source, context: context.clone(), runtime: runtime.clone(), size, stat }, first))
    }

    /// What is known of it.
    pub fn stat(&self) -> Stat {
        self.stat.clone()
    }

    /// Begins to fetch a range.
    pub fn fetch(&self, range: Range<u64>) -> Pieces {
        Started::new(&self.runtime, self.source.clone().fetch(range))
    }

    /// Waits for a range that is being fetched.
    ///
    /// # Errors
    /// ESTALE: the object is another one, or gone. The store's. ECANCELED, ETIMEDOUT: the caller's.
    pub fn wait(&self, range: &Pieces) -> Attempt<Vec<Bytes>> {
        match range.now() {
            Some(outcome) => outcome,
            None => self.runtime.wait(patient(&self.context, "bytes of the object"), range.outcome()),
        }
    }

    /// Fetches a range and waits for it.
    ///
    /// # Errors
    /// As [`wait`](Object::wait).
    pub fn fetch_and_wait(&self, range: Range<u64>) -> Attempt<Vec<Bytes>> {
        self.runtime.wait(patient(&self.context, "bytes of the object"), self.source.clone().fetch(range))
    }
}

/// Waits as long as the caller does: what is asked of a store has limits of its own. Most such waits are short, so that they are
/// told of after a moment only.
pub fn patient<'a>(context: &'a Context, what: &'a str) -> Waiting<'a> {
    Waiting::silence(context, Duration::MAX, what)
}

/// Asks for the first bytes of an object.
async fn begin(store: Arc<dyn Store>, path: Path, first: u64) -> Attempt<GetResult> {
    let options = GetOptions { range: Some(GetRange::Bounded(0..first)), ..GetOptions::default() };
    match store.get_opts(&path, options).await {
        // Of an empty object there is no range.
        Err(error) if failure::status(&error) == Some(416) => {
            let options = GetOptions { head: true, ..GetOptions::default() };
            store.get_opts(&path, options).await
        }
        found => found,
    }
    .map_err(|error| failure::meaning(&error))
}

/// What is known of an object.
///
/// # Errors
/// The store's.
pub async fn head(store: &dyn Store, path: &Path) -> Attempt<Stat> {
    let options = GetOptions { head: true, ..GetOptions::default() };
    let found = store.get_opts(path, options).await.map_err(|error| failure::meaning(&error))?;
    Ok(describe(&found.meta, &found.attributes))
}

/// What a store says of an object, for a caller. A list has no attributes: what is listed has the time of its upload.
pub fn describe(meta: &ObjectMeta, attributes: &Attributes) -> Stat {
    let stat = Stat::of_kind(Kind::Regular).size(meta.size);
    let stat = match (mtime::of(attributes), meta.last_modified.timestamp_millis()) {
        (Some(given), _) => stat.modified(given),
        // The library's way to say that the store did not say it.
        (None, 0) => stat,
        (None, _) => stat.modified(SystemTime::from(meta.last_modified)),
    };
    match &meta.e_tag {
        Some(tag) if tag.len() <= VERSION_MAX => stat.version(tag.clone()),
        _ => stat,
    }
}

impl Source {
    /// A range, all of it.
    async fn fetch(self, range: Range<u64>) -> Attempt<Vec<Bytes>> {
        let options = GetOptions {
            range: Some(GetRange::Bounded(range.clone())),
            if_match: Some(self.tag.to_string()),
            ..GetOptions::default()
        };
        let found = self.store.get_opts(&self.path, options).await.map_err(|error| pinned(&error))?;
        // A store may not know the condition.
        if found.meta.size != self.size || found.meta.e_tag.as_deref() != Some(&*self.tag) {
            return Err(changed());
        }
        collect(found).await
    }
}

/// The bytes of an answer, all of them.
async fn collect(found: GetResult) -> Attempt<Vec<Bytes>> {
    let (mut pieces, mut left) = (Vec::new(), found.range.end - found.range.start);
    let mut stream = found.into_stream();
    while let Some(piece) = stream.next().await {
        let piece = piece.map_err(|error| pinned(&error))?;
        left = left
            .checked_sub(piece.len() as u64)
            .ok_or_else(|| Failure::protocol("the store sent more than was asked for"))?;
        pieces.push(piece);
    }
    match left {
        0 => Ok(pieces),
        left => Err(Failure::later(Code::ECONNRESET, format!("a range ended {left} bytes early"))),
    }
}

/// The failure of a request for an object that was there.
fn pinned(error: &object_store::Error) -> Failure {
    let failure = failure::meaning(error);
    match failure.code {
        Code::ESTALE | Code::ENOENT => changed(),
        _ => failure,
    }
}

fn changed() -> Failure {
    Failure::new(Code::ESTALE, "the object changed while it was being read")
}
