//! Polygons of random and of drawn rasters, held against the slow and obvious.

use std::collections::{BTreeMap, HashSet};

use rand::{Rng, SeedableRng, rngs::StdRng, seq::SliceRandom};
use swath_proto::geometry::{RectPx, SizePx};

use super::*;
use crate::rasterize;

const CLASS: u8 = 3;

#[derive(Clone, Debug)]
pub(super) struct Raster {
    pub(super) size: SizePx,
    classes: Vec<u8>,
    scores: Vec<u8>,
}

impl Raster {
    pub(super) const CLASS: u8 = CLASS;
    pub(super) const NODATA: u8 = u8::MAX;

    /// Of the plane of scores, or of classes.
    pub(super) fn pixels(&self, scores: bool, rect: RectPx) -> Vec<u8> {
        self.pixels_of(if scores { &self.scores } else { &self.classes }, rect)
    }

    /// `#` is of the class, `?` does not count. Scores count up from 1.
    pub(super) fn drawn(rows: &[&str]) -> Self {
        let class = |c: u8| match c {
            b'#' => CLASS,
            b'?' => Self::NODATA,
            _ => 0,
        };
        let classes: Vec<_> = rows.concat().bytes().map(class).collect();
        let scores = (1..=classes.len()).map(|i| i as u8).collect();
        Self { size: SizePx::new(rows[0].len() as u32, rows.len() as u32), classes, scores }
    }

    /// Blobs of many sizes, and specks.
    pub(super) fn random(rng: &mut StdRng) -> Self {
        // Some are about as wide as words have bits.
        let width = match rng.random_range(0..4) {
            0 => [62, 63, 64, 65, 126, 127, 128, 190][rng.random_range(0..8)],
            _ => rng.random_range(1..40),
        };
        let size = SizePx::new(width, rng.random_range(1..40));
        let n = size.pixels() as usize;
        let share = [0.05, 0.3, 0.5, 0.6, 0.7, 0.95, 1.0][rng.random_range(0..7)];
        let mut classes: Vec<u8> =
            (0..n).map(|_| if rng.random_bool(share) { CLASS } else { rng.random_range(0..3) }).collect();
        for _ in 0..rng.random_range(0..6) {
            let (col, row) = (rng.random_range(0..size.width), rng.random_range(0..size.height));
            let value = if rng.random_bool(0.7) { CLASS } else { 0 };
            for r in row..(row + rng.random_range(1..20)).min(size.height) {
                let from = (r * size.width + col) as usize;
                let len = rng.random_range(1..20).min(size.width - col) as usize;
                classes[from..from + len].fill(value);
            }
        }
        Self { size, classes, scores: (0..n).map(|_| rng.random()).collect() }
    }

    /// Pixels whose middle lies in the rings, by column and row.
    pub(super) fn burnt(size: SizePx, rings: Vec<Vec<[f64; 2]>>) -> Self {
        let mut polygon = rasterize::Polygons::default();
        polygon.push(&rings).unwrap();
        let mut classes = vec![0; size.pixels() as usize];
        let all = RectPx::new(0, 0, size.width, size.height);
        rasterize::fill(polygon.iter().map(|polygon| (polygon, CLASS)), all, &mut classes);
        Self { size, scores: classes.clone(), classes }
    }

    fn pixels_of(&self, plane: &[u8], window: RectPx) -> Vec<u8> {
        (window.row..window.bottom())
            .flat_map(|row| {
                let from = (row * self.size.width + window.col) as usize;
                plane[from..from + window.width as usize].to_vec()
            })
            .collect()
    }

    /// As the workers make them: each sees its window alone, and leaves bytes.
    pub(super) fn fragments(&self, denoise_px: u32, row_cuts: &[u32], col_cuts: &[u32]) -> Vec<Fragment> {
        let tracing = Tracing { scene: self.size, class: CLASS, denoise_px };
        let pieces = |cuts: &[u32], end: u32| -> Vec<(u32, u32)> {
            let ends = cuts.iter().copied().chain([end]);
            [0].into_iter().chain(cuts.iter().copied()).zip(ends).collect()
        };
        let mut fragments = Vec::new();
        for (top, bottom) in pieces(row_cuts, self.size.height) {
            for (left, right) in pieces(col_cuts, self.size.width) {
                let item = RectPx::new(left, top, right - left, bottom - top);
                let window = tracing.window_px(item).unwrap();
                let (classes, scores) =
                    (self.pixels_of(&self.classes, window), self.pixels_of(&self.scores, window));
                let fragment = tracing.fragment(item, &classes, Some(&scores)).unwrap();
                let read = Fragment::from_bytes(&fragment.to_bytes()).unwrap();
                assert_eq!(read, fragment);
                fragments.push(read);
            }
        }
        fragments
    }

    pub(super) fn polygons(&self, denoise_px: u32) -> Vec<Polygon> {
        polygons(self.size, 0, self.fragments(denoise_px, &[], &[])).unwrap()
    }

    /// Which pixels are left, by brute force.
    fn denoised(&self, edge: u32) -> Vec<bool> {
        let (width, height) = (self.size.width, self.size.height);
        let is_class = |row: u32, col: u32| self.classes[(row * width + col) as usize] == CLASS;
        let edge = edge.max(1);
        let mut kept = vec![false; self.classes.len()];
        for top in 0..(height + 1).saturating_sub(edge) {
            for left in 0..(width + 1).saturating_sub(edge) {
                let square = || (top..top + edge).flat_map(|r| (left..left + edge).map(move |c| (r, c)));
                if square().all(|(r, c)| is_class(r, c)) {
                    square().for_each(|(r, c)| kept[(r * width + c) as usize] = true);
                }
            }
        }
        kept
    }

    /// Pixels and sum of scores of each region by its first pixel, found by flooding.
    fn regions(&self, kept: &[bool]) -> BTreeMap<usize, (HashSet<usize>, u64)> {
        let width = self.size.width as usize;
        let mut left: HashSet<usize> = (0..kept.len()).filter(|&i| kept[i]).collect();
        let mut regions = BTreeMap::new();
        for first in 0..kept.len() {
            let mut region = HashSet::new();
            let mut waiting = vec![first];
            while let Some(i) = waiting.pop() {
                if !left.remove(&i) {
                    continue;
                }
                region.insert(i);
                waiting.extend(i.checked_sub(width));
                waiting.push(i + width);
                waiting.extend((i % width > 0).then(|| i - 1));
                waiting.extend((i % width < width - 1).then_some(i + 1));
            }
            if !region.is_empty() {
                let score_sum = region.iter().map(|&i| u64::from(self.scores[i])).sum();
                regions.insert(first, (region, score_sum));
            }
        }
        regions
    }
}

fn random_cuts(rng: &mut StdRng, len: u32) -> Vec<u32> {
    match rng.random_range(0..3) {
        // A grid with a smaller last item.
        0 => (1..len).filter(|at| at % 7 == 0).collect(),
        1 => (1..len).collect(),
        _ => (1..len).filter(|_| rng.random_bool(0.15)).collect(),
    }
}

fn burnt(polygon: &Polygon, size: SizePx) -> Vec<bool> {
    let rings = polygon.rings.iter().map(|ring| {
        ring.corners().iter().map(|corner| [f64::from(corner.col), f64::from(corner.row)]).collect()
    });
    let mut burnt = rasterize::Polygons::default();
    burnt.push(&rings.collect::<Vec<_>>()).unwrap();
    let mut out = vec![0; size.pixels() as usize];
    let all = RectPx::new(0, 0, size.width, size.height);
    rasterize::fill(burnt.iter().map(|polygon| (polygon, 1)), all, &mut out);
    out.into_iter().map(|value| value == 1).collect()
}

fn corners_of(ring: &Ring) -> Vec<(u32, u32)> {
    ring.corners().iter().map(|corner| (corner.row, corner.col)).collect()
}

fn assert_is_canonical(ring: &Ring, is_outer: bool) {
    let corners = ring.corners();
    assert!(corners.len() >= 4 && corners.len().is_multiple_of(2));
    assert_eq!(corners.iter().min(), corners.first());
    assert_eq!(corners.iter().collect::<HashSet<_>>().len(), corners.len(), "a corner twice");
    assert_eq!(ring.twice_area_px() > 0, is_outer);
    let n = corners.len();
    for i in 0..n {
        let (a, b, c) = (corners[i], corners[(i + 1) % n], corners[(i + 2) % n]);
        let is_level = |a: Corner, b: Corner| {
            assert_ne!(a.row == b.row, a.col == b.col);
            a.row == b.row
        };
        assert_ne!(is_level(a, b), is_level(b, c), "a corner that does not turn");
    }
}

#[test]
fn the_polygons_of_a_raster_are_its_regions_pixel_by_pixel() {
    let mut rng = StdRng::seed_from_u64(1);
    for case in 0..300 {
        let raster = Raster::random(&mut rng);
        let denoise_px = [0, 1, 2, 3, 4, 8][case % 6];
        let polygons = raster.polygons(denoise_px);
        let regions = raster.regions(&raster.denoised(denoise_px));
        assert_eq!(polygons.len(), regions.len());
        for (polygon, (first, (pixels, score_sum))) in polygons.iter().zip(regions) {
            let width = raster.size.width as usize;
            let corner = Corner::new((first / width) as u32, (first % width) as u32);
            assert_eq!(polygon.first_corner(), corner, "case {case}");
            let inside = burnt(polygon, raster.size);
            let inside: HashSet<_> = (0..inside.len()).filter(|&i| inside[i]).collect();
            assert_eq!(inside, pixels, "case {case}");
            assert_eq!((polygon.area_px, polygon.score_sum), (pixels.len() as u64, score_sum));
            let twice_area: i128 = polygon.rings.iter().map(Ring::twice_area_px).sum();
            assert_eq!(twice_area, 2 * i128::from(polygon.area_px));
            polygon.rings.iter().enumerate().for_each(|(i, ring)| assert_is_canonical(ring, i == 0));
            assert!(polygon.rings.is_sorted_by_key(|ring| ring.corners()[0]));
        }
    }
}

#[test]
fn any_cut_in_any_order_gives_the_polygons_of_the_whole() {
    let mut rng = StdRng::seed_from_u64(2);
    for case in 0..600 {
        let raster = Raster::random(&mut rng);
        let denoise_px = [0, 1, 2, 3, 4, 8][case % 6];
        let row_cuts = random_cuts(&mut rng, raster.size.height);
        let col_cuts = random_cuts(&mut rng, raster.size.width);
        let mut fragments = raster.fragments(denoise_px, &row_cuts, &col_cuts);
        fragments.shuffle(&mut rng);
        let joined = polygons(raster.size, 0, fragments).unwrap();
        assert_eq!(joined, raster.polygons(denoise_px), "case {case}: {row_cuts:?} {col_cuts:?}");
    }
}

/// Near the share at which regions begin to span a scene they wind most.
#[test]
fn winding_regions_stay_together() {
    let mut rng = StdRng::seed_from_u64(4);
    for _ in 0..20 {
        let size = SizePx::new(150, 150);
        let classes: Vec<_> = (0..size.pixels()).map(|_| CLASS * u8::from(rng.random_bool(0.59))).collect();
        let raster = Raster { size, scores: classes.clone(), classes };
        let whole = raster.polygons(0);
        let found: Vec<_> = whole.iter().map(|polygon| polygon.area_px as usize).collect();
        let regions = raster.regions(&raster.denoised(0));
        assert_eq!(found, regions.values().map(|(pixels, _)| pixels.len()).collect::<Vec<_>>());
        let fragments = raster.fragments(0, &[64, 128], &[64, 128]);
        assert_eq!(polygons(size, 0, fragments).unwrap(), whole);
    }
}

#[test]
fn small_regions_are_left_out_by_their_pixels_in_all_items() {
    let raster = Raster::drawn(&["##..#", "##...", ".....", "###.."]);
    for (min_area_px, wanted) in [(0, 3), (1, 3), (2, 2), (3, 2), (4, 1), (5, 0)] {
        let fragments = raster.fragments(0, &[1], &[1, 2]);
        assert_eq!(polygons(raster.size, min_area_px, fragments).unwrap().len(), wanted);
    }
}

#[test]
fn one_pixel_is_a_square_that_runs_down_first() {
    let polygons = Raster::drawn(&["#"]).polygons(0);
    assert_eq!(corners_of(&polygons[0].rings[0]), [(0, 0), (1, 0), (1, 1), (0, 1)]);
    assert_eq!((polygons.len(), polygons[0].area_px, polygons[0].score_sum), (1, 1, 1));
    assert_eq!(Raster::drawn(&["."]).polygons(0), []);
}

#[test]
fn a_scene_all_of_one_class_is_one_rectangle_however_cut() {
    let raster = Raster::drawn(&["######"; 5]);
    for (rows, cols) in [(vec![], vec![]), (vec![1, 2, 3, 4], vec![1, 2, 3, 4, 5]), (vec![3], vec![4])] {
        let polygons = polygons(raster.size, 0, raster.fragments(3, &rows, &cols)).unwrap();
        assert_eq!(polygons.len(), 1);
        assert_eq!(polygons[0].rings.len(), 1);
        assert_eq!(corners_of(&polygons[0].rings[0]), [(0, 0), (5, 0), (5, 6), (0, 6)]);
    }
}

#[test]
fn pixels_that_meet_in_a_corner_are_two_polygons() {
    for drawing in [["#.", ".#"], [".#", "#."]] {
        let raster = Raster::drawn(&drawing);
        for (rows, cols) in [(vec![], vec![]), (vec![1], vec![]), (vec![], vec![1]), (vec![1], vec![1])] {
            let polygons = polygons(raster.size, 0, raster.fragments(0, &rows, &cols)).unwrap();
            assert_eq!(polygons.len(), 2);
            assert!(polygons.iter().all(|polygon| polygon.rings[0].corners().len() == 4));
        }
    }
}

#[test]
fn a_hole_that_meets_the_outside_in_a_corner_is_a_hole() {
    let raster = Raster::drawn(&["###", "#.#", "##."]);
    for cuts in [vec![], vec![1], vec![2], vec![1, 2]] {
        let polygons = polygons(raster.size, 0, raster.fragments(0, &cuts, &cuts)).unwrap();
        let [polygon] = &polygons[..] else { panic!("{polygons:?}") };
        let rings: Vec<_> = polygon.rings.iter().map(corners_of).collect();
        assert_eq!(rings[0], [(0, 0), (3, 0), (3, 2), (2, 2), (2, 3), (0, 3)]);
        assert_eq!(rings[1], [(1, 1), (1, 2), (2, 2), (2, 1)]);
        assert_eq!(rings.len(), 2);
    }
}

#[test]
fn holes_that_meet_in_a_corner_are_two_holes() {
    let raster = Raster::drawn(&["####", "#.##", "##.#", "####"]);
    for cuts in [vec![], vec![2], vec![1, 2, 3]] {
        let polygons = polygons(raster.size, 0, raster.fragments(0, &cuts, &cuts)).unwrap();
        let rings: Vec<_> = polygons[0].rings.iter().map(corners_of).collect();
        assert_eq!(rings[1], [(1, 1), (1, 2), (2, 2), (2, 1)]);
        assert_eq!(rings[2], [(2, 2), (2, 3), (3, 3), (3, 2)]);
        assert_eq!((polygons.len(), rings.len()), (1, 3));
    }
}

#[test]
fn islands_in_holes_are_polygons_of_their_own() {
    let raster =
        Raster::drawn(&["#######", "#.....#", "#.###.#", "#.#.#.#", "#.###.#", "#.....#", "#######"]);
    for cuts in [vec![], vec![3], vec![1, 2, 3, 4, 5, 6]] {
        let polygons = polygons(raster.size, 0, raster.fragments(0, &cuts, &cuts)).unwrap();
        let found: Vec<_> = polygons.iter().map(|p| (p.rings.len(), p.area_px)).collect();
        assert_eq!(found, [(2, 24), (2, 8)]);
        assert_eq!(corners_of(&polygons[1].rings[1]), [(3, 3), (3, 4), (4, 4), (4, 3)]);
    }
}

#[test]
fn what_noise_removal_takes_does_not_count() {
    let raster = Raster::drawn(&["##...", "##.#.", "####.", "....."]);
    let polygons = raster.polygons(2);
    assert_eq!(polygons.len(), 1);
    // The scores of the square that is left and of the row under it: 1, 2, 6, 7, 11, 12.
    assert_eq!((polygons[0].area_px, polygons[0].score_sum), (6, 39));
    assert!((polygons[0].mean_score() - 6.5 / 255.0).abs() < 1e-15);
}

#[test]
fn without_scores_polygons_are_the_same() {
    let tracing = Tracing { scene: SizePx::new(3, 1), class: 1, denoise_px: 0 };
    let fragment = tracing.fragment(RectPx::new(0, 0, 3, 1), &[1, 1, 0], None).unwrap();
    let polygons = polygons(tracing.scene, 0, [fragment]).unwrap();
    assert_eq!((polygons[0].area_px, polygons[0].score_sum), (2, 0));
}

#[test]
fn a_window_reaches_as_far_as_the_scene() {
    let tracing = |denoise_px| Tracing { scene: SizePx::new(100, 50), class: 1, denoise_px };
    assert_eq!([0, 1, 2, 8].map(|px| tracing(px).halo_px()), [1, 1, 2, 8]);
    let window = |col, row, width, height| tracing(8).window_px(RectPx::new(col, row, width, height));
    assert_eq!(window(0, 20, 40, 30).unwrap(), RectPx::new(0, 12, 48, 38));
    assert_eq!(window(40, 20, 20, 10).unwrap(), RectPx::new(32, 12, 36, 26));
    assert_eq!(tracing(u32::MAX).window_px(RectPx::new(9, 9, 1, 1)).unwrap(), RectPx::new(0, 0, 100, 50));
    for (col, row, width, height) in
        [(0, 0, 0, 1), (0, 0, 1, 0), (90, 0, 11, 1), (0, 50, 1, 1), (u32::MAX, 0, 2, 1)]
    {
        assert!(matches!(window(col, row, width, height), Err(BadPlane::Outside { .. })));
    }
}

#[test]
fn planes_of_another_size_are_refused() {
    let tracing = Tracing { scene: SizePx::new(3, 1), class: 1, denoise_px: 0 };
    let item = RectPx::new(0, 0, 3, 1);
    assert!(tracing.fragment(item, &[1; 2], None).is_err());
    assert!(tracing.fragment(item, &[1; 3], Some(&[1; 4])).is_err());
    assert!(tracing.fragment(item, &[1; 3], Some(&[1; 3])).is_ok());
}
