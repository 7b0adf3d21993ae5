//! Whether a Redis can keep a ledger: what it tells of itself (`INFO`) is looked at before anything is trusted to it.

use anyhow::anyhow;

use crate::{Error, Kind, Result};

/// The first whose streams count what was ever added to them.
const OLDEST: u32 = 7;

/// The words of `INFO`.
pub(super) struct Info(String);

impl Info {
    pub(super) fn new(text: String) -> Self {
        Self(text)
    }

    fn word(&self, name: &str) -> Option<&str> {
        self.0.lines().find_map(|line| line.trim_end().strip_prefix(name)?.strip_prefix(':'))
    }

    pub(super) fn is_cluster(&self) -> bool {
        self.word("cluster_enabled") == Some("1")
    }

    /// `shown`: the server's URL, fit to be shown.
    pub(super) fn check(&self, shown: &str) -> Result<()> {
        let unfit = |why: String| Err(Error::new(Kind::Config, format!("looking at {shown}"), anyhow!(why)));
        if let Some(version) = self.word("redis_version")
            && version
                .split('.')
                .next()
                .and_then(|major| major.parse().ok())
                .is_some_and(|major: u32| major < OLDEST)
        {
            return unfit(format!("this is Redis {version}, and the ledger needs {OLDEST}.0 or later"));
        }
        if self.word("role") == Some("slave") && !self.is_cluster() {
            return unfit(format!(
                "this is a replica, which can't be written to: give the URL of its primary ({}:{})",
                self.word("master_host").unwrap_or("?"),
                self.word("master_port").unwrap_or("?")
            ));
        }
        match self.word("maxmemory_policy") {
            Some(policy) if policy != "noeviction" => unfit(format!(
                "its maxmemory-policy is {policy}: short of memory, it would throw parts of the ledger away. Set it to \
                 noeviction (CONFIG SET maxmemory-policy noeviction, and in redis.conf; a managed one has it in its \
                 parameter group)"
            )),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIT: &str = "# Server\r\nredis_version:7.0.15\r\nrole:master\r\nmaxmemory_policy:noeviction\r\n\
                       used_memory_human:1.5M\r\ncluster_enabled:0\r\n";

    fn refusal(text: &str) -> String {
        let error = Info::new(text.into()).check("redis://h").expect_err("it was found fit");
        assert_eq!(error.kind, Kind::Config);
        error.told()
    }

    #[test]
    fn a_redis_that_would_forget_is_refused_with_what_to_do() {
        Info::new(FIT.into()).check("redis://h").expect("fit");
        let words = refusal(&FIT.replace("noeviction", "allkeys-lru"));
        assert!(words.contains("is allkeys-lru") && words.contains("CONFIG SET"), "{words}");
        assert!(refusal(&FIT.replace("7.0.15", "6.2.14")).contains("Redis 6.2.14"));
        Info::new(FIT.replace("7.0.15", "10.1.0")).check("redis://h").expect("fit");
        let replica = FIT.replace("role:master", "role:slave\r\nmaster_host:10.0.0.7\r\nmaster_port:6380");
        assert!(refusal(&replica).contains("10.0.0.7:6380"));
        // Any node of a cluster leads to all of them.
        Info::new(replica.replace("enabled:0", "enabled:1")).check("redis://h").expect("fit");
        // A managed server tells only what it likes.
        Info::new(String::new()).check("redis://h").expect("fit");
    }
}
