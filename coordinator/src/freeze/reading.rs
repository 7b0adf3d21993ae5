//! From the words of a pipeline file to how the pixels and labels of its scenes are read.

use std::collections::BTreeMap;

use swath_proto::{
    filter::{Comparison, Filter, Test},
    pipeline::{self, Pipeline, Scale, ScaleWord},
    run::ScalePlan,
    scene::FileRef,
    source::{
        Aoi, Buffer, ClassOfColor, ClassOfValue, ClassRaster, ClassRef, ClassRule, ColorRaster, Distance,
        GeoJsonLabels, GeometryKind, LabelSpec, Nodata, Reclass, Scaling, SourceSpec, Unlabelled,
    },
};

/// How the pixels of all scenes are read; their scaling may still have to be found. Names no files.
pub(super) fn pixels(pipeline: &Pipeline) -> SourceSpec {
    let data = &pipeline.data;
    let n_bands = pipeline.model.bands;
    SourceSpec {
        files: Vec::new(),
        bands: match &data.bands {
            Some(bands) => bands.iter().map(|band| band.saturating_sub(1)).collect(),
            None => (0..n_bands).collect(),
        },
        nodata: match data.nodata {
            pipeline::Nodata::Word(pipeline::NodataWord::File) => None,
            pipeline::Nodata::Word(pipeline::NodataWord::None) => Some(Nodata::OfEach(Vec::new())),
            pipeline::Nodata::Value(value) => Some(Nodata::OfAll(value)),
        },
        use_mask: data.mask == pipeline::MaskUse::Use,
        nan: match data.nan {
            pipeline::NanUse::Word(pipeline::NanWord::Nodata) => None,
            pipeline::NanUse::Value(value) => Some(value as f32),
        },
        reclass: data.reclass.iter().map(reclass).collect(),
        scaling: match &data.scale {
            Scale::Word(ScaleWord::None) => Scaling::None,
            Scale::Word(ScaleWord::Auto | ScaleWord::Cast | ScaleWord::Stats) => Scaling::Cast,
            Scale::Range(range) => {
                let each = |numbers: &pipeline::NumberOrMany| {
                    (0..n_bands as usize).filter_map(|band| numbers.of(band)).collect()
                };
                Scaling::MinMax { min: each(&range.min), max: each(&range.max) }
            }
            Scale::Statistics(known) => {
                Scaling::Stats { means: known.means.clone(), stds: known.stds.clone() }
            }
        },
    }
}

pub(super) const fn scale(pipeline: &Pipeline) -> ScalePlan {
    match pipeline.data.scale {
        Scale::Word(ScaleWord::Auto) => ScalePlan::Auto,
        Scale::Word(ScaleWord::Stats) => ScalePlan::Statistics,
        Scale::Word(ScaleWord::Cast | ScaleWord::None) | Scale::Range(_) | Scale::Statistics(_) => {
            ScalePlan::Given
        }
    }
}

fn reclass(rule: &pipeline::Reclass) -> Reclass {
    let (from, to) = match rule.from {
        pipeline::ValueOrRange::Value(value) => (value, value),
        pipeline::ValueOrRange::Range([low, high]) => (low, high),
    };
    Reclass { from, to, into: rule.to }
}

pub(super) fn labels(pipeline: &Pipeline, file: FileRef) -> LabelSpec {
    use pipeline::LabelKind;
    let is_geojson = || {
        let name = file.uri.to_lowercase();
        name.ends_with(".geojson") || name.ends_with(".json")
    };
    match pipeline.labels.kind {
        LabelKind::Geojson => LabelSpec::GeoJson(geojson(pipeline, file)),
        LabelKind::Auto if is_geojson() => LabelSpec::GeoJson(geojson(pipeline, file)),
        LabelKind::Raster | LabelKind::Auto => LabelSpec::ClassRaster(class_raster(pipeline, file)),
        LabelKind::Colors => LabelSpec::ColorRaster(color_raster(pipeline, file)),
    }
}

pub(super) fn aoi(file: FileRef) -> Aoi {
    Aoi { files: vec![file], crs: None }
}

fn geojson(pipeline: &Pipeline, file: FileRef) -> GeoJsonLabels {
    let entry = &pipeline.labels;
    GeoJsonLabels {
        crs: entry.crs.clone(),
        property: entry.property.clone(),
        values: entry.values.iter().map(|(value, class)| (value.clone(), named(class))).collect(),
        rules: entry.filter.iter().map(rule).collect(),
        default_class: entry.default_class.as_deref().map(named),
        buffers: match &entry.buffer_px {
            None => Vec::new(),
            Some(pipeline::BufferPx::All(px)) => [GeometryKind::Point, GeometryKind::Line]
                .map(|kind| Buffer { geometry: Some(kind), class: None, by: Distance::Px(*px) })
                .into(),
            Some(pipeline::BufferPx::ByClass(by_class)) => {
                let of_class = |(class, px): (&String, &f64)| Buffer {
                    geometry: None,
                    class: Some(named(class)),
                    by: Distance::Px(*px),
                };
                by_class.iter().map(of_class).collect()
            }
        },
        ..GeoJsonLabels::new(file)
    }
}

fn rule(rule: &pipeline::LabelFilter) -> ClassRule {
    let json = |word: &pipeline::Word| match word {
        pipeline::Word::Text(text) => text.clone().into(),
        pipeline::Word::Truth(truth) => (*truth).into(),
        pipeline::Word::Number(number) => (*number).into(),
    };
    let test = match &rule.equals {
        None => Test::Has,
        Some(pipeline::Match::One(word)) => Test::Compare(Comparison::Equal, json(word)),
        Some(pipeline::Match::Many(words)) => Test::In(words.iter().map(json).collect()),
    };
    ClassRule { class: named(&rule.class), when: Filter::Property { name: rule.property.clone(), test } }
}

/// Numbers of classes, changed by what the pipeline says of values; no list where it says nothing.
fn class_raster(pipeline: &Pipeline, file: FileRef) -> ClassRaster {
    let entry = &pipeline.labels;
    let mut map: BTreeMap<i64, Option<ClassRef>> = BTreeMap::new();
    if !entry.values.is_empty() || !entry.ignore.is_empty() {
        map.extend((0_u32..).zip(&pipeline.classes).map(|(id, _)| (i64::from(id), Some(ClassRef::Id(id)))));
        let told = entry.values.iter().filter_map(|(value, class)| Some((value.parse().ok()?, class)));
        map.extend(told.map(|(value, class)| (value, Some(named(class)))));
        map.extend(entry.ignore.iter().map(|value| (i64::from(*value), None)));
    }
    let map = map.into_iter().map(|(value, class)| ClassOfValue { value, class });
    ClassRaster { file, map: map.collect(), grid: entry.grid, nodata: Unlabelled::default() }
}

/// The classes' own colours, changed by what the pipeline says of others.
fn color_raster(pipeline: &Pipeline, file: FileRef) -> ColorRaster {
    let entry = &pipeline.labels;
    let own = pipeline.classes.iter().map(|class| (class.color.to_lowercase(), named(&class.name)));
    let mut colors: BTreeMap<String, ClassRef> = own.collect();
    colors.extend(entry.values.iter().map(|(color, class)| (color.to_lowercase(), named(class))));
    let colors = colors.into_iter().map(|(color, class)| ClassOfColor { color, class: Some(class) });
    ColorRaster { file, colors: colors.collect(), grid: entry.grid, nodata: Unlabelled::default() }
}

fn named(class: &str) -> ClassRef {
    ClassRef::Name(class.to_owned())
}
