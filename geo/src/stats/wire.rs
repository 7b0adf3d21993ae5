//! Parts as they are written down: counts without the zeros at both ends.

use serde::{Deserialize, Serialize};

use super::{BadStats, Band, Kind, MAX_PIXELS, Moments, PartialStats};

/// A band of counts takes half a megabyte, however short it is written.
const MAX_BANDS: usize = 4096;

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Wire {
    kind: Kind,
    bands: Vec<BandWire>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
enum BandWire {
    /// Without the zeros at both ends; `first` counts from the type's smallest value.
    Counts {
        first: usize,
        counts: Vec<u64>,
    },
    Moments(Moments),
}

impl From<PartialStats> for Wire {
    fn from(stats: PartialStats) -> Self {
        let wire = |band| match band {
            Band::Counts(counts) => {
                let first = counts.iter().position(|&count| count > 0).unwrap_or(counts.len());
                let end = counts.iter().rposition(|&count| count > 0).map_or(first, |last| last + 1);
                BandWire::Counts { first, counts: counts[first..end].to_vec() }
            }
            Band::Moments(moments) => BandWire::Moments(moments),
        };
        Self { kind: stats.kind, bands: stats.bands.into_iter().map(wire).collect() }
    }
}

impl TryFrom<Wire> for PartialStats {
    type Error = BadStats;

    fn try_from(wire: Wire) -> Result<Self, BadStats> {
        let kind = wire.kind;
        if wire.bands.len() > MAX_BANDS {
            return Err(BadStats::Bands(wire.bands.len()));
        }
        let band = |band| {
            let band = match (band, kind.bins()) {
                (BandWire::Counts { first, counts }, Some((_, bins))) => {
                    let end = first.checked_add(counts.len()).filter(|&end| end <= bins);
                    let end = end.ok_or(BadStats::Counts(counts.len(), kind))?;
                    let mut all = vec![0; bins];
                    all[first..end].copy_from_slice(&counts);
                    Band::Counts(all)
                }
                (BandWire::Moments(moments), None) if (moments.count == 0) == moments.range.is_none() => {
                    Band::Moments(moments)
                }
                (BandWire::Counts { counts, .. }, None) => return Err(BadStats::Counts(counts.len(), kind)),
                (BandWire::Moments(_), _) => return Err(BadStats::Counts(0, kind)),
            };
            if band.count() > MAX_PIXELS { Err(BadStats::TooMany) } else { Ok(band) }
        };
        Ok(Self { kind, bands: wire.bands.into_iter().map(band).collect::<Result<_, _>>()? })
    }
}
