//! Samples with bytes changed, moved and cut off: whatever comes of it, no panic and no flood of memory.

#![expect(clippy::unwrap_used, reason = "helpers of tests may panic as tests may")]

use std::{
    alloc::{GlobalAlloc, Layout, System},
    sync::atomic::{AtomicUsize, Ordering::Relaxed},
};

use rand::{Rng as _, SeedableRng as _, rngs::StdRng};

const MUTATIONS: u64 = 5000;
/// Samples are of some kilobytes; a tail of a zip file and a few tables are all that may come on top.
const MAX_HELD: usize = 4 << 20;

/// Counts the bytes that are held, and the most that ever were.
struct Counting;

static HELD: AtomicUsize = AtomicUsize::new(0);
static MOST: AtomicUsize = AtomicUsize::new(0);

// SAFETY: every call is handed to the system's allocator as it is.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        MOST.fetch_max(HELD.fetch_add(layout.size(), Relaxed) + layout.size(), Relaxed);
        // SAFETY: the caller's promise is ours.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        HELD.fetch_sub(layout.size(), Relaxed);
        // SAFETY: the caller's promise is ours.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn samples() -> Vec<(String, Vec<u8>)> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/testdata");
    let mut samples: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap())
        .map(|entry| (entry.file_name().into_string().unwrap(), std::fs::read(entry.path()).unwrap()))
        .filter(|(name, _)| !name.ends_with(".json") && !name.ends_with(".py"))
        .collect();
    samples.sort();
    samples
}

const OPCODES: &[u8] = b"(.0aeubsthjqrcRQNKMJGXBC}])\x80\x81\x85\x88\x8a\x8c\x8d\x93\x94\x95";

fn mutate(bytes: &mut Vec<u8>, other: &[u8], rng: &mut StdRng) {
    let at = rng.random_range(0..bytes.len());
    let n = rng.random_range(1..=16.min(bytes.len() - at));
    match rng.random_range(0..16) {
        0..4 => bytes[at] ^= 1 << rng.random_range(0..8),
        4..6 => bytes[at] = rng.random(),
        6..8 => bytes[at..at + n].fill([0, 1, 0x7f, 0x80, 0xff][rng.random_range(0..5)]),
        // An instruction of a pickle for another.
        8..11 => bytes[at] = OPCODES[rng.random_range(0..OPCODES.len())],
        11..13 => {
            let from = rng.random_range(0..other.len());
            let piece = &other[from..other.len().min(from + n)];
            bytes[at..at + piece.len()].copy_from_slice(piece);
        }
        13 => bytes.truncate(at.max(1)),
        14 if bytes.len() > n => drop(bytes.drain(at..at + n)),
        _ => {
            let piece = bytes[at..at + n].to_vec();
            let to = rng.random_range(0..bytes.len());
            bytes.splice(to..to, piece);
        }
    }
}

#[test]
fn no_change_of_a_file_makes_its_reader_panic_or_take_much_memory() {
    let samples = samples();
    assert!(samples.len() > 30);
    let mut n_read = 0;
    for (number, (name, sample)) in samples.iter().enumerate() {
        for seed in 0..MUTATIONS {
            let mut rng = StdRng::seed_from_u64(seed << 8 | number as u64);
            let (_, other) = &samples[rng.random_range(0..samples.len())];
            let mut bytes = sample.clone();
            for _ in 0..rng.random_range(1..=3) {
                mutate(&mut bytes, other, &mut rng);
            }
            let before = HELD.load(Relaxed);
            MOST.store(before, Relaxed);
            let read = std::panic::catch_unwind(|| swath_weights::fuzz(&bytes));
            match read {
                Ok(read) => n_read += u64::from(read),
                Err(_) => panic!("seed {seed} of {name} panics"),
            }
            let most = MOST.load(Relaxed) - before;
            assert!(most < MAX_HELD, "seed {seed} of {name} takes {most} bytes");
        }
    }
    let n = MUTATIONS * samples.len() as u64;
    assert!(n_read > n / 8, "the changes are too rough to reach far: {n_read} of {n} files are still read");
}
