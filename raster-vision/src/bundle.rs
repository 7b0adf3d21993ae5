//! A model bundle: the weights of a network, and what is to be known to predict with it.

use std::collections::BTreeMap;

use serde_json::Value;
use swath_bundle::Model;
use swath_proto::{
    item::{Architecture, ClassStyle, WindowShape},
    source::{Reclass, Scaling, SourceSpec},
};
use swath_weights::{Dtype, TensorFile, TensorInfo, WeightsError};
use swath_zip::{Limits, Source, Zip, ZipError};

use crate::{
    classes::Classes,
    learning::Learning,
    pipeline,
    pixels::{Pixels, Scale},
    scenes::Scenes,
    told::{Bad, Note, Object, Teller},
    windows::Going,
};

/// Beside configurations and weights there are modules, statistics, an ONNX model.
const LIMITS: Limits = Limits { members: 10_000, directory_len: 4 << 20 };
const MOST_JSON: u64 = 64 << 20;
const MOST_WEIGHTS: u64 = 3 << 30;

const CONFIG: &str = "pipeline-config.json";
/// What training leaves, within what the stage bundle makes of it.
const LEARNT: &str = "model-bundle.zip";
const WEIGHTS: &str = "model.pth";

/// What a bundle has become.
#[derive(Debug)]
pub struct Bundle {
    pub model: Model,
    /// A safetensors file.
    pub weights: Vec<u8>,
    pub notes: Vec<Note>,
}

#[derive(Debug, thiserror::Error)]
pub enum BundleError {
    #[error("{member}: {error}")]
    Zip { member: &'static str, error: ZipError },
    #[error("pipeline-config.json: {0}")]
    Config(#[from] Bad),
    #[error("{0}")]
    Weights(#[from] WeightsError),
    #[error("{0}")]
    Unfit(String),
}

type Result<T> = std::result::Result<T, BundleError>;

fn within(member: &'static str) -> impl Fn(ZipError) -> BundleError {
    move |error| BundleError::Zip { member, error }
}

/// Reads the file that the stage bundle writes. `instead`: the network of Swath's that one of others is.
pub fn bundle(file: &Source, instead: Option<Architecture>) -> Result<Bundle> {
    let zip = Zip::open(file, LIMITS).map_err(within("the bundle"))?;
    if !zip.contains(CONFIG) {
        let what = match zip.contains(WEIGHTS) {
            true => {
                "this is the model-bundle.zip of train/, which does not say how images are read: give that of bundle/"
            }
            false => "this is no bundle of Raster Vision: it has no pipeline-config.json",
        };
        return Err(BundleError::Unfit(what.into()));
    }
    let json = zip.unpacked(CONFIG, MOST_JSON).map_err(within(CONFIG))?;
    let learnt = Source::from(zip.unpacked(LEARNT, MOST_WEIGHTS).map_err(within(LEARNT))?);
    let learnt = Zip::open(&learnt, LIMITS).map_err(within(LEARNT))?.unpacked(WEIGHTS, MOST_WEIGHTS);
    let pth = learnt.map_err(within(WEIGHTS))?;
    let statistics = |group: &str| {
        let member = format!("analyze/stats/{group}/stats.json");
        zip.unpacked(&member, MOST_JSON).map_err(|error| BundleError::Unfit(format!("{member}: {error}")))
    };
    let (teller, mut notes) = (Teller::default(), Vec::new());
    let mut model = model(&json, instead, statistics, &teller)?;
    let tensors = TensorFile::from_bytes(WEIGHTS, pth)?;
    model.architecture = fits(&model, &tensors)?;
    let weights = converted(&tensors, &mut notes)?;
    let mut all = teller.notes();
    all.append(&mut notes);
    Ok(Bundle { model, weights, notes: all })
}

fn model(
    json: &[u8],
    instead: Option<Architecture>,
    statistics: impl Fn(&str) -> Result<Vec<u8>>,
    teller: &Teller,
) -> Result<Model> {
    // What has to do with other scenes and with training is told of where a pipeline is imported.
    let silent = Teller::default();
    let mut config = pipeline::open(json, &silent)?;
    let mut dataset = config.needs("dataset")?;
    let classes = Classes::read(dataset.needs("class_config")?)?;
    let scenes = Scenes::read(&mut dataset, &classes)?;
    let Some(pixels) = scenes.pixels else { return Err(Bad::new("dataset", "names no scene").into()) };
    let learning = Learning::read(config.needs("backend")?, &classes, instead)?;
    if learning.has_base_transform {
        let why = "its chips pass through a transform of Albumentations before the network sees them, which has no \
                   counterpart: predictions would be others";
        return Err(Bad::new("backend.data.base_transform", why).into());
    }
    let options = config.object("predict_options")?.map(|options| options.told_to(teller));
    let going = Going::read(options)?;
    let n_bands = match (learning.bands, &pixels.bands) {
        (Some(bands), _) => bands,
        (None, Some(bands)) => bands.len() as u32,
        (None, None) => 3,
    };
    let window = WindowShape { core_px: going.core_px(), margin_px: going.margin_px };
    let style = |(name, rgb): (&String, &[u8; 3])| ClassStyle { name: name.clone(), rgb: *rgb };
    Ok(Model {
        architecture: learning.architecture,
        bands: n_bands,
        classes: classes.names.iter().zip(&classes.colors).map(style).collect(),
        null_class: classes.null as u32,
        window,
        seen_px: Some(learning.img_px).filter(|px| *px != window.edge_px()),
        batch: learning.architecture.engine(true).usual_batch(),
        pixels: SourceSpec { scaling: scaling(&pixels, statistics)?, ..read_as(&pixels) },
        metrics: None,
        int8: None,
    })
}

fn read_as(pixels: &Pixels) -> SourceSpec {
    SourceSpec {
        bands: pixels.bands.clone().unwrap_or_default(),
        nan: pixels.nan.map(|value| value as f32),
        reclass: pixels.reclass.iter().map(|&(from, into)| Reclass { from, to: from, into }).collect(),
        ..SourceSpec::default()
    }
}

fn scaling(pixels: &Pixels, statistics: impl Fn(&str) -> Result<Vec<u8>>) -> Result<Scaling> {
    let Scale::Stats { group, is_of_image } = &pixels.scale else {
        return match pixels.scale {
            Scale::Cast => Ok(Scaling::Cast),
            Scale::None => Ok(Scaling::None),
            Scale::Chip | Scale::Stats { .. } => Err(BundleError::Unfit(
                "min_max_transformer scales each window by its own smallest and largest value, which has no counterpart: \
                 predictions would be others"
                    .into(),
            )),
        };
    };
    let teller = Teller::default();
    let json = statistics(group)?;
    let at = format!("analyze/stats/{group}/stats.json");
    let value: Value =
        serde_json::from_slice(&json).map_err(|error| BundleError::Unfit(format!("{at}: {error}")))?;
    let unfit = |bad: Bad| BundleError::Unfit(bad.to_string());
    let mut object = Object::new(at.as_str(), value, &teller).map_err(unfit)?;
    let (means, stds) = (object.numbers("means").map_err(unfit)?, object.numbers("stds").map_err(unfit)?);
    let (Some(means), Some(stds)) = (means, stds) else {
        return Err(BundleError::Unfit(format!("{at}: has no means and stds")));
    };
    let order = pixels.bands.as_deref().filter(|_| *is_of_image);
    let ordered = |values: Vec<f64>| match order {
        Some(bands) => bands.iter().map(|band| values.get(*band as usize).copied()).collect(),
        None => Some(values),
    };
    match (ordered(means), ordered(stds)) {
        (Some(means), Some(stds)) => Ok(Scaling::WideStats { means, stds }),
        _ => Err(BundleError::Unfit(format!("{at}: has not as many bands as channel_order names"))),
    }
}

/// What nothing here computes with: PyTorch counts batches beside every batch norm, and torchvision's networks may have
/// learnt with a second classifier.
fn is_beside(name: &str) -> bool {
    name.ends_with("num_batches_tracked") || name.starts_with("aux_classifier.")
}

/// Holds the tensors of a DeepLabV3 against what is said of it. Those of other networks are held against theirs when they
/// are loaded.
fn fits(model: &Model, tensors: &TensorFile) -> Result<Architecture> {
    let said = model.architecture;
    if !matches!(said, Architecture::Deeplabv3Resnet50 | Architecture::Deeplabv3Resnet101) {
        return Ok(said);
    }
    let shape = |name: &str| {
        let info = tensors.info(name);
        info.map(|info| info.shape).ok_or_else(|| {
            BundleError::Unfit(format!(
                "{WEIGHTS}: has no tensor '{name}': these are not weights of torchvision's DeepLabV3"
            ))
        })
    };
    let (first, last) = (shape("backbone.conv1.weight")?, shape("classifier.4.weight")?);
    for (what, found, wanted) in [
        ("bands", first.get(1), u64::from(model.bands)),
        ("classes", last.first(), model.classes.len() as u64),
    ] {
        if found != Some(&wanted) {
            let found = found.copied().unwrap_or_default();
            return Err(BundleError::Unfit(format!(
                "{WEIGHTS}: is for {found} {what}, and {CONFIG} names {wanted}"
            )));
        }
    }
    let is_deep = tensors.info("backbone.layer3.22.conv1.weight").is_some();
    match (said, is_deep) {
        (Architecture::Deeplabv3Resnet50, false) | (Architecture::Deeplabv3Resnet101, true) => Ok(said),
        _ => Err(BundleError::Unfit(format!(
            "{WEIGHTS}: is of ResNet-{}, and {CONFIG} says {}",
            if is_deep { 101 } else { 50 },
            said.name()
        ))),
    }
}

fn converted(tensors: &TensorFile, notes: &mut Vec<Note>) -> Result<Vec<u8>> {
    let mut infos = BTreeMap::new();
    for name in tensors.names().filter(|name| !is_beside(name)) {
        let Some(TensorInfo { shape, .. }) = tensors.info(name) else { continue };
        infos.insert(name.to_owned(), TensorInfo { dtype: Dtype::F32, shape });
    }
    if tensors.names().any(|name| name.starts_with("aux_classifier.")) {
        let words = "is left out: it takes part in training alone";
        notes.push(Note { key: format!("{WEIGHTS}: aux_classifier"), words: words.into() });
    }
    let weights =
        swath_weights::safetensors_bytes("weights.safetensors", &infos, &BTreeMap::new(), |name, into| {
            let bytes: Vec<u8> = tensors.f32(name)?.into_iter().flat_map(f32::to_le_bytes).collect();
            into.write_all(&bytes).map_err(|error| {
                BundleError::Unfit(format!("weights.safetensors: it can't be written: {error}"))
            })
        })?;
    Ok(weights)
}
