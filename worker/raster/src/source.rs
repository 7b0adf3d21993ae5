//! The one way in which a scene's pixels are read, by whatever stage: from one file or several, band by
//! band as asked for, what is missing told apart from what is there.

use std::cell::RefCell;

use swath_proto::{
    geometry::{RectPx, SizePx, WindowPx},
    ids::SceneId,
    scene::{FileRef, Georeference, SceneHeader},
    source::{Reclass, SourceLayout, SourceSpec},
};

use crate::{
    block::{Block, Mask, Scaled, Valid},
    error::{Kind, RasterError, Result},
    missing::{Marks, Missing},
    mosaic::{self, Placed},
    pixels::{DataType, Value, with_type},
    raster::{Raster, clipped},
    scale::Scaler,
};

/// Files that are kept open at a time: a mosaic may have more than a process may open.
const MAX_OPEN: usize = 32;

/// A scene's pixels: to be used on one thread at a time.
pub struct Source {
    spec: SourceSpec,
    files: Vec<Placed>,
    /// Counted from 1, as GDAL does.
    bands: Vec<usize>,
    /// As the specification has it, one for each band.
    nodata: Option<Vec<f64>>,
    data_type: DataType,
    size: SizePx,
    georeference: Option<Georeference>,
    /// Tiles or strips of the first file.
    block: SizePx,
    scaler: Scaler,
    /// The most recently used last.
    open: RefCell<Vec<(usize, Raster)>>,
}

impl Source {
    /// Opens every file once, to see how they lie.
    pub fn open(spec: &SourceSpec) -> Result<Self> {
        let mut source = Self::of_first(spec)?;
        let (others, georeference) = source.with_file(0, |first| {
            let place = |file: &FileRef| mosaic::place(first, &Raster::open(&file.uri)?, &source.bands);
            Ok((spec.files[1..].iter().map(place).collect::<Result<Vec<_>>>()?, first.georeference()?))
        })?;
        source.files.extend(others);
        (source.size, source.georeference) = mosaic::join(&mut source.files, georeference)?;
        Ok(source)
    }

    /// Opens a scene whose files were seen before. All but the first are opened when a window needs them.
    pub fn open_at(spec: &SourceSpec, layout: &SourceLayout) -> Result<Self> {
        let mut source = Self::of_first(spec)?;
        if layout.files.len() != spec.files.len() {
            let why = format!("{} files are named, and {} were seen", spec.files.len(), layout.files.len());
            return Err(RasterError::new(Kind::Unsupported, "opening a scene", why));
        }
        let placed = |(file, at): (&FileRef, &WindowPx)| Placed::new(&file.uri, [at.col, at.row], at.size());
        source.with_file(0, |first| unchanged(first, layout.files[0].size()))?;
        source.files = spec.files.iter().zip(&layout.files).map(placed).collect();
        (source.size, source.georeference) = (layout.size, layout.georeference.clone());
        Ok(source)
    }

    /// What [`Source::open_at`] needs.
    pub fn layout(&self) -> SourceLayout {
        SourceLayout {
            size: self.size,
            georeference: self.georeference.clone(),
            files: self.files.iter().map(Placed::window).collect(),
        }
    }

    fn of_first(spec: &SourceSpec) -> Result<Self> {
        let first = spec.files.first().ok_or_else(|| {
            RasterError::new(Kind::Unsupported, "opening a scene", "it has no file: `files` is empty")
        })?;
        let raster = Raster::open(&first.uri)?;
        let bands = chosen(&raster, &spec.bands)?;
        let data_type = raster.data_type(&bands)?;
        let wrong = |why| RasterError::new(Kind::Unsupported, format!("opening {}", first.uri), why);
        let nodata = Missing::of_spec(spec, bands.len())
            .and_then(|nodata| with_type!(data_type, T => check::<T>(spec, nodata)))
            .map_err(wrong)?;
        let scaler = Scaler::new(&spec.scaling, bands.len()).map_err(wrong)?;
        Ok(Self {
            spec: spec.clone(),
            files: vec![Placed::new(&first.uri, [0, 0], raster.size())],
            bands,
            nodata,
            data_type,
            size: raster.size(),
            georeference: None,
            block: raster.block()?,
            scaler,
            open: RefCell::new(vec![(0, raster)]),
        })
    }

    /// What is missing of a file, as itself and the specification say.
    fn missing(&self, i: usize) -> Result<&Missing> {
        let found = &self.files[i].missing;
        if let Some(missing) = found.get() {
            return Ok(missing);
        }
        let missing = self.with_file(i, |raster| {
            Missing::of(raster, self.nodata.as_deref(), self.spec.use_mask, &self.bands)
        })?;
        Ok(found.get_or_init(|| missing))
    }

    pub const fn size(&self) -> SizePx {
        self.size
    }

    /// Of what is read: the channels of the network.
    pub fn n_bands(&self) -> usize {
        self.bands.len()
    }

    pub fn georeference(&self) -> Option<&Georeference> {
        self.georeference.as_ref()
    }

    pub fn spec(&self) -> &SourceSpec {
        &self.spec
    }

    /// Turns what [`Source::read`] gives into what networks take.
    pub fn scaler(&self) -> &Scaler {
        &self.scaler
    }

    /// Of all files as one.
    pub fn header(&self, id: SceneId) -> Result<SceneHeader> {
        let header = self.with_file(0, |raster| raster.header(id, self.spec.clone()))?;
        let SourceLayout { size, georeference, files: places } = self.layout();
        Ok(SceneHeader { size, georeference, places, ..header })
    }

    /// The scene of an item.
    pub fn of_scene(scene: &SceneHeader) -> Result<Self> {
        Self::open_at(&scene.source, &scene.layout())
    }

    /// What the first file itself calls nodata in the first band that is read.
    pub(crate) fn own_nodata(&self) -> Result<Option<f64>> {
        self.with_file(0, |raster| {
            let band = raster.dataset().rasterband(self.bands[0]).map_err(|error| raster.failed(error))?;
            Ok(band.no_data_value())
        })
    }

    /// The colours of the first band's values, if it has a palette.
    pub(crate) fn palette(&self) -> Result<Option<Vec<[u8; 3]>>> {
        self.with_file(0, |raster| {
            let band = raster.dataset().rasterband(self.bands[0]).map_err(|error| raster.failed(error))?;
            let Some(table) = band.color_table() else { return Ok(None) };
            let color = |i| {
                let entry = table.entry_as_rgb(i)?;
                Some([entry.r, entry.g, entry.b].map(|value| value.clamp(0, 255) as u8))
            };
            Ok((0..table.entry_count()).map(color).collect())
        })
    }

    /// Of the pixels as they are read.
    pub fn type_name(&self) -> &'static str {
        with_type!(self.data_type, T => T::wrap(Vec::new()).type_name())
    }

    pub(crate) const fn block(&self) -> SizePx {
        self.block
    }

    pub(crate) const fn data_type(&self) -> DataType {
        self.data_type
    }

    /// Reads a window, which may reach beyond the scene.
    pub fn read(&self, window: WindowPx) -> Result<Block> {
        with_type!(self.data_type, T => self.read_as::<T>(window))
    }

    /// Reads a window and scales it as the specification says.
    pub fn read_scaled(&self, window: WindowPx) -> Result<Scaled> {
        let block = self.read(window)?;
        let mut values = vec![0.0; block.pixels.len()];
        self.scaler.scale(&block, window, &mut values);
        Ok(Scaled { values, valid: block.valid })
    }

    fn read_as<T: Value>(&self, window: WindowPx) -> Result<Block> {
        let n = self.bands.len();
        let n_pixels = window.size().pixels() as usize;
        let mut values = vec![T::default(); n_pixels * n];
        let mut touching = Vec::new();
        for (i, file) in self.files.iter().enumerate() {
            let (col, row) = (window.col.saturating_sub(file.col), window.row.saturating_sub(file.row));
            let local = WindowPx { col, row, ..window };
            if let Some(rect) = clipped(local, file.size) {
                touching.push(Touching { i, file, missing: self.missing(i)?, local, rect });
            }
        }
        let is_clean = |part: &Touching| part.missing.is_clean::<T>();
        let all_clean = touching.iter().all(is_clean);
        // Without a plane of its own where a rectangle says it.
        let simple = match touching.as_slice() {
            [] => Some(Valid::Within(WindowPx { width: 0, height: 0, ..window })),
            files if all_clean && files.iter().any(|part| part.rect.size() == window.size()) => {
                Some(Valid::All)
            }
            [Touching { file, rect, .. }] if all_clean => Some(Valid::Within(WindowPx {
                col: file.col + i64::from(rect.col),
                row: file.row + i64::from(rect.row),
                width: rect.width,
                height: rect.height,
            })),
            _ => None,
        };
        let by_sample = n > 1 && touching.iter().any(|part| part.missing.is_by_sample::<T>());
        let mut mask = simple
            .is_none()
            .then(|| Mask { pixels: vec![0; n_pixels], samples: by_sample.then(|| vec![0; n_pixels * n]) });
        for (order, part) in touching.into_iter().enumerate() {
            let Touching { missing, local, rect, .. } = part;
            self.with_file(part.i, |raster| {
                // What lies lowest can be cleaned where it stands.
                if is_clean(&part) || order == 0 {
                    raster.read_into::<T>(local, &self.bands, &mut values)?;
                    let marks = missing.marks(raster, &self.bands, rect)?;
                    self.clean_in_place(&marks, rect, local, &mut values, mask.as_mut());
                    return Ok(());
                }
                let mut upper = vec![T::default(); rect.pixels() as usize * n];
                let here = WindowPx::new(rect.col.into(), rect.row.into(), rect.width, rect.height);
                raster.read_into::<T>(here, &self.bands, &mut upper)?;
                let marks = missing.marks(raster, &self.bands, rect)?;
                let mut upper_mask = Mask {
                    pixels: vec![0; rect.pixels() as usize],
                    samples: by_sample.then(|| vec![0; upper.len()]),
                };
                self.clean_in_place(&marks, rect, here, &mut upper, Some(&mut upper_mask));
                if let Some(mask) = &mut mask {
                    lay_over((&upper, &upper_mask), rect, n, (&mut values, mask), local);
                }
                Ok(())
            })?;
        }
        let valid = simple.or_else(|| mask.map(Valid::Each)).unwrap_or(Valid::All);
        Ok(Block { window, bands: n, pixels: T::wrap(values), valid })
    }

    /// Zeroes what is missing of a rectangle, and writes down what is not.
    fn clean_in_place<T: Value>(
        &self,
        marks: &Marks,
        rect: RectPx,
        window: WindowPx,
        values: &mut [T],
        mut mask: Option<&mut Mask>,
    ) {
        let n = self.bands.len();
        if mask.is_none() && self.spec.reclass.is_empty() {
            return;
        }
        let mut cleaner = marks.cleaner::<T>(rect.width as usize, n, self.spec.nan);
        let reclass = &self.spec.reclass;
        for row in 0..rect.height {
            let line_rect = RectPx { row: rect.row + row, height: 1, ..rect };
            let at = crate::raster::first_pixel(line_rect, window);
            let pixels = at..at + rect.width as usize;
            let line = &mut values[pixels.start * n..pixels.end * n];
            let clean = cleaner.clean(line, row as usize);
            if let Some(mask) = mask.as_deref_mut() {
                match (&mut mask.samples, clean) {
                    (samples, None) => {
                        mask.pixels[pixels.clone()].fill(1);
                        if let Some(samples) = samples {
                            samples[pixels.start * n..pixels.end * n].fill(1);
                        }
                    }
                    (samples, Some(valid)) => {
                        let of_pixels = mask.pixels[pixels.clone()].iter_mut().zip(valid.chunks_exact(n));
                        of_pixels
                            .for_each(|(pixel, bands)| *pixel = bands.iter().fold(0, |any, one| any | one));
                        if let Some(samples) = samples {
                            samples[pixels.start * n..pixels.end * n].copy_from_slice(valid);
                        }
                    }
                }
            }
            if !reclass.is_empty() {
                apply(reclass, line, clean);
            }
        }
    }

    fn with_file<R>(&self, i: usize, work: impl FnOnce(&Raster) -> Result<R>) -> Result<R> {
        let mut open = self.open.borrow_mut();
        match open.iter().position(|(file, _)| *file == i) {
            Some(at) => open[at..].rotate_left(1),
            None => {
                let raster = Raster::open(&self.files[i].uri)?;
                unchanged(&raster, self.files[i].size)?;
                if open.len() == MAX_OPEN {
                    open.remove(0);
                }
                open.push((i, raster));
            }
        }
        match open.last() {
            Some((_, raster)) => work(raster),
            None => Err(RasterError::new(Kind::Missing, "reading a scene", "it has no file")),
        }
    }
}

/// A file that a window lies on.
struct Touching<'a> {
    i: usize,
    file: &'a Placed,
    missing: &'a Missing,
    /// The window in the file's pixels, and the part of it that the file has.
    local: WindowPx,
    rect: RectPx,
}

/// What was seen of a file may be out of date.
fn unchanged(raster: &Raster, seen: SizePx) -> Result<()> {
    let SizePx { width, height } = raster.size();
    if raster.size() == seen {
        return Ok(());
    }
    let why = format!("it has {width} x {height} px now, and had {} x {}", seen.width, seen.height);
    Err(RasterError::new(Kind::Unreadable, format!("opening {}", raster.uri()), why))
}

/// Bands counted from 1. Without a choice all that are not alpha.
fn chosen(raster: &Raster, bands: &[u32]) -> Result<Vec<usize>> {
    let available = raster.dataset().raster_count();
    if bands.is_empty() {
        let alpha = raster.alpha_band()?;
        let all: Vec<usize> = (1..=available).filter(|band| Some(*band) != alpha).collect();
        // An alpha band alone is an image as any other.
        return Ok(if all.is_empty() { vec![1] } else { all });
    }
    if let Some(missing) = bands.iter().find(|band| **band as usize >= available) {
        let plural = if available == 1 { "band" } else { "bands" };
        let why = format!(
            "band {} is asked for, and it has {available} {plural} (data.bands counts from 1)",
            u64::from(*missing) + 1
        );
        return Err(RasterError::new(Kind::BandMissing, format!("opening {}", raster.uri()), why));
    }
    Ok(bands.iter().map(|band| *band as usize + 1).collect())
}

/// Whether values of the specification can stand in pixels of the file's type.
fn check<T: Value>(
    spec: &SourceSpec,
    nodata: Option<Vec<f64>>,
) -> std::result::Result<Option<Vec<f64>>, String> {
    let name = T::wrap(Vec::new()).type_name();
    let fits = |what: &str, value: f64| match T::exactly(value) {
        Some(_) => Ok(()),
        None => Err(format!("{what} = {value} can't stand in pixels of type {name}")),
    };
    for value in nodata.iter().flatten().filter(|value| !value.is_nan()) {
        fits("nodata", *value)?;
    }
    for Reclass { from, to, into } in &spec.reclass {
        fits("reclass.into", *into)?;
        if from > to || from.is_nan() || to.is_nan() {
            return Err(format!("reclass from {from} to {to} holds no value"));
        }
    }
    match spec.nan {
        Some(nan) if T::IS_FLOAT => fits("nan", f64::from(nan))?,
        _ => {}
    }
    Ok(nodata)
}

/// What is missing stays 0.
fn apply<T: Value>(reclass: &[Reclass], line: &mut [T], valid: Option<&[u8]>) {
    for (i, value) in line.iter_mut().enumerate() {
        if valid.is_some_and(|valid| valid[i] == 0) {
            continue;
        }
        let old = value.to_f64();
        let rule = reclass.iter().find(|rule| rule.from <= old && old <= rule.to);
        if let Some(new) = rule.and_then(|rule| T::exactly(rule.into)) {
            *value = new;
        }
    }
}

/// Copies the valid pixels of a rectangle over those of a window around it.
fn lay_over<T: Value>(
    upper: (&[T], &Mask),
    rect: RectPx,
    n: usize,
    lower: (&mut [T], &mut Mask),
    window: WindowPx,
) {
    let (lower, lower_mask) = lower;
    for row in 0..rect.height {
        let line_rect = RectPx { row: rect.row + row, height: 1, ..rect };
        let to = crate::raster::first_pixel(line_rect, window);
        let from = row as usize * rect.width as usize;
        for i in 0..rect.width as usize {
            if upper.1.pixels[from + i] == 0 {
                continue;
            }
            let (from, to) = (from + i, to + i);
            lower[to * n..(to + 1) * n].copy_from_slice(&upper.0[from * n..(from + 1) * n]);
            lower_mask.pixels[to] = 1;
            if let (Some(lower), Some(upper)) = (&mut lower_mask.samples, &upper.1.samples) {
                lower[to * n..(to + 1) * n].copy_from_slice(&upper[from * n..(from + 1) * n]);
            }
        }
    }
}
