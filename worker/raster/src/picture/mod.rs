//! A scene in four panels: imagery, labels, prediction, errors. Plain data in, plain pixels out. [`pixels`] reads imagery,
//! and [`Shown`] says of which part, so that a picture beside an item's work costs next to nothing.

mod canvas;
pub mod pixels;
mod shown;

use swath_proto::{geometry::SizePx, item::ClassStyle, source::IGNORED};

pub use canvas::Canvas;
use canvas::Rgb;
pub use shown::Shown;

/// A scene as small as its panels. Planes are row by row.
pub struct Scene<'a> {
    pub size: SizePx,
    /// Red, green and blue side by side.
    pub imagery: &'a [u8],
    pub labels: Option<&'a [u8]>,
    pub prediction: &'a [u8],
    pub classes: &'a [ClassStyle],
    pub null_class: u8,
}

const PAPER: Rgb = [255; 3];
const INK: Rgb = [32; 3];
/// Where a label says that nothing is to be known.
const UNKNOWN: Rgb = [128; 3];
/// Told apart by people who don't see all colours, and on grey.
pub const MISSED: [u8; 3] = [255, 80, 0];
pub const FALSE: [u8; 3] = [0, 130, 255];
pub const CONFUSED: [u8; 3] = [255, 220, 0];

const MARGIN: u32 = 16;
const LINE: u32 = canvas::LETTER_PX + 8;

struct Panel {
    caption: &'static str,
    pixels: Vec<Rgb>,
    legend: Vec<(Rgb, String)>,
}

/// The panels from left to right, each with its caption above and its legend below. Without labels there are
/// two.
pub fn compose(scene: &Scene<'_>) -> Canvas {
    let panels = panels(scene);
    let SizePx { width, height } = scene.size;
    let legends = panels.iter().map(|panel| flow(&panel.legend, width).1).max().unwrap_or(0);
    let across = MARGIN + (width + MARGIN) * panels.len() as u32;
    let mut canvas = Canvas::new(across, MARGIN + LINE + height + legends + MARGIN, PAPER);
    for (number, panel) in (0..).zip(&panels) {
        let left = MARGIN + number * (width + MARGIN);
        canvas.text(left, MARGIN, panel.caption, INK);
        canvas.image(left, MARGIN + LINE, width, &panel.pixels);
        let top = MARGIN + LINE + height + 8;
        for ((colour, text), (right, down)) in panel.legend.iter().zip(flow(&panel.legend, width).0) {
            let (at, line) = (left + right, top + down);
            canvas.rectangle(at, line, canvas::LETTER_PX, canvas::LETTER_PX, *colour);
            canvas.text(at + canvas::LETTER_PX + 8, line, text, INK);
        }
    }
    canvas
}

fn panels(scene: &Scene<'_>) -> Vec<Panel> {
    let classes = || scene.classes.iter().map(|class| (class.rgb, class.name.clone())).collect();
    let map = |classes: &[u8]| classes.iter().map(|class| colour_of(scene.classes, *class)).collect();
    let imagery: Vec<Rgb> = scene.imagery.as_chunks().0.to_vec();
    let mut panels = vec![Panel { caption: "imagery", pixels: imagery, legend: Vec::new() }];
    if let Some(labels) = scene.labels {
        panels.push(Panel { caption: "labels", pixels: map(labels), legend: classes() });
    }
    panels.push(Panel { caption: "prediction", pixels: map(scene.prediction), legend: classes() });
    if let Some(labels) = scene.labels {
        let mut legend = vec![(MISSED, "missed".to_owned()), (FALSE, "false".to_owned())];
        if scene.classes.len() > 2 {
            legend.push((CONFUSED, "another class".to_owned()));
        }
        panels.push(Panel { caption: "errors", pixels: errors(scene, labels), legend });
    }
    panels
}

fn colour_of(classes: &[ClassStyle], class: u8) -> Rgb {
    classes.get(usize::from(class)).map_or(UNKNOWN, |class| class.rgb)
}

/// What is wrong in colour, over the imagery in grey, which is light where a class was found.
fn errors(scene: &Scene<'_>, labels: &[u8]) -> Vec<Rgb> {
    let null = scene.null_class;
    let pixels = scene.imagery.as_chunks().0.iter().zip(labels).zip(scene.prediction);
    let error = |((rgb, truth), guess): ((&Rgb, &u8), &u8)| match (*truth, *guess) {
        (truth, guess) if truth == guess => grey(rgb, truth != null),
        (IGNORED, _) => grey(rgb, false),
        (_, guess) if guess == null => MISSED,
        (truth, _) if truth == null => FALSE,
        _ => CONFUSED,
    };
    pixels.map(error).collect()
}

fn grey([red, green, blue]: &Rgb, light: bool) -> Rgb {
    let tone = (2 * u16::from(*red) + 5 * u16::from(*green) + u16::from(*blue)) / 8;
    [if light { 128 + tone / 2 } else { tone * 5 / 8 } as u8; 3]
}

/// Where the entries of a legend stand in a panel's width, in as many lines as they need, and how high all are.
fn flow(legend: &[(Rgb, String)], width: u32) -> (Vec<(u32, u32)>, u32) {
    let (mut right, mut down) = (0, 0);
    let mut places = Vec::new();
    for (_, text) in legend {
        let wide = canvas::LETTER_PX + 8 + canvas::text_width(text) + 2 * MARGIN;
        if right > 0 && right + wide > width {
            (right, down) = (0, down + LINE);
        }
        places.push((right, down));
        right += wide;
    }
    let high = if legend.is_empty() { 0 } else { 8 + down + LINE };
    (places, high)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn classes(n: usize) -> Vec<ClassStyle> {
        let styles = [("ground", [10, 20, 30]), ("building", [200, 100, 0]), ("water", [0, 0, 200])];
        styles[..n].iter().map(|(name, rgb)| ClassStyle { name: (*name).to_owned(), rgb: *rgb }).collect()
    }

    /// A scene of 4 x 1 pixels, each four times as wide and high so that they can be told from captions.
    fn composed(labels: Option<&[u8]>, prediction: &[u8], classes: &[ClassStyle]) -> Canvas {
        let size = SizePx::new(prediction.len() as u32, 1);
        let imagery = [100_u8, 100, 100].repeat(prediction.len());
        compose(&Scene { size, imagery: &imagery, labels, prediction, classes, null_class: 0 })
    }

    fn row(canvas: &Canvas, panel: u32, width: u32) -> Vec<Rgb> {
        let left = MARGIN + panel * (width + MARGIN);
        (0..width).map(|col| canvas.pixel(left + col, MARGIN + LINE)).collect()
    }

    #[test]
    fn each_pixel_of_a_panel_says_what_it_should() {
        let canvas = composed(Some(&[0, 0, 1, 1, 255, 2]), &[0, 1, 0, 1, 1, 1], &classes(3));
        let [ground, building, water] = [[10, 20, 30], [200, 100, 0], [0, 0, 200]];
        assert_eq!(row(&canvas, 0, 6), [[100; 3]; 6]);
        assert_eq!(row(&canvas, 1, 6), [ground, ground, building, building, UNKNOWN, water]);
        assert_eq!(row(&canvas, 2, 6), [ground, building, ground, building, building, building]);
        assert_eq!(row(&canvas, 3, 6), [[62; 3], FALSE, MISSED, [178; 3], [62; 3], CONFUSED]);
    }

    #[test]
    fn without_labels_there_are_imagery_and_prediction_only() {
        let (two, four) =
            (composed(None, &[0; 50], &classes(2)), composed(Some(&[0; 50]), &[0; 50], &classes(2)));
        assert_eq!(two.width, MARGIN + 2 * (50 + MARGIN));
        assert_eq!(four.width, MARGIN + 4 * (50 + MARGIN));
    }

    #[test]
    fn a_legend_breaks_into_lines_that_fit() {
        let entries: Vec<_> = (0..5).map(|number| (INK, format!("class {number}"))).collect();
        let (places, high) = flow(&entries, 400);
        let wide = canvas::LETTER_PX + 8 + canvas::text_width("class 0");
        assert!(places.iter().all(|(right, _)| right + wide <= 400), "{places:?}");
        assert_eq!((places[0], places[2].0, high), ((0, 0), 0, 8 + 3 * LINE));
        assert_eq!(flow(&[], 400), (vec![], 0));
    }
}
