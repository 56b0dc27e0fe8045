//! An operator's certificates and private keys, in PEM. Every error names the setting and the file, and shows nothing of the key.
//!
//! Who may read the file of a key is checked before, by the host: see [`Setting::private`](vfs_core::Setting::private).

use rustls::RootCertStore;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use std::fmt;
use std::path::Path;
use vfs_core::{Code, Error, Result};

/// What one side shows of itself, and the proof that it is its own.
pub struct Identity {
    /// The certificate, followed by the intermediate ones.
    pub chain: Vec<CertificateDer<'static>>,
    /// The key of the certificate.
    pub key: PrivateKeyDer<'static>,
}

impl Identity {
    /// Reads the files that two settings name: a setting and its path each.
    ///
    /// # Errors
    /// EINVAL: not what it should be. ENOENT and the like: it cannot be read.
    pub fn read(certificate: (&str, &Path), key: (&str, &Path)) -> Result<Identity> {
        let chain = certificates(certificate.0, certificate.1)?;
        let (setting, path) = key;
        let key = PrivateKeyDer::from_pem_slice(&read(setting, path)?)
            .map_err(|error| unusable(setting, path, reason(&error)))?;
        Ok(Identity { chain, key })
    }
}

/// Reads the authorities to trust.
///
/// # Errors
/// As [`Identity::read`].
pub fn roots(setting: &str, path: &Path) -> Result<RootCertStore> {
    let mut roots = RootCertStore::empty();
    for root in certificates(setting, path)? {
        let broken = |_| unusable(setting, path, "a certificate in it is not well formed");
        roots.add(root).map_err(broken)?;
    }
    Ok(roots)
}

/// The error of a setting whose file cannot be used.
pub fn unusable(setting: &str, path: &Path, why: impl fmt::Display) -> Error {
    Error::new(Code::EINVAL, format!("setting `{setting}`: {} cannot be used: {why}", path.display()))
}

fn certificates(setting: &str, path: &Path) -> Result<Vec<CertificateDer<'static>>> {
    let bytes = read(setting, path)?;
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&bytes).collect();
    match found {
        Ok(found) if !found.is_empty() => Ok(found),
        Ok(_) => Err(unusable(setting, path, "no certificate in PEM")),
        Err(error) => Err(unusable(setting, path, reason(&error))),
    }
}

fn read(setting: &str, path: &Path) -> Result<Vec<u8>> {
    std::fs::read(path)
        .map_err(|error| Error::from(error).context(format!("setting `{setting}`: read {}", path.display())))
}

/// The library's own words show the bytes as numbers.
fn reason(error: &pem::Error) -> &'static str {
    match error {
        pem::Error::MissingSectionEnd { .. } => "a section has no `-----END` line",
        pem::Error::IllegalSectionStart { .. } => "a `-----BEGIN` line is not well formed",
        pem::Error::Base64Decode(_) => "the text between BEGIN and END is not base64",
        pem::Error::NoItemsFound => "it contains no such PEM section",
        pem::Error::SectionTooLarge => "a section is too large",
        _ => "it is not PEM",
    }
}
