//! Why a certificate was not accepted, in words: as far as they are the same whoever has it, and whatever its setting is called.

use rustls::{AlertDescription as Alert, CertificateError};

/// Why this side did not accept a certificate: the rest of a sentence about it. `roots` is the setting that names the authorities
/// to trust.
pub fn reason(error: &CertificateError, roots: &str) -> String {
    use CertificateError as Why;
    match error {
        Why::Expired => "has expired".to_owned(),
        Why::ExpiredContext { time, not_after } => {
            format!("has expired, {} ago", span(time.as_secs().saturating_sub(not_after.as_secs())))
        }
        Why::NotValidYet => "is not valid yet: is this machine's clock right?".to_owned(),
        Why::NotValidYetContext { time, not_before } => {
            let left = span(not_before.as_secs().saturating_sub(time.as_secs()));
            format!("is not valid yet, but in {left}: is this machine's clock right?")
        }
        Why::NotValidForName | Why::NotValidForNameContext { .. } => "is for another name".to_owned(),
        Why::Revoked => "was revoked".to_owned(),
        Why::BadSignature => {
            format!(
                "is signed by another key than that of the authority of this name that is trusted: name the right one's certificate in `{roots}` (one that is set may be older)"
            )
        }
        Why::BadEncoding | Why::UnhandledCriticalExtension => {
            "is malformed, or requires something unknown here".to_owned()
        }
        _ => "is signed by an unknown algorithm".to_owned(),
    }
}

/// Whether a certificate was not accepted because it is an authority's own.
pub fn is_authority(error: &CertificateError) -> bool {
    // rustls has no name of its own for this one.
    let CertificateError::Other(other) = error else { return false };
    other.0.downcast_ref() == Some(&webpki::Error::CaUsedAsEndEntity)
}

/// Why the other side, which is called `other`, did not accept this side's certificate; `None`: the alert does not say.
pub fn reason_there(alert: Alert, other: &str) -> Option<String> {
    Some(match alert {
        Alert::CertificateExpired => format!("it has expired, or is not valid yet, by the {other}'s clock"),
        Alert::CertificateRevoked => "it was revoked".to_owned(),
        Alert::BadCertificate => "it is malformed, or requires something unknown there".to_owned(),
        Alert::CertificateUnknown | Alert::AccessDenied => format!("the {other}'s log may say why"),
        _ => return None,
    })
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
