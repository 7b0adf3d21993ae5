//! What a chip costs: `cargo run --release -p swath-shard --example speed [-- EDGE_PX]`. Cuts a drawn
//! scene of 2048 x 2048 px into chips of 256 (or so many) px and prints a line of JSON for each
//! setting of PNG, and one for whole chips. Times are of the CPU, in milliseconds a chip.

use std::{error::Error, fs};

use png::{Compression, Filter};
use swath_geo::rasterize::{Polygons, fill};
use swath_proto::geometry::{RectPx, SizePx, WindowPx};
use swath_shard::{Chip, EncodedChip, Image, Index, SampleType, Shape, ShardWriter, read_chip};
use swath_synth::Scene;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

const SCENE_PX: u32 = 2048;
/// The kernel may count a thread's time in ticks of some milliseconds.
const AT_LEAST_MS: f64 = 400.0;

fn chips(edge_px: u32) -> Result<Vec<Chip>> {
    let scene = Scene::new(1, SCENE_PX);
    let mut buildings = Polygons::default();
    for building in (0..scene.n_strips()).flat_map(|strip| scene.buildings(strip)) {
        buildings.push(&building.rings)?;
    }
    let mut chips = Vec::new();
    for row in (0..SCENE_PX / edge_px).map(|row| row * edge_px) {
        let rows = scene.rows(row, edge_px);
        for col in (0..SCENE_PX / edge_px).map(|col| col * edge_px) {
            let line = |y: u32| {
                let at = 3 * (y * SCENE_PX + col) as usize;
                &rows[at..at + 3 * edge_px as usize]
            };
            let shape = Shape::new(SizePx::new(edge_px, edge_px), 3, SampleType::Uint8);
            let mut labels = vec![0; shape.pixels() as usize];
            fill(buildings.iter().map(|b| (b, 1)), RectPx::new(col, row, edge_px, edge_px), &mut labels);
            chips.push(Chip {
                scene: "drawn".parse()?,
                window: WindowPx::new(col.into(), row.into(), edge_px, edge_px),
                draw: None,
                source_pixel_crs: Some([0.1, 0.1]),
                image: Image::new(shape, (0..edge_px).flat_map(line).copied().collect())?,
                labels,
            });
        }
    }
    Ok(chips)
}

/// This thread's time on a CPU.
fn cpu_ms() -> Result<f64> {
    let stat = fs::read_to_string("/proc/thread-self/schedstat")?;
    let ns: f64 = stat.split_whitespace().next().ok_or("an empty schedstat")?.parse()?;
    Ok(ns / 1e6)
}

/// The mean of as many rounds as make the clock's ticks small.
fn time<T>(n: usize, mut work: impl FnMut() -> Result<T>) -> Result<(f64, T)> {
    let begin = cpu_ms()?;
    let mut rounds = 0;
    loop {
        let done = work()?;
        rounds += 1;
        let ms = cpu_ms()? - begin;
        if ms >= AT_LEAST_MS {
            return Ok((ms / (rounds * n) as f64, done));
        }
    }
}

fn encode(
    bytes: &[u8],
    edge_px: u32,
    color: png::ColorType,
    compression: Compression,
    filter: Filter,
) -> Result<Vec<u8>> {
    let mut out = Vec::new();
    let mut encoder = png::Encoder::new(&mut out, edge_px, edge_px);
    encoder.set_color(color);
    encoder.set_compression(compression);
    encoder.set_filter(filter);
    let mut writer = encoder.write_header()?;
    writer.write_image_data(bytes)?;
    writer.finish()?;
    Ok(out)
}

fn decode(file: &[u8], len: usize) -> Result<Vec<u8>> {
    let mut bytes = vec![0; len];
    png::Decoder::new(std::io::Cursor::new(file)).read_info()?.next_frame(&mut bytes)?;
    Ok(bytes)
}

fn main() -> Result<()> {
    let edge_px = std::env::args().nth(1).map_or(Ok(256), |edge| edge.parse())?;
    let chips = chips(edge_px)?;
    let n = chips.len();
    for (what, color) in [("image", png::ColorType::Rgb), ("label", png::ColorType::Grayscale)] {
        for compression in
            [Compression::NoCompression, Compression::Fastest, Compression::Fast, Compression::Balanced]
        {
            for filter in
                [Filter::NoFilter, Filter::Sub, Filter::Up, Filter::Avg, Filter::Paeth, Filter::Adaptive]
            {
                let plane = |chip: &Chip| match what {
                    "image" => chip.image.bytes().to_vec(),
                    _ => chip.labels.clone(),
                };
                let planes: Vec<_> = chips.iter().map(plane).collect();
                let (encode_ms, files) = time(n, || {
                    let files = planes.iter().map(|plane| encode(plane, edge_px, color, compression, filter));
                    files.collect::<Result<Vec<_>>>()
                })?;
                let (decode_ms, _) = time(n, || {
                    planes
                        .iter()
                        .zip(&files)
                        .map(|(p, file)| decode(file, p.len()))
                        .collect::<Result<Vec<_>>>()
                })?;
                let len = files.iter().map(Vec::len).sum::<usize>() / n;
                let setting = format!("{compression:?} {filter:?}");
                println!(
                    "{{\"png\":\"{what}\",\"setting\":\"{setting}\",\"encode_ms\":{encode_ms:.3},\"decode_ms\":{decode_ms:.3},\"bytes\":{len}}}"
                );
            }
        }
    }
    let (encode_ms, (tar, index)) = time(n, || {
        let mut writer = ShardWriter::new(Vec::new());
        for chip in &chips {
            writer.push_encoded(EncodedChip::new(chip)?)?;
        }
        Ok(writer.finish()?)
    })?;
    let json = index.to_bytes()?;
    let (parse_ms, _) = time(n, || Ok(Index::parse(&json)?))?;
    let (decode_ms, _) = time(n, || {
        for entry in index.chips() {
            read_chip(&tar[entry.range().start as usize..entry.range().end as usize], entry)?;
        }
        Ok(())
    })?;
    println!(
        "{{\"chips\":{n},\"edge_px\":{edge_px},\"encode_ms\":{encode_ms:.3},\"decode_ms\":{decode_ms:.3},\"index_parse_ms\":{parse_ms:.4},\"encoded_per_cpu_s\":{:.0},\"decoded_per_cpu_s\":{:.0},\"tar_bytes_a_chip\":{},\"index_bytes_a_chip\":{}}}",
        1e3 / encode_ms,
        1e3 / decode_ms,
        tar.len() / n,
        json.len() / n
    );
    Ok(())
}
