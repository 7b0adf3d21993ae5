//! `swath baseline`: how far colour alone gets. A logistic regression learns from the chips that the network
//! learnt from, and is held against the same labels.

use anyhow::{Context as _, bail};
use swath_backends::{blobs::SharedBlobs, open::open_blobs};
use swath_baseline::{Colours, Plane, Sample};
use swath_coordinator::plan::PlannedScene;
use swath_geo::{confusion::Confusion, evaluation::Evaluation};
use swath_proto::{
    geometry::{RectPx, SizePx, WindowPx},
    ids::RunId,
    keys,
};
use swath_raster::{Aoi, Source, remote::with_passes};
use swath_shard::{Image, Index, SampleType, chip::IGNORED, read_chip};

use crate::{
    args::DoorArgs,
    exit::{Exit, Usage},
    made::{Made, ShardKeys},
    table,
};

/// Pixels that are learnt from: for a few dozen weights far more than enough.
const SAMPLE: u64 = 200_000;
/// Edge of what is classified at a time: bounds the memory, whatever the scene.
const BLOCK_PX: u32 = 1024;

pub(super) async fn run(run: RunId, doors: DoorArgs) -> anyhow::Result<Exit> {
    swath_raster::configure(&swath_raster::Settings { cache_mib: 64 });
    let root = open_blobs(&doors.root).await?;
    let made = Made::of(&run, &root).await?;
    let shards = made.training_shards(&root).await?;
    if shards.is_empty() {
        return Err(Usage(format!("{run} has no chips to learn from: its stages must have chip")).into());
    }
    let sample = sample(&shards, &root).await?;
    let colours = Colours::fit(&sample, made.record.null_class as u8)?;
    let mut scenes = Vec::new();
    let passes = made.passes(&root).await?;
    for scene in made.scenes().filter(|scene| scene.files.labels.is_some()) {
        let of_scene = with_passes(passes.clone(), || evaluate(&made, scene, sample.bands(), &colours))?;
        scenes.push((scene.header.id.to_string(), of_scene));
    }
    if scenes.is_empty() {
        let why = format!("{run} predicts no scene that has labels: there is nothing to hold colour against");
        return Err(Usage(why).into());
    }
    let evaluation = serde_json::to_value(Evaluation::new(&made.class_names(), scenes)?)?;
    let key = keys::baseline(&run);
    root.put(&key, format!("{evaluation:#}\n").into()).await?;
    let network = root.get(&keys::eval(&run)).await;
    let network = network.context("reading the network's scores, which are there once the run is over")?;
    print(&[("network", &serde_json::from_slice(&network)?), ("colour", &evaluation)]);
    say!("colour is a logistic regression on 3 x 3 pixels, learnt from {} pixels of the chips", sample.len());
    say!("scores       {}", root.uri(&key));
    Ok(Exit::Done)
}

async fn sample(shards: &[ShardKeys], root: &SharedBlobs) -> anyhow::Result<Sample> {
    let mut indexes = Vec::new();
    for shard in shards {
        let index = Index::parse(&root.get(&shard.index).await?);
        indexes.push(index.with_context(|| format!("reading {}", shard.index))?);
    }
    let chips = || indexes.iter().flat_map(Index::chips);
    let bands = chips().next().map_or(0, |chip| chip.shape().bands as usize);
    let labelled = chips().flat_map(|chip| chip.counts()).filter(|(class, _)| **class != IGNORED);
    let mut sample = Sample::new(bands, IGNORED, labelled.map(|(_, n)| n).sum(), SAMPLE);
    for (shard, index) in shards.iter().zip(&indexes) {
        let tar = root.get(&shard.tar).await?;
        for entry in index.chips() {
            let range = entry.range();
            let bytes = tar.get(range.start as usize..range.end as usize);
            let bytes = bytes.with_context(|| format!("{} is shorter than its index says", shard.tar))?;
            let chip = read_chip(bytes, entry).with_context(|| format!("reading {}", shard.tar))?;
            let (shape, values) = (chip.image.shape(), of_chip(&chip.image)?);
            let [width, height, bands] = [shape.width, shape.height, shape.bands].map(|n| n as usize);
            sample.add(Plane::new(&values, width, height, bands)?, &chip.labels)?;
        }
    }
    Ok(sample)
}

fn evaluate(made: &Made, scene: &PlannedScene, bands: usize, colours: &Colours) -> anyhow::Result<Confusion> {
    let header = made.record.scaled(&scene.header).with_context(|| {
        format!("scene {}: by which statistics its pixels are scaled is not pinned yet", scene.header.id)
    })?;
    let source = Source::of_scene(&header)?;
    let aoi = header.aoi.as_ref().map(|aoi| Aoi::open(aoi, &header)).transpose()?;
    let labels = made.labels(scene)?.context("a scene without labels can't be evaluated")?;
    let mut confusion = Confusion::new(made.record.classes.len() as u32)?;
    let (mut truth, SizePx { width, height }) = (Vec::new(), scene.header.size);
    for row in (0..height).step_by(BLOCK_PX as usize) {
        for col in (0..width).step_by(BLOCK_PX as usize) {
            let rect = RectPx::new(col, row, BLOCK_PX.min(width - col), BLOCK_PX.min(height - row));
            // With the neighbours of its outermost pixels. Beyond the scene's edge they are 0.
            let (left, top) = (i64::from(col) - 1, i64::from(row) - 1);
            let window = WindowPx::new(left, top, rect.width + 2, rect.height + 2);
            let mut values = source.read_scaled(window)?.values;
            values.iter_mut().for_each(|value| *value *= LEVELS);
            let plane = Plane::new(&values, window.width as usize, window.height as usize, bands)?;
            truth.resize(rect.pixels() as usize, 0);
            labels.burn(rect, &mut truth)?;
            if let Some(aoi) = &aoi {
                aoi.ignore_outside(rect.into(), &mut truth);
            }
            confusion.add(&truth, &colours.classify(plane))?;
        }
    }
    Ok(confusion)
}

/// From 0 to 255 what the network sees from 0 to 1, as chips of 8 bits have it.
const LEVELS: f32 = 255.0;

fn of_chip(image: &Image) -> anyhow::Result<Vec<f32>> {
    let bytes = image.bytes();
    Ok(match image.shape().samples {
        SampleType::Uint8 => bytes.iter().map(|byte| f32::from(*byte)).collect(),
        SampleType::Uint16 => {
            let of = |two: &[u8; 2]| f32::from(u16::from_le_bytes(*two)) * (LEVELS / 65535.0);
            bytes.as_chunks().0.iter().map(of).collect()
        }
        SampleType::Float32 => {
            bytes.as_chunks().0.iter().map(|four| f32::from_le_bytes(*four) * LEVELS).collect()
        }
        other => bail!(
            "chips of type {other:?} can't be learnt from by colour: those of uint8, uint16 and float32 can"
        ),
    })
}

/// Class by class, who is how good.
fn print(scores: &[(&str, &serde_json::Value)]) {
    let mut rows = vec![["CLASS", "BY", "PRECISION", "RECALL", "F1", "IOU"].map(String::from).to_vec()];
    let n_classes = scores.iter().filter_map(|(_, scores)| scores["overall"].as_array()).map(Vec::len).max();
    for number in 0..n_classes.unwrap_or(0) {
        for (by, scores) in scores {
            let class = &scores["overall"][number];
            // The last entry is their average, and no class.
            if class.get("class_id").is_none() {
                continue;
            }
            let share = |metric: &str| table::share(class["metrics"][metric].as_f64());
            let cells = ["precision", "recall", "f1", "iou"].map(share);
            let name = class["class_name"].as_str().unwrap_or("-").to_owned();
            rows.push([vec![name, (*by).to_owned()], cells.to_vec()].concat());
        }
    }
    table::print(&rows);
}
