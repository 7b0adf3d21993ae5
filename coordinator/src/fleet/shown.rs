//! How the fleet stands, for Prometheus.

use swath_proto::fleet::{FleetStatus, WorkerKind};

use super::{market::News, target::Seen};
use crate::metrics::fleet::{self, Account, Crew};

/// After each look.
pub fn show(status: &FleetStatus, seen: &Seen) {
    for kind in WorkerKind::ALL {
        let crew = status.crews.of(kind);
        if crew.max == 0 {
            continue;
        }
        let name = kind.to_string();
        let (target, max, launching) = (crew.target, crew.max, crew.launching);
        fleet::crew(&name, Crew { target, max, launching, launch_s: crew.launch_s });
        for news in &seen.crews.of(kind).news {
            match news {
                News::Came { .. } => fleet::started(&name, 1),
                News::Lost => fleet::preempted(&name, 1),
                News::Failed(_) | News::NoCapacity(_) => fleet::not_started(&name, 1),
            }
        }
    }
    fleet::account(Account {
        hours: status.spent.hours,
        money: status.spent.money,
        budget_hours: status.budget.hours,
        budget_money: status.budget.money,
    });
}
