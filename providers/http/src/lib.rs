//! The provider `http`: objects of HTTP servers, over `http` and `https`. It returns the right bytes or an error, whatever the
//! server does.
//!
//! `http://[user:password@]host[:port]/path[?query]`. Credentials in it work, and appear in no message; nor do the values of a
//! query and of parameters in the path (`;jsessionid=...`). `zvfs providers` lists the settings.
//!
//! # Reading
//! Open asks for all of the object, as a range (with the hint RANDOM: for its first bytes), and pins what the answer says: size,
//! validator, and where redirects led to. HEAD is never used. A read from start to end is that one answer. After a jump, and for
//! positional reads, ranges are asked for over connections that are kept open; positional reads that follow one another, in steps
//! of whatever size, come out of one answer, or out of a few that grow.
//!
//! An answer that is half read lies idle between two calls, at most four of them for each file. Where another request of the
//! instance to that origin waits longer than a moment, idle answers are closed and asked for again later: the server may be one
//! that serves one connection at a time.
//!
//! * A strong `ETag`, else `Last-Modified` with the size, is the validator: it goes with every later request as `If-Range`, and
//!   every later answer is held against it. A date counts only if it lies a second or more before the answer's `Date`. Beside a weak
//!   `ETag`, and where the server takes it for too young to compare ranges by, it goes as `If-Unmodified-Since`, and the answer's
//!   own is compared. An answer whose tag, weak or strong, is not the first one's is of another object, whatever else agrees. An
//!   object that changed is ESTALE, for good.
//! * A connection that breaks off in a body is replaced, and the body resumed at the right byte. Without a validator nothing
//!   tells that the rest is of the same object: then the loss is the caller's, ECONNRESET.
//! * A file has positions (SEEKABLE, POSITIONAL_READ) if the server told its size, served or announced ranges, and gave a
//!   validator. With `trust-ranges` it needs none, and is resumed without: only
//!   another size, weak tag or date shows then that it changed. A server that ignores a range is skipped forward if that is the way to resume; a positional read behind the
//!   first MiB is ENOTSUP then.
//! * `Content-Range` must begin where was asked for, lengths must agree, a body must end as it says: with less it is ECONNRESET,
//!   with more, or with broken chunks, EPROTO. A server may send more of the object than was asked for. No byte is asked for
//!   alone, and after a 400 or 416 at open without a range, as some servers want it. An object that is encoded though `identity` was asked for is EPROTO, unless `content-encoding` says
//!   that its bytes are wanted as they are stored: then sizes and positions are of those. One without a
//!   length that ends with its connection ends whole over TLS only if TLS says so; in the clear, as HTTP/1.0 servers send it,
//!   there is no way to know.
//!
//! # Writing
//! One PUT, streamed: with `Content-Length` if the host knows the size, else in chunks. With `Expect: 100-continue` a refusal or
//! a redirect (307, 308) shows before the body. The end is sent by COMMIT only, which succeeds when the server answers 2xx, but
//! for 202, which promises to do it later, 206 and 207; a redirect that comes then is an error that says where to upload to.
//! DISCARD and a plain close break the upload off. Once bytes of the body are sent, an upload is not repeated: ECONNRESET.
//!
//! A server that takes nothing without its length (411) gets it for what is small: up to 1 MiB is kept until COMMIT. An upload that
//! is announced as empty is sent by COMMIT, as its head is all of it.
//!
//! A PUT replaces the whole. So TRUNCATE and ATOMIC mean just that; without both, an object that exists and is not empty is
//! refused (ENOTSUP). Without CREATE the object is looked for first (ENOENT); EXCLUSIVE looks, and sends `If-None-Match: *`, which
//! some servers ignore: there two writers at the same moment may both succeed.
//!
//! # Removing
//! DELETE, of files only: a server of WebDAV would take a collection with all that lies in it. A path that ends in `/`, `.` or `..`,
//! percent-encoded or not, is EISDIR. Then PROPFIND with `Depth: 0` asks what it is, at each redirect too: a collection is EISDIR, and
//! a server that answers anything else than 207 is taken at its word by DELETE.
//!
//! # Attempts
//! What may pass is tried again: 408, 429, 5xx, lost connections, stalls; a connection that cannot be made only where the object
//! had been there. Never 401, 403, 404. The pause doubles, with a random part, and `Retry-After` is obeyed up to `retry-delay-max`. Each
//! byte that comes gives all attempts back, as long as they come at `least-rate`. Every wait has a limit (connect, first byte, stall), and ends within 100 ms of the
//! host's cancel or deadline; so does one for a resolver that hangs, which is left behind on its thread.
//!
//! # Where connections go
//! The operator's `allowed-hosts` and `addresses` are looked at for each connection: the list before the look-up, the address
//! that is dialled after it, and so after each redirect too. `::ffff:a.b.c.d` and other disguises count as a.b.c.d. By default
//! link-local addresses and those of clouds' metadata services are refused. Redirects are counted, never lead from https to
//! http, and beyond the first origin they take neither credentials nor `headers` along. What is for named hosts (`credentials-for`,
//! `headers-for`) goes to those, wherever they are met.
//!
//! Through a proxy, its own address is the operator's choice and not looked at; names are looked up by the proxy, so which
//! addresses they may have is for the proxy to say. Addresses in a URL, and `allowed-hosts`, are looked at all the same.
//!
//! # Codes
//! What a server says of its refusal itself, in a body of text, XML or JSON, stands behind the status: its first 200 characters,
//! without markup, and without what the request has in secrets (credentials, values of the query and of further fields).
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
//! | `dial`, `resolve` | new connections |
//! | `tls`, `certificate` | TLS, by rustls; its errors in words |
//! | `waiting`, `failure` | waiting as a caller; why an attempt failed |
//! | `stop` | ends what threads of the provider wait for |

mod certificate;
mod client;
mod dial;
mod failure;
mod hosts;
mod instance;
mod namespace;
mod policy;
mod provider;
mod reader;
mod resolve;
mod settings;
mod stop;
mod target;
mod tls;
mod waiting;
mod wire;
mod writer;

pub use provider::HttpProvider;

vfs_core::export_provider!(HttpProvider);
