//! Scenes cut out of a raster, traced together and as the whole.

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

/// What no raster has.
const NOTHING: u8 = 99;

/// As a worker does it, in blocks of this edge.
fn traced(
    mosaic: &Mosaic,
    edge_px: u32,
    denoise_px: u32,
    nodata: Option<u8>,
    scenes: &[(RectPx, &Raster)],
) -> Vec<Polygon> {
    let tracing = Tracing { scene: mosaic.size, class: Raster::CLASS, denoise_px };
    let grid = ItemGrid::new(mosaic.size, edge_px).unwrap();
    let fragments = (0..grid.len()).map(|index| {
        let item = grid.rect(index).unwrap();
        let window = tracing.window_px(item).unwrap();
        let read = |scene: usize, rect: RectPx| {
            let (at, raster): (RectPx, &Raster) = scenes[scene];
            let rect = RectPx::new(at.col + rect.col, at.row + rect.row, rect.width, rect.height);
            let [classes, scores] = [false, true].map(|scores| raster.pixels(scores, rect));
            Ok::<_, Infallible>(Layers { classes, scores: Some(scores) })
        };
        let Layers { classes, scores } = mosaic.layers(window, NOTHING, nodata, read).unwrap();
        assert_eq!(mosaic.is_anywhere_in(window), scores.is_some());
        tracing.fragment(item, &classes, scores.as_deref()).unwrap()
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
        let placed: Vec<_> = mosaic.tiles().iter().map(|tile| tile.rect).collect();
        assert_eq!((mosaic.size, placed), (raster.size, rects.clone()));
        let first = mosaic.georeference.as_ref().unwrap().crs_from_pixel;
        assert!(first.iter().zip(GRID).all(|(one, other)| (one - other).abs() < 1e-6), "{first:?}");
        let denoise_px = [0, 2, 3][case % 3];
        let of: Vec<_> = rects.iter().map(|&rect| (rect, &raster)).collect();
        assert_eq!(traced(mosaic, 16, denoise_px, None, &of), raster.polygons(denoise_px), "case {case}");
    }
}

/// Areas and sums of scores of what two rasters of 4 px, one over the other's upper left quarter, are together.
fn overlapping(nodata: Option<u8>, first: &Raster, second: &Raster) -> Vec<(u64, u64)> {
    let (one, other) = (RectPx::new(0, 0, 4, 4), RectPx::new(2, 2, 4, 4));
    let found = together(&[(one.size(), of_rect(one)), (other.size(), of_rect(other))]);
    let [mosaic] = &found[..] else { panic!("{found:?}") };
    assert_eq!(mosaic.size, SizePx::new(6, 6));
    let [whole, blocks] =
        [6, 3].map(|edge_px| traced(mosaic, edge_px, 0, nodata, &[(one, first), (one, second)]));
    assert_eq!(whole, blocks);
    whole.iter().map(|polygon| (polygon.area_px, polygon.score_sum)).collect()
}

// Of a raster of 4 px that is full the scores are 136 together: those of its lower right quarter 54, of its
// upper left one 14.

#[test]
fn where_scenes_overlap_the_first_has_the_say_and_where_there_is_none_is_nothing() {
    let (full, empty) = (Raster::drawn(&["####"; 4]), Raster::drawn(&["...."; 4]));
    assert_eq!(overlapping(None, &full, &full), [(28, 136 + 122)]);
    assert_eq!(overlapping(None, &full, &empty), [(16, 136)]);
    assert_eq!(overlapping(None, &empty, &full), [(12, 122)]);
}

#[test]
fn what_does_not_count_in_a_scene_is_left_to_the_next_with_its_scores() {
    let full = Raster::drawn(&["####"; 4]);
    let gap = Raster::drawn(&["####", "####", "##??", "##??"]);
    let gap_in_second = Raster::drawn(&["??##", "??##", "####", "####"]);
    let nodata = Some(Raster::NODATA);
    assert_eq!(overlapping(nodata, &gap, &full), [(28, 82 + 136)]);
    assert_eq!(overlapping(None, &gap, &full), [(12, 82), (12, 122)], "it can't be told from a class");
    assert_eq!(overlapping(nodata, &full, &gap_in_second), [(28, 136 + 122)]);
    assert_eq!(overlapping(nodata, &gap, &gap_in_second), [(12, 82), (12, 122)], "neither says anything");
    let background = Raster::drawn(&["####", "####", "##..", "##.."]);
    assert_eq!(overlapping(nodata, &background, &full), [(12, 82), (12, 122)], "this counts");
    // A class of its own may stand for it: where no scene says anything else it is that class, as the first says.
    assert_eq!(overlapping(Some(Raster::CLASS), &full, &full), [(28, 136 + 122)]);
    let second_says = Raster::drawn(&["..##", "..##", "####", "####"]);
    assert_eq!(overlapping(Some(Raster::CLASS), &full, &second_says), [(12, 82), (12, 122)]);
    assert_eq!(overlapping(Some(0), &background, &full), [(28, 82 + 136)]);
}

#[test]
fn what_does_not_fall_on_the_grid_or_share_a_side_is_left_alone() {
    let size = SizePx::new(10, 10);
    let scene = |col: f64, row: f64| (size, at(col, row));
    let of = |scenes: &[(SizePx, Georeference)]| -> Vec<Vec<usize>> {
        let found = together(scenes).into_iter();
        found.map(|mosaic| mosaic.tiles().iter().map(|tile| tile.scene).collect()).collect()
    };
    assert_eq!(of(&[scene(0.0, 0.0), scene(20.0, 0.0), scene(10.0, 0.0)]), [vec![0, 1, 2]]);
    assert_eq!(of(&[scene(0.0, 0.0), scene(10.0, 9.0)]), [vec![0, 1]], "a stretch of a side");
    assert_eq!(of(&[scene(0.0, 0.0), scene(9.0, 9.0)]), [vec![0, 1]], "a pixel");
    assert_eq!(of(&[scene(0.0, 0.0), scene(0.0, 0.0)]), [vec![0, 1]], "one over the other");
    for [col, row] in [[10.0, 10.0], [-10.0, 10.0], [10.0, -10.0], [-10.0, -10.0]] {
        assert_eq!(of(&[scene(0.0, 0.0), scene(col, row)]), [vec![0], vec![1]], "a corner alone");
    }
    let around_a_corner = [scene(0.0, 0.0), scene(10.0, 10.0), scene(10.0, 0.0)];
    assert_eq!(of(&around_a_corner), [vec![0, 1, 2]], "both touch the third");
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
