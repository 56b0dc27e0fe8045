//! What errors of TLS and of certificates mean, in words that say what to do: the libraries' own are made for
//! their programmers.

use crate::certificate::{is_authority, reason, reason_there};
use rustls::{AlertDescription as Alert, CertificateError, Error, InconsistentKeys, PeerIncompatible};

/// How an `openssl req -x509` makes one that is its own authority and yet a server's.
const NOT_AN_AUTHORITY: &str = "-addext basicConstraints=critical,CA:FALSE -addext subjectAltName=DNS:<host>";

/// What an error of a connection's TLS is.
pub fn of_tls(error: &Error) -> String {
    match error {
        Error::InvalidCertificate(why) => of_server(why),
        Error::NoCertificatesPresented => "it shows no certificate".to_owned(),
        Error::UnsupportedNameType => "no certificate can be for such a name".to_owned(),
        Error::AlertReceived(alert) => of_alert(*alert),
        Error::InappropriateMessage { .. } | Error::InappropriateHandshakeMessage { .. } => {
            "TLS: an unexpected message".to_owned()
        }
        Error::InvalidMessage(_) | Error::PeerSentOversizedRecord => {
            "its answer is not TLS: is it a port without TLS, or of another protocol?".to_owned()
        }
        Error::PeerIncompatible(PeerIncompatible::ServerDoesNotSupportTls12Or13) => {
            "it speaks neither TLS 1.2 nor 1.3".to_owned()
        }
        Error::PeerIncompatible(_) => {
            "it has no version, cipher or signature of TLS in common with this side".to_owned()
        }
        Error::PeerMisbehaved(_) => "TLS: it breaks the protocol".to_owned(),
        Error::DecryptError => "TLS: the data was changed on the way".to_owned(),
        Error::NoApplicationProtocol => "it does not speak this protocol over TLS".to_owned(),
        Error::FailedToGetCurrentTime | Error::FailedToGetRandomBytes => {
            "TLS: the system's clock or random bytes are not available".to_owned()
        }
        Error::InconsistentKeys(InconsistentKeys::KeyMismatch) => {
            "the key is not that of the certificate".to_owned()
        }
        _ => "TLS: this connection cannot be made or used".to_owned(),
    }
}

/// Why a server's certificate was not accepted.
fn of_server(error: &CertificateError) -> String {
    use CertificateError as Why;
    match error {
        Why::UnknownIssuer => {
            "its certificate is signed by no authority that is trusted: name that authority's certificate in \
             `ca-file`, or let the server send those in between"
                .to_owned()
        }
        Why::NotValidForNameContext { expected, presented } => {
            let names: Vec<&str> = presented.iter().map(|name| bare(name)).take(4).collect();
            let expected = expected.to_str();
            match names.as_slice() {
                [] => format!(
                    "its certificate is not for {expected}: it has no subjectAltName, and a common name does not count"
                ),
                names => {
                    format!("its certificate is for {}, not {expected}", names.join(", ").escape_debug())
                }
            }
        }
        Why::InvalidPurpose | Why::InvalidPurposeContext { .. } => {
            "its certificate's extended key usage does not allow this: a server's needs serverAuth".to_owned()
        }
        error if is_authority(error) => format!(
            "its certificate is an authority's own, which cannot be a server's too: sign one for the server by it, or \
             make it with `openssl req -x509 {NOT_AN_AUTHORITY}`"
        ),
        error => format!("its certificate {}", reason(error, "ca-file")),
    }
}

/// A name of a certificate without the library's word for its kind: `DnsName("example.org")`.
fn bare(name: &str) -> &str {
    let inner = name.split_once('(').map_or(name, |(_, inner)| inner.strip_suffix(')').unwrap_or(inner));
    inner.trim_matches('"')
}

/// What the other side says before it leaves.
fn of_alert(alert: Alert) -> String {
    let refused = |why: &str| format!("it does not accept this side's certificate, `client-cert`: {why}");
    match alert {
        Alert::CertificateRequired | Alert::NoCertificate => {
            "it asks for a certificate: set `client-cert` and `client-key`".to_owned()
        }
        // Servers in Go say so of a certificate that they cannot verify, and of none at all.
        Alert::BadCertificate => {
            "it asks for a certificate that it can verify: set `client-cert` and `client-key` to one of an authority that it trusts"
                .to_owned()
        }
        Alert::UnknownCA => refused("it is signed by no authority that is trusted there"),
        Alert::UnsupportedCertificate => {
            refused("its extended key usage does not allow this: a client's needs clientAuth")
        }
        Alert::HandshakeFailure | Alert::InsufficientSecurity | Alert::ProtocolVersion => {
            "it has no version or cipher of TLS in common with this side, or wants a certificate".to_owned()
        }
        Alert::UnrecognisedName => "it serves no such name over TLS".to_owned(),
        Alert::NoApplicationProtocol => "it does not speak this protocol over TLS".to_owned(),
        Alert::InternalError => "it had an internal error in the TLS handshake".to_owned(),
        alert => match reason_there(alert, "server") {
            Some(why) => refused(&why),
            None => "it refuses this side's TLS".to_owned(),
        },
    }
}
