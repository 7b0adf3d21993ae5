//! `backend`: the network, and how it learns.

use serde_json::Value;
use swath_proto::item::Architecture;
use toml::Table;

use crate::{
    classes::Classes,
    told::{Object, Result, shown},
    written::{set, set_some, texts, wholes},
};

/// What a backend says.
#[derive(Debug)]
pub(crate) struct Learning {
    pub(crate) architecture: Architecture,
    pub(crate) model: Table,
    pub(crate) train: Table,
    /// Channels that the network sees.
    pub(crate) bands: Option<u32>,
    /// The edge to which chips are resized.
    pub(crate) img_px: u32,
    /// Of data that is cut from scenes while the network learns.
    pub(crate) sampling: Option<Value>,
    /// Changes that nobody here makes.
    pub(crate) has_base_transform: bool,
    /// Of raster labels, what does not count.
    pub(crate) ignored: Option<i64>,
}

const IMG_PX: u32 = 256;

impl Learning {
    /// `instead`: for a network that others have defined.
    pub(crate) fn read(
        mut backend: Object<'_>,
        classes: &Classes,
        instead: Option<Architecture>,
    ) -> Result<Self> {
        let kind = backend.kind()?;
        if kind != "pytorch_semantic_segmentation_backend" {
            return Err(
                backend.bad("type_hint", format!("{kind} has no counterpart: pixels are classified here"))
            );
        }
        let (mut model, mut train) = (Table::new(), Table::new());
        let architecture = network(backend.needs("model")?, instead, &mut train)?;
        set(&mut model, "architecture", architecture.name());
        let mut data = backend.needs("data")?;
        let (bands, img_px) = (data.whole("img_channels")?, data.whole("img_sz")?.unwrap_or(IMG_PX));
        set_some(&mut model, "bands", bands.filter(|bands| *bands != 3).map(i64::from));
        let ignored = solver(backend.needs("solver")?, classes, &mut train)?;
        let has_base_transform = seen(&mut data, &mut train)?;
        let sampling = match data.kind()?.as_str() {
            "semantic_segmentation_image_data" => {
                data.without("group_uris", &Value::Null, "chips are those of this pipeline");
                data.without(
                    "group_train_sz",
                    &Value::Null,
                    "chips have no groups: train.subset takes some of all",
                );
                data.without(
                    "group_train_sz_rel",
                    &Value::Null,
                    "chips have no groups: train.subset takes some of all",
                );
                data.pass(&["uri", "data_format"]);
                None
            }
            "semantic_segmentation_geo_data" => {
                data.tell(
                    "type_hint",
                    "semantic_segmentation_geo_data: here chips are cut once, into shards, before training",
                );
                data.pass(&["scene_dataset"]);
                data.take("sampling")
            }
            kind => return Err(data.bad("type_hint", format!("{kind} is no data for pixels that is known"))),
        };
        data.end();
        backend.without(
            "save_all_checkpoints",
            &Value::Bool(false),
            "train.checkpoint.keep says how many stay",
        );
        backend.pass(&["log_tensorboard", "run_tensorboard"]);
        backend.end();
        Ok(Self { architecture, model, train, bands, img_px, sampling, has_base_transform, ignored })
    }
}

fn network(mut model: Object<'_>, instead: Option<Architecture>, train: &mut Table) -> Result<Architecture> {
    let backbone = model.text("backbone")?.unwrap_or_else(|| "resnet50".into());
    let is_pretrained = model.truth("pretrained")?;
    let init = model.text("init_weights")?;
    match (&init, is_pretrained) {
        (Some(file), _) => set(train, "init", file.clone()),
        (None, true) => set(train, "backbone", "imagenet"),
        (None, false) => {}
    }
    model.without(
        "load_strict",
        &Value::Bool(true),
        "weights fit, or training does not begin; train.fresh_head draws the last layer anew",
    );
    model.without("extra_args", &Value::Object(serde_json::Map::new()), "networks have no options here");
    model.pass(&["type_hint"]);
    let external = model.take("external_def");
    let architecture = match (&external, instead) {
        (None, None) => match backbone.as_str() {
            "resnet50" => Architecture::Deeplabv3Resnet50,
            "resnet101" => Architecture::Deeplabv3Resnet101,
            other => {
                return Err(model.bad(
                    "backbone",
                    format!("\"{other}\": Raster Vision's DeepLabV3 is on resnet50 or resnet101"),
                ));
            }
        },
        (None, Some(instead)) => {
            model.tell(
                "backbone",
                format!("\"{backbone}\": {} takes the place of its DeepLabV3", instead.name()),
            );
            instead
        }
        (Some(external), Some(instead)) => {
            let words = format!(
                "{}: {} takes the place of this network; look whether it is the same",
                shown(external),
                instead.name()
            );
            model.tell("external_def", words);
            instead
        }
        (Some(external), None) => {
            let why = format!(
                "{}: the network is a program of others: say which of Swath's takes its place, --architecture unet-resnet18 for \
                 instance",
                shown(external)
            );
            return Err(model.bad("external_def", why));
        }
    };
    model.end();
    Ok(architecture)
}

/// Says which class is ignored; from behind, where it is below 0.
fn solver(mut solver: Object<'_>, classes: &Classes, train: &mut Table) -> Result<Option<i64>> {
    let epochs = solver.whole("num_epochs")?.unwrap_or(10);
    set(train, "epochs", i64::from(epochs));
    set(train, "batch", i64::from(solver.whole("batch_sz")?.unwrap_or(32)));
    set(train, "lr", solver.number("lr")?.unwrap_or(1e-4));
    let (is_one_cycle, steps) =
        (solver.truth("one_cycle")?, solver.wholes("multi_stage")?.unwrap_or_default());
    match (is_one_cycle && epochs > 1, steps.is_empty()) {
        (true, true) => {}
        (false, true) => set(train, "schedule", "constant"),
        (both, false) => {
            if both {
                solver.tell(
                    "multi_stage",
                    "and one_cycle are both set; here a schedule is one of them: multi_step is taken",
                );
            }
            set(train, "schedule", "multi_step");
            set(train, "milestones", wholes(steps));
        }
    }
    if let Some(weights) = solver.numbers("class_loss_weights")? {
        // One for the class that was left out may stand behind.
        let weights: Vec<f64> = weights.into_iter().take(classes.names.len()).collect();
        set(train, "class_weights", weights);
    }
    let ignored = match solver.take("ignore_class_index") {
        Some(index) => {
            let wrong =
                solver.bad("ignore_class_index", format!("must be a whole number, and is {}", shown(&index)));
            Some(index.as_i64().ok_or(wrong)?)
        }
        None => None,
    };
    solver.without(
        "external_loss_def",
        &Value::Null,
        "has no counterpart: train.loss has cross_entropy, dice and focal",
    );
    solver.pass(&["type_hint", "sync_interval"]);
    solver.end();
    Ok(ignored)
}

/// What is seen of the chips. Says whether they are changed before they are seen.
fn seen(data: &mut Object<'_>, train: &mut Table) -> Result<bool> {
    let mut words = Vec::new();
    for augmentor in data.texts("augmentors")? {
        match augmentor.as_str() {
            "RandomRotate90" => words.push("right_angles"),
            "HorizontalFlip" => words.push("horizontal_flip"),
            "VerticalFlip" => words.push("vertical_flip"),
            "Blur" | "GaussianBlur" => {
                words.push("blur");
                data.tell(
                    "augmentors",
                    format!("{augmentor}: \"blur\" takes its place, of another strength"),
                );
            }
            "GaussNoise" => {
                words.push("noise");
                data.tell("augmentors", "GaussNoise: \"noise\" takes its place, of another strength");
            }
            other => data.tell("augmentors", format!("{other}: has no counterpart")),
        }
    }
    words.sort_unstable();
    words.dedup();
    if words != ["horizontal_flip", "right_angles", "vertical_flip"] {
        set(train, "augment", texts(words));
    }
    if let Some(chips) = data.whole("train_sz")? {
        set(train, "subset", Table::from_iter([("chips".to_owned(), toml::Value::Integer(chips.into()))]));
    } else if let Some(share) = data.number("train_sz_rel")? {
        set(train, "subset", Table::from_iter([("share".to_owned(), toml::Value::Float(share))]));
    }
    let transform = data.take("base_transform");
    if let Some(transform) = &transform {
        data.tell(
            "base_transform",
            format!("{}: has no counterpart: make a step of your own of it", shown(transform)),
        );
    }
    data.without("aug_transform", &Value::Null, "has no counterpart: train.augment has changes of its own");
    data.pass(&["class_config", "num_workers", "plot_options", "preview_batch_limit"]);
    Ok(transform.is_some())
}
