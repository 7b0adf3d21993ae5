//! Opens a raster and reads rectangles of it, also such that reach beyond its edge.

use std::ffi::c_void;

use gdal::{Dataset, raster::GdalDataType};
use gdal_sys::GDALDataType;
use swath_proto::{
    geometry::SizePx,
    ids::SceneId,
    scene::{FileRef, Georeference, SceneHeader},
};

use crate::{
    error::{Kind, RasterError, Result},
    settings::forget,
};

/// An open raster: to be used on one thread at a time.
pub struct Raster {
    dataset: Dataset,
    uri: String,
    size: SizePx,
}

/// Pixels row by row, their bands side by side.
#[derive(Clone, Debug, PartialEq)]
pub enum Pixels {
    U8(Vec<u8>),
    U16(Vec<u16>),
    F32(Vec<f32>),
}

impl Pixels {
    pub fn type_name(&self) -> &'static str {
        match self {
            Pixels::U8(_) => "u8",
            Pixels::U16(_) => "u16",
            Pixels::F32(_) => "f32",
        }
    }
}

/// Something that GDAL can write into.
trait Value: Copy + Default {
    const TYPE: GDALDataType::Type;
}

impl Value for u8 {
    const TYPE: GDALDataType::Type = GDALDataType::GDT_Byte;
}
impl Value for u16 {
    const TYPE: GDALDataType::Type = GDALDataType::GDT_UInt16;
}
impl Value for f32 {
    const TYPE: GDALDataType::Type = GDALDataType::GDT_Float32;
}

impl Raster {
    /// A path or `s3://bucket/key`.
    pub fn open(uri: &str) -> Result<Self> {
        let doing = || format!("opening {uri}");
        let path = match uri.strip_prefix("s3://") {
            Some(rest) => format!("/vsis3/{rest}"),
            None => {
                // GDAL says "not recognized" of a file that is not there.
                if let Err(error) = std::fs::metadata(uri) {
                    return Err(RasterError::io(doing(), error));
                }
                uri.to_owned()
            }
        };
        let dataset = Dataset::open(&path).map_err(|error| {
            forget(&path);
            RasterError::gdal(doing(), error)
        })?;
        let (width, height) = dataset.raster_size();
        let (Ok(width), Ok(height)) = (u32::try_from(width), u32::try_from(height)) else {
            return Err(RasterError::new(
                Kind::Unsupported,
                doing(),
                format!("{width} x {height} pixels are too many"),
            ));
        };
        if dataset.raster_count() == 0 || width == 0 || height == 0 {
            return Err(RasterError::new(Kind::Unreadable, doing(), "it holds no raster"));
        }
        Ok(Self { dataset, uri: uri.to_owned(), size: SizePx::new(width, height) })
    }

    pub fn size(&self) -> SizePx {
        self.size
    }

    pub fn header(&self, id: SceneId, image: FileRef) -> Result<SceneHeader> {
        let band = self.dataset.rasterband(1).map_err(|error| self.failed(error))?;
        let (width, height) = band.block_size();
        Ok(SceneHeader {
            id,
            image,
            size: self.size,
            bands: self.dataset.raster_count() as u32,
            data_type: band.band_type().name(),
            block: SizePx::new(width as u32, height as u32),
            georeference: self.georeference()?,
        })
    }

    fn georeference(&self) -> Result<Option<Georeference>> {
        // Without a transform there is none: GDAL then answers with an error or with the identity.
        let Ok(crs_from_pixel) = self.dataset.geo_transform() else { return Ok(None) };
        if crs_from_pixel == [0.0, 1.0, 0.0, 0.0, 0.0, 1.0] {
            return Ok(None);
        }
        Ok(Some(Georeference { crs_wkt: self.dataset.projection(), crs_from_pixel }))
    }

    /// Reads `bands` (counted from 1) of a rectangle; what lies outside the raster is zero.
    pub fn read(&self, col: i64, row: i64, size: SizePx, bands: &[usize]) -> Result<Pixels> {
        let available = self.dataset.raster_count();
        if let Some(missing) = bands.iter().find(|band| !(1..=available).contains(*band)) {
            let why = format!("band {missing} is asked for, but it has {available}");
            return Err(RasterError::new(Kind::BandMissing, format!("reading {}", self.uri), why));
        }
        let kind = self.dataset.rasterband(1).map_err(|error| self.failed(error))?.band_type();
        match kind {
            GdalDataType::UInt8 => Ok(Pixels::U8(self.read_as(col, row, size, bands)?)),
            GdalDataType::UInt16 => Ok(Pixels::U16(self.read_as(col, row, size, bands)?)),
            _ => Ok(Pixels::F32(self.read_as(col, row, size, bands)?)),
        }
    }

    fn read_as<T: Value>(&self, col: i64, row: i64, size: SizePx, bands: &[usize]) -> Result<Vec<T>> {
        let n = bands.len();
        let (width, height) = (i64::from(size.width), i64::from(size.height));
        let mut out = vec![T::default(); (width * height) as usize * n];
        let clip = |from: i64, length: i64, end: u32| (from.max(0), (from + length).min(i64::from(end)));
        let (left, right) = clip(col, width, self.size.width);
        let (top, bottom) = clip(row, height, self.size.height);
        if left >= right || top >= bottom {
            return Ok(out);
        }
        let at = ((top - row) * width + (left - col)) as usize * n;
        let mut band_list: Vec<i32> = bands.iter().map(|band| *band as i32).collect();
        let value = size_of::<T>() as i64;
        let (columns, rows) = ((right - left) as i32, (bottom - top) as i32);
        // SAFETY: the last pixel that is written, row `bottom - 1` and column `right - 1`, lies within
        // `out` by the clipping above; the dataset is open, and this thread alone has it.
        let result = unsafe {
            gdal_sys::GDALDatasetRasterIOEx(
                self.dataset.c_dataset(),
                gdal_sys::GDALRWFlag::GF_Read,
                left as i32,
                top as i32,
                columns,
                rows,
                out.as_mut_ptr().add(at).cast::<c_void>(),
                columns,
                rows,
                T::TYPE,
                n as i32,
                band_list.as_mut_ptr(),
                value * n as i64,
                value * n as i64 * width,
                value,
                std::ptr::null_mut(),
            )
        };
        if result == gdal_sys::CPLErr::CE_None {
            return Ok(out);
        }
        // SAFETY: a string of GDAL's own, valid until this thread's next error.
        let message = unsafe { std::ffi::CStr::from_ptr(gdal_sys::CPLGetLastErrorMsg()) };
        let error = gdal::errors::GdalError::CplError {
            class: result,
            // SAFETY: a plain getter.
            number: unsafe { gdal_sys::CPLGetLastErrorNo() },
            msg: message.to_string_lossy().into_owned(),
        };
        let doing = format!("reading {} ({columns}x{rows} px at column {left}, row {top})", self.uri);
        Err(RasterError::gdal(doing, error))
    }

    fn failed(&self, error: gdal::errors::GdalError) -> RasterError {
        RasterError::gdal(format!("reading {}", self.uri), error)
    }
}
