//! What it costs to look at every pixel of a scene: `cost analyze IMAGE...`, `cost read IMAGE` (the reader of
//! one file beside that of scenes), `cost labels IMAGE GEOJSON`. Prints JSON.

use std::time::Instant;

use serde_json::{Value, json};
use swath_proto::{
    geometry::{RectPx, SizePx, WindowPx},
    scene::FileRef,
    source::{ClassList, GeoJsonLabels, LabelSpec, SourceSpec},
};
use swath_raster::{Labels, Pixels, Raster, Settings, Source, analyze, configure, statistics};

type Outcome = Result<Value, Box<dyn std::error::Error>>;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    configure(&Settings { cache_mib: 256 });
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let report = match arguments.as_slice() {
        ["analyze", images @ ..] => of_analyze(images)?,
        ["read", image] => of_read(image)?,
        ["labels", image, labels] => of_labels(image, labels)?,
        _ => return Err("usage: cost analyze IMAGE... | read IMAGE | labels IMAGE GEOJSON".into()),
    };
    println!("{report}");
    Ok(())
}

fn file(uri: &str) -> FileRef {
    FileRef { uri: uri.to_owned(), tag: String::new() }
}

fn of_analyze(images: &[&str]) -> Outcome {
    let (cpu, wall) = (cpu_seconds(), Instant::now());
    let source = Source::open(&SourceSpec::new(images.iter().map(|uri| file(uri)).collect()))?;
    let SizePx { width, height } = source.size();
    let found = statistics(&source, &analyze(&source, RectPx::new(0, 0, width, height))?)?;
    Ok(json!({
        "cpu_seconds": cpu_seconds() - cpu,
        "wall_seconds": wall.elapsed().as_secs_f64(),
        "megapixels": source.size().pixels() as f64 / 1e6,
        "statistics": found,
    }))
}

/// Blocks of predict items, with their margins. Each pair is read by both readers, in turn first.
fn of_read(image: &str) -> Outcome {
    const EDGE_PX: u32 = 2048;
    const MARGIN_PX: u32 = 32;
    let source = Source::open(&SourceSpec::new(vec![file(image)]))?;
    let raster = Raster::open(image)?;
    let bands: Vec<usize> = (1..=source.n_bands()).collect();
    let SizePx { width, height } = source.size();
    let mut seconds = [0.0; 2];
    let mut turn = 0;
    for row in (0..height).step_by(EDGE_PX as usize) {
        for col in (0..width).step_by(EDGE_PX as usize) {
            let edge = EDGE_PX + 2 * MARGIN_PX;
            let corner = |px: u32| i64::from(px) - i64::from(MARGIN_PX);
            let window = WindowPx::new(corner(col), corner(row), edge, edge);
            let mut read = [None, None];
            for reader in [turn % 2, 1 - turn % 2] {
                let cpu = cpu_seconds();
                read[reader] = Some(match reader {
                    0 => raster.read(window.col, window.row, window.size(), &bands)?,
                    _ => source.read_once(window)?.pixels,
                });
                seconds[reader] += cpu_seconds() - cpu;
            }
            let same = matches!(&read, [Some(Pixels::U8(a)), Some(Pixels::U8(b))] if a == b);
            assert!(same || source.type_name() != "u8", "both read the same");
            turn += 1;
        }
    }
    Ok(json!({ "raster_cpu_seconds": seconds[0], "source_cpu_seconds": seconds[1], "windows": turn }))
}

fn of_labels(image: &str, labels: &str) -> Outcome {
    const EDGE_PX: u32 = 2048;
    let scene = Source::open(&SourceSpec::new(vec![file(image)]))?.header("scene".parse()?)?;
    let classes = ClassList { names: vec!["null".into(), "building".into()], null_class: 0 };
    let cpu = cpu_seconds();
    let labels = Labels::open(&LabelSpec::GeoJson(GeoJsonLabels::new(file(labels))), &scene, &classes)?;
    let open = cpu_seconds() - cpu;
    let SizePx { width, height } = scene.size;
    let mut burnt = Vec::new();
    for edge_px in [EDGE_PX, 256] {
        let cpu = cpu_seconds();
        let (mut out, mut labelled, mut windows) = (Vec::new(), 0, 0);
        for row in (0..height).step_by(edge_px as usize) {
            for col in (0..width).step_by(edge_px as usize) {
                let rect = RectPx::new(col, row, edge_px.min(width - col), edge_px.min(height - row));
                out.resize(rect.pixels() as usize, 0);
                labels.burn(rect, &mut out)?;
                labelled += out.iter().map(|class| u64::from(*class)).sum::<u64>();
                windows += 1;
            }
        }
        burnt.push(json!({
            "edge_px": edge_px, "windows": windows, "labelled_px": labelled, "cpu_seconds": cpu_seconds() - cpu,
        }));
    }
    Ok(json!({ "open_cpu_seconds": open, "burn": burnt }))
}

fn cpu_seconds() -> f64 {
    // SAFETY: a plain getter that fills the struct it is given.
    let usage = unsafe {
        let mut usage = std::mem::zeroed();
        libc::getrusage(libc::RUSAGE_SELF, &mut usage);
        usage
    };
    let seconds = |time: libc::timeval| time.tv_sec as f64 + time.tv_usec as f64 * 1e-6;
    seconds(usage.ru_utime) + seconds(usage.ru_stime)
}
