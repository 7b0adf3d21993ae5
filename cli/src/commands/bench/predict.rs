//! `swath bench predict`: one image through the network, by one worker. Says what the parts of the way are busy
//! with, and which of them holds the others back.

use std::{path::Path, time::Instant};

use anyhow::Context as _;
use serde_json::{Value, json};
use swath_backends::open::open;
use swath_coordinator::freeze;
use swath_proto::{keys, run::RunRecord, status::RunState};
use swath_raster::synth;

use super::super::run::{serve, start_workers};
use crate::{
    args::{BenchPredictArgs, DoorArgs, FileArgs},
    config,
    exit::{Exit, as_usage},
    measure::{load, usage_of_children},
    signals::stop_on_signals,
};

/// Threads of a worker that decode and encode.
const NATIVE_THREADS: f64 = 2.0;

pub(super) async fn run(args: BenchPredictArgs) -> anyhow::Result<Exit> {
    config::check(&args.tuning)?;
    let stop = stop_on_signals()?;
    let folder = tempfile::tempdir()?;
    let image = match &args.image {
        Some(image) => std::path::absolute(image)?,
        None => {
            let spec = synth::SceneSpec::new(args.size, 1);
            synth::write_scene(folder.path(), "scene", &spec, &mut |_, _| ())?.image
        }
    };
    let file = folder.path().join("pipeline.toml");
    std::fs::write(&file, pipeline(&image, names_weights(&args.set))?)?;
    let root = DoorArgs::of_folder(&folder.path().join("root"))?;
    let file = FileArgs { set: args.set.clone(), ..FileArgs::of(file) };
    let (source, root) = config::source(&file, root, None)?;
    let doors = open(&config::urls(&root)).await?;
    let frozen = freeze::freeze(&source, &doors.blobs).await.map_err(as_usage)?;
    freeze::submit(&frozen, &source, &doors.blobs).await?;
    let (started, before) = (Instant::now(), usage_of_children());
    let pool = start_workers(Some(1), &frozen.record, &args.tuning, &root)?;
    let served = serve(&frozen.record, &doors, &stop, &pool.broken()).await;
    pool.stop().await;
    let Some(status) = served? else { return Ok(Exit::Interrupted) };
    if status.state != RunState::Done {
        return Err(super::unmeasured(&status));
    }
    let (wall_s, usage) = (started.elapsed().as_secs_f64(), usage_of_children());
    let log = std::fs::read_to_string(folder.path().join("root/local/logs/worker-1.log"))?;
    let times = Times::of_log(&log).context("the worker did not say where its time has gone")?;
    let record = RunRecord::from_json(&doors.blobs.get(&keys::run_record(&frozen.record.run)).await?)?;
    let cpu_s = usage.cpu_s - before.cpu_s;
    let mpx = status.pixels as f64 / 1e6;
    let line = json!({
        "name": "predict", "value": mpx / cpu_s, "unit": "Mpx/CPU s", "mpx": mpx,
        "bottleneck": times.bottleneck(), "device_busy": times.of("percent"), "phases": times.0,
        "class": record.predict.class, "cpu_s": cpu_s, "wall_s": wall_s, "rss_mib": usage.rss_mib,
        "load": load(), "commit": env!("SWATH_COMMIT"),
    });
    say!("{line}");
    Ok(Exit::Done)
}

/// Whether a change names weights: then none are drawn.
fn names_weights(set: &[String]) -> bool {
    let is_of_weights = |set: &String| {
        let key = set.split_once('=').map_or(set.as_str(), |(key, _)| key).trim();
        key.strip_prefix("model.weights").is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
    };
    set.iter().any(is_of_weights) || std::env::var_os("SWATH__MODEL__WEIGHTS").is_some()
}

fn pipeline(image: &Path, has_weights: bool) -> anyhow::Result<String> {
    let image = image.to_str().with_context(|| format!("{} is not valid UTF-8", image.display()))?;
    let image = toml::Value::String(image.into());
    let seed = if has_weights { "" } else { "seed = 1\n" };
    Ok(format!(
        r##"name = "bench"
stages = ["survey", "predict", "assemble"]

[[scenes]]
image = {image}

[[classes]]
name = "background"
color = "#202020"
null = true

[[classes]]
name = "building"
color = "#ff8800"

[model]
architecture = "unet-resnet18"
{seed}
[predict]
core_px = 256
margin_px = 0
"##
    ))
}

/// What a worker says when it leaves: numbers by their names.
struct Times(serde_json::Map<String, Value>);

impl Times {
    fn of_log(log: &str) -> Option<Self> {
        let told = log.lines().rev().find(|line| line.contains("the device has been busy"))?;
        let numbers = told.split_whitespace().filter_map(|word| {
            let (name, number) = word.split_once('=')?;
            Some((name.to_owned(), number.parse::<f64>().ok()?.into()))
        });
        Some(Self(numbers.collect()))
    }

    fn of(&self, name: &str) -> f64 {
        self.0.get(name).and_then(Value::as_f64).unwrap_or(0.0)
    }

    /// The part that is nearest to having no time left.
    fn bottleneck(&self) -> &'static str {
        let threads = (self.of("decode_s") + self.of("encode_s")) / NATIVE_THREADS;
        let parts = [
            ("device", self.of("busy_s")),
            ("threads", threads),
            ("fetch", self.of("fetch_s")),
            ("put", self.of("put_s")),
        ];
        parts.into_iter().max_by(|a, b| a.1.total_cmp(&b.1)).map_or("device", |(name, _)| name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_that_are_given_are_not_drawn_as_well() {
        let pipeline = |set: &str| {
            let text = pipeline(Path::new("/a.tif"), names_weights(&[set.to_owned()])).unwrap();
            text.parse::<toml::Table>().unwrap()
        };
        for set in ["model.weights=roofs.zip", "model.weights.0=roofs.zip", "model.weights[0]=roofs.zip"] {
            assert!(pipeline(set)["model"].get("seed").is_none(), "{set}");
        }
        for set in ["predict.batch=2", "model.seed=3", "model.weightsy=1"] {
            assert!(pipeline(set)["model"].get("seed").is_some(), "{set}");
        }
    }

    #[test]
    fn the_part_that_takes_longest_is_the_bottleneck() {
        let log = "INFO x\nINFO the device has been busy percent=40.0 busy_s=4.0 of_s=10.0 decode_s=9.5 encode_s=1.5 fetch_s=0.1";
        let times = Times::of_log(log).unwrap();
        assert_eq!(times.bottleneck(), "threads");
        assert_eq!(times.of("percent"), 40.0);
        assert!(Times::of_log("nothing").is_none());
    }
}
