//! Rings out of the chains of one region.
//!
//! Where chains end at a corner of two diagonal pixels that belong to *this* region, each outline
//! turns right, from one pixel to the other. With a left turn the two would part, and the ring
//! would touch itself there. With the right turn it can't: the two sides of the corner that are not
//! of the class are cut off from each other by the region, which is connected elsewhere, so
//! they belong to different rings. Where only one of the diagonal pixels is of the region, just one
//! chain begins there, and it turns left. So rings are simple and touch each other in single corners
//! at most: valid to all who read polygons.

use std::mem::take;

use super::{
    chains::{Chain, Chains},
    corner::{Corner, Direction},
};

/// A closed line that turns at each of its corners and meets none twice. It begins at its smallest
/// corner; the way from the last back to it is not repeated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ring(pub(super) Vec<Corner>);

/// The rings of a region, from all of its chains in any order. What is wrong is said in words.
pub(super) fn rings(mut chains: Chains) -> Result<Vec<Ring>, &'static str> {
    // As most are: the chain is the ring.
    if let [Chain(corners)] = &mut chains[..]
        && corners.first() == corners.last()
    {
        corners.pop();
        return Ok(vec![Ring::of_corners(take(corners))?]);
    }
    chains.sort_unstable_by_key(|Chain(corners)| corners[0]);
    let mut rings = Vec::new();
    let mut used = vec![false; chains.len()];
    for first in 0..chains.len() {
        if used[first] {
            continue;
        }
        let (mut corners, mut at) = (Vec::new(), first);
        while !used[at] {
            used[at] = true;
            let Chain(more) = &chains[at];
            corners.extend_from_slice(&more[..more.len() - 1]);
            at = next(&chains, at).ok_or("an outline ends in nothing")?;
        }
        if at != first {
            return Err("an outline runs into another");
        }
        rings.push(Ring::of_corners(corners)?);
    }
    Ok(rings)
}

/// The chain that goes on where this one ends.
fn next(chains: &[Chain], at: usize) -> Option<usize> {
    let [.., before, end] = chains[at].0[..] else { return None };
    let first = chains.partition_point(|Chain(corners)| corners[0] < end);
    let found = chains[first..].iter().take_while(|Chain(corners)| corners[0] == end);
    match found.take(3).count() {
        1 => Some(first),
        2 => {
            let right = Direction::between(before, end)?.right();
            (first..first + 2).find(|&i| Direction::between(end, chains[i].0[1]) == Some(right))
        }
        _ => None,
    }
}

impl Ring {
    pub fn corners(&self) -> &[Corner] {
        &self.0
    }

    /// From corners of a closed line that may run straight on at some of them. As it turns at all
    /// that are left, there are four at least.
    fn of_corners(mut corners: Vec<Corner>) -> Result<Self, &'static str> {
        let [first, .., last] = corners[..] else { return Err("an outline goes back where it came from") };
        let (mut before, mut n_turns) = (last, 0);
        for i in 0..corners.len() {
            let (at, after) = (corners[i], corners.get(i + 1).copied().unwrap_or(first));
            match (Direction::between(before, at), Direction::between(at, after)) {
                (Some(from), Some(to)) if from == to => {}
                (Some(from), Some(to)) if from == to.left() || from == to.right() => {
                    corners[n_turns] = at;
                    n_turns += 1;
                }
                _ => return Err("an outline goes back where it came from"),
            }
            before = at;
        }
        corners.truncate(n_turns);
        let smallest = corners.iter().enumerate().min_by_key(|(_, corner)| **corner).map_or(0, |(i, _)| i);
        corners.rotate_left(smallest);
        Ok(Self(corners))
    }

    /// Twice the area, in pixels, exactly. Positive for outer rings, which run counter-clockwise as
    /// seen on the screen, negative for holes.
    pub fn twice_area_px(&self) -> i128 {
        let product = |a: u32, b: u32| i128::from(a) * i128::from(b);
        let ends = self.0.iter().zip(self.0.iter().cycle().skip(1));
        ends.map(|(a, b)| product(a.row, b.col) - product(a.col, b.row)).sum()
    }
}
