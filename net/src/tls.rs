//! Whom servers are trusted by, and who we are to those that ask.

mod reason;

pub use reason::of_tls;

use crate::failure::{Attempt, Failure};
use crate::pem::{self, Identity};
use parking_lot::Mutex;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use std::sync::Arc;
use std::{fmt, io};
use vfs_core::{Code, Error, Result, Setting, SettingKind, Settings};

/// Where systems keep the certificates of their authorities, in one file: Debian and Alpine, Fedora, SUSE, the BSDs. No
/// variable of the environment moves it: in a set-uid program that would let its caller choose whom to trust.
const SYSTEM_ROOTS: [&str; 5] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

/// The settings of [`Tls::new`].
pub fn settings() -> [Setting; 3] {
    let path = |name, help| Setting::new(name, SettingKind::Path, help);
    [
        path("ca-file", "certificates, in PEM, of the authorities to trust instead of the system's"),
        path(
            "client-cert",
            "this side's certificate, in PEM, for servers that ask for one; with `client-key`",
        ),
        path(
            "client-key",
            "the private key of that certificate, in PEM, in a file that nobody else can read",
        )
        .private(),
    ]
}

/// What an instance needs for TLS.
pub struct Tls {
    /// The protocols to offer (ALPN), the best first; none: the server is not asked.
    protocols: &'static [&'static [u8]],
    /// Of `ca-file`; `None`: the system's.
    roots: Option<Arc<RootCertStore>>,
    identity: Option<Identity>,
    /// Made by the first connection: to read the system's certificates takes a while.
    config: Mutex<Option<Arc<ClientConfig>>>,
}

impl Tls {
    /// Reads the operator's files.
    ///
    /// # Errors
    /// EINVAL: a certificate without its key, or a file that is not what it should be. ENOENT and the like: it cannot be read.
    pub fn new(settings: &Settings, protocols: &'static [&'static [u8]]) -> Result<Tls> {
        let roots = match settings.path("ca-file") {
            Some(path) => Some(Arc::new(pem::roots("ca-file", path)?)),
            None => None,
        };
        let identity = match (settings.path("client-cert"), settings.path("client-key")) {
            (None, None) => None,
            (Some(cert), Some(key)) => Some(Identity::read(("client-cert", cert), ("client-key", key))?),
            _ => {
                let text = "set both `client-cert` and `client-key`, or neither";
                return Err(Error::new(Code::EINVAL, text));
            }
        };
        let tls = Tls { protocols, roots, identity, config: Mutex::new(None) };
        if tls.roots.is_some() {
            tls.config()?; // a key that doesn't fit its certificate shows at once
        }
        Ok(tls)
    }

    /// What every connection begins with.
    ///
    /// # Errors
    /// ENOENT: no authorities are known. EINVAL: the certificate and its key do not fit.
    pub fn config(&self) -> Result<Arc<ClientConfig>> {
        let mut config = self.config.lock();
        if let Some(config) = &*config {
            return Ok(config.clone());
        }
        let roots = match &self.roots {
            Some(roots) => roots.clone(),
            None => Arc::new(system_roots()?),
        };
        let unusable = |error: rustls::Error| Error::new(Code::EINVAL, of_tls(&error));
        let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(unusable)?
            .with_root_certificates(roots);
        let mut made = match &self.identity {
            None => builder.with_no_client_auth(),
            Some(Identity { chain, key }) => builder
                .with_client_auth_cert(chain.clone(), key.clone_key())
                .map_err(|error| unusable(error).context("settings `client-cert` and `client-key`"))?,
        };
        made.alpn_protocols = self.protocols.iter().map(|protocol| protocol.to_vec()).collect();
        Ok(config.insert(Arc::new(made)).clone())
    }
}

/// The name that a server's certificate has to be for.
///
/// # Errors
/// EPROTO: not a name that a certificate can have.
pub fn server_name(host: &str) -> Attempt<ServerName<'static>> {
    ServerName::try_from(host.to_owned())
        .map_err(|_| Failure::protocol(format!("no certificate can be for the name {host}")))
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tls(...)")
    }
}

/// The system's; one that cannot be parsed is left out, as every program does.
fn system_roots() -> Result<RootCertStore> {
    let mut roots = RootCertStore::empty();
    let mut refused = None;
    for path in SYSTEM_ROOTS {
        match std::fs::read(path) {
            Ok(bytes) => {
                let certificates = CertificateDer::pem_slice_iter(&bytes).filter_map(Result::ok);
                roots.add_parsable_certificates(certificates);
            }
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                refused.get_or_insert(path);
            }
            Err(_) => {}
        }
        if !roots.is_empty() {
            return Ok(roots);
        }
    }
    Err(match refused {
        // Everybody may read it where it is not this process that may not.
        Some(path) => {
            let text = format!(
                "{path}, the list of certificate authorities, may not be read: in a process, let `read` of `may` have it, or set `ca-file`"
            );
            Error::new(Code::EPERM, text)
        }
        None => {
            let text = "this system has no list of certificate authorities: install ca-certificates, or set `ca-file`";
            Error::new(Code::ENOENT, text)
        }
    })
}
