//! Which parties make up a generation of a gang, and as what ranks. A party is a supervisor with the ranks that it
//! starts on its machine; one of them decides for all, from nothing but what each says of itself.

use std::{collections::BTreeMap, fmt, net::IpAddr};

use serde::{Deserialize, Serialize};
use swath_proto::ids::{Digest, WorkerId};

use crate::Kind;

/// What all parties say, by their names.
pub(super) type Cards = BTreeMap<WorkerId, Card>;

/// What a party says of itself.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Card {
    /// Where the others reach it.
    pub address: IpAddr,
    pub ranks: u32,
    /// Of the file that says what is trained.
    pub training: Digest,
    pub state: State,
    /// It takes part in nothing new.
    pub leaves: bool,
    /// What it has decided, if it leads.
    pub plan: Option<Plan>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum State {
    /// It has been in no generation yet.
    Waits,
    /// Its ranks are in this one, or will be when the store is open: at this port, which the first party tells.
    Works { generation: Id, port: Option<u16> },
    /// Its ranks have ended as the others did, at a checkpoint or at the end.
    Stopped(Id),
    /// A rank is gone, so that the others wait in vain.
    Lost(Id),
    /// The training has come to its end, for all.
    Over(Verdict),
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Verdict {
    Finished,
    Failed { kind: Kind, text: String },
}

/// Numbers count up, whoever decides; where two decide at once, their names tell them apart.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Id {
    pub number: u64,
    pub by: WorkerId,
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.number, self.by)
    }
}

/// A generation. Ranks count through its parties, in their order.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Plan {
    pub id: Id,
    pub parties: Vec<(WorkerId, u32)>,
}

impl Plan {
    pub fn size(&self) -> u32 {
        self.parties.iter().map(|(_, ranks)| ranks).sum()
    }

    /// The first rank of a party; `None` where it has none.
    pub fn first_rank(&self, party: &WorkerId) -> Option<u32> {
        let at = self.parties.iter().position(|(name, _)| name == party)?;
        Some(self.parties[..at].iter().map(|(_, ranks)| ranks).sum())
    }

    /// Whether its ranks still hear each other, so that they can agree on where to stop.
    pub fn is_whole(&self, cards: &Cards) -> bool {
        let is_lost = |card: &Card| matches!(&card.state, State::Lost(id) if *id == self.id);
        self.parties.iter().all(|(name, _)| cards.get(name).is_some_and(|card| !is_lost(card)))
    }
}

/// How many ranks may train together.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    pub least: u32,
    pub most: u32,
}

/// The next generation, if it is time for one. `last` is the one before, so far as it is known; `is_settled`: nobody
/// has come or gone for a while.
pub(super) fn decide(
    me: &WorkerId,
    cards: &Cards,
    last: Option<&Plan>,
    limits: Limits,
    is_settled: bool,
) -> Option<Plan> {
    if cards.values().any(|card| matches!(card.state, State::Over(_))) {
        return None;
    }
    let newest = cards.values().filter_map(|card| card.state.generation()).map(|id| id.number).max();
    // Whoever decided before has decided more than we have heard of.
    let is_known = |plan: &&Plan| {
        cards
            .values()
            .filter_map(|card| card.state.generation())
            .all(|id| id.number < plan.id.number || *id == plan.id)
    };
    let stands = last.filter(is_known).map(|plan| (plan, standing(plan, cards)));
    let parties = choose(cards, last, limits);
    match stands {
        Some((_, Standing::Ends)) => return None,
        // All are asked to stop for newcomers, so not for each of them alone.
        Some((plan, Standing::Works)) if !is_settled || parties == plan.parties => return None,
        _ => {}
    }
    if parties.is_empty() || parties.iter().map(|(_, ranks)| ranks).sum::<u32>() < limits.least {
        return None;
    }
    let number = newest.max(last.map(|plan| plan.id.number)).map_or(1, |number| number + 1);
    Some(Plan { id: Id { number, by: me.clone() }, parties })
}

impl State {
    pub const fn generation(&self) -> Option<&Id> {
        match self {
            Self::Works { generation, .. } | Self::Stopped(generation) | Self::Lost(generation) => {
                Some(generation)
            }
            Self::Waits | Self::Over(_) => None,
        }
    }
}

enum Standing {
    /// All are in it, or about to be.
    Works,
    /// Some have ended in good order, and the others will: the first may still be writing a checkpoint.
    Ends,
    /// All have ended, or one is gone.
    IsOver,
}

fn standing(plan: &Plan, cards: &Cards) -> Standing {
    let (mut stopped, mut leaves) = (0, false);
    for (name, _) in &plan.parties {
        match cards.get(name) {
            None => return Standing::IsOver,
            Some(card) => match &card.state {
                State::Lost(id) if *id == plan.id => return Standing::IsOver,
                State::Stopped(id) if *id == plan.id => stopped += 1,
                State::Works { .. } => leaves |= card.leaves,
                // It has left before it was in it.
                _ if card.leaves => return Standing::IsOver,
                _ => {}
            },
        }
    }
    match stopped {
        0 if !leaves => Standing::Works,
        _ if stopped == plan.parties.len() => Standing::IsOver,
        _ => Standing::Ends,
    }
}

/// Those who were in it before come first, in their order: the first of them knows how far all have come.
fn choose(cards: &Cards, last: Option<&Plan>, limits: Limits) -> Vec<(WorkerId, u32)> {
    let before = last.into_iter().flat_map(|plan| &plan.parties).map(|(name, _)| name);
    let is_new = |name: &&WorkerId| last.is_none_or(|plan| plan.first_rank(name).is_none());
    let mut size = 0;
    let takes_part = |name: &WorkerId| {
        let card = cards.get(name).filter(|card| !card.leaves && size + card.ranks <= limits.most)?;
        size += card.ranks;
        Some((name.clone(), card.ranks))
    };
    before.chain(cards.keys().filter(is_new)).filter_map(takes_part).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits { least: 2, most: 8 };

    fn name(name: &str) -> WorkerId {
        name.parse().unwrap()
    }

    fn id(number: u64) -> Id {
        Id { number, by: name("a") }
    }

    fn card(state: State) -> Card {
        let address = "10.0.0.1".parse().unwrap();
        Card { address, ranks: 2, training: Digest::of(b""), state, leaves: false, plan: None }
    }

    fn works(number: u64) -> State {
        State::Works { generation: id(number), port: None }
    }

    fn cards(states: &[(&str, State)]) -> Cards {
        states.iter().map(|(party, state)| (name(party), card(state.clone()))).collect()
    }

    fn plan(number: u64, parties: &[&str]) -> Plan {
        Plan { id: id(number), parties: parties.iter().map(|party| (name(party), 2)).collect() }
    }

    fn next(cards: &Cards, last: Option<&Plan>) -> Option<Plan> {
        decide(&name("a"), cards, last, LIMITS, true)
    }

    #[test]
    fn it_begins_with_as_many_as_are_asked_for() {
        let limits = Limits { least: 4, most: 8 };
        let mut there = cards(&[("b", State::Waits)]);
        assert_eq!(decide(&name("a"), &there, None, limits, true), None);
        there.insert(name("a"), card(State::Waits));
        assert_eq!(decide(&name("a"), &there, None, limits, false), Some(plan(1, &["a", "b"])));
        assert_eq!((plan(1, &["a", "b"]).size(), plan(1, &["a", "b"]).first_rank(&name("b"))), (4, Some(2)));
        assert_eq!(plan(1, &["a"]).first_rank(&name("b")), None);
    }

    #[test]
    fn what_works_is_left_alone() {
        let last = plan(3, &["b", "a"]);
        // One of them has not heard of it yet.
        for states in
            [[works(3), works(3)], [State::Stopped(id(2)), works(3)], [State::Waits, State::Lost(id(2))]]
        {
            let [a, b] = states;
            assert_eq!(next(&cards(&[("a", a), ("b", b)]), Some(&last)), None);
        }
    }

    #[test]
    fn without_one_that_is_gone_the_others_go_on_at_once() {
        let last = plan(3, &["c", "b", "a"]);
        let there = cards(&[("a", works(3)), ("c", works(3))]);
        let decided = decide(&name("a"), &there, Some(&last), LIMITS, false);
        assert_eq!(decided, Some(plan(4, &["c", "a"])));
        assert!(!last.is_whole(&there) && plan(3, &["c", "a"]).is_whole(&there));
        let there = cards(&[("a", works(3)), ("b", State::Lost(id(3))), ("c", works(3))]);
        assert!(!last.is_whole(&there) && plan(2, &["b"]).is_whole(&there));
        assert_eq!(next(&there, Some(&last)), Some(plan(4, &["c", "b", "a"])));
    }

    #[test]
    fn all_are_waited_for_that_stop_in_good_order() {
        let last = plan(3, &["a", "b"]);
        let mut there = cards(&[("a", works(3)), ("b", works(3)), ("c", State::Waits)]);
        let leaving = |cards: &mut Cards, state| {
            *cards.get_mut(&name("b")).unwrap() = Card { leaves: true, ..card(state) }
        };
        leaving(&mut there, works(3));
        assert_eq!(next(&there, Some(&last)), None, "newcomers are let in while one is told to stop");
        leaving(&mut there, State::Stopped(id(3)));
        assert_eq!(next(&there, Some(&last)), None, "the first may be writing a checkpoint");
        there.insert(name("a"), card(State::Stopped(id(3))));
        assert_eq!(next(&there, Some(&last)), Some(plan(4, &["a", "c"])));
        // What has left before it was in it is not waited for.
        leaving(&mut there, State::Stopped(id(2)));
        there.insert(name("a"), card(works(3)));
        assert_eq!(next(&there, Some(&last)), Some(plan(4, &["a", "c"])));
    }

    #[test]
    fn newcomers_are_let_in_once_nobody_else_comes() {
        let last = plan(3, &["b"]);
        let there = cards(&[("a", State::Waits), ("b", works(3)), ("c", State::Waits)]);
        assert_eq!(decide(&name("a"), &there, Some(&last), LIMITS, false), None);
        assert_eq!(next(&there, Some(&last)), Some(plan(4, &["b", "a", "c"])));
        // No more than have something to do: those that are too many stand by.
        let limits = Limits { most: 5, ..LIMITS };
        assert_eq!(decide(&name("a"), &there, Some(&last), limits, true), Some(plan(4, &["b", "a"])));
        let there = cards(&[("a", works(4)), ("b", works(4)), ("c", State::Waits)]);
        assert_eq!(decide(&name("a"), &there, Some(&plan(4, &["b", "a"])), limits, true), None);
    }

    #[test]
    fn whoever_leads_next_decides_beyond_all_that_was_decided() {
        let there = cards(&[("a", works(7)), ("b", works(6))]);
        for last in [None, Some(plan(6, &["a", "b"]))] {
            assert_eq!(next(&there, last.as_ref()).unwrap().id, id(8));
        }
        // Another has decided the same number.
        let mut last = plan(7, &["a", "b"]);
        last.id.by = name("z");
        assert_eq!(next(&there, Some(&last)).unwrap().id, id(8));
    }

    #[test]
    fn what_is_over_begins_no_more() {
        let there = cards(&[("a", State::Over(Verdict::Finished)), ("b", State::Waits), ("c", State::Waits)]);
        assert_eq!(next(&there, None), None);
    }
}
