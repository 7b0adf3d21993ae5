//! The networks that a run predicts with: of a file, of a seed, or of bundles, which say too how pixels are read.

use std::path::Path;

use anyhow::{Context as _, bail, ensure};
use swath_backends::outside::Outside;
use swath_bundle::{Bundle, Model};
use swath_proto::{
    ids::Digest,
    item::{ClassStyle, DeviceName, Member, ModelRef, Precision, Stage, Weights, WindowShape},
    keys,
    pipeline::{MAX_BUNDLES, Pipeline, PrecisionWord, is_bundle},
    source::SourceSpec,
};

use super::{Blob, read};

/// What all networks of a run have to suit.
pub(super) struct Suited<'a> {
    pub(super) bands: u32,
    pub(super) classes: &'a [ClassStyle],
    pub(super) null_class: u32,
    pub(super) window: WindowShape,
    /// To which windows are resized for the network.
    pub(super) seen_px: Option<u32>,
}

/// The network of a pipeline; where it comes from bundles, also how they want pixels to be read.
pub(super) async fn of_pipeline(
    pipeline: &Pipeline,
    suited: &Suited<'_>,
    folder: &Path,
    outside: &Outside,
    blobs: &mut Vec<Blob>,
) -> anyhow::Result<(ModelRef, Option<SourceSpec>)> {
    let (entry, predict) = (&pipeline.model, &pipeline.predict);
    let precision = predict.precision.unwrap_or(PrecisionWord::Fp32);
    let mut model = ModelRef {
        architecture: entry.architecture,
        // Where no stage asks for any, there may be none.
        weights: entry.seed.map_or(Weights::Trained, Weights::Seed),
        bands: entry.bands,
        classes: suited.classes.len() as u32,
        seen_px: suited.seen_px,
        engine: predict.engine(entry.architecture),
        precision: match precision {
            PrecisionWord::Bf16 => Precision::Bf16,
            PrecisionWord::Fp16 => Precision::Fp16,
            // What 8 bits take is found by the probe.
            PrecisionWord::Fp32 | PrecisionWord::Int8 => Precision::Fp32,
        },
        device: predict.device,
        others: Vec::new(),
    };
    if pipeline.stages.contains(&Stage::Train) {
        model.weights = Weights::Trained;
        return Ok((model, None));
    }
    let mut bundles = Vec::new();
    for file in entry.bundles() {
        let bytes = read(file, folder, outside).await.context("model.weights")?;
        bundles.push(Bundle::from_bytes(file, bytes).context("model.weights")?);
    }
    if let Some(first) = bundles.first() {
        let holds = first.model().architecture;
        ensure!(
            holds == entry.architecture,
            "model.architecture = \"{}\", but the bundle {} holds a network of the architecture \"{}\"",
            entry.architecture.name(),
            entry.bundles()[0],
            holds.name()
        );
        let ModelRef { engine, device, .. } = model;
        let found = of_bundles(&bundles, suited, Some(precision), blobs).context("model.weights")?;
        return Ok((ModelRef { engine, device, ..found }, Some(first.model().pixels.clone())));
    }
    if let Some([file]) = entry.weights.as_ref().map(|files| files.as_slice()) {
        model.weights = self::file(file, folder, outside, blobs).await.context("model.weights")?;
    }
    Ok((model, None))
}

/// Bundles in their order, as one network, on the processor. Computed in 8 bits where they can be, if `precision`
/// does not say otherwise.
pub(super) fn of_bundles(
    bundles: &[Bundle],
    suited: &Suited<'_>,
    precision: Option<PrecisionWord>,
    blobs: &mut Vec<Blob>,
) -> anyhow::Result<ModelRef> {
    let [first, ..] = bundles else { bail!("there is no bundle") };
    ensure!(
        bundles.len() <= MAX_BUNDLES,
        "at most {MAX_BUNDLES} bundles can be averaged, not {}",
        bundles.len()
    );
    let mut members = Vec::new();
    for (at, bundle) in bundles.iter().enumerate() {
        let same = |other: &&Bundle| other.weights_sha256() == bundle.weights_sha256();
        if let Some(same) = bundles[..at].iter().find(same) {
            bail!(
                "{} holds the network of {} again: their mean is that network",
                bundle.file().display(),
                same.file().display()
            );
        }
        let said = fits(bundle.model(), suited).and_then(|()| {
            if let Some(what) = differs(&bundle.model().pixels, &first.model().pixels) {
                bail!(
                    "it was trained with {what} than {}, and an ensemble sees the same pixels: train both with the \
                     same [data] (statistics found in one training are given to the other as data.scale)",
                    first.file().display()
                );
            }
            member(bundle, precision, blobs)
        });
        members.push(said.with_context(|| bundle.file().display().to_string())?);
    }
    let Member { architecture, weights, precision } = members.remove(0);
    let (bands, classes) = (suited.bands, suited.classes.len() as u32);
    let in_32_bits =
        precision == Precision::Fp32 && members.iter().all(|other| other.precision == Precision::Fp32);
    Ok(ModelRef {
        architecture,
        weights,
        bands,
        classes,
        seen_px: suited.seen_px,
        engine: architecture.engine(in_32_bits),
        precision,
        device: DeviceName::Cpu,
        others: members,
    })
}

/// What two networks see otherwise.
fn differs(one: &SourceSpec, other: &SourceSpec) -> Option<&'static str> {
    let parts = [
        (one.bands == other.bands, "other bands of the image"),
        (one.nodata == other.nodata, "another nodata"),
        (one.use_mask == other.use_mask, "another use of masks"),
        (one.nan == other.nan, "another number for NaN"),
        (one.reclass == other.reclass, "another data.reclass"),
        (one.scaling == other.scaling, "another scaling"),
    ];
    parts.into_iter().find_map(|(is_same, what)| (!is_same).then_some(what))
}

fn fits(
    model: &Model,
    Suited { bands, classes, null_class, window, seen_px }: &Suited<'_>,
) -> anyhow::Result<()> {
    ensure!(model.bands == *bands, "it takes {} bands, and not {bands}", model.bands);
    let names = |classes: &[ClassStyle]| {
        classes.iter().map(|class| format!("'{}'", class.name)).collect::<Vec<_>>().join(", ")
    };
    ensure!(
        model.classes.iter().map(|class| &class.name).eq(classes.iter().map(|class| &class.name)),
        "its classes are {}, in this order, and not {}",
        names(&model.classes),
        names(classes)
    );
    ensure!(
        model.null_class == *null_class,
        "its null class is '{}', and not '{}'",
        model.classes[model.null_class as usize].name,
        classes[*null_class as usize].name
    );
    // It has learnt on pixels of another size than the image's.
    let scale = |edge_px: u32, seen_px: Option<u32>| seen_px.map(|seen_px| (edge_px, seen_px));
    let (wanted, found) = (scale(model.window.edge_px(), model.seen_px), scale(window.edge_px(), *seen_px));
    ensure!(
        wanted == found,
        "{}",
        match wanted {
            Some((edge_px, seen_px)) => format!(
                "its network sees windows of {edge_px} px resized to {seen_px}: predict with core_px = {}, margin_px = {} and \
                 seen_px = {seen_px}",
                model.window.core_px, model.window.margin_px
            ),
            None => "its network sees windows as they are: leave predict.seen_px out".into(),
        }
    );
    let (multiple, edge_px) = (model.architecture.edge_multiple_px(), seen_px.unwrap_or(window.edge_px()));
    ensure!(
        edge_px.is_multiple_of(multiple),
        "it takes windows whose edges (core_px + 2 margin_px) are multiples of {multiple} px, not {edge_px}"
    );
    Ok(())
}

fn member(
    bundle: &Bundle,
    precision: Option<PrecisionWord>,
    blobs: &mut Vec<Blob>,
) -> anyhow::Result<Member> {
    let model = bundle.model();
    let int8 = model.int8.as_ref();
    let ranges = match (precision, int8.and_then(|int8| int8.ranges.as_ref())) {
        (None | Some(PrecisionWord::Int8), Some(ranges)) => Some(serde_json::to_vec(ranges)?),
        (Some(PrecisionWord::Int8), None) if int8.is_some() => {
            bail!("8 bits were tried in training and lost too much: predict with fp32 or bf16")
        }
        (Some(PrecisionWord::Int8), None) => bail!(
            "8 bits were never tried with this model: train with predict.precision = \"int8\", or predict with fp32 \
             or bf16"
        ),
        _ => None,
    };
    let weights = weights(bundle, blobs)?;
    let precision = match (ranges, precision) {
        (Some(json), _) => {
            let content = Digest::of(&json);
            blobs.push((keys::ranges(&content), json.into()));
            Precision::Int8(content)
        }
        (None, Some(PrecisionWord::Bf16)) => Precision::Bf16,
        (None, Some(PrecisionWord::Fp16)) => Precision::Fp16,
        (None, _) => Precision::Fp32,
    };
    Ok(Member { architecture: model.architecture, weights, precision })
}

/// Names the weights of a bundle by their content, and remembers them.
fn weights(bundle: &Bundle, blobs: &mut Vec<Blob>) -> anyhow::Result<Weights> {
    let named = Weights::File { sha256: bundle.weights_sha256(), extension: "safetensors".into() };
    let file = bundle.weights_file()?;
    blobs.extend(keys::model(&named).map(|key| (key, file)));
    Ok(named)
}

/// The weights that a training begins with: of a bundle, or a file as it is.
pub(super) async fn init(
    file: &str,
    pipeline: &Pipeline,
    folder: &Path,
    outside: &Outside,
    blobs: &mut Vec<Blob>,
) -> anyhow::Result<Weights> {
    if !is_bundle(file) {
        return self::file(file, folder, outside, blobs).await;
    }
    let bundle = Bundle::from_bytes(file, read(file, folder, outside).await?)?;
    let (model, entry, n_classes) = (bundle.model(), &pipeline.model, pipeline.classes.len());
    ensure!(
        model.architecture == entry.architecture,
        "model.architecture = \"{}\", but the bundle {file} holds a network of the architecture \"{}\"",
        entry.architecture.name(),
        model.architecture.name()
    );
    ensure!(
        model.bands == entry.bands,
        "the network of the bundle {file} takes {} bands, and not {} (model.bands)",
        model.bands,
        entry.bands
    );
    ensure!(
        model.classes.len() == n_classes || pipeline.train.fresh_head,
        "the network of the bundle {file} tells {} classes apart, and not {n_classes}: train.fresh_head = true draws its \
         last layer anew",
        model.classes.len()
    );
    weights(&bundle, blobs)
}

/// Names a file of weights by its content, and remembers it.
pub(super) async fn file(
    file: &str,
    folder: &Path,
    outside: &Outside,
    blobs: &mut Vec<Blob>,
) -> anyhow::Result<Weights> {
    let ending = Path::new(file).extension().and_then(|ending| ending.to_str()).unwrap_or_default();
    let bytes = read(file, folder, outside).await?;
    let weights = Weights::File { sha256: Digest::of(&bytes), extension: ending.into() };
    blobs.extend(keys::model(&weights).map(|key| (key, bytes)));
    Ok(weights)
}
