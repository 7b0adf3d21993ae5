//! Writes a GeoTIFF strip by strip, under a temporary name until it is whole.

use std::path::{Path, PathBuf};

use gdal::{Dataset, DriverManager, raster::RasterCreationOptions, spatial_ref::SpatialRef};
use swath_proto::{geometry::SizePx, scene::Georeference};

use crate::error::{RasterError, Result};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    Tiled(u32),
    Striped,
}

pub struct Writer {
    dataset: Dataset,
    temporary: PathBuf,
    path: PathBuf,
    size: SizePx,
    bands: usize,
}

impl Writer {
    pub fn create(
        path: &Path,
        size: SizePx,
        bands: usize,
        georeference: Option<&Georeference>,
        layout: Layout,
    ) -> Result<Self> {
        Self::with_alpha(path, size, bands, georeference, layout, false)
    }

    /// The fourth band of four says which pixels have data, if it is alpha.
    pub fn with_alpha(
        path: &Path,
        size: SizePx,
        bands: usize,
        georeference: Option<&Georeference>,
        layout: Layout,
        alpha: bool,
    ) -> Result<Self> {
        let doing = || format!("writing {}", path.display());
        let failed = |error| RasterError::gdal(doing(), error);
        let temporary = path.with_extension("tif.part");
        let mut options =
            vec!["COMPRESS=DEFLATE", "PREDICTOR=2", "ZLEVEL=4", "INTERLEAVE=PIXEL", "BIGTIFF=IF_SAFER"];
        let block;
        match layout {
            Layout::Tiled(edge_px) => {
                block = [format!("BLOCKXSIZE={edge_px}"), format!("BLOCKYSIZE={edge_px}")];
                options.push("TILED=YES");
                options.extend(block.iter().map(String::as_str));
            }
            Layout::Striped => options.push("BLOCKYSIZE=1"),
        }
        if bands == 3 || bands == 4 {
            options.push("PHOTOMETRIC=RGB");
        }
        if bands == 4 {
            options.push(if alpha { "ALPHA=YES" } else { "ALPHA=NO" });
        }
        let options = RasterCreationOptions::from_iter(options);
        let driver = DriverManager::get_driver_by_name("GTiff").map_err(failed)?;
        let (width, height) = (size.width as usize, size.height as usize);
        let mut dataset = driver
            .create_with_band_type_with_options::<u8, _>(&temporary, width, height, bands, &options)
            .map_err(failed)?;
        if let Some(georeference) = georeference {
            dataset.set_geo_transform(&georeference.crs_from_pixel).map_err(failed)?;
            let crs = SpatialRef::from_definition(&georeference.crs_wkt).map_err(failed)?;
            dataset.set_spatial_ref(&crs).map_err(failed)?;
        }
        Ok(Self { dataset, temporary, path: path.to_owned(), size, bands })
    }

    /// Writes whole rows, their bands side by side.
    pub fn write_rows(&mut self, first_row: u32, rows: &mut [u8]) -> Result<()> {
        let bands = self.bands as i64;
        let line = i64::from(self.size.width) * bands;
        let n_rows = rows.len() as i64 / line;
        debug_assert!(i64::from(first_row) + n_rows <= i64::from(self.size.height));
        let mut band_list: Vec<i32> = (1..=self.bands as i32).collect();
        // SAFETY: the buffer holds `n_rows` lines of `line` bytes; the dataset is open for writing.
        let result = unsafe {
            gdal_sys::GDALDatasetRasterIOEx(
                self.dataset.c_dataset(),
                gdal_sys::GDALRWFlag::GF_Write,
                0,
                first_row as i32,
                self.size.width as i32,
                n_rows as i32,
                rows.as_mut_ptr().cast(),
                self.size.width as i32,
                n_rows as i32,
                gdal_sys::GDALDataType::GDT_Byte,
                self.bands as i32,
                band_list.as_mut_ptr(),
                bands,
                line,
                1,
                std::ptr::null_mut(),
            )
        };
        if result != gdal_sys::CPLErr::CE_None {
            // SAFETY: a string of GDAL's own, valid until this thread's next error.
            let message = unsafe { std::ffi::CStr::from_ptr(gdal_sys::CPLGetLastErrorMsg()) };
            let msg = message.to_string_lossy().into_owned();
            let error = gdal::errors::GdalError::CplError { class: result, number: 0, msg };
            return Err(RasterError::gdal(format!("writing {}", self.path.display()), error));
        }
        Ok(())
    }

    /// Gives the file its name.
    pub fn finish(self) -> Result<()> {
        let doing = || format!("writing {}", self.path.display());
        self.dataset.close().map_err(|error| RasterError::gdal(doing(), error))?;
        std::fs::rename(&self.temporary, &self.path).map_err(|error| RasterError::io(doing(), error))
    }
}
