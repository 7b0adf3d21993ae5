//! What the engine has one of in a process: where memory comes from, threads, the generator.

use std::sync::{Mutex, Once, PoisonError};

use super::blocks::use_blocks;

/// Sets where memory comes from: the engine keeps what it has, all else gives back what is large. To be
/// called before there are other threads; calling it again changes nothing.
pub fn init_process() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        give_back();
        use_blocks();
        tch::set_num_interop_threads(1);
    });
}

/// Other models of this process may have set another number.
pub(crate) fn use_threads(threads: u32) {
    let threads = threads.max(1) as i32;
    if tch::get_num_threads() != threads {
        tch::set_num_threads(threads);
    }
}

/// What `pass` draws comes from `seed` alone: PyTorch draws from one generator for the whole process,
/// which another learner must not seed meanwhile.
pub(crate) fn drawing_from<T>(seed: u64, pass: impl FnOnce() -> T) -> T {
    static GENERATOR: Mutex<()> = Mutex::new(());
    // It holds nothing that a panic could have left half done.
    let _alone = GENERATOR.lock().unwrap_or_else(PoisonError::into_inner);
    tch::manual_seed(seed as i64);
    pass()
}

/// What items read and write comes and goes in large blocks, on many threads.
fn give_back() {
    // SAFETY: mallopt only sets the allocator's parameters.
    unsafe {
        // Set, it no longer grows with what is freed: a large block never leaves a hole.
        libc::mallopt(libc::M_MMAP_THRESHOLD, 1 << 20);
        libc::mallopt(libc::M_TRIM_THRESHOLD, 16 << 20);
        libc::mallopt(libc::M_TOP_PAD, 1 << 20);
        // A heap for each thread would have holes for each.
        libc::mallopt(libc::M_ARENA_MAX, 1);
    }
}

#[cfg(test)]
mod tests {
    use swath_proto::item::{Architecture, EngineName, WindowShape};

    use super::*;
    use crate::{Files, determinism::network, load};

    const CHILD: &str = "SWATH_PROCESS_CHILD";
    const FORWARDS: i64 = 10;

    /// What a thread beside the main one costs in a process that was or was not set up: page faults
    /// a forward pass, and kilobytes by which the process grew over all of them.
    #[derive(Debug)]
    struct Cost {
        faults: i64,
        grown_kb: i64,
    }

    fn measure() -> Cost {
        let work = || {
            let (model, file) = network((Architecture::Tiny, EngineName::Libtorch));
            // Its hidden layer is larger than any block that the C library keeps by itself.
            let shape = WindowShape { core_px: 512, margin_px: 0 };
            let mut predictor = load(&model, &[Files { weights: file, ranges: None }], shape, 8, 1).unwrap();
            let input = vec![0.5; 8 * 512 * 512 * 4];
            let mut forward = || predictor.forward(&input, 8).map(|_| ()).unwrap();
            (0..3).for_each(|_| forward());
            let (faults, resident) = (faults(), resident_kb());
            (0..FORWARDS).for_each(|_| forward());
            Cost { faults: (self::faults() - faults) / FORWARDS, grown_kb: resident_kb() - resident }
        };
        std::thread::spawn(work).join().unwrap()
    }

    /// Of this thread.
    fn faults() -> i64 {
        // SAFETY: zeroes are a valid rusage, and the call only writes into it.
        unsafe {
            let mut usage: libc::rusage = std::mem::zeroed();
            libc::getrusage(libc::RUSAGE_THREAD, &mut usage);
            usage.ru_minflt
        }
    }

    fn resident_kb() -> i64 {
        let status = std::fs::read_to_string("/proc/self/status").unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.trim().trim_end_matches(" kB").parse().unwrap()
    }

    fn child(setup: &str) -> Cost {
        let output = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "torch::process::tests::blocks_are_kept_by_other_threads_too", "--nocapture"])
            .env(CHILD, setup)
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stdout);
        let line =
            text.lines().find_map(|line| line.split_once("cost ")).unwrap_or_else(|| panic!("{text}")).1;
        let mut numbers = line.split(' ').map(|number| number.parse().unwrap());
        Cost { faults: numbers.next().unwrap(), grown_kb: numbers.next().unwrap() }
    }

    #[test]
    fn blocks_are_kept_by_other_threads_too() {
        if let Ok(setup) = std::env::var(CHILD) {
            if setup == "set up" {
                init_process();
                init_process();
            }
            let cost = measure();
            println!("\ncost {} {}", cost.faults, cost.grown_kb);
            return;
        }
        let (kept, given_back) = (child("set up"), child("as it comes"));
        println!("{kept:?} {given_back:?}");
        assert!(kept.faults < 10, "{kept:?}");
        assert!(kept.grown_kb < 4096, "{kept:?}");
        assert!(given_back.faults > 1000, "without the set-up there is nothing to see: {given_back:?}");
    }
}
