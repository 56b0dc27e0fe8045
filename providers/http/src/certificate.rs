//! What errors of TLS and of certificates mean, in words that say what to do: the libraries' own are made for
//! their programmers. The provider `tcp` says the same reasons in the same words.

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
            "its answer is not TLS: is it a port for http, or another protocol?".to_owned()
        }
        Error::PeerIncompatible(PeerIncompatible::ServerDoesNotSupportTls12Or13) => {
            "it speaks neither TLS 1.2 nor 1.3".to_owned()
        }
        Error::PeerIncompatible(_) => {
            "it has no version, cipher or signature of TLS in common with this side".to_owned()
        }
        Error::PeerMisbehaved(_) => "TLS: it breaks the protocol".to_owned(),
        Error::DecryptError => "TLS: the data was changed on the way".to_owned(),
        Error::NoApplicationProtocol => "it does not speak HTTP/1.1 over TLS".to_owned(),
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
        Why::Expired => "its certificate has expired".to_owned(),
        Why::ExpiredContext { time, not_after } => {
            let ago = span(time.as_secs().saturating_sub(not_after.as_secs()));
            format!("its certificate has expired, {ago} ago")
        }
        Why::NotValidYet => "its certificate is not valid yet: is this machine's clock right?".to_owned(),
        Why::NotValidYetContext { time, not_before } => {
            let left = span(not_before.as_secs().saturating_sub(time.as_secs()));
            format!("its certificate is not valid yet, but in {left}: is this machine's clock right?")
        }
        Why::NotValidForName => "its certificate is for another name".to_owned(),
        Why::NotValidForNameContext { expected, presented } => {
            let names: Vec<&str> = presented.iter().map(|name| bare(name)).take(4).collect();
            let expected = expected.to_str();
            match names.as_slice() {
                [] => format!(
                    "its certificate is not for {expected}: it has no subjectAltName, and a common name does not count"
                ),
                names => format!("its certificate is for {}, not {expected}", names.join(", ").escape_debug()),
            }
        }
        Why::InvalidPurpose | Why::InvalidPurposeContext { .. } => {
            "its certificate's extended key usage does not allow this: a server's needs serverAuth".to_owned()
        }
        Why::Revoked => "its certificate was revoked".to_owned(),
        Why::BadSignature => {
            "its certificate is signed by another key than that of the authority it names: is `ca-file` an older one?"
                .to_owned()
        }
        Why::BadEncoding | Why::UnhandledCriticalExtension => {
            "its certificate is malformed, or requires something unknown here".to_owned()
        }
        // The library gives this one no variant.
        Why::Other(other) if format!("{other:?}").contains("CaUsedAsEndEntity") => format!(
            "its certificate is an authority's own, which cannot be a server's too: sign one for the server by it, or \
             make it with `openssl req -x509 {NOT_AN_AUTHORITY}`"
        ),
        _ => "its certificate is signed by an unknown algorithm".to_owned(),
    }
}

/// A name of a certificate without the library's word for its kind: `DnsName("example.org")`.
fn bare(name: &str) -> &str {
    let inner = name.split_once('(').map_or(name, |(_, inner)| inner.strip_suffix(')').unwrap_or(inner));
    inner.trim_matches('"')
}

/// What the other side says before it leaves.
fn of_alert(alert: Alert) -> String {
    match alert {
        Alert::CertificateRequired | Alert::NoCertificate => {
            "it asks for a certificate: set `client-cert` and `client-key`".to_owned()
        }
        Alert::BadCertificate
        | Alert::UnsupportedCertificate
        | Alert::CertificateRevoked
        | Alert::CertificateExpired
        | Alert::CertificateUnknown
        | Alert::UnknownCA
        | Alert::AccessDenied => format!(
            "it does not accept this side's certificate, `client-cert`: {}",
            match alert {
                Alert::CertificateExpired => "it has expired, or is not valid yet, by the server's clock",
                Alert::CertificateRevoked => "it was revoked",
                Alert::UnknownCA => "it is signed by no authority that is trusted there",
                Alert::UnsupportedCertificate => {
                    "its extended key usage does not allow this: a client's needs clientAuth"
                }
                Alert::BadCertificate => "it is malformed, or requires something unknown there",
                _ => "its log may say why",
            }
        ),
        Alert::HandshakeFailure | Alert::InsufficientSecurity | Alert::ProtocolVersion => {
            "it has no version or cipher of TLS in common with this side, or wants a certificate".to_owned()
        }
        Alert::UnrecognisedName => "it serves no such name over TLS".to_owned(),
        Alert::NoApplicationProtocol => "it does not speak HTTP/1.1 over TLS".to_owned(),
        Alert::InternalError => "it had an internal error in the TLS handshake".to_owned(),
        _ => "it refuses this side's TLS".to_owned(),
    }
}

/// A time in its largest unit.
fn span(seconds: u64) -> String {
    const UNITS: [(u64, &str); 3] = [(86_400, "days"), (3_600, "hours"), (60, "minutes")];
    match UNITS.iter().find(|(unit, _)| seconds >= 2 * unit) {
        Some((unit, name)) => format!("{} {name}", seconds / unit),
        None => format!("{seconds} seconds"),
    }
}
