//! Where the engine's large blocks lie: in a stretch of addresses of their own, which stays in the process from
//! one forward pass to the next. The C library would give every large block back to the kernel after each
//! layer and fetch it again, page by page, which can take a third of the time of a forward pass. Told to keep
//! them, it would keep all that a worker reads and writes as well, and lay it between the engine's
//! blocks: its heap would grow with the number of items.

use std::{
    collections::{BTreeMap, HashMap},
    ffi::c_void,
    io, ptr,
    sync::{Mutex, OnceLock, PoisonError},
};

/// Addresses cost nothing until they are used: more than any machine has memory.
const ADDRESSES: usize = 1 << 40;
const PAGE: usize = 4096;
/// Addresses become memory in steps of this.
const STEP: usize = 2 << 20;
/// More than this is not kept at the end of the stretch, but while [`Keep`] says so.
const KEEP: usize = 1 << 30;

static BLOCKS: OnceLock<Mutex<Blocks>> = OnceLock::new();

unsafe extern "C" {
    fn swath_engine_use_blocks(
        take: extern "C" fn(usize) -> *mut c_void,
        give: extern "C" fn(*mut c_void) -> bool,
    );
}

/// Makes the engine take its large blocks from here. To be called before it has any.
pub(crate) fn use_blocks() {
    // Where addresses are limited (`ulimit -v`), the engine goes on as it comes.
    let Ok(blocks) = Blocks::new() else { return };
    if BLOCKS.set(Mutex::new(blocks)).is_ok() {
        // SAFETY: both functions are what the other side takes them for: `take` gives memory that is
        // nobody else's, or null, until `give` gets it back.
        unsafe { swath_engine_use_blocks(take, give) };
    }
}

/// As long as it lives, all is kept. A step of training lets go of all that it took, gigabytes, and the next one takes
/// it again.
pub(crate) struct Keep {
    counts: bool,
}

impl Keep {
    pub(crate) fn all() -> Self {
        Self { counts: with_blocks(|blocks| blocks.keepers += 1).is_some() }
    }
}

impl Drop for Keep {
    fn drop(&mut self) {
        if self.counts {
            with_blocks(|blocks| {
                blocks.keepers -= 1;
                blocks.give_back();
            });
        }
    }
}

/// `None` where the engine's memory is not from here.
fn with_blocks<T>(what: impl FnOnce(&mut Blocks) -> T) -> Option<T> {
    BLOCKS.get().map(|blocks| what(&mut blocks.lock().unwrap_or_else(PoisonError::into_inner)))
}

extern "C" fn take(bytes: usize) -> *mut c_void {
    with_blocks(|blocks| blocks.take(bytes)).flatten().unwrap_or(ptr::null_mut())
}

/// False of a block that is from elsewhere.
extern "C" fn give(block: *mut c_void) -> bool {
    with_blocks(|blocks| blocks.give(block)).unwrap_or(false)
}

struct Blocks {
    first: usize,
    places: Places,
    /// From the first address on, what is memory.
    usable: usize,
    keepers: usize,
}

impl Blocks {
    fn new() -> io::Result<Self> {
        let first = reserve(ptr::null_mut(), ADDRESSES, 0)?;
        Ok(Self { first: first as usize, places: Places::default(), usable: 0, keepers: 0 })
    }

    /// `None` where there is no memory left.
    fn take(&mut self, bytes: usize) -> Option<*mut c_void> {
        let at = self.places.take(bytes.max(1).checked_next_multiple_of(PAGE)?);
        if self.places.end > self.usable && !self.grow() {
            self.places.give(at);
            return None;
        }
        Some((self.first + at) as *mut c_void)
    }

    fn grow(&mut self) -> bool {
        let usable = self.places.end.next_multiple_of(STEP);
        // SAFETY: the addresses are ours, and nothing lies there yet.
        let made = usable <= ADDRESSES
            && unsafe {
                let from = (self.first + self.usable) as *mut c_void;
                libc::mprotect(from, usable - self.usable, libc::PROT_READ | libc::PROT_WRITE) == 0
            };
        if made {
            self.usable = usable;
        }
        made
    }

    fn give(&mut self, block: *mut c_void) -> bool {
        let Some(at) = (block as usize).checked_sub(self.first).filter(|at| *at < ADDRESSES) else {
            return false;
        };
        self.places.give(at);
        self.give_back();
        true
    }

    fn give_back(&mut self) {
        let end = self.places.end.next_multiple_of(STEP);
        if self.keepers == 0 && self.usable - end > KEEP {
            let from = (self.first + end) as *mut c_void;
            // Where that fails it stays memory.
            if reserve(from, self.usable - end, libc::MAP_FIXED).is_ok() {
                self.usable = end;
            }
        }
    }
}

/// Takes addresses without memory.
fn reserve(from: *mut c_void, bytes: usize, flags: libc::c_int) -> io::Result<*mut c_void> {
    let flags = flags | libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
    // SAFETY: without MAP_FIXED the kernel looks for addresses that are free; with it, whoever calls says that
    // what lies there is used no more.
    let found = unsafe { libc::mmap(from, bytes, libc::PROT_NONE, flags, -1, 0) };
    if found == libc::MAP_FAILED { Err(io::Error::last_os_error()) } else { Ok(found) }
}

/// What is free of a stretch that has no end. A block lies at the lowest place that has room, so that the same
/// passes over a network find the same places.
#[derive(Debug, Default, PartialEq)]
struct Places {
    /// Behind the last block.
    end: usize,
    /// Lengths by place; none touches another or the end.
    free: BTreeMap<usize, usize>,
    taken: HashMap<usize, usize>,
}

impl Places {
    fn take(&mut self, length: usize) -> usize {
        let found = self.free.iter().find(|(_, room)| **room >= length).map(|(at, room)| (*at, *room));
        let at = match found {
            Some((at, room)) => {
                self.free.remove(&at);
                if room > length {
                    self.free.insert(at + length, room - length);
                }
                at
            }
            None => {
                self.end += length;
                self.end - length
            }
        };
        self.taken.insert(at, length);
        at
    }

    fn give(&mut self, at: usize) {
        let Some(mut length) = self.taken.remove(&at) else { return };
        let mut from = at;
        if let Some((&before, &room)) = self.free.range(..at).next_back()
            && before + room == at
        {
            self.free.remove(&before);
            (from, length) = (before, length + room);
        }
        if let Some(room) = self.free.remove(&(from + length)) {
            length += room;
        }
        if from + length == self.end {
            self.end = from;
        } else {
            self.free.insert(from, length);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_lie_at_the_lowest_place_and_none_over_another() {
        let mut places = Places::default();
        let blocks: Vec<usize> = (1..=4).map(|pages| places.take(pages * PAGE)).collect();
        assert_eq!(blocks, [0, PAGE, 3 * PAGE, 6 * PAGE]);
        places.give(blocks[1]);
        places.give(blocks[2]);
        assert_eq!(places.free, BTreeMap::from([(PAGE, 5 * PAGE)]), "neighbours are one");
        assert_eq!(places.take(6 * PAGE), 10 * PAGE, "too large for what is free");
        assert_eq!(places.take(4 * PAGE), PAGE);
        assert_eq!(places.take(PAGE), 5 * PAGE);
        assert!(places.free.is_empty());
        let all: Vec<usize> = places.taken.keys().copied().collect();
        all.into_iter().for_each(|at| places.give(at));
        assert_eq!(places, Places::default(), "nothing is left of them");
    }

    #[test]
    fn memory_is_kept_and_beyond_a_limit_given_back() {
        let mut blocks = Blocks::new().unwrap();
        let small = blocks.take(3 * STEP).unwrap();
        // SAFETY: both blocks are memory of that many bytes.
        unsafe { ptr::write_bytes(small.cast::<u8>(), 7, 3 * STEP) };
        assert!(blocks.give(small));
        assert_eq!(blocks.usable, 3 * STEP);
        let large = blocks.take(KEEP + STEP).unwrap();
        // SAFETY: as above.
        assert_eq!(unsafe { large.cast::<u8>().read() }, 7, "it was kept");
        blocks.keepers = 1;
        assert!(blocks.give(large));
        assert_eq!(blocks.usable, KEEP + STEP, "it is all kept");
        blocks.keepers = 0;
        blocks.give_back();
        assert_eq!(blocks.usable, 0);
        let again = blocks.take(PAGE).unwrap();
        // SAFETY: as above.
        assert_eq!(unsafe { again.cast::<u8>().read() }, 0, "it was given back");
        assert!(blocks.give(again));
        let mut elsewhere = 0_u8;
        assert!(!blocks.give(ptr::from_mut(&mut elsewhere).cast()));
    }
}
