//! Why there are no credentials, and what to do about it.

use anyhow::anyhow;
use aws_credential_types::provider::error::CredentialsError;
use aws_sdk_sts::{
    error::{ProvideErrorMetadata as _, SdkError},
    operation::assume_role::AssumeRoleError,
};

use crate::{Error, Kind, aws};

/// Whose credentials are taken where no entry says it.
pub(super) const ENVIRONMENT: &str = "the environment";

type Refused = SdkError<AssumeRoleError>;

pub(super) fn without_keys(who: &str, error: CredentialsError) -> Error {
    let doing = format!("looking for credentials of {who}");
    let of_role = std::error::Error::source(&error).and_then(|source| source.downcast_ref::<Refused>());
    if let Some(refused) = of_role {
        let kind = if refused.raw_response().is_some() { Kind::Refused } else { Kind::Transient };
        let words = refused.message().or(refused.code()).unwrap_or("STS does not answer").to_owned();
        let next = "the role must trust who asks, and who asks must be allowed sts:AssumeRole on it";
        return Error::new(kind, doing, anyhow!("{words}: {next}"));
    }
    match error {
        CredentialsError::CredentialsNotLoaded(_) => {
            let next = "there are none: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE; a public bucket \
                        takes `anonymous = true` in its [[access]] entry";
            Error::new(Kind::Config, doing, anyhow!(next))
        }
        CredentialsError::ProviderTimedOut(_) => Error::new(Kind::Transient, doing, error),
        CredentialsError::InvalidConfiguration(_) => Error::new(Kind::Config, doing, error),
        error if who == ENVIRONMENT => Error::new(Kind::Refused, doing, aws::refused(&error)),
        error => Error::new(Kind::Refused, doing, error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_metadata_service_that_says_no_is_told_with_what_to_do() {
        let told = |who: &str| {
            let error = without_keys(who, CredentialsError::provider_error("the metadata service: 403"));
            assert_eq!(error.kind, Kind::Refused);
            error.told()
        };
        let words = told(ENVIRONMENT);
        assert!(words.contains("set AWS_ACCESS_KEY_ID") && words.contains("403"), "{words}");
        assert!(!told("the profile office").contains("AWS_ACCESS_KEY_ID"), "that one is to be mended");
    }
}
