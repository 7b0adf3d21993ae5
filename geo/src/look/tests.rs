//! A network that is drawn, over a scene that is drawn: what no cut may change, and what is mixed for.

use swath_proto::item::Views;

use super::*;
use crate::planes::{Kept, Missing};

const SHAPE: WindowShape = WindowShape { core_px: 16, margin_px: 6 };
const SCENE: SizePx = SizePx::new(150, 93);
const BANDS: usize = 2;
const ALL: Kept = Kept { scores: true, confidence: true };

const PLAIN: Mixing = Mixing { blend: Blend::Crop, augment: Views::None };
const HANN: Mixing = Mixing { blend: Blend::Hann, augment: Views::None };
const D4: Mixing = Mixing { blend: Blend::Crop, augment: Views::D4 };
const BOTH: Mixing = Mixing { blend: Blend::Hann, augment: Views::D4 };
const FLIPS: Mixing = Mixing { blend: Blend::Hann, augment: Views::Flips };

/// Noise, different at every pixel; nothing beyond the scene.
fn value(scene: SizePx, col: i64, row: i64, band: usize) -> f32 {
    if !(0..i64::from(scene.width)).contains(&col) || !(0..i64::from(scene.height)).contains(&row) {
        return 0.0;
    }
    let mut x = (row as u64 * 1_000_003 + col as u64) * 31 + band as u64;
    x = (x ^ (x >> 15)).wrapping_mul(0x2c1b_3c6d_9b4f_a7e5);
    ((x >> 40) & 0xffff) as f32 / 65_535.0
}

/// Looks at a pixel and at those right of and below it, so that it is no mirror image of itself; the nearer the edge of
/// its window, the more it errs, as networks do whose layers pad. One that errs nowhere looks at the pixel alone, for there is
/// nothing to see beyond the edge.
struct Drawn {
    edge: usize,
    n_classes: usize,
    errs: f32,
    input: Vec<f32>,
    output: Vec<f32>,
    forwards: usize,
}

impl Drawn {
    fn new(shape: WindowShape, n_classes: usize, errs: f32) -> Self {
        let edge = shape.edge_px() as usize;
        Self { edge, n_classes, errs, input: Vec::new(), output: Vec::new(), forwards: 0 }
    }
}

impl Network for Drawn {
    type Error = std::convert::Infallible;

    /// What an engine leaves there is not to be seen.
    fn input(&mut self, n: usize) -> Result<&mut [f32], Self::Error> {
        self.input = vec![f32::NAN; n * self.edge * self.edge * BANDS];
        Ok(&mut self.input)
    }

    fn run(&mut self, n: usize) -> Result<&[f32], Self::Error> {
        let edge = self.edge;
        let pixels = edge * edge;
        assert_eq!(self.input.len(), n * pixels * BANDS);
        self.forwards += n;
        self.output.clear();
        for window in self.input.chunks_exact(pixels * BANDS) {
            let at = |row: usize, col: usize| window[(row.min(edge - 1) * edge + col.min(edge - 1)) * BANDS];
            let reach = usize::from(self.errs > 0.0);
            for row in 0..edge {
                for col in 0..edge {
                    let to_edge = row.min(col).min(edge - 1 - row).min(edge - 1 - col) as f32;
                    let value =
                        at(row, col) + 2.0 * at(row, col + reach) + 3.0 * at(row + 2 * reach, col) - 3.0;
                    let error = self.errs / (1.0 + to_edge);
                    for class in 0..self.n_classes {
                        self.output.push(value * (class as f32 - 0.7) + if class == 0 { error } else { 0.0 });
                    }
                }
            }
        }
        Ok(&self.output)
    }
}

struct Case {
    scene: SizePx,
    shape: WindowShape,
    n_classes: usize,
    errs: f32,
    batch: usize,
    /// Which pixels count.
    counts: fn(u32, u32) -> bool,
}

const CASE: Case =
    Case { scene: SCENE, shape: SHAPE, n_classes: 3, errs: 0.0, batch: 5, counts: |_, _| true };

impl Case {
    fn item(&self, item: RectPx, mixing: Mixing) -> (Planes, usize) {
        let looks = Looks {
            item,
            scene: self.scene,
            window: self.shape,
            mixing,
            batch: self.batch,
            bands: BANDS,
            n_classes: self.n_classes,
        };
        let mask: Vec<u8> = (item.row..item.bottom())
            .flat_map(|row| (item.col..item.right()).map(move |col| u8::from((self.counts)(col, row))))
            .collect();
        let windows = looks.windows(Some(&mask)).unwrap();
        let edge = self.shape.edge_px() as usize;
        let fill = |window: &Window, out: &mut [f32]| {
            for (at, pixel) in out.chunks_exact_mut(BANDS).enumerate() {
                let (col, row) =
                    (window.input_col + (at % edge) as i64, window.input_row + (at / edge) as i64);
                pixel.iter_mut().enumerate().for_each(|(band, out)| *out = value(self.scene, col, row, band));
            }
        };
        let mut network = Drawn::new(self.shape, self.n_classes, self.errs);
        let mut planes = Planes::new(item, self.n_classes, ALL);
        looks.show(&windows, fill, &mut network, &mut planes).unwrap();
        planes.blank(&mask, Missing { in_map: 0, null_class: 0 });
        (planes, network.forwards)
    }

    /// The whole scene's planes, made in items of this edge.
    fn cut(&self, item_px: u32, mixing: Mixing) -> Planes {
        let whole = RectPx::new(0, 0, self.scene.width, self.scene.height);
        let mut all = Planes::new(whole, self.n_classes, ALL);
        let grid = grid::ItemGrid::new(self.scene, item_px).unwrap();
        for item in (0..grid.len()).filter_map(|index| grid.rect(index)) {
            let (planes, _) = self.item(item, mixing);
            let paste = |from: &[u8], to: &mut [u8], n: usize| {
                for row in 0..item.height as usize {
                    let len = item.width as usize * n;
                    let at = (item.row as usize + row) * self.scene.width as usize + item.col as usize;
                    to[at * n..][..len].copy_from_slice(&from[row * len..][..len]);
                }
            };
            paste(&planes.classes, &mut all.classes, 1);
            paste(planes.scores.as_ref().unwrap(), all.scores.as_mut().unwrap(), self.n_classes);
            paste(planes.confidence.as_ref().unwrap(), all.confidence.as_mut().unwrap(), 1);
        }
        all
    }

    fn whole(&self, mixing: Mixing) -> Planes {
        self.cut(self.scene.width.max(self.scene.height), mixing)
    }
}

#[test]
fn no_cut_and_no_batch_changes_a_byte() {
    let island = |col: u32, row: u32| (40..77).contains(&col) && (30..70).contains(&row);
    for counts in [CASE.counts, island] {
        for n_classes in [2, 3] {
            for mixing in [PLAIN, HANN, D4, BOTH, FLIPS] {
                let case = Case { n_classes, counts, errs: 0.5, ..CASE };
                let whole = case.whole(mixing);
                for (item_px, batch) in [(16, 1), (32, 7), (64, 16), (128, 3)] {
                    let cut = Case { batch, ..case }.cut(item_px, mixing);
                    assert!(cut == whole, "{n_classes} classes, {mixing:?}, items of {item_px} px");
                }
            }
        }
    }
}

#[test]
fn what_agrees_with_itself_is_mixed_to_the_same() {
    // One window sees what the other does, and errs nowhere: blending changes nothing but roundings.
    let inner = |col: u32, row: u32| (8..140).contains(&col) && (8..85).contains(&row);
    let case = Case { counts: inner, ..CASE };
    let (plain, hann) = (case.whole(PLAIN), case.whole(HANN));
    let differ = plain.classes.iter().zip(&hann.classes).filter(|(one, other)| one != other).count();
    assert!(differ <= 2, "{differ} classes differ");
    let far = |one: &Planes, other: &Planes| {
        let pairs = one.scores.as_ref().unwrap().iter().zip(other.scores.as_ref().unwrap());
        pairs.map(|(one, other)| one.abs_diff(*other)).max().unwrap()
    };
    assert!(far(&plain, &hann) <= 1);
    for (mixing, planes) in [(PLAIN, plain), (HANN, hann)] {
        for (at, class) in
            planes.classes.iter().enumerate().filter(|(at, _)| planes.confidence.as_ref().unwrap()[*at] > 0)
        {
            let scores = &planes.scores.as_ref().unwrap()[at * 3..][..3];
            assert_eq!(planes.confidence.as_ref().unwrap()[at], scores[usize::from(*class)], "{mixing:?}");
        }
    }
}

#[test]
fn blending_smooths_the_seams_of_windows_that_do_not_agree() {
    // A flat scene: all that there is to see is where windows meet.
    let shape = WindowShape { core_px: 32, margin_px: 4 };
    let scene = SizePx::new(192, 160);
    let step = |mixing: Mixing| {
        let looks = Looks {
            item: RectPx::new(0, 0, scene.width, scene.height),
            scene,
            window: shape,
            mixing,
            batch: 4,
            bands: BANDS,
            n_classes: 2,
        };
        let windows = looks.windows(None).unwrap();
        let mut planes = Planes::new(looks.item, 2, ALL);
        // Windows of odd columns are surer than the others.
        let fill = |window: &Window, out: &mut [f32]| {
            let odd = (window.core.col / shape.core_px) % 2 == 1;
            out.fill(if odd { 0.6 } else { 0.45 });
        };
        looks.show(&windows, fill, &mut Drawn::new(shape, 2, 0.0), &mut planes).unwrap();
        let scores: Vec<u8> = planes.scores.unwrap().iter().skip(1).step_by(2).copied().collect();
        let row = &scores[80 * scene.width as usize..][..scene.width as usize];
        row.windows(2).map(|pair| pair[0].abs_diff(pair[1])).max().unwrap()
    };
    let (cropped, blended) = (step(PLAIN), step(HANN));
    eprintln!("the largest step: {cropped} of 255 cropped, {blended} blended");
    assert!(cropped >= 3 * blended, "{cropped} {blended}");
}

#[test]
fn of_eight_views_a_turned_scene_is_the_scene_turned() {
    // A whole number of windows, so that they lie alike in both.
    let scene = SizePx::new(64, 64);
    let case = Case { scene, errs: 1.0, ..CASE };
    let looks = |mixing: Mixing| Looks {
        item: RectPx::new(0, 0, 64, 64),
        scene,
        window: SHAPE,
        mixing,
        batch: 3,
        bands: BANDS,
        n_classes: case.n_classes,
    };
    let edge = SHAPE.edge_px() as usize;
    let of = |mixing: Mixing, view: View| {
        let looks = looks(mixing);
        let windows = looks.windows(None).unwrap();
        let fill = |window: &Window, out: &mut [f32]| {
            for (at, pixel) in out.chunks_exact_mut(BANDS).enumerate() {
                let (col, row) =
                    (window.input_col + (at % edge) as i64, window.input_row + (at / edge) as i64);
                let inside = (0..64).contains(&col) && (0..64).contains(&row);
                let at = if inside { view.shows(64, row as usize, col as usize) as i64 } else { -1 };
                let (col, row) = if inside { (at % 64, at / 64) } else { (-1, -1) };
                pixel.iter_mut().enumerate().for_each(|(band, out)| *out = value(scene, col, row, band));
            }
        };
        let mut planes = Planes::new(looks.item, case.n_classes, ALL);
        looks.show(&windows, fill, &mut Drawn::new(SHAPE, case.n_classes, case.errs), &mut planes).unwrap();
        planes
    };
    let turned = |plane: &[u8], view: View| -> Vec<u8> {
        (0..64 * 64).map(|at| plane[view.shows(64, at / 64, at % 64)]).collect()
    };
    for mixing in [D4, BOTH] {
        let straight = of(mixing, View::ALL[0]);
        for view in View::ALL {
            let other = of(mixing, view);
            assert!(other.classes == turned(&straight.classes, view), "{mixing:?} {view:?}");
            let confidence = straight.confidence.as_ref().unwrap();
            assert!(other.confidence.unwrap() == turned(confidence, view), "{mixing:?} {view:?}");
        }
    }
    assert!(of(PLAIN, View::ALL[5]).classes != turned(&of(PLAIN, View::ALL[0]).classes, View::ALL[5]));
}

#[test]
fn what_does_not_count_costs_no_look() {
    let item = RectPx::new(48, 32, 64, 48);
    let case = Case { counts: |col, row| (col, row) == (69, 50), ..CASE };
    assert_eq!(case.item(item, PLAIN).1, 1);
    // In the margins of the neighbours on the left and above, too.
    assert_eq!([HANN, BOTH].map(|mixing| case.item(item, mixing).1), [4, 32]);
    let nothing = Case { counts: |_, _| false, ..CASE };
    let (planes, looks) = nothing.item(item, BOTH);
    assert_eq!((planes.is_blank, looks), (true, 0));
    // Where all counts, a ring of the neighbours' windows comes on top.
    assert_eq!([PLAIN, HANN, FLIPS].map(|mixing| CASE.item(item, mixing).1), [12, 30, 120]);
}

#[test]
fn the_reach_is_what_the_windows_see_and_no_more() {
    let looks = |mixing: Mixing, item: RectPx| Looks {
        item,
        scene: SCENE,
        window: SHAPE,
        mixing,
        batch: 1,
        bands: BANDS,
        n_classes: 2,
    };
    for item in [RectPx::new(0, 0, 64, 64), RectPx::new(64, 32, 32, 32), RectPx::new(128, 64, 22, 29)] {
        for mixing in [PLAIN, BOTH] {
            let looks = looks(mixing, item);
            let windows = looks.windows(None).unwrap();
            assert_eq!(looks.reach(&windows), Some(mixing.reach(SHAPE, item, SCENE)), "{item} {mixing:?}");
        }
    }
    let looks = looks(PLAIN, RectPx::new(0, 0, 64, 64));
    let mut mask = vec![0; 64 * 64];
    assert_eq!(looks.reach(&looks.windows(Some(&mask)).unwrap()), None);
    mask[20 * 64 + 40] = 1;
    let reach = looks.reach(&looks.windows(Some(&mask)).unwrap());
    assert_eq!(reach, Some(WindowPx::new(26, 10, 28, 28)));
}

#[test]
fn a_logit_that_is_not_a_number_is_told_with_its_place_in_the_scene_from_any_view() {
    struct Broken {
        edge: usize,
        at: usize,
        input: Vec<f32>,
        output: Vec<f32>,
    }
    impl Network for Broken {
        type Error = std::convert::Infallible;
        fn input(&mut self, n: usize) -> Result<&mut [f32], Self::Error> {
            self.input.resize(n * self.edge * self.edge * BANDS, 0.0);
            Ok(&mut self.input)
        }
        fn run(&mut self, n: usize) -> Result<&[f32], Self::Error> {
            self.output = vec![0.0; n * self.edge * self.edge * 2];
            if self.at < n {
                // In the view of this number, in row 7 and column 9 of it.
                self.output[(self.at * self.edge * self.edge + 7 * self.edge + 9) * 2] = f32::NAN;
            }
            Ok(&self.output)
        }
    }
    let item = RectPx::new(16, 16, 16, 16);
    let looks = Looks { item, scene: SCENE, window: SHAPE, mixing: D4, batch: 8, bands: BANDS, n_classes: 2 };
    let windows = looks.windows(None).unwrap();
    for (at, view) in View::ALL.into_iter().enumerate() {
        let edge = SHAPE.edge_px() as usize;
        let mut planes = Planes::new(item, 2, ALL);
        let mut broken = Broken { edge, at, input: Vec::new(), output: Vec::new() };
        let told = looks.show(&windows, |_, _| (), &mut broken, &mut planes);
        let shown = view.shows(edge, 7, 9);
        let (col, row) = (10 + (shown % edge) as u32, 10 + (shown / edge) as u32);
        match told {
            Err(BadLook::Logits(bad)) => assert_eq!(bad, BadLogits::Undefined { col, row }, "{view:?}"),
            other => panic!("{other:?}"),
        }
    }
}
