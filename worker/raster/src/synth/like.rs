//! Writes a look-alike of a data set of others: its tiles, their labels, its catalogues.

use std::path::{Path, PathBuf};

use swath_proto::{geometry::SizePx, scene::Georeference};
pub use swath_synth::like::Like;
use swath_synth::{
    Scene, Surface,
    like::{FourthBand, Tile, TileLabels},
};

use super::{Part, ROWS, TILE_PX, stac, write_outlines};
use crate::{
    error::{RasterError, Result},
    writer::{Layout, Writer},
};

/// Draws all of it into a folder; `progress` hears of each tile before it is drawn. Returns what was written.
pub fn write(
    folder: &Path,
    like: Like,
    seed: u64,
    progress: &mut dyn FnMut(usize, usize),
) -> Result<Vec<PathBuf>> {
    let tiles = like.tiles(seed);
    let mut written = Vec::new();
    for (nth, tile) in tiles.iter().enumerate() {
        progress(nth, tiles.len());
        written.extend(write_tile(folder, tile)?);
    }
    progress(tiles.len(), tiles.len());
    written.extend(stac::write(folder, &tiles)?);
    Ok(written)
}

fn write_tile(folder: &Path, tile: &Tile) -> Result<Vec<PathBuf>> {
    let Tile { left, top, edge, .. } = *tile;
    let scene = Scene::new(tile.seed, left.max(top) + edge);
    let size = SizePx::new(edge, edge);
    let georeference = georeference(tile);
    let layout = Layout::Tiled(TILE_PX);
    let image = place(folder, &tile.path)?;
    let alpha = tile.fourth == FourthBand::Alpha;
    let mut pixels = Writer::with_alpha(&image, size, 4, Some(&georeference), layout, alpha)?;
    let mut written = vec![image];
    let mut colors = match &tile.labels {
        Some(TileLabels::Colors(path)) => {
            let path = place(folder, path)?;
            written.push(path.clone());
            Some(Writer::create(&path, size, 3, Some(&georeference), layout)?)
        }
        _ => None,
    };
    for first in (0..edge).step_by(ROWS as usize) {
        let n = ROWS.min(edge - first);
        let (rgb, surfaces) = (scene.rows(top + first, n), scene.surfaces(top + first, n));
        let width = scene.size_px() as usize;
        let (mut four, mut three) = (Vec::new(), Vec::new());
        for row in 0..n as usize {
            for col in 0..edge as usize {
                let at = row * width + left as usize + col;
                let (surface, seen) = (surfaces[at], [rgb[3 * at], rgb[3 * at + 1], rgb[3 * at + 2]]);
                match tile.fourth {
                    FourthBand::Infrared => {
                        let [red, green, blue] = seen;
                        four.extend([red, green, blue, surface.infrared(seen)]);
                    }
                    FourthBand::Alpha if is_beyond(col as u32, first + row as u32, edge) => {
                        four.extend([0; 4]);
                    }
                    FourthBand::Alpha => four.extend([seen[0], seen[1], seen[2], 255]),
                }
                three.extend(color(surface));
            }
        }
        pixels.write_rows(first, &mut four)?;
        if let Some(colors) = &mut colors {
            colors.write_rows(first, &mut three)?;
        }
    }
    pixels.finish()?;
    colors.map(Writer::finish).transpose()?;
    if let Some(TileLabels::Outlines(path)) = &tile.labels {
        let path = place(folder, path)?;
        write_outlines(&path, &scene, Part { left, top, edge }, &georeference, "{}")?;
        written.push(path);
    }
    Ok(written)
}

pub(super) fn georeference(tile: &Tile) -> Georeference {
    let ([x, y], pixel_m) = (tile.corner, tile.pixel_m);
    Georeference { crs_wkt: tile.crs.into(), crs_from_pixel: [x, pixel_m, 0.0, y, 0.0, -pixel_m] }
}

/// Where a file is to lie; its folder is made.
pub(super) fn place(folder: &Path, path: &str) -> Result<PathBuf> {
    let path = folder.join(path);
    let parent = path.parent().unwrap_or(folder);
    std::fs::create_dir_all(parent)
        .map_err(|error| RasterError::io(format!("making {}", parent.display()), error))?;
    Ok(path)
}

/// A mosaic's slanting border: what lies beyond has no data.
const fn is_beyond(col: u32, row: u32, edge: u32) -> bool {
    6 * col + row < edge / 2
}

/// The colours of ISPRS.
const fn color(surface: Surface) -> [u8; 3] {
    match surface {
        Surface::Paved => [255, 255, 255],
        Surface::Building => [0, 0, 255],
        Surface::Grass => [0, 255, 255],
        Surface::Tree => [0, 255, 0],
        Surface::Car => [255, 255, 0],
        Surface::Clutter => [255, 0, 0],
    }
}
