//! From Batch's words to ours: where a job stands, and why. Only [`HOST_LOST`] and cancellations are decided by text,
//! since Batch tells them in no other way; all else is for people.

use crate::fleet::provider::{Ending, JobState};

/// How `statusReason` begins when the machine was taken away or has died. Retried by [`super::submit`].
pub const HOST_LOST: &str = "Host EC2";
/// How our own reasons begin, so that a job that we have ended is known as such.
pub const OURS: &str = "swath: ";

/// What Batch tells of a job.
#[derive(Clone, Copy, Debug, Default)]
pub struct Told<'a> {
    pub status: &'a str,
    pub status_reason: Option<&'a str>,
    pub exit_code: Option<i32>,
    /// The container's own reason.
    pub reason: Option<&'a str>,
    /// By `CancelJob` or `TerminateJob`, whoever has asked.
    pub is_cancelled: bool,
}

/// A status that is newer than this program is taken for one before the machine.
pub fn state(told: Told<'_>) -> JobState {
    match told.status {
        "STARTING" => JobState::Launching,
        "RUNNING" => JobState::Running,
        "SUCCEEDED" => JobState::Ended(Ending::Done),
        "FAILED" => JobState::Ended(ending(told)),
        // SUBMITTED, PENDING, RUNNABLE.
        _ => JobState::Queued { why: told.status_reason.map(queued) },
    }
}

fn ending(told: Told<'_>) -> Ending {
    let status_reason = told.status_reason.unwrap_or_default();
    if told.is_cancelled || status_reason.starts_with(OURS) {
        return Ending::Done;
    }
    if status_reason.starts_with(HOST_LOST) {
        return Ending::HostLost;
    }
    Ending::Failed(failed(told))
}

/// Why a job has failed, and what to do about it.
fn failed(told: Told<'_>) -> String {
    let (status_reason, reason) = (told.status_reason.unwrap_or_default(), told.reason.unwrap_or_default());
    let says = |word: &str| [status_reason, reason].into_iter().find(|text| text.contains(word));
    if let Some(text) = says("CannotPullContainerError").or_else(|| says("CannotPullECRContainerError")) {
        return format!(
            "its image can't be fetched ({text}): push it under this very name and tag, or mend the job definition; \
             the machine needs the rights to pull it and a way to the registry"
        );
    }
    if let Some(text) = says("OutOfMemoryError") {
        return format!(
            "it was ended for want of memory ({text}): give its job definition more, or the worker fewer slots"
        );
    }
    if let Some(text) = says("ResourceInitializationError") {
        return format!(
            "its container could not be prepared ({text}): the execution role must be allowed to read its secrets \
             and write its log group"
        );
    }
    if let Some(text) = says("CannotStartContainerError").or_else(|| says("CannotCreateContainerError")) {
        return format!(
            "its container could not be started ({text}): look at the definition's command, and for GPUs at the \
             machine image's driver"
        );
    }
    if let Some(text) = says("JobStateTimeLimit") {
        return format!("it has waited for a machine for too long ({text}): {}", queued(text));
    }
    let text = if reason.is_empty() { status_reason } else { reason };
    match told.exit_code {
        Some(code) => format!("its program ended with code {code} ({text}): its log says more"),
        None if text.is_empty() => "Batch does not say why".into(),
        None => text.into(),
    }
}

/// Why a job has no machine yet, where Batch says it.
fn queued(text: &str) -> String {
    let next = [
        (
            "CAPACITY:INSUFFICIENT_INSTANCE_CAPACITY",
            "AWS has no such machines now: allow more instance types or zones, or use on-demand ones",
        ),
        (
            "MISCONFIGURATION:COMPUTE_ENVIRONMENT_MAX_RESOURCE",
            "the queue's environments may not grow so far: raise their maxvCpus",
        ),
        (
            "MISCONFIGURATION:JOB_RESOURCE_REQUIREMENT",
            "no machine of the queue is large enough: lower the definition's vCPUs, memory or GPUs, or allow larger \
             instance types",
        ),
        (
            "MISCONFIGURATION:SERVICE_ROLE_PERMISSIONS",
            "Batch's service role lacks rights: give it the policy AWSBatchServiceRole",
        ),
        (
            "ACTION_REQUIRED",
            "the queue's compute environments are INVALID: swath doctor tells why; mend what it says, then disable and \
             enable them",
        ),
    ];
    let known = next.into_iter().find(|(word, _)| text.contains(word));
    known.map_or_else(|| text.to_owned(), |(_, next)| format!("{next} ({text})"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(status: &str) -> JobState {
        state(Told { status, ..Told::default() })
    }

    fn failure(told: Told<'_>) -> String {
        match state(Told { status: "FAILED", ..told }) {
            JobState::Ended(Ending::Failed(words)) => words,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn every_status_of_batch_has_its_like() {
        for status in ["SUBMITTED", "PENDING", "RUNNABLE"] {
            assert_eq!(of(status), JobState::Queued { why: None });
        }
        assert_eq!(of("STARTING"), JobState::Launching);
        assert_eq!(of("RUNNING"), JobState::Running);
        assert_eq!(of("SUCCEEDED"), JobState::Ended(Ending::Done));
    }

    #[test]
    fn a_lost_host_is_no_fault_of_the_job() {
        let status_reason = Some("Host EC2 (instance i-0123456789abcdef0) terminated.");
        let told = Told { status: "FAILED", status_reason, ..Told::default() };
        assert_eq!(state(told), JobState::Ended(Ending::HostLost));
        assert_eq!(
            state(Told { status: "RUNNABLE", ..told }),
            JobState::Queued { why: status_reason.map(Into::into) }
        );
    }

    #[test]
    fn what_was_cancelled_has_ended_as_it_should() {
        let cancelled =
            Told { status: "FAILED", is_cancelled: true, exit_code: Some(143), ..Told::default() };
        assert_eq!(state(cancelled), JobState::Ended(Ending::Done));
        let by_us =
            Told { status: "FAILED", status_reason: Some("swath: the run is over"), ..Told::default() };
        assert_eq!(state(by_us), JobState::Ended(Ending::Done));
    }

    #[test]
    fn a_failure_says_what_to_do() {
        let pull = "CannotPullContainerError: Error response from daemon: manifest for 1.dkr.ecr.eu-central-1.amazonaws.com/\
                    swath:9 not found: manifest unknown";
        for (status_reason, reason, exit_code, word) in [
            ("Task failed to start", pull, None, "push it"),
            (
                "Essential container in task exited",
                "OutOfMemoryError: Container killed due to memory usage",
                Some(137),
                "memory",
            ),
            ("Essential container in task exited", "", Some(2), "code 2"),
            (
                "ResourceInitializationError: unable to pull secrets or registry auth: execution resource retrieval failed",
                "",
                None,
                "execution role",
            ),
            (
                "Task failed to start",
                "CannotStartContainerError: Error response from daemon: failed to create task for container",
                None,
                "command",
            ),
            (
                "Canceled by JobStateTimeLimit action due to reason: CAPACITY:INSUFFICIENT_INSTANCE_CAPACITY",
                "",
                None,
                "more instance types",
            ),
            ("Job attempt duration exceeded timeout", "", None, "exceeded timeout"),
            ("", "", None, "does not say why"),
        ] {
            let reason = Some(reason).filter(|reason| !reason.is_empty());
            let words =
                failure(Told { status_reason: Some(status_reason), reason, exit_code, ..Told::default() });
            assert!(words.contains(word), "{status_reason}: {words}");
        }
    }

    #[test]
    fn a_job_that_is_stuck_says_on_what() {
        for (text, word) in [
            (
                "CAPACITY:INSUFFICIENT_INSTANCE_CAPACITY - Service cannot fulfill the capacity requested for instance \
                 type [g5.xlarge]",
                "on-demand",
            ),
            (
                "MISCONFIGURATION:COMPUTE_ENVIRONMENT_MAX_RESOURCE - CE(s) associated with the job queue",
                "maxvCpus",
            ),
            ("MISCONFIGURATION:JOB_RESOURCE_REQUIREMENT - The job resource requirement", "large enough"),
            ("ACTION_REQUIRED - CE(s) associated with the job queue are invalid.", "INVALID"),
            ("something new", "something new"),
        ] {
            let told = Told { status: "RUNNABLE", status_reason: Some(text), ..Told::default() };
            let JobState::Queued { why: Some(why) } = state(told) else { panic!("{text}") };
            assert!(why.contains(word) && why.contains(text), "{why}");
        }
    }
}
