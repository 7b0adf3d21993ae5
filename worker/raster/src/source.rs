//! The one way in which a scene's pixels are read, by whatever stage: from one file or several, band by
//! band as asked for, what is missing told apart from what is there.

mod read;

use std::cell::RefCell;

use swath_proto::{
    geometry::{SizePx, WindowPx},
    ids::SceneId,
    scene::{FileRef, Georeference, SceneHeader},
    source::{Reclass, SourceLayout, SourceSpec},
};

use crate::{
    error::{Kind, RasterError, Result},
    missing::Missing,
    mosaic::{self, Placed},
    pixels::{DataType, Value, with_type},
    raster::Raster,
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
        let is_bytes = matches!(data_type, DataType::U8);
        let scaler = Scaler::new(&spec.scaling, bands.len(), is_bytes).map_err(wrong)?;
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
