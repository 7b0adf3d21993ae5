//! Files as GDAL writes them.
#![allow(dead_code, reason = "each test file uses some of this")]

use std::path::{Path, PathBuf};

use gdal::{
    Dataset, DriverManager,
    raster::{Buffer, GdalType, RasterCreationOptions},
    spatial_ref::SpatialRef,
};
use swath_proto::scene::FileRef;

pub const UTM33: &str = "EPSG:32633";

pub struct Folder(tempfile::TempDir);

impl Folder {
    pub fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub fn write(&self, name: &str, text: &str) -> FileRef {
        std::fs::write(self.path(name), text).unwrap();
        file(&self.path(name))
    }
}

pub fn file(path: &Path) -> FileRef {
    FileRef { uri: path.to_str().unwrap().into(), tag: String::new() }
}

/// 0.5 m pixels from a corner.
pub const fn half_metres(x: f64, y: f64) -> [f64; 6] {
    [x, 0.5, 0.0, y, 0.0, -0.5]
}

pub struct Tif<'a> {
    pub size: (usize, usize),
    pub bands: usize,
    pub place: Option<(&'a str, [f64; 6])>,
    pub options: &'a [&'a str],
}

impl<'a> Tif<'a> {
    pub fn new(width: usize, height: usize, bands: usize) -> Self {
        Self {
            size: (width, height),
            bands,
            place: Some((UTM33, half_metres(500_000.0, 5_400_000.0))),
            options: &[],
        }
    }

    pub fn at(self, crs: &'a str, transform: [f64; 6]) -> Self {
        Self { place: Some((crs, transform)), ..self }
    }

    pub fn nowhere(self) -> Self {
        Self { place: None, ..self }
    }

    pub fn options(self, options: &'a [&'a str]) -> Self {
        Self { options, ..self }
    }

    /// `value(band, col, row)`, all counted from 0; `more` may set what else the file holds.
    pub fn write<T: GdalType + Copy>(
        &self,
        path: &Path,
        value: impl Fn(usize, usize, usize) -> T,
        more: impl FnOnce(&mut Dataset),
    ) -> FileRef {
        let driver = DriverManager::get_driver_by_name("GTiff").unwrap();
        let options = RasterCreationOptions::from_iter(self.options.iter().copied());
        let (width, height) = self.size;
        let mut dataset = driver
            .create_with_band_type_with_options::<T, _>(path, width, height, self.bands, &options)
            .unwrap();
        if let Some((crs, transform)) = self.place {
            dataset.set_geo_transform(&transform).unwrap();
            dataset.set_spatial_ref(&SpatialRef::from_definition(crs).unwrap()).unwrap();
        }
        more(&mut dataset);
        for band in 0..self.bands {
            let pixels = (0..width * height).map(|i| value(band, i % width, i / width)).collect();
            let mut buffer = Buffer::new((width, height), pixels);
            dataset.rasterband(band + 1).unwrap().write((0, 0), (width, height), &mut buffer).unwrap();
        }
        dataset.close().unwrap();
        file(path)
    }
}
