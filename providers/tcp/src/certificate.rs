//! Why a certificate was not accepted, in words that say what to do: by this side, which knows, or by the peer, of whose reason
//! an alert says as much as TLS lets it.

use rustls::{AlertDescription, CertificateError, Error};
use zvfs_net::certificate::{is_authority, reason, reason_there};

/// What each role needs where a certificate has an extended key usage at all.
const USAGE: &str = "the side that dials needs clientAuth, the side that listens serverAuth";
const CHAIN: &str = "followed in `tls-cert` by the intermediate ones up to the authority";

/// Why there is no trust; `None`: the error is not about certificates.
pub fn refusal(error: &Error) -> Option<String> {
    use AlertDescription as Alert;
    let alert = match error {
        Error::InvalidCertificate(why) => {
            return Some(format!("the peer's certificate was not accepted: {}", of_peer(why)));
        }
        Error::NoCertificatesPresented => {
            return Some("the peer sent no certificate: set `tls-cert` and `tls-key` there".to_owned());
        }
        Error::AlertReceived(alert) => alert,
        _ => return None,
    };
    let why = match *alert {
        Alert::UnknownCA => {
            format!("it is signed by no authority in the peer's `tls-ca`: it must be {CHAIN}")
        }
        Alert::UnsupportedCertificate => format!("its extended key usage does not allow this: {USAGE}"),
        Alert::CertificateRequired => "this side sent none".to_owned(),
        Alert::DecryptError => {
            "it is signed by another key than that of the authority in the peer's `tls-ca`".to_owned()
        }
        alert => reason_there(alert, "peer")?,
    };
    Some(format!("the peer did not accept this side's certificate: {why}"))
}

fn of_peer(error: &CertificateError) -> String {
    use CertificateError as Why;
    match error {
        Why::UnknownIssuer => format!("it is signed by no authority in `tls-ca`: it must be {CHAIN}"),
        Why::InvalidPurpose | Why::InvalidPurposeContext { .. } => {
            format!("its extended key usage does not allow this: {USAGE}")
        }
        error if is_authority(error) => {
            "it is an authority's own, which cannot be a peer's too: have that authority sign one for the peer".to_owned()
        }
        error => format!("it {}", reason(error, "tls-ca")),
    }
}
