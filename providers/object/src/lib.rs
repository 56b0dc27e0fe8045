//! The provider `object`: objects of S3 and of what speaks its protocol, of Google Cloud Storage and of Azure Blob Storage, by the
//! library `object_store` over connections of our own. It returns the right bytes or an error, whatever the store does.
//!
//! # Descriptors
//! `s3://bucket/key`, `gs://bucket/key`, `az://container/key`; `object://bucket/key` is of the kind that the setting `store` says.
//!
//! * The key is percent-decoded and is UTF-8: `%3F` for `?`, `%23` for `#`, `%25` for a `%` that two hexadecimal digits follow. There is
//!   no query and no fragment.
//! * The parts between its slashes are not empty, `.` or `..`, and have no control characters: the library knows no such keys.
//! * A key that ends in a slash, and a bucket alone, are folders. A folder is where keys lie below; nothing makes or removes one.
//! * The store is the operator's word (`endpoint`, `region`), and so are the credentials. They are for one kind of store: requests to
//!   another kind go to the cloud's own endpoint and are not signed, so that no secret of one cloud goes to another.
//!
//! # Reading
//! Open asks for the first 256 KiB (with the hint RANDOM: for the head alone), and pins what the answer says: size and ETag. Each later
//! request has the tag as `If-Match`, and each answer is held against size and tag. An object that changed, or is gone, is ESTALE. A
//! store that gives no ETag is EPROTO.
//!
//! Reads from start to end are ranges that are fetched ahead: one at first, then up to `parallel` at once, each twice as long as the
//! one before, up to `part-size`. Positional reads that go on where another one ended are served in the same way, any other one is a
//! request of its own. A range that breaks off is resumed at its byte. Whoever waits for a range and is cancelled or late leaves it
//! under way for the next call.
//!
//! # Writing
//! Nothing is visible before COMMIT. What fits into a part (`part-size`) is one PUT; more is sent in parts, up to `parallel` at once,
//! which COMMIT completes. DISCARD, a close without COMMIT, and a failed COMMIT abort the upload in parts, and nothing is left. After
//! a crash parts stay that no list of objects shows: a rule of the bucket removes them (docs/object.md). An object has at most 10,000
//! parts.
//!
//! A PUT replaces the whole object. TRUNCATE and ATOMIC mean just that; without both, an object that exists and is not empty is refused
//! (ENOTSUP). Without CREATE the provider first checks that the object exists (ENOENT). EXCLUSIVE checks that it does not, and has the
//! store check it again when the object becomes visible: `If-None-Match: *`, of Google `x-goog-if-generation-match: 0`. Azure has
//! that for single requests only, so there such an object must fit into a part (EFBIG).
//!
//! A COMMIT that is late (ETIMEDOUT) goes on, and another COMMIT waits for it. A DISCARD then is EIO: the store may have the object.
//!
//! # Names
//! `list` lists a folder page by page, with size, time and tag. `stat` knows objects and folders. `remove` removes objects; a folder is
//! EISDIR.
//!
//! # Retries
//! Transient failures are tried again, `retries` times within three minutes: lost connections, stalls, 408, 429, 500, 502 to 504, and
//! what S3 answers with 200 and an error in the body. A connection that cannot be made only if the server was there before. What the
//! store would not do twice, that is a request under a condition that it be the first, is not sent again once the store may have it:
//! ECONNRESET. Every wait has a limit (connect, first byte, stall), and a caller's wait ends within 100 ms of its cancel or deadline.
//!
//! # Where connections go
//! As `http`'s: `allowed-hosts` is checked before the look-up, `addresses` after it. With `credentials = "instance-metadata"` the
//! cloud's service is asked at its own address, which `addresses` must allow. Redirects are not followed.
//!
//! # Codes
//! The message has the status and the store's own code and message, 200 characters of them.
//!
//! | What | Code |
//! |---|---|
//! | 404, 410; no such host | ENOENT |
//! | 401, 403; a token that has expired; the operator's policy | EACCES |
//! | 412, or gone, of an object that is open; no range where there was one | ESTALE |
//! | 409 or 412 with EXCLUSIVE, or it is there | EEXIST |
//! | to open or remove a folder; to list an object | EISDIR; ENOTDIR |
//! | 400; no bucket, a key that cannot be; credentials that do not go together | EINVAL |
//! | 405, 501; to read and write at once | ENOTSUP |
//! | 413; more than 10,000 parts | EFBIG |
//! | 414; a key that the store finds too long | ENAMETOOLONG |
//! | 507; a store that says that it is full | ENOSPC |
//! | 408, 429, 503 after the attempts; 409 | EBUSY |
//! | other 4xx, other 5xx after the attempts; an upload in parts that the store knows no more | EIO |
//! | 3xx; not HTTP/1; lying lengths, ranges and lists; no ETag; TLS, its certificates | EPROTO |
//! | the connection cannot be made | ECONNREFUSED, EHOSTUNREACH, ENETUNREACH, ETIMEDOUT |
//! | it was lost, after the attempts | ECONNRESET |
//! | silence beyond a limit, after the attempts; of an upload | ETIMEDOUT; ECONNRESET |
//!
//! | Module | What it is |
//! |---|---|
//! | `provider`, `instance` | the provider; one configuration and what its opens become |
//! | `settings`, `credentials` | what an operator and an open may set; who we are to the store |
//! | `target` | a descriptor: kind of store, bucket, key |
//! | `stores` | the library's clients, one for each bucket |
//! | `reader` | an object that is read: as it was when it was opened, ranges, read-ahead |
//! | `writer` | an object that is written: one request, or parts; what is removed after a close |
//! | `namespace` | stat, list, remove |
//! | `transport` | HTTP/1.1 for the library, by hyper: connections, limits, answers that are no success |
//! | `started`, `failure` | work that goes on while nobody waits; what the library's errors mean |

mod credentials;
mod failure;
mod instance;
mod namespace;
mod provider;
mod reader;
mod settings;
mod started;
mod stores;
mod target;
mod transport;
mod writer;

pub use provider::ObjectProvider;

vfs_core::export_provider!(ObjectProvider);
