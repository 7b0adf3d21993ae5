//! A job queue and the compute environments behind it: whether a job can come to a machine there, and if not, what to
//! mend. Pure but for [`Server::look_at`].

use aws_sdk_batch::types::{ComputeEnvironmentDetail, JobQueueDetail};

use super::{failure, provider::Server};
use crate::fleet::provider::ProviderError;

/// As Batch tells of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Queue {
    pub(super) name: String,
    pub(super) state: String,
    pub(super) status: String,
    pub(super) reason: String,
    pub(super) environments: Vec<Environment>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Environment {
    pub(super) name: String,
    pub(super) state: String,
    pub(super) status: String,
    pub(super) reason: String,
    /// `SPOT`, `EC2`, `FARGATE`; empty where Batch does not manage it.
    pub(super) kind: String,
    pub(super) most_vcpus: Option<i32>,
}

impl Queue {
    /// What keeps jobs from machines; empty where one environment at least can take them.
    pub(super) fn problems(&self) -> Vec<String> {
        let name = &self.name;
        if self.state == "DISABLED" {
            return vec![format!(
                "the job queue {name} is disabled: aws batch update-job-queue --job-queue {name} --state ENABLED"
            )];
        }
        match self.status.as_str() {
            "VALID" | "UPDATING" | "" => {}
            "CREATING" => return vec![format!("the job queue {name} is still being made: wait a minute")],
            status => {
                let why = because(&self.reason);
                return vec![format!("the job queue {name} is {status}{why}: mend that, or make it anew")];
            }
        }
        if self.environments.is_empty() {
            return vec![format!("the job queue {name} has no compute environment: give it one")];
        }
        let problems: Vec<String> = self.environments.iter().filter_map(Environment::problem).collect();
        if problems.len() < self.environments.len() { Vec::new() } else { problems }
    }

    /// What works all the same, and has to be seen to.
    pub(super) fn warnings(&self) -> Vec<String> {
        match self.problems().is_empty() {
            true => self.environments.iter().filter_map(Environment::problem).collect(),
            false => Vec::new(),
        }
    }

    /// For people: what stands behind it.
    pub(super) fn told(&self) -> String {
        let kinds = self.environments.iter().map(|environment| {
            let most = environment.most_vcpus.map(|n| format!(", {n} vCPUs at most")).unwrap_or_default();
            let kind = match environment.kind.as_str() {
                "" => "unmanaged".to_owned(),
                kind => kind.to_lowercase(),
            };
            format!("{} ({kind}{most})", environment.name)
        });
        kinds.collect::<Vec<_>>().join(", then ")
    }
}

impl Environment {
    fn problem(&self) -> Option<String> {
        let name = &self.name;
        if self.status == "INVALID" {
            let next = match failure::is_quota(&self.reason) {
                true => {
                    "ask for more under Service Quotas (vCPUs of running on-demand, or of spot instances of this family)"
                }
                false => {
                    "mend what it says (roles, launch template, subnets, image), then disable and enable it"
                }
            };
            return Some(format!(
                "the compute environment {name} is INVALID{}: {next}",
                because(&self.reason)
            ));
        }
        if self.state == "DISABLED" {
            return Some(format!(
                "the compute environment {name} is disabled: aws batch update-compute-environment \
                 --compute-environment {name} --state ENABLED"
            ));
        }
        if matches!(self.status.as_str(), "CREATING" | "DELETING" | "DELETED") {
            return Some(format!(
                "the compute environment {name} is {}{}",
                self.status,
                because(&self.reason)
            ));
        }
        if self.most_vcpus == Some(0) {
            return Some(format!("the compute environment {name} may have no vCPU: raise its maxvCpus"));
        }
        if failure::is_quota(&self.reason) {
            return Some(format!(
                "the compute environment {name} has met a quota{}: ask for more under Service Quotas",
                because(&self.reason)
            ));
        }
        None
    }
}

fn because(reason: &str) -> String {
    if reason.is_empty() { String::new() } else { format!(" ({})", reason.trim_end_matches('.')) }
}

impl Server {
    /// `None`: there is no such queue. `name`: or its ARN.
    pub(super) async fn look_at(&self, name: &str) -> Result<Option<Queue>, ProviderError> {
        let doing = || format!("looking at the job queue {name}");
        let described = self.client.describe_job_queues().job_queues(name).send().await;
        let described = described.map_err(|error| failure::failed(doing(), &self.at, error))?;
        let Some(queue) = described.job_queues().first() else { return Ok(None) };
        let names: Vec<String> = queue
            .compute_environment_order()
            .iter()
            .filter_map(|order| order.compute_environment.clone())
            .collect();
        let mut environments = Vec::new();
        // None named would be all of the account's.
        if !names.is_empty() {
            let ask =
                self.client.describe_compute_environments().set_compute_environments(Some(names.clone()));
            let described = ask.send().await.map_err(|error| failure::failed(doing(), &self.at, error))?;
            let mut found: Vec<_> = described.compute_environments().iter().collect();
            found.sort_by_key(|told| place(&names, told));
            environments = found.into_iter().map(environment).collect();
        }
        Ok(Some(queue_of(queue, environments)))
    }
}

/// In the queue's order, which is the one in which Batch tries them.
fn place(names: &[String], told: &ComputeEnvironmentDetail) -> Option<usize> {
    let is_it = |name: &String| {
        told.compute_environment_arn.as_ref() == Some(name)
            || told.compute_environment_name.as_ref() == Some(name)
    };
    names.iter().position(is_it)
}

fn queue_of(told: &JobQueueDetail, environments: Vec<Environment>) -> Queue {
    Queue {
        name: told.job_queue_name.clone().unwrap_or_default(),
        state: told.state.as_ref().map(|state| state.as_str().to_owned()).unwrap_or_default(),
        status: told.status.as_ref().map(|status| status.as_str().to_owned()).unwrap_or_default(),
        reason: told.status_reason.clone().unwrap_or_default(),
        environments,
    }
}

fn environment(told: &ComputeEnvironmentDetail) -> Environment {
    let resources = told.compute_resources.as_ref();
    let kind = resources.and_then(|resources| resources.r#type.as_ref());
    Environment {
        name: told.compute_environment_name.clone().unwrap_or_default(),
        state: told.state.as_ref().map(|state| state.as_str().to_owned()).unwrap_or_default(),
        status: told.status.as_ref().map(|status| status.as_str().to_owned()).unwrap_or_default(),
        reason: told.status_reason.clone().unwrap_or_default(),
        kind: kind.map(|kind| kind.as_str().to_owned()).unwrap_or_default(),
        most_vcpus: resources.and_then(|resources| resources.maxv_cpus),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment(status: &str, reason: &str) -> Environment {
        Environment {
            name: "gpu-spot".into(),
            state: "ENABLED".into(),
            status: status.into(),
            reason: reason.into(),
            kind: "SPOT".into(),
            most_vcpus: Some(64),
        }
    }

    fn queue(environments: Vec<Environment>) -> Queue {
        let (state, status) = ("ENABLED".into(), "VALID".into());
        Queue { name: "gpu".into(), state, status, reason: String::new(), environments }
    }

    fn only(queue: &Queue) -> String {
        let [problem] = &queue.problems()[..] else { panic!("{:?}", queue.problems()) };
        problem.clone()
    }

    #[test]
    fn a_queue_that_works_has_no_problem() {
        let works = queue(vec![environment("VALID", "ComputeEnvironment Healthy")]);
        assert!(works.problems().is_empty() && works.warnings().is_empty());
        assert_eq!(works.told(), "gpu-spot (spot, 64 vCPUs at most)");
    }

    #[test]
    fn what_keeps_jobs_from_machines_is_told_with_the_next_step() {
        let reason =
            "CLIENT_ERROR - User: arn:aws:sts::1:assumed-role/b is not authorized to perform: sts:AssumeRole";
        let invalid = only(&queue(vec![environment("INVALID", reason)]));
        assert!(invalid.contains(reason) && invalid.contains("disable and enable"), "{invalid}");
        let quota = only(&queue(vec![environment(
            "INVALID",
            "CLIENT_ERROR - You've reached your quota for maximum Fleet Requests",
        )]));
        assert!(quota.contains("Service Quotas"), "{quota}");
        let healthy = || environment("VALID", "");
        let disabled = Queue { state: "DISABLED".into(), ..queue(vec![healthy()]) };
        assert!(only(&disabled).contains("update-job-queue --job-queue gpu --state ENABLED"));
        let off = queue(vec![Environment { state: "DISABLED".into(), ..healthy() }]);
        assert!(only(&off).contains("update-compute-environment"));
        let none = queue(vec![Environment { most_vcpus: Some(0), ..healthy() }]);
        assert!(only(&none).contains("maxvCpus"));
        let broken =
            Queue { status: "INVALID".into(), reason: "no environment.".into(), ..queue(vec![healthy()]) };
        assert!(only(&broken).contains("INVALID (no environment)"));
        assert!(only(&queue(Vec::new())).contains("no compute environment"));
    }

    #[test]
    fn one_environment_that_works_is_enough_and_the_other_is_pointed_at() {
        let both = queue(vec![environment("INVALID", "no role"), environment("VALID", "")]);
        assert!(both.problems().is_empty());
        assert_eq!(both.warnings().len(), 1);
    }
}
