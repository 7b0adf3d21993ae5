//! Which small scenes share an item. Of one lot, those that come one after another and fit into one item each
//! are taken together, up to about two minutes of work and half a message: more than one item of a large
//! scene may take, since what is finished of it is kept when its worker dies.

use std::ops::Range;

use swath_proto::{
    geometry::SizePx,
    item::{Stage, WindowShape},
    run::RunRecord,
    scene::{SceneFiles, SceneHeader},
};

/// Of headers and labels, as they stand in a message. The rest of it is the same for all scenes.
const MOST_BYTES: usize = 128 << 10;
/// What a band's statistics take in a header, which are not known when scenes are taken together.
const BYTES_A_BAND: usize = 64;

const AIM_SECONDS: f64 = 120.0;

/// Windows that small scenes may share in an item of that edge: no more than a whole one has.
pub fn windows_of(item_px: u32, core_px: u32) -> u64 {
    u64::from(item_px / core_px.max(1)).pow(2).max(1)
}

/// The same by the measured speed.
pub fn windows_by_speed(seconds_per_window: f64) -> u64 {
    (AIM_SECONDS / seconds_per_window.max(1e-6)).max(1.0) as u64
}

/// Takes a lot's scenes, in their order.
pub(super) struct Sharing {
    most_windows: u64,
    window: WindowShape,
    batch: u32,
    /// What the group that is being filled holds; none where the next scene begins another.
    held: Option<(u64, usize)>,
    groups: Vec<Range<usize>>,
}

impl Sharing {
    /// None where each scene has items of its own.
    pub(super) fn new(record: &RunRecord) -> Option<Self> {
        let plan = &record.predict;
        let most_windows = match (plan.shared_windows, &plan.class) {
            (Some(windows), _) => windows,
            // It began with a program that shared none.
            (None, Some(_)) => return None,
            (None, None) => windows_of(plan.item_px.unwrap_or(super::lot::ITEM_PX), plan.window.core_px),
        };
        let writes_files = record.has(Stage::Predict) && record.has(Stage::Assemble);
        writes_files.then_some(Self {
            most_windows,
            window: plan.window,
            batch: plan.batch,
            held: None,
            groups: Vec::new(),
        })
    }

    /// The scenes that share, by where they stand among the lot's.
    pub(super) fn groups(self) -> Vec<Range<usize>> {
        self.groups
    }

    /// The number of the group that a scene is in; none where it is large.
    pub(super) fn take(
        &mut self,
        at: usize,
        n_rects: u32,
        header: &SceneHeader,
        files: &SceneFiles,
    ) -> Option<u32> {
        if n_rects != 1 {
            self.held = None;
            return None;
        }
        let (windows, bytes) = (self.windows(header.size), bytes(header, files));
        let joined = self.held.map(|(held, len)| (held + windows, len + bytes));
        let joined = joined.filter(|(windows, bytes)| *windows <= self.most_windows && *bytes <= MOST_BYTES);
        self.held = Some(joined.unwrap_or((windows, bytes)));
        match (joined, self.groups.last_mut()) {
            (Some(_), Some(group)) => group.end = at + 1,
            _ => self.groups.push(at..at + 1),
        }
        Some(self.groups.len() as u32 - 1)
    }

    /// As many as are computed: short batches are padded.
    fn windows(&self, size: SizePx) -> u64 {
        let along = |px: u32| u64::from(px.div_ceil(self.window.core_px.max(1)));
        (along(size.width) * along(size.height)).next_multiple_of(u64::from(self.batch.max(1)))
    }
}

fn bytes(header: &SceneHeader, files: &SceneFiles) -> usize {
    let json = serde_json::to_vec(&(header, &files.labels));
    json.map_or(MOST_BYTES, |json| json.len()) + header.bands as usize * BYTES_A_BAND
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_item_of_small_scenes_takes_two_minutes_or_holds_what_a_whole_one_does() {
        assert_eq!(windows_of(4096, 256), 256);
        assert_eq!(windows_of(64, 256), 1);
        assert_eq!(windows_by_speed(0.125), 960);
        assert_eq!(windows_by_speed(600.0), 1);
    }
}
