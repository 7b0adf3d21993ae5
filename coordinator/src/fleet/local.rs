//! Workers as processes of this machine. They end with the process that has started them.

pub mod logs;

use std::{
    collections::BTreeMap,
    os::unix::process::ExitStatusExt as _,
    path::{Path, PathBuf},
    process::{Child, ExitStatus},
    sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc},
    thread::JoinHandle,
    time::{Duration, Instant},
};

use anyhow::anyhow;
use async_trait::async_trait;
use jiff::Timestamp;
use swath_proto::fleet::{Market, WorkerKind};
use tokio::sync::oneshot;

use self::logs::Tidier;
use super::provider::{Ending, ErrorKind, Job, JobId, JobState, Order, Provider, ProviderError};

/// How often it is seen who has ended.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// So long those are listed that have ended.
const LISTED_S: f64 = 600.0;

/// Starts one worker, which names this job on its card.
pub type Launch = Box<dyn Fn(WorkerKind, &JobId) -> anyhow::Result<Launched> + Send>;

pub struct Launched {
    pub child: Child,
    /// What it says.
    pub log: PathBuf,
}

/// Handle to the processes; the last one that is dropped tells them to stop.
pub struct Local {
    requests: mpsc::Sender<Request>,
    jobs: Jobs,
    thread: Option<JoinHandle<()>>,
}

type Jobs = Arc<Mutex<BTreeMap<JobId, Job>>>;
type Answer<T> = oneshot::Sender<Result<T, ProviderError>>;

enum Request {
    Start(Order, Answer<Vec<JobId>>),
    Cancel(JobId, Answer<()>),
    Stop,
}

impl Local {
    /// All children are of one thread: a worker dies with the thread that made it, and those of the runtime come
    /// and go.
    pub fn new(launch: Launch) -> std::io::Result<Self> {
        let (requests, asked) = mpsc::channel();
        let jobs = Jobs::default();
        let mut keeper =
            Keeper { launch, jobs: jobs.clone(), children: BTreeMap::new(), stops: false, logs: None };
        let thread = std::thread::Builder::new().name("workers".into()).spawn(move || keeper.run(&asked))?;
        Ok(Self { requests, jobs, thread: Some(thread) })
    }

    /// Tells the workers to stop and waits for them.
    pub fn stop(mut self) {
        self.end();
    }

    fn end(&mut self) {
        // It listens until then.
        let _ = self.requests.send(Request::Stop);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }

    async fn ask<T>(
        &self,
        doing: &str,
        request: impl FnOnce(Answer<T>) -> Request,
    ) -> Result<T, ProviderError> {
        let (answer, answered) = oneshot::channel();
        let gone = || {
            let why = anyhow!("the thread that looks after them is gone");
            ProviderError::new(ErrorKind::Config, doing, "start the coordinator again", why)
        };
        self.requests.send(request(answer)).map_err(|_| gone())?;
        answered.await.map_err(|_| gone())?
    }
}

impl Drop for Local {
    fn drop(&mut self) {
        self.end();
    }
}

#[async_trait]
impl Provider for Local {
    async fn start(&self, order: &Order) -> Result<Vec<JobId>, ProviderError> {
        self.ask("starting workers", |answer| Request::Start(order.clone(), answer)).await
    }

    async fn jobs(&self) -> Result<Vec<Job>, ProviderError> {
        Ok(lock(&self.jobs).values().cloned().collect())
    }

    async fn cancel(&self, job: &JobId, _why: &str) -> Result<(), ProviderError> {
        self.ask("ending a worker", |answer| Request::Cancel(job.clone(), answer)).await
    }
}

/// Owned by the thread.
struct Keeper {
    launch: Launch,
    jobs: Jobs,
    children: BTreeMap<JobId, Running>,
    stops: bool,
    /// None: nobody has said anything yet.
    logs: Option<Tidier>,
}

struct Running {
    launched: Launched,
    is_cancelled: bool,
}

impl Keeper {
    fn run(&mut self, asked: &mpsc::Receiver<Request>) {
        while !(self.stops && self.children.is_empty()) {
            match asked.recv_timeout(LOOK_EVERY) {
                Ok(Request::Start(order, answer)) => drop(answer.send(self.start(&order))),
                Ok(Request::Cancel(job, answer)) => {
                    self.cancel(&job);
                    let _ = answer.send(Ok(()));
                }
                Ok(Request::Stop) | Err(mpsc::RecvTimeoutError::Disconnected) => {
                    if !std::mem::replace(&mut self.stops, true) {
                        self.children.values_mut().for_each(terminate);
                    }
                    // Nothing more may be asked, and nobody waits for an answer.
                    std::thread::sleep(LOOK_EVERY);
                }
                Err(mpsc::RecvTimeoutError::Timeout) => {}
            }
            self.reap();
            if let Some(logs) = &mut self.logs {
                let children = self.children.values();
                logs.look(Instant::now(), || children.map(|running| running.launched.log.clone()).collect());
            }
        }
    }

    /// Those of this token that are there, and as many new ones as are missing.
    fn start(&mut self, order: &Order) -> Result<Vec<JobId>, ProviderError> {
        let of_order = |jobs: &Jobs| {
            let jobs = lock(jobs);
            jobs.values().filter(|job| job.token == order.token).map(|job| job.id.clone()).collect::<Vec<_>>()
        };
        if self.stops {
            return Ok(of_order(&self.jobs));
        }
        for n in of_order(&self.jobs).len()..order.n as usize {
            let id = JobId(format!("local:{}-{n}", order.token));
            let asked = Timestamp::now();
            let launched = (self.launch)(order.kind, &id).map_err(|error| {
                let remedy = "see why this machine starts no worker: swath worker says it too";
                ProviderError::new(ErrorKind::Config, "starting a worker", remedy, error)
            })?;
            if self.logs.is_none() {
                self.logs = launched.log.parent().map(|folder| Tidier::of(folder, Instant::now()));
            }
            self.children.insert(id.clone(), Running { launched, is_cancelled: false });
            let job = Job {
                id: id.clone(),
                token: order.token.clone(),
                kind: order.kind,
                market: Market::OnDemand,
                state: JobState::Running,
                asked,
                began: Some(asked),
                ended: None,
            };
            lock(&self.jobs).insert(id, job);
        }
        Ok(of_order(&self.jobs))
    }

    fn cancel(&mut self, job: &JobId) {
        if let Some(running) = self.children.get_mut(job) {
            terminate(running);
        }
    }

    fn reap(&mut self) {
        let (now, jobs) = (Timestamp::now(), &self.jobs);
        self.children.retain(|id, running| {
            let ending = match running.launched.child.try_wait() {
                Ok(None) => return true,
                Ok(Some(status)) => ending(status, running),
                Err(error) => Ending::Failed(format!("its end can't be seen: {error}")),
            };
            if let Some(job) = lock(jobs).get_mut(id) {
                job.state = JobState::Ended(ending);
                job.ended = Some(now);
            }
            false
        });
        lock(jobs).retain(|_, job| {
            job.ended.is_none_or(|ended| now.duration_since(ended).as_secs_f64() < LISTED_S)
        });
    }
}

/// As a worker is told to stop by whoever sits before it: it hands back what it can't finish in time.
fn terminate(running: &mut Running) {
    running.is_cancelled = true;
    // SAFETY: our own child, not yet waited for.
    unsafe { libc::kill(running.launched.child.id() as libc::pid_t, libc::SIGTERM) };
}

/// Whoever was killed from outside is not to blame.
fn ending(status: ExitStatus, running: &Running) -> Ending {
    match (status.success() || running.is_cancelled, status.signal()) {
        (true, _) => Ending::Done,
        (false, Some(_)) => Ending::HostLost,
        (false, None) => Ending::Failed(format!("{status}: {}", last_words(&running.launched.log))),
    }
}

/// The end of a worker's log, and where the rest is.
pub fn last_words(log: &Path) -> String {
    let text = std::fs::read(log).unwrap_or_default();
    let text = String::from_utf8_lossy(&text[text.len().saturating_sub(4096)..]).into_owned();
    let mut last: Vec<&str> = text.lines().rev().take_while(|line| line.starts_with("  because:")).collect();
    last.extend(text.lines().rev().nth(last.len()));
    last.reverse();
    let said: Vec<&str> = last
        .iter()
        .map(|line| line.trim().trim_start_matches("swath: ").trim_start_matches("because: "))
        .collect();
    format!("{} ({})", said.join(": "), log.display())
}

fn lock(jobs: &Jobs) -> MutexGuard<'_, BTreeMap<JobId, Job>> {
    jobs.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::{Command, Stdio};

    /// Each worker is this shell script.
    fn local(script: &'static str) -> (Local, tempfile::TempDir) {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("worker.log");
        let launch = move |kind: WorkerKind, job: &JobId| -> anyhow::Result<Launched> {
            let file = std::fs::File::options().create(true).append(true).open(&log)?;
            let child = Command::new("sh")
                .args(["-c", script])
                .env("SWATH_JOB", &job.0)
                .env("KIND", kind.name())
                .stdin(Stdio::null())
                .stdout(file.try_clone()?)
                .stderr(file)
                .spawn()?;
            Ok(Launched { child, log: log.clone() })
        };
        (Local::new(Box::new(launch)).unwrap(), folder)
    }

    fn order(token: &str, n: u32) -> Order {
        let token = token.to_owned();
        Order { token, kind: WorkerKind::Cpu, market: Market::OnDemand, n, run: None, stage: None }
    }

    async fn until(local: &Local, holds: impl Fn(&[Job]) -> bool) -> Vec<Job> {
        for _ in 0..600 {
            let jobs = local.jobs().await.unwrap();
            if holds(&jobs) {
                return jobs;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("not within half a minute: {:?}", local.jobs().await);
    }

    fn all_over(jobs: &[Job]) -> bool {
        jobs.iter().all(|job| job.state.is_over())
    }

    #[tokio::test]
    async fn an_order_that_is_given_twice_starts_its_workers_once() {
        let (local, _folder) = local("exec sleep 600");
        let first = local.start(&order("a", 2)).await.unwrap();
        assert_eq!(first, [JobId("local:a-0".into()), JobId("local:a-1".into())]);
        assert_eq!(local.start(&order("a", 2)).await.unwrap(), first);
        assert_eq!(local.jobs().await.unwrap().len(), 2);
        local.cancel(&first[0], "enough").await.unwrap();
        let jobs = until(&local, |jobs| jobs[0].state.is_over()).await;
        assert_eq!(jobs[0].state, JobState::Ended(Ending::Done));
        assert_eq!(jobs[1].state, JobState::Running);
        assert_eq!(
            local.start(&order("a", 2)).await.unwrap(),
            first,
            "one has ended: the order stays filled"
        );
        local.cancel(&JobId("local:unknown".into()), "").await.unwrap();
        local.stop();
    }

    #[tokio::test]
    async fn ends_are_told_apart() {
        for (script, wanted) in [
            ("exit 0", Some(Ending::Done)),
            ("kill -9 $$", Some(Ending::HostLost)),
            ("echo 'swath: opening it'; echo '  because: no such server'; exit 4", None),
        ] {
            let (local, _folder) = local(script);
            local.start(&order("a", 1)).await.unwrap();
            let jobs = until(&local, all_over).await;
            match (&jobs[0].state, wanted) {
                (JobState::Ended(Ending::Failed(why)), None) => {
                    assert!(why.contains("opening it: no such server (") && why.contains('4'), "{why}");
                }
                (state, wanted) => assert_eq!(Some(state), wanted.map(JobState::Ended).as_ref()),
            }
            assert!(jobs[0].ended >= jobs[0].began);
        }
    }

    #[tokio::test]
    async fn a_program_that_is_not_there_is_told_of() {
        let local = Local::new(Box::new(|_, _| Err(anyhow!("no such file")))).unwrap();
        let error = local.start(&order("a", 1)).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::Config);
        assert!(error.told().starts_with("starting a worker: no such file; see why"), "{}", error.told());
    }

    #[tokio::test]
    async fn workers_know_their_job_and_kind() {
        let (local, folder) = local("echo $KIND $SWATH_JOB");
        local.start(&order("a", 1)).await.unwrap();
        until(&local, all_over).await;
        let said = std::fs::read_to_string(folder.path().join("worker.log")).unwrap();
        assert_eq!(said.trim(), "cpu local:a-0");
    }
}
