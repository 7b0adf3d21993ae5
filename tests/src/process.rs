//! A server process that its test can kill and start again.

use std::{
    fs::File,
    net::TcpStream,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

/// Against waiting for ever; on a busy machine a broker takes more than a minute.
const READY_WITHIN: Duration = Duration::from_secs(240);

pub struct Server {
    make: Box<dyn Fn() -> Command + Send + Sync>,
    ready: Box<dyn Fn() -> bool + Send + Sync>,
    log: PathBuf,
    child: Option<Child>,
}

impl Server {
    pub(crate) fn start(
        log: &Path,
        make: impl Fn() -> Command + Send + Sync + 'static,
        ready: impl Fn() -> bool + Send + Sync + 'static,
    ) -> Self {
        let mut server = Self { make: Box::new(make), ready: Box::new(ready), log: log.into(), child: None };
        server.restart();
        server
    }

    pub fn id(&self) -> u32 {
        self.child.as_ref().expect("a running server").id()
    }

    /// As when the power goes.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// It is there, and says nothing any more; until [`Self::go_on`].
    pub fn freeze(&self) {
        self.signal(libc::SIGSTOP);
        // Threads that are at work go on for a moment.
        while !self.is_frozen() {
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    fn is_frozen(&self) -> bool {
        let child = self.child.as_ref().expect("a running server");
        let threads = std::fs::read_dir(format!("/proc/{}/task", child.id())).expect("a server's threads");
        let is_stopped = |stat: String| stat.rsplit(") ").next().is_some_and(|state| state.starts_with('T'));
        threads
            .flatten()
            .all(|thread| std::fs::read_to_string(thread.path().join("stat")).is_ok_and(is_stopped))
    }

    pub fn go_on(&self) {
        self.signal(libc::SIGCONT);
    }

    fn signal(&self, signal: libc::c_int) {
        let child = self.child.as_ref().expect("a running server");
        // SAFETY: our own child, not yet waited for.
        assert_eq!(unsafe { libc::kill(child.id() as libc::pid_t, signal) }, 0, "signalling a server");
    }

    /// Starts it where it was, and waits until it answers.
    pub fn restart(&mut self) {
        self.kill();
        let log = File::options().create(true).append(true).open(&self.log).expect("opening a server's log");
        let made = (self.make)();
        let program = made.get_program().to_string_lossy().into_owned();
        let mut command = ending_with_the_tests(&made);
        command.stdin(Stdio::null()).stdout(log.try_clone().expect("a second handle")).stderr(log);
        let child = spawn_from_lasting_thread(command);
        self.child = Some(
            child.unwrap_or_else(|error| panic!("{program} can't be started ({error}): run `make setup`")),
        );
        let started = Instant::now();
        while !(self.ready)() {
            let ended = self.child.as_mut().and_then(|child| child.try_wait().ok().flatten());
            let log = || std::fs::read_to_string(&self.log).unwrap_or_default();
            assert!(ended.is_none(), "{program} ended at once: {ended:?}\n{}", log());
            assert!(started.elapsed() < READY_WITHIN, "{program} is not ready\n{}", log());
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

/// The same command, by a program that asks for its end and then becomes it: in a process of so many libraries nothing is to
/// run between fork and exec, where locks of theirs may be held.
fn ending_with_the_tests(made: &Command) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL", "--"]).arg(made.get_program()).args(made.get_args());
    for (name, value) in made.get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    if let Some(folder) = made.get_current_dir() {
        command.current_dir(folder);
    }
    command
}

/// A child dies with the thread that made it, and the thread of a test may end before the tests do.
fn spawn_from_lasting_thread(mut command: Command) -> std::io::Result<Child> {
    let (send, receive) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let _ = send.send(command.spawn());
        loop {
            std::thread::park();
        }
    });
    receive.recv().map_err(std::io::Error::other)?
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Whether something listens.
pub(crate) fn listens(port: u16) -> bool {
    TcpStream::connect(("127.0.0.1", port)).is_ok()
}
