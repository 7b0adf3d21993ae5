//! Joins a scene's predicted rectangles to Cloud-Optimised GeoTIFFs. Tiles are copied as they are, an item's in one
//! stretch; only each item's deepest overview is decoded, to make the levels above it.

use std::collections::BTreeMap;

use anyhow::{Context as _, anyhow};
use bytes::Bytes;
use futures::{FutureExt as _, StreamExt as _, TryStreamExt as _, future::OptionFuture};
use swath_backends::{Kind, blobs::Piece};
use swath_geo::{
    cog,
    pack::{CLASSES, CONFIDENCE, Making, PackHeader, Product, SCORES},
    pyramid::{self, Top},
    tally::Tally,
    tiles::Tiling,
};
use swath_proto::{
    finished::{Assembled, AssembledFile},
    item::{Assemble, AssembleInputs, AssemblePart, Place, Stage},
    keys,
};

use super::{
    Output, json, pictures,
    scene_file::{Style, footprint, making, no_pixel_counts, spec},
};
use crate::{
    context::{Claimed, Context},
    failure::JobError,
};

/// Reads under way at a time, each of a few kilobytes.
const READS: usize = 16;
/// Enough for the header of an item of the usual size.
const FIRST_READ: u64 = 16 << 10;

/// One predict item's output, and where things lie in it.
struct Part {
    key: String,
    header: PackHeader,
}

pub(super) async fn run(cx: &Context, item: &Claimed, work: &Assemble) -> Result<Output, JobError> {
    let key = keys::inputs(&item.run, &work.inputs);
    let inputs: AssembleInputs = serde_json::from_slice(&cx.blobs.get(&key).await?)
        .with_context(|| format!("reading {key}"))
        .map_err(JobError::data)?;
    let parts = headers(cx, &inputs).await?;
    if parts.iter().all(|part| part.header.is_blank) {
        return Err(no_pixel_counts(&inputs.scene));
    }
    // The classes last: whoever waits for a scene looks for them.
    let products = [
        (SCORES, work.scores_output.as_ref()),
        (CONFIDENCE, work.confidence_output.as_ref()),
        (CLASSES, Some(&work.output)),
    ];
    let (mut files, mut ready) = (Vec::new(), None);
    for (name, output) in products.into_iter().filter_map(|(name, output)| Some((name, output?))) {
        // While the disk or the network is busy with one, the next is laid out.
        let writing = OptionFuture::from(ready.take().map(|ready| write(cx, &inputs, ready)));
        let (next, file) = tokio::join!(laid_out(cx, item, &inputs, &parts, name, output), writing);
        files.extend(file.transpose()?);
        ready = Some(next?);
    }
    if let Some(ready) = ready {
        files.push(write(cx, &inputs, ready).await?);
    }
    if item.place.index < pictures::FIRST {
        pictures::put_of_map(cx, item, &inputs.scene, &work.output, &inputs.classes).await;
    }
    let scene = inputs.scene.clone();
    let footprint = cx.native(item, move || Ok(footprint(&scene))).await?;
    json(&Assembled::V1 { files, footprint: Some(footprint) }, inputs.size.pixels())
}

/// Reads the headers of all parts; names every part that is gone.
async fn headers(cx: &Context, inputs: &AssembleInputs) -> Result<Vec<Part>, JobError> {
    // Boxed and in a list: the compiler can't see otherwise that they may move between threads.
    let reads: Vec<_> = inputs.parts.iter().map(|part| found_or_gone(cx, part).boxed()).collect();
    let found: Vec<_> = futures::stream::iter(reads).buffered(READS).try_collect().await?;
    let (parts, gone): (Vec<_>, Vec<_>) = found.into_iter().partition(Result::is_ok);
    let places: Vec<_> = gone.into_iter().filter_map(Result::err).flatten().collect();
    if !places.is_empty() {
        let message = format!("{} of {} predicted parts are gone", places.len(), inputs.parts.len());
        return Err(JobError::MissingInputs { places, message });
    }
    Ok(parts.into_iter().filter_map(Result::ok).collect())
}

/// A part that is gone is an answer here: all of them are to be named at once.
async fn found_or_gone(cx: &Context, part: &AssemblePart) -> Result<Result<Part, Vec<Place>>, JobError> {
    match header(cx, part).await {
        Ok(header) => Ok(Ok(header)),
        Err(JobError::MissingInputs { places, .. }) => Ok(Err(places)),
        Err(error) => Err(error),
    }
}

async fn header(cx: &Context, part: &AssemblePart) -> Result<Part, JobError> {
    let key = keys::output(Stage::Predict, &part.id);
    let gone = || JobError::MissingInputs { places: vec![part.place], message: format!("{key} is gone") };
    let Some(meta) = cx.blobs.head(&key).await? else { return Err(gone()) };
    let mut wanted = FIRST_READ;
    loop {
        let prefix = match cx.blobs.get_range(&key, 0..wanted.min(meta.len)).await {
            Err(error) if error.kind == Kind::NotFound => return Err(gone()),
            read => read?,
        };
        let bad = |error| JobError::data(anyhow!("{key}: {error}; delete it and replay the item"));
        if let Some(header) = PackHeader::parse(&prefix).map_err(|error| bad(error.to_string()))? {
            if header.rect != part.rect || header.total_len() != meta.len {
                return Err(bad("it is not the pack of this rectangle, or a torn one".into()));
            }
            return Ok(Part { key, header });
        }
        wanted = PackHeader::bytes_wanted(&prefix).map_err(|error| bad(error.to_string()))?;
        if wanted > meta.len {
            return Err(bad(format!("it ends before its header does, after {} bytes", meta.len)));
        }
    }
}

/// One file of a scene, before it is written.
struct Ready {
    key: String,
    len: u64,
    pieces: Vec<Piece>,
}

async fn laid_out(
    cx: &Context,
    item: &Claimed,
    inputs: &AssembleInputs,
    parts: &[Part],
    name: &str,
    output: &str,
) -> Result<Ready, JobError> {
    let making = making(name, inputs.classes.len() as u32, inputs.compression, inputs.nodata);
    let shape = || JobError::internal(anyhow!("items of {} px do not fit their tiles", inputs.item_px));
    let n_item_levels =
        pyramid::item_levels(inputs.size, inputs.item_px, inputs.block_px).ok_or_else(shape)?;
    let products =
        parts.iter().map(|part| holding(part, name, n_item_levels, making)).collect::<Result<Vec<_>, _>>()?;

    let top = top_levels(cx, item, inputs, parts, name, n_item_levels - 1, making).await?;
    let of_items = (0..n_item_levels as usize).map(|level| {
        products.iter().flat_map(|product| &product.levels[level].tile_sizes).copied().collect::<Vec<_>>()
    });
    let of_top = top.values().map(|tiles| tiles.iter().map(|tile| tile.len() as u32).collect());
    let level_tile_sizes: Vec<Vec<u32>> = of_items.chain(of_top).collect();

    let geo = match &inputs.scene.georeference {
        Some(georeference) => {
            let georeference = georeference.clone();
            cx.native(item, move || Ok(swath_raster::geo_tags(&georeference)?)).await?
        }
        None => Vec::new(),
    };
    let style = Style {
        scene: &inputs.scene,
        classes: &inputs.classes,
        block_px: inputs.block_px,
        compression: inputs.compression,
        nodata: inputs.nodata,
        geo,
    };
    let spec = spec(&style, name, &tallies(&products), level_tile_sizes);
    let layout = cog::layout(&spec).map_err(JobError::internal)?;
    let mut pieces = vec![Piece::Bytes(layout.header.into())];
    // How far each level has come: its part, and the tile of that part.
    let mut at = vec![(0, 0); n_item_levels as usize];
    for run in &layout.runs {
        if let Some(tiles) = top.get(&run.level) {
            pieces.push(Piece::Bytes(tiles[run.tiles.clone()].concat().into()));
            continue;
        }
        let (part, tile) = &mut at[run.level as usize];
        let mut left = run.tiles.len();
        while left > 0 {
            let level = &products[*part].levels[run.level as usize];
            let end = level.tile_sizes.len().min(*tile + left);
            let key = &parts[*part].key;
            pieces.extend(
                level.bytes(*tile..end).into_iter().map(|range| Piece::Range { key: key.clone(), range }),
            );
            left -= end - *tile;
            (*part, *tile) = if end == level.tile_sizes.len() { (*part + 1, 0) } else { (*part, end) };
        }
    }
    Ok(Ready { key: output.to_owned(), len: layout.total_len, pieces })
}

async fn write(cx: &Context, inputs: &AssembleInputs, ready: Ready) -> Result<AssembledFile, JobError> {
    let Ready { key, len, pieces } = ready;
    match cx.blobs.compose_new(&key, pieces).await {
        // A part went between its header and its tiles: the next look names it.
        Err(error) if error.kind == Kind::NotFound => {
            headers(cx, inputs).await?;
            Err(error.into())
        }
        composed => {
            composed?;
            Ok(AssembledFile { key, bytes: len })
        }
    }
}

/// A part's product, if it is as the scene's file wants it: whoever can write under the root may have made it.
fn holding<'a>(part: &'a Part, name: &str, levels: u32, making: Making) -> Result<&'a Product, JobError> {
    let found = part.header.product(name).filter(|product| {
        let is_made_so = product.coding == making.coding && product.bands == making.reduction.bands();
        is_made_so && product.levels.len() == levels as usize
    });
    found.ok_or_else(|| {
        let key = &part.key;
        JobError::data(anyhow!(
            "{key} holds no {name} of {levels} levels with the bands and compression of its scene: delete it and replay \
             the item"
        ))
    })
}

/// Of all parts together; none where a part does not tell.
fn tallies(products: &[&Product]) -> Vec<Tally> {
    let n_bands = products.iter().map(|product| product.tallies.len()).min().unwrap_or(0);
    let of_band =
        |band: usize| products.iter().map(|product| product.tallies[band]).fold(Tally::NOTHING, Tally::and);
    (0..n_bands).map(of_band).collect()
}

/// Compressed tiles of the levels above the items', by level, in Z-order.
async fn top_levels(
    cx: &Context,
    item: &Claimed,
    inputs: &AssembleInputs,
    parts: &[Part],
    name: &str,
    deepest: u32,
    making: Making,
) -> Result<BTreeMap<u32, Vec<Bytes>>, JobError> {
    let Making { reduction, coding, .. } = making;
    let n_levels = pyramid::n_levels(inputs.size, inputs.block_px);
    let mut finished: BTreeMap<u32, Vec<Bytes>> =
        (deepest + 1..n_levels).map(|level| (level, Vec::new())).collect();
    if finished.is_empty() {
        return Ok(finished);
    }
    let mut top = Top::new(inputs.size, inputs.block_px, deepest, reduction).map_err(JobError::internal)?;
    let reads: Vec<_> = parts.iter().map(|part| deepest_tiles(cx, part, name, deepest).boxed()).collect();
    let mut reads = std::pin::pin!(futures::stream::iter(reads).buffered(READS));
    let tiling = Tiling { size: inputs.size, block_px: inputs.block_px, bands: reduction.bands() };
    while let Some(tiles) = reads.try_next().await? {
        // One part at a time keeps the memory at a few tiles.
        let (returned, made) = cx
            .native(item, move || {
                let mut made = Vec::new();
                for tile in tiles {
                    let raw = tiling.decode(&tile, coding).map_err(JobError::data)?;
                    for tile in top.push(&raw).map_err(JobError::internal)? {
                        let packed = tiling.encode(tile.pixels, coding).map_err(JobError::internal)?;
                        made.push((tile.level, Bytes::from(packed)));
                    }
                }
                Ok((top, made))
            })
            .await?;
        top = returned;
        for (level, tile) in made {
            finished.entry(level).or_default().push(tile);
        }
    }
    top.finish().map_err(JobError::internal)?;
    Ok(finished)
}

/// A part's compressed tiles of its deepest level: one, but for packs of other programs.
async fn deepest_tiles(cx: &Context, part: &Part, name: &str, level: u32) -> Result<Vec<Bytes>, JobError> {
    let found = part.header.product(name).and_then(|product| product.levels.get(level as usize));
    let found =
        found.ok_or_else(|| JobError::data(anyhow!("{} holds no {name} of level {level}", part.key)))?;
    let mut tiles = Vec::new();
    for tile in found.tiles() {
        tiles.push(cx.blobs.get_range(&part.key, tile).await?);
    }
    Ok(tiles)
}
