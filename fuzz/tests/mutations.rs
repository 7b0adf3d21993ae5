//! A few thousand changes of the samples for each reader, the same ones every time. `make fuzz` looks further.
//! Weights, bundles, shards' indexes, fragments and pipelines have tests of this kind beside their readers, and
//! are only held to their seeds here.

use std::{
    alloc::{GlobalAlloc, Layout, System},
    sync::atomic::{AtomicUsize, Ordering::Relaxed},
};

use rand::{Rng as _, SeedableRng as _, rngs::StdRng};
use swath_fuzz::{TARGETS, Target};

/// By a debugging build in well under a second a target.
const MUTATIONS: u64 = 2000;
const ELSEWHERE: [&str; 5] = ["pipeline", "shard_index", "weights", "bundle", "fragment"];
/// Inputs are of some kilobytes; tables of fixed sizes may come on top.
const MAX_HELD: usize = 64 << 20;

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

fn read(target: &Target, bytes: &[u8], what: &dyn Fn() -> String) {
    let before = HELD.load(Relaxed);
    MOST.store(before, Relaxed);
    let ended = std::panic::catch_unwind(|| (target.run)(bytes));
    assert!(ended.is_ok(), "{} panics: {}", target.name, what());
    let most = MOST.load(Relaxed).saturating_sub(before);
    assert!(most < MAX_HELD, "{} takes {most} bytes: {}", target.name, what());
}

fn mutate(bytes: &mut Vec<u8>, other: &[u8], tokens: &[Vec<u8>], rng: &mut StdRng) {
    if bytes.is_empty() {
        bytes.push(b'0');
    }
    let at = rng.random_range(0..bytes.len());
    let end = (at + rng.random_range(1..=16)).min(bytes.len());
    match rng.random_range(0..16) {
        0..3 => bytes[at] ^= 1 << rng.random_range(0..8),
        3 => bytes[at] = rng.random(),
        4 => bytes[at..end].fill([0, 1, 0x7f, 0x80, 0xff][rng.random_range(0..5)]),
        // A digit for another, or many of them.
        5..8 => {
            let digits: Vec<usize> = (0..bytes.len()).filter(|&at| bytes[at].is_ascii_digit()).collect();
            if let Some(&digit) = digits.get(rng.random_range(0..digits.len().max(1))) {
                let n = if rng.random_bool(0.5) { 1 } else { rng.random_range(1..22) };
                bytes.splice(digit..=digit, (0..n).map(|_| rng.random_range(b'0'..=b'9')));
            }
        }
        8..11 if !tokens.is_empty() => {
            let token = tokens[rng.random_range(0..tokens.len())].clone();
            let end = if rng.random_bool(0.5) { at } else { (at + token.len()).min(bytes.len()) };
            bytes.splice(at..end, token);
        }
        11 if !other.is_empty() => {
            let from = rng.random_range(0..other.len());
            let to = (from + rng.random_range(1..=200)).min(other.len());
            bytes.splice(at..end, other[from..to].iter().copied());
        }
        12 => bytes.truncate(at),
        13 => drop(bytes.drain(at..end)),
        _ => {
            let piece = bytes[at..end].to_vec();
            let to = rng.random_range(0..bytes.len());
            bytes.splice(to..to, piece);
        }
    }
}

/// One test, since the count of bytes is one for the process.
#[test]
fn no_change_of_a_sample_makes_its_reader_panic_or_take_much_memory() {
    for target in TARGETS {
        let (seeds, tokens) = (target.seeds(), target.tokens());
        assert!(!seeds.is_empty(), "{} has no sample", target.name);
        for (number, seed) in seeds.iter().enumerate() {
            read(target, seed, &|| format!("seed {number}"));
        }
        let mutations = if ELSEWHERE.contains(&target.name) { 0 } else { MUTATIONS };
        for number in 0..mutations {
            let mut rng = StdRng::seed_from_u64(number);
            let mut bytes = seeds[number as usize % seeds.len()].clone();
            let other = &seeds[rng.random_range(0..seeds.len())];
            for _ in 0..rng.random_range(1..=3) {
                mutate(&mut bytes, other, &tokens, &mut rng);
            }
            read(target, &bytes, &|| {
                let path = std::env::temp_dir().join(format!("swath-{}-{number}", target.name));
                std::fs::write(&path, &bytes).unwrap();
                format!("mutation {number}, now in {}", path.display())
            });
        }
    }
}

#[test]
fn every_folder_of_regressions_is_a_targets() {
    for entry in std::fs::read_dir(swath_fuzz::regressions()).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        assert!(Target::named(&name).is_some(), "{name}");
    }
}
