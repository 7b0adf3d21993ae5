//! TLS as URLs ask for it: whom to trust and who we are, in files that the query names as RabbitMQ does (`cacertfile`,
//! `certfile`, `keyfile`). Without a file the system's certificates count, or those in `SSL_CERT_FILE`. What does not
//! check out is never gone on with; this file also tells a person why.

use std::{error::Error as StdError, io, sync::Arc};

use anyhow::anyhow;
use rustls::{AlertDescription, CertificateError};
use url::Url;

use crate::{Error, Kind, Result, open::redacted, query};

const SETTINGS: [&str; 3] = ["cacertfile", "certfile", "keyfile"];

/// In PEM.
#[derive(Default)]
pub(crate) struct Certificates {
    /// To be trusted: by RabbitMQ's client beside the system's, by that of Redis instead of them.
    pub ca: Option<String>,
    /// A certificate and its key, for servers that ask who we are.
    pub client: Option<(String, String)>,
}

impl Certificates {
    /// Takes the names of files out of the URL and reads them.
    pub(crate) fn take(url: &mut Url) -> Result<Self> {
        // Clients don't agree on a provider of ciphers by themselves where several are linked. If another is there
        // already, that is as good.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let shown = redacted(url.as_str());
        let wrong = |why| Error::new(Kind::Config, format!("reading {shown}"), why);
        let [ca, certificate, key] = SETTINGS.map(|name| query::take(url, name));
        let is_plain = matches!(url.scheme(), "amqp" | "redis");
        if is_plain && (ca.is_some() || certificate.is_some() || key.is_some()) {
            let why = format!("{} are for TLS: begin the URL with {}s://", SETTINGS.join(", "), url.scheme());
            return Err(wrong(anyhow!(why)));
        }
        let read = |setting: &str, path: String, label: &str| {
            let bytes = std::fs::read(&path)
                .map_err(|error| wrong(anyhow!(error).context(format!("{setting} {path}"))))?;
            // In DER it is no text.
            let text = String::from_utf8(bytes).ok();
            let text = text.filter(|text| text.contains("-----BEGIN ") && text.contains(label));
            text.ok_or_else(|| wrong(anyhow!("{setting} {path} holds no {} in PEM", label.to_lowercase())))
        };
        let client = match (certificate, key) {
            (Some(certificate), Some(key)) => {
                let certificate = read("certfile", certificate, "CERTIFICATE")?;
                Some((certificate, read("keyfile", key, "PRIVATE KEY")?))
            }
            (None, None) => None,
            _ => return Err(wrong(anyhow!("certfile and keyfile go together"))),
        };
        Ok(Self { ca: ca.map(|ca| read("cacertfile", ca, "CERTIFICATE")).transpose()?, client })
    }
}

/// Where TLS is the cause of an error: what a person can do about it.
pub(crate) fn advice(error: &(dyn StdError + 'static)) -> Option<&'static str> {
    Some(match cause(error)? {
        rustls::Error::InvalidCertificate(why) => match why {
            CertificateError::UnknownIssuer | CertificateError::BadSignature => {
                "nobody that is trusted here has signed its certificate: name the file with its CA's certificate by \
                 ?cacertfile=FILE in the URL, or by SSL_CERT_FILE"
            }
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
                "its certificate is for another name: give the URL the name that the certificate was made for"
            }
            CertificateError::Expired
            | CertificateError::ExpiredContext { .. }
            | CertificateError::NotValidYet
            | CertificateError::NotValidYetContext { .. } => {
                "its certificate is not valid at this time: renew it, or set this machine's clock"
            }
            _ => "its certificate does not check out",
        },
        rustls::Error::InvalidMessage(_) => {
            "it does not speak TLS there: is this the port for TLS, or should the URL begin with amqp:// or redis://?"
        }
        rustls::Error::AlertReceived(
            AlertDescription::CertificateRequired
            | AlertDescription::HandshakeFailure
            | AlertDescription::BadCertificate
            | AlertDescription::UnknownCA
            | AlertDescription::CertificateUnknown,
        ) => {
            "it does not accept who we are: it may ask for a client certificate, ?certfile=FILE&keyfile=FILE in the URL"
        }
        _ => return None,
    })
}

/// Clients wrap what rustls says in several layers.
fn cause<'a>(error: &'a (dyn StdError + 'static)) -> Option<&'a rustls::Error> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref::<rustls::Error>() {
            return Some(found);
        }
        // The source of an I/O error is what its content was caused by, not the content.
        let io = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        let shared = error.downcast_ref::<Arc<dyn StdError + Send + Sync>>();
        next = match (io, shared) {
            (Some(inner), _) => Some(inner),
            (_, Some(inner)) => Some(&**inner),
            _ => error.source(),
        };
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(url: &str) -> String {
        let mut url = url.parse().expect("a URL");
        let error = Certificates::take(&mut url).err().expect("it was taken");
        assert_eq!(error.kind, Kind::Config);
        error.told()
    }

    #[test]
    fn files_that_cannot_be_used_are_told_by_name() {
        let folder = tempfile::tempdir().expect("a folder");
        let empty = folder.path().join("empty.pem");
        std::fs::write(&empty, "no certificate").expect("writing");
        let empty = empty.display();
        let words = refusal(&format!("amqps://u:hunter2@h/?cacertfile={empty}"));
        assert!(words.contains(&format!("cacertfile {empty} holds no certificate")), "{words}");
        assert!(!words.contains("hunter2"), "{words}");
        let words = refusal("rediss://h/?cacertfile=/no/such/file");
        assert!(words.contains("cacertfile /no/such/file"), "{words}");
        assert!(refusal("rediss://h/?certfile=/a").contains("go together"));
        assert!(refusal("redis://h/?cacertfile=/a").contains("rediss://"));
    }

    #[test]
    fn what_rustls_says_is_found_under_all_layers() {
        let refused = || rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer);
        let io = io::Error::new(io::ErrorKind::InvalidData, refused());
        assert!(advice(&io).is_some_and(|advice| advice.contains("cacertfile")));
        let shared: Arc<dyn StdError + Send + Sync> =
            Arc::new(io::Error::other(io::Error::new(io::ErrorKind::InvalidData, refused())));
        assert!(advice(&shared).is_some_and(|advice| advice.contains("cacertfile")));
        assert_eq!(advice(&io::Error::other("something else")), None);
    }
}
