use super::*;
use crate::fleet::policy::Offer;

const CPU: WorkerKind = WorkerKind::Cpu;

/// Ten minutes to drain, two to launch, one item in hand at a time.
fn policy(min: u32, max: u32) -> Policy {
    let kind = |min, max| KindPolicy {
        min,
        max,
        offers: Market::ALL.map(|market| Offer { market, price_per_hour: Some(0.5) }).to_vec(),
    };
    Policy { drain_s: 600.0, launch_s: 120.0, slots: 1, ..Policy::of_machines(kind(min, max), kind(0, 0)) }
}

fn crew(waiting: u64, item_s: Option<f64>) -> Crew {
    let mut crew = Crew::default();
    crew.work.add(waiting, 0, item_s);
    crew
}

fn seen(cpu: Crew) -> Seen {
    Seen { crews: ByKind { cpu, gpu: Crew::default() }, ..Seen::default() }
}

fn workers_with(in_hand: &[u32]) -> Vec<Worker> {
    let worker = |(n, in_hand): (usize, &u32)| Worker {
        id: format!("w{n}").parse().unwrap(),
        in_hand: *in_hand,
        slots: 1,
        market: Market::Spot,
    };
    in_hand.iter().enumerate().map(worker).collect()
}

fn launching(n: usize, queued_s: Option<f64>) -> Vec<Launching> {
    let of = |n| Launching {
        job: Some(JobId(format!("local:{n}"))),
        market: Market::Spot,
        queued: queued_s.map(|for_s| Queued { for_s, why: None }),
    };
    (0..n).map(of).collect()
}

fn cpu(policy: &Policy, seen: &Seen, memory: &mut Memory, now_s: f64) -> Step {
    decide(policy, seen, memory, now_s).kinds.cpu
}

#[test]
fn as_many_as_the_backlog_takes_are_started_once() {
    let (policy, mut memory) = (policy(0, 100), Memory::default());
    // 480 items of 10 s in 600 s, of which 120 go for the launch.
    let mut seen = seen(crew(480, Some(10.0)));
    let step = cpu(&policy, &seen, &mut memory, 0.0);
    assert_eq!((step.target, step.start, step.market), (10, 10, Some(Market::Spot)), "{}", step.why);
    assert!(step.why.contains("480 items waiting"), "{}", step.why);
    seen.crews.cpu.launching = launching(10, None);
    let step = cpu(&policy, &seen, &mut memory, 5.0);
    assert_eq!((step.target, step.start), (10, 0), "{}", step.why);
}

#[test]
fn the_most_and_the_least_hold() {
    let mut memory = Memory::default();
    let step = cpu(&policy(0, 3), &seen(crew(100_000, Some(10.0))), &mut memory, 0.0);
    assert_eq!((step.target, step.start), (3, 3));
    assert!(step.why.contains("3 are allowed"), "{}", step.why);
    let step = cpu(&policy(2, 3), &seen(crew(0, None)), &mut Memory::default(), 0.0);
    assert_eq!((step.target, step.start), (2, 2));
    assert!(step.why.contains("2 are kept at least"), "{}", step.why);
    let step = cpu(&policy(0, 0), &seen(crew(1000, Some(10.0))), &mut Memory::default(), 0.0);
    assert_eq!((step.target, step.start, step.market), (0, 0, None));
}

#[test]
fn a_few_find_out_what_an_item_takes() {
    let step = cpu(&policy(0, 100), &seen(crew(1_000_000, None)), &mut Memory::default(), 0.0);
    assert_eq!(step.start, ON_A_GUESS, "{}", step.why);
    let step = cpu(&policy(0, 100), &seen(crew(2, None)), &mut Memory::default(), 0.0);
    assert_eq!(step.start, 1, "two items of half a minute");
}

#[test]
fn no_more_workers_than_items() {
    let step = cpu(&policy(0, 100), &seen(crew(3, Some(3600.0))), &mut Memory::default(), 0.0);
    assert_eq!(step.start, 3, "{}", step.why);
}

#[test]
fn those_who_have_nothing_to_do_leave_after_a_while_and_the_idle_ones_first() {
    let (policy, mut memory) = (policy(0, 10), Memory::default());
    let mut busy = seen(crew(0, Some(10.0)));
    busy.crews.cpu.work.add(0, 1, Some(500.0));
    busy.crews.cpu.workers = workers_with(&[0, 1, 0, 0]);
    assert_eq!(cpu(&policy, &busy, &mut memory, 0.0).drain, []);
    let step = cpu(&policy, &busy, &mut memory, 59.0);
    assert!(step.drain.is_empty() && step.why.contains("leave soon"), "{step:?}");
    let step = cpu(&policy, &busy, &mut memory, 60.0);
    assert_eq!(step.target, 1);
    let gone: Vec<&str> = step.drain.iter().map(WorkerId::as_str).collect();
    assert!(gone.len() == 3 && !gone.contains(&"w1"), "{gone:?}");
}

#[test]
fn a_moment_without_work_sends_nobody_away() {
    let (policy, mut memory) = (policy(0, 10), Memory::default());
    let with = |waiting| {
        let mut seen = seen(crew(waiting, Some(10.0)));
        seen.crews.cpu.workers = workers_with(&[1, 1, 1]);
        seen
    };
    for second in 0..1000_u32 {
        let waiting = if second % 50 < 40 { 0 } else { 40 };
        let step = cpu(&policy, &with(waiting), &mut memory, f64::from(second));
        assert_eq!((step.target, step.drain.len()), (3, 0), "{second}: {}", step.why);
    }
}

#[test]
fn whoever_is_lost_is_replaced_while_it_is_worth_it() {
    let (policy, mut memory) = (policy(0, 10), Memory::default());
    let with = |waiting, n: usize| {
        let mut seen = seen(crew(waiting, Some(10.0)));
        seen.crews.cpu.workers = workers_with(&vec![1; n]);
        seen
    };
    assert_eq!(cpu(&policy, &with(400, 8), &mut memory, 0.0).target, 8);
    assert_eq!(cpu(&policy, &with(300, 5), &mut memory, 10.0).start, 3);
    // 20 items of 10 s: 40 s for five, and a launch takes two minutes.
    let step = cpu(&policy, &with(20, 5), &mut memory, 20.0);
    assert!(step.start == 0 && step.why.contains("done before another is there"), "{}", step.why);
}

#[test]
fn jobs_without_a_machine_are_given_up_and_the_next_are_started_elsewhere() {
    let (policy, mut memory) = (policy(0, 10), Memory::default());
    let mut seen = seen(crew(480, Some(10.0)));
    seen.crews.cpu.launching = launching(10, Some(601.0));
    let step = cpu(&policy, &seen, &mut memory, 0.0);
    assert_eq!((step.cancel.len(), step.start, step.market), (10, 10, Some(Market::OnDemand)));
    assert!(memory.kinds.cpu.place.trouble().unwrap().contains("no spot machine within 10 min"));
    // The first are still listed, and some were ordered before the others.
    let on_demand = |queued_s| {
        let mut all = launching(10, Some(queued_s));
        all.iter_mut().for_each(|launching| launching.market = Market::OnDemand);
        all
    };
    seen.crews.cpu.launching.extend(on_demand(1.0));
    let step = cpu(&policy, &seen, &mut memory, 1.0);
    assert_eq!((step.cancel.len(), step.start, step.market), (10, 0, Some(Market::OnDemand)));
    seen.crews.cpu.launching = on_demand(601.0);
    for _ in 0..3 {
        let step = cpu(&policy, &seen, &mut memory, 602.0);
        assert_eq!((step.cancel.len(), step.start), (10, 0), "nothing is left but to wait");
    }
    let step = cpu(&policy, &seen, &mut memory, 602.0);
    assert!(step.why.contains("the next try is in 15 s"), "{}", step.why);
}

#[test]
fn those_who_help_count_and_are_not_sent_away() {
    let (policy, mut memory) = (policy(0, 10), Memory::default());
    let mut seen = seen(crew(480, Some(10.0)));
    seen.crews.cpu.others = 4;
    let step = cpu(&policy, &seen, &mut memory, 0.0);
    // 4800 s, of which the four do 480 while others are launched; the rest takes nine.
    assert_eq!(step.start, 5, "{}", step.why);
    assert!(step.why.contains("4 workers of others help"), "{}", step.why);
}

#[test]
fn a_command_fixes_a_number_within_what_is_allowed_and_stop_sends_all_away() {
    let (policy, mut memory) = (policy(1, 4), Memory::default());
    let mut seen = seen(crew(0, None));
    seen.wish.fixed.cpu = Some(9);
    let step = cpu(&policy, &seen, &mut memory, 0.0);
    assert_eq!((step.target, step.start), (4, 4), "{}", step.why);
    seen.wish.stopped = true;
    seen.crews.cpu.workers = workers_with(&[1, 1]);
    seen.crews.cpu.launching = launching(2, None);
    let step = cpu(&policy, &seen, &mut memory, 1.0);
    assert_eq!((step.target, step.drain.len(), step.cancel.len()), (0, 2, 2), "{}", step.why);
}

#[test]
fn a_budget_that_is_reached_sends_all_away_until_it_is_raised() {
    let (mut policy, mut memory) = (policy(1, 10), Memory::default());
    policy.budget.hours = Some(2.0);
    let mut seen = seen(crew(1000, Some(10.0)));
    seen.crews.cpu.workers = workers_with(&[1, 1]);
    seen.spent.hours = 1.9;
    assert!(decide(&policy, &seen, &mut memory, 0.0).messages.is_empty());
    // Two workers take another minute to leave.
    seen.spent.hours = 1.99;
    let decision = decide(&policy, &seen, &mut memory, 1.0);
    assert_eq!((decision.kinds.cpu.target, decision.kinds.cpu.drain.len()), (0, 2));
    assert!(decision.messages[0].contains("1.99 of 2 hours of workers"), "{:?}", decision.messages);
    seen.crews.cpu.workers.clear();
    assert_eq!(cpu(&policy, &seen, &mut memory, 2.0).start, 0, "what is saved is no reason to begin again");
    policy.budget.hours = Some(3.0);
    assert!(cpu(&policy, &seen, &mut memory, 3.0).start > 0);
}

#[test]
fn no_more_are_started_than_the_money_is_enough_for() {
    let (mut policy, mut memory) = (policy(0, 10), Memory::default());
    // Twice 30 s of a worker at 0.5 an hour are a 120th; enough for three.
    policy.budget.money = Some(3.5 / 120.0);
    let step = cpu(&policy, &seen(crew(4800, Some(10.0))), &mut memory, 0.0);
    assert_eq!((step.target, step.start), (10, 3), "{}", step.why);
    assert!(step.why.contains("enough for 3 more"), "{}", step.why);
}

#[test]
fn a_controller_that_begins_leaves_everybody_where_they_are() {
    let (policy, mut memory) = (policy(0, 10), Memory::default());
    let mut seen = seen(crew(3, Some(1.0)));
    seen.crews.cpu.workers = workers_with(&[1, 1, 1, 0, 0]);
    let step = cpu(&policy, &seen, &mut memory, 0.0);
    assert_eq!((step.target, step.start, step.drain.len()), (5, 0, 0));
}

#[test]
fn those_who_leave_make_room_first() {
    let (policy, mut memory) = (policy(0, 10), Memory::default());
    let mut seen = seen(crew(4800, Some(10.0)));
    seen.crews.cpu.workers = workers_with(&[1; 4]);
    seen.crews.cpu.leaving = 4;
    let step = cpu(&policy, &seen, &mut memory, 0.0);
    assert_eq!((step.target, step.start), (10, 2), "{}", step.why);
    assert!(step.why.contains("4 are leaving first"), "{}", step.why);
}

#[test]
fn nobody_is_sent_away_in_the_place_of_one_of_whom_nothing_is_known_now() {
    let (policy, mut memory) = (policy(0, 10), Memory::default());
    let mut seen = seen(crew(0, None));
    seen.crews.cpu.workers = workers_with(&[1, 1, 1]);
    seen.crews.cpu.launching = launching(1, None);
    seen.crews.cpu.launching[0].job = None;
    seen.wish.fixed.cpu = Some(3);
    let step = cpu(&policy, &seen, &mut memory, 0.0);
    assert_eq!((step.drain.len(), step.cancel.len()), (0, 0));
    seen.wish.stopped = true;
    assert_eq!(cpu(&policy, &seen, &mut memory, 1.0).drain.len(), 3);
}

#[test]
fn kinds_are_decided_on_by_themselves() {
    let mut policy = policy(0, 10);
    policy.kinds.gpu = policy.kinds.cpu.clone();
    let seen = Seen { crews: ByKind { cpu: crew(0, None), gpu: crew(480, Some(10.0)) }, ..Seen::default() };
    let kinds = decide(&policy, &seen, &mut Memory::default(), 0.0).kinds;
    assert_eq!(ByKind::from_fn(|kind| kinds.of(kind).start), ByKind { cpu: 0, gpu: 10 });
    assert_eq!(kinds.of(CPU).why, "nothing to do");
}

/// Not a test but a measurement: what a decision over ten thousand cards costs.
#[test]
#[ignore = "a measurement: cargo test --release -p swath-coordinator decide_over -- --ignored --nocapture"]
fn decide_over_ten_thousand_workers() {
    let (policy, mut memory) = (policy(0, 10_000), Memory::default());
    let mut seen = seen(crew(10_000_000, Some(60.0)));
    seen.crews.cpu.workers = workers_with(&vec![1; 10_000]);
    const ROUNDS: u32 = 1000;
    let began = std::time::Instant::now();
    for round in 0..ROUNDS {
        let step = cpu(&policy, &seen, &mut memory, f64::from(round));
        assert_eq!((step.target, step.start, step.drain.len()), (10_000, 0, 0));
    }
    let ns = began.elapsed().as_nanos() / u128::from(ROUNDS);
    println!(r#"{{"name":"fleet/decide-10k-workers","value":{ns},"unit":"ns"}}"#);
}
