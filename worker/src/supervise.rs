//! A small parent for the worker. When native code crashes the worker, the parent sees which signal
//! it was and which items were inside, starts a new worker, and lets that one report the blame. An item
//! that does not come out of native code in time is ended with its worker, and blamed alone. A worker
//! that ran out of memory is told from one that was killed from outside, which is not to blame.
//!
//! The parent forks before any thread is started and never does anything but wait.

use std::{
    collections::HashSet,
    fmt,
    io::Write as _,
    sync::atomic::{AtomicBool, AtomicI32, Ordering},
    time::{Duration, Instant},
};

use crate::{
    native::{Page, Suspect},
    oom::OomKills,
};

/// What a new worker has to report of the one before it.
#[derive(Clone, Debug, Default)]
pub struct Inheritance {
    pub crash: Option<Crash>,
}

#[derive(Clone, Debug)]
pub struct Crash {
    pub cause: Cause,
    pub suspects: Vec<Suspect>,
}

/// What has ended a worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// Native code, by this signal.
    Signal(&'static str),
    /// An item that was inside native code for longer than it may be.
    Hung,
    /// The system, since there was no memory left.
    OutOfMemory,
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Cause::Signal(name) => f.write_str(name),
            Cause::Hung => f.write_str("its supervisor, since an item did not come out of native code"),
            Cause::OutOfMemory => f.write_str("the system, since there was no memory left"),
        }
    }
}

/// Crashes without any suspect in a row after which the parent gives up: the fault is not an item's.
const HOPELESS: u32 = 3;

/// Different items that have crashed their worker, and not one was finished in between: the fault is the
/// machine's.
const DIFFERENT: usize = 10;

/// How often it is seen whether an item is inside for too long.
const LOOK_EVERY_S: libc::time_t = 1;

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
    swath_train::end_with_starter(libc::SIGTERM);
    let page = Page::share()?;
    let mut inheritance = Inheritance::default();
    let mut hopeless = 0;
    let (mut crashed, mut finished) = (HashSet::new(), 0);
    let oom_kills = OomKills::here();
    let parent = std::process::id();
    loop {
        let (started, killed_before) = (Instant::now(), oom_kills.count());
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
                    for signal in [libc::SIGTERM, libc::SIGINT, libc::SIGALRM] {
                        libc::signal(signal, libc::SIG_DFL);
                    }
                }
                die_with_parent(parent);
                return Ok(inheritance);
            }
            child => CHILD.store(child, Ordering::Release),
        }
        if STOPPING.load(Ordering::Acquire) {
            pass_on(libc::SIGTERM); // it came between the fork and the line above
        }
        let (status, hung) = wait(CHILD.load(Ordering::Acquire), page);
        CHILD.store(0, Ordering::Release);
        let overdue = page.overdue();
        let inside = page.take_suspects();
        if libc::WIFEXITED(status) {
            leave(libc::WEXITSTATUS(status));
        }
        let signal = libc::WTERMSIG(status);
        if STOPPING.load(Ordering::Acquire) {
            leave(128 + signal);
        }
        let crash = match crash_name(signal) {
            Some(name) => Some(Crash { cause: Cause::Signal(name), suspects: inside }),
            None if hung => Some(Crash { cause: Cause::Hung, suspects: overdue }),
            None if signal == libc::SIGKILL && oom_kills.count() > killed_before => {
                Some(Crash { cause: Cause::OutOfMemory, suspects: inside })
            }
            None => None,
        };
        let blameless = crash.as_ref().is_none_or(|crash| crash.suspects.is_empty());
        hopeless = if blameless && started.elapsed() < Duration::from_secs(10) { hopeless + 1 } else { 0 };
        let name = crash.as_ref().map_or_else(|| format!("signal {signal}"), |crash| crash.cause.to_string());
        say(format_args!("ended by {name}; starting it again"));
        if page.finished() > finished {
            crashed.clear();
            finished = page.finished();
        }
        crashed.extend(
            crash.iter().flat_map(|crash| &crash.suspects).map(|item| (item.run.clone(), item.place)),
        );
        if crashed.len() >= DIFFERENT {
            say(format_args!(
                "{} different items have crashed it, and none was finished in between; giving up: the fault is this \
                 machine's or this program's",
                crashed.len()
            ));
            leave(128 + signal);
        }
        if hopeless >= HOPELESS {
            say(format_args!("ended {HOPELESS} times without having touched an item; giving up"));
            leave(128 + signal);
        }
        inheritance = Inheritance { crash };
    }
}

/// To the log, or to nobody where its disk is full: a parent that panics takes the worker along.
fn say(words: fmt::Arguments<'_>) {
    let _ = writeln!(std::io::stderr(), "swath worker: {words}");
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

/// Waits for the child's end, and brings it about when an item is inside native code for too long. Returns
/// whether it did.
fn wait(child: libc::pid_t, page: &Page) -> (i32, bool) {
    look_up_every(LOOK_EVERY_S);
    let (mut status, mut hung) = (0, false);
    loop {
        // Whichever ends: a container's first process inherits those whose parents are gone, and buries them.
        let mut ended = 0;
        // SAFETY: waits for children of this process, which has no other thread that might.
        let who = unsafe { libc::waitpid(-1, &mut ended, 0) };
        if who == child {
            status = ended;
            break;
        }
        if who != -1 {
            continue;
        }
        if std::io::Error::last_os_error().kind() != std::io::ErrorKind::Interrupted {
            break;
        }
        if !hung && page.has_overdue() {
            hung = true;
            // SAFETY: our own child, not yet waited for.
            unsafe { libc::kill(child, libc::SIGKILL) };
        }
    }
    look_up_every(0);
    (status, hung)
}

/// Interrupts waits again and again; 0 ends it.
fn look_up_every(seconds: libc::time_t) {
    extern "C" fn look_up(_: libc::c_int) {}
    let every = libc::timeval { tv_sec: seconds, tv_usec: 0 };
    let timer = libc::itimerval { it_interval: every, it_value: every };
    // SAFETY: plain calls with a valid handler. Without SA_RESTART the signal ends a wait; children do not
    // inherit the timer.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = look_up as *const () as libc::sighandler_t;
        libc::sigaction(libc::SIGALRM, &raw const action, std::ptr::null_mut());
        libc::setitimer(libc::ITIMER_REAL, &raw const timer, std::ptr::null_mut());
    }
}

/// Ends the worker, or its parent, at once. Native threads may still compute what nobody waits for any more; an orderly
/// exit would tear the C++ libraries down under them; in a parent, which has no threads, it would do so for nothing, and
/// libtorch alone takes a tenth of a second.
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
        leave(0); // the parent died before it could be watched
    }
}
