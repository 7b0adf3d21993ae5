//! Notices that this machine is about to be taken away. EC2 tells an instance in its metadata: two minutes
//! before a spot instance is interrupted, and earlier, when that has become likely. Elsewhere nothing is
//! asked.

use std::{fmt, path::Path, time::Duration};

use crate::Result;
use async_trait::async_trait;
use swath_proto::worker::Instance;

#[cfg(feature = "s3")]
mod ec2;

/// How often is asked; a notice comes two minutes ahead.
const EVERY: Duration = Duration::from_secs(5);
/// Between two tries where nobody answers.
const AT_MOST: Duration = Duration::from_secs(60);

/// Handing back and leaving take less.
const TO_LEAVE: Duration = Duration::from_secs(10);
/// From any notice to the end there is no more than this.
const AHEAD: Duration = Duration::from_secs(120);

/// Whether this machine's metadata are asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ask {
    /// On EC2, and where AWS_EC2_METADATA_SERVICE_ENDPOINT names a place.
    Auto,
    Always,
    Never,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Notice {
    /// The machine goes when so much time is over.
    Interruption { left: Duration },
    /// It may go at any moment.
    Rebalance,
}

impl Notice {
    /// How long work may go on, where `usual` is what a signal to stop leaves.
    pub fn grace(self, usual: Duration) -> Duration {
        match self {
            Notice::Interruption { left } => left.saturating_sub(TO_LEAVE),
            // A notice of interruption may be next, and leaves that much.
            Notice::Rebalance => usual.max(AHEAD - TO_LEAVE),
        }
    }
}

impl fmt::Display for Notice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Notice::Interruption { left } => {
                write!(f, "this spot instance is taken away in {} s", left.as_secs())
            }
            Notice::Rebalance => f.write_str("this spot instance is likely to be taken away soon"),
        }
    }
}

/// Contract: `None` while there is nothing to say.
#[async_trait]
trait Source: Send + Sync {
    async fn look(&self) -> Result<Option<Notice>>;

    /// What this machine is.
    async fn instance(&self) -> Result<Instance>;
}

pub struct Notices(Box<dyn Source>);

impl Notices {
    /// None where nothing is to be asked.
    pub fn open(ask: Ask) -> Result<Option<Self>> {
        let is_asked = match ask {
            Ask::Never => false,
            Ask::Always => true,
            Ask::Auto => is_worth_asking(&|name| std::env::var(name).ok(), Path::new("/sys")),
        };
        if !is_asked {
            return Ok(None);
        }
        #[cfg(feature = "s3")]
        return Ok(Some(Self(Box::new(ec2::Metadata::new()))));
        #[cfg(not(feature = "s3"))]
        match ask {
            Ask::Always => Err(crate::Error::new(
                crate::Kind::Config,
                "asking for this machine's metadata",
                anyhow::anyhow!(
                    "this program was built without the clients of servers (feature \"servers\")"
                ),
            )),
            _ => Ok(None),
        }
    }

    /// What this machine is, as its owner says.
    pub async fn instance(&self) -> Result<Instance> {
        self.0.instance().await
    }

    /// Returns with the first notice.
    pub async fn next(&self) -> Notice {
        let mut pause = EVERY;
        loop {
            match self.0.look().await {
                Ok(Some(notice)) => return notice,
                Ok(None) => pause = EVERY,
                // Not there, or not for us: the machine can do without.
                Err(error) => {
                    tracing::debug!(error = error.told(), "no notices");
                    pause = (pause * 2).min(AT_MOST);
                }
            }
            tokio::time::sleep(pause).await;
        }
    }
}

/// Whether this is EC2, or somebody has said where metadata are: found out without a network.
fn is_worth_asking(variable: &dyn Fn(&str) -> Option<String>, sys: &Path) -> bool {
    if variable("AWS_EC2_METADATA_DISABLED").is_some_and(|value| value.eq_ignore_ascii_case("true")) {
        return false;
    }
    if variable("AWS_EC2_METADATA_SERVICE_ENDPOINT").is_some_and(|value| !value.is_empty()) {
        return true;
    }
    let says = |file: &str, word: &str| {
        std::fs::read_to_string(sys.join(file)).is_ok_and(|text| text.to_lowercase().starts_with(word))
    };
    // Machines of today, and those before them.
    says("class/dmi/id/sys_vendor", "amazon ec2") || says("hypervisor/uuid", "ec2")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn some_of_the_time_that_is_left_is_for_leaving() {
        let usual = Duration::from_secs(25);
        assert_eq!(Notice::Interruption { left: AHEAD }.grace(usual), Duration::from_secs(110));
        assert_eq!(Notice::Interruption { left: Duration::ZERO }.grace(usual), Duration::ZERO);
        assert_eq!(Notice::Rebalance.grace(usual), Duration::from_secs(110));
    }

    #[test]
    fn nothing_is_asked_where_there_is_no_ec2_and_nobody_has_said_so() {
        let sys = tempfile::tempdir().unwrap();
        let none = |_: &str| None;
        assert!(!is_worth_asking(&none, sys.path()));
        std::fs::create_dir_all(sys.path().join("class/dmi/id")).unwrap();
        std::fs::write(sys.path().join("class/dmi/id/sys_vendor"), "QEMU\n").unwrap();
        assert!(!is_worth_asking(&none, sys.path()));
        std::fs::write(sys.path().join("class/dmi/id/sys_vendor"), "Amazon EC2\n").unwrap();
        assert!(is_worth_asking(&none, sys.path()));
        let off = |name: &str| (name == "AWS_EC2_METADATA_DISABLED").then(|| "true".to_owned());
        assert!(!is_worth_asking(&off, sys.path()));
        let elsewhere = tempfile::tempdir().unwrap();
        let named = |name: &str| (name == "AWS_EC2_METADATA_SERVICE_ENDPOINT").then(|| "http://x".to_owned());
        assert!(is_worth_asking(&named, elsewhere.path()));
    }
}
