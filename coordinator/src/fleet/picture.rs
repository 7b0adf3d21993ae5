//! Backlog and workers over time, as pictures for the documentation: of fleets in simulated time, and of real ones.

use std::fmt::Write as _;

const WIDTH: f64 = 720.0;
const PANEL: f64 = 150.0;
const LEFT: f64 = 52.0;
const RIGHT: f64 = 60.0;
const TOP: f64 = 26.0;
const BELOW: f64 = 30.0;
/// What is off by less is not seen.
const VISIBLE_PX: f64 = 0.4;

/// One fleet, from its beginning to its end.
pub struct Panel {
    pub title: String,
    /// In the order of their times.
    pub points: Vec<Point>,
    /// What has happened from outside, and when.
    pub marks: Vec<(f64, String)>,
}

/// How it stood at a time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Point {
    pub at_s: f64,
    /// In seconds of workers.
    pub backlog_s: f64,
    /// At work, or ready for it.
    pub working: u32,
    /// Those that launch or leave besides.
    pub there: u32,
    pub target: u32,
}

/// An SVG, one panel below the other.
pub fn picture(panels: &[Panel]) -> String {
    let each = TOP + PANEL + BELOW;
    let height = panels.len() as f64 * each + 8.0;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" width=\"{WIDTH}\" \
         font-family=\"sans-serif\" font-size=\"11\">\n<rect width=\"100%\" height=\"100%\" fill=\"#ffffff\"/>\n"
    );
    for (n, panel) in panels.iter().enumerate() {
        draw(&mut svg, panel, n as f64 * each);
    }
    svg + "</svg>\n"
}

fn draw(svg: &mut String, panel: &Panel, top: f64) {
    let points = &panel.points;
    let end_s = points.last().map_or(1.0, |point| point.at_s).max(1.0);
    let most_s = points.iter().map(|point| point.backlog_s).fold(1.0, f64::max);
    let most = points.iter().map(|point| point.there.max(point.target)).fold(1, u32::max);
    let (base, width) = (top + TOP + PANEL, WIDTH - LEFT - RIGHT);
    let x = |at_s: f64| LEFT + width * at_s / end_s;
    let line = |value: &dyn Fn(&Point) -> f64| {
        let at = |point: &Point| (x(point.at_s), base - PANEL * value(point));
        path(&thinned(&points.iter().map(at).collect::<Vec<_>>()))
    };
    let part = |n: u32| f64::from(n) / f64::from(most);
    let backlog = line(&|point| point.backlog_s / most_s);
    let area = format!("{backlog}L{:.1} {base:.1}L{LEFT:.1} {base:.1}Z", LEFT + width);
    let there = line(&|point| part(point.there));
    let working = line(&|point| part(point.working));
    let target = line(&|point| part(point.target));
    let title = &panel.title;
    let _ = write!(
        svg,
        "<text x=\"{LEFT}\" y=\"{:.0}\" font-size=\"13\" fill=\"#1b1f24\">{title}</text>\n\
         <path d=\"{area}\" fill=\"#c9d6e8\"/>\n\
         <path d=\"{there}\" fill=\"none\" stroke=\"#e0862f\" stroke-width=\"1.2\"/>\n\
         <path d=\"{working}\" fill=\"none\" stroke=\"#1f7a4d\" stroke-width=\"1.6\"/>\n\
         <path d=\"{target}\" fill=\"none\" stroke=\"#1b1f24\" stroke-width=\"0.8\" stroke-dasharray=\"3 3\"/>\n\
         <path d=\"M{LEFT} {:.1}V{base}H{:.1}\" fill=\"none\" stroke=\"#8a929b\"/>\n",
        top + TOP - 9.0,
        top + TOP,
        LEFT + width
    );
    let mut text = |x: f64, y: f64, anchor: &str, fill: &str, words: &str| {
        let _ = writeln!(
            svg,
            "<text x=\"{x:.0}\" y=\"{y:.0}\" text-anchor=\"{anchor}\" fill=\"{fill}\">{words}</text>"
        );
    };
    text(LEFT - 6.0, top + TOP + 8.0, "end", "#51688c", &span(most_s));
    text(LEFT - 6.0, base, "end", "#51688c", "0");
    text(LEFT + width + 6.0, top + TOP + 8.0, "start", "#1f7a4d", &most.to_string());
    text(LEFT + width + 6.0, base, "start", "#1f7a4d", "0");
    text(LEFT, base + 14.0, "middle", "#555b62", "0");
    text(LEFT + width, base + 14.0, "middle", "#555b62", &span(end_s));
    let legend = "backlog (area), workers asked for (dashed), there or launching (orange), at work (green)";
    text(LEFT + width / 2.0, base + 14.0, "middle", "#555b62", legend);
    for (nth, (at_s, words)) in panel.marks.iter().enumerate() {
        text(x(*at_s) + 4.0, top + TOP + 12.0 * (nth as f64 + 1.0), "start", "#a5322c", words);
    }
    for (at_s, _) in &panel.marks {
        let _ = writeln!(
            svg,
            "<path d=\"M{:.1} {:.1}V{base}\" stroke=\"#a5322c\" stroke-dasharray=\"2 3\"/>",
            x(*at_s),
            top + TOP
        );
    }
}

/// A time in one number, of the unit that suits it.
fn span(seconds: f64) -> String {
    match seconds {
        ..300.0 => format!("{seconds:.0} s"),
        300.0..7200.0 => format!("{:.0} min", seconds / 60.0),
        7200.0..259_200.0 => format!("{:.1} h", seconds / 3600.0),
        _ => format!("{:.0} days", seconds / 86_400.0),
    }
}

fn path(line: &[(f64, f64)]) -> String {
    let mut path = String::new();
    for (n, (x, y)) in line.iter().enumerate() {
        let word = if n == 0 { 'M' } else { 'L' };
        let _ = write!(path, "{word}{x:.1} {y:.1}");
    }
    path
}

/// The points without which a line would look different (Ramer, Douglas and Peucker).
fn thinned(line: &[(f64, f64)]) -> Vec<(f64, f64)> {
    let mut kept: Vec<_> = line.first().copied().into_iter().collect();
    thin(line, &mut kept);
    kept
}

/// All but the first.
fn thin(line: &[(f64, f64)], kept: &mut Vec<(f64, f64)>) {
    let [(x0, y0), middle @ .., last @ (x1, y1)] = line else { return };
    let straight = |x: f64| y0 + (y1 - y0) * (x - x0) / (x1 - x0).max(f64::MIN_POSITIVE);
    let off = |(x, y): &(f64, f64)| (y - straight(*x)).abs();
    let farthest =
        middle.iter().zip(1_usize..).max_by(|(one, _), (other, _)| off(one).total_cmp(&off(other)));
    match farthest.filter(|(point, _)| off(point) > VISIBLE_PX) {
        Some((_, at)) => {
            thin(&line[..=at], kept);
            thin(&line[at..], kept);
        }
        None => kept.push(*last),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_lies_on_a_line_is_left_out_and_corners_stay() {
        let step = |n: u32| (f64::from(n), if n < 500 { 0.0 } else { 100.0 });
        let line: Vec<_> = (0..1000).map(step).collect();
        assert_eq!(thinned(&line), [(0.0, 0.0), (499.0, 0.0), (500.0, 100.0), (999.0, 100.0)]);
        assert_eq!((thinned(&line[..1]).len(), thinned(&[]).len()), (1, 0));
    }

    #[test]
    fn a_picture_of_many_points_is_small() {
        let point = |n: u32| Point {
            at_s: f64::from(n),
            backlog_s: f64::from(10_000 - n),
            working: n.min(40),
            there: n.min(40),
            target: 40,
        };
        let panel = Panel {
            title: "a burst".into(),
            points: (0..10_000).map(point).collect(),
            marks: vec![(100.0, "half of them killed".into())],
        };
        let svg = picture(&[panel]);
        assert!(svg.len() < 3000, "{} bytes", svg.len());
        assert!(svg.contains("half of them killed") && svg.contains("2.8 h"), "{svg}");
    }
}
