//! From bundles and one image to a frozen run: no pipeline file is needed, since a bundle says it all.

use anyhow::{Context as _, bail};
use swath_backends::{blobs::SharedBlobs, outside::Outside};
use swath_bundle::{Bundle, Model};
use swath_proto::{
    ids::Digest,
    item::{Compression, Mixing, Stage},
    run::{PredictPlan, RunRecord, ScalePlan},
    scene::{FileRef, SceneFiles},
    source::SourceSpec,
    vectors::{VectorFormat, VectorPlan},
};

use super::{
    Frozen, Source, name,
    networks::{self, Suited},
};

/// Edge of the tiles of what is made.
const BLOCK_PX: u32 = 256;
const MAX_FAILURES: u32 = 3;

/// What is wanted beside the map, and how windows are mixed.
#[derive(Clone, Copy, Debug, Default)]
pub struct Wanted {
    pub scores: bool,
    pub confidence: bool,
    pub polygons: bool,
    pub mixing: Mixing,
}

/// The scene of the run, which has no other.
pub const SCENE: &str = "image";

/// `bundles`: one, or several whose probabilities are averaged; the first says how windows lie. `image`:
/// `s3://bucket/key`, or an absolute path.
pub async fn freeze_bundles(
    bundles: &[Bundle],
    image: &str,
    wanted: Wanted,
    root: &SharedBlobs,
) -> anyhow::Result<(Frozen, Source)> {
    let Some(tag) = Outside::default().tag(image).await? else { bail!("there is no file {image}") };
    let Some(bundle) = bundles.first() else { bail!("there is no bundle") };
    let model: &Model = bundle.model();
    if let Some(why) = wanted.mixing.problem(model.window) {
        bail!("the bundle's windows have margin_px = {}, which {why}", model.window.margin_px);
    }
    let mut blobs = Vec::new();
    let suited = Suited {
        bands: model.bands,
        classes: &model.classes,
        null_class: model.null_class,
        window: model.window,
        seen_px: model.seen_px,
    };
    let network = networks::of_bundles(bundles, &suited, None, &mut blobs)?;
    let sums: Vec<String> = bundles.iter().map(|bundle| bundle.weights_sha256().to_string()).collect();
    let text = format!("# swath predict: {image} with the model {}\n", sums.join(" and "));
    let source = Source { text, folder: "/".into(), rerun: None };
    let mut stages = vec![Stage::Survey, Stage::Predict, Stage::Assemble];
    if wanted.polygons {
        stages.push(Stage::Vectorize);
    }
    let files = vec![FileRef { uri: image.to_owned(), tag }];
    let scene = SceneFiles {
        id: SCENE.parse().context("naming the scene")?,
        source: SourceSpec { files, ..model.pixels.clone() },
        labels: None,
        aoi: None,
        crop_px: None,
        crop_labels: None,
    };
    let mut record = RunRecord {
        run: "predict".parse()?,
        created: String::new(),
        program: env!("CARGO_PKG_VERSION").into(),
        pipeline: Digest::of(source.text.as_bytes()),
        stages,
        scenes: vec![scene],
        lot_scenes: 1,
        predict: PredictPlan {
            model: network,
            window: model.window,
            batch: model.batch,
            block_px: BLOCK_PX,
            compression: Compression::default(),
            nodata: None,
            scores: wanted.scores,
            confidence: wanted.confidence,
            mixing: wanted.mixing,
            item_px: None,
            shared_windows: None,
            class: None,
            wants_int8: false,
            int8: None,
        },
        scale: ScalePlan::Given,
        statistics: None,
        learn: None,
        vectors: wanted.polygons.then(|| VectorPlan {
            classes: (0..model.classes.len() as u32)
                .filter(|class| *class != model.null_class)
                .filter_map(|class| u8::try_from(class).ok())
                .collect(),
            denoise_px: 0,
            min_area_m2: 0.0,
            tolerance_px: 0.0,
            square_px: 0.0,
            formats: vec![VectorFormat::GeoJson],
        }),
        steps: Vec::new(),
        classes: model.classes.clone(),
        null_class: model.null_class,
        access: Vec::new(),
        max_failures: MAX_FAILURES,
        noops: 0,
        shuffle: None,
    };
    record.run = name(&record, &source, &root.uri(""))?;
    record.created = jiff::Timestamp::now().to_string();
    Ok((Frozen { record, scenes: Vec::new(), left_out: 0, blobs }, source))
}
