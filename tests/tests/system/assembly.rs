//! Assembling scores that are large: what it costs beside a plain copy of the same bytes, and how few of them pass
//! through the worker where a store can copy by itself. Packs are made up, of noise; the job is the worker's own.

use std::{
    path::Path,
    process::Command,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use swath_backends::{blobs::SharedBlobs, open::open_buckets, outside::Outside};
use swath_geo::{
    cog,
    grid::ItemGrid,
    morton::ZOrder,
    pack::{self, CLASSES, EncodedProduct, SCORES},
    pyramid::{item_levels, level_size},
    tally::Tally,
    tiles::{Coding, Predictor, Tiling},
};
use swath_proto::{
    access::Access,
    geometry::{RectPx, SizePx, WindowPx},
    ids::{Digest, ItemId},
    item::{Assemble, AssembleInputs, AssemblePart, ClassStyle, Compression, Item, Place, Stage, Work},
    keys,
    scene::{FileRef, SceneHeader},
    source::SourceSpec,
};
use swath_tests::{s3::BUCKET, s3_faults::Faults};
use swath_worker::{
    context::{Claimed, Context},
    device::Device,
    jobs::{self, TriedAgain},
    phases::Phases,
};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use crate::{
    shared_servers::shared,
    site::{Kind, Site},
};

const BLOCK_PX: u32 = 256;
const BANDS: u32 = 2;
const MIB: u64 = 1 << 20;

/// A few tiles of noise, compressed: they are as long as they were.
fn noise() -> Vec<Vec<u8>> {
    let tiling = Tiling { size: SizePx::new(BLOCK_PX, BLOCK_PX), block_px: BLOCK_PX, bands: BANDS };
    let coding = Coding::deflate(Predictor::Horizontal);
    let tile = |_| (0..tiling.tile_len()).map(|_| rand::random()).collect();
    (0..5).map(tile).map(|tile| tiling.encode(tile, coding).expect("encoding")).collect()
}

/// Which of them stands there.
fn which(level: u32, col: u32, row: u32) -> usize {
    ((level + 3 * col + 7 * row) % 5) as usize
}

/// What a predict item would have left.
fn pack_of(rect: RectPx, levels: u32, noise: &[Vec<u8>]) -> Vec<u8> {
    let tiling = Tiling { size: rect.size(), block_px: BLOCK_PX, bands: 1 };
    let plain = Coding::deflate(Predictor::None);
    let blank = tiling.encode(vec![0; tiling.tile_len()], plain).expect("encoding");
    let of = |name: &str, bands: u32, coding, stream: &dyn Fn(u32, u32, u32) -> Vec<u8>| EncodedProduct {
        name: name.to_owned(),
        bands,
        coding,
        tallies: vec![Tally { pixels: rect.pixels(), min: 0, max: 255, sum: 9, squares: 81 }; bands as usize],
        levels: (0..levels)
            .map(|level| {
                let size = level_size(rect.size(), level);
                let order = ZOrder::new(size.width.div_ceil(BLOCK_PX), size.height.div_ceil(BLOCK_PX));
                let (left, top) = ((rect.col / BLOCK_PX) >> level, (rect.row / BLOCK_PX) >> level);
                order.iter().map(|(col, row)| stream(level, left + col, top + row)).collect()
            })
            .collect(),
    };
    let classes = of(CLASSES, 1, plain, &|_, _, _| blank.clone());
    let scores = of(SCORES, BANDS, Coding::deflate(Predictor::Horizontal), &|level, col, row| {
        noise[which(level, col, row)].clone()
    });
    pack::build(rect, BLOCK_PX, false, &[classes, scores]).expect("a pack")
}

/// An assembly that is ready to be done.
struct Ready {
    item: Item,
    noise: Vec<Vec<u8>>,
    size: SizePx,
    map: String,
    scores: String,
}

/// Puts the packs under the root, and names what is to be made of them.
async fn ready(blobs: &SharedBlobs, size: SizePx, item_px: u32) -> Ready {
    let run = format!("assembly-{:08x}", rand::random::<u32>()).parse().expect("a run's name");
    let grid = ItemGrid::new(size, item_px).expect("a grid");
    let levels = item_levels(size, item_px, BLOCK_PX).expect("items of whole tiles");
    let noise = noise();
    let mut parts = Vec::new();
    for index in 0..grid.len() {
        let rect = grid.rect(index).expect("an item");
        let id = ItemId::of(&rand::random::<[u8; 16]>());
        let key = keys::output(Stage::Predict, &id);
        blobs.put(&key, pack_of(rect, levels, &noise).into()).await.expect("writing a pack");
        parts.push(AssemblePart { place: Place::new(Stage::Predict, 0, index), id, rect });
    }
    let class = |name: &str, rgb| ClassStyle { name: name.into(), rgb };
    let scene = SceneHeader {
        id: "noise".parse().expect("a scene's name"),
        source: SourceSpec::new(vec![FileRef { uri: "noise.tif".into(), tag: "1".into() }]),
        size,
        places: vec![WindowPx::new(0, 0, size.width, size.height)],
        bands: 3,
        data_type: "Byte".into(),
        block: SizePx::new(BLOCK_PX, BLOCK_PX),
        georeference: None,
        aoi: None,
    };
    let (map, scores) = (keys::prediction(&run, &scene.id), keys::scores(&run, &scene.id));
    let inputs = AssembleInputs {
        size,
        block_px: BLOCK_PX,
        compression: Compression::default(),
        item_px,
        classes: vec![class("background", [0; 3]), class("building", [255, 136, 0])],
        nodata: None,
        parts,
        scene: scene.clone(),
    };
    let inputs = serde_json::to_vec(&inputs).expect("inputs have only string keys");
    let digest = Digest::of(&inputs);
    blobs.put(&keys::inputs(&run, &digest), inputs.into()).await.expect("writing the inputs");
    let work = Work::Assemble(Assemble {
        scene: scene.id,
        inputs: digest,
        output: map.clone(),
        scores_output: Some(scores.clone()),
        confidence_output: None,
    });
    Ready { item: Item::new(run, Place::new(Stage::Assemble, 0, 0), 3, work), noise, size, map, scores }
}

/// A worker in this process, without its loop.
async fn worker(site: &Site, blobs: SharedBlobs) -> Context {
    let phases = Arc::new(Phases::default());
    Context {
        blobs,
        ledger: site.doors().await.ledger,
        outside: Outside::default(),
        me: "assembler".parse().expect("a worker's name"),
        device: Device::start(phases.clone()).expect("the device thread"),
        cache: site.path("models"),
        cached: Mutex::default(),
        lease: Duration::from_secs(60),
        threads: 1,
        ranks: None,
        allow_steps: false,
        stop: CancellationToken::new(),
        abort: CancellationToken::new(),
        crowd: Default::default(),
        item_limit: Duration::from_secs(900),
        streak: Mutex::default(),
        native: Semaphore::new(1),
        early: Semaphore::new(0),
        in_hand: Mutex::default(),
        holds: Default::default(),
        idle: Default::default(),
        presence: swath_worker::presence::Presence::default(),
        unfit: Mutex::default(),
        phases,
    }
}

async fn assemble(cx: &Context, ready: &Ready) {
    let claimed = Claimed { item: ready.item.clone(), attempt: 1, failures: 0, beside: false };
    let again = TriedAgain { transient: false, capacity: false };
    let done = jobs::run(cx, &claimed, again).await.map_err(anyhow::Error::from);
    done.unwrap_or_else(|error| panic!("{error:#}"));
}

/// Every tile of the scene stands where the file says, and is the one that belongs there.
async fn assert_whole(blobs: &SharedBlobs, ready: &Ready) -> u64 {
    let len = blobs.head(&ready.scores).await.expect("looking").expect("it is there").len;
    let header = blobs.get_range(&ready.scores, 0..len.min(4 * MIB)).await.expect("reading");
    let directories = cog::directories(&header).expect("a TIFF");
    let mut bytes = 0;
    for (level, directory) in directories.iter().enumerate() {
        let numbers = |code| directory.tag(code).and_then(cog::Tag::whole_numbers).expect("numbers");
        let (offsets, sizes) = (numbers(324), numbers(325));
        bytes += sizes.iter().sum::<u64>();
        // What the items have made: no level above is noise.
        if level > 3 {
            continue;
        }
        let cols = level_size(ready.size, level as u32).width.div_ceil(BLOCK_PX);
        for at in (0..offsets.len()).step_by(13) {
            let tile =
                blobs.get_range(&ready.scores, offsets[at]..offsets[at] + sizes[at]).await.expect("reading");
            let (col, row) = (at as u32 % cols, at as u32 / cols);
            assert!(tile == ready.noise[which(level as u32, col, row)], "level {level}, tile {col}, {row}");
        }
    }
    assert_eq!(len, bytes + header_len(&directories), "there are gaps");
    len
}

/// Where the first tile begins.
fn header_len(directories: &[cog::Directory]) -> u64 {
    let offsets = directories.iter().flat_map(|directory| directory.tag(324)?.whole_numbers());
    offsets.flatten().min().expect("a tile")
}

/// Items of a cell and more are copied as they are; at the edge they are too short, and go through the worker.
#[tokio::test(flavor = "multi_thread")]
async fn on_s3_few_bytes_of_large_scores_pass_through_the_assembler() {
    let site = Site::new(Kind::Embedded);
    let faults = Faults::before(shared().s3.port());
    let access = Access { prefix: "s3://b".into(), endpoint: Some(faults.url()), ..Access::default() };
    let behind = open_buckets(Some(&access)).await.expect("settling").bucket(BUCKET);
    for (size, item_px) in [(SizePx::new(8492, 8192), 2048), (SizePx::new(8192, 8192), 4096)] {
        let ready = ready(&behind, size, item_px).await;
        faults.begin_anew();
        assemble(&worker(&site, behind.clone()).await, &ready).await;
        let passed = faults.passed();
        let len = assert_whole(&behind, &ready).await;
        assert!(len > 160 * MIB, "{len} bytes are too few to show anything");
        assert!(passed < 64 * MIB, "{passed} of {len} bytes have passed through");
        assert!(passed < len / 4, "{passed} of {len} bytes have passed through");
    }
}

struct Cost {
    wall_s: f64,
    cpu_s: f64,
}

fn cpu_seconds(of: libc::c_int) -> f64 {
    // SAFETY: a plain call that fills what it is given.
    let usage = unsafe {
        let mut usage = std::mem::zeroed::<libc::rusage>();
        libc::getrusage(of, &raw mut usage);
        usage
    };
    let seconds = |time: libc::timeval| time.tv_sec as f64 + time.tv_usec as f64 / 1e6;
    seconds(usage.ru_utime) + seconds(usage.ru_stime)
}

fn by_command(program: &str, args: &[&str]) -> Cost {
    let (started, cpu) = (Instant::now(), cpu_seconds(libc::RUSAGE_CHILDREN));
    assert!(Command::new(program).args(args).status().expect(program).success(), "{program} {args:?}");
    Cost { wall_s: started.elapsed().as_secs_f64(), cpu_s: cpu_seconds(libc::RUSAGE_CHILDREN) - cpu }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    values[values.len() / 2]
}

/// Of this process, in MiB, at its highest.
fn peak_mib() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap_or_default();
    line.trim().trim_end_matches(" kB").parse().unwrap_or(f64::NAN) / 1024.0
}

fn commit() -> String {
    let said = Command::new("git").args(["describe", "--always", "--dirty"]).output();
    said.map(|said| String::from_utf8_lossy(&said.stdout).trim().to_owned()).unwrap_or_default()
}

/// The file is on the disk when an assembly ends, so that a power cut takes nothing of it; `cp` leaves it in memory. So both
/// are told: a copy as it is, and one that waits for the disk too.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "a measurement: make bench-assemble"]
async fn assembling_large_scores() {
    const PAIRS: usize = 5;
    let site = Site::new(Kind::Embedded);
    let blobs = site.doors().await.blobs;
    let ready = ready(&blobs, SizePx::new(28_672, 28_672), 4096).await;
    let cx = worker(&site, blobs.clone()).await;
    let scores = blobs.uri(&ready.scores);
    let copy = site.path("copy.tif").to_str().expect("UTF-8").to_owned();
    let (mut ours, mut plain, mut synced) = (Vec::new(), Vec::new(), Vec::new());
    let mut bytes = 0;
    for pair in 0..=PAIRS {
        for key in [&ready.map, &ready.scores] {
            blobs.delete(key).await.expect("deleting");
        }
        by_command("sync", &[]);
        let (started, cpu) = (Instant::now(), cpu_seconds(libc::RUSAGE_SELF));
        assemble(&cx, &ready).await;
        let cost =
            Cost { wall_s: started.elapsed().as_secs_f64(), cpu_s: cpu_seconds(libc::RUSAGE_SELF) - cpu };
        if pair == 0 {
            // Where all caches are warm, so that each pair finds what the others do.
            bytes = assert_whole(&blobs, &ready).await;
            assert!(bytes >= 2_000_000_000, "{bytes}");
            by_command("cp", &["--reflink=never", &scores, &copy]);
        }
        let copied = |waits: bool| {
            std::fs::remove_file(&copy).expect("deleting");
            by_command("sync", &[]);
            let cp = by_command("cp", &["--reflink=never", &scores, &copy]);
            let sync =
                if waits { by_command("sync", &["-d", &copy]) } else { Cost { wall_s: 0.0, cpu_s: 0.0 } };
            Cost { wall_s: cp.wall_s + sync.wall_s, cpu_s: cp.cpu_s + sync.cpu_s }
        };
        let (as_it_is, to_the_disk) = (copied(false), copied(true));
        if pair > 0 {
            ours.push(cost);
            plain.push(as_it_is);
            synced.push(to_the_disk);
        }
    }
    assert!(Path::new(&copy).exists());
    let of = |costs: &[Cost], value: fn(&Cost) -> f64| median(costs.iter().map(value).collect());
    let ratio = |others: &[Cost], value: fn(&Cost) -> f64| {
        median(ours.iter().zip(others).map(|(ours, other)| value(ours) / value(other)).collect())
    };
    let wall: fn(&Cost) -> f64 = |cost| cost.wall_s;
    let cpu: fn(&Cost) -> f64 = |cost| cost.cpu_s;
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let line = serde_json::json!({
        "name": "assemble/scores-against-cp", "value": ratio(&plain, wall), "unit": "x", "bytes": bytes, "pairs": PAIRS,
        "wall_s": of(&ours, wall), "cpu_s": of(&ours, cpu), "cp_wall_s": of(&plain, wall), "cp_cpu_s": of(&plain, cpu),
        "cp_and_sync_wall_s": of(&synced, wall), "against_cp_and_sync": ratio(&synced, wall),
        "against_cp_cpu": ratio(&plain, cpu), "rss_mib": peak_mib(),
        "load": load.split(' ').next().and_then(|load| load.parse::<f64>().ok()), "commit": commit(),
    });
    println!("{line}");
}
