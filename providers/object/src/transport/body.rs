//! The body of an answer, and what breaks in a request, in the library's terms.

use crate::transport::connection::of_hyper;
use crate::transport::is_conditional;
use crate::transport::pool::Place;
use crate::transport::refusal::Refusal;
use bytes::Bytes;
use http_body::{Body as _, Frame, SizeHint};
use hyper::body::Incoming;
use object_store::client::{HttpError, HttpErrorKind, HttpRequest};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::time::{Instant, Sleep, sleep};
use vfs_core::{Code, written_duration};
use zvfs_net::failure::{Failure, Retry};

/// How the library is told of what breaks: the kind decides whether it tries again.
#[derive(Clone, Copy)]
pub struct Errors {
    /// The request fails if it was done before, so that it is not sent again once the server may have it.
    is_conditional: bool,
}

impl Errors {
    /// Those of a request.
    pub fn of(request: &HttpRequest) -> Errors {
        Errors { is_conditional: is_conditional(request.headers()) }
    }

    /// No answer came, or not all of it.
    pub fn lost(self, failure: Failure) -> HttpError {
        let kind = match failure.retry {
            Retry::No => HttpErrorKind::Unknown,
            Retry::Resuming => HttpErrorKind::Connect,
            Retry::Later(_) if self.is_conditional => HttpErrorKind::Unknown,
            Retry::Later(_) => HttpErrorKind::Interrupted,
        };
        HttpError::new(kind, Refusal { failure, status: None })
    }

    /// The answer is no success.
    pub fn refused(self, refusal: Refusal) -> HttpError {
        let kind = match refusal.failure.retry {
            Retry::No => HttpErrorKind::Unknown,
            // The server says that it did nothing.
            _ if matches!(refusal.status, Some(429 | 503)) => HttpErrorKind::Request,
            _ if self.is_conditional => HttpErrorKind::Unknown,
            _ => HttpErrorKind::Interrupted,
        };
        HttpError::new(kind, refusal)
    }
}

/// The body of an answer: ends with a failure where it stands still or is too long. Its connection is kept when it came whole.
pub struct Body {
    incoming: Incoming,
    errors: Errors,
    stall: Duration,
    /// Runs out when the body has stood still for so long.
    sleep: Pin<Box<Sleep>>,
    /// The reader waits, since the last byte.
    is_waiting: bool,
    /// Bytes that may still come.
    left: u64,
    place: Option<Place>,
}

impl Body {
    /// A body of at most `most` bytes, whose connection goes to `place`.
    pub fn new(incoming: Incoming, errors: Errors, stall: Duration, most: u64, place: Place) -> Body {
        let is_over = incoming.is_end_stream();
        let mut body = Body {
            incoming,
            errors,
            stall,
            sleep: Box::pin(sleep(stall)),
            is_waiting: false,
            left: most,
            place: Some(place),
        };
        if is_over {
            body.came_whole();
        }
        body
    }

    fn came_whole(&mut self) {
        if let Some(place) = self.place.take() {
            place.keep();
        }
    }

    fn failed(&mut self, failure: Failure) -> Poll<Option<Result<Frame<Bytes>, HttpError>>> {
        self.place = None;
        Poll::Ready(Some(Err(self.errors.lost(failure))))
    }

    fn count(&mut self, frame: &Frame<Bytes>) -> Result<(), Failure> {
        let came = frame.data_ref().map_or(0, Bytes::len) as u64;
        match self.left.checked_sub(came) {
            Some(left) => {
                self.left = left;
                Ok(())
            }
            None => Err(Failure::protocol("the store's answer is too long")),
        }
    }
}

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = HttpError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, HttpError>>> {
        match Pin::new(&mut self.incoming).poll_frame(context) {
            Poll::Ready(Some(Ok(frame))) => {
                self.is_waiting = false;
                if let Err(failure) = self.count(&frame) {
                    return self.failed(failure);
                }
                if self.incoming.is_end_stream() {
                    self.came_whole();
                }
                Poll::Ready(Some(Ok(frame)))
            }
            Poll::Ready(Some(Err(error))) => self.failed(of_hyper(&error)),
            Poll::Ready(None) => {
                self.came_whole();
                Poll::Ready(None)
            }
            Poll::Pending => {
                if !std::mem::replace(&mut self.is_waiting, true) {
                    let until = Instant::now() + self.stall;
                    self.sleep.as_mut().reset(until);
                }
                if self.sleep.as_mut().poll(context).is_pending() {
                    return Poll::Pending;
                }
                let text = format!("no byte of the answer for {}", written_duration(self.stall));
                self.failed(Failure::later(Code::ETIMEDOUT, text))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.size_hint()
    }
}
