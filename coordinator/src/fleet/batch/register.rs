//! Job definitions: one that is named is looked for, one that is described is registered, unless an equal revision is
//! there and ACTIVE.

use anyhow::anyhow;
use aws_sdk_batch::types::{
    ContainerProperties, EvaluateOnExit, JobDefinitionType, KeyValuePair, LinuxParameters, LogConfiguration,
    LogDriver, ResourceRequirement, ResourceType, RetryAction, RetryStrategy, Secret, Ulimit,
};

use super::{
    definition::{DIGEST, Definition, OPEN_FILES},
    failure::failed,
    provider::Server,
    state::HOST_LOST,
};
use crate::fleet::provider::{ErrorKind, ProviderError};

const ACTIVE: &str = "ACTIVE";

impl Server {
    /// What is handed to jobs: an equal revision that is there, or a new one.
    pub(super) async fn registered(&self, wanted: &Definition) -> Result<String, ProviderError> {
        let digest = wanted.digest();
        let doing = || format!("registering the job definition {}", wanted.name);
        let mut pages = self
            .client
            .describe_job_definitions()
            .job_definition_name(&wanted.name)
            .status(ACTIVE)
            .into_paginator()
            .items()
            .send();
        let mut equal: Option<(i32, String)> = None;
        while let Some(found) = pages.next().await {
            let found = found.map_err(|error| failed(doing(), &self.at, error))?;
            let is_equal =
                found.parameters.as_ref().and_then(|all| all.get(DIGEST)).is_some_and(|told| *told == digest);
            let revision = found.revision.unwrap_or_default();
            // The newest of them: the name alone says which it is, if it is the newest of all.
            if is_equal && equal.as_ref().is_none_or(|(newest, _)| revision > *newest) {
                equal = found.job_definition_arn.map(|arn| (revision, arn));
            }
        }
        if let Some((_, arn)) = equal {
            return Ok(arn);
        }
        let register = self
            .client
            .register_job_definition()
            .job_definition_name(&wanted.name)
            .r#type(JobDefinitionType::Container)
            .parameters(DIGEST, digest)
            .retry_strategy(retries(wanted.attempts))
            .propagate_tags(true)
            .container_properties(container(wanted, &self.region));
        let registered = register.send().await.map_err(|error| failed(doing(), &self.at, error))?;
        registered.job_definition_arn.ok_or_else(|| {
            ProviderError::new(ErrorKind::Away, doing(), "", anyhow!("the answer names no job definition"))
        })
    }

    /// Whether a definition that a profile names is there and can be used.
    pub(super) async fn is_there(&self, named: &str) -> Result<(), ProviderError> {
        let doing = || format!("looking for the job definition {named}");
        let ask = self.client.describe_job_definitions().status(ACTIVE);
        // A revision is a part of the name here, and not there.
        let ask = match named.starts_with("arn:") || named.contains(':') {
            true => ask.job_definitions(named),
            false => ask.job_definition_name(named),
        };
        let found = ask.send().await.map_err(|error| failed(doing(), &self.at, error))?;
        if found.job_definitions().is_empty() {
            let next = "mend its name in the profile, or register it anew; look at the region too";
            let why = anyhow!("{} has no such definition that is ACTIVE", self.at);
            return Err(ProviderError::new(ErrorKind::Config, doing(), next, why));
        }
        Ok(())
    }
}

/// A lost host is the only thing that is worth another try with the same job: what fails by itself is the controller's
/// to judge.
pub(super) fn retries(attempts: u32) -> RetryStrategy {
    let lost = EvaluateOnExit::builder().on_status_reason(format!("{HOST_LOST}*")).action(RetryAction::Retry);
    let rest = EvaluateOnExit::builder().on_reason("*").action(RetryAction::Exit);
    RetryStrategy::builder()
        .attempts(i32::try_from(attempts).unwrap_or(1))
        .evaluate_on_exit(lost.build())
        .evaluate_on_exit(rest.build())
        .build()
}

fn container(wanted: &Definition, region: &str) -> ContainerProperties {
    let image = &wanted.image;
    let need =
        |what: ResourceType, n: u32| ResourceRequirement::builder().r#type(what).value(n.to_string()).build();
    let open_files = Ulimit::builder().name("nofile").soft_limit(OPEN_FILES).hard_limit(OPEN_FILES).build();
    let mut container = ContainerProperties::builder()
        .image(&image.uri)
        .set_command(Some(wanted.command.clone()))
        .set_job_role_arn(image.job_role.clone())
        .set_execution_role_arn(image.execution_role.clone())
        .resource_requirements(need(ResourceType::Vcpu, image.vcpus))
        .resource_requirements(need(ResourceType::Memory, image.memory_mib))
        .ulimits(open_files);
    if image.gpus > 0 {
        container = container.resource_requirements(need(ResourceType::Gpu, image.gpus));
    }
    for (name, value) in &wanted.environment {
        container = container.environment(KeyValuePair::builder().name(name).value(value).build());
    }
    for (name, from) in &image.secrets {
        container = container.secrets(Secret::builder().name(name).value_from(from).build());
    }
    if let Some(mib) = image.shared_memory_mib {
        let mib = i32::try_from(mib).unwrap_or(i32::MAX);
        container = container.linux_parameters(LinuxParameters::builder().shared_memory_size(mib).build());
    }
    if let Some(group) = &image.log_group {
        let log = LogConfiguration::builder()
            .log_driver(LogDriver::Awslogs)
            .options("awslogs-group", group)
            .options("awslogs-region", region)
            .options("awslogs-stream-prefix", &wanted.name);
        container = container.log_configuration(log.build());
    }
    container.build()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lost_host_is_tried_again_and_nothing_else() {
        let strategy = retries(4);
        assert_eq!(strategy.attempts, Some(4));
        let [lost, rest] = strategy.evaluate_on_exit() else { panic!("{strategy:?}") };
        assert_eq!(lost.on_status_reason.as_deref(), Some("Host EC2*"));
        assert_eq!(
            (lost.action.as_ref(), rest.action.as_ref()),
            (Some(&RetryAction::Retry), Some(&RetryAction::Exit))
        );
        assert_eq!(rest.on_reason.as_deref(), Some("*"), "without it whatever does not match is tried again");
    }

    #[test]
    fn a_container_asks_for_what_is_configured() {
        let image = serde_json::from_value(serde_json::json!({
            "uri": "swath:1", "vcpus": 4, "memory_mib": 15_000, "gpus": 1, "shared_memory_mib": 2048,
            "log_group": "/swath", "job_role": "arn:aws:iam::1:role/job",
        }));
        let wanted = Definition::new("maps", "gpu", vec!["worker".into()], &image.unwrap(), 3);
        let container = container(&wanted, "eu-central-1");
        let needs: Vec<_> = container
            .resource_requirements()
            .iter()
            .map(|need| (need.r#type.clone().unwrap(), need.value.clone().unwrap()))
            .collect();
        let text = |text: &str| text.to_owned();
        assert_eq!(
            needs,
            [
                (ResourceType::Vcpu, text("4")),
                (ResourceType::Memory, text("15000")),
                (ResourceType::Gpu, text("1"))
            ]
        );
        let log = container.log_configuration().unwrap();
        assert_eq!(log.options().unwrap()["awslogs-region"], "eu-central-1");
        assert_eq!(container.linux_parameters().unwrap().shared_memory_size, Some(2048));
        assert_eq!(container.command(), ["worker"]);
    }
}
