//! Opens a raster and reads rectangles of it, also such that reach beyond its edge.

use std::{cell::Cell, ffi::c_void};

use gdal::{Dataset, Metadata};
use swath_proto::{
    geometry::{RectPx, SizePx, WindowPx},
    ids::SceneId,
    scene::{Georeference, SceneHeader},
    source::SourceSpec,
};

use crate::{
    error::{Kind, RasterError, Result},
    parts::{Cache, Reading, parts},
    pixels::{DataType, Pixels, Value, with_type},
    remote,
};

/// From so many bands on GDAL keeps of a tile only those that are asked for.
const ALONE_FROM_BANDS: usize = 128;

/// An open raster: to be used on one thread at a time.
pub struct Raster {
    dataset: Dataset,
    uri: String,
    size: SizePx,
    /// A file may have masks beside it, which GDAL looks for when it is first asked.
    has_read_masks: Cell<bool>,
}

impl Raster {
    /// A path or `s3://bucket/key`.
    pub fn open(uri: &str) -> Result<Self> {
        let doing = || format!("opening {uri}");
        let path = match remote::path(uri) {
            Some(path) => path,
            None => {
                // GDAL says "not recognized" of a file that is not there.
                if let Err(error) = std::fs::metadata(uri) {
                    return Err(RasterError::io(doing(), error));
                }
                uri.to_owned()
            }
        };
        let open = || Dataset::open(&path).map_err(|error| RasterError::gdal(doing(), error));
        let dataset = remote::reading(uri, open)?;
        let (width, height) = dataset.raster_size();
        let (Ok(width), Ok(height)) = (u32::try_from(width), u32::try_from(height)) else {
            return Err(RasterError::new(
                Kind::Unsupported,
                doing(),
                format!("{width} x {height} pixels are too many"),
            ));
        };
        if dataset.raster_count() == 0 || width == 0 || height == 0 {
            return Err(RasterError::new(
                Kind::Unreadable,
                doing(),
                "it holds no raster of its own: if it has subdatasets (gdalinfo lists them), name one",
            ));
        }
        let (uri, size) = (uri.to_owned(), SizePx::new(width, height));
        Ok(Self { dataset, uri, size, has_read_masks: Cell::new(false) })
    }

    pub fn size(&self) -> SizePx {
        self.size
    }

    /// What stands for pixels that do not count, in an 8-bit raster that has such a value.
    pub fn nodata(&self) -> Option<u8> {
        let value = self.dataset.rasterband(1).ok()?.no_data_value()?;
        (0..=u8::MAX).find(|byte| f64::from(*byte) == value)
    }

    /// Gives back what GDAL keeps of what was read: for whoever goes over a raster once. Band by band, since to flush
    /// its dataset makes the driver of JPEG begin at the first line again.
    pub fn forget_pixels(&self) {
        for band in self.dataset.rasterbands().flatten() {
            // SAFETY: the band lives, and is open for reading alone, so that nothing is written. Every band has a mask in
            // GDAL, which lives as long as it does.
            unsafe {
                gdal_sys::GDALFlushRasterCache(band.c_rasterband());
                if self.has_read_masks.get() {
                    gdal_sys::GDALFlushRasterCache(gdal_sys::GDALGetMaskBand(band.c_rasterband()));
                }
            }
        }
    }

    /// Of this file as a scene of its own.
    pub fn header(&self, id: SceneId, source: SourceSpec) -> Result<SceneHeader> {
        let band = self.dataset.rasterband(1).map_err(|error| self.failed(error))?;
        Ok(SceneHeader {
            id,
            source,
            size: self.size,
            places: vec![WindowPx::new(0, 0, self.size.width, self.size.height)],
            bands: self.dataset.raster_count() as u32,
            data_type: band.band_type().name(),
            block: self.block()?,
            georeference: self.georeference()?,
            aoi: None,
        })
    }

    /// Of its tiles or strips.
    pub(crate) fn block(&self) -> Result<SizePx> {
        let band = self.dataset.rasterband(1).map_err(|error| self.failed(error))?;
        let (width, height) = band.block_size();
        Ok(SizePx::new(width as u32, height as u32))
    }

    pub(crate) fn georeference(&self) -> Result<Option<Georeference>> {
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
        let window = WindowPx { col, row, width: size.width, height: size.height };
        with_type!(self.data_type(bands)?, T => {
            let mut out = vec![T::default(); size.pixels() as usize * bands.len()];
            self.read_into::<T>(window, bands, &mut out)?;
            Ok(T::wrap(out))
        })
    }

    /// The smallest type that holds the pixels of all these bands.
    pub(crate) fn data_type(&self, bands: &[usize]) -> Result<DataType> {
        let mut all = gdal_sys::GDALDataType::GDT_Unknown;
        for &band in bands {
            let band = self.dataset.rasterband(band).map_err(|error| self.failed(error))?;
            // SAFETY: a getter of a band that lives as long as `band`.
            let of_band = unsafe { gdal_sys::GDALGetRasterDataType(band.c_rasterband()) };
            all = match all {
                gdal_sys::GDALDataType::GDT_Unknown => of_band,
                // SAFETY: a function of plain values.
                all => unsafe { gdal_sys::GDALDataTypeUnion(all, of_band) },
            };
        }
        DataType::of_gdal(all).ok_or_else(|| {
            let why = format!("its pixels are of type {}, which is no image", data_type_name(all));
            RasterError::new(Kind::Unsupported, format!("reading {}", self.uri), why)
        })
    }

    /// Fills the part of `out`, a window's pixels row by row, that lies on the raster; the rest stays as it is.
    fn read_into<T: Value>(&self, window: WindowPx, bands: &[usize], out: &mut [T]) -> Result<()> {
        let Some(rect) = clipped(window, self.size) else { return Ok(()) };
        self.in_parts(rect, bands.len() * size_of::<T>(), Reading::WithNeighbours, |part| {
            self.read_part(part, window, bands, out)
        })
    }

    /// Goes over a rectangle as it is best read: at once, or part by part.
    pub(crate) fn in_parts(
        &self,
        rect: RectPx,
        pixel_bytes: usize,
        reading: Reading,
        mut read: impl FnMut(RectPx) -> Result<()>,
    ) -> Result<()> {
        // SAFETY: a plain getter.
        let bytes = unsafe { gdal_sys::GDALGetCacheMax64() }.max(0) as u64;
        let cache = Cache::shared(bytes, remote::path(&self.uri).is_some());
        let block = self.block()?;
        let pixel_bytes = self.kept_bytes(pixel_bytes as u64, block.pixels(), cache.bytes);
        let Some(parts) = parts(rect, block, pixel_bytes, cache, reading) else { return read(rect) };
        for part in parts {
            read(part)?;
            self.forget_pixels();
        }
        Ok(())
    }

    /// What GDAL keeps of a pixel of which so many bytes are read: all bands, where they lie side by side, unless they
    /// are very many or more than the cache.
    fn kept_bytes(&self, read: u64, block_pixels: u64, cache: u64) -> u64 {
        let interleave = self.dataset.metadata_item("INTERLEAVE", "IMAGE_STRUCTURE");
        let by_pixel = interleave.is_some_and(|how| how == "PIXEL");
        if !by_pixel || self.dataset.raster_count() >= ALONE_FROM_BANDS {
            return read;
        }
        // SAFETY: plain getters of bands that live.
        let bytes = |band: gdal::raster::RasterBand| unsafe {
            gdal_sys::GDALGetDataTypeSizeBytes(gdal_sys::GDALGetRasterDataType(band.c_rasterband())) as u64
        };
        let all: u64 = self.dataset.rasterbands().flatten().map(bytes).sum();
        if all.saturating_mul(block_pixels) < cache { all.max(read) } else { read }
    }

    /// Reads what a part of the raster is of a window: into its place among the window's pixels.
    pub(crate) fn read_part<T: Value>(
        &self,
        part: RectPx,
        window: WindowPx,
        bands: &[usize],
        out: &mut [T],
    ) -> Result<()> {
        let n = bands.len();
        assert_eq!(out.len() as u64, window.size().pixels() * n as u64, "the window's pixels");
        let inside = clipped(window, self.size).is_some_and(|inside| {
            let is_in = |from, end, outer_from, outer_end| outer_from <= from && end <= outer_end;
            is_in(part.col, part.right(), inside.col, inside.right())
                && is_in(part.row, part.bottom(), inside.row, inside.bottom())
        });
        assert!(inside, "a part of what the raster has of the window");
        let mut band_list: Vec<i32> = bands.iter().map(|band| *band as i32).collect();
        let value = size_of::<T>() as i64;
        let at = first_pixel(part, window) * n;
        let (columns, rows) = (part.width as i32, part.height as i32);
        remote::reading(&self.uri, || {
            // SAFETY: the part lies within the window and the raster, as was asserted, and `out` holds the window's
            // pixels: so does the last that is written. The dataset is open, and this thread alone has it.
            let result = unsafe {
                gdal_sys::CPLErrorReset();
                gdal_sys::GDALDatasetRasterIOEx(
                    self.dataset.c_dataset(),
                    gdal_sys::GDALRWFlag::GF_Read,
                    part.col as i32,
                    part.row as i32,
                    columns,
                    rows,
                    out.as_mut_ptr().add(at).cast::<c_void>(),
                    columns,
                    rows,
                    T::CODE,
                    n as i32,
                    band_list.as_mut_ptr(),
                    value * n as i64,
                    value * n as i64 * i64::from(window.width),
                    value,
                    std::ptr::null_mut(),
                )
            };
            self.answered(result, part)
        })
    }

    /// Reads the mask of a band (counted from 1): 0 where a pixel is not valid.
    pub(crate) fn read_mask(&self, band: usize, rect: RectPx, out: &mut [u8]) -> Result<()> {
        assert_eq!(out.len() as u64, rect.pixels(), "the rectangle's pixels");
        self.has_read_masks.set(true);
        let band = self.dataset.rasterband(band).map_err(|error| self.failed(error))?;
        let (columns, rows) = (rect.width as i32, rect.height as i32);
        remote::reading(&self.uri, || {
            // SAFETY: the mask band belongs to the open dataset; `out` holds the rectangle's bytes.
            let result = unsafe {
                gdal_sys::CPLErrorReset();
                gdal_sys::GDALRasterIO(
                    gdal_sys::GDALGetMaskBand(band.c_rasterband()),
                    gdal_sys::GDALRWFlag::GF_Read,
                    rect.col as i32,
                    rect.row as i32,
                    columns,
                    rows,
                    out.as_mut_ptr().cast::<c_void>(),
                    columns,
                    rows,
                    gdal_sys::GDALDataType::GDT_Byte,
                    0,
                    0,
                )
            };
            self.answered(result, rect)
        })
    }

    fn answered(&self, class: gdal_sys::CPLErr::Type, rect: RectPx) -> Result<()> {
        if class == gdal_sys::CPLErr::CE_None {
            return Ok(());
        }
        // SAFETY: a string of GDAL's own, valid until this thread's next error.
        let message = unsafe { std::ffi::CStr::from_ptr(gdal_sys::CPLGetLastErrorMsg()) };
        let error = gdal::errors::GdalError::CplError {
            class,
            // SAFETY: a plain getter.
            number: unsafe { gdal_sys::CPLGetLastErrorNo() },
            msg: message.to_string_lossy().into_owned(),
        };
        Err(RasterError::gdal(format!("reading {} ({rect})", self.uri), error))
    }

    /// Counted from 1.
    pub(crate) fn alpha_band(&self) -> Result<Option<usize>> {
        for i in 1..=self.dataset.raster_count() {
            let band = self.dataset.rasterband(i).map_err(|error| self.failed(error))?;
            // By its number: the crate panics at those that it does not know, and later versions of GDAL have more.
            // SAFETY: a plain getter of a band that lives.
            let meaning = unsafe { gdal_sys::GDALGetRasterColorInterpretation(band.c_rasterband()) };
            if meaning == gdal_sys::GDALColorInterp::GCI_AlphaBand {
                return Ok(Some(i));
            }
        }
        Ok(None)
    }

    /// As messages call it.
    pub fn uri(&self) -> &str {
        &self.uri
    }

    pub(crate) fn dataset(&self) -> &Dataset {
        &self.dataset
    }

    pub(crate) fn failed(&self, error: gdal::errors::GdalError) -> RasterError {
        RasterError::gdal(format!("reading {}", self.uri), error)
    }
}

/// The part of a window that lies on a raster.
pub(crate) fn clipped(window: WindowPx, size: SizePx) -> Option<RectPx> {
    let clip = |from: i64, length: u32, end: u32| {
        let (first, end) = (from.max(0), from.saturating_add(i64::from(length)).min(i64::from(end)));
        (first < end).then(|| (first as u32, (end - first) as u32))
    };
    let (col, width) = clip(window.col, window.width, size.width)?;
    let (row, height) = clip(window.row, window.height, size.height)?;
    Some(RectPx::new(col, row, width, height))
}

/// Where a rectangle begins among the pixels of a window around it.
pub(crate) fn first_pixel(rect: RectPx, window: WindowPx) -> usize {
    let (col, row) = (i64::from(rect.col) - window.col, i64::from(rect.row) - window.row);
    row as usize * window.width as usize + col as usize
}

fn data_type_name(code: gdal_sys::GDALDataType::Type) -> String {
    // SAFETY: a string of GDAL's own that stays; null of unknown types.
    let name = unsafe { gdal_sys::GDALGetDataTypeName(code) };
    if name.is_null() {
        return code.to_string();
    }
    // SAFETY: checked above.
    unsafe { std::ffi::CStr::from_ptr(name) }.to_string_lossy().into_owned()
}
