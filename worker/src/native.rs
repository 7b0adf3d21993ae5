//! Which items are inside native code just now, and since when. The marks lie in memory that outlives
//! the process that makes them, so that its supervisor can read who was in there when it crashed, and who
//! does not come out again.

use std::{
    cell::UnsafeCell,
    ptr,
    sync::atomic::{AtomicPtr, AtomicU32, AtomicU64, Ordering},
    time::Duration,
};

use serde::{Deserialize, Serialize};
use swath_proto::{
    geometry::RectPx,
    ids::{RunId, SceneId, WorkerId},
    item::Place,
};

/// More than any worker has threads in native code.
const MARKS: usize = 64;
/// More than the longest names take, and then some of the log.
const TEXT: usize = 4000;

/// One mark: a length (0 = free, `TAKEN` = being written), a text, and by when its item has to be out again.
#[repr(C)]
struct Mark {
    /// On [`uptime_ms`]'s clock; 0 = whenever it likes.
    out_by_ms: AtomicU64,
    len: AtomicU32,
    text: UnsafeCell<[u8; TEXT]>,
}

// SAFETY: `len` says who may touch the text: whoever has made it `TAKEN` writes, all others read what stands.
unsafe impl Sync for Mark {}

const TAKEN: u32 = u32::MAX;

#[repr(C)]
pub struct Page {
    /// Items that were seen through.
    finished: AtomicU64,
    marks: [Mark; MARKS],
}

static PAGE: AtomicPtr<Page> = AtomicPtr::new(ptr::null_mut());

/// An item that was inside native code when its worker ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Suspect {
    pub run: RunId,
    pub place: Place,
    pub worker: WorkerId,
    /// Number of the claim, which the ledger books blame by.
    pub attempt: u32,
    /// Failures after which it is buried.
    pub max_failures: u32,
    pub scene: Option<SceneId>,
    pub rect: Option<RectPx>,
    /// What its attempt has logged before it went inside, so far as there is room.
    pub log: Vec<String>,
    /// How long it may stay inside.
    #[serde(skip)]
    pub limit: Option<Duration>,
}

impl Suspect {
    fn to_text(&self) -> Vec<u8> {
        let mut fits = self.clone();
        loop {
            // Only strings and numbers: nothing here can fail.
            let text = serde_json::to_vec(&fits).unwrap_or_default();
            if text.len() <= TEXT || fits.log.is_empty() {
                return text;
            }
            fits.log.remove(0);
        }
    }
}

impl Mark {
    /// Nobody may be writing to it.
    fn suspect(&self, len: u32) -> Option<Suspect> {
        // SAFETY: see above; it lives in memory that is never unmapped.
        let text = unsafe { &*self.text.get() };
        serde_json::from_slice(text.get(..len as usize)?).ok()
    }
}

/// Milliseconds on a clock that parent and child share and nobody sets.
fn uptime_ms() -> u64 {
    let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: fills in the struct that it is given; this clock exists everywhere.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &raw mut now) };
    now.tv_sec as u64 * 1000 + now.tv_nsec as u64 / 1_000_000
}

impl Page {
    /// Makes the page that this process and its children share.
    pub fn share() -> std::io::Result<&'static Page> {
        // SAFETY: a fresh anonymous mapping of the right size; zeroes are a valid `Page`, and it is
        // never unmapped.
        let page = unsafe {
            libc::mmap(
                ptr::null_mut(),
                size_of::<Page>(),
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_SHARED | libc::MAP_ANONYMOUS,
                -1,
                0,
            )
        };
        if page == libc::MAP_FAILED {
            return Err(std::io::Error::last_os_error());
        }
        PAGE.store(page.cast(), Ordering::Release);
        // SAFETY: mapped above, aligned to a page, lives for ever.
        Ok(unsafe { &*page.cast() })
    }

    /// Reads and clears all marks: for the supervisor, when no child lives.
    pub fn take_suspects(&self) -> Vec<Suspect> {
        self.marks.iter().filter_map(|mark| mark.suspect(mark.len.swap(0, Ordering::AcqRel))).collect()
    }

    /// Whether an item has been inside for longer than it may.
    pub fn has_overdue(&self) -> bool {
        self.marks.iter().any(Mark::is_overdue)
    }

    /// Those that have been inside for longer than they may: for the supervisor, when the child is stopped.
    pub fn overdue(&self) -> Vec<Suspect> {
        let overdue = self.marks.iter().filter(|mark| mark.is_overdue());
        overdue.filter_map(|mark| mark.suspect(mark.len.load(Ordering::Acquire))).collect()
    }

    pub fn finished(&self) -> u64 {
        self.finished.load(Ordering::Relaxed)
    }
}

impl Mark {
    fn is_overdue(&self) -> bool {
        let is_inside = !matches!(self.len.load(Ordering::Acquire), 0 | TAKEN);
        let out_by_ms = self.out_by_ms.load(Ordering::Relaxed);
        is_inside && out_by_ms > 0 && uptime_ms() > out_by_ms
    }
}

/// An item was seen through to its end.
pub fn count_finished() {
    let page = PAGE.load(Ordering::Acquire);
    if !page.is_null() {
        // SAFETY: set once by `share` to a mapping that lives for ever.
        let finished = unsafe { &*ptr::addr_of!((*page).finished) };
        finished.fetch_add(1, Ordering::Relaxed);
    }
}

/// Marks an item as being inside native code for as long as it lives.
pub struct Inside(Option<&'static Mark>);

impl Inside {
    pub fn enter(suspect: &Suspect) -> Self {
        let page = PAGE.load(Ordering::Acquire);
        if page.is_null() {
            return Self(None); // not supervised: nobody would read it
        }
        let text = suspect.to_text();
        let out_by_ms = suspect.limit.map_or(0, |limit| uptime_ms() + limit.as_millis() as u64);
        // SAFETY: set once by `share` to a mapping that lives for ever.
        let marks = unsafe { &*ptr::addr_of!((*page).marks) };
        let free =
            |mark: &&Mark| mark.len.compare_exchange(0, TAKEN, Ordering::AcqRel, Ordering::Relaxed).is_ok();
        let Some(mark) = marks.iter().find(free) else { return Self(None) };
        let len = text.len().min(TEXT);
        mark.out_by_ms.store(out_by_ms, Ordering::Relaxed);
        // SAFETY: `TAKEN` makes the text ours alone until `len` is stored.
        unsafe { ptr::copy_nonoverlapping(text.as_ptr(), mark.text.get().cast(), len) };
        mark.len.store(len as u32, Ordering::Release);
        Self(Some(mark))
    }
}

impl Drop for Inside {
    fn drop(&mut self) {
        if let Some(mark) = self.0 {
            mark.len.store(0, Ordering::Release);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use swath_proto::item::Stage;

    /// The longest names that there are.
    fn suspect(index: u32, limit: Option<Duration>) -> Suspect {
        let name = "n".repeat(100);
        Suspect {
            run: name.parse().unwrap(),
            place: Place::new(Stage::Vectorize, u32::MAX, index),
            worker: name.parse().unwrap(),
            attempt: u32::MAX,
            max_failures: u32::MAX,
            scene: Some(name.parse().unwrap()),
            rect: Some(RectPx::new(u32::MAX, u32::MAX, u32::MAX, u32::MAX)),
            log: Vec::new(),
            limit,
        }
    }

    #[test]
    fn of_a_long_log_the_end_is_kept() {
        let line = |n: u32| format!("line {n} \"{}\"", "x".repeat(400));
        let long = Suspect { log: (0..50).map(line).collect(), ..suspect(1, None) };
        let read: Suspect = serde_json::from_slice(&long.to_text()).unwrap();
        assert!(long.to_text().len() <= TEXT && read.log.len() > 5);
        assert_eq!(read.log.last(), long.log.last());
        assert_eq!(Suspect { log: Vec::new(), ..read }, suspect(1, None));
    }

    // One test: all marks of a process lie on one page.
    #[test]
    fn who_is_inside_is_seen_and_who_has_left_is_not_and_who_stays_too_long_is_told_apart() {
        let page = Page::share().unwrap();
        let stays = Inside::enter(&suspect(1, None));
        drop(Inside::enter(&suspect(2, None)));
        assert_eq!(page.take_suspects(), [suspect(1, None)]);
        assert_eq!(page.take_suspects(), []);
        drop(stays);

        let _in_time = Inside::enter(&suspect(3, Some(Duration::from_secs(3600))));
        let _for_ever = Inside::enter(&suspect(4, None));
        assert!(!page.has_overdue());
        let _too_long = Inside::enter(&suspect(5, Some(Duration::ZERO)));
        while !page.has_overdue() {
            std::thread::sleep(Duration::from_millis(1));
        }
        assert_eq!(page.overdue(), [suspect(5, None)]);

        let before = page.finished();
        count_finished();
        assert_eq!(page.finished(), before + 1);
    }
}
