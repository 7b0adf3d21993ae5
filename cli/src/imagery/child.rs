//! The process that draws: it is asked on its standard input and answers on its standard output, until nobody is left who could
//! ask. It has little memory and leaves no core behind, in which there would be keys.

use std::{
    io::{self, Write as _},
    panic::{AssertUnwindSafe, catch_unwind},
    sync::mpsc::{SyncSender, sync_channel},
    thread,
};

use anyhow::Context as _;
use swath_coordinator::http::imagery::Undrawn;

use super::{layers::Easel, wire};
use crate::exit::Exit;

/// Of all that it has for itself; a picture takes some hundred MiB at most, and labels what their polygons take.
const MEMORY: u64 = 2 << 30;
/// What GDAL keeps of what was read, for all pictures.
const CACHE_MIB: usize = 32;

pub(crate) fn serve() -> anyhow::Result<Exit> {
    limit()?;
    swath_raster::configure(&swath_raster::Settings { cache_mib: CACHE_MIB });
    let (asked, pictures) = sync_channel(1);
    let listener = thread::Builder::new().name("asked".into());
    listener.spawn(move || listen(&asked)).context("starting a thread that listens")?;
    let mut easel = Easel::default();
    let mut out = io::stdout().lock();
    for json in pictures {
        let drawn = match wire::picture(&json) {
            Ok(picture) => catch_unwind(AssertUnwindSafe(|| easel.draw(picture))).unwrap_or_else(|_| {
                easel = Easel::default();
                Err(Undrawn::Failed("it panicked: see above".into()))
            }),
            Err(error) => Err(Undrawn::Failed(format!("what is asked can't be read: {error}"))),
        };
        out.write_all(&wire::answer(drawn))?;
        out.flush()?;
    }
    Ok(Exit::Done)
}

/// Hears at once when whoever asks is gone, in the middle of a picture too: an orderly exit would tear GDAL down under it.
fn listen(asked: &SyncSender<Vec<u8>>) {
    let mut input = io::stdin().lock();
    while let Ok(json) = wire::next(&mut input)
        && asked.send(json).is_ok()
    {}
    // SAFETY: ends the process; nobody is left who could read what is not written yet.
    unsafe { libc::_exit(Exit::Done as i32) }
}

fn limit() -> anyhow::Result<()> {
    for (resource, most) in [(libc::RLIMIT_DATA, MEMORY), (libc::RLIMIT_CORE, 0)] {
        let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
        // SAFETY: plain calls with a struct of ours.
        let is_set = unsafe {
            libc::getrlimit(resource, &raw mut limit) == 0 && {
                limit.rlim_cur = most.min(limit.rlim_max);
                libc::setrlimit(resource, &raw const limit) == 0
            }
        };
        if !is_set {
            return Err(io::Error::last_os_error()).context("limiting what may be used");
        }
    }
    Ok(())
}
