//! An authority, what it signed, and what it should not have signed. Made anew for each test.

use rcgen::{
    BasicConstraints, Certificate, CertificateParams, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    date_time_ymd,
};
use rustls::ServerConfig;
use rustls::crypto::ring::default_provider;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tempfile::TempDir;

/// The names of a server that is who it says.
const OWN_NAMES: [&str; 3] = ["localhost", "127.0.0.1", "::1"];

/// A certificate authority, with its certificate in a file.
pub struct Authority {
    folder: TempDir,
    issuer: Issuer<'static, KeyPair>,
}

/// A certificate with its key.
pub struct Identity {
    certificate: Certificate,
    key: KeyPair,
    stem: PathBuf,
}

impl Default for Authority {
    fn default() -> Authority {
        Authority::new()
    }
}

impl Authority {
    /// A new one, which nobody trusts yet.
    pub fn new() -> Authority {
        let folder = TempDir::new().unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(rcgen::DnType::CommonName, "zvfs test authority");
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap();
        fs::write(folder.path().join("ca.pem"), certificate.pem()).unwrap();
        Authority { issuer: Issuer::new(params, key), folder }
    }

    /// The file with its certificate.
    pub fn ca_file(&self) -> PathBuf {
        self.folder.path().join("ca.pem")
    }

    /// A server's certificate for localhost, 127.0.0.1 and ::1.
    pub fn good(&self) -> Identity {
        self.sign("good", &OWN_NAMES, |_| {})
    }

    /// A server's certificate for another host.
    pub fn wrong_name(&self) -> Identity {
        self.sign("wrong-name", &["other.example"], |_| {})
    }

    /// A server's certificate whose time is over.
    pub fn expired(&self) -> Identity {
        self.sign("expired", &OWN_NAMES, |params| {
            params.not_before = date_time_ymd(2020, 1, 1);
            params.not_after = date_time_ymd(2021, 1, 1);
        })
    }

    /// A client's certificate.
    pub fn client(&self) -> Identity {
        self.sign("client", &["client.example"], |params| {
            params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        })
    }

    /// A server's certificate whose time has not come.
    pub fn not_yet_valid(&self) -> Identity {
        self.sign("not-yet-valid", &OWN_NAMES, |params| {
            params.not_before = date_time_ymd(2100, 1, 1);
            params.not_after = date_time_ymd(2101, 1, 1);
        })
    }

    /// A certificate that its own key has signed, as `openssl req -x509` makes it: an authority's, unless it says otherwise.
    pub fn self_signed(&self, is_authority: bool) -> Identity {
        let mut params = CertificateParams::new(OWN_NAMES.map(str::to_owned)).unwrap();
        params.is_ca =
            if is_authority { IsCa::Ca(BasicConstraints::Unconstrained) } else { IsCa::ExplicitNoCa };
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap();
        self.keep("self-signed", certificate, key)
    }

    fn sign(&self, name: &str, hosts: &[&str], change: impl FnOnce(&mut CertificateParams)) -> Identity {
        let hosts: Vec<String> = hosts.iter().map(|&host| host.to_owned()).collect();
        let mut params = CertificateParams::new(hosts).unwrap();
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        change(&mut params);
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        self.keep(name, certificate, key)
    }

    fn keep(&self, name: &str, certificate: Certificate, key: KeyPair) -> Identity {
        let identity = Identity { certificate, key, stem: self.folder.path().join(name) };
        fs::write(identity.certificate_file(), identity.certificate.pem()).unwrap();
        fs::write(identity.key_file(), identity.key.serialize_pem()).unwrap();
        fs::set_permissions(identity.key_file(), fs::Permissions::from_mode(0o600)).unwrap();
        identity
    }
}

impl Identity {
    /// The file with its certificate.
    pub fn certificate_file(&self) -> PathBuf {
        self.stem.with_extension("pem")
    }

    /// The file with its key.
    pub fn key_file(&self) -> PathBuf {
        self.stem.with_extension("key")
    }

    /// A TLS server with this certificate.
    pub(crate) fn server(&self) -> Arc<ServerConfig> {
        let chain = vec![CertificateDer::from(self.certificate.der().to_vec())];
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(self.key.serialize_der()));
        let config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .unwrap();
        Arc::new(config)
    }
}

/// A path as configuration files want it.
pub(crate) fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}
