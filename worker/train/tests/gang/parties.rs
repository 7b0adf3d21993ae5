//! Several supervisors with ranks of their own, as several machines have them: processes that find each other through
//! one ledger.

use std::{
    collections::{BTreeSet, HashMap},
    fs::File,
    io::Write as _,
    net::Ipv4Addr,
    path::Path,
    process::{Child, Command, Stdio},
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use swath_backends::ledger::{Ledger as _, embedded::EmbeddedLedger};
use swath_proto::train::TrainSpec;
use swath_train::{
    Progress,
    gang::{Joining, Ranks, TrainFile, address_towards, read_file, supervise_together},
};
use tokio::runtime::{Builder, Runtime};

use super::{
    CHIPS, FILE, FOLDER, SGD, SLOW, alone, assert_near, file, processes, rank_in, send, stop_on_sigterm,
    write,
};
use crate::{Bench, squares};

/// A party's name, its ranks, and those that it begins with; without it, the test that is a party has nothing to do.
const PARTY: &str = "SWATH_TEST_PARTY";
const GANG: &str = "squares";
/// For anything that has to come, on a busy machine too.
const PATIENCE: Duration = Duration::from_secs(180);

fn ledger(folder: &Path) -> EmbeddedLedger {
    EmbeddedLedger::open(&folder.join("ledger.db")).unwrap()
}

#[test]
fn a_party() {
    let (Ok(words), Some(folder)) = (std::env::var(PARTY), std::env::var_os(FOLDER)) else { return };
    let [name, n, least] = words.split(' ').collect::<Vec<_>>().try_into().unwrap();
    // As `swath train` has it.
    let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let folder = Path::new(&folder);
    let stop = stop_on_sigterm(&runtime);
    let mut told = File::create(folder.join(format!("{name}.told"))).unwrap();
    let mut progress = |now: Progress| {
        let line = serde_json::to_string(&now).unwrap();
        told.write_all(format!("{line}\n").as_bytes()).unwrap();
    };
    let joining = Joining {
        gang: GANG,
        ledger: Arc::new(ledger(folder)),
        runtime: runtime.handle().clone(),
        me: name.parse().unwrap(),
        // Where other machines would come, if this one has a network.
        address: address_towards("192.0.2.1", 9).unwrap_or(Ipv4Addr::LOCALHOST.into()),
        least: least.parse().unwrap(),
        file: &read_file(&folder.join(FILE)).unwrap(),
    };
    let ranks = Ranks { command: &|| rank_in(folder), n: n.parse().unwrap() };
    let outcome = supervise_together(&ranks, joining, &mut progress, &stop);
    std::fs::write(folder.join(format!("{name}.end")), format!("{outcome:?}")).unwrap();
}

struct Parties<'a> {
    folder: &'a Path,
    ledger: EmbeddedLedger,
    runtime: &'a Runtime,
    started: HashMap<&'static str, Child>,
}

impl<'a> Parties<'a> {
    fn of(bench: &'a Bench, file: &TrainFile) -> Self {
        write(bench, file);
        let folder = bench.folder.path();
        Self { folder, ledger: ledger(folder), runtime: &bench.runtime, started: HashMap::new() }
    }

    fn start(&mut self, name: &'static str, ranks: u32, least: u32) {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command
            .args(["--exact", "gang::parties::a_party", "--nocapture"])
            .env(FOLDER, self.folder)
            .env(PARTY, format!("{name} {ranks} {least}"))
            .stdout(Stdio::null());
        self.started.insert(name, command.spawn().unwrap());
    }

    /// Epoch and step of each that a party was told of.
    fn steps(&self, name: &str) -> Vec<(u32, u64)> {
        let text = std::fs::read_to_string(self.folder.join(format!("{name}.told"))).unwrap_or_default();
        let whole = text.rfind('\n').map_or("", |end| &text[..end]);
        let told = whole.lines().map(|line| serde_json::from_str::<Progress>(line).unwrap());
        told.filter(|now| !now.validates).map(|now| (now.epoch, now.step)).collect()
    }

    fn signal(&self, name: &str, signal: i32) {
        send(self.started[name].id() as i32, signal);
    }

    fn until<T>(&self, what: &str, mut there: impl FnMut() -> Option<T>) -> T {
        let begun = Instant::now();
        loop {
            if let Some(there) = there() {
                return there;
            }
            assert!(begun.elapsed() < PATIENCE, "{what}: it does not come");
            thread::sleep(Duration::from_millis(50));
        }
    }

    fn until_it_steps(&self, name: &str) {
        self.until(name, || (!self.steps(name).is_empty()).then_some(()));
    }

    /// Who is there, as the ledger says.
    fn announced(&self) -> Vec<String> {
        let announced = self.runtime.block_on(self.ledger.announced(&format!("gang/{GANG}"))).unwrap();
        announced.into_iter().map(|(name, _)| name.to_string()).collect()
    }

    /// What has come of it, once its process is over.
    fn end(&mut self, name: &str) -> String {
        let mut child = self.started.remove(name).unwrap();
        self.until(name, || child.try_wait().unwrap());
        std::fs::read_to_string(self.folder.join(format!("{name}.end"))).unwrap()
    }

    fn slow(&self) {
        std::fs::write(self.folder.join(SLOW), "").unwrap();
    }

    fn fast(&self) {
        std::fs::remove_file(self.folder.join(SLOW)).unwrap();
    }
}

impl Drop for Parties<'_> {
    fn drop(&mut self) {
        for child in self.started.values_mut() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// One of them has the first rank, and says it.
fn assert_first_says(said: &str, ends: &[String]) {
    let n = |word: &str| ends.iter().filter(|end| end.starts_with(word)).count();
    assert_eq!((n(said), n("Ok(Helped)")), (1, ends.len() - 1), "{ends:?}");
}

fn assert_finished(ends: &[String]) {
    assert_first_says("Ok(Finished(", ends);
}

fn begun(spec: &TrainSpec) -> (Bench, TrainFile) {
    let bench = Bench::new();
    let file = file(&bench, spec, CHIPS);
    (bench, file)
}

#[test]
fn two_parties_train_as_one_process() {
    let spec = squares::spec(SGD);
    let (bench, file) = begun(&spec);
    let mut parties = Parties::of(&bench, &file);
    parties.start("a", 2, 3);
    parties.start("b", 1, 3);
    assert_finished(&["a", "b"].map(|name| parties.end(name)));
    let all: Vec<_> = (1..=3).flat_map(|epoch| (1..=4).map(move |step| (epoch, step))).collect();
    assert_eq!([parties.steps("a"), parties.steps("b")], [all.clone(), all]);
    assert_near(&bench, &alone(&spec));
}

#[test]
fn parties_are_told_that_their_training_is_over() {
    let (bench, file) = begun(&squares::spec(SGD));
    let mut parties = Parties::of(&bench, &file);
    parties.start("a", 1, 1);
    assert_finished(&[parties.end("a")]);
    parties.start("b", 1, 2);
    parties.start("c", 1, 2);
    assert_first_says("Ok(AlreadyFinished(", &["b", "c"].map(|name| parties.end(name)));
}

#[test]
fn the_leader_is_killed_and_a_third_takes_its_place() {
    let spec = squares::spec(SGD);
    let (bench, file) = begun(&spec);
    let mut parties = Parties::of(&bench, &file);
    parties.slow();
    parties.start("a", 1, 2);
    parties.start("b", 1, 2);
    parties.until_it_steps("a");
    let ranks: BTreeSet<i32> = processes(parties.folder).into_values().collect();
    let office = format!("gang/{GANG}");
    let leader = parties.runtime.block_on(parties.ledger.leader(&office)).unwrap().unwrap();
    let (killed, left) = if leader.as_str() == "a" { ("a", "b") } else { ("b", "a") };
    parties.signal(killed, libc::SIGKILL);
    // Its ranks end with it, and those that have lost them.
    parties.until("the end of the ranks", || {
        ranks.is_disjoint(&processes(parties.folder).into_values().collect()).then_some(())
    });
    parties.start("c", 1, 2);
    parties.until_it_steps("c");
    parties.fast();
    assert_finished(&[left, "c"].map(|name| parties.end(name)));
    assert_near(&bench, &alone(&spec));
}

#[test]
fn parties_come_and_go_and_no_step_is_done_twice() {
    let spec = squares::spec(&SGD.replace("steps = 1", "steps = 1000").replace("epochs = 3", "epochs = 5"));
    let (bench, file) = begun(&spec);
    let mut parties = Parties::of(&bench, &file);
    parties.slow();
    parties.start("a", 1, 1);
    parties.until_it_steps("a");
    parties.start("b", 1, 1);
    parties.until_it_steps("b");
    parties.signal("a", libc::SIGTERM);
    assert!(parties.end("a").starts_with("Ok(Stopped"));
    parties.fast();
    assert_finished(&[parties.end("b")]);
    let [a, b] = ["a", "b"].map(|name| parties.steps(name));
    assert!(a.is_sorted_by(|one, next| one < next) && b.is_sorted_by(|one, next| one < next), "{a:?} {b:?}");
    assert!(a.contains(&b[0]), "they have trained together: {a:?} {b:?}");
    assert_eq!(a.iter().chain(&b).collect::<BTreeSet<_>>().len(), 20, "{a:?} {b:?}");
    assert_near(&bench, &alone(&spec));
}

#[test]
fn what_would_be_the_same_for_all_ends_all() {
    let spec = squares::spec(SGD);
    let (bench, file) = begun(&spec);
    // A chip that one of them alone meets.
    let tar = bench.folder.path().join("shard-1.tar");
    let mut bytes = std::fs::read(&tar).unwrap();
    bytes[600] ^= 0xff;
    std::fs::write(&tar, bytes).unwrap();
    let mut parties = Parties::of(&bench, &file);
    parties.start("a", 1, 2);
    parties.start("b", 1, 2);
    for name in ["a", "b"] {
        let end = parties.end(name);
        assert!(end.contains("kind: Data") && end.contains("the image can't be read"), "{end}");
    }
}

#[test]
fn another_training_under_the_same_name_is_told_and_ends_nobody_else() {
    let (bench, file) = begun(&squares::spec(SGD));
    let mut parties = Parties::of(&bench, &file);
    parties.start("a", 1, 2);
    parties.until("a", || (!parties.announced().is_empty()).then_some(()));
    write(&bench, &TrainFile { train: TrainSpec { epochs: 4, ..file.train.clone() }, ..file.clone() });
    parties.start("b", 1, 2);
    let end = parties.end("b");
    assert!(
        end.contains("kind: Config") && end.contains("a is in a gang of this name with another file"),
        "{end}"
    );
    assert!(!parties.announced().contains(&"b".to_owned()), "those who wait hear of it");
    // The one that was there first waits for one that is right.
    write(&bench, &file);
    parties.start("c", 1, 2);
    assert_finished(&["a", "c"].map(|name| parties.end(name)));
}
