//! Statistics of a scene's pixels, exact: every valid pixel counts.

use swath_geo::stats::{Counted, Kind as StatsKind, PartialStats, Statistics};
use swath_proto::geometry::{RectPx, WindowPx};

use crate::{
    error::{Kind, RasterError, Result},
    pixels::with_values,
    source::Source,
};

/// Pixels that are read at a time: little enough to stay in a cache, and whole tiles.
const PIECE_PX: u32 = 1 << 19;
const PIECE_WIDTH_PX: u32 = 1024;

/// Measures a rectangle, before scaling. Pieces lie on a lattice of the scene, so that the same pixels of
/// a floating-point image are summed in the same order whenever a rectangle holds whole pieces.
pub fn analyze(source: &Source, rect: RectPx) -> Result<PartialStats> {
    let kind = with_kind(source);
    let mut stats = PartialStats::new(kind, source.n_bands());
    let block = source.block();
    let (block_width, block_height) = (block.width.max(1), block.height.max(1));
    let width = PIECE_WIDTH_PX.next_multiple_of(block_width);
    let height = (PIECE_PX / width).clamp(1, 1 << 14).next_multiple_of(block_height);
    let (right, bottom) = (rect.right().min(source.size().width), rect.bottom().min(source.size().height));
    let mut row = rect.row;
    while row < bottom {
        let next_row = (row / height * height).saturating_add(height).min(bottom);
        let mut col = rect.col;
        while col < right {
            let next_col = (col / width * width).saturating_add(width).min(right);
            let window = WindowPx::new(col.into(), row.into(), next_col - col, next_row - row);
            let block = source.read(window)?;
            let mask = block.mask();
            let counted = match &mask {
                None => Counted::All,
                Some(mask) => mask.samples.as_deref().map_or(Counted::Pixels(&mask.pixels), Counted::Samples),
            };
            with_values!(&block.pixels, values => stats.add(values, counted));
            col = next_col;
        }
        row = next_row;
    }
    Ok(stats)
}

fn with_kind(source: &Source) -> StatsKind {
    crate::pixels::with_type!(source.data_type(), T => <T as swath_geo::stats::Sample>::KIND)
}

/// The statistics of a whole scene, merged from its parts. A scene without a valid pixel has none.
pub fn statistics(source: &Source, whole: &PartialStats) -> Result<Statistics> {
    whole.statistics().map_err(|error| {
        let uri = source.spec().files.first().map_or("a scene", |file| file.uri.as_str());
        let why = format!(
            "{error} in {} x {} px: all are nodata, masked or no numbers",
            source.size().width,
            source.size().height
        );
        RasterError::new(Kind::Unreadable, format!("analyzing {uri}"), why)
    })
}
