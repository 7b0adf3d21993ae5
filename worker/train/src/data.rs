//! The chips of a training: checked from the shards' indexes before any is fetched, then fetched batch by
//! batch by their ranges.

use std::sync::Arc;

use sha2::{Digest as _, Sha256};
use swath_model::{Batch, Pixels};
use swath_proto::train::TrainSpec;
use swath_shard::{Chip, Entry, Index, SampleType, Shape, chip::IGNORED};

use crate::{
    augment::{Change, append},
    cache::Cache,
    error::{Result, TrainError},
    spare::Spare,
    store::Store,
    unread::Unread,
};

/// A shard in the store.
#[derive(Clone, Debug)]
pub struct Shard {
    /// Of the tar.
    pub key: String,
    pub index: Index,
}

/// Chips that make batches: all of one shape.
#[derive(Clone)]
pub(crate) struct Chips<'a> {
    spec: &'a TrainSpec,
    pub(crate) chips: Vec<(&'a str, &'a Entry)>,
    /// Without one, all are fetched each time.
    pub(crate) cache: Option<Arc<Cache>>,
    pub(crate) unread: Arc<Unread>,
    pub(crate) spare: Arc<Spare>,
}

impl<'a> Chips<'a> {
    pub(crate) fn new(spec: &'a TrainSpec, shards: &'a [Shard]) -> Result<Self> {
        let all = shards
            .iter()
            .flat_map(|shard| shard.index.chips().iter().map(|entry| (shard.key.as_str(), entry)));
        let chips: Vec<_> = all.collect();
        let unread = Arc::new(Unread::new(spec.bad_chips, chips.len()));
        let chips = Self { spec, chips, cache: None, unread, spare: Arc::default() };
        for (key, entry) in &chips.chips {
            chips.check(entry).map_err(|error| error.at(format!("{key}: chip {}", entry.key())))?;
        }
        Ok(chips)
    }

    fn check(&self, entry: &Entry) -> Result<()> {
        let (spec, shape) = (self.spec, entry.shape());
        let Shape { width, height, bands, .. } = shape;
        let wrong = |text: String| Err(TrainError::config(text));
        if bands != spec.bands {
            return wrong(format!("{bands} bands where the network takes {}", spec.bands));
        }
        let multiple = spec.architecture.edge_multiple_px();
        if !(width.is_multiple_of(multiple) && height.is_multiple_of(multiple)) {
            return wrong(format!(
                "{width} x {height} px: this network takes edges that are multiples of {multiple} px, and \
                 chips are not resized"
            ));
        }
        if spec.augments().rot90 && width != height {
            return wrong(format!("{width} x {height} px: augment.rot90 takes square chips"));
        }
        if let Some(first) = self.shape()
            && (width, height) != (first.width, first.height)
        {
            return wrong(format!(
                "{width} x {height} px beside {} x {}: the chips of a batch must be of one size, and they \
                 are not resized",
                first.width, first.height
            ));
        }
        let classes = entry.counts().keys().copied();
        match classes.filter(|&class| class != IGNORED).find(|&class| u32::from(class) >= spec.classes) {
            Some(class) => wrong(format!("has label {class}, and there are {} classes", spec.classes)),
            None => Ok(()),
        }
    }

    /// Some of them.
    pub(crate) fn only(&self, numbers: &[usize]) -> Self {
        let unread = Arc::new(Unread::new(self.spec.bad_chips, numbers.len()));
        let chips = numbers.iter().map(|&number| self.chips[number]).collect();
        Self { chips, unread, ..self.clone() }
    }

    pub(crate) const fn spec(&self) -> &'a TrainSpec {
        self.spec
    }

    pub(crate) fn entries(&self) -> impl Iterator<Item = &'a Entry> {
        self.chips.iter().map(|(_, entry)| *entry)
    }

    pub(crate) fn len(&self) -> usize {
        self.chips.len()
    }

    /// As messages call a chip.
    pub(crate) fn name(&self, number: usize) -> String {
        let (key, entry) = self.chips[number];
        format!("{key}: chip {}", entry.key())
    }

    pub(crate) fn shape(&self) -> Option<Shape> {
        self.chips.first().map(|(_, entry)| entry.shape())
    }

    /// Whether any pixel trains anything.
    pub(crate) fn teach(&self) -> bool {
        let ignored = [Some(IGNORED), self.spec.ignore_class];
        self.chips
            .iter()
            .flat_map(|(_, entry)| entry.counts().keys())
            .any(|&class| !ignored.contains(&Some(class)))
    }

    /// What is in them, as far as indexes tell.
    pub(crate) fn hash(&self, into: &mut Sha256) -> Result<()> {
        for (key, entry) in &self.chips {
            let entry = serde_json::to_vec(&(key, entry))
                .map_err(|error| TrainError::data(format!("{key}: {error}")))?;
            into.update((entry.len() as u64).to_le_bytes());
            into.update(entry);
        }
        Ok(())
    }

    /// Some chips, each changed: as bytes where they hold bytes and only turn. Of one that is left out every pixel is 0 to
    /// the network, and ignored.
    pub(crate) fn batch(&self, store: &Store, which: &[(usize, Change)]) -> Result<Batch> {
        let Some(Shape { width, height, bands, .. }) = self.shape() else {
            return Err(TrainError::config("no shard holds a chip: look at the shards that are named"));
        };
        let numbers: Vec<usize> = which.iter().map(|(number, _)| *number).collect();
        let chips = self.fetch(store, &numbers)?;
        let holds_bytes = |chip: &Chip| chip.image.shape().samples == SampleType::Uint8;
        // One that is left out is no byte: none is 0 once it is normed.
        let are_bytes = which
            .iter()
            .zip(&chips)
            .all(|((_, change), chip)| change.only_turns() && chip.as_ref().is_some_and(holds_bytes));
        let pixels = if are_bytes {
            Pixels::Bytes { samples: Vec::new(), norm: self.spec.normalize.clone() }
        } else {
            Pixels::Floats(Vec::new())
        };
        let (chip_px, bands) = (width as usize * height as usize, bands as usize);
        let mut batch = self.spare.batch((width, height), (which.len() * chip_px, bands), pixels);
        for ((_, change), chip) in which.iter().zip(chips) {
            if let Some(chip) = chip {
                append(&chip, change, self.spec, &mut batch);
                continue;
            }
            if let Pixels::Floats(samples) = &mut batch.pixels {
                samples.resize(samples.len() + chip_px * bands, 0.0);
            }
            batch.labels.resize(batch.labels.len() + chip_px, IGNORED);
        }
        Ok(batch)
    }
}
