//! Which chips are kept, once their pixels are counted.

use swath_proto::{chips::KeepSpec, geometry::WindowPx, ids::SceneId};

use super::{
    BadChips,
    draw::{Draws, Purpose},
};

/// A [`KeepSpec`] that can be followed.
#[derive(Clone, Debug, PartialEq)]
pub struct Keep {
    spec: KeepSpec,
}

/// What was counted in a chip.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counts<'a> {
    pub pixels: u64,
    /// Pixels without data.
    pub nodata: u64,
    /// Pixels of each class, by its id; classes beyond the end have none.
    pub by_class: &'a [u64],
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    Kept,
    /// Too large a share of it has no data.
    NoData,
    /// It has fewer target pixels than every chip must have.
    TooFewTargets,
    /// It is negative, and was not drawn to survive.
    Negative,
}

impl Keep {
    pub fn new(spec: KeepSpec) -> Result<Self, BadChips> {
        for (what, got) in [
            ("negative_survival_prob", spec.negative_survival_prob),
            ("nodata_threshold", spec.nodata_threshold),
        ] {
            if !(0.0..=1.0).contains(&got) {
                return Err(BadChips::Share { what, got });
            }
        }
        if spec.min_target_pixels > 0 && spec.target_classes.is_empty() {
            return Err(BadChips::NoTargets);
        }
        let mut sorted = spec.target_classes.clone();
        sorted.sort_unstable();
        match sorted.windows(2).find(|pair| pair[0] == pair[1]) {
            Some(pair) => Err(BadChips::TargetTwice(pair[0])),
            None => Ok(Self { spec }),
        }
    }

    /// The draw depends on the window's place alone, so that a chip that is met twice is kept or
    /// dropped twice.
    pub fn decide(&self, scene: &SceneId, window: WindowPx, counts: Counts) -> Verdict {
        let spec = &self.spec;
        let nodata = if counts.pixels == 0 { 1.0 } else { counts.nodata as f64 / counts.pixels as f64 };
        if nodata >= spec.nodata_threshold {
            return Verdict::NoData;
        }
        if spec.target_classes.is_empty() {
            return Verdict::Kept;
        }
        let of_class = |&class: &u8| counts.by_class.get(usize::from(class)).copied().unwrap_or(0);
        let targets = spec.target_classes.iter().map(of_class).fold(0, u64::saturating_add);
        if targets < spec.min_target_pixels {
            Verdict::TooFewTargets
        } else if targets >= spec.target_count_threshold || self.survives(scene, window) {
            Verdict::Kept
        } else {
            Verdict::Negative
        }
    }

    fn survives(&self, scene: &SceneId, window: WindowPx) -> bool {
        let WindowPx { col, row, width, height } = window;
        let names = [col as u64, row as u64, u64::from(width), u64::from(height)];
        let mut draws = Draws::new(self.spec.seed, Purpose::Survival, scene, names);
        draws.unit() < self.spec.negative_survival_prob
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WINDOW: WindowPx = WindowPx::new(-3, 40, 10, 10);

    fn keep(change: impl FnOnce(&mut KeepSpec)) -> Result<Keep, BadChips> {
        let mut spec =
            KeepSpec { target_classes: vec![1, 3], target_count_threshold: 10, ..KeepSpec::default() };
        change(&mut spec);
        Keep::new(spec)
    }

    fn decide(keep: &Keep, nodata: u64, by_class: &[u64]) -> Verdict {
        keep.decide(&"a".parse().unwrap(), WINDOW, Counts { pixels: 100, nodata, by_class })
    }

    #[test]
    fn by_default_only_chips_without_any_data_are_dropped() {
        let keep = Keep::new(KeepSpec::default()).unwrap();
        assert_eq!(decide(&keep, 99, &[]), Verdict::Kept);
        assert_eq!(decide(&keep, 100, &[]), Verdict::NoData);
        let empty = Counts { pixels: 0, nodata: 0, by_class: &[] };
        assert_eq!(keep.decide(&"a".parse().unwrap(), WINDOW, empty), Verdict::NoData);
    }

    #[test]
    fn the_nodata_threshold_is_inclusive() {
        let keep = keep(|spec| spec.nodata_threshold = 0.3).unwrap();
        assert_eq!(decide(&keep, 29, &[]), Verdict::Kept);
        assert_eq!(decide(&keep, 30, &[]), Verdict::NoData);
    }

    #[test]
    fn targets_of_all_classes_count_together() {
        let keep = keep(|spec| spec.negative_survival_prob = 0.0).unwrap();
        assert_eq!(decide(&keep, 0, &[80, 4, 10, 6]), Verdict::Kept);
        assert_eq!(decide(&keep, 0, &[81, 4, 10, 5]), Verdict::Negative);
        assert_eq!(decide(&keep, 0, &[90, 10]), Verdict::Kept);
        assert_eq!(decide(&keep, 0, &[]), Verdict::Negative);
    }

    #[test]
    fn no_draw_saves_a_chip_below_the_minimum() {
        let keep = keep(|spec| spec.min_target_pixels = 5).unwrap();
        assert_eq!(decide(&keep, 0, &[96, 4]), Verdict::TooFewTargets);
        assert_eq!(decide(&keep, 0, &[95, 5]), Verdict::Kept);
    }

    #[test]
    fn the_share_of_negatives_that_survive_is_the_one_asked_for() {
        let survivors = |seed, prob| {
            let keep = keep(|spec| (spec.seed, spec.negative_survival_prob) = (seed, prob)).unwrap();
            let scene: SceneId = "a".parse().unwrap();
            let counts = Counts { pixels: 100, nodata: 0, by_class: &[] };
            let kept =
                move |&col: &i64| keep.decide(&scene, WindowPx { col, ..WINDOW }, counts) == Verdict::Kept;
            (-5000..5000).filter(kept).collect::<Vec<_>>()
        };
        assert!((1900..2100).contains(&survivors(1, 0.2).len()));
        assert_eq!(survivors(1, 1.0).len(), 10_000);
        assert_eq!(survivors(1, 0.0).len(), 0);
        assert_eq!(survivors(1, 0.2), survivors(1, 0.2));
        assert_ne!(survivors(1, 0.2), survivors(2, 0.2));
        // A higher share keeps what a lower one did.
        let fewer = survivors(1, 0.1);
        let more = survivors(1, 0.2);
        assert!(fewer.iter().all(|col| more.contains(col)));
        // Frozen: which chips a run has depends on it.
        assert_eq!(fewer[..4], [-4983, -4981, -4971, -4969]);
    }

    #[test]
    fn what_cannot_be_followed_is_refused() {
        assert!(keep(|spec| spec.negative_survival_prob = 1.1).is_err());
        assert!(keep(|spec| spec.nodata_threshold = f64::NAN).is_err());
        assert!(keep(|spec| spec.target_classes = vec![2, 1, 2]).is_err());
        let no_targets = keep(|spec| {
            spec.target_classes.clear();
            spec.min_target_pixels = 1;
        });
        assert_eq!(no_targets, Err(BadChips::NoTargets));
    }
}
