//! How a fleet went, from what its coordinator has written down meanwhile: a picture of backlog and workers over time.

use std::{
    sync::{
        Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use swath_coordinator::fleet::picture::{Panel, Point, picture};

use super::{fleet, there};
use crate::site::Site;

const EVERY: Duration = Duration::from_millis(250);

/// Stops the one who looks, however it ends.
struct Stop<'a>(&'a AtomicBool);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Release);
    }
}

/// Draws `target/tmp/NAME.svg` of all that is done; it may mark what happens from outside.
pub fn drawn(site: &Site, name: &str, goes: impl FnOnce(&dyn Fn(String))) {
    let (began, over) = (Instant::now(), AtomicBool::new(false));
    let (points, marks) = (Mutex::new(Vec::new()), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !over.load(Ordering::Acquire) {
                points.lock().expect("no panic").extend(point(site, began));
                std::thread::sleep(EVERY);
            }
        });
        let _stop = Stop(&over);
        goes(&|words| marks.lock().expect("no panic").push((began.elapsed().as_secs_f64(), words)));
    });
    let (points, marks) = (points.into_inner().expect("no panic"), marks.into_inner().expect("no panic"));
    let most = points.iter().map(|point: &Point| point.working).max().unwrap_or_default();
    let title = format!("workers of one machine, 0 to {most} and back to 0");
    let file = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}.svg"));
    std::fs::write(&file, picture(&[Panel { title, points, marks }])).expect("writing the picture");
    eprintln!("drawn: {}", file.display());
}

fn point(site: &Site, began: Instant) -> Option<Point> {
    let crew = fleet(site)?.crews.cpu;
    Some(Point {
        at_s: began.elapsed().as_secs_f64(),
        backlog_s: crew.backlog_s,
        working: crew.working + crew.idle,
        there: there(&crew),
        target: crew.target,
    })
}
