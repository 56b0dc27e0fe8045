//! The stores of an instance: a client of the library for each bucket, over our connections and under the operator's policy.

use crate::credentials::{Credentials, Proof};
use crate::failure;
use crate::settings::{Addressing, Config, Patience};
use crate::target::{Kind, Target};
use crate::transport::{Connector, OnlyIfAbsent, Transport};
use object_store::aws::{AmazonS3Builder, AwsCredentialProvider};
use object_store::azure::MicrosoftAzureBuilder;
use object_store::gcp::{GcpCredential, GoogleCloudStorageBuilder};
use object_store::list::PaginatedListStore;
use object_store::multipart::MultipartStore;
use object_store::{BackoffConfig, ObjectStore, RetryConfig, StaticCredentialProvider};
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use url::{Host, Url};
use vfs_core::Code;
use zvfs_net::failure::{Attempt, Failure};

/// No attempt begins later than so long after the first: credentials and signatures are as old as that.
const RETRY_TIME: Duration = Duration::from_secs(180);
/// Buckets whose clients are kept.
const KEPT: usize = 256;

/// What is asked of a client.
pub trait Store: ObjectStore + MultipartStore + PaginatedListStore {}

impl<T: ObjectStore + MultipartStore + PaginatedListStore> Store for T {}

/// What tells clients apart: kind, bucket, and whether what is written must not exist.
type Name = (Kind, String, bool);

/// The stores of an instance.
pub struct Stores {
    config: Config,
    transport: Transport,
    known: Mutex<HashMap<Name, Arc<dyn Store>>>,
    /// S3's, where they come from a service: asked for once, and not for each bucket.
    shared: OnceLock<AwsCredentialProvider>,
}

impl Stores {
    /// Makes the stores of a configuration. Nothing is connected to yet.
    pub fn new(config: Config) -> Stores {
        let transport = Transport::new(&config);
        Stores { config, transport, known: Mutex::default(), shared: OnceLock::new() }
    }

    /// What the operator set.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// The client of a bucket. With `exclusive` an object in parts is completed only if there is none of its key: for single
    /// requests the library has this itself.
    ///
    /// # Errors
    /// EINVAL: the settings are not enough for this kind of store.
    pub fn get(&self, target: &Target, exclusive: bool) -> Attempt<Arc<dyn Store>> {
        let name = (target.kind, target.bucket.clone(), exclusive);
        if let Some(store) = self.known.lock().get(&name) {
            return Ok(store.clone());
        }
        let condition = exclusive.then(|| OnlyIfAbsent::of(target.kind)).flatten();
        let store = self.build(target, Connector::new(self.transport.clone(), condition))?;
        let mut known = self.known.lock();
        if known.len() >= KEPT {
            known.clear();
        }
        known.insert(name, store.clone());
        Ok(store)
    }

    fn build(&self, target: &Target, connector: Connector) -> Attempt<Arc<dyn Store>> {
        let config = &self.config;
        // Credentials and endpoint are of one kind: a secret of one cloud never goes to another.
        let (credentials, endpoint) = match target.kind == config.kind {
            true => (config.credentials.clone(), config.endpoint.as_ref()),
            false => (Credentials::default(), None),
        };
        let retry = retry(&config.patience);
        let built: object_store::Result<Arc<dyn Store>> = match target.kind {
            Kind::S3 => self.s3(target, credentials, endpoint, connector, retry),
            Kind::Google => google(target, credentials, endpoint, connector, retry),
            Kind::Azure if credentials.id.is_none() => {
                return Err(Failure::new(
                    Code::EINVAL,
                    "set `store` to az and `access-key` to the storage account",
                ));
            }
            Kind::Azure => azure(target, credentials, endpoint, connector, retry),
        };
        // What is wrong here is a setting, whose value may be a secret: the library's words may repeat it.
        built.map_err(|error| match failure::of(&error) {
            Some(failure) => failure,
            None => Failure::new(
                Code::EINVAL,
                "the settings for this store cannot be used: look at its credentials",
            ),
        })
    }

    fn s3(
        &self,
        target: &Target,
        credentials: Credentials,
        endpoint: Option<&Url>,
        connector: Connector,
        retry: RetryConfig,
    ) -> object_store::Result<Arc<dyn Store>> {
        let in_host = match self.config.addressing {
            // A certificate for *.host is for no name with another dot in it.
            Addressing::Auto => endpoint.is_none() && !target.bucket.contains('.'),
            Addressing::Path => false,
            Addressing::Host => true,
        };
        let mut builder = AmazonS3Builder::new()
            .with_bucket_name(&target.bucket)
            .with_region(&self.config.region)
            .with_virtual_hosted_style_request(in_host)
            // Over TLS nobody changes a body, and to hash it costs more than all else.
            .with_unsigned_payload(endpoint.is_none_or(|url| url.scheme() == "https"))
            // Plain DELETE is what every store has.
            .with_disable_bulk_delete(true)
            .with_retry(retry)
            .with_http_connector(connector);
        if let Some(url) = endpoint {
            let url = if in_host { with_bucket(url, &target.bucket) } else { url.to_string() };
            builder = builder.with_endpoint(url.trim_end_matches('/'));
        }
        builder = match (credentials.proof, self.shared.get()) {
            (Proof::Key { secret, token }, _) => {
                let builder = builder
                    .with_access_key_id(credentials.id.unwrap_or_default())
                    .with_secret_access_key(secret);
                token.into_iter().fold(builder, AmazonS3Builder::with_token)
            }
            (Proof::Metadata, Some(shared)) => builder.with_credentials(shared.clone()),
            (Proof::Metadata, None) => {
                let store = builder.build()?;
                let _ = self.shared.set(store.credentials().clone());
                return Ok(Arc::new(store));
            }
            _ => builder.with_skip_signature(true),
        };
        Ok(Arc::new(builder.build()?))
    }
}

fn google(
    target: &Target,
    credentials: Credentials,
    endpoint: Option<&Url>,
    connector: Connector,
    retry: RetryConfig,
) -> object_store::Result<Arc<dyn Store>> {
    let mut builder = GoogleCloudStorageBuilder::new()
        .with_bucket_name(&target.bucket)
        .with_retry(retry)
        .with_http_connector(connector);
    if let Some(url) = endpoint {
        builder = builder.with_base_url(url.as_str().trim_end_matches('/'));
    }
    // Without any the library would look for some in the user's home.
    let bearer = |bearer: String| Arc::new(StaticCredentialProvider::new(GcpCredential { bearer }));
    builder = match credentials.proof {
        Proof::ServiceAccount(key) => builder.with_service_account_key(key),
        Proof::Token(token) => builder.with_credentials(bearer(token)),
        _ => builder.with_credentials(bearer(String::new())).with_skip_signature(true),
    };
    Ok(Arc::new(builder.build()?))
}

fn azure(
    target: &Target,
    credentials: Credentials,
    endpoint: Option<&Url>,
    connector: Connector,
    retry: RetryConfig,
) -> object_store::Result<Arc<dyn Store>> {
    let mut builder = MicrosoftAzureBuilder::new()
        .with_account(credentials.id.unwrap_or_default())
        .with_container_name(&target.bucket)
        .with_retry(retry)
        .with_http_connector(connector);
    if let Some(url) = endpoint {
        builder = builder.with_endpoint(url.as_str().trim_end_matches('/').to_owned());
    }
    builder = match credentials.proof {
        Proof::Key { secret, .. } => builder.with_access_key(secret),
        Proof::Token(token) => builder.with_bearer_token_authorization(token),
        Proof::Metadata => builder.with_credential_type("managed_identity"),
        _ => builder.with_skip_signature(true).with_bearer_token_authorization(""),
    };
    Ok(Arc::new(builder.build()?))
}

fn retry(patience: &Patience) -> RetryConfig {
    let backoff = BackoffConfig {
        init_backoff: patience.retry_delay,
        max_backoff: patience.retry_delay_max.max(patience.retry_delay),
        base: 2.0,
    };
    RetryConfig { backoff, max_retries: patience.retries, retry_timeout: RETRY_TIME }
}

/// An endpoint whose host names the bucket.
fn with_bucket(endpoint: &Url, bucket: &str) -> String {
    let mut url = endpoint.clone();
    if let Some(Host::Domain(host)) = endpoint.host() {
        // Both are parts of a host's name, so the whole is one.
        let _ = url.set_host(Some(&format!("{bucket}.{host}")));
    }
    url.to_string()
}
