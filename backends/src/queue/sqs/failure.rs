//! What an answer of SQS means to us.

use anyhow::anyhow;
use aws_sdk_sqs::error::{DisplayErrorContext, ProvideErrorMetadata, SdkError};

use crate::{Error, Kind};

/// Old names begin so, new ones do not; servers that speak like SQS use either.
const OLD: &str = "AWS.SimpleQueueService.";

pub(super) fn code<E: ProvideErrorMetadata>(error: &SdkError<E>) -> &str {
    let code = error.code().unwrap_or_default();
    code.strip_prefix(OLD).unwrap_or(code)
}

/// The delivery is not ours any more: it went to somebody else, or it is settled.
pub(super) fn is_late<E: ProvideErrorMetadata>(error: &SdkError<E>) -> bool {
    // Of all our parameters the receipt is the only one that can become invalid.
    matches!(code(error), "MessageNotInflight" | "ReceiptHandleIsInvalid" | "InvalidParameterValue")
}

pub(super) fn is_no_queue<E: ProvideErrorMetadata>(error: &SdkError<E>) -> bool {
    matches!(code(error), "NonExistentQueue" | "QueueDoesNotExist")
}

/// An entry of a batch that SQS calls the sender's fault, and that may be taken the next time all the same.
pub(super) fn is_passing(code: &str) -> bool {
    let code = code.strip_prefix(OLD).unwrap_or(code);
    code.contains("Throttl")
        || matches!(code, "OverLimit" | "ServiceUnavailable" | "InternalError" | "InternalFailure")
}

fn kind<E: ProvideErrorMetadata>(error: &SdkError<E>) -> Kind {
    let status = error.raw_response().map(|response| response.status().as_u16());
    match (code(error), status) {
        // Credentials that have run out are fetched anew; a queue that was just deleted may be made in a
        // minute.
        (
            "ExpiredToken"
            | "ExpiredTokenException"
            | "RequestExpired"
            | "QueueDeletedRecently"
            | "PurgeQueueInProgress",
            _,
        ) => Kind::Transient,
        (code, _) if is_passing(code) => Kind::Transient,
        ("NonExistentQueue" | "QueueDoesNotExist", _) => Kind::NotFound,
        (
            "AccessDenied"
            | "AccessDeniedException"
            | "InvalidSecurity"
            | "InvalidClientTokenId"
            | "InvalidAccessKeyId"
            | "UnrecognizedClientException"
            | "SignatureDoesNotMatch"
            | "IncompleteSignature"
            | "MissingAuthenticationToken"
            | "OptInRequired"
            | "KmsAccessDenied",
            _,
        )
        | (_, Some(401 | 403)) => Kind::Refused,
        (_, Some(500..) | None) if !matches!(error, SdkError::ConstructionFailure(_)) => Kind::Transient,
        // An answer that is none of SQS's, or a request that it will never take.
        _ => Kind::Config,
    }
}

/// `at`: who was asked.
pub(super) fn failed<E>(doing: String, at: &str, error: SdkError<E>) -> Error
where
    E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
{
    let kind = kind(&error);
    let text = DisplayErrorContext(&error).to_string();
    // The display ends with a dump of the whole response.
    let text = text.split(" (").next().unwrap_or_default().to_owned();
    let said = match error.code() {
        Some(code) => format!("{code}: {}", error.message().unwrap_or(&text)),
        None => text,
    };
    let why = match (&error, kind) {
        (_, Kind::Refused) => {
            format!("{said} (the rights that each role needs are in docs/servers.md, under SQS)")
        }
        (SdkError::DispatchFailure(_) | SdkError::TimeoutError(_), _) => {
            format!("no answer from {at}: {said}. Is the region right, and can it be reached from here?")
        }
        (SdkError::ResponseError(_), _) => format!("what answers at {at} does not speak SQS: {said}"),
        (SdkError::ServiceError(_), Kind::Config) if error.code().is_none() => {
            format!("what answers at {at} does not speak SQS: {said}")
        }
        _ => said,
    };
    Error::new(kind, doing, anyhow!(why))
}
