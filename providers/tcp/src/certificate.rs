//! Why a certificate was not accepted, in words that say what to do: by this side, which knows, or by the peer, of whose reason
//! an alert says as much as TLS lets it. The provider `http` says the same reasons in the same words.

use rustls::{AlertDescription, CertificateError, Error};

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
    let why = match alert {
        Alert::CertificateExpired => "it has expired, or is not valid yet, by the peer's clock".to_owned(),
        Alert::UnknownCA => {
            format!("it is signed by no authority in the peer's `tls-ca`: it must be {CHAIN}")
        }
        Alert::UnsupportedCertificate => format!("its extended key usage does not allow this: {USAGE}"),
        Alert::CertificateRequired => "this side sent none".to_owned(),
        Alert::CertificateRevoked => "it was revoked".to_owned(),
        Alert::BadCertificate => "it is malformed, or requires something unknown there".to_owned(),
        Alert::DecryptError => {
            "it is signed by another key than that of the authority in the peer's `tls-ca`".to_owned()
        }
        Alert::CertificateUnknown | Alert::AccessDenied => "the peer's log may say why".to_owned(),
        _ => return None,
    };
    Some(format!("the peer did not accept this side's certificate: {why}"))
}

fn of_peer(error: &CertificateError) -> String {
    use CertificateError as Why;
    match error {
        Why::Expired => "it has expired".to_owned(),
        Why::ExpiredContext { time, not_after } => {
            format!("it has expired, {} ago", span(time.as_secs().saturating_sub(not_after.as_secs())))
        }
        Why::NotValidYet => "it is not valid yet: is this machine's clock right?".to_owned(),
        Why::NotValidYetContext { time, not_before } => {
            let until = not_before.as_secs().saturating_sub(time.as_secs());
            format!("it is not valid yet, but in {}: is this machine's clock right?", span(until))
        }
        Why::UnknownIssuer => format!("it is signed by no authority in `tls-ca`: it must be {CHAIN}"),
        Why::InvalidPurpose | Why::InvalidPurposeContext { .. } => {
            format!("its extended key usage does not allow this: {USAGE}")
        }
        Why::NotValidForName | Why::NotValidForNameContext { .. } => "it is for another name".to_owned(),
        Why::Revoked => "it was revoked".to_owned(),
        Why::BadEncoding | Why::UnhandledCriticalExtension => {
            "it is malformed, or requires something unknown here".to_owned()
        }
        // The library keeps this one in words only.
        Why::Other(other) if format!("{other:?}").contains("CaUsedAsEndEntity") => {
            "it is an authority's own, which cannot be a peer's too: have that authority sign one for the peer".to_owned()
        }
        Why::BadSignature => {
            "it is signed by another key than that of the authority it names: is `tls-ca` an older one?".to_owned()
        }
        _ => "it is signed by an unknown algorithm".to_owned(),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_told_in_their_largest_unit() {
        for (seconds, text) in
            [(0, "0 seconds"), (119, "119 seconds"), (120, "2 minutes"), (200_000, "2 days")]
        {
            assert_eq!(span(seconds), text);
        }
    }
}
