//! The contract of [`Ledger`].

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use swath_proto::{
    ids::{RunId, WorkerId},
    item::{Place, Stage},
    outcome::{Failure, FailureClass, Report},
};

use super::{meeting, until};
use crate::ledger::{Claim, Cursor, Event, Events, Finish, Gate, Ledger, Release};

pub(super) const LONG: Duration = Duration::from_secs(60);
/// On a busy machine too there is time within it for a call or two.
pub(super) const SHORT: Duration = Duration::from_secs(4);
/// After this, what was held for so long is free.
pub(super) const OVER: Duration = Duration::from_secs(5);

/// Two handles on one ledger, as two processes have them.
pub async fn all(one: Arc<dyn Ledger>, other: Arc<dyn Ledger>) {
    of_many_claims_one_goes(one.clone(), other.clone()).await;
    a_holder_that_claims_again_goes_on_uncounted(&*one).await;
    an_expired_hold_keeps_nobody_out_and_the_late_worker_is_told(&*one, &*other).await;
    one_worker_may_join_a_holder_once_invited(&*one, &*other).await;
    an_invitation_ends_with_the_hold_that_it_was_for(&*one, &*other).await;
    what_was_joined_ends_like_any_other(&*one, &*other).await;
    of_many_finishes_one_is_first(one.clone(), other.clone()).await;
    a_worker_that_lost_its_hold_may_still_finish(&*one, &*other).await;
    a_release_counts_only_what_is_the_items_fault(&*one).await;
    blame_is_booked_on_an_item_that_nobody_holds(&*one).await;
    what_is_buried_stays_buried_until_it_is_reset(&*one).await;
    what_is_lost_is_reaped_once(&*one, &*other).await;
    events_tell_what_happened_and_say_when_they_cannot(&*one, &*other).await;
    a_snapshot_tells_what_was_restored(&*one, &*other).await;
    a_closed_gate_lets_nobody_in(&*one, &*other).await;
    meeting::an_office_has_one_holder(&*one, &*other).await;
    meeting::members_are_there_while_they_say_so(&*one, &*other).await;
}

fn run(name: &str) -> RunId {
    format!("{name}-{:08x}", rand::random::<u32>()).parse().expect("a run's name")
}

pub(super) fn worker(name: &str) -> WorkerId {
    name.parse().expect("a worker's name")
}

const fn place(index: u32) -> Place {
    Place::new(Stage::Predict, 2, index)
}

fn failure() -> Failure {
    let message = "it said \"no\"\n\tand went".into();
    Failure { class: FailureClass::Transient, message, scene: None, rect: None, worker: worker("w") }
}

fn counted(attempt: u32) -> Release {
    Release::Counted { attempt, failure: failure() }
}

async fn go(ledger: &dyn Ledger, run: &RunId, place: Place, by: &str, lease: Duration) -> (u32, u32) {
    match ledger.claim(run, place, &worker(by), lease).await.expect("claiming") {
        Claim::Go { attempts, failures } => (attempts, failures),
        other => panic!("a claim of {place} by {by} was answered {other:?}"),
    }
}

async fn cursor(ledger: &dyn Ledger, run: &RunId) -> Cursor {
    ledger.restore(run, &[]).await.expect("restoring");
    ledger.snapshot(run).await.expect("a snapshot").cursor
}

async fn events(ledger: &dyn Ledger, run: &RunId, since: &Cursor) -> (Vec<Event>, Cursor) {
    match ledger.events(run, since).await.expect("events") {
        Events::Some { events, next } => (events, next),
        Events::Gone => panic!("the events are gone"),
    }
}

pub async fn of_many_claims_one_goes(one: Arc<dyn Ledger>, other: Arc<dyn Ledger>) {
    let run = run("claims");
    let mut claims = tokio::task::JoinSet::new();
    for number in 0..64 {
        let ledger = if number % 2 == 0 { one.clone() } else { other.clone() };
        let run = run.clone();
        claims.spawn(async move {
            ledger.claim(&run, place(0), &worker(&format!("w{number}")), LONG).await.expect("claiming")
        });
    }
    let answers = claims.join_all().await;
    let went =
        answers.iter().filter(|answer| matches!(answer, Claim::Go { attempts: 1, failures: 0 })).count();
    let held = answers.iter().filter(|answer| **answer == Claim::Held).count();
    assert_eq!((went, held), (1, 63), "of 64 claims");
    assert_eq!(one.held(&run).await.expect("holds").len(), 1);
}

pub async fn a_holder_that_claims_again_goes_on_uncounted(one: &dyn Ledger) {
    let run = run("again");
    assert_eq!(go(one, &run, place(0), "w", LONG).await, (1, 0));
    assert_eq!(go(one, &run, place(0), "w", LONG).await, (1, 0));
}

pub async fn an_expired_hold_keeps_nobody_out_and_the_late_worker_is_told(
    one: &dyn Ledger,
    other: &dyn Ledger,
) {
    let run = run("expired");
    go(one, &run, place(0), "slow", SHORT).await;
    assert_eq!(one.extend(&run, &[place(0)], &worker("slow"), SHORT).await.expect("extending"), []);
    assert_eq!(other.claim(&run, place(0), &worker("next"), LONG).await.expect("claiming"), Claim::Held);
    tokio::time::sleep(OVER).await;
    assert_eq!(go(other, &run, place(0), "next", LONG).await, (2, 0));
    let lost = one.extend(&run, &[place(0)], &worker("slow"), LONG).await.expect("extending");
    assert_eq!(lost, [place(0)], "the late worker still believes in its hold");
}

async fn join(ledger: &dyn Ledger, run: &RunId, place: Place, by: &str) -> Claim {
    ledger.join(run, place, &worker(by)).await.expect("joining")
}

pub async fn one_worker_may_join_a_holder_once_invited(one: &dyn Ledger, other: &dyn Ledger) {
    let run = run("join");
    one.invite(&run, place(0)).await.expect("inviting");
    assert_eq!(join(other, &run, place(0), "early").await, Claim::Held, "of an item that nobody held");
    go(one, &run, place(0), "late", LONG).await;
    assert_eq!(join(other, &run, place(0), "next").await, Claim::Held, "nobody was invited");
    one.invite(&run, place(0)).await.expect("inviting");
    one.invite(&run, place(0)).await.expect("inviting again");
    let beside = Claim::Go { attempts: 1, failures: 0 };
    assert_eq!(join(other, &run, place(0), "next").await, beside);
    assert_eq!(join(other, &run, place(0), "next").await, beside, "its answer was lost, and it asks again");
    one.invite(&run, place(0)).await.expect("inviting again");
    assert_eq!(join(one, &run, place(0), "third").await, Claim::Held, "two work beside the holder");
    assert_eq!(one.claim(&run, place(0), &worker("third"), LONG).await.expect("claiming"), Claim::Held);
    assert_eq!(one.held(&run).await.expect("holds"), [(place(0), worker("late"))], "it took the hold");
    let lost = one.extend(&run, &[place(0)], &worker("late"), LONG).await.expect("extending");
    assert_eq!(lost, [], "the holder has lost its hold");
    assert_eq!(other.finish(&run, place(0), Report::default()).await.expect("finishing"), Finish::First);
    assert_eq!(one.finish(&run, place(0), Report::default()).await.expect("finishing"), Finish::Duplicate);
}

pub async fn an_invitation_ends_with_the_hold_that_it_was_for(one: &dyn Ledger, other: &dyn Ledger) {
    let run = run("invited");
    let again = Claim::Go { attempts: 2, failures: 0 };
    // The hold runs out while another works beside it; then it is given back.
    go(one, &run, place(0), "late", SHORT).await;
    one.invite(&run, place(0)).await.expect("inviting");
    join(other, &run, place(0), "beside").await;
    tokio::time::sleep(OVER).await;
    assert_eq!(one.reap(&run).await.expect("reaping"), [place(0)]);
    go(one, &run, place(0), "second", LONG).await;
    assert_eq!(join(other, &run, place(0), "beside").await, Claim::Held, "of a hold that is over");
    other.invite(&run, place(0)).await.expect("inviting");
    assert_eq!(join(other, &run, place(0), "third").await, again, "the second hold is late as well");
    one.release(&run, place(0), &worker("second"), Release::Uncounted).await.expect("releasing");
    go(one, &run, place(0), "fourth", LONG).await;
    assert_eq!(join(other, &run, place(0), "third").await, Claim::Held, "of a hold that was given back");
}

pub async fn what_was_joined_ends_like_any_other(one: &dyn Ledger, other: &dyn Ledger) {
    let run = run("joined");
    let invited = async |index: u32| {
        go(one, &run, place(index), "late", LONG).await;
        one.invite(&run, place(index)).await.expect("inviting");
    };
    invited(0).await;
    one.finish(&run, place(0), Report::default()).await.expect("finishing");
    assert_eq!(join(other, &run, place(0), "next").await, Claim::Done);
    invited(1).await;
    one.bury(&run, place(1), 1, &failure()).await.expect("burying");
    assert_eq!(join(other, &run, place(1), "next").await, Claim::Buried);
    // A new life of the item begins without the invitation of the one before.
    one.reset(&run, &[place(1)]).await.expect("resetting");
    go(one, &run, place(1), "late", LONG).await;
    assert_eq!(join(other, &run, place(1), "next").await, Claim::Held);
    invited(2).await;
    one.set_gate(&run, Gate::Closed).await.expect("closing");
    assert_eq!(join(other, &run, place(2), "next").await, Claim::Closed);
}

pub async fn of_many_finishes_one_is_first(one: Arc<dyn Ledger>, other: Arc<dyn Ledger>) {
    let run = run("finishes");
    let since = cursor(&*one, &run).await;
    let mut finishes = tokio::task::JoinSet::new();
    for number in 0..32 {
        let ledger = if number % 2 == 0 { one.clone() } else { other.clone() };
        let run = run.clone();
        finishes
            .spawn(async move { ledger.finish(&run, place(9), Report::default()).await.expect("finishing") });
    }
    let first = finishes.join_all().await.into_iter().filter(|finish| *finish == Finish::First).count();
    assert_eq!(first, 1, "of 32 finishes");
    assert_eq!(events(&*one, &run, &since).await.0.len(), 1, "a finish was recorded twice");
    assert_eq!(one.claim(&run, place(9), &worker("w"), LONG).await.expect("claiming"), Claim::Done);
    assert_eq!(
        one.claim(&run, place(8), &worker("w"), LONG).await.expect("claiming"),
        Claim::Go { attempts: 1, failures: 0 }
    );
}

pub async fn a_worker_that_lost_its_hold_may_still_finish(one: &dyn Ledger, other: &dyn Ledger) {
    let run = run("late");
    go(one, &run, place(0), "slow", SHORT).await;
    tokio::time::sleep(OVER).await;
    go(other, &run, place(0), "next", LONG).await;
    assert_eq!(one.finish(&run, place(0), Report::default()).await.expect("finishing"), Finish::First);
    assert_eq!(other.finish(&run, place(0), Report::default()).await.expect("finishing"), Finish::Duplicate);
    assert_eq!(one.held(&run).await.expect("holds"), []);
}

pub async fn a_release_counts_only_what_is_the_items_fault(one: &dyn Ledger) {
    let run = run("release");
    let since = cursor(one, &run).await;
    go(one, &run, place(0), "w", LONG).await;
    let me = worker("w");
    let release = |release| one.release(&run, place(0), &me, release);
    assert_eq!(release(Release::Uncounted).await.expect("releasing"), 0);
    assert_eq!(go(one, &run, place(0), "w", LONG).await, (1, 0), "an uncounted attempt was taken back");
    assert_eq!(release(counted(1)).await.expect("releasing"), 1);
    // The answer was lost on its way, and the verb is sent again.
    assert_eq!(release(counted(1)).await.expect("releasing"), 1);
    assert_eq!(go(one, &run, place(0), "w", LONG).await, (2, 1));
    assert_eq!(release(Release::Died).await.expect("releasing"), 1);
    assert_eq!(
        go(one, &run, place(0), "w", LONG).await,
        (3, 1),
        "an attempt that ended with its worker stands"
    );
    // One that holds nothing can't release what another holds.
    assert_eq!(one.release(&run, place(0), &worker("x"), Release::Uncounted).await.expect("releasing"), 1);
    assert_eq!(one.held(&run).await.expect("holds"), [(place(0), worker("w"))]);
    let wanted = [
        Event::Released { place: place(0), failures: 0, failure: None },
        Event::Released { place: place(0), failures: 1, failure: Some(failure()) },
        Event::Released { place: place(0), failures: 1, failure: None },
    ];
    assert_eq!(events(one, &run, &since).await.0, wanted);
}

pub async fn blame_is_booked_on_an_item_that_nobody_holds(one: &dyn Ledger) {
    let run = run("blame");
    let since = cursor(one, &run).await;
    go(one, &run, place(0), "crashed", SHORT).await;
    tokio::time::sleep(OVER).await;
    one.reap(&run).await.expect("reaping");
    let crashed = worker("crashed");
    let failures = one.release(&run, place(0), &crashed, counted(1)).await.expect("releasing");
    assert_eq!(failures, 1);
    let (seen, _) = events(one, &run, &since).await;
    let blamed = Event::Released { place: place(0), failures: 1, failure: Some(failure()) };
    assert_eq!(seen, [Event::Lost { place: place(0) }, blamed]);
    assert_eq!(go(one, &run, place(0), "next", LONG).await, (2, 1));
}

pub async fn what_is_buried_stays_buried_until_it_is_reset(one: &dyn Ledger) {
    let run = run("buried");
    let since = cursor(one, &run).await;
    go(one, &run, place(0), "w", LONG).await;
    assert!(one.bury(&run, place(0), 3, &failure()).await.expect("burying"));
    assert_eq!(one.claim(&run, place(0), &worker("w"), LONG).await.expect("claiming"), Claim::Buried);
    assert_eq!(one.snapshot(&run).await.expect("a snapshot").buried, [(place(0), 3, failure())]);
    one.reset(&run, &[place(0), place(1)]).await.expect("resetting");
    assert_eq!(go(one, &run, place(0), "w", LONG).await, (1, 0), "a replayed item remembers its failures");
    one.finish(&run, place(0), Report::default()).await.expect("finishing");
    assert!(!one.bury(&run, place(0), 9, &failure()).await.expect("burying"), "it says that it has buried");
    assert_eq!(
        one.claim(&run, place(0), &worker("w"), LONG).await.expect("claiming"),
        Claim::Done,
        "what is done was buried"
    );
    one.reset(&run, &[place(0)]).await.expect("resetting");
    assert!(!one.snapshot(&run).await.expect("a snapshot").is_done(place(0)));
    let wanted = [
        Event::Buried { place: place(0), attempts: 3, failure: failure() },
        Event::Reset { place: place(0) },
        Event::Finished { place: place(0), report: Report::default() },
        Event::Reset { place: place(0) },
    ];
    assert_eq!(events(one, &run, &since).await.0, wanted);
}

pub async fn what_is_lost_is_reaped_once(one: &dyn Ledger, other: &dyn Ledger) {
    let run = run("reap");
    let since = cursor(one, &run).await;
    go(one, &run, place(0), "dead", SHORT).await;
    go(one, &run, place(1), "alive", LONG).await;
    assert_eq!(one.reap(&run).await.expect("reaping"), []);
    until("an expired hold is reaped", async || one.reap(&run).await.expect("reaping") == [place(0)]).await;
    assert_eq!(other.reap(&run).await.expect("reaping"), [], "a hold was reaped twice");
    assert_eq!(one.held(&run).await.expect("holds"), [(place(1), worker("alive"))]);
    assert_eq!(events(one, &run, &since).await.0, [Event::Lost { place: place(0) }]);
}

pub async fn events_tell_what_happened_and_say_when_they_cannot(one: &dyn Ledger, other: &dyn Ledger) {
    let run = run("events");
    assert_eq!(
        one.events(&run, &Cursor("0".into())).await.expect("events"),
        Events::Gone,
        "of a run that nobody knows"
    );
    let since = cursor(one, &run).await;
    let report = Report { seconds: 1.25, pixels: 4096, bytes: 77 };
    for index in 0..5000 {
        one.finish(&run, place(index), report).await.expect("finishing");
    }
    let (mut since, mut seen) = (since, BTreeSet::new());
    loop {
        let (events, next) = events(other, &run, &since).await;
        if events.is_empty() {
            break;
        }
        for event in events {
            let Event::Finished { place, report: told } = event else { panic!("{event:?}") };
            assert_eq!(told, report);
            assert!(seen.insert(place), "an event came twice");
        }
        since = next;
    }
    assert_eq!(seen.len(), 5000);
    one.forget(&run).await.expect("forgetting");
    assert_eq!(
        other.events(&run, &since).await.expect("events"),
        Events::Gone,
        "after the run was forgotten"
    );
    one.restore(&run, &[]).await.expect("restoring");
    assert_eq!(
        other.events(&run, &since).await.expect("events"),
        Events::Gone,
        "in another life of the ledger"
    );
}

pub async fn a_snapshot_tells_what_was_restored(one: &dyn Ledger, other: &dyn Ledger) {
    let run = run("snapshot");
    assert!(!one.snapshot(&run).await.expect("a snapshot").known);
    let done: Vec<Place> = (0..20_000).filter(|index| index % 3 == 0).map(place).collect();
    one.restore(&run, &done).await.expect("restoring");
    other.finish(&run, Place::new(Stage::Eval, 0, 4), Report::default()).await.expect("finishing");
    let snapshot = other.snapshot(&run).await.expect("a snapshot");
    assert!(snapshot.known);
    assert_eq!(snapshot.n_done(), done.len() as u64 + 1);
    assert!(snapshot.is_done(place(19_998)) && !snapshot.is_done(place(19_999)));
    assert!(snapshot.is_done(Place::new(Stage::Eval, 0, 4)));
    one.restore(&run, &[place(1)]).await.expect("restoring more");
    assert!(one.snapshot(&run).await.expect("a snapshot").is_done(place(1)));
    let (events, _) = events(one, &run, &snapshot.cursor).await;
    assert_eq!(events, [], "a restored place was told as an event");
}

pub async fn a_closed_gate_lets_nobody_in(one: &dyn Ledger, other: &dyn Ledger) {
    let run = run("gate");
    assert_eq!(one.gate(&run).await.expect("looking"), Gate::Open, "of a run that nobody knows");
    one.set_gate(&run, Gate::Closed).await.expect("closing");
    assert_eq!(one.claim(&run, place(0), &worker("w"), LONG).await.expect("claiming"), Claim::Closed);
    assert_eq!(other.gate(&run).await.expect("looking"), Gate::Closed);
    one.set_gate(&run, Gate::Open).await.expect("opening");
    assert_eq!(other.gate(&run).await.expect("looking"), Gate::Open);
    assert_eq!(go(one, &run, place(0), "w", LONG).await, (1, 0));
}
