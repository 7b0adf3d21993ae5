//! `swath bench forward`: batches of made-up windows through a network, and what a window takes. On a card also what
//! share of the card that is.

use std::time::Instant;

use serde_json::{Value, json};
use swath::{
    args::ForwardArgs,
    exit::{Exit, Usage},
    measure::{load, own_usage},
};
use swath_model::{Calibration, Files};
use swath_proto::{
    ids::Digest,
    item::{DeviceName, EngineName, ModelRef, Precision, Weights, WindowShape},
    pipeline::PrecisionWord,
};

const BANDS: u32 = 3;
const CLASSES: u32 = 2;

pub(crate) fn run(args: &ForwardArgs) -> anyhow::Result<Exit> {
    swath_model::init_process();
    let engine = args
        .engine
        .unwrap_or_else(|| args.device.engine(args.architecture, args.precision == PrecisionWord::Fp32));
    if args.device == DeviceName::Cuda && args.precision == PrecisionWord::Int8 {
        return Err(Usage("--precision int8: cards do not compute in it here; take bf16".into()).into());
    }
    let usage = |why: &str| Err(Usage(why.into()).into());
    match (args.device, engine, args.precision) {
        (DeviceName::Cuda, EngineName::Openvino, _) => {
            return usage("--device cuda: cards are libtorch's; leave --engine out");
        }
        (DeviceName::Cpu, EngineName::Libtorch, PrecisionWord::Bf16 | PrecisionWord::Int8) => {
            return usage("--engine libtorch: computes in fp32 on processors; bf16 and int8 are OpenVINO's");
        }
        (DeviceName::Cpu, _, PrecisionWord::Fp16) => {
            return usage("--precision fp16: only cards compute in it");
        }
        _ => {}
    }
    let multiple = args.architecture.edge_multiple_px();
    if !args.window.is_multiple_of(multiple) {
        return Err(Usage(format!(
            "--window {}: must be a multiple of {multiple} for this network",
            args.window
        ))
        .into());
    }
    if args.device == DeviceName::Cuda {
        swath_model::card()?;
    }
    let whole = ModelRef {
        architecture: args.architecture,
        weights: Weights::Seed(1),
        bands: BANDS,
        classes: CLASSES,
        seen_px: None,
        engine,
        precision: Precision::Fp32,
        device: args.device,
        others: Vec::new(),
    };
    let values = args.batch as usize * (args.window as usize).pow(2) * BANDS as usize;
    let input: Vec<f32> = (0..values).map(|value| (value % 251) as f32 / 250.0).collect();
    let mut files = Files::default();
    let precision = match args.precision {
        PrecisionWord::Fp32 => Precision::Fp32,
        PrecisionWord::Bf16 => Precision::Bf16,
        PrecisionWord::Fp16 => Precision::Fp16,
        // Ranges are found on the very batch: what is timed does not depend on them.
        PrecisionWord::Int8 => {
            let mut calibration = Calibration::new(&whole, &files, args.threads)?;
            calibration.see(&input, (args.window, args.window))?;
            let ranges = calibration.ranges();
            let content = Digest::of(&ranges.to_json());
            files.ranges = Some(ranges);
            Precision::Int8(content)
        }
    };
    let model = ModelRef { precision, ..whole };
    let window = WindowShape { core_px: args.window, margin_px: 0 };
    let mut predictor = swath_model::load(&model, &[files], window, args.batch, args.threads)?;
    // Loading has run a batch; another one leaves the blocks where later ones find them.
    predictor.forward(&input, args.batch as usize)?;

    let (before, started, mut least_s) = (own_usage(), Instant::now(), f64::INFINITY);
    for _ in 0..args.batches {
        let began = Instant::now();
        predictor.forward(&input, args.batch as usize)?;
        least_s = least_s.min(began.elapsed().as_secs_f64());
    }
    let (wall_s, after) = (started.elapsed().as_secs_f64(), own_usage());
    let windows = f64::from(args.batches * args.batch);
    let cpu_s = after.cpu_s - before.cpu_s;
    let mut line = json!({
        "name": format!(
            "forward/{}/{}-{}/{}/{}px-x{}/{}-threads",
            args.architecture.name(),
            engine.name(),
            args.device.name(),
            precision.name(),
            args.window,
            args.batch,
            args.threads
        ),
        "value": wall_s * 1e3 / windows, "unit": "ms/window", "least": least_s * 1e3 / f64::from(args.batch),
        "windows_per_s": windows / wall_s, "cpu_ms_per_window": cpu_s * 1e3 / windows,
        "page_faults": (after.page_faults - before.page_faults) / i64::from(args.batches),
        "cpu_s": cpu_s, "wall_s": wall_s, "rss_mib": after.rss_mib,
        "load": load(), "commit": env!("SWATH_COMMIT"), "class": predictor.class(),
    });
    if args.device == DeviceName::Cuda {
        line["card"] = card(&model, window, windows / wall_s)?;
    }
    swath::say::line(format_args!("{line}"));
    Ok(Exit::Done)
}

/// What the card does at most in this precision, and the share of it that the network has come to.
fn card(model: &ModelRef, window: WindowShape, windows_per_s: f64) -> anyhow::Result<Value> {
    let rates = swath_model::rates(model.precision)?;
    let multiplications_per_s = swath_model::multiplications(model, window)? as f64 * windows_per_s;
    Ok(json!({
        "name": swath_model::card()?,
        "share_of_matrix_rate": multiplications_per_s / rates.multiplications_per_s,
        "matrix_tflop_per_s": 2e-12 * rates.multiplications_per_s,
        "copy_gb_per_s": 1e-9 * rates.copied_bytes_per_s,
    }))
}
