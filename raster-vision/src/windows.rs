//! `chip_options` and `predict_options`: which windows are learnt from, and how a scene is gone over.

use serde_json::Value;
use toml::Table;

use crate::{
    classes::Classes,
    told::{Object, Result},
    written::{set, set_some, texts, wholes},
};

const CHIP_PX: u32 = 300;

/// Chips, as `[chips]` has them. `img_px`: to which they are resized there. Says whether they are brought to it here too.
pub(crate) fn chips(
    mut options: Object<'_>,
    sampling: Option<Value>,
    classes: &Classes,
    img_px: u32,
) -> Result<(Table, bool)> {
    let mut table = Table::new();
    let sampling = match sampling {
        Some(of_data) => {
            options.pass(&["sampling"]);
            Object::new("backend.data.sampling", of_data, options.teller())?
        }
        None => options.needs("sampling")?,
    };
    let is_resized = of_sampling(one_of(sampling)?, img_px, &mut table)?;
    if let Some(targets) = options.wholes("target_class_ids")? {
        set(&mut table, "target_classes", texts(targets.into_iter().filter_map(|id| classes.name(id))));
        set_some(
            &mut table,
            "target_count_threshold",
            options.whole("target_count_threshold")?.map(i64::from),
        );
        set_some(&mut table, "negative_survival_prob", options.number("negative_survival_prob")?);
    }
    set_some(
        &mut table,
        "nodata_threshold",
        options.number("nodata_threshold")?.filter(|share| *share != 1.0),
    );
    options.pass(&["type_hint", "target_count_threshold", "negative_survival_prob"]);
    options.end();
    Ok((table, is_resized))
}

/// Scenes may each have their own.
fn one_of(mut sampling: Object<'_>) -> Result<Object<'_>> {
    if sampling.holds("size") {
        return Ok(sampling);
    }
    let Some(first) = sampling.first_key() else { return Err(sampling.bad("size", "is missing")) };
    sampling.tell(&first, "each scene has windows of its own; here all have those of this one");
    sampling.needs(&first)
}

fn of_sampling(mut sampling: Object<'_>, img_px: u32, table: &mut Table) -> Result<bool> {
    let is_random = sampling.text("method")?.as_deref() == Some("random");
    let size = sides(&mut sampling, "size")?.unwrap_or([CHIP_PX; 2]);
    let stride = sides(&mut sampling, "stride")?;
    let padding = sides(&mut sampling, "padding")?;
    let is_resized = size != [img_px; 2];
    if is_random {
        set(table, "windows", "random");
        // To one size at once, and not to two in turn.
        set(table, "size", i64::from(img_px));
        let limits = ["size_lims", "w_lims", "h_lims"].map(|key| sampling.wholes(key));
        for (key, limits) in ["sizes", "widths", "heights"].into_iter().zip(limits) {
            set_some(table, key, limits?.map(wholes));
        }
        if !["sizes", "widths"].iter().any(|key| table.contains_key(*key)) {
            set(table, "sizes", wholes([size[0], size[0].saturating_add(1)]));
        }
        set_some(table, "max_windows", sampling.whole("max_windows")?.map(i64::from));
        set_some(table, "max_sample_attempts", sampling.whole("max_sample_attempts")?.map(i64::from));
    } else {
        set(table, "size", written(size));
        set_some(table, "stride", stride.filter(|stride| *stride != size).map(written));
        if padding.is_some_and(|padding| padding != [0; 2]) {
            set_some(table, "pad_direction", sampling.text("pad_direction")?.filter(|word| word != "end"));
        }
        sampling.pass(&["size_lims", "w_lims", "h_lims", "max_windows", "max_sample_attempts"]);
        if is_resized {
            sampling.tell(
                "size",
                format!("backend.data.img_sz = {img_px} resizes chips there; here the network sees them as they are cut"),
            );
        }
    }
    set_some(table, "padding", padding.map(written));
    if sampling.take("within_aoi") == Some(Value::Bool(false)) {
        sampling.tell("within_aoi", "false: windows lie within the area of interest here");
    }
    sampling.pass(&["type_hint", "pad_direction", "efficient_aoi_sampling"]);
    sampling.end();
    Ok(is_random && is_resized)
}

/// `[width, height]`, of an edge or of `[height, width]`.
fn sides(object: &mut Object<'_>, key: &str) -> Result<Option<[u32; 2]>> {
    match object.take(key) {
        None => Ok(None),
        Some(value @ Value::Number(_)) => {
            object.put(key, value);
            Ok(object.whole(key)?.map(|edge| [edge; 2]))
        }
        Some(value) => {
            object.put(key, value);
            match object.wholes(key)?.as_deref() {
                Some([height, width]) => Ok(Some([*width, *height])),
                _ => Err(object.bad(key, "must be an edge, or a height and a width")),
            }
        }
    }
}

fn written([width, height]: [u32; 2]) -> toml::Value {
    if width == height { toml::Value::Integer(width.into()) } else { wholes([width, height]) }
}

/// How Raster Vision goes over a scene.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Going {
    pub(crate) chip_px: u32,
    /// Context on each side that others decide.
    pub(crate) margin_px: u32,
}

impl Going {
    pub(crate) fn read(options: Option<Object<'_>>) -> Result<Self> {
        let Some(mut options) = options else { return Ok(Self { chip_px: CHIP_PX, margin_px: 0 }) };
        let chip_px = options.whole("chip_sz")?.unwrap_or(CHIP_PX);
        if !(16..=8192).contains(&chip_px) {
            return Err(options.bad("chip_sz", format!("{chip_px}: must be 16 to 8192")));
        }
        let stride = options.whole("stride")?.unwrap_or(chip_px).clamp(1, chip_px);
        let crop = options.whole("crop_sz")?.unwrap_or(0);
        // No less than a third is kept.
        let margin_px = ((chip_px - stride) / 2).max(crop).min(chip_px / 3);
        if margin_px > 0 {
            options.tell(
                "stride",
                format!(
                    "{stride}: windows overlap, and their predictions are counted there; here the inner {} px of each are kept \
                     (predict.blend = \"hann\" blends them)",
                    chip_px - 2 * margin_px
                ),
            );
        }
        options.pass(&["type_hint", "batch_sz"]);
        options.end();
        Ok(Self { chip_px, margin_px })
    }

    pub(crate) const fn core_px(self) -> u32 {
        self.chip_px - 2 * self.margin_px
    }
}
