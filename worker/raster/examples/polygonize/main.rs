//! What it costs to make polygons of a class raster, beside GDAL's polygonize of the same pixels in memory: pairs in
//! turn, on one thread, one JSON object a raster.
//!
//! `cargo run --release -p swath-raster --example polygonize [PAIRS [FILE CLASS]]` takes drawn rasters, or a file's first
//! band. Both trace one class and leave its polygons in memory; GDAL is told by a mask to trace nothing else. Ours go
//! block by block, as a worker does it.

use std::{error::Error, time::Instant};

use gdal::{
    DriverManager,
    raster::Buffer,
    vector::{LayerAccess, LayerOptions, OGRwkbGeometryType},
};
use rand::{Rng, SeedableRng, rngs::StdRng};
use swath_geo::{
    grid::ItemGrid,
    rasterize,
    vector::{Joiner, Polygon, Tracing},
};
use swath_proto::geometry::{RectPx, SizePx};
use swath_raster::{Pixels, Raster, Settings, configure};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// As in the worker.
const BLOCK_PX: u32 = 1024;
const DRAWN: SizePx = SizePx::new(6000, 6000);

struct Classes {
    name: String,
    size: SizePx,
    /// 1 where a pixel is of the class, else 0.
    pixels: Vec<u8>,
}

fn main() -> Result<()> {
    configure(&Settings { cache_mib: 256 });
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let pairs: usize = arguments.first().map_or(Ok(5), |text| text.parse())?;
    let rasters = match arguments.get(1..).unwrap_or_default() {
        [] => vec![
            drawn("buildings", 3600, 5.0..35.0, 0.0),
            drawn("ragged-buildings", 3600, 5.0..35.0, 0.005),
            drawn("landcover", 500, 50.0..400.0, 0.02),
        ],
        [file, class] => vec![of_file(file, class.parse()?)?],
        _ => return Err("usage: polygonize [PAIRS [FILE CLASS]]".into()),
    };
    for raster in rasters {
        println!("{}", compare(&raster, pairs.max(1))?);
    }
    Ok(())
}

/// Rectangles at any angle, and pixels that are wrong: a share of all.
fn drawn(name: &str, n: usize, half_px: std::ops::Range<f64>, wrong: f64) -> Classes {
    let mut rng = StdRng::seed_from_u64(1);
    let mut pixels = vec![0; DRAWN.pixels() as usize];
    let all = RectPx::new(0, 0, DRAWN.width, DRAWN.height);
    let mut rectangles = rasterize::Polygons::default();
    while rectangles.len() < n {
        let (x, y) =
            (rng.random_range(0.0..f64::from(DRAWN.width)), rng.random_range(0.0..f64::from(DRAWN.height)));
        let (w, h) = (rng.random_range(half_px.clone()), rng.random_range(half_px.clone()));
        let (sine, cosine) = rng.random_range(0.0..std::f64::consts::TAU).sin_cos();
        let corner = |u: f64, v: f64| [x + u * cosine - v * sine, y + u * sine + v * cosine];
        let ring = vec![corner(-w, -h), corner(-w, h), corner(w, h), corner(w, -h)];
        rectangles.push(&[ring]).expect("its corners are numbers");
    }
    rasterize::fill(rectangles.iter().map(|rectangle| (rectangle, 1)), all, &mut pixels);
    if wrong > 0.0 {
        pixels.iter_mut().filter(|_| rng.random_bool(wrong)).for_each(|pixel| *pixel ^= 1);
    }
    Classes { name: name.to_owned(), size: DRAWN, pixels }
}

fn of_file(file: &str, class: u8) -> Result<Classes> {
    let raster = Raster::open(file)?;
    let size = raster.size();
    let Pixels::U8(mut pixels) = raster.read(0, 0, size, &[1])? else {
        return Err(format!("{file} is no class raster: its pixels are not of 8 bits").into());
    };
    pixels.iter_mut().for_each(|pixel| *pixel = u8::from(*pixel == class));
    Ok(Classes { name: file.to_owned(), size, pixels })
}

fn compare(raster: &Classes, pairs: usize) -> Result<serde_json::Value> {
    let (mut ours, mut theirs, started) = (Vec::new(), Vec::new(), Instant::now());
    let (mut n_polygons, mut n_features) = (0, 0);
    for pair in 0..pairs {
        // Each is first in turn.
        for is_ours in [pair % 2 == 0, pair % 2 == 1] {
            if is_ours {
                let begin = cpu_seconds();
                let polygons = traced(raster)?;
                ours.push(cpu_seconds() - begin);
                n_polygons = polygons.len() as u64;
            } else {
                let (features, seconds) = polygonized(raster)?;
                theirs.push(seconds);
                n_features = features;
            }
        }
    }
    if n_polygons != n_features {
        return Err(format!("{}: {n_polygons} polygons, and {n_features} of GDAL's", raster.name).into());
    }
    let mut ratios: Vec<f64> = theirs.iter().zip(&ours).map(|(theirs, ours)| theirs / ours).collect();
    let [ratio, ours_s, theirs_s] = [&mut ratios[..], &mut ours[..], &mut theirs[..]].map(median);
    let megapixels = raster.size.pixels() as f64 / 1e6;
    Ok(serde_json::json!({
        "name": format!("polygonize/{}/{}x{}", raster.name, raster.size.width, raster.size.height),
        "value": ratio, "unit": "times as fast as GDAL's polygonize, per core", "pairs": pairs, "polygons": n_polygons,
        "ours_mpx_per_cpu_s": megapixels / ours_s, "gdal_mpx_per_cpu_s": megapixels / theirs_s,
        "gdal": gdal::version::version_info("RELEASE_NAME"), "cpu_s": cpu_seconds(),
        "wall_s": started.elapsed().as_secs_f64(), "rss_mib": usage().ru_maxrss as f64 / 1024.0,
        "load": load(), "commit": commit(),
    }))
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn traced(raster: &Classes) -> Result<Vec<Polygon>> {
    let tracing = Tracing { scene: raster.size, class: 1, denoise_px: 0 };
    let grid = ItemGrid::new(raster.size, BLOCK_PX)?;
    let mut joiner = Joiner::new(raster.size, 1);
    let mut polygons = Vec::new();
    for item in (0..grid.len()).filter_map(|index| grid.rect(index)) {
        let window = tracing.window_px(item)?;
        let mut plane = Vec::with_capacity(window.pixels() as usize);
        for row in window.row..window.bottom() {
            let first = row as usize * raster.size.width as usize + window.col as usize;
            plane.extend_from_slice(&raster.pixels[first..first + window.width as usize]);
        }
        polygons.extend(joiner.add(tracing.fragment(item, &plane, None)?)?);
    }
    joiner.finish()?;
    polygons.sort_unstable_by_key(Polygon::first_corner);
    Ok(polygons)
}

/// How many polygons, and CPU seconds.
fn polygonized(raster: &Classes) -> Result<(u64, f64)> {
    let (width, height) = (raster.size.width as usize, raster.size.height as usize);
    let image = DriverManager::get_driver_by_name("MEM")?.create("", width, height, 1)?;
    let mut band = image.rasterband(1)?;
    band.write((0, 0), (width, height), &mut Buffer::new((width, height), raster.pixels.clone()))?;
    let mut vectors = DriverManager::get_driver_by_name("Memory")?.create_vector_only("")?;
    let layer =
        vectors.create_layer(LayerOptions { ty: OGRwkbGeometryType::wkbPolygon, ..Default::default() })?;
    let begin = cpu_seconds();
    // SAFETY: band and layer live on, and there is neither a field, nor options, nor progress to tell.
    let outcome = unsafe {
        let band = band.c_rasterband();
        gdal_sys::GDALPolygonize(
            band,
            band,
            layer.c_layer(),
            -1,
            std::ptr::null_mut(),
            None,
            std::ptr::null_mut(),
        )
    };
    let seconds = cpu_seconds() - begin;
    if outcome != gdal_sys::CPLErr::CE_None {
        return Err("GDAL's polygonize failed".into());
    }
    Ok((layer.feature_count(), seconds))
}

fn usage() -> libc::rusage {
    // SAFETY: zeroes are a valid rusage, and the call only writes into it.
    unsafe {
        let mut usage = std::mem::zeroed();
        libc::getrusage(libc::RUSAGE_SELF, &mut usage);
        usage
    }
}

fn cpu_seconds() -> f64 {
    let usage = usage();
    let seconds = |time: libc::timeval| time.tv_sec as f64 + time.tv_usec as f64 * 1e-6;
    seconds(usage.ru_utime) + seconds(usage.ru_stime)
}

fn load() -> Option<f64> {
    std::fs::read_to_string("/proc/loadavg").ok()?.split(' ').next()?.parse().ok()
}

fn commit() -> Option<String> {
    let git = std::process::Command::new("git").args(["rev-parse", "--short=12", "HEAD"]).output().ok()?;
    git.status.success().then(|| String::from_utf8_lossy(&git.stdout).trim().to_owned())
}
