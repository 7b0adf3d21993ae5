//! What rented machines cost, in lines for people: what a run has spent, and what one is expected to.

use swath_coordinator::{
    money::{Bill, Prices},
    outlook::StageOutlook,
};
use swath_proto::status::{Rented, RunStatus};

use crate::{args::DoorArgs, profile};

pub(super) fn prices(doors: &DoorArgs) -> anyhow::Result<Prices> {
    profile::prices(doors.prices.as_deref(), doors.profile.as_deref())
}

/// Nothing where all workers were on machines of one's own.
pub(super) fn tell_spent(status: &RunStatus, doors: &DoorArgs) -> anyhow::Result<()> {
    if !status.rented.is_empty() {
        spent(status, &prices(doors)?).iter().for_each(|line| say!("{line}"));
    }
    Ok(())
}

fn spent(status: &RunStatus, prices: &Prices) -> Vec<String> {
    let bill = prices.bill(&status.rented);
    let done = status.pixels_done as f64 / status.pixels.max(1) as f64;
    let square_km = status.square_km.map(|area| area * done);
    let of_area = square_km.and_then(|area| bill.per_1000_square_km(area));
    let per = [
        of_area.map(|money| format!("{} per 1000 km2", prices.told(money))),
        bill.per_gigapixel(status.pixels_done).map(|money| format!("{} per gigapixel", prices.told(money))),
    ];
    let per: Vec<String> = per.into_iter().flatten().collect();
    let per = if per.is_empty() { String::new() } else { format!("; {}", per.join(", ")) };
    let mut lines = vec![format!("spent       {}{per}", told(&bill, prices))];
    lines.extend(unpriced(&bill).map(|line| format!("            {line}")));
    lines
}

/// What is left to do, as far as an earlier run tells what it takes.
pub(super) fn expected(stages: &[StageOutlook]) -> Vec<Rented> {
    stages.iter().filter_map(|stage| stage.time.as_ref()).flat_map(|time| time.rented.clone()).collect()
}

pub(super) fn expectation(stages: &[StageOutlook], prices: &Prices) -> Vec<String> {
    let rented = expected(stages);
    if rented.is_empty() {
        return Vec::new();
    }
    let bill = prices.bill(&rented);
    let mut lines = vec![format!("cost    about {}", told(&bill, prices))];
    lines.extend(unpriced(&bill).map(|line| format!("        {line}")));
    let is_left = |stage: &&StageOutlook| stage.time.is_none() && stage.exist.unwrap_or(0) < stage.items;
    let unknown: Vec<&str> = stages.iter().filter(is_left).map(|stage| stage.stage.name()).collect();
    if !unknown.is_empty() {
        lines.push(format!("        without {}, of which nothing is known yet", unknown.join(", ")));
    }
    lines
}

fn told(bill: &Bill, prices: &Prices) -> String {
    format!("{} for {:.1} machine hours, by {}", prices.told(bill.money), bill.hours, prices.origin())
}

fn unpriced(bill: &Bill) -> Option<String> {
    let kinds: Vec<&str> = bill.unknown.iter().map(String::as_str).collect();
    (!kinds.is_empty())
        .then(|| format!("without {}: the table of prices (--prices) lacks them", kinds.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(rented: &serde_json::Value) -> RunStatus {
        let json = serde_json::json!({
            "run": "a-1", "state": "running", "written": "", "started": "", "stages": {}, "pixels_done": 2_000_000_000_u64,
            "pixels": 4_000_000_000_u64, "items_per_second": 0.0, "eta_seconds": null, "n_failures": 0, "failures": [],
            "unreadable_scenes": [], "message": null, "square_km": 200.0, "rented": rented,
        });
        serde_json::from_value(json).unwrap()
    }

    #[test]
    fn what_was_spent_is_told_with_what_came_of_it() {
        let rented = serde_json::json!([
            { "kind": "g5.xlarge", "is_spot": false, "stage": "predict", "seconds": 7200.0 }
        ]);
        let lines = spent(&status(&rented), &Prices::examples());
        assert!(lines[0].starts_with("spent       2.01 USD for 2.0 machine hours"), "{lines:?}");
        assert!(lines[0].contains("examples, replace by yours"), "{lines:?}");
        assert!(lines[0].ends_with("20.12 USD per 1000 km2, 1.01 USD per gigapixel"), "{lines:?}");
    }

    #[test]
    fn a_machine_without_a_price_is_named() {
        let rented = serde_json::json!([{ "kind": "x9.huge", "is_spot": true, "seconds": 3600.0 }]);
        let lines = spent(&status(&rented), &Prices::examples());
        assert!(!lines[0].contains("per gigapixel"), "{lines:?}");
        assert!(lines[1].contains("x9.huge (spot)"), "{lines:?}");
    }
}
