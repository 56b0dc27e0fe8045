//! An object as its first answer showed it: size, validator, place. Every later answer is held against that.

use crate::client::Client;
use crate::client::answer::Answer;
use crate::client::caller::Caller;
use crate::client::idle::FileAnswers;
use crate::client::stream::Stream;
use crate::client::workers::Workers;
use crate::reader::validator::{Fingerprint, Validator, describe};
use crate::settings::Tuning;
use crate::wire::head::Head;
use crate::wire::range::{ContentRange, Span};
use crate::wire::request::{HttpRequest, Place};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use vfs_core::{Code, Kind, Stat};
use zvfs_net::failure::{Attempt, Failure};

/// An object that has been opened.
pub struct Object {
    client: Arc<Client>,
    /// Where redirects led to: later ranges begin there.
    place: Place,
    /// Bytes; `None`: the server doesn't say.
    pub size: Option<u64>,
    /// What is pinned; `None`: nothing tells one content from another.
    pub validator: Option<Validator>,
    /// What every later answer has to say too.
    fingerprint: Fingerprint,
    /// Whether the server has shown, or says, that it serves ranges.
    pub serves_ranges: bool,
    /// Ranges are believed without a validator.
    trusts_ranges: bool,
    /// How what is read is encoded, as it is stored; `None`: not at all.
    encoding: Option<Vec<u8>>,
    /// What is known of it.
    pub stat: Stat,
    /// It changed: that is final.
    changed: AtomicBool,
    /// The pinned date may not go as `If-Range`: there is a tag, though a weak one, or the server gives no ranges by it.
    is_date_too_weak: AtomicBool,
}

impl Object {
    /// Opens an object by asking for some of it. One request tells whether it is there, its size, its validator, and whether
    /// ranges are served; HEAD, which some servers refuse and others answer with something else, is not needed.
    ///
    /// # Errors
    /// The status's: ENOENT, EACCES, ... EPROTO: an answer that contradicts itself. As [`Client::send`].
    pub fn open(
        client: &Arc<Client>,
        place: &Place,
        span: Span,
        caller: &Caller,
    ) -> Attempt<(Object, Stream)> {
        let (mut answer, mut found) = client.send(place, &HttpRequest::get(Some(span)), caller)?;
        if matches!(answer.head.status, 400 | 416) {
            // Nothing to take a range of: it is empty, or shorter than that and the server is odd (400 is webfs's word for
            // both). Without a range it tells the same as of others.
            answer.dismiss(caller);
            (answer, found) = client.send(place, &HttpRequest::get(None), caller)?;
        }
        let encoding = encoding(&answer.head, &caller.tuning)?;
        let (end, size, serves_ranges) = match answer.head.status {
            206 => {
                let range = content_range(&answer.head)?;
                let end = range.verify(span)?;
                refuse_other_length(&answer, end - span.start)?;
                (Some(end), range.total, true)
            }
            200 | 203 => (answer.length(), answer.length(), answer.head.lists("accept-ranges", "bytes")),
            _ => {
                let failure = client.refusal(answer, &found.target, caller);
                return Err(match found.target == place.target {
                    true => failure,
                    false => failure.followed_by(format_args!(" (redirected to {})", found.target)),
                });
            }
        };
        let kind = if size.is_some() { Kind::Regular } else { Kind::Unknown };
        let stat = describe(Stat::of_kind(kind), &answer.head);
        let (validator, fingerprint) = (Validator::of(&answer.head), Fingerprint::of(&answer.head));
        let is_date_too_weak = matches!(validator, Some(Validator::Date(_))) && fingerprint.has_tag();
        let object = Object {
            client: client.clone(),
            place: found,
            size,
            validator,
            fingerprint,
            serves_ranges,
            trusts_ranges: caller.tuning.trust_ranges,
            encoding,
            stat: size.iter().fold(stat, |stat, size| stat.size(*size)),
            changed: AtomicBool::new(false),
            is_date_too_weak: AtomicBool::new(is_date_too_weak),
        };
        Ok((object, Stream::new(answer, 0, end)))
    }

    /// A place for answers of it between two calls.
    pub fn idle(&self) -> Arc<FileAnswers> {
        self.client.idles().file(self.place.target.origin(), self.has_positions())
    }

    /// Whether it is encrypted on its way.
    pub fn is_secure(&self) -> bool {
        self.place.target.origin().secure
    }

    /// Whether its server is known to serve one connection at a time.
    pub fn is_one_at_a_time(&self) -> bool {
        self.client.idles().is_one_at_a_time(&self.place.target.origin())
    }

    /// Where threads that work for it are counted.
    pub fn workers(&self) -> &Workers {
        self.client.workers()
    }

    /// Whether it can be read at any position: its size is known, ranges are served, and each of them can be told to be of
    /// the same content.
    pub fn has_positions(&self) -> bool {
        self.no_positions().is_none()
    }

    /// Why it cannot.
    pub fn no_positions(&self) -> Option<&'static str> {
        match self.size {
            None => Some("the server does not say its size"),
            Some(_) if !self.serves_ranges => Some("the server serves no ranges"),
            Some(_) if self.validator.is_none() && !self.trusts_ranges => Some(
                "the server gives neither a strong ETag nor a Last-Modified that is older than its answer, to tell that \
                 it is the same object; set `trust-ranges` to read it at positions all the same",
            ),
            Some(_) => None,
        }
    }

    /// Asks for a span. The stream begins where the answer does: at its start, or at 0 if the server ignores ranges. `None`:
    /// there is nothing at that position.
    ///
    /// # Errors
    /// ESTALE: the object is another one. EPROTO: other bytes than those asked for. As [`Client::send`].
    pub fn fetch(&self, span: Span, caller: &Caller) -> Attempt<Option<Stream>> {
        if self.changed.load(Ordering::Relaxed) {
            return Err(self.changed());
        }
        let plainly = self.is_date_too_weak.load(Ordering::Relaxed);
        let pinned = self.validator.as_ref().map(|validator| validator.pinned(plainly));
        if pinned.is_none() && span.start > 0 && !self.trusts_ranges {
            let text = format!(
                "cannot go on at byte {}: the server gives neither a strong ETag nor a Last-Modified that is older than \
                 its answer, to tell that it is the same object; set `trust-ranges` to go on all the same",
                span.start
            );
            return Err(Failure::new(Code::ECONNRESET, text));
        }
        let span = span.askable(self.size);
        let request = HttpRequest { pinned, ..HttpRequest::get(Some(span)) };
        let (answer, _) = self.client.send(&self.place, &request, caller)?;
        if self.is_encoded_otherwise(&answer.head, &caller.tuning)? {
            return Err(self.changed());
        }
        match answer.head.status {
            206 => {
                let range = content_range(&answer.head)?;
                if !self.is_same(&answer.head, range.total, plainly) {
                    return Err(self.changed());
                }
                let end = range.verify(span)?;
                refuse_other_length(&answer, end - span.start)?;
                Ok(Some(Stream::new(answer, span.start, Some(end))))
            }
            200 | 203 if !self.is_same(&answer.head, answer.length(), plainly) => Err(self.changed()),
            // It is the same, it has ranges, and yet it gives none: the date is too young for it.
            200 | 203 if span.start > 0 && self.serves_ranges && !plainly && self.is_dated() => {
                answer.dismiss(caller);
                self.is_date_too_weak.store(true, Ordering::Relaxed);
                self.fetch(span, caller)
            }
            200 | 203 => {
                let end = answer.length().or(self.size);
                Ok(Some(Stream::new(answer, 0, end)))
            }
            412 => Err(self.changed()),
            416 if self.size.is_none_or(|size| span.start >= size) => Ok(None),
            416 => Err(self.changed()),
            _ => Err(self.client.refusal(answer, &self.place.target, caller)),
        }
    }

    /// Whether an answer has bytes in another encoding than the first one. A 206 need not say it again.
    fn is_encoded_otherwise(&self, head: &Head, tuning: &Tuning) -> Attempt<bool> {
        let found = encoding(head, tuning)?;
        Ok(match head.status {
            206 => found.is_some() && found != self.encoding,
            200 | 203 => found != self.encoding,
            _ => false,
        })
    }

    fn is_dated(&self) -> bool {
        matches!(self.validator, Some(Validator::Date(_)))
    }

    /// Whether an answer is of the pinned object. A 206 may leave out `Last-Modified` (RFC 9110, section 15.3.7) if the server
    /// has compared it; but not the tag.
    fn is_same(&self, head: &Head, size: Option<u64>, plainly: bool) -> bool {
        let same_size = match (self.size, size) {
            (Some(pinned), Some(size)) => pinned == size,
            _ => true,
        };
        let silent = |name| head.all(name).next().is_none();
        let compared = head.status == 206 && !plainly && self.is_dated() && silent("last-modified");
        let matches = |validator: &Validator| compared || validator.matches(head);
        same_size && !self.fingerprint.differ_from(head) && self.validator.as_ref().is_none_or(matches)
    }

    fn changed(&self) -> Failure {
        self.changed.store(true, Ordering::Relaxed);
        Failure::new(Code::ESTALE, "the object changed while it was being read")
    }
}

fn content_range(head: &Head) -> Attempt<ContentRange> {
    let mut fields = head.all("content-range");
    match (fields.next(), fields.next()) {
        (Some(field), None) => ContentRange::parse(&String::from_utf8_lossy(field)),
        (None, _) => Err(Failure::protocol("206 without a Content-Range")),
        _ => Err(Failure::protocol("more than one Content-Range")),
    }
}

/// How a body of an object is encoded. Its own bytes are what is asked for; those that it is stored as will do if whoever
/// opens says so: then positions are in them.
fn encoding(head: &Head, tuning: &Tuning) -> Attempt<Option<Vec<u8>>> {
    let is_one = |value: &&[u8]| !value.is_empty() && !value.eq_ignore_ascii_case(b"identity");
    if !matches!(head.status, 200 | 203 | 206) {
        return Ok(None); // the words of an error
    }
    match head.all("content-encoding").find(is_one) {
        Some(encoding) if !tuning.as_stored => {
            let encoding = String::from_utf8_lossy(encoding);
            let text = format!(
                "it is encoded ({}): set `content-encoding` to `as-stored` to read the bytes as they are stored",
                encoding.escape_debug()
            );
            Err(Failure::protocol(text))
        }
        encoding => Ok(encoding.map(<[u8]>::to_ascii_lowercase)),
    }
}

fn refuse_other_length(answer: &Answer, wanted: u64) -> Attempt<()> {
    match answer.length() {
        Some(length) if length != wanted => {
            let text = format!("a body of {length} bytes, and a Content-Range of {wanted}");
            Err(Failure::protocol(text))
        }
        _ => Ok(()),
    }
}
