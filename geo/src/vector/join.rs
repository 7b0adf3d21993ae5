//! Fragments become polygons. Regions are joined where they touch across the border of two items,
//! and when nothing of a region is outstanding, so is nothing of its outline. What is kept is what
//! is open: along the border of what has come so far, whatever the order.

use std::collections::{HashMap, hash_map::Entry};

use swath_proto::geometry::{RectPx, SizePx};

use super::{
    chains::{Chains, n_corners},
    corner::{Corner, Direction},
    cover::Cover,
    fragment::{Contact, Fragment, Region},
    open::{OpenRegions, Part},
    polygon::Polygon,
    regions::Tally,
};

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadJoin {
    #[error("the fragment of {0} lies outside the scene or repeats what others have")]
    Fit(RectPx),
    #[error("a border at row {}, column {} has two fragments on one side", .0.row, .0.col)]
    Side(Corner),
    #[error("the fragments do not cover the scene exactly")]
    Cover,
    #[error("{0} places where a region leaves its item have nothing on the other side")]
    Open(usize),
    #[error(
        "a region that reaches into {item} has an outline of {n_corners} corners or more, and {max} are the most \
         of one polygon"
    )]
    Huge { item: RectPx, n_corners: usize, max: usize },
    #[error("the fragments of a region of {pixels} pixels do not fit: {what}")]
    Region { pixels: u64, what: &'static str },
}

/// The most corners of one polygon, those counted twice at which pieces of its outline meet. Each takes
/// about 60 bytes while the polygon is joined and simplified, so that this bounds the memory that one
/// region takes, whatever the scene: half a gigabyte.
pub const MAX_CORNERS: usize = 1 << 23;

/// Joins the fragments of one scene.
///
/// A fragment that is missing, foreign or there twice is an error, at the latest when all have come;
/// an error is for good.
#[derive(Debug)]
pub struct Joiner {
    min_area_px: u64,
    max_corners: usize,
    cover: Cover,
    regions: OpenRegions,
    contacts: HashMap<Border, (Direction, Part)>,
}

/// The side of a pixel between two items: its upper left end, and whether it runs down.
type Border = (Corner, bool);

impl Joiner {
    /// Regions of fewer pixels are left out.
    pub fn new(scene: SizePx, min_area_px: u64) -> Self {
        Self {
            min_area_px,
            max_corners: MAX_CORNERS,
            cover: Cover::new(scene),
            regions: OpenRegions::default(),
            contacts: HashMap::new(),
        }
    }

    /// Takes a fragment; gives the polygons that are whole with it, in no particular order.
    pub fn add(&mut self, fragment: Fragment) -> Result<Vec<Polygon>, BadJoin> {
        let Fragment { item, regions } = fragment;
        if !self.cover.add(item) {
            return Err(BadJoin::Fit(item));
        }
        let mut polygons = Vec::with_capacity(regions.len());
        for Region { tally, contacts, chains } in regions {
            let whole = self.whole(item, tally, &contacts, chains)?;
            if let Some((tally, chains)) = whole.filter(|(tally, _)| tally.pixels >= self.min_area_px) {
                polygons.push(Polygon::of_region(tally, chains)?);
            }
        }
        Ok(polygons)
    }

    /// What is known of a part's region, if nothing of it is outstanding.
    fn whole(
        &mut self,
        item: RectPx,
        tally: Tally,
        contacts: &[Contact],
        chains: Chains,
    ) -> Result<Option<(Tally, Chains)>, BadJoin> {
        if contacts.is_empty() {
            self.check_corners(item, n_corners(&chains))?;
            return Ok(Some((tally, chains)));
        }
        let part = self.regions.add(tally, chains);
        for &contact in contacts {
            self.touch(contact, item, part)?;
        }
        let n_corners = self.regions.n_corners(part);
        self.check_corners(item, n_corners)?;
        Ok(self.regions.take_whole(part))
    }

    const fn check_corners(&self, item: RectPx, n_corners: usize) -> Result<(), BadJoin> {
        let max = self.max_corners;
        if n_corners > max { Err(BadJoin::Huge { item, n_corners, max }) } else { Ok(()) }
    }

    fn touch(&mut self, contact: Contact, item: RectPx, part: Part) -> Result<(), BadJoin> {
        let (corner, side) = (contact.corner(item), contact.side);
        let runs_down = matches!(side, Direction::Left | Direction::Right);
        match self.contacts.entry((corner, runs_down)) {
            Entry::Vacant(entry) => {
                entry.insert((side, part));
                self.regions.wait(part);
            }
            Entry::Occupied(entry) => {
                let (other_side, waiting) = entry.remove();
                if other_side == side {
                    return Err(BadJoin::Side(corner));
                }
                self.regions.join(waiting, part);
            }
        }
        Ok(())
    }

    /// All fragments have come.
    pub fn finish(self) -> Result<(), BadJoin> {
        match (self.cover.is_exact(), self.contacts.len()) {
            (false, _) => Err(BadJoin::Cover),
            (true, 0) => Ok(()),
            (true, open) => Err(BadJoin::Open(open)),
        }
    }
}

/// The polygons of a scene, by their first corners.
pub fn polygons(
    scene: SizePx,
    min_area_px: u64,
    fragments: impl IntoIterator<Item = Fragment>,
) -> Result<Vec<Polygon>, BadJoin> {
    let mut joiner = Joiner::new(scene, min_area_px);
    let mut polygons = Vec::new();
    for fragment in fragments {
        polygons.append(&mut joiner.add(fragment)?);
    }
    joiner.finish()?;
    polygons.sort_unstable_by_key(Polygon::first_corner);
    Ok(polygons)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vector::tests::Raster;

    /// Nine items, with regions across all of their borders.
    fn fragments() -> (SizePx, Vec<Fragment>) {
        let raster = Raster::drawn(&["####.#", "#..#.#", "#.##..", "##...#", "..####", "####.."]);
        (raster.size, raster.fragments(0, &[2, 4], &[2, 4]))
    }

    #[test]
    fn what_is_whole_is_given_at_once_and_its_room_again() {
        // A column of items; in each the end of one region and the beginning of the next.
        let rows: Vec<_> = (0..900).map(|row| if row % 9 == 4 { "..." } else { "##." }).collect();
        let raster = Raster::drawn(&rows);
        let cuts: Vec<_> = (9..900).step_by(9).collect();
        let mut joiner = Joiner::new(raster.size, 0);
        for (i, fragment) in raster.fragments(0, &cuts, &[]).into_iter().enumerate() {
            let whole = joiner.add(fragment).unwrap();
            assert_eq!(whole.len(), if i == 99 { 2 } else { 1 });
            assert_eq!(joiner.contacts.len(), usize::from(i < 99));
            assert!(joiner.regions.n_slots() <= 2);
            assert!(joiner.cover.n_odd() <= 4);
        }
        assert_eq!(joiner.finish(), Ok(()));
    }

    #[test]
    fn one_region_of_many_parts_gives_all_of_its_room_back() {
        let rows: Vec<_> = (0..8).map(|_| "#.#.#.#.#.#.#.#.").chain(["################"]).collect();
        let raster = Raster::drawn(&rows);
        let mut joiner = Joiner::new(raster.size, 0);
        let mut polygons = Vec::new();
        for fragment in raster.fragments(0, &[4, 8], &[3, 9]) {
            polygons.append(&mut joiner.add(fragment).unwrap());
        }
        assert_eq!(polygons.len(), 1);
        assert_eq!(joiner.regions.n_free(), joiner.regions.n_slots());
        assert_eq!(joiner.finish(), Ok(()));
    }

    #[test]
    fn a_region_of_too_many_corners_is_an_error_once_they_have_come_together() {
        // Eleven teeth: 44 corners, and two more for each item but the last where the outline goes on.
        let raster =
            Raster::drawn(&["#.#.#.#.#.#.#.#.#.#.#", "#####################", "....................."]);
        for cuts in [vec![], vec![7, 14]] {
            let fragments = raster.fragments(0, &[], &cuts);
            let join = |max_corners| {
                let mut joiner = Joiner { max_corners, ..Joiner::new(raster.size, 0) };
                fragments.iter().cloned().try_for_each(|fragment| joiner.add(fragment).map(drop))
            };
            let n_corners = (0..).find(|&max| join(max).is_ok()).unwrap();
            assert!((45..=60).contains(&n_corners), "{n_corners}");
            let item = fragments.last().unwrap().item();
            assert_eq!(join(n_corners - 1), Err(BadJoin::Huge { item, n_corners, max: n_corners - 1 }));
        }
    }

    #[test]
    fn small_regions_are_many_without_being_huge() {
        let row: String = "#.".repeat(40);
        let raster = Raster::drawn(&[row.as_str()]);
        let mut joiner = Joiner { max_corners: 5, ..Joiner::new(raster.size, 0) };
        let polygons: usize =
            raster.fragments(0, &[], &[9]).into_iter().map(|one| joiner.add(one).unwrap().len()).sum();
        assert_eq!(polygons, 40);
    }

    #[test]
    fn a_missing_fragment_is_an_error() {
        let (scene, all) = fragments();
        assert!(polygons(scene, 0, all.clone()).is_ok());
        for missing in 0..all.len() {
            let rest = all.iter().enumerate().filter(|(i, _)| *i != missing).map(|(_, f)| f.clone());
            assert_eq!(polygons(scene, 0, rest), Err(BadJoin::Cover), "without {missing}");
        }
    }

    #[test]
    fn a_fragment_that_comes_twice_is_an_error() {
        let (scene, all) = fragments();
        for twice in 0..all.len() {
            let more = all.iter().chain([&all[twice]]).cloned();
            assert!(polygons(scene, 0, more).is_err(), "{twice} twice");
            for missing in (0..all.len()).filter(|&i| i != twice) {
                let mut instead = all.clone();
                instead[missing] = all[twice].clone();
                assert!(polygons(scene, 0, instead).is_err(), "{twice} instead of {missing}");
            }
        }
    }

    #[test]
    fn fragments_of_another_class_cut_or_scene_do_not_join() {
        let raster = Raster::drawn(&["####", "####"]);
        let (scene, all) = (raster.size, raster.fragments(0, &[], &[2]));
        let empty = Raster::drawn(&["....", "...."]).fragments(0, &[], &[2]);
        assert_eq!(polygons(scene, 0, [all[0].clone(), empty[1].clone()]), Err(BadJoin::Open(1)));
        let other_cut = raster.fragments(0, &[1], &[2]);
        let mixed = [all[0].clone(), other_cut[1].clone(), other_cut[3].clone()];
        assert_eq!(polygons(scene, 0, mixed), Err(BadJoin::Open(1)));
        let item = all[1].item();
        assert_eq!(polygons(SizePx::new(3, 2), 0, all.clone()), Err(BadJoin::Fit(item)));
        assert_eq!(polygons(SizePx::new(5, 2), 0, all.clone()), Err(BadJoin::Cover));
        let side = [all[0].clone(), all[0].clone()];
        assert_eq!(polygons(scene, 0, side), Err(BadJoin::Side(Corner::new(0, 2))));
    }

    #[test]
    fn regions_that_do_not_add_up_are_errors() {
        let (scene, all) = fragments();
        for (i, fragment) in all.iter().enumerate() {
            for (j, region) in fragment.regions.iter().enumerate() {
                let mut changed = all.clone();
                changed[i].regions[j].tally.pixels += 1;
                assert!(matches!(polygons(scene, 0, changed), Err(BadJoin::Region { .. })));
                for k in 0..region.chains.len() {
                    let mut changed = all.clone();
                    changed[i].regions[j].chains.remove(k);
                    assert!(matches!(polygons(scene, 0, changed), Err(BadJoin::Region { .. })));
                    let mut changed = all.clone();
                    changed[i].regions[j].chains[k].0.reverse();
                    assert!(matches!(polygons(scene, 0, changed), Err(BadJoin::Region { .. })));
                }
            }
        }
    }
}
