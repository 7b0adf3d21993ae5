//! Labels that are pixels already: numbers of classes, or colours.

use std::collections::HashMap;

use swath_proto::{
    geometry::RectPx,
    scene::{FileRef, SceneHeader},
    source::{
        ClassList, ClassOfColor, ClassRaster, ClassRef, ColorRaster, IGNORED, Nodata, SourceSpec, Unlabelled,
    },
};

use super::{bad, grid, on_whole, window};
use crate::{
    block::Block,
    error::{RasterError, Result},
    pixels::{Pixels, Value, with_values},
    source::Source,
};

pub(super) struct ClassPixels {
    source: Source,
    /// Where the scene begins on the raster.
    start: [u32; 2],
    file: FileRef,
    classes: HashMap<i64, u8>,
    unlabelled: u8,
    names: String,
}

pub(super) struct ColorPixels {
    source: Source,
    /// Where the scene begins on the raster.
    start: [u32; 2],
    file: FileRef,
    classes: HashMap<[u8; 3], u8>,
    /// Colours by value, where the raster has one band.
    palette: Option<Vec<[u8; 3]>>,
    unlabelled: u8,
}

const fn unlabelled(nodata: Unlabelled, classes: &ClassList) -> u8 {
    match nodata {
        Unlabelled::Null => classes.null_class,
        Unlabelled::Ignored => IGNORED,
    }
}

fn class(classes: &ClassList, class: Option<&ClassRef>) -> std::result::Result<u8, String> {
    class.map_or(Ok(IGNORED), |class| classes.id(class))
}

impl ClassPixels {
    pub(super) fn open(spec: &ClassRaster, scene: &SceneHeader, classes: &ClassList) -> Result<Self> {
        let bad = bad(&spec.file);
        let mut source_spec = SourceSpec { bands: vec![0], ..SourceSpec::new(vec![spec.file.clone()]) };
        let mut source = Source::open(&source_spec)?;
        let of_value: HashMap<i64, u8> = if spec.map.is_empty() {
            (0..classes.names.len()).map(|id| (id as i64, id as u8)).collect()
        } else {
            let mut of_value = HashMap::new();
            for entry in &spec.map {
                let id = class(classes, entry.class.as_ref()).map_err(|why| bad(format!("map: {why}")))?;
                if of_value.insert(entry.value, id).is_some() {
                    return Err(bad(format!("map: value {} is there twice", entry.value)));
                }
            }
            // What the map names is a label, whatever the file calls it.
            if source
                .own_nodata()?
                .is_some_and(|nodata| spec.map.iter().any(|entry| entry.value as f64 == nodata))
            {
                source_spec.nodata = Some(Nodata::OfEach(Vec::new()));
                source = Source::open(&source_spec)?;
            }
            of_value
        };
        let (whole, start) = scene.uncropped();
        grid::check(&source, &whole, spec.grid).map_err(&bad)?;
        let unlabelled = unlabelled(spec.nodata, classes);
        let names = classes.names.join(", ");
        Ok(Self { source, start, file: spec.file.clone(), classes: of_value, unlabelled, names })
    }

    pub(super) fn burn(&self, rect: RectPx, out: &mut [u8]) -> Result<()> {
        let rect = on_whole(rect, self.start);
        let block = self.source.read(window(rect))?;
        let unknown = with_values!(&block.pixels, values => self.classify(values, &block, out));
        let Some((at, value)) = unknown else { return Ok(()) };
        let mut known: Vec<i64> = self.classes.keys().copied().collect();
        known.sort_unstable();
        Err(bad(&self.file)(format!(
            "value {value} at {} is of no class; values {known:?} are known, and the classes are {}",
            place(rect, at),
            self.names
        )))
    }

    /// The first pixel that is of no class, and its value.
    fn classify<T: Value>(&self, values: &[T], block: &Block, out: &mut [u8]) -> Option<(usize, f64)> {
        // Neighbours are mostly alike.
        let mask = block.mask();
        let mut last: Option<(T, u8)> = None;
        for (i, (value, out)) in values.iter().zip(out).enumerate() {
            *out = match (&mask, last) {
                (Some(mask), _) if mask.pixels[i] == 0 => self.unlabelled,
                (_, Some((known, class))) if known == *value => class,
                _ => {
                    let number = value.to_f64();
                    let id = Some(number as i64).filter(|whole| *whole as f64 == number);
                    let Some(class) = id.and_then(|id| self.classes.get(&id)) else {
                        return Some((i, number));
                    };
                    last = Some((*value, *class));
                    *class
                }
            };
        }
        None
    }
}

impl ColorPixels {
    pub(super) fn open(spec: &ColorRaster, scene: &SceneHeader, classes: &ClassList) -> Result<Self> {
        let bad = bad(&spec.file);
        let mut of_color = HashMap::new();
        for ClassOfColor { color, class: wanted } in &spec.colors {
            let rgb = rgb(color).ok_or_else(|| bad(format!("colors: '{color}' must look like #ff8800")))?;
            let id = class(classes, wanted.as_ref()).map_err(|why| bad(format!("colors: {why}")))?;
            if of_color.insert(rgb, id).is_some() {
                return Err(bad(format!("colors: {color} is there twice")));
            }
        }
        if of_color.is_empty() {
            return Err(bad("colors: it is empty".into()));
        }
        let source = Source::open(&SourceSpec::new(vec![spec.file.clone()]))?;
        let palette = source.palette()?;
        if source.type_name() != "u8"
            || (source.n_bands() != 3 && (source.n_bands() != 1 || palette.is_none()))
        {
            return Err(bad(format!(
                "a colour-coded raster has three 8-bit bands, or one with a palette; it has {} of type {}",
                source.n_bands(),
                source.type_name()
            )));
        }
        let (whole, start) = scene.uncropped();
        grid::check(&source, &whole, spec.grid).map_err(&bad)?;
        let palette = if source.n_bands() == 1 { palette } else { None };
        let unlabelled = unlabelled(spec.nodata, classes);
        Ok(Self { source, start, file: spec.file.clone(), classes: of_color, palette, unlabelled })
    }

    pub(super) fn burn(&self, rect: RectPx, out: &mut [u8]) -> Result<()> {
        let rect = on_whole(rect, self.start);
        let block = self.source.read(window(rect))?;
        let Pixels::U8(bytes) = &block.pixels else {
            return Err(bad(&self.file)("its pixels are not bytes".into()));
        };
        let mask = block.mask();
        let mut last: Option<([u8; 3], u8)> = None;
        for (i, (pixel, out)) in bytes.chunks_exact(block.bands).zip(out).enumerate() {
            if mask.as_ref().is_some_and(|mask| mask.pixels[i] == 0) {
                *out = self.unlabelled;
                continue;
            }
            let color = match (pixel, &self.palette) {
                ([r, g, b], _) => [*r, *g, *b],
                ([index, ..], Some(palette)) => match palette.get(usize::from(*index)) {
                    Some(color) => *color,
                    None => return Err(self.unknown(rect, i, &format!("palette index {index}"))),
                },
                _ => return Err(self.unknown(rect, i, "a pixel without a colour")),
            };
            *out = match last {
                Some((known, class)) if known == color => class,
                _ => {
                    let Some(class) = self.classes.get(&color) else {
                        let [r, g, b] = color;
                        return Err(self.unknown(rect, i, &format!("colour #{r:02x}{g:02x}{b:02x}")));
                    };
                    last = Some((color, *class));
                    *class
                }
            };
        }
        Ok(())
    }

    fn unknown(&self, rect: RectPx, at: usize, what: &str) -> RasterError {
        let mut known: Vec<String> =
            self.classes.keys().map(|[r, g, b]| format!("#{r:02x}{g:02x}{b:02x}")).collect();
        known.sort_unstable();
        bad(&self.file)(format!(
            "{what} at {} is of no class; known are {}",
            place(rect, at),
            known.join(", ")
        ))
    }
}

fn place(rect: RectPx, at: usize) -> String {
    let (col, row) = (at % rect.width as usize, at / rect.width as usize);
    format!("column {}, row {}", rect.col as usize + col, rect.row as usize + row)
}

fn rgb(color: &str) -> Option<[u8; 3]> {
    let digits = color.strip_prefix('#').filter(|digits| digits.len() == 6 && digits.is_ascii())?;
    let byte = |i: usize| u8::from_str_radix(&digits[2 * i..2 * i + 2], 16).ok();
    Some([byte(0)?, byte(1)?, byte(2)?])
}
