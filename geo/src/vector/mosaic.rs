//! Scenes that are tiles of one grid become one raster, so that what lies across their borders is traced
//! as one.
//!
//! Scenes are tiles of one grid if they name the same coordinate reference system and their pixels fall
//! on each other's. Those of a grid that touch, or overlap, are one mosaic; whatever else there is stays a
//! mosaic of one scene. A mosaic has pixels as a scene has, and is read and traced as one: block by block,
//! with a halo that reaches into the neighbours. So its polygons equal those of one large scene,
//! noise removal and all. Where scenes overlap, the one that comes first in the run has the say.

use rstar::{
    AABB, RTree,
    primitives::{GeomWithData, Rectangle},
};
use swath_proto::{
    geometry::{RectPx, SizePx},
    scene::Georeference,
};

/// Pixels fall on each other if their corners are no farther apart than this.
const MAX_OFF_PX: f64 = 0.01;

/// One raster of one scene or more.
#[derive(Clone, Debug, PartialEq)]
pub struct Mosaic {
    pub size: SizePx,
    pub georeference: Option<Georeference>,
    /// In the order of the run.
    pub tiles: Vec<Tile>,
}

/// Where a scene lies in its mosaic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tile {
    /// Its place among the scenes that were given.
    pub scene: usize,
    pub rect: RectPx,
}

/// A scene's rectangle on its grid, from the grid's first scene.
#[derive(Clone, Copy, Debug)]
struct OnGrid {
    scene: usize,
    col: i64,
    row: i64,
    size: SizePx,
}

/// The mosaics of a run's scenes, by their first scenes. Every scene is in one of them.
pub fn mosaics(scenes: &[(SizePx, Option<&Georeference>)]) -> Vec<Mosaic> {
    let mut grids: Vec<(&Georeference, Vec<OnGrid>)> = Vec::new();
    let mut mosaics = Vec::new();
    for (scene, &(size, georeference)) in scenes.iter().enumerate() {
        let Some(georeference) = georeference.filter(|georeference| !georeference.crs_wkt.is_empty()) else {
            mosaics.push(alone(scene, size, georeference));
            continue;
        };
        let on = |grid: &Georeference| {
            let [col, row] = offset_px(grid, georeference, size)?;
            Some(OnGrid { scene, col, row, size })
        };
        match grids.iter_mut().find_map(|(grid, tiles)| on(grid).map(|tile| (tile, tiles))) {
            Some((tile, tiles)) => tiles.push(tile),
            None => grids.push((georeference, vec![OnGrid { scene, col: 0, row: 0, size }])),
        }
    }
    for (grid, tiles) in &grids {
        for touching in touching(tiles) {
            match mosaic(grid, &touching) {
                Some(mosaic) if touching.len() > 1 => mosaics.push(mosaic),
                _ => mosaics
                    .extend(touching.iter().map(|tile| alone(tile.scene, tile.size, scenes[tile.scene].1))),
            }
        }
    }
    mosaics.sort_by_key(|mosaic| mosaic.tiles.first().map(|tile| tile.scene));
    mosaics
}

fn alone(scene: usize, size: SizePx, georeference: Option<&Georeference>) -> Mosaic {
    let rect = RectPx::new(0, 0, size.width, size.height);
    Mosaic { size, georeference: georeference.cloned(), tiles: vec![Tile { scene, rect }] }
}

/// Columns and rows from a grid's first pixel to a scene's, if the scene's pixels are the grid's.
fn offset_px(grid: &Georeference, scene: &Georeference, size: SizePx) -> Option<[i64; 2]> {
    if grid.crs_wkt != scene.crs_wkt {
        return None;
    }
    let [x0, a, b, y0, c, d] = grid.crs_from_pixel;
    let determinant = a * d - b * c;
    let t = scene.crs_from_pixel;
    let on_grid = |col: f64, row: f64| {
        let (x, y) = (t[0] + col * t[1] + row * t[2] - x0, t[3] + col * t[4] + row * t[5] - y0);
        [(d * x - b * y) / determinant, (a * y - c * x) / determinant]
    };
    let first = on_grid(0.0, 0.0).map(f64::round);
    // No farther than pixels can be counted.
    let is_near = first.iter().all(|px| px.abs() < f64::from(u32::MAX));
    let (width, height) = (f64::from(size.width), f64::from(size.height));
    let fits = [[0.0, 0.0], [width, 0.0], [0.0, height], [width, height]].into_iter().all(|[col, row]| {
        let [at_col, at_row] = on_grid(col, row);
        (at_col - first[0] - col).abs() <= MAX_OFF_PX && (at_row - first[1] - row).abs() <= MAX_OFF_PX
    });
    (is_near && fits).then(|| first.map(|px| px as i64))
}

/// Tiles that hang together, in the order in which they came.
fn touching(tiles: &[OnGrid]) -> Vec<Vec<OnGrid>> {
    let ends = |tile: &OnGrid| {
        let (width, height) = (i64::from(tile.size.width), i64::from(tile.size.height));
        ([tile.col as f64, tile.row as f64], [(tile.col + width) as f64, (tile.row + height) as f64])
    };
    let boxes = tiles.iter().enumerate().map(|(i, tile)| {
        let (from, to) = ends(tile);
        GeomWithData::new(Rectangle::from_corners(from, to), i)
    });
    let boxes = RTree::bulk_load(boxes.collect());
    let mut seen = vec![false; tiles.len()];
    let mut found = Vec::new();
    for first in 0..tiles.len() {
        let (mut together, mut waiting) = (Vec::new(), vec![first]);
        while let Some(i) = waiting.pop() {
            if !std::mem::replace(&mut seen[i], true) {
                together.push(i);
                let (from, to) = ends(&tiles[i]);
                let around = boxes.locate_in_envelope_intersecting(&AABB::from_corners(from, to));
                waiting.extend(around.map(|other| other.data));
            }
        }
        if !together.is_empty() {
            together.sort_unstable();
            found.push(together.into_iter().map(|i| tiles[i]).collect());
        }
    }
    found
}

/// `None` if it is too large to count its pixels.
fn mosaic(grid: &Georeference, tiles: &[OnGrid]) -> Option<Mosaic> {
    let left = tiles.iter().map(|tile| tile.col).min()?;
    let top = tiles.iter().map(|tile| tile.row).min()?;
    let right = tiles.iter().map(|tile| tile.col + i64::from(tile.size.width)).max()?;
    let bottom = tiles.iter().map(|tile| tile.row + i64::from(tile.size.height)).max()?;
    let px = |px: i64| u32::try_from(px).ok();
    let size = SizePx::new(px(right - left)?, px(bottom - top)?);
    let place = |tile: &OnGrid| {
        let SizePx { width, height } = tile.size;
        let rect = RectPx::new(px(tile.col - left)?, px(tile.row - top)?, width, height);
        Some(Tile { scene: tile.scene, rect })
    };
    let [x0, a, b, y0, c, d] = grid.crs_from_pixel;
    let (col, row) = (left as f64, top as f64);
    let crs_from_pixel = [x0 + col * a + row * b, a, b, y0 + col * c + row * d, c, d];
    let georeference = Georeference { crs_wkt: grid.crs_wkt.clone(), crs_from_pixel };
    Some(Mosaic {
        size,
        georeference: Some(georeference),
        tiles: tiles.iter().map(place).collect::<Option<_>>()?,
    })
}

impl Mosaic {
    /// The pixels of a window, row by row. `read` gives those of a rectangle of a scene, by its place among
    /// the scenes that were given; where there is no scene stands `nothing`.
    pub fn plane<E>(
        &self,
        window: RectPx,
        nothing: u8,
        mut read: impl FnMut(usize, RectPx) -> Result<Vec<u8>, E>,
    ) -> Result<Vec<u8>, E> {
        let mut plane = vec![nothing; window.pixels() as usize];
        // The first comes last, over the others.
        for Tile { scene, rect } in self.tiles.iter().rev() {
            let Some(shared) = shared(window, *rect) else { continue };
            let RectPx { col, row, width, height } = shared;
            let pixels = read(*scene, RectPx::new(col - rect.col, row - rect.row, width, height))?;
            let first = (row - window.row) as usize * window.width as usize + (col - window.col) as usize;
            let rows = plane[first..].chunks_mut(window.width as usize);
            for (to, from) in rows.zip(pixels.chunks_exact(width as usize)) {
                to[..width as usize].copy_from_slice(from);
            }
        }
        Ok(plane)
    }

    /// Whether any scene has a pixel of a window.
    pub fn is_anywhere_in(&self, window: RectPx) -> bool {
        self.tiles.iter().any(|tile| shared(window, tile.rect).is_some())
    }
}

fn shared(one: RectPx, other: RectPx) -> Option<RectPx> {
    let (col, row) = (one.col.max(other.col), one.row.max(other.row));
    let (right, bottom) = (one.right().min(other.right()), one.bottom().min(other.bottom()));
    (col < right && row < bottom).then(|| RectPx::new(col, row, right - col, bottom - row))
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use rand::{Rng, SeedableRng, rngs::StdRng, seq::SliceRandom};

    use super::*;
    use crate::{
        grid::ItemGrid,
        vector::{Polygon, Tracing, polygons, tests::Raster},
    };

    const GRID: [f64; 6] = [412_345.6, 0.3, 0.02, 5_400_000.1, 0.02, -0.3];

    /// Of a scene whose first pixel lies so far from the grid's.
    fn at(col: f64, row: f64) -> Georeference {
        let t = GRID;
        let crs_from_pixel =
            [t[0] + col * t[1] + row * t[2], t[1], t[2], t[3] + col * t[4] + row * t[5], t[4], t[5]];
        Georeference { crs_wkt: "a system".into(), crs_from_pixel }
    }

    fn of_rect(rect: RectPx) -> Georeference {
        at(f64::from(rect.col), f64::from(rect.row))
    }

    fn together(scenes: &[(SizePx, Georeference)]) -> Vec<Mosaic> {
        mosaics(&scenes.iter().map(|(size, georeference)| (*size, Some(georeference))).collect::<Vec<_>>())
    }

    /// As a worker does it, in blocks of this edge.
    fn traced(mosaic: &Mosaic, edge_px: u32, denoise_px: u32, scenes: &[(RectPx, &Raster)]) -> Vec<Polygon> {
        let tracing = Tracing { scene: mosaic.size, class: Raster::CLASS, denoise_px };
        let grid = ItemGrid::new(mosaic.size, edge_px).unwrap();
        let fragments = (0..grid.len()).map(|index| {
            let item = grid.rect(index).unwrap();
            let window = tracing.window_px(item).unwrap();
            let plane = |score: bool| {
                let read = |scene: usize, rect: RectPx| {
                    let (at, raster): (RectPx, &Raster) = scenes[scene];
                    let rect = RectPx::new(at.col + rect.col, at.row + rect.row, rect.width, rect.height);
                    Ok::<_, Infallible>(raster.pixels(score, rect))
                };
                mosaic.plane(window, Raster::CLASS - 1, read).unwrap()
            };
            tracing.fragment(item, &plane(false), Some(&plane(true))).unwrap()
        });
        polygons(mosaic.size, 0, fragments).unwrap()
    }

    fn cut(rng: &mut StdRng, size: SizePx) -> Vec<RectPx> {
        let mut pieces = |len: u32| -> Vec<(u32, u32)> {
            let mut cuts: Vec<u32> = (1..len).filter(|_| rng.random_bool(0.1)).collect();
            cuts.push(len);
            [0].into_iter().chain(cuts.clone()).zip(cuts).map(|(from, to)| (from, to - from)).collect()
        };
        let (rows, cols) = (pieces(size.height), pieces(size.width));
        let rects = rows.iter().flat_map(|&(row, height)| {
            cols.iter().map(move |&(col, width)| RectPx::new(col, row, width, height))
        });
        rects.collect()
    }

    #[test]
    fn tiles_of_one_grid_are_traced_as_the_whole() {
        let mut rng = StdRng::seed_from_u64(9);
        for case in 0..300 {
            let raster = Raster::random(&mut rng);
            let mut rects = cut(&mut rng, raster.size);
            // Some reach over their neighbours.
            for rect in &mut rects {
                let more = |rng: &mut StdRng, room: u32| {
                    if rng.random_bool(0.3) { rng.random_range(0..=room) } else { 0 }
                };
                rect.width += more(&mut rng, raster.size.width - rect.right());
                rect.height += more(&mut rng, raster.size.height - rect.bottom());
            }
            rects.shuffle(&mut rng);
            let scenes: Vec<_> = rects.iter().map(|&rect| (rect.size(), of_rect(rect))).collect();
            let found = together(&scenes);
            let [mosaic] = &found[..] else { panic!("{found:?}") };
            let placed: Vec<_> = mosaic.tiles.iter().map(|tile| tile.rect).collect();
            assert_eq!((mosaic.size, placed), (raster.size, rects.clone()));
            let first = mosaic.georeference.as_ref().unwrap().crs_from_pixel;
            assert!(first.iter().zip(GRID).all(|(one, other)| (one - other).abs() < 1e-6), "{first:?}");
            let denoise_px = [0, 2, 3][case % 3];
            let of: Vec<_> = rects.iter().map(|&rect| (rect, &raster)).collect();
            assert_eq!(traced(mosaic, 16, denoise_px, &of), raster.polygons(denoise_px), "case {case}");
        }
    }

    #[test]
    fn where_scenes_overlap_the_first_has_the_say_and_where_there_is_none_is_nothing() {
        let (full, empty) = (Raster::drawn(&["####"; 4]), Raster::drawn(&["...."; 4]));
        let (one, other) = (RectPx::new(0, 0, 4, 4), RectPx::new(2, 2, 4, 4));
        let scenes = [(one.size(), of_rect(one)), (other.size(), of_rect(other))];
        let own = RectPx::new(0, 0, 4, 4);
        let found = together(&scenes);
        assert_eq!((found.len(), found[0].size), (1, SizePx::new(6, 6)));
        for (first, second, areas) in
            [(&full, &full, vec![28]), (&full, &empty, vec![16]), (&empty, &full, vec![12])]
        {
            let polygons = traced(&found[0], 3, 0, &[(own, first), (own, second)]);
            assert_eq!(polygons.iter().map(|polygon| polygon.area_px).collect::<Vec<_>>(), areas);
        }
    }

    #[test]
    fn what_does_not_fall_on_the_grid_or_touch_is_left_alone() {
        let size = SizePx::new(10, 10);
        let scene = |col: f64, row: f64| (size, at(col, row));
        let of = |scenes: &[(SizePx, Georeference)]| -> Vec<Vec<usize>> {
            let found = together(scenes).into_iter();
            found.map(|mosaic| mosaic.tiles.iter().map(|tile| tile.scene).collect()).collect()
        };
        assert_eq!(of(&[scene(0.0, 0.0), scene(20.0, 0.0), scene(10.0, 0.0)]), [vec![0, 1, 2]]);
        assert_eq!(of(&[scene(0.0, 0.0), scene(10.0, 10.0)]), [vec![0, 1]], "a corner is enough");
        assert_eq!(of(&[scene(0.0, 0.0), scene(11.0, 0.0)]), [vec![0], vec![1]], "a gap");
        assert_eq!(of(&[scene(0.0, 0.0), scene(10.005, 0.0)]), [vec![0, 1]], "rounding");
        assert_eq!(of(&[scene(0.0, 0.0), scene(10.5, 0.0), scene(10.0, 0.0)]), [vec![0, 2], vec![1]], "off");
        assert_eq!(of(&[scene(0.5, 0.0), scene(10.5, 0.0), scene(10.0, 0.0)]), [vec![0, 1], vec![2]]);
        let (mut other, mut coarse, mut nowhere) = (at(10.0, 0.0), at(10.0, 0.0), at(10.0, 0.0));
        other.crs_wkt = "another".into();
        coarse.crs_from_pixel[1] *= 1.01;
        nowhere.crs_wkt.clear();
        for wrong in [other, coarse, nowhere] {
            assert_eq!(of(&[scene(0.0, 0.0), (size, wrong)]), [vec![0], vec![1]]);
        }
        assert_eq!(mosaics(&[(size, None), (size, None)]).len(), 2);
    }

    #[test]
    fn a_scene_alone_keeps_its_georeference_to_the_last_bit() {
        let (size, georeference) = (SizePx::new(7, 5), at(3.3, 1.7));
        let [mosaic] = &mosaics(&[(size, Some(&georeference))])[..] else { panic!("one") };
        assert_eq!((mosaic.size, mosaic.georeference.as_ref()), (size, Some(&georeference)));
    }

    #[test]
    fn what_is_too_far_apart_to_count_is_left_alone() {
        let wide = SizePx::new(u32::MAX, 1);
        let far = f64::from(u32::MAX) - 1.0;
        let scenes = [(wide, at(0.0, 0.0)), (wide, at(far, 0.0))];
        assert_eq!(together(&scenes).len(), 2);
    }
}
