//! What may still be spent. A budget is reached when what is left is just what those who are there take to leave. Pure.

use swath_proto::fleet::{Budget, Spent, WorkerKind};

use super::{policy::Policy, target::Seen};

/// From the word to leave until a worker without work has left.
const LEAVES_S: f64 = 10.0;

/// What is left of the budget once everybody who is there has left; none: there is no such limit.
pub(super) struct Left {
    hours: Option<f64>,
    money: Option<f64>,
}

impl Left {
    pub(super) fn of(policy: &Policy, seen: &Seen) -> Self {
        let (mut hours, mut money) = (seen.spent.hours, seen.spent.money);
        for kind in WorkerKind::ALL {
            let (crew, kind) = (seen.crews.of(kind), policy.kinds.of(kind));
            let each_h = leaves_h(crew.work.item_s());
            let dearest = kind.offers.iter().filter_map(|offer| offer.price_per_hour).fold(0.0, f64::max);
            let n = (crew.workers.len() + crew.launching.len()) as f64 + f64::from(crew.leaving);
            hours += n * each_h;
            money += n * each_h * dearest;
        }
        Self {
            hours: policy.budget.hours.map(|budget| budget - hours),
            money: policy.budget.money.map(|budget| budget - money),
        }
    }

    pub(super) fn is_used_up(&self) -> bool {
        [self.hours, self.money].into_iter().flatten().any(|left| left <= 0.0)
    }

    /// Sets aside what workers cost at least; returns for how many there is enough.
    pub(super) fn take(&mut self, wanted: u32, item_s: f64, price: Option<f64>) -> u32 {
        // Enough to do something before it has to leave.
        let each_h = 2.0 * leaves_h(item_s);
        let within = |left: Option<f64>, each: f64| match left {
            Some(left) if each > 0.0 => (left / each).floor().clamp(0.0, f64::from(wanted)) as u32,
            _ => wanted,
        };
        let each = each_h * price.unwrap_or(0.0);
        let n = within(self.hours, each_h).min(within(self.money, each));
        self.hours = self.hours.map(|left| left - f64::from(n) * each_h);
        self.money = self.money.map(|left| left - f64::from(n) * each);
        n
    }
}

/// Hours from the word to leave until a worker has left: it finishes what it has.
fn leaves_h(item_s: f64) -> f64 {
    (2.0 * item_s + LEAVES_S) / 3600.0
}

/// What was spent of what.
pub(super) fn told(budget: Budget, spent: Spent) -> String {
    let hours = budget.hours.map(|hours| format!("{:.2} of {hours} hours of workers", spent.hours));
    let money = budget.money.map(|money| format!("{:.2} of {money} in money", spent.money));
    hours.into_iter().chain(money).collect::<Vec<_>>().join(", ")
}
