//! What a decision is made of: the workers of each kind, and what there is for them to do.

use swath_proto::{
    fleet::{ByKind, Market, Spent, Wish},
    ids::WorkerId,
};

use crate::fleet::{market::News, provider::JobId};

/// What an item takes before one has ended: about as long as items are made.
const UNKNOWN_S: f64 = 30.0;

/// All that a decision depends on, beside the policy.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    pub crews: ByKind<Crew>,
    pub spent: Spent,
    pub wish: Wish,
}

/// Those of a kind, and what there is for them to do.
#[derive(Clone, Debug, Default)]
pub struct Crew {
    pub work: Work,
    /// At work, or waiting for it.
    pub workers: Vec<Worker>,
    /// Asked for, and not at work yet.
    pub launching: Vec<Launching>,
    pub leaving: u32,
    /// Started by somebody else: they help, and are not ours to send away.
    pub others: u32,
    /// Since the last decision.
    pub news: Vec<News>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Work {
    /// Items that nobody has in hand.
    pub waiting: u64,
    /// Items in hand: half of each is left, more or less.
    pub held: u64,
    /// From claim to finish, of all that are left and were measured.
    pub seconds: f64,
    /// How many of them nothing is known of.
    pub unknown: f64,
}

impl Work {
    /// The items of one run.
    pub fn add(&mut self, waiting: u64, held: u64, item_s: Option<f64>) {
        self.waiting += waiting;
        self.held += held;
        let left = waiting as f64 + held as f64 / 2.0;
        match item_s {
            Some(item_s) => self.seconds += left * item_s,
            None => self.unknown += left,
        }
    }

    pub(super) fn items(&self) -> u64 {
        self.waiting + self.held
    }

    pub(super) fn all_s(&self) -> f64 {
        self.seconds + self.unknown * UNKNOWN_S
    }

    /// Most of it was never measured.
    pub(in crate::fleet) fn is_guess(&self) -> bool {
        self.unknown * UNKNOWN_S > self.seconds
    }

    /// On an average.
    pub(in crate::fleet) fn item_s(&self) -> f64 {
        let left = self.waiting as f64 + self.held as f64 / 2.0;
        if left > 0.0 { self.all_s() / left } else { 0.0 }
    }
}

#[derive(Clone, Debug, PartialEq)]
pub struct Worker {
    pub id: WorkerId,
    pub in_hand: u32,
    pub slots: u32,
    pub market: Market,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Launching {
    /// None: it can't be ended, since its order is not answered yet, or its worker was there a moment ago.
    pub job: Option<JobId>,
    pub market: Market,
    /// Without a machine, and for how long; and why, where anybody says.
    pub queued: Option<Queued>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Queued {
    pub for_s: f64,
    pub why: Option<String>,
}
