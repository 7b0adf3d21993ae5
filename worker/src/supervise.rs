//! A small parent for the worker. When native code crashes the worker, the parent sees which signal
//! it was and which items were inside, starts a new worker, and lets that one report the blame.
//! A worker that is killed from outside, and so is not to blame, is seen too.
//!
//! The parent forks before any thread is started and never does anything but wait.

use std::{
    sync::atomic::{AtomicBool, AtomicI32, Ordering},
    time::{Duration, Instant},
};

use crate::native::{Page, Suspect};

/// What a new worker has to report of the one before it.
#[derive(Clone, Debug, Default)]
pub struct Inheritance {
    pub crash: Option<Crash>,
}

#[derive(Clone, Debug)]
pub struct Crash {
    pub signal: &'static str,
    pub suspects: Vec<Suspect>,
}

/// Crashes without any suspect in a row after which the parent gives up: the fault is not an item's.
const HOPELESS: u32 = 3;

static CHILD: AtomicI32 = AtomicI32::new(0);
/// Somebody has asked for the end: no child is started any more.
static STOPPING: AtomicBool = AtomicBool::new(false);

extern "C" fn pass_on(signal: libc::c_int) {
    STOPPING.store(true, Ordering::Release);
    let child = CHILD.load(Ordering::Acquire);
    if child > 0 {
        // SAFETY: kill is async-signal-safe; the pid is our own child, not yet waited for.
        unsafe { libc::kill(child, signal) };
    }
}

/// Returns in the child, once for each that is started. The parent stays in here until a child
/// ends for good, and leaves with its exit code. Call it before any thread exists.
pub fn supervise() -> std::io::Result<Inheritance> {
    let page = Page::share()?;
    let mut inheritance = Inheritance::default();
    let mut hopeless = 0;
    let parent = std::process::id();
    loop {
        let started = Instant::now();
        // Before there is a child: what comes early is not lost. The terminal sends Ctrl-C to parent and
        // child alike; that the child then hears it twice does no harm.
        // SAFETY: plain calls with a valid handler.
        unsafe {
            libc::signal(libc::SIGTERM, pass_on as *const () as libc::sighandler_t);
            libc::signal(libc::SIGINT, pass_on as *const () as libc::sighandler_t);
        }
        // SAFETY: no other thread exists yet, so the child may go on as a full process.
        match unsafe { libc::fork() } {
            -1 => return Err(std::io::Error::last_os_error()),
            0 => {
                // SAFETY: plain calls; the child sets its own handlers.
                unsafe {
                    libc::signal(libc::SIGTERM, libc::SIG_DFL);
                    libc::signal(libc::SIGINT, libc::SIG_DFL);
                }
                die_with_parent(parent);
                return Ok(inheritance);
            }
            child => CHILD.store(child, Ordering::Release),
        }
        if STOPPING.load(Ordering::Acquire) {
            pass_on(libc::SIGTERM); // it came between the fork and the line above
        }
        let status = wait(CHILD.load(Ordering::Acquire));
        CHILD.store(0, Ordering::Release);
        let suspects = page.take_suspects();
        if libc::WIFEXITED(status) {
            std::process::exit(libc::WEXITSTATUS(status));
        }
        let signal = libc::WTERMSIG(status);
        if STOPPING.load(Ordering::Acquire) {
            std::process::exit(128 + signal);
        }
        let crash = crash_name(signal).map(|signal| Crash { signal, suspects });
        let blameless = crash.as_ref().is_none_or(|crash| crash.suspects.is_empty());
        hopeless = if blameless && started.elapsed() < Duration::from_secs(10) { hopeless + 1 } else { 0 };
        let name = crash.as_ref().map_or_else(|| format!("signal {signal}"), |crash| crash.signal.to_owned());
        eprintln!("swath worker: ended by {name}; starting it again");
        if hopeless >= HOPELESS {
            eprintln!("swath worker: ended {HOPELESS} times without having touched an item; giving up");
            std::process::exit(128 + signal);
        }
        inheritance = Inheritance { crash };
    }
}

/// Signals by which native code ends its own process.
fn crash_name(signal: i32) -> Option<&'static str> {
    match signal {
        libc::SIGSEGV => Some("SIGSEGV"),
        libc::SIGBUS => Some("SIGBUS"),
        libc::SIGILL => Some("SIGILL"),
        libc::SIGFPE => Some("SIGFPE"),
        libc::SIGABRT => Some("SIGABRT"),
        libc::SIGSYS => Some("SIGSYS"),
        _ => None,
    }
}

fn wait(child: libc::pid_t) -> i32 {
    let mut status = 0;
    // SAFETY: waits for our own child; interrupted waits are repeated.
    while unsafe { libc::waitpid(child, &mut status, 0) } == -1
        && std::io::Error::last_os_error().kind() == std::io::ErrorKind::Interrupted
    {}
    status
}

/// Ends the worker at once. Native threads may still compute what nobody waits for any more; an orderly
/// exit would tear the C++ libraries down under them.
pub fn leave(code: i32) -> ! {
    // SAFETY: ends the process; logs are written unbuffered, and all else is made for sudden ends.
    unsafe { libc::_exit(code) }
}

/// A worker without its parent would work on unseen.
fn die_with_parent(parent: u32) {
    // SAFETY: plain calls.
    let orphaned = unsafe {
        libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
        libc::getppid() as u32 != parent
    };
    if orphaned {
        std::process::exit(0); // the parent died before it could be watched
    }
}
