//! A process that a test has started, which may kill it.

use std::{
    process::{Child, Command, ExitStatus},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

/// Between two looks at a process that may have to be started again.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// What a process leaves with that no server lets in.
const UNREACHABLE: i32 = 4;

/// A process that does not outlive its test.
pub struct Process(Arc<Mutex<Running>>);

struct Running {
    command: Command,
    child: Child,
    /// Whether it is started again where it leaves because no server has let it in.
    again: bool,
}

impl Running {
    fn ended(&mut self) -> Option<ExitStatus> {
        let status = self.child.try_wait().expect("its state")?;
        if self.again && status.code() == Some(UNREACHABLE) {
            self.child = self.command.spawn().expect("starting swath");
            return None;
        }
        Some(status)
    }
}

fn lock(running: &Mutex<Running>) -> MutexGuard<'_, Running> {
    running.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Until it has ended, or is not to be started again.
fn look_after(running: &Mutex<Running>) {
    loop {
        let mut running = lock(running);
        if !running.again || running.ended().is_some() {
            return;
        }
        drop(running);
        std::thread::sleep(LOOK_EVERY);
    }
}

impl Process {
    /// `again`: whether it is started again where no server lets it in.
    pub fn start(mut command: Command, again: bool) -> Self {
        let child = command.spawn().expect("starting swath");
        let process = Process(Arc::new(Mutex::new(Running { command, child, again })));
        if again {
            let running = process.0.clone();
            std::thread::spawn(move || look_after(&running));
        }
        process
    }

    fn running(&self) -> MutexGuard<'_, Running> {
        lock(&self.0)
    }

    /// It works by now: should it leave, it has a reason that the test is to see.
    pub fn no_more_tries(&self) {
        self.running().again = false;
    }

    pub fn id(&self) -> u32 {
        self.running().child.id()
    }

    /// As when the power goes: no chance to say anything.
    pub fn kill(&mut self) {
        let mut running = self.running();
        running.again = false;
        let _ = running.child.kill();
        let _ = running.child.wait();
    }

    /// The process and all that it has started, at once.
    pub fn kill_group(&mut self) {
        self.signal_group(libc::SIGKILL);
        self.kill();
    }

    pub fn signal_group(&self, signal: libc::c_int) {
        // SAFETY: a group that was made for our own child, which is not yet waited for.
        unsafe { libc::kill(-(self.id() as libc::pid_t), signal) };
    }

    /// Gives the worker under its supervisor the signal that a bad pointer would give.
    pub fn crash_child(&self) {
        let pid = self.id();
        let children = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"));
        let child = children.ok().and_then(|children| children.split(' ').next()?.parse().ok());
        let Some(child) = child else { return };
        // Twice: the language's own handler takes the first, and expects a real fault to come again.
        for _ in 0..2 {
            // SAFETY: a child of our own child, which is not yet waited for.
            unsafe { libc::kill(child, libc::SIGSEGV) };
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// None while it runs, or is to run again.
    pub fn ended(&self) -> Option<ExitStatus> {
        self.running().ended()
    }

    pub fn has_ended(&self) -> bool {
        self.ended().is_some()
    }

    pub fn terminate(&mut self) -> Option<i32> {
        let mut running = self.running();
        running.again = false;
        if running.ended().is_none() {
            // SAFETY: our own child, not yet waited for.
            unsafe { libc::kill(running.child.id() as libc::pid_t, libc::SIGTERM) };
        }
        running.child.wait().ok().and_then(|status| status.code())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}
