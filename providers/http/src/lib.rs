//! The provider `http`: objects of HTTP servers, over `http` and `https`. It returns the right bytes or an error, whatever the
//! server does.
//!
//! `http://[user:password@]host[:port]/path[?query]`. Credentials in the URL work. No message shows them, nor the values of a
//! query or of parameters in the path (`;jsessionid=...`). `zvfs providers` lists the settings.
//!
//! # Reading
//! Open requests the whole object as a range (with the hint RANDOM: its first bytes), and pins what the answer says: size,
//! validator, and where redirects led. HEAD is never used. A read from start to end is that one answer. After a jump, and for
//! positional reads, ranges are requested over kept connections. Sequential positional reads, in steps of any size, are served
//! from one answer, or from a few that grow.
//!
//! A half-read answer stays idle between two calls, at most four for each file. If another request of the instance to that origin
//! waits longer than a moment, idle answers are closed and requested again later: the server may serve one connection at a time.
//!
//! * The validator is a strong `ETag`, or else `Last-Modified` with the size. Every later request carries it as `If-Range`, and
//!   every later answer is compared with it. A date counts only if it is a second or more before the answer's `Date`. With a weak
//!   `ETag`, and if the server considers the date too young to compare ranges by, it is sent as `If-Unmodified-Since`, and the
//!   answer's own date is compared. An answer with another tag than the first one's, weak or strong, is of another object. An
//!   object that changed is ESTALE, for good.
//! * A connection that breaks in a body is replaced, and the body resumed at the right byte. Without a validator nothing
//!   proves that the rest is of the same object: then the read fails with ECONNRESET.
//! * A file has positions (SEEKABLE, POSITIONAL_READ) if the server told its size, served or announced ranges, and gave a
//!   validator. With `trust-ranges` it needs none, and is resumed without: then only another size, weak tag or date shows a
//!   change. If a server ignores a range, a read skips forward in the answer to resume; a positional read beyond the first MiB is
//!   ENOTSUP.
//! * `Content-Range` must begin where it was requested, lengths must agree, and a body must end as announced: a shorter one is
//!   ECONNRESET; a longer one, or broken chunks, EPROTO. A server may send more of the object than was requested. A single byte
//!   is never requested alone. After a 400 or 416 at open the object is requested without a range, since some servers need that.
//! * An object that is encoded, though `identity` was requested, is EPROTO unless `content-encoding` allows to read it as it is
//!   stored: then sizes and positions are those of the stored bytes.
//! * A body without a length ends with its connection. Over TLS it is complete only if TLS says so; without TLS, as HTTP/1.0
//!   servers send it, there is no way to know.
//!
//! # Writing
//! One PUT, streamed: with `Content-Length` if the host knows the size, else in chunks. With `Expect: 100-continue` a refusal or
//! a redirect (307, 308) arrives before the body. Only COMMIT sends the end. It succeeds if the server answers 2xx, except 202,
//! which promises to do it later, 206 and 207; a redirect at that point is an error that says where to upload to.
//! DISCARD and a plain close abort the upload. Once bytes of the body are sent, an upload is not repeated: ECONNRESET.
//!
//! If a server requires a length (411), an upload of up to 1 MiB is kept until COMMIT and sent with its length. An upload that is
//! announced as empty is sent by COMMIT, since its head is all of it.
//!
//! A PUT replaces the whole object. TRUNCATE and ATOMIC mean just that; without both, an object that exists and is not empty is
//! refused (ENOTSUP). Without CREATE the provider first checks that the object exists (ENOENT). EXCLUSIVE checks that it does
//! not, and sends `If-None-Match: *`, which some servers ignore: there two concurrent writers may both succeed.
//!
//! # Removing
//! DELETE, of files only: a WebDAV server would remove a collection with everything in it. A path that ends in `/`, `.` or `..`,
//! percent-encoded or not, is EISDIR. Then PROPFIND with `Depth: 0` asks what it is, after each redirect too: a collection is
//! EISDIR. A server that answers anything but 207 has no collections, so DELETE follows.
//!
//! # Retries
//! Transient failures are retried: 408, 429, 5xx, lost connections, stalls; a connection that cannot be made only if the object
//! was there before. 401, 403 and 404 are not retried. The pause doubles, with a random part; `Retry-After` is obeyed up to
//! `retry-delay-max`. Each byte that arrives resets the number of retries, as long as bytes arrive at `least-rate`. Every wait has
//! a limit (connect, first byte, stall), and ends within 100 ms of the host's cancel or deadline. A resolver that hangs is left
//! behind on its thread.
//!
//! # Where connections go
//! The operator's `allowed-hosts` and `addresses` are checked for each connection, after each redirect too: the list before the
//! look-up, and the address that is dialled after it. `::ffff:a.b.c.d` and other disguises count as a.b.c.d. By default
//! link-local addresses and those of clouds' metadata services are refused. Redirects are counted and never lead from https to
//! http. Beyond the first origin they carry neither credentials nor `headers`. What is set for named hosts (`credentials-for`,
//! `headers-for`) is sent to those hosts, wherever a redirect leads to them.
//!
//! The operator chooses a proxy, so its own address is not checked. The proxy looks names up, so it decides which addresses they
//! may have. Addresses in a URL, and `allowed-hosts`, are checked all the same.
//!
//! # Codes
//! If a server explains its refusal in a body of text, XML or JSON, the message has the first 200 characters after the status,
//! without markup, and without the request's secrets (credentials, values of the query and of further fields).
//!
//! | What | Code |
//! |---|---|
//! | 404, 410; no such host | ENOENT |
//! | 401, 403, 407, 451, 511; the operator's policy; from https to http | EACCES |
//! | 416 | the end, or ESTALE if the object was longer |
//! | 408, 429, 503 after the attempts; 409, 423; too many look-ups that hang | EBUSY |
//! | the object changed; 412 | ESTALE |
//! | 412 with EXCLUSIVE, or it is there | EEXIST |
//! | to remove a collection, or a path that ends as a directory's | EISDIR |
//! | 400; not a URL | EINVAL |
//! | 405, 411, 501; what an upload or a server without ranges cannot do | ENOTSUP |
//! | 413; more bytes than were announced | EFBIG |
//! | 414 | ENAMETOOLONG |
//! | 507 | ENOSPC |
//! | 202 to an upload or a removal; other 4xx; 500, 502, 504 and other 5xx after the attempts | EIO |
//! | 505; not HTTP/1, lying lengths and ranges, a head of more than 64 KiB; TLS, its certificates | EPROTO |
//! | more redirects than `redirects` | ELOOP |
//! | the connection cannot be made | ECONNREFUSED, EHOSTUNREACH, ENETUNREACH, ETIMEDOUT |
//! | it was lost, after the attempts | ECONNRESET |
//! | silence beyond a limit, after the attempts; slower than `least-rate`; of an upload | ETIMEDOUT; ECONNRESET |
//!
//! New connections, waiting as a caller, why an attempt failed and when another one follows are the crate `zvfs-net`'s.
//!
//! | Module | What it is |
//! |---|---|
//! | `provider`, `instance` | the provider; one configuration and what its opens become |
//! | `settings` | what an operator and an open may set: the schema, further headers, credentials, the proxy |
//! | `target`, `hosts`, `policy` | a URL; lists of hosts; where connections may go |
//! | `reader` | an object that is read: its first answer and what later ones are held against, ranges, read-ahead |
//! | `writer` | an object that is written: its head, which decides before the body, and the body |
//! | `namespace` | stat, remove; what is no file |
//! | `client` | requests and what comes of them: redirects, attempts, statuses, the least rate, kept connections |
//! | `wire` | HTTP/1.1 on a connection, by `httparse`: heads, bodies, ranges, TLS. A broken answer is refused here |

mod client;
mod instance;
mod namespace;
mod provider;
mod reader;
mod settings;
mod target;
mod wire;
mod writer;

pub use provider::HttpProvider;

vfs_core::export_provider!(HttpProvider);
