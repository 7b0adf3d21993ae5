//! A pipeline's JSON as a pipeline file.

use serde_json::Value;
use swath_proto::item::Architecture;
use toml::Table;

use crate::{
    classes::Classes,
    learning::Learning,
    pixels::{Pixels, Scale},
    scenes::Scenes,
    told::{Bad, Note, Object, Result, Teller},
    windows::{self, Going},
    written::{Written, set, set_some, texts, wholes},
};

/// What a pipeline has become.
#[derive(Clone, Debug, PartialEq)]
pub struct Imported {
    /// TOML.
    pub text: String,
    pub notes: Vec<Note>,
}

/// Plugins and their versions in Raster Vision 0.31. What was written by others is brought up to date by itself.
const PLUGINS: [(&str, u64); 3] =
    [("rastervision.core", 14), ("rastervision.pytorch_backend", 2), ("rastervision.pytorch_learner", 7)];

/// Largest edge of a core that a pipeline file chooses by itself.
const MOST_CORE_PX: u32 = 1024;
const LEAST_CORE_PX: u32 = 64;

/// `instead`: the network that takes the place of one that the configuration has from others.
pub fn pipeline(json: &[u8], instead: Option<Architecture>) -> Result<Imported> {
    let teller = Teller::default();
    let mut config = open(json, &teller)?;
    let name = name(config.text("root_uri")?.as_deref());
    let mut dataset = config.needs("dataset")?;
    let mut classes = Classes::read(dataset.needs("class_config")?)?;
    let scenes = Scenes::read(&mut dataset, &classes)?;
    dataset.pass(&["scene_groups", "type_hint"]);
    dataset.end();
    let Some(pixels) = &scenes.pixels else { return Err(Bad::new("dataset", "names no scene")) };
    // A network that has learnt already keeps its classes.
    let background = scenes.labels.as_ref().filter(|_| scenes.learns).and_then(|labels| labels.background);
    if classes.begin_anew(background) {
        teller.tell(
            "dataset.class_config.null_class",
            "the class \"null\" is left out: here pixels without data are of the class of what no label covers",
        );
    }
    let learning = Learning::read(config.needs("backend")?, &classes, instead)?;
    let (chips, is_resized) = match config.object("chip_options")? {
        Some(options) => windows::chips(options, learning.sampling.clone(), &classes, learning.img_px)?,
        None => match &learning.sampling {
            Some(sampling) => {
                let none = Object::new("chip_options", Value::Object(serde_json::Map::new()), &teller)?;
                windows::chips(none, Some(sampling.clone()), &classes, learning.img_px)?
            }
            None => (Table::new(), false),
        },
    };
    let going = Going::read(config.object("predict_options")?)?;
    if let Some(file) = config.text("source_bundle_uri")? {
        config.tell(
            "source_bundle_uri",
            format!("\"{file}\": import it too, and give the bundle as train.init"),
        );
    }
    config.pass(&[
        "analyze_uri",
        "chip_uri",
        "train_uri",
        "predict_uri",
        "eval_uri",
        "bundle_uri",
        "rv_config",
        "plugin_versions",
        "type_hint",
        "evaluators",
        "analyzers",
    ]);
    config.end();
    let mut written = Written {
        name,
        classes: classes.written(),
        data: data(pixels, &teller),
        labels: labels(&scenes, &learning, &classes, &teller),
        predict: predict(going, (is_resized || !scenes.learns).then_some(learning.img_px), &scenes, &teller),
        vectorize: vectorize(&scenes, &classes),
        model: learning.model,
        chips,
        train: learning.train,
        ..Written::default()
    };
    written.stages = stages(&scenes, !written.vectorize.is_empty(), pixels);
    if !scenes.learns {
        set(&mut written.model, "weights", "bundle.zip");
        teller
            .tell("backend.model", "nothing is trained: import the bundle too, and name it as model.weights");
        // The bundle says how pixels are read.
        (written.train, written.chips, written.data) = (Table::new(), Table::new(), Table::new());
    }
    written.scenes = scenes.written;
    let text = toml::to_string(&written).map_err(|error| Bad::new("the pipeline file", error.to_string()))?;
    Ok(Imported { text, notes: teller.notes() })
}

/// A configuration of pixels' classification by Raster Vision 0.31.
pub(crate) fn open<'t>(json: &[u8], teller: &'t Teller) -> Result<Object<'t>> {
    let value: Value = serde_json::from_slice(json).map_err(|error| Bad::new("JSON", error.to_string()))?;
    let mut config = Object::new("", value, teller)?;
    let again = "load and save it with Raster Vision 0.31: Config.from_file(OLD) and save_pipeline_config(CONFIG, NEW)";
    let Some(Value::Object(versions)) = config.take("plugin_versions") else {
        return Err(Bad::new(
            "plugin_versions",
            "is missing: give a pipeline-config.json as Raster Vision writes it",
        ));
    };
    for (plugin, wanted) in PLUGINS {
        match versions.get(plugin).and_then(Value::as_u64) {
            Some(found) if found == wanted => {}
            Some(found) if found > wanted => {
                let why = format!("{plugin} is {found}, and 0.31, which is read, has {wanted}");
                return Err(Bad::new("plugin_versions", why));
            }
            Some(found) => {
                return Err(Bad::new(
                    "plugin_versions",
                    format!("{plugin} is {found}, and 0.31 has {wanted}: {again}"),
                ));
            }
            None => return Err(Bad::new("plugin_versions", format!("{plugin} is missing: {again}"))),
        }
    }
    let kind = config.kind()?;
    if kind != "semantic_segmentation" {
        return Err(Bad::new(
            "type_hint",
            format!("{kind} has no counterpart: Swath tells classes of pixels"),
        ));
    }
    Ok(config)
}

/// The last part of a path, as a run may be called.
fn name(root: Option<&str>) -> String {
    let last = root.unwrap_or_default().trim_end_matches('/').rsplit('/').next().unwrap_or_default();
    let fits = |c: char| if c.is_ascii_alphanumeric() || "._-".contains(c) { c } else { '-' };
    let name: String = last.chars().take(50).map(fits).collect();
    match name.chars().next() {
        Some(first) if first.is_ascii_alphanumeric() => name,
        _ => format!("imported{name}"),
    }
}

fn stages(scenes: &Scenes, has_vectors: bool, pixels: &Pixels) -> Vec<String> {
    let scales = scenes.learns && matches!(pixels.scale, Scale::Stats { .. } | Scale::Chip);
    let all = [
        ("survey", true),
        ("analyze", scales),
        ("chip", scenes.learns),
        ("train", scenes.learns),
        ("predict", true),
        ("assemble", true),
        ("eval", scenes.are_judged),
        ("vectorize", has_vectors),
        ("bundle", scenes.learns),
    ];
    all.into_iter().filter(|(_, is_there)| *is_there).map(|(stage, _)| stage.to_owned()).collect()
}

fn data(pixels: &Pixels, teller: &Teller) -> Table {
    let mut table = Table::new();
    let bands = pixels.bands.as_ref().map(|bands| wholes(bands.iter().map(|band| band.saturating_add(1))));
    set_some(&mut table, "bands", bands);
    set_some(&mut table, "nan", pixels.nan);
    let rules = pixels.reclass.iter().map(|(from, to)| {
        let pair = [("from", *from), ("to", *to)];
        toml::Value::Table(
            pair.map(|(key, value)| (key.to_owned(), toml::Value::Float(value))).into_iter().collect(),
        )
    });
    let rules: Vec<toml::Value> = rules.collect();
    if !rules.is_empty() {
        set(&mut table, "reclass", toml::Value::Array(rules));
    }
    match &pixels.scale {
        // "auto" does that: 8-bit images pass by.
        Scale::Cast | Scale::Stats { .. } => {}
        Scale::Chip => teller.tell(
            "raster_source.transformers",
            "min_max_transformer scales each chip by its own values; here scale = \"auto\" is by all training scenes together",
        ),
        Scale::None => set(&mut table, "scale", "none"),
    }
    if pixels.scale == Scale::Cast {
        set(&mut table, "scale", "cast");
    }
    table
}

fn labels(scenes: &Scenes, learning: &Learning, classes: &Classes, teller: &Teller) -> Table {
    let Some(labels) = &scenes.labels else { return Table::new() };
    let mut table = labels.table.clone();
    if let Some(index) = learning.ignored {
        let n = classes.names.len() as i64;
        let class = if index < 0 { n + index } else { index };
        match (labels.is_raster, u32::try_from(class)) {
            (true, Ok(class)) if i64::from(class) < n => set(&mut table, "ignore", wholes([class])),
            _ => teller.tell(
                "backend.solver.ignore_class_index",
                format!("{index}: pixels without data and outside the area of interest are ignored here; no class is"),
            ),
        }
    }
    table
}

/// Windows of the same edge. Where the network sees them at another size, they are laid as there.
fn predict(going: Going, seen_px: Option<u32>, scenes: &Scenes, teller: &Teller) -> Table {
    let mut table = Table::new();
    let (core_px, margin_px) = match seen_px {
        Some(_) => (going.core_px(), going.margin_px),
        None => tiled(going),
    };
    set(&mut table, "core_px", i64::from(core_px));
    set(&mut table, "margin_px", i64::from(margin_px));
    set_some(&mut table, "seen_px", seen_px.map(i64::from));
    if seen_px.is_none() && core_px < 256 {
        set(&mut table, "block_px", i64::from(core_px));
    }
    if seen_px.is_none() && (core_px, margin_px) != (going.core_px(), going.margin_px) {
        teller.tell(
            "predict_options.chip_sz",
            format!(
                "{}: of windows of {} px the inner {core_px} are kept, a power of two",
                going.chip_px,
                core_px + 2 * margin_px
            ),
        );
    }
    if scenes.outputs.as_ref().is_some_and(|outputs| outputs.scores) {
        set(&mut table, "scores", true);
    }
    table
}

/// The largest core that is a power of two, and the margins that are left.
fn tiled(going: Going) -> (u32, u32) {
    let most = going.core_px().clamp(LEAST_CORE_PX, MOST_CORE_PX);
    let core_px = 1 << most.ilog2();
    // Edges that all networks take are multiples of 32.
    let margin_px = (going.chip_px.saturating_sub(core_px) / 2).min(core_px);
    (
        core_px,
        if going.chip_px.is_multiple_of(32) {
            margin_px
        } else {
            margin_px.next_multiple_of(16).min(core_px)
        },
    )
}

fn vectorize(scenes: &Scenes, classes: &Classes) -> Table {
    let mut table = Table::new();
    let Some(outputs) = scenes.outputs.as_ref().filter(|outputs| !outputs.vectors.is_empty()) else {
        return table;
    };
    // What no label covers has no polygons.
    let ids = outputs.vectors.iter().filter(|id| **id as usize != classes.null);
    let names: Vec<&str> = ids.filter_map(|id| classes.name(*id)).collect();
    if names.is_empty() {
        return table;
    }
    set(&mut table, "classes", texts(names));
    set_some(&mut table, "denoise_px", outputs.denoise.map(i64::from));
    table
}
