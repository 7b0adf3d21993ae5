//! `dataset`: scenes with their images and labels. What labels are is said once here, and of every scene there.

use serde_json::Value;
use toml::Table;

use crate::{
    classes::Classes,
    pixels::{Pixels, Scale},
    told::{Object, Result, shown},
    written::{of_json, set, set_some, texts},
};

/// What the scenes of a dataset say.
#[derive(Debug, Default)]
pub(crate) struct Scenes {
    pub(crate) written: Vec<Table>,
    /// How images are read: that of the first.
    pub(crate) pixels: Option<Pixels>,
    pub(crate) labels: Option<Labels>,
    pub(crate) outputs: Option<Outputs>,
    pub(crate) learns: bool,
    pub(crate) are_judged: bool,
}

/// How labels are read.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Labels {
    pub(crate) table: Table,
    /// What they do not cover.
    pub(crate) background: Option<u32>,
    pub(crate) is_raster: bool,
}

/// What is written of predictions.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Outputs {
    pub(crate) scores: bool,
    /// Classes that become polygons.
    pub(crate) vectors: Vec<u32>,
    pub(crate) denoise: Option<u32>,
}

const GROUPS: [(&str, &str); 3] =
    [("train_scenes", "train"), ("validation_scenes", "validation"), ("test_scenes", "predict")];

impl Scenes {
    pub(crate) fn read(dataset: &mut Object<'_>, classes: &Classes) -> Result<Self> {
        let mut scenes = Self::default();
        for (key, group) in GROUPS {
            for scene in dataset.objects(key)? {
                scenes.add(scene, group, classes)?;
            }
        }
        Ok(scenes)
    }

    fn add(&mut self, mut scene: Object<'_>, group: &str, classes: &Classes) -> Result<()> {
        let mut table = Table::new();
        set_some(&mut table, "id", scene.text("id")?);
        let pixels = Pixels::read(scene.needs("raster_source")?)?;
        match pixels.uris.as_slice() {
            [one] => set(&mut table, "image", one.clone()),
            many => set(&mut table, "image", texts(many.iter().cloned())),
        }
        for uri in pixels.uris.iter().filter(|uri| is_elsewhere(uri)) {
            scene.tell("raster_source.uris", format!("\"{uri}\": only local paths and s3:// are read"));
        }
        if pixels.uris.iter().any(|uri| !uri.contains("://") && !uri.starts_with('/')) {
            let words =
                "relative paths begin at the pipeline file here, and there where rastervision was started";
            scene.teller().tell("dataset", words);
        }
        let alike = Pixels { uris: Vec::new(), ..pixels };
        match &self.pixels {
            Some(first) if *first != alike => {
                scene.tell(
                    "raster_source",
                    "is read otherwise than the first scene: here [data] is the same for all",
                );
            }
            Some(_) => {}
            None => self.pixels = Some(alike),
        }
        if let Some(source) = scene.object("label_source")? {
            let (file, labels) = labels(source, classes)?;
            set(&mut table, "labels", file);
            match &self.labels {
                Some(first) if *first != labels => {
                    scene.tell(
                        "label_source",
                        "is read otherwise than the first: here [labels] is the same for all scenes",
                    );
                }
                Some(_) => {}
                None => self.labels = Some(labels),
            }
            self.are_judged |= group != "train";
        }
        self.learns |= group == "train";
        match scene.texts("aoi_uris")?.as_slice() {
            [] => {}
            [one] => set(&mut table, "aoi", one.clone()),
            [first, ..] => {
                set(&mut table, "aoi", first.clone());
                scene.tell(
                    "aoi_uris",
                    "names several files: the first is taken. Put all polygons into one file",
                );
            }
        }
        if let Some(store) = scene.object("label_store")? {
            let outputs = outputs(store)?;
            if group != "train" && self.outputs.is_none() {
                self.outputs = Some(outputs);
            }
        }
        set(&mut table, "group", group);
        scene.pass(&["type_hint"]);
        scene.end();
        self.written.push(table);
        Ok(())
    }
}

fn is_elsewhere(uri: &str) -> bool {
    uri.contains("://") && !uri.starts_with("s3://")
}

/// The file, and how it is read.
fn labels(mut object: Object<'_>, classes: &Classes) -> Result<(String, Labels)> {
    let kind = object.kind()?;
    if kind != "semantic_segmentation_label_source" {
        return Err(object.bad("type_hint", format!("{kind} has no counterpart: pixels are labelled here")));
    }
    let mut source = object.needs("raster_source")?;
    object.end();
    let kind = source.kind()?;
    if kind == "rasterized_source" {
        return of_vectors(source, classes);
    }
    source.put("type_hint", Value::String(kind));
    of_raster(source, classes)
}

fn of_raster(object: Object<'_>, classes: &Classes) -> Result<(String, Labels)> {
    let (at, teller) = (object.place("uris"), object.teller());
    let Pixels { uris, reclass, is_colors, bands, scale, .. } = Pixels::read(object)?;
    if uris.len() > 1 {
        teller.tell(
            at.clone(),
            "names several files: the first is taken. Make one of them, gdalbuildvrt for instance",
        );
    }
    if bands.is_some_and(|bands| bands != [0]) && !is_colors {
        teller.tell(at.clone(), "channel_order: the first band of a raster of classes is read");
    }
    if scale != Scale::Cast {
        teller.tell(at, "transformers: classes are not scaled");
    }
    let mut table = Table::new();
    set(&mut table, "kind", if is_colors { "colors" } else { "raster" });
    let mut values = Table::new();
    for (from, to) in reclass {
        set_some(&mut values, &from.to_string(), classes.name(to as u32).map(str::to_owned));
    }
    if !values.is_empty() {
        set(&mut table, "values", values);
    }
    let file = uris.into_iter().next().unwrap_or_default();
    Ok((file, Labels { table, background: None, is_raster: true }))
}

fn of_vectors(mut object: Object<'_>, classes: &Classes) -> Result<(String, Labels)> {
    let mut rasterizer = object.needs("rasterizer_config")?;
    let background = rasterizer.whole("background_class_id")?;
    if rasterizer.truth("all_touched")? {
        rasterizer.tell("all_touched", "true: here a pixel is of a polygon that holds its centre");
    }
    rasterizer.pass(&["type_hint"]);
    rasterizer.end();
    let mut source = object.needs("vector_source")?;
    let kind = source.kind()?;
    if kind != "geojson_vector_source" {
        return Err(source.bad("type_hint", format!("{kind} has no counterpart: give GeoJSON")));
    }
    let files = source.texts("uris")?;
    let Some(file) = files.first().cloned() else { return Err(source.bad("uris", "names no file")) };
    if files.len() > 1 {
        source.tell("uris", "names several files: the first is taken. Put all features into one");
    }
    let mut table = Table::new();
    set(&mut table, "kind", "geojson");
    let mut buffers = Vec::new();
    for mut transformer in source.objects("transformers")? {
        match transformer.kind()?.as_str() {
            "class_inference_transformer" => infer(&mut transformer, classes, &mut table)?,
            "buffer_transformer" => buffers.push(buffer(&mut transformer, classes)?),
            kind => transformer
                .tell("type_hint", format!("{kind} has no counterpart: move the features themselves")),
        }
        transformer.end();
    }
    if let Some(first) = buffers.first() {
        if buffers.iter().any(|other| other != first) {
            source.tell("transformers", "points and lines are widened otherwise: here both are as the first");
        }
        set_some(&mut table, "buffer_px", first.clone());
    }
    source.end();
    object.end();
    Ok((file, Labels { table, background, is_raster: false }))
}

fn infer(object: &mut Object<'_>, classes: &Classes, table: &mut Table) -> Result<()> {
    let default = object.whole("default_class_id")?;
    set_some(table, "default_class", default.and_then(|id| classes.name(id)).map(str::to_owned));
    let mut values = Table::new();
    for (old, new) in object.pairs("class_name_mapping")? {
        set_some(&mut values, &old, new.as_str().map(str::to_owned));
    }
    if !values.is_empty() {
        set(table, "values", values);
    }
    let mut rules = Vec::new();
    for (id, filter) in object.pairs("class_id_to_filter")? {
        let class = id.parse::<u32>().ok().and_then(|id| classes.name(id));
        match (class, rule(&filter)) {
            (Some(class), Some(mut rule)) => {
                set(&mut rule, "class", class.to_owned());
                rules.push(toml::Value::Table(rule));
            }
            _ => object.tell(
                &format!("class_id_to_filter.{id}"),
                format!("{}: only ==, in and has are read: write [[labels.filter]] by hand", shown(&filter)),
            ),
        }
    }
    if !rules.is_empty() {
        set(table, "filter", toml::Value::Array(rules));
    }
    Ok(())
}

/// `["==", property, value]`, `["in", property, values..]`, `["has", property]`.
fn rule(filter: &Value) -> Option<Table> {
    let [word, property, values @ ..] = filter.as_array()?.as_slice() else { return None };
    let mut rule = Table::new();
    set(&mut rule, "property", property.as_str()?.to_owned());
    let values = values.iter().map(of_json).collect::<Option<Vec<_>>>()?;
    match (word.as_str()?, values.len()) {
        ("==", 1) | ("in", 1..) => set(&mut rule, "equals", toml::Value::Array(values)),
        ("has", 0) => {}
        _ => return None,
    }
    Some(rule)
}

/// One number, or one a class; none where nothing is widened.
fn buffer(object: &mut Object<'_>, classes: &Classes) -> Result<Option<toml::Value>> {
    object.pass(&["geom_type"]);
    let usual = object.number("default_buf")?;
    let mut by_class = Table::new();
    for (id, px) in object.pairs("class_bufs")? {
        let class = id.parse::<u32>().ok().and_then(|id| classes.name(id)).map(str::to_owned);
        if let (Some(class), Some(px)) = (class, px.as_f64()) {
            set(&mut by_class, &class, px);
        }
    }
    Ok(match (by_class.is_empty(), usual) {
        (true, px) => px.map(toml::Value::Float),
        (false, _) => Some(toml::Value::Table(by_class)),
    })
}

fn outputs(mut store: Object<'_>) -> Result<Outputs> {
    let mut outputs = Outputs { scores: store.truth("smooth_output")?, ..Outputs::default() };
    if outputs.scores && !store.truth("smooth_as_uint8")? {
        store.tell(
            "smooth_as_uint8",
            "false: scores are bytes here, 255 for 1, and hits of pixels are not counted",
        );
    }
    store.without("rgb", &Value::Bool(false), "maps are of classes here, and know their colours");
    store.pass(&["type_hint", "uri", "rasterio_block_size", "smooth_as_uint8"]);
    for mut vector in store.objects("vector_output")? {
        outputs.vectors.extend(vector.whole("class_id")?);
        if let Some(denoise) = vector.whole("denoise")? {
            match outputs.denoise {
                Some(first) if first != denoise => {
                    vector.tell("denoise", "is one number for all classes here")
                }
                _ => outputs.denoise = Some(denoise),
            }
        }
        vector.without("threshold", &Value::Null, "a pixel is of its most probable class here");
        if vector.kind()? == "building_vector_output" {
            vector.tell(
                "type_hint",
                "building_vector_output: clusters are not broken up here; vectorize.square_px squares",
            );
            vector.pass(&["element_width_factor", "element_thickness"]);
            vector.without(
                "min_area",
                &Value::from(0.0),
                "is in pixels there, and vectorize.min_area_m2 in square metres",
            );
        }
        vector.end();
    }
    store.end();
    Ok(outputs)
}
