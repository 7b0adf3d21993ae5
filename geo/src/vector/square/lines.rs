//! The lines of one ring: which run along the direction or across it, where exactly they lie, which
//! give way, and where neighbours meet. All in the frame of the direction, where along is the first
//! axis and across the second.

use super::{Vector, direction::in_frame};

/// Tangent of the angle up to which a line is laid straight: 15 degrees.
const NEAR: f64 = 0.268;
/// Share of a ring's length that has to run along the direction or across it.
const MIN_SHARE: f64 = 2.0 / 3.0;
/// Corners of the simplest right-angled ring.
const FEWEST: usize = 4;
/// Makes up for rounding, in pixels.
const EXCESS_PX: f64 = 1e-6;

/// Coordinates along a direction and across it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Frame {
    pub(super) origin: Vector,
    /// A vector of length 1.
    pub(super) along: Vector,
}

impl Frame {
    pub(super) fn place(self, [x, y]: Vector) -> Vector {
        in_frame([x - self.origin[0], y - self.origin[1]], self.along).into()
    }

    pub(super) fn place_back(self, [u, v]: Vector) -> Vector {
        let [dx, dy] = self.along;
        [self.origin[0] + u * dx - v * dy, self.origin[1] + u * dy + v * dx]
    }
}

/// The first two are laid straight, each at a coordinate of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Course {
    Along,
    Across,
    Slanting,
}

impl Course {
    const fn of([u, v]: Vector, shift_px: f64) -> Self {
        const fn is_straight(main: f64, off: f64, shift_px: f64) -> bool {
            off <= main && (off <= NEAR * main || off <= shift_px)
        }
        if is_straight(u.abs(), v.abs(), shift_px) {
            Self::Along
        } else if is_straight(v.abs(), u.abs(), shift_px) {
            Self::Across
        } else {
            Self::Slanting
        }
    }

    /// Of the axis on which a straight line has one coordinate.
    const fn fixed_axis(self) -> usize {
        match self {
            Self::Along => 1,
            Self::Across | Self::Slanting => 0,
        }
    }
}

#[derive(Clone, Debug)]
struct Line {
    course: Course,
    /// Where a straight line lies: the mean of what it stands for, by length.
    moment: f64,
    weight: f64,
    /// Its ends in the outline.
    ends: [Vector; 2],
    /// The corners that it stands for: the first, and how many more.
    first: usize,
    n_more: usize,
}

impl Line {
    fn offset(&self) -> f64 {
        self.moment / self.weight
    }

    fn is_straight(&self) -> bool {
        self.course != Course::Slanting
    }

    fn is_parallel(&self, other: &Self) -> bool {
        self.is_straight() && self.course == other.course
    }

    /// Takes the place of the line that comes next as well.
    fn reach_over(&mut self, next: &Self) {
        self.n_more += next.n_more;
        self.ends[1] = next.ends[1];
    }

    /// The middle of both, too.
    fn unite(&mut self, next: &Self) {
        self.moment += next.moment;
        self.weight += next.weight;
        self.reach_over(next);
    }
}

/// The corners of the right-angled ring; `None` if there is none within the shift. `kept` are those of
/// the traced corners between which lines run, the first among them.
pub(super) fn right_angled(traced: &[Vector], kept: &[usize], shift_px: f64) -> Option<Vec<Vector>> {
    let lines = lines(traced, kept, shift_px);
    if lines.len() < FEWEST || straight_share(&lines) < MIN_SHARE {
        return None;
    }
    let lines = one_for_parallels(lines, shift_px);
    // A cut corner is made whole unless the rest can't follow.
    [true, false].into_iter().find_map(|mends| without_steps(traced, lines.clone(), shift_px, mends))
}

fn without_steps(traced: &[Vector], mut lines: Vec<Line>, shift_px: f64, mends: bool) -> Option<Vec<Vector>> {
    let mut corners = corners(&lines)?;
    while let Some(at) = shortest_step(&lines, &corners, shift_px, mends) {
        take_away(&mut lines, at);
        corners = self::corners(&lines)?;
    }
    is_near(traced, &lines, &corners, shift_px).then_some(corners)
}

fn lines(traced: &[Vector], kept: &[usize], shift_px: f64) -> Vec<Line> {
    let ends = kept.iter().copied().zip(kept.iter().copied().skip(1).chain([traced.len()]));
    let line = |(first, last): (usize, usize)| {
        let at = |i: usize| traced[i % traced.len()];
        let ends = [at(first), at(last)];
        let course = Course::of(minus(ends[1], ends[0]), shift_px);
        let across = course.fixed_axis();
        let (mut moment, mut weight) = (0.0, 0.0);
        for i in first..last {
            let (from, to) = (at(i), at(i + 1));
            let length = (to[1 - across] - from[1 - across]).abs();
            moment += length * from[across].midpoint(to[across]);
            weight += length;
        }
        Line { course, moment, weight, ends, first, n_more: last - first }
    };
    ends.map(line).collect()
}

fn straight_share(lines: &[Line]) -> f64 {
    let length = |line: &Line| distance(line.ends[0], line.ends[1]);
    let straight: f64 = lines.iter().filter(|line| line.is_straight()).map(length).sum();
    straight / lines.iter().map(length).sum::<f64>()
}

/// Neighbours that run the same way become one line, or a step comes between them.
fn one_for_parallels(lines: Vec<Line>, shift_px: f64) -> Vec<Line> {
    let mut out: Vec<Line> = Vec::with_capacity(lines.len());
    for line in lines {
        match out.last_mut() {
            Some(last) if last.is_parallel(&line) => {
                if (last.offset() - line.offset()).abs() <= shift_px {
                    last.unite(&line);
                } else {
                    let step = step(last, &line);
                    out.extend([step, line]);
                }
            }
            _ => out.push(line),
        }
    }
    // The ring is closed.
    if let [first, .., last] = &out[..]
        && last.is_parallel(first)
    {
        if (last.offset() - first.offset()).abs() <= shift_px {
            let first = first.clone();
            if let Some(mut last) = out.pop() {
                last.unite(&first);
                out[0] = last;
            }
        } else {
            let step = step(last, first);
            out.push(step);
        }
    }
    out
}

/// At the corner between two lines that run the same way.
fn step(before: &Line, after: &Line) -> Line {
    let course = if before.course == Course::Along { Course::Across } else { Course::Along };
    let corner = after.ends[0];
    let weight = (before.offset() - after.offset()).abs();
    let moment = weight * corner[course.fixed_axis()];
    Line { course, moment, weight, ends: [corner; 2], first: after.first, n_more: 0 }
}

/// Where each line begins: where it meets the one before it.
fn corners(lines: &[Line]) -> Option<Vec<Vector>> {
    if lines.len() < FEWEST {
        return None;
    }
    let before = lines.iter().cycle().skip(lines.len() - 1);
    before.zip(lines).map(|(before, line)| meet(before, line)).collect()
}

fn meet(before: &Line, line: &Line) -> Option<Vector> {
    match (before.course, line.course) {
        (Course::Along, Course::Across) => Some([line.offset(), before.offset()]),
        (Course::Across, Course::Along) => Some([before.offset(), line.offset()]),
        (Course::Slanting, Course::Slanting) => Some(line.ends[0]),
        (Course::Slanting, _) => cut(before, line),
        (_, Course::Slanting) => cut(line, before),
        (Course::Along, Course::Along) | (Course::Across, Course::Across) => None,
    }
}

fn cut(slanting: &Line, straight: &Line) -> Option<Vector> {
    let (axis, offset) = (straight.course.fixed_axis(), straight.offset());
    let [a, b] = slanting.ends;
    let (towards, share) = (minus(b, a), (offset - a[axis]) / (b[axis] - a[axis]));
    share.is_finite().then(|| {
        let mut corner = [a[0] + share * towards[0], a[1] + share * towards[1]];
        corner[axis] = offset;
        corner
    })
}

/// The shortest of the lines that are no longer than the shift, or cut a corner that lies no farther off, and whose neighbours
/// can do without.
fn shortest_step(lines: &[Line], corners: &[Vector], shift_px: f64, mends: bool) -> Option<usize> {
    let n = lines.len();
    let length = |at: usize| distance(corners[at], corners[(at + 1) % n]);
    let can_go = |at: usize| {
        let (before, after) = (&lines[(at + n - 1) % n], &lines[(at + 1) % n]);
        if before.is_parallel(after) {
            n >= FEWEST + 2 && (before.offset() - after.offset()).abs() <= shift_px
        } else {
            n > FEWEST && (before.is_straight() || after.is_straight())
        }
    };
    let cuts_corner = |at: usize| {
        let (before, after) = (&lines[(at + n - 1) % n], &lines[(at + 1) % n]);
        let is_cut = !lines[at].is_straight() && before.is_straight() && after.is_straight();
        let is_near = |corner| off(corner, corners[at], corners[(at + 1) % n]) <= shift_px;
        mends && is_cut && meet(before, after).is_some_and(is_near)
    };
    let is_short = |&(at, px): &(usize, f64)| (px <= shift_px || cuts_corner(at)) && can_go(at);
    let short = (0..n).map(|at| (at, length(at))).filter(is_short);
    short.reduce(|best, next| if next.1 < best.1 { next } else { best }).map(|(at, _)| at)
}

/// The neighbours of a line meet without it; if they run the same way, they become one.
fn take_away(lines: &mut Vec<Line>, at: usize) {
    // With the line before it at the front, none of the three lies across the end.
    let n = lines.len();
    lines.rotate_left((at + n - 1) % n);
    let line = lines.remove(1);
    lines[0].reach_over(&line);
    if lines[0].is_parallel(&lines[1]) {
        let after = lines.remove(1);
        lines[0].unite(&after);
    }
}

/// Whether nothing moved farther than the shift: no traced corner lies farther off the ring, close to
/// the line that stands for it, and no corner of the ring farther off what was traced there.
fn is_near(traced: &[Vector], lines: &[Line], corners: &[Vector], shift_px: f64) -> bool {
    let (n, shift_px) = (lines.len(), shift_px + EXCESS_PX);
    let side = |at: usize| (corners[at % n], corners[(at + 1) % n]);
    let stretch = |at: usize| {
        let Line { first, n_more, .. } = lines[at % n];
        (first..=first + n_more).map(move |i| traced[i % traced.len()])
    };
    let is_on_ring = |at: usize| {
        let sides = [side(at + n - 1), side(at), side(at + 1)];
        stretch(at).all(|corner| sides.iter().any(|&(a, b)| off(corner, a, b) <= shift_px))
    };
    let is_on_trace = |at: usize| {
        let corner = corners[at];
        [at + n - 1, at].into_iter().any(|at| {
            let mut ends = stretch(at).zip(stretch(at).skip(1).chain(stretch(at).next_back()));
            ends.any(|(a, b)| off(corner, a, b) <= shift_px)
        })
    };
    (0..n).all(|at| is_on_ring(at) && is_on_trace(at))
}

/// How far a position lies off the line from `a` to `b`, which ends there.
fn off(at: Vector, a: Vector, b: Vector) -> f64 {
    let (line, to) = (minus(b, a), minus(at, a));
    let length2 = line[0] * line[0] + line[1] * line[1];
    if length2 == 0.0 {
        return distance(at, a);
    }
    let share = ((to[0] * line[0] + to[1] * line[1]) / length2).clamp(0.0, 1.0);
    distance(at, [a[0] + share * line[0], a[1] + share * line[1]])
}

fn minus(a: Vector, b: Vector) -> Vector {
    [a[0] - b[0], a[1] - b[1]]
}

fn distance(a: Vector, b: Vector) -> f64 {
    let [u, v] = minus(a, b);
    (u * u + v * v).sqrt()
}
