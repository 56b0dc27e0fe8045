//! HTTP/1.1 for the library, by hyper: over connections of the operator's policy, with our limits on time and memory, and with
//! the answers judged here that are no success.

mod body;
mod connection;
mod page;
mod pool;
mod refusal;

pub use page::Unsaid;
pub use refusal::Refusal;

use crate::settings::{Config, Patience};
use crate::target::Kind;
use crate::transport::body::{Body, Errors};
use crate::transport::connection::Connection;
use crate::transport::pool::Pool;
use crate::transport::refusal::Secrets;
use http::header::{CONTENT_RANGE, HOST, HeaderName, HeaderValue, IF_NONE_MATCH, RANGE, USER_AGENT};
use http::{HeaderMap, Method, Request, StatusCode, Uri};
use object_store::ClientOptions;
use object_store::client::{
    HttpClient, HttpConnector, HttpError, HttpRequest, HttpRequestBody, HttpResponse, HttpResponseBody,
    HttpService,
};
use parking_lot::Mutex;
use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;
use vfs_core::Code;
use zvfs_net::failure::{Attempt, Failure, Retry};
use zvfs_net::origin::Origin;
use zvfs_net::tls::Tls;
use zvfs_runtime::Dialler;

/// What the library keeps whole of an answer: a page of a list has a thousand keys of a thousand bytes, with what XML adds.
const WHOLE_MAX: u64 = 32 << 20;

/// Google's condition that an object is absent.
const GENERATION: HeaderName = HeaderName::from_static("x-goog-if-generation-match");

/// The HTTP client of an instance. Clones share everything.
#[derive(Clone)]
pub struct Transport(Arc<Inner>);

struct Inner {
    dialler: Dialler,
    tls: Arc<Tls>,
    patience: Patience,
    pool: Pool,
    /// Servers that were there: where nobody answers any more, trying again may help.
    met: Mutex<HashSet<Origin>>,
}

impl Transport {
    /// A client by the operator's settings.
    pub fn new(config: &Config) -> Transport {
        Transport(Arc::new(Inner {
            dialler: Dialler::new(config.policy.clone()),
            tls: config.tls.clone(),
            patience: config.patience,
            pool: Pool::new(config.connections),
            met: Mutex::default(),
        }))
    }

    /// Sends a request and receives the head of its answer.
    async fn send(&self, request: HttpRequest, errors: Errors) -> Attempt<HttpResponse> {
        let inner = &self.0;
        let origin =
            origin(request.uri()).ok_or_else(|| Failure::new(Code::EINVAL, "not a URL of http or https"))?;
        let is_ranged = request.headers().contains_key(RANGE);
        // A connection that lay idle may have been closed by now. Then the request is sent once more, unless it could be done
        // twice: nobody could tell the first time from somebody else's.
        let idle = if is_conditional(request.headers()) { None } else { inner.pool.take(&origin) };
        let answered = match idle {
            Some(idle) => match idle.send(request.clone(), &inner.patience).await {
                Err(failure) if failure.code == Code::ECONNRESET => self.send_anew(&origin, request).await,
                answered => answered,
            },
            None => self.send_anew(&origin, request).await,
        };
        let (response, connection) = answered?;
        inner.met.lock().insert(origin.clone());
        let (mut parts, incoming) = response.into_parts();
        if is_ranged && parts.status == StatusCode::OK && parts.headers.contains_key(CONTENT_RANGE) {
            // Some servers say 200 and send the range alone. What they say of it is held against the request all the same.
            parts.status = StatusCode::PARTIAL_CONTENT;
        }
        let most = if is_ranged { u64::MAX } else { WHOLE_MAX };
        let body =
            Body::new(incoming, errors, inner.patience.stall, most, inner.pool.place(origin, connection));
        Ok(HttpResponse::from_parts(parts, HttpResponseBody::new(body)))
    }

    async fn send_anew(
        &self,
        origin: &Origin,
        request: HttpRequest,
    ) -> Attempt<(http::Response<hyper::body::Incoming>, Connection)> {
        let Inner { dialler, tls, patience, met, .. } = &*self.0;
        let connected = Connection::open(origin, dialler, tls, patience.connect).await;
        let connection = connected.map_err(|failure| match failure.retry {
            Retry::Resuming if !met.lock().contains(origin) => failure.for_good(),
            _ => failure,
        })?;
        connection.send(request, patience).await
    }
}

/// What the library makes its requests with, for one bucket.
#[derive(Clone)]
pub struct Connector {
    transport: Transport,
    condition: Option<OnlyIfAbsent>,
}

/// The condition that completes an object in parts only if there is none of its key.
#[derive(Clone, Debug)]
pub struct OnlyIfAbsent(HeaderName, HeaderValue);

impl OnlyIfAbsent {
    /// A kind of store's own; `None`: the field would have to be signed, or there is none.
    pub fn of(kind: Kind) -> Option<OnlyIfAbsent> {
        match kind {
            Kind::S3 => Some(OnlyIfAbsent(IF_NONE_MATCH, HeaderValue::from_static("*"))),
            Kind::Google => Some(OnlyIfAbsent(GENERATION, HeaderValue::from_static("0"))),
            Kind::Azure => None,
        }
    }
}

impl Connector {
    /// Makes requests by a client, and completes objects in parts under a condition.
    pub fn new(transport: Transport, condition: Option<OnlyIfAbsent>) -> Connector {
        Connector { transport, condition }
    }
}

impl fmt::Debug for Connector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Connector(...)")
    }
}

impl HttpConnector for Connector {
    fn connect(&self, _: &ClientOptions) -> object_store::Result<HttpClient> {
        Ok(HttpClient::new(self.clone()))
    }
}

#[async_trait::async_trait]
impl HttpService for Connector {
    async fn call(&self, mut request: HttpRequest) -> Result<HttpResponse, HttpError> {
        if let Some(OnlyIfAbsent(name, value)) = &self.condition
            && completes_parts(&request)
        {
            request.headers_mut().insert(name, value.clone());
        }
        let (completes, lists) = (completes_parts(&request), lists(&request));
        let (errors, secrets) = (Errors::of(&request), Secrets::of(request.headers()));
        let response = self.transport.send(request, errors).await.map_err(|failure| errors.lost(failure))?;
        if !response.status().is_success() {
            return Err(errors.refused(Refusal::receive(response, &secrets).await));
        }
        if !(completes || lists) {
            return Ok(response);
        }
        let (mut parts, body) = response.into_parts();
        let mut body = body.bytes().await?;
        if lists {
            let unsaid;
            (body, unsaid) = page::judge(body);
            parts.extensions.insert(unsaid);
        } else if let Some(refusal) = Refusal::in_success(&body, &secrets) {
            // S3 says 200 before it has completed an object, and what goes wrong comes in the body.
            return Err(errors.refused(refusal));
        }
        Ok(HttpResponse::from_parts(parts, body.into()))
    }
}

/// Whether a request completes an object of S3 or Google that was sent in parts.
fn completes_parts(request: &HttpRequest) -> bool {
    let names_upload = |query: &str| query.split('&').any(|pair| pair.starts_with("uploadId="));
    request.method() == Method::POST && request.uri().query().is_some_and(names_upload)
}

/// Whether a request asks for a page of a list: of S3 and Google, or of Azure.
fn lists(request: &HttpRequest) -> bool {
    let asks = |query: &str| query.split('&').any(|pair| pair == "list-type=2" || pair == "comp=list");
    request.method() == Method::GET && request.uri().query().is_some_and(asks)
}

/// Whether a request fails if it was done before.
fn is_conditional(headers: &HeaderMap) -> bool {
    headers.contains_key(IF_NONE_MATCH) || headers.contains_key(GENERATION)
}

/// The server of a request; `None`: the URL has none that we could reach.
fn origin(uri: &Uri) -> Option<Origin> {
    let secure = match uri.scheme_str()? {
        "https" => true,
        "http" => false,
        _ => return None,
    };
    let host = uri.host()?.trim_start_matches('[').trim_end_matches(']').to_owned();
    Some(Origin { secure, host, port: uri.port_u16().unwrap_or(if secure { 443 } else { 80 }) })
}

/// The request as it is sent: to a path of its host.
fn on_the_wire(request: HttpRequest) -> Attempt<Request<HttpRequestBody>> {
    let wrong = |_| Failure::new(Code::EINVAL, "not a request that can be sent");
    let (mut parts, body) = request.into_parts();
    let host = parts.uri.authority().map(|authority| HeaderValue::from_str(authority.as_str()));
    if let Some(host) = host {
        parts.headers.insert(HOST, host.map_err(|_| wrong(()))?);
    }
    parts.headers.insert(USER_AGENT, HeaderValue::from_static(concat!("zvfs/", env!("CARGO_PKG_VERSION"))));
    let path = parts.uri.path_and_query().map_or("/", |path| path.as_str());
    parts.uri = path.parse().map_err(|_| wrong(()))?;
    Ok(Request::from_parts(parts, body))
}
