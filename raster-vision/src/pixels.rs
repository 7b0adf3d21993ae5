//! `raster_source`: which bands are read, and what transformers make of their values.

use serde_json::Value;

use crate::told::{Bad, Object, Result, shown};

/// Of one scene.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Pixels {
    pub(crate) uris: Vec<String>,
    /// Counted from 0.
    pub(crate) bands: Option<Vec<u32>>,
    pub(crate) nan: Option<f64>,
    /// Values, and what stands for each.
    pub(crate) reclass: Vec<(f64, f64)>,
    pub(crate) scale: Scale,
    /// Of a raster of labels.
    pub(crate) is_colors: bool,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) enum Scale {
    #[default]
    Cast,
    /// By statistics of a group of scenes; `is_of_image`: they are in the order of the image's bands.
    Stats { group: String, is_of_image: bool },
    /// Each chip by its own smallest and largest value.
    Chip,
    /// They come as fractions, and stay so.
    None,
}

impl Pixels {
    pub(crate) fn read(mut object: Object<'_>) -> Result<Self> {
        match object.kind()?.as_str() {
            "rasterio_source" => {}
            kind @ ("multi_raster_source" | "xarray_source") => {
                return Err(object.bad(
                    "type_hint",
                    format!("{kind} has no counterpart: make one file of the bands of a scene, gdalbuildvrt -separate for instance"),
                ));
            }
            kind => {
                return Err(object.bad("type_hint", format!("{kind} is no source of images that is known")));
            }
        }
        let mut pixels =
            Self { uris: object.texts("uris")?, bands: object.wholes("channel_order")?, ..Self::default() };
        if pixels.uris.is_empty() {
            return Err(object.bad("uris", "names no file"));
        }
        object.pass(&["allow_streaming"]);
        object.without(
            "bbox",
            &Value::Null,
            "has no counterpart: cut the image, or name an area of interest",
        );
        for transformer in object.objects("transformers")? {
            pixels.transform(transformer)?;
        }
        object.end();
        Ok(pixels)
    }

    fn transform(&mut self, mut object: Object<'_>) -> Result<()> {
        // What comes behind the scaling works on its levels there, and on the file's values here.
        if self.scale != Scale::Cast {
            object.tell(
                "type_hint",
                "comes behind what scales the values there; here values are replaced first",
            );
        }
        match object.kind()?.as_str() {
            "stats_transformer" => {
                let group = object.text("scene_group")?.unwrap_or_else(|| "train_scenes".into());
                self.scale = Scale::Stats { group, is_of_image: object.truth("needs_channel_order")? };
                object.pass(&["stats_uri"]);
            }
            "nan_transformer" => self.nan = Some(object.number("to_value")?.unwrap_or(0.0)),
            "reclass_transformer" => {
                for (from, to) in object.pairs("mapping")? {
                    let pair = from.parse::<f64>().ok().zip(to.as_f64());
                    let pair = pair.filter(|(from, to)| from.is_finite() && to.is_finite());
                    self.reclass
                        .push(pair.ok_or_else(|| object.bad("mapping", "must be of numbers to numbers"))?);
                }
            }
            "min_max_transformer" => self.scale = Scale::Chip,
            "rgb_class_transformer" => {
                self.is_colors = true;
                object.pass(&["class_config"]);
            }
            "cast_transformer" => {
                let to = object.text("to_dtype")?.unwrap_or_default();
                if to.trim_start_matches("np.").starts_with("float") {
                    self.scale = Scale::None;
                } else {
                    object.tell(
                        "to_dtype",
                        format!(
                            "{}: has no counterpart: values are read as they are",
                            shown(&Value::String(to))
                        ),
                    );
                }
            }
            kind => {
                return Err(Bad::new(
                    object.place("type_hint"),
                    format!("{kind} has no counterpart: values would not be what the network knows"),
                ));
            }
        }
        object.end();
        Ok(())
    }
}
