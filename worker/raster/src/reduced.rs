//! A raster, or a part of it, made smaller: from its overviews where it has them.

use std::ffi::c_void;

use swath_proto::geometry::{RectPx, SizePx};

use crate::{
    error::{Kind, RasterError, Result},
    raster::Raster,
    remote,
};

/// What one pixel becomes of those that it stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reduction {
    /// For imagery.
    Mean,
    /// One of them, for classes. Where an overview has just the size that is wanted, its pixels.
    Nearest,
}

impl Raster {
    /// `bands` (counted from 1) of the whole raster in an image of `size`, the bands of a pixel side by side.
    pub fn read_reduced(&self, size: SizePx, bands: &[usize], reduction: Reduction) -> Result<Vec<f32>> {
        let SizePx { width, height } = self.size();
        self.read_part_reduced(RectPx::new(0, 0, width, height), size, bands, reduction)
    }

    /// The same of a rectangle. A file that has become smaller than it was when it was surveyed or made is an error.
    pub fn read_part_reduced(
        &self,
        part: RectPx,
        size: SizePx,
        bands: &[usize],
        reduction: Reduction,
    ) -> Result<Vec<f32>> {
        let whole = self.size();
        let is_smaller = (1..=part.width).contains(&size.width) && (1..=part.height).contains(&size.height);
        if !is_smaller || part.right() > whole.width || part.bottom() > whole.height {
            let why = format!(
                "{part} are asked for in {}x{}, and it has {}x{}",
                size.width, size.height, whole.width, whole.height
            );
            return Err(RasterError::new(Kind::Unsupported, format!("reading {}", self.uri()), why));
        }
        let n = bands.len();
        let mut out = vec![0.0_f32; size.pixels() as usize * n];
        let mut band_list: Vec<i32> = bands.iter().map(|band| *band as i32).collect();
        let value = size_of::<f32>() as i64;
        let mut how = gdal_sys::GDALRasterIOExtraArg {
            nVersion: 1,
            eResampleAlg: match reduction {
                Reduction::Mean => gdal_sys::GDALRIOResampleAlg::GRIORA_Average,
                Reduction::Nearest => gdal_sys::GDALRIOResampleAlg::GRIORA_NearestNeighbour,
            },
            pfnProgress: None,
            pProgressData: std::ptr::null_mut(),
            bFloatingPointWindowValidity: 0,
            dfXOff: 0.0,
            dfYOff: 0.0,
            dfXSize: 0.0,
            dfYSize: 0.0,
        };
        let _entered = remote::enter(self.uri());
        // SAFETY: the window lies within the raster, `out` holds every value of the image, and what is pointed to
        // outlives the call. The dataset is open, and this thread alone has it.
        let result = unsafe {
            gdal_sys::CPLErrorReset();
            gdal_sys::GDALDatasetRasterIOEx(
                self.dataset().c_dataset(),
                gdal_sys::GDALRWFlag::GF_Read,
                part.col as i32,
                part.row as i32,
                part.width as i32,
                part.height as i32,
                out.as_mut_ptr().cast::<c_void>(),
                size.width as i32,
                size.height as i32,
                gdal_sys::GDALDataType::GDT_Float32,
                n as i32,
                band_list.as_mut_ptr(),
                value * n as i64,
                value * n as i64 * i64::from(size.width),
                value,
                &raw mut how,
            )
        };
        if result == gdal_sys::CPLErr::CE_None {
            return Ok(out);
        }
        // SAFETY: a string of GDAL's own, valid until this thread's next error.
        let message = unsafe { std::ffi::CStr::from_ptr(gdal_sys::CPLGetLastErrorMsg()) };
        let msg = message.to_string_lossy().into_owned();
        // SAFETY: a plain getter.
        let number = unsafe { gdal_sys::CPLGetLastErrorNo() };
        let error = gdal::errors::GdalError::CplError { class: result, number, msg };
        Err(RasterError::gdal(format!("reading {} smaller", self.uri()), error))
    }

    /// Pixels of a band that are read to make a rectangle so small: those of the smallest overview that is fine enough.
    pub fn pixels_read(&self, part: RectPx, size: SizePx) -> Result<u64> {
        let whole = self.size();
        let band = self.dataset().rasterband(1).map_err(|error| self.failed(error))?;
        let n_overviews = band.overview_count().map_err(|error| self.failed(error))?;
        let mut read = part.pixels();
        for number in 0..n_overviews.max(0) as usize {
            let overview = band.overview(number).map_err(|error| self.failed(error))?;
            let (width, height) = overview.size();
            let on_overview = |length: u32, of: usize, whole: u32| {
                (u64::from(length) * of as u64).div_ceil(u64::from(whole))
            };
            let (width, height) =
                (on_overview(part.width, width, whole.width), on_overview(part.height, height, whole.height));
            if width >= u64::from(size.width) && height >= u64::from(size.height) {
                read = read.min(width * height);
            }
        }
        Ok(read)
    }
}
