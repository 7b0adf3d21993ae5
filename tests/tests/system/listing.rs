//! How long it takes to list what exists, as after a ledger was lost. Not tests but measurements: `make bench-listing`
//! runs them.

use std::{path::Path, time::Instant};

use futures::{StreamExt as _, TryStreamExt as _};
use swath_backends::{blobs::SharedBlobs, open::open_blobs};
use swath_coordinator::rebuild::Existing;
use swath_proto::{ids::ItemId, item::Stage, keys};

use crate::site::{Kind, Site};

fn key(number: u32) -> String {
    keys::output(Stage::Predict, &ItemId::of(&number.to_le_bytes()))
}

fn cpu_seconds() -> f64 {
    // SAFETY: a plain call that fills what it is given.
    let usage = unsafe {
        let mut usage = std::mem::zeroed::<libc::rusage>();
        libc::getrusage(libc::RUSAGE_SELF, &raw mut usage);
        usage
    };
    let seconds = |time: libc::timeval| time.tv_sec as f64 + time.tv_usec as f64 / 1e6;
    seconds(usage.ru_utime) + seconds(usage.ru_stime)
}

/// Of this process, in MiB.
fn memory(what: &str) -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(what)).unwrap_or_default();
    line.trim().trim_end_matches(" kB").parse().unwrap_or(f64::NAN) / 1024.0
}

async fn measure(name: &str, blobs: &SharedBlobs, n: u32) {
    let (started, cpu, before) = (Instant::now(), cpu_seconds(), memory("VmRSS:"));
    let existing = Existing::list(blobs).await.expect("listing");
    let (wall, cpu) = (started.elapsed().as_secs_f64(), cpu_seconds() - cpu);
    assert_eq!(existing.len(), n as usize);
    assert!(existing.has(Stage::Predict, ItemId::of(&(n - 1).to_le_bytes())));
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let line = serde_json::json!({
        "name": format!("listing/{name}"), "value": f64::from(n) / wall, "unit": "keys/s", "keys": n, "wall_s": wall,
        "cpu_s": cpu, "rss_mib": memory("VmRSS:"), "rss_before_mib": before, "rss_peak_mib": memory("VmHWM:"),
        "load": load.split(' ').next(),
    });
    println!("{line}");
}

/// Empty files: what they hold makes no difference to a listing.
fn fill(root: &Path, n: u32) {
    for number in 0..n {
        let path = root.join(key(number));
        if let Err(error) = std::fs::File::create(&path) {
            assert_eq!(error.kind(), std::io::ErrorKind::NotFound, "{error}");
            std::fs::create_dir_all(path.parent().expect("a folder")).expect("making a folder");
            std::fs::File::create(&path).expect("making a file");
        }
    }
}

fn keys_wanted(usual: u32) -> u32 {
    std::env::var("SWATH_KEYS").ok().and_then(|keys| keys.parse().ok()).unwrap_or(usual)
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "a measurement: make bench-listing"]
async fn listing_a_folder() {
    let (site, n) = (Site::new(Kind::Embedded), keys_wanted(1_000_000));
    let blobs = open_blobs(&site.root).await.expect("opening");
    fill(Path::new(&site.root), n);
    measure("folder", &blobs, n).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "a measurement: make bench-listing"]
async fn listing_a_bucket() {
    let (site, n) = (Site::new(Kind::Servers), keys_wanted(20_000));
    let blobs = open_blobs(&site.root).await.expect("opening");
    let puts = (0..n).map(|number| {
        let blobs = blobs.clone();
        async move { blobs.put(&key(number), "x".into()).await }
    });
    futures::stream::iter(puts).buffer_unordered(16).try_collect::<()>().await.expect("writing");
    measure("s3", &blobs, n).await;
}
