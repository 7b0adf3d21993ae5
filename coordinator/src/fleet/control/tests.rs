use std::sync::{
    Mutex,
    atomic::{AtomicBool, Ordering},
};

use async_trait::async_trait;
use swath_backends::{
    open::{Urls, open},
    queue::Lane,
};
use swath_proto::{
    fleet::Market,
    keys,
    status::{Ask, Rank},
    worker::{GROUP, drain_office},
};

use super::*;
use crate::{
    feed::Bid,
    fleet::provider::{ErrorKind, Job, JobId, JobState, ProviderError},
};

/// Remembers what it is asked for.
#[derive(Default)]
struct Fake {
    is_away: AtomicBool,
    refuses: AtomicBool,
    orders: Mutex<Vec<Order>>,
    jobs: Mutex<Vec<Job>>,
    cancelled: Mutex<Vec<JobId>>,
}

#[async_trait]
impl Provider for Fake {
    async fn start(&self, order: &Order) -> Result<Vec<JobId>, ProviderError> {
        self.orders.lock().unwrap().push(order.clone());
        if self.is_away.load(Ordering::Acquire) {
            return Err(ProviderError::new(ErrorKind::Away, "asking", "", anyhow!("no answer")));
        }
        Ok((0..order.n).map(|n| JobId(format!("fake:{}-{n}", order.token))).collect())
    }

    async fn jobs(&self) -> Result<Vec<Job>, ProviderError> {
        if self.refuses.load(Ordering::Acquire) {
            let (remedy, why) = ("give the role batch:ListJobs", anyhow!("access denied"));
            return Err(ProviderError::new(ErrorKind::Refused, "listing jobs", remedy, why));
        }
        Ok(self.jobs.lock().unwrap().clone())
    }

    async fn cancel(&self, job: &JobId, _: &str) -> Result<(), ProviderError> {
        self.cancelled.lock().unwrap().push(job.clone());
        Ok(())
    }
}

impl Fake {
    fn orders(&self) -> Vec<Order> {
        self.orders.lock().unwrap().clone()
    }

    fn add_job(&self, id: &str, state: JobState) {
        let now = Timestamp::now();
        self.jobs.lock().unwrap().push(Job {
            id: JobId(id.into()),
            token: "t".into(),
            kind: WorkerKind::Cpu,
            market: Market::OnDemand,
            state,
            asked: now,
            began: None,
            ended: None,
        });
    }
}

struct Scene {
    doors: Doors,
    provider: Arc<Fake>,
    sharing: Sharing,
    _folder: tempfile::TempDir,
}

impl Scene {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().to_str().unwrap().to_owned();
        let doors = open(&Urls { root, queue: "local:".into(), ledger: "local:".into() }).await.unwrap();
        Self { doors, provider: Arc::default(), sharing: Sharing::default(), _folder: folder }
    }

    /// A run with so many items of a minute.
    fn ask(&self, items: u64) {
        let ask = Ask { out: 0, held: 0, more: items, seconds: Some(60.0), stage: Some(Stage::Predict) };
        self.sharing.window(&"a".parse().unwrap(), Lane::Cpu, Bid { rank: Rank::default(), ask });
    }

    fn control(&self, name: &str) -> Control {
        let mut policy = Policy::of_here((0, 4), (0, 0));
        policy.slots = 1;
        Control {
            setup: Setup {
                policy,
                provider: self.provider.clone(),
                provider_name: "fake".into(),
                allow_steps: false,
                every: Duration::from_secs(1),
            },
            doors: self.doors.clone(),
            me: Me { name: name.parse().unwrap(), lease: Duration::from_secs(60), prices: None },
            sharing: self.sharing.clone(),
            root: root_mark(&self.doors.blobs.uri("")),
            fleet: None,
            said: String::new(),
        }
    }

    async fn told(&self) -> FleetStatus {
        FleetStatus::from_json(&self.doors.blobs.get(keys::FLEET).await.unwrap()).unwrap()
    }

    async fn announce(&self, worker: &str, job: &str) {
        let card = serde_json::json!({
            "version": "1", "started": "", "program": "", "host": "h", "pid": 1, "lanes": ["cpu"], "slots": 1,
            "state": "working", "in_hand": 0, "done": 0, "failed": 0, "busy_s": 0.0, "job": job,
        });
        let (worker, lease) = (worker.parse().unwrap(), Duration::from_secs(60));
        self.doors.ledger.announce(GROUP, &worker, &card.to_string(), lease).await.unwrap();
    }

    async fn leaves(&self, worker: &str) -> bool {
        let office = drain_office(&worker.parse().unwrap());
        self.doors.ledger.leader(&office).await.unwrap().is_some()
    }
}

#[tokio::test]
async fn an_order_without_an_answer_is_given_again_by_whoever_has_the_fleet_then() {
    let scene = Scene::new().await;
    scene.ask(120);
    scene.provider.is_away.store(true, Ordering::Release);
    let mut first = scene.control("first");
    first.round(Timestamp::now()).await.unwrap();
    let told = scene.told().await;
    assert_eq!((told.pending.len(), told.crews.cpu.launching), (1, 4), "{told:?}");
    first.round(Timestamp::now()).await.unwrap();
    drop(first);
    scene.provider.is_away.store(false, Ordering::Release);
    let mut next = scene.control("next");
    next.round(Timestamp::now()).await.unwrap();
    next.round(Timestamp::now()).await.unwrap();
    let orders = scene.provider.orders();
    assert_eq!(orders.len(), 3, "{orders:?}");
    assert!(orders.iter().all(|order| *order == orders[0] && order.n == 4), "{orders:?}");
    assert_eq!((&orders[0].run, orders[0].stage), (&Some("a".parse().unwrap()), Some(Stage::Predict)));
    let told = scene.told().await;
    assert!(told.pending.is_empty() && told.coordinator.as_str() == "next", "{told:?}");
    assert_eq!(told.crews.cpu.launching, 4, "they are not listed yet: {told:?}");
}

#[tokio::test]
async fn commands_are_obeyed_in_their_order_and_outlive_the_controller() {
    let scene = Scene::new().await;
    let scale = Command::Scale { kind: Some(WorkerKind::Cpu), workers: Some(2) };
    commands::give(&scene.doors.blobs, &Command::Stop).await.unwrap();
    tokio::time::sleep(Duration::from_millis(2)).await;
    commands::give(&scene.doors.blobs, &scale).await.unwrap();
    scene.control("first").round(Timestamp::now()).await.unwrap();
    assert_eq!(commands::pending(&scene.doors.blobs).await.unwrap(), []);
    let wish = Wish { stopped: false, fixed: ByKind { cpu: Some(2), gpu: None } };
    assert_eq!(scene.told().await.wish, wish);
    scene.control("next").round(Timestamp::now()).await.unwrap();
    assert_eq!(scene.told().await.wish, wish);
    assert_eq!(scene.provider.orders()[0].n, 2);
}

#[tokio::test]
async fn those_who_are_to_go_are_told_by_an_office_and_those_who_do_not_work_yet_are_cancelled() {
    let scene = Scene::new().await;
    for n in 1..=2 {
        scene.provider.add_job(&format!("fake:{n}"), JobState::Running);
    }
    scene.announce("one", "fake:1").await;
    let mut control = scene.control("first");
    control.round(Timestamp::now()).await.unwrap();
    assert!(!scene.leaves("one").await, "a controller that begins leaves everybody where they are");
    commands::give(&scene.doors.blobs, &Command::Stop).await.unwrap();
    control.round(Timestamp::now()).await.unwrap();
    assert!(scene.leaves("one").await);
    assert_eq!(*scene.provider.cancelled.lock().unwrap(), [JobId("fake:2".into())]);
    control.round(Timestamp::now()).await.unwrap();
    let crew = scene.told().await.crews.cpu;
    assert_eq!((crew.leaving, crew.launching, crew.target), (1, 0, 0), "{crew:?}");
    assert_eq!(scene.provider.cancelled.lock().unwrap().len(), 1, "once");
}

#[tokio::test]
async fn whoever_is_told_to_leave_by_name_is_told_though_somebody_else_has_started_it() {
    let scene = Scene::new().await;
    scene.announce("one", "fake:1").await;
    scene.announce("other", "elsewhere:1").await;
    let command = Command::Drain { workers: Some(vec!["other".parse().unwrap()]) };
    commands::give(&scene.doors.blobs, &command).await.unwrap();
    scene.control("first").round(Timestamp::now()).await.unwrap();
    assert!(scene.leaves("other").await && !scene.leaves("one").await);
    commands::give(&scene.doors.blobs, &Command::Drain { workers: None }).await.unwrap();
    scene.control("next").round(Timestamp::now()).await.unwrap();
    assert!(scene.leaves("one").await);
}

#[tokio::test]
async fn what_a_newer_program_has_written_is_left_as_it_is() {
    let scene = Scene::new().await;
    let newer = br#"{"version":"2","crews":{}}"#;
    scene.doors.blobs.put(keys::FLEET, newer.to_vec().into()).await.unwrap();
    let error = scene.control("first").round(Timestamp::now()).await.unwrap_err();
    assert!(format!("{error:#}").contains("update this one"), "{error:#}");
    assert_eq!(scene.doors.blobs.get(keys::FLEET).await.unwrap(), newer.as_slice());
}

#[tokio::test]
async fn a_provider_that_refuses_is_told_of_and_the_fleet_stays_as_it_was_seen() {
    let scene = Scene::new().await;
    scene.ask(120);
    let mut control = scene.control("first");
    control.round(Timestamp::now()).await.unwrap();
    scene.provider.refuses.store(true, Ordering::Release);
    let error = control.round(Timestamp::now()).await.unwrap_err().to_string();
    assert_eq!(error, "listing jobs: access denied; give the role batch:ListJobs");
    let told = scene.told().await;
    assert_eq!((told.messages, told.crews.cpu.launching), (vec![error], 4));
    scene.provider.refuses.store(false, Ordering::Release);
    control.round(Timestamp::now()).await.unwrap();
    assert_eq!(scene.told().await.messages, [""; 0]);
    assert_eq!(scene.provider.orders().len(), 1);
}

#[tokio::test]
async fn of_two_controllers_one_has_the_fleet() {
    let scene = Scene::new().await;
    let stop = CancellationToken::new();
    let run = |name: &str| {
        let Control { setup, doors, me, sharing, .. } = scene.control(name);
        tokio::spawn(control(
            Setup { every: Duration::from_millis(10), ..setup },
            doors,
            me,
            sharing,
            stop.clone(),
        ))
    };
    let both = [run("one"), run("other")];
    let office = office(&scene.doors.blobs.uri(""));
    let leader = async || scene.doors.ledger.leader(&office).await.unwrap();
    let first = loop {
        if let (Some(leader), true) =
            (leader().await, scene.doors.blobs.head(keys::FLEET).await.unwrap().is_some())
        {
            break leader;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    };
    for _ in 0..20 {
        tokio::time::sleep(Duration::from_millis(5)).await;
        assert_eq!(scene.told().await.coordinator, first);
    }
    stop.cancel();
    for ended in both {
        ended.await.unwrap();
    }
    assert_eq!(leader().await, None, "who stops gives the office up");
}
