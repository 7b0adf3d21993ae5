//! `swath bench control`: how many items a second queue, ledger and coordinator carry when the
//! items do nothing, and how long one takes from publish to finish.

use std::time::{Duration, Instant};

use anyhow::Context as _;
use swath_backends::{
    ledger::{Event, Events},
    open::{Doors, open},
    queue::Lane,
};
use swath_coordinator::{
    plan,
    run::{self, LEASE, Me},
};
use swath_proto::{
    envelope,
    ids::Digest,
    item::{
        Architecture, Compression, DeviceName, EngineName, Mixing, ModelRef, Precision, Weights, WindowShape,
    },
    keys,
    run::{PredictPlan, RunRecord, ScalePlan},
    status::RunState,
};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::{
    args::{DoorArgs, Tuning},
    config,
    exit::Exit,
    measure::{own_usage, print},
    pool::Pool,
};

const SINGLES: u32 = 50;

pub(super) async fn run(
    items: u32,
    (workers, slots): (usize, usize),
    door_args: DoorArgs,
) -> anyhow::Result<Exit> {
    let doors = open(&config::urls(&door_args)).await?;
    for lane in Lane::ALL {
        doors.queue.purge(lane).await?;
    }
    let tuning = Tuning {
        slots,
        lease: 30.0,
        grace: 5.0,
        threads: 1,
        ranks: 1,
        allow_steps: false,
        item_limit: 900.0,
        metrics: None,
        gdal_cache: 16,
    };
    let logs = tempfile::tempdir()?;
    let pool = Pool::start(workers, false, &door_args, &tuning, logs.path())?;
    let backend = door_args.queue.split(':').next().unwrap_or("local").to_owned();
    let ends = async {
        warm_up(&doors).await?;
        throughput(&doors, items, &backend).await?;
        latency(&doors, &backend).await
    };
    let ended = ends.await;
    tokio::task::spawn_blocking(move || pool.stop()).await?;
    ended?;
    Ok(Exit::Done)
}

/// Workers take a second to start, which is not what is measured.
async fn warm_up(doors: &Doors) -> anyhow::Result<()> {
    let record = submit(doors, 100).await?;
    serve(doors, &record).await
}

async fn throughput(doors: &Doors, items: u32, backend: &str) -> anyhow::Result<()> {
    let record = submit(doors, items).await?;
    let (started, cpu) = (Instant::now(), own_usage().cpu_s);
    serve(doors, &record).await?;
    let (wall, cpu) = (started.elapsed().as_secs_f64(), own_usage().cpu_s - cpu);
    print(&format!("control/{backend}/throughput"), f64::from(items) / wall, "items/s", cpu, wall);
    print(&format!("control/{backend}/coordinator"), cpu / wall, "cores", cpu, wall);
    Ok(())
}

async fn serve(doors: &Doors, record: &RunRecord) -> anyhow::Result<()> {
    let (watch, _) = watch::channel(None);
    let me = Me { name: config::process_name("bench"), lease: LEASE, prices: None };
    let status = run::serve(&record.run, doors, &me, watch, CancellationToken::new()).await?;
    let status =
        status.context("nothing was measured: the run is not at its end, and nobody serves it here")?;
    if status.state != RunState::Done {
        return Err(super::unmeasured(&status));
    }
    Ok(())
}

/// One item at a time, from publish to the event of its end.
async fn latency(doors: &Doors, backend: &str) -> anyhow::Result<()> {
    let record = submit(doors, SINGLES).await?;
    doors.ledger.restore(&record.run, &[]).await?;
    let mut cursor = doors.ledger.snapshot(&record.run).await?.cursor;
    let (started, cpu) = (Instant::now(), own_usage().cpu_s);
    let mut times = Vec::new();
    for index in 0..SINGLES {
        let item = plan::noop(&record, index);
        let published = Instant::now();
        doors.queue.publish(Lane::Cpu, vec![envelope::encode(&item)?]).await?;
        loop {
            let events = doors.ledger.events(&record.run, &cursor).await?;
            let Events::Some { events, next } = events else { anyhow::bail!("the ledger lost its events") };
            cursor = next;
            if events
                .iter()
                .any(|event| matches!(event, Event::Finished { place, .. } if *place == item.place))
            {
                break;
            }
            anyhow::ensure!(published.elapsed() < Duration::from_secs(30), "an item did not finish in 30 s");
            tokio::time::sleep(Duration::from_micros(200)).await;
        }
        times.push(published.elapsed().as_secs_f64() * 1e3);
    }
    times.sort_by(f64::total_cmp);
    let median = times[times.len() / 2];
    let (wall, cpu) = (started.elapsed().as_secs_f64(), own_usage().cpu_s - cpu);
    print(&format!("control/{backend}/latency-median"), median, "ms", cpu, wall);
    doors.ledger.forget(&record.run).await?;
    Ok(())
}

async fn submit(doors: &Doors, noops: u32) -> anyhow::Result<RunRecord> {
    let model = ModelRef {
        architecture: Architecture::Tiny,
        weights: Weights::Seed(0),
        bands: 3,
        classes: 2,
        seen_px: None,
        engine: EngineName::Libtorch,
        precision: Precision::Fp32,
        device: DeviceName::Cpu,
        others: Vec::new(),
    };
    let record = RunRecord {
        scale: ScalePlan::Given,
        statistics: None,
        learn: None,
        vectors: None,
        steps: Vec::new(),
        run: format!("bench-{:016x}", rand::random::<u64>()).parse().context("naming the run")?,
        created: String::new(),
        program: env!("CARGO_PKG_VERSION").into(),
        pipeline: Digest::of(b""),
        stages: Vec::new(),
        scenes: Vec::new(),
        lot_scenes: 1,
        classes: Vec::new(),
        null_class: 0,
        predict: PredictPlan {
            model,
            window: WindowShape { core_px: 256, margin_px: 0 },
            batch: 1,
            block_px: 256,
            compression: Compression::default(),
            nodata: None,
            scores: false,
            confidence: false,
            mixing: Mixing::default(),
            item_px: None,
            shared_windows: None,
            class: None,
            wants_int8: false,
            int8: None,
        },
        access: Vec::new(),
        max_failures: 5,
        noops,
        shuffle: None,
    };
    doors.blobs.put(&keys::run_record(&record.run), record.to_json().into()).await?;
    Ok(record)
}
