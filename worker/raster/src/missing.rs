//! Which pixels of a file are missing: by a value, by a mask or an alpha band, or by not being numbers.

use swath_proto::{
    geometry::RectPx,
    source::{Nodata, SourceSpec},
};

use crate::{error::Result, pixels::Value, raster::Raster};

/// How a file says what is missing.
#[derive(Clone, Debug)]
pub(crate) struct Missing {
    /// One for each band that is read; NaN is in no need of being named.
    nodata: Vec<Option<f64>>,
    mask: MaskFrom,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum MaskFrom {
    Nowhere,
    /// One for the whole file.
    Dataset,
    /// An alpha band, counted from 1.
    Alpha(usize),
    EachBand,
}

/// What is missing of one rectangle.
pub(crate) struct Marks<'a> {
    missing: &'a Missing,
    /// Planes of masks: none, one, or one for each band.
    planes: Vec<Vec<u8>>,
}

/// Goes over lines of one rectangle.
pub(crate) struct Cleaner<'a, T> {
    marks: &'a Marks<'a>,
    /// Nodata value and whether there is one, repeated for a whole line, so that a line is one loop.
    nodata: Vec<(T, bool)>,
    nan: Option<T>,
    width: usize,
    n: usize,
    valid: Vec<u8>,
}

impl Missing {
    /// The nodata values that the specification names, one for each band. `None`: those of the file.
    pub(crate) fn of_spec(spec: &SourceSpec, bands: usize) -> std::result::Result<Option<Vec<f64>>, String> {
        match &spec.nodata {
            None => Ok(None),
            Some(Nodata::OfAll(value)) => Ok(Some(vec![*value; bands])),
            Some(Nodata::OfEach(values)) if values.is_empty() || values.len() == bands => {
                Ok(Some(values.clone()))
            }
            Some(Nodata::OfEach(values)) => {
                Err(format!("nodata has {} values for {bands} bands", values.len()))
            }
        }
    }

    pub(crate) fn of(
        raster: &Raster,
        nodata: Option<&[f64]>,
        use_mask: bool,
        bands: &[usize],
    ) -> Result<Self> {
        let dataset = raster.dataset();
        let band = |band| dataset.rasterband(band).map_err(|error| raster.failed(error));
        let nodata = match nodata {
            Some(values) => (0..bands.len()).map(|i| values.get(i).copied()).collect(),
            None => bands.iter().map(|i| Ok(band(*i)?.no_data_value())).collect::<Result<Vec<_>>>()?,
        };
        let nodata = nodata.into_iter().map(|value| value.filter(|value| !value.is_nan())).collect();
        let flags = band(bands[0])?.mask_flags().map_err(|error| raster.failed(error))?;
        let mask = if !use_mask {
            MaskFrom::Nowhere
        } else if let Some(alpha) = raster.alpha_band()? {
            MaskFrom::Alpha(alpha)
        } else if flags.is_all_valid() || (flags.is_nodata() && !flags.is_per_dataset()) {
            MaskFrom::Nowhere
        } else if flags.is_per_dataset() {
            MaskFrom::Dataset
        } else {
            MaskFrom::EachBand
        };
        Ok(Self { nodata, mask })
    }

    /// Nothing of the file is missing, and its pixels are taken as they are.
    pub(crate) fn is_clean<T: Value>(&self) -> bool {
        self.mask == MaskFrom::Nowhere && !self.is_by_sample::<T>()
    }

    /// A band of a pixel can be missing while others are not.
    pub(crate) fn is_by_sample<T: Value>(&self) -> bool {
        T::IS_FLOAT
            || self.mask == MaskFrom::EachBand
            || self.nodata.iter().flatten().any(|value| T::exactly(*value).is_some())
    }

    /// Planes of bytes that are read beside `bands` bands.
    pub(crate) const fn n_planes(&self, bands: usize) -> usize {
        match self.mask {
            MaskFrom::Nowhere => 0,
            MaskFrom::Dataset | MaskFrom::Alpha(_) => 1,
            MaskFrom::EachBand => bands,
        }
    }

    pub(crate) fn marks(&self, raster: &Raster, bands: &[usize], rect: RectPx) -> Result<Marks<'_>> {
        let plane = || vec![0; rect.pixels() as usize];
        let mask_of = |band| {
            let mut out = plane();
            raster.read_mask(band, rect, &mut out).map(|()| out)
        };
        let planes = match self.mask {
            MaskFrom::Nowhere => Vec::new(),
            MaskFrom::Dataset => vec![mask_of(bands[0])?],
            MaskFrom::EachBand => bands.iter().map(|band| mask_of(*band)).collect::<Result<_>>()?,
            MaskFrom::Alpha(band) => {
                let mut out = plane();
                raster.read_part::<u8>(rect, rect.into(), &[band], &mut out)?;
                vec![out]
            }
        };
        Ok(Marks { missing: self, planes })
    }
}

impl Marks<'_> {
    pub(crate) fn cleaner<T: Value>(&self, width: usize, n: usize, nan: Option<f32>) -> Cleaner<'_, T> {
        let of_bands: Vec<(T, bool)> = self
            .missing
            .nodata
            .iter()
            .map(|value| match value.and_then(T::exactly) {
                Some(value) => (value, true),
                None => (T::default(), false),
            })
            .collect();
        let any = of_bands.iter().any(|(_, named)| *named);
        let nodata = if any { of_bands.repeat(width) } else { Vec::new() };
        let nan = nan.and_then(|nan| T::exactly(f64::from(nan)));
        Cleaner { marks: self, nodata, nan, width, n, valid: Vec::new() }
    }
}

impl<T: Value> Cleaner<'_, T> {
    /// Zeroes what is missing of line `row`. Gives back a 1 for each sample that is valid, or nothing if all
    /// are.
    pub(crate) fn clean(&mut self, line: &mut [T], row: usize) -> Option<&[u8]> {
        let planes = &self.marks.planes;
        if self.nodata.is_empty() && !T::IS_FLOAT && planes.is_empty() {
            return None;
        }
        self.valid.clear();
        self.valid.resize(line.len(), 1);
        let zero = T::default();
        if !self.nodata.is_empty() {
            for ((value, valid), (nodata, named)) in line.iter_mut().zip(&mut self.valid).zip(&self.nodata) {
                let missing = *named & (*value == *nodata);
                *valid = u8::from(!missing);
                *value = if missing { zero } else { *value };
            }
        }
        if T::IS_FLOAT {
            match self.nan {
                Some(nan) => {
                    line.iter_mut().for_each(|value| *value = if value.is_finite() { *value } else { nan });
                }
                None => {
                    for (value, valid) in line.iter_mut().zip(&mut self.valid) {
                        let finite = value.is_finite();
                        *valid &= u8::from(finite);
                        *value = if finite { *value } else { zero };
                    }
                }
            }
        }
        for (band, plane) in planes.iter().enumerate() {
            let plane = &plane[row * self.width..][..self.width];
            if !plane.contains(&0) {
                continue;
            }
            // One plane is for all bands.
            let of_pixel = if planes.len() == 1 { 0..self.n } else { band..band + 1 };
            for (i, _) in plane.iter().enumerate().filter(|(_, mask)| **mask == 0) {
                let samples = i * self.n + of_pixel.start..i * self.n + of_pixel.end;
                line[samples.clone()].fill(zero);
                self.valid[samples].fill(0);
            }
        }
        // Found fast, and true of most lines.
        self.valid.contains(&0).then_some(self.valid.as_slice())
    }
}
