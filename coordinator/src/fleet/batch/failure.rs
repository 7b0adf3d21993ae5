//! What a refusal of Batch means to us. Codes and statuses decide; messages are handed on to people.

use anyhow::anyhow;
use aws_sdk_batch::error::{DisplayErrorContext, ProvideErrorMetadata, SdkError};
use swath_backends::{Error, Kind};

use crate::fleet::provider::{ErrorKind, ProviderError};

const RIGHTS: &str = "the rights that a coordinator needs are in docs/aws-batch.md";

/// `at`: who was asked, with its region.
pub(super) fn failed<E>(doing: impl Into<String>, at: &str, error: SdkError<E>) -> ProviderError
where
    E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
{
    let code = error.code().unwrap_or_default().to_owned();
    let (kind, remedy) = recognised(&code, error.message().unwrap_or_default(), status(&error), at);
    let text = DisplayErrorContext(&error).to_string();
    // The display ends with a dump of the whole response.
    let text = text.split(" (").next().unwrap_or_default().to_owned();
    let said = match code.is_empty() {
        false => format!("{code}: {}", error.message().unwrap_or(&text)),
        true => text,
    };
    ProviderError::new(kind, doing, remedy, anyhow!(said))
}

/// What this side of the network has to say, credentials for instance.
pub(super) fn before_asking(error: Error) -> ProviderError {
    let kind = match error.kind {
        Kind::Transient => ErrorKind::Away,
        Kind::Refused => ErrorKind::Refused,
        _ => ErrorKind::Config,
    };
    ProviderError::new(kind, error.doing, "", error.source)
}

fn status<E>(error: &SdkError<E>) -> Option<u16> {
    Some(error.raw_response()?.status().as_u16())
}

/// Nobody knows whether the server has done it: it was asked, and its answer is missing or tells of its own trouble.
pub(super) fn is_in_doubt<E>(error: &SdkError<E>) -> bool {
    match error {
        SdkError::ConstructionFailure(_) => false,
        SdkError::ServiceError(_) => status(error).is_none_or(|status| status >= 500),
        _ => true,
    }
}

/// Too much was asked for, by us or others of the account: nothing was done.
pub(super) fn is_throttled<E: ProvideErrorMetadata>(error: &SdkError<E>) -> bool {
    status(error) == Some(429) || is_throttling(error.code().unwrap_or_default())
}

fn is_throttling(code: &str) -> bool {
    code.contains("Throttl")
        || matches!(code, "TooManyRequestsException" | "RequestLimitExceeded" | "SlowDown")
}

fn recognised(code: &str, message: &str, status: Option<u16>, at: &str) -> (ErrorKind, String) {
    match (code, status) {
        (_, None) => (
            ErrorKind::Away,
            format!("there is no answer from {at}: is the region right, and can it be reached from here?"),
        ),
        (code, _) if is_throttling(code) => (ErrorKind::Away, String::new()),
        ("ExpiredToken" | "ExpiredTokenException" | "RequestExpired", _) => {
            (ErrorKind::Refused, "the credentials have run out: log in again, or use some that last".into())
        }
        ("UnrecognizedClientException" | "InvalidClientTokenId", _) => (
            ErrorKind::Refused,
            format!(
                "{at} does not know this key: look at AWS_ACCESS_KEY_ID and AWS_PROFILE, and whether the account has \
                 this region enabled"
            ),
        ),
        (
            "InvalidSignatureException"
            | "SignatureDoesNotMatch"
            | "IncompleteSignature"
            | "IncompleteSignatureException"
            | "MissingAuthenticationToken"
            | "MissingAuthenticationTokenException",
            _,
        ) => (
            ErrorKind::Refused,
            "the secret is another key's, or this machine's clock is wrong: look at AWS_SECRET_ACCESS_KEY"
                .into(),
        ),
        ("OptInRequired" | "SubscriptionRequiredException", _) => (
            ErrorKind::Refused,
            "the account is not signed up for this service or region: enable it in the account's settings"
                .into(),
        ),
        ("AccessDenied" | "AccessDeniedException" | "UnauthorizedOperation", _) | (_, Some(401 | 403)) => {
            (ErrorKind::Refused, RIGHTS.into())
        }
        (_, Some(500..)) => (ErrorKind::Away, String::new()),
        _ if is_quota(message) => (
            ErrorKind::NoCapacity,
            "a quota of the account is reached: ask for more under Service Quotas, or wait for others to end"
                .into(),
        ),
        _ => (ErrorKind::Config, "look at [batch] in the profile; swath doctor tries all of it".into()),
    }
}

/// Batch has no code of its own for this.
pub(super) fn is_quota(message: &str) -> bool {
    let message = message.to_ascii_lowercase();
    [
        "limit exceeded",
        "limitexceeded",
        "quota",
        "exceeds the limit",
        "exceeded the limit",
        "maximum number of",
    ]
    .iter()
    .any(|word| message.contains(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_passes_is_told_from_what_a_person_has_to_mend() {
        use ErrorKind::*;
        for (code, message, status, kind, word) in [
            ("", "", None, Away, "region"),
            ("TooManyRequestsException", "Too Many Requests", Some(429), Away, ""),
            ("ThrottlingException", "Rate exceeded", Some(400), Away, ""),
            ("ServerException", "", Some(500), Away, ""),
            ("", "", Some(503), Away, ""),
            (
                "ExpiredTokenException",
                "The security token included in the request is expired",
                Some(403),
                Refused,
                "log in",
            ),
            (
                "UnrecognizedClientException",
                "The security token included in the request is invalid.",
                Some(403),
                Refused,
                "region enabled",
            ),
            (
                "InvalidSignatureException",
                "The request signature we calculated",
                Some(403),
                Refused,
                "SECRET",
            ),
            (
                "AccessDeniedException",
                "User: arn:aws:iam::1:user/me is not authorized to perform: batch:SubmitJob",
                Some(403),
                Refused,
                "docs/aws-batch.md",
            ),
            (
                "ClientException",
                "Job queue limit exceeded: you have reached the quota",
                Some(400),
                NoCapacity,
                "Service Quotas",
            ),
            ("ClientException", "JobQueue swath-gpu not found.", Some(400), Config, "[batch]"),
        ] {
            let (of, next) = recognised(code, message, status, "Batch in eu-central-1");
            assert_eq!(of, kind, "{code} {message}");
            assert!(next.contains(word), "{code}: {next}");
        }
    }
}
