//! From what a store answers to what is to be done about it.

use anyhow::anyhow;
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};

use crate::{Error, Kind};

/// 412: there is one already.
pub(super) fn is_taken<E>(error: &SdkError<E>) -> bool {
    status(error) == Some(412)
}

/// 409: two conditional writes met.
pub(super) fn is_conflict<E>(error: &SdkError<E>) -> bool {
    status(error) == Some(409)
}

pub(super) fn failed<E>(doing: String, error: SdkError<E>) -> Error
where
    E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
{
    let code = error.code().unwrap_or_default().to_owned();
    let region = error.raw_response().and_then(|answer| answer.headers().get("x-amz-bucket-region"));
    let region = region.map(str::to_owned);
    let (kind, next) = match (status(&error), code.as_str()) {
        (None, _) => unanswered(&error),
        (Some(status), code) => (kind(status, code, region.is_some()), next(status, code, region.as_deref())),
    };
    let mut why = match (code.is_empty(), status(&error)) {
        (false, _) => error.message().map_or(code.clone(), |message| format!("{code}: {message}")),
        (true, Some(status)) => format!("{error}, status {status}"),
        (true, None) => causes(&error),
    };
    if let Some(next) = next {
        why = format!("{}: {next}", why.trim_end_matches('.'));
    }
    Error::new(kind, doing, anyhow!(why))
}

/// An error and all that lies behind it, down to the socket.
fn causes(error: &(dyn std::error::Error + 'static)) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes.map(|cause| cause.to_string()).collect::<Vec<_>>().join(": ")
}

fn status<E>(error: &SdkError<E>) -> Option<u16> {
    Some(error.raw_response()?.status().as_u16())
}

fn kind(status: u16, code: &str, names_region: bool) -> Kind {
    match (status, code) {
        // Credentials that have run out are fetched anew; an upload that is gone is begun again.
        (_, "SlowDown" | "RequestTimeout" | "InternalError" | "ExpiredToken" | "NoSuchUpload") => {
            Kind::Transient
        }
        (_, "NoSuchBucket" | "InvalidBucketName" | "AuthorizationHeaderMalformed") => Kind::Config,
        // What nobody can do with this object, and anybody may with others.
        (_, "InvalidRange" | "EntityTooLarge" | "KeyTooLongError") | (416, _) => Kind::Corrupt,
        (404, _) => Kind::NotFound,
        (401 | 403, _) => Kind::Refused,
        (300..=399 | 400 | 405 | 501, _) => Kind::Config,
        _ if names_region && status < 500 => Kind::Config,
        _ => Kind::Transient,
    }
}

/// What a person can do about it.
fn next(status: u16, code: &str, region: Option<&str>) -> Option<String> {
    let text = match (status, code) {
        (_, "NoSuchBucket") => {
            "make the bucket, or mend its name; the endpoint may be another store's".into()
        }
        (_, "PermanentRedirect" | "AuthorizationHeaderMalformed" | "IllegalLocationConstraintException")
        | (301 | 307 | 400, "") => match region {
            Some(region) => {
                format!(
                    "the bucket is in {region}: set AWS_REGION={region}, or `region` in its [[access]] entry"
                )
            }
            None => {
                "the bucket is in another region: set AWS_REGION, or `region` in its [[access]] entry".into()
            }
        },
        (_, "InvalidAccessKeyId") => {
            "the store does not know this key: look at AWS_ACCESS_KEY_ID, AWS_PROFILE and AWS_ENDPOINT_URL"
                .into()
        }
        (_, "SignatureDoesNotMatch") => "the secret is another key's: look at AWS_SECRET_ACCESS_KEY".into(),
        (_, "RequestTimeTooSkewed") => "set this machine's clock".into(),
        (_, "ExpiredToken") => "log in again, or fetch credentials that last".into(),
        (401 | 403, _) => {
            "the credentials do not allow it (docs/servers.md lists what is needed). Without the right \
                           to list, what is not there is refused in the same words"
                .into()
        }
        (501, _) => {
            "the store can't do this; conditional writes (If-None-Match), multipart uploads and copies of parts \
             (UploadPartCopy) are needed"
                .into()
        }
        _ => return None,
    };
    Some(text)
}

/// Nobody has answered, or nobody was asked.
fn unanswered<E: std::error::Error + 'static>(error: &SdkError<E>) -> (Kind, Option<String>) {
    // Wrongly put together here, without a word to the server.
    if matches!(error, SdkError::ConstructionFailure(_)) {
        return (Kind::Config, None);
    }
    match is_distrusted(error) {
        true => {
            let next = "the endpoint's certificate is not trusted under this name: look at the host in \
                        AWS_ENDPOINT_URL; an authority of your own belongs into the file that SSL_CERT_FILE names";
            (Kind::Config, Some(next.into()))
        }
        false => {
            let next = "is the network up, and are AWS_ENDPOINT_URL and AWS_REGION (or those of the [[access]] entry) right?";
            (Kind::Transient, Some(next.into()))
        }
    }
}

/// TLS tells of a certificate that does not hold as of data that are not valid.
fn is_distrusted(error: &(dyn std::error::Error + 'static)) -> bool {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if let Some(io) = error.downcast_ref::<std::io::Error>() {
            if io.kind() == std::io::ErrorKind::InvalidData {
                return true;
            }
            // Its inner error is not among its sources.
            if let Some(inner) = io.get_ref()
                && is_distrusted(inner)
            {
                return true;
            }
        }
        cause = error.source();
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_mends_itself_is_told_from_what_a_person_has_to_mend() {
        for (status, code, of) in [
            (503, "SlowDown", Kind::Transient),
            (503, "", Kind::Transient),
            (500, "InternalError", Kind::Transient),
            (400, "RequestTimeout", Kind::Transient),
            (400, "ExpiredToken", Kind::Transient),
            (404, "NoSuchUpload", Kind::Transient),
            (429, "", Kind::Transient),
            (404, "NoSuchKey", Kind::NotFound),
            (404, "NoSuchBucket", Kind::Config),
            (301, "PermanentRedirect", Kind::Config),
            (400, "AuthorizationHeaderMalformed", Kind::Config),
            (501, "NotImplemented", Kind::Config),
            (403, "AccessDenied", Kind::Refused),
            (403, "InvalidAccessKeyId", Kind::Refused),
            (403, "", Kind::Refused),
            (416, "InvalidRange", Kind::Corrupt),
            (400, "EntityTooLarge", Kind::Corrupt),
        ] {
            assert_eq!(kind(status, code, false), of, "{status} {code}");
        }
    }

    #[test]
    fn a_bucket_elsewhere_is_told_with_its_region() {
        let words = next(301, "", Some("eu-west-1")).expect("a next step");
        assert!(words.contains("AWS_REGION=eu-west-1"), "{words}");
    }
}
