//! `swath bench`: measurements of this machine and of these servers.

mod control;
mod predict;

use swath_proto::status::RunStatus;

use super::state_name;
use crate::{
    args::{BenchArgs, BenchCommand, DoorArgs},
    exit::{Exit, Usage},
    worker_program,
};

pub(super) async fn run(args: BenchArgs, doors: DoorArgs) -> anyhow::Result<Exit> {
    match args.what {
        BenchCommand::Control { items, workers, slots } => control::run(items, (workers, slots), doors).await,
        BenchCommand::Predict(args) => predict::run(args).await,
        BenchCommand::Forward(_) => Err(worker_program::become_it()),
    }
}

/// Of a run that did not end as it should: nothing of it is a measurement. An image that can't be read is a wrong file.
fn unmeasured(status: &RunStatus) -> anyhow::Error {
    let scenes = status.unreadable_scenes.iter().map(|scene| format!("scene {scene}"));
    let failures = status.failures.iter().map(|item| item.failure.message.clone());
    let why: Vec<String> = scenes.chain(failures).chain(status.message.clone()).collect();
    let state = state_name(status.state);
    let words = match &why[..] {
        [] => format!("nothing was measured: the run is {state}"),
        why => format!("nothing was measured: {} (the run is {state})", why.join("; ")),
    };
    match status.unreadable_scenes.is_empty() {
        true => anyhow::Error::msg(words),
        false => Usage(words).into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exit::code;

    #[test]
    fn a_run_that_is_no_measurement_says_why_in_plain_words() {
        let mut json = serde_json::json!({
            "run": "a-1", "state": "done_with_failures", "written": "", "started": "", "stages": {},
            "pixels_done": 0, "pixels": 0, "items_per_second": 0.0, "eta_seconds": null, "n_failures": 0,
            "failures": [], "unreadable_scenes": ["notes: it is no raster"], "message": null,
        });
        let told = |json: &serde_json::Value| unmeasured(&serde_json::from_value(json.clone()).unwrap());
        let wrong = told(&json);
        assert_eq!(
            wrong.to_string(),
            "nothing was measured: scene notes: it is no raster (the run is done, with failures)"
        );
        assert_eq!(code(&wrong), Exit::WrongUsage);
        json["unreadable_scenes"] = serde_json::json!([]);
        json["state"] = "cancelled".into();
        let cancelled = told(&json);
        assert_eq!(cancelled.to_string(), "nothing was measured: the run is cancelled");
        assert_eq!(code(&cancelled), Exit::Failed);
    }
}
