//! Processes that end with whoever has started them. They ask for it themselves: what runs between fork and exec may meet a
//! lock that a library held in another thread when the process was forked, and then hangs, and its starter with it.

use swath_proto::worker::ENDS_WITH;

/// Where the process that has started this one asks for it, `signal` comes when that one is gone: more exactly, the thread
/// of it that did.
pub fn end_with_starter(signal: libc::c_int) {
    let Some(starter) = std::env::var(ENDS_WITH).ok().and_then(|pid| pid.parse::<libc::pid_t>().ok()) else {
        return;
    };
    // SAFETY: plain calls.
    let is_parent = || unsafe { libc::getppid() } == starter;
    if is_parent() {
        // SAFETY: as above.
        unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, signal) };
    }
    // SAFETY: as above; no signal is sent, it is only asked whether that process is there. One that is there and no
    // parent was said to a parent of this process, and by it to all of its children.
    if !is_parent() && unsafe { libc::kill(starter, 0) } != 0 {
        std::process::exit(0); // it was gone before it could be watched
    }
}
