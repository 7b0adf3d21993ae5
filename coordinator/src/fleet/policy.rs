//! What is asked of a fleet, checked.

use swath_proto::fleet::{Budget, ByKind, Market};

#[derive(Clone, Debug, PartialEq)]
pub struct Policy {
    /// Seconds in which the backlog is to be worked off, the launch of workers included.
    pub drain_s: f64,
    pub kinds: ByKind<KindPolicy>,
    pub budget: Budget,
    /// How long fewer workers must be enough before any is told to leave, and the least between two small rises.
    pub cool_down_s: f64,
    /// From an order to the first word of its worker, before one was measured.
    pub launch_s: f64,
    /// Whoever has no machine for so long gets none: there is no capacity.
    pub patience_s: f64,
    /// Items in hand at a time, of workers that have not told yet.
    pub slots: u32,
}

#[derive(Clone, Debug, PartialEq)]
pub struct KindPolicy {
    pub min: u32,
    /// None are started where it is 0.
    pub max: u32,
    /// Tried in this order; never empty.
    pub offers: Vec<Offer>,
}

/// Where workers of a kind can be had.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Offer {
    pub market: Market,
    pub price_per_hour: Option<f64>,
}

impl Policy {
    pub const DRAIN_S: f64 = 1800.0;
    pub const COOL_DOWN_S: f64 = 60.0;

    /// For processes of this machine: they are there in seconds, or not at all.
    pub fn of_here(cpu: (u32, u32), gpu: (u32, u32)) -> Self {
        let offers = || vec![Offer { market: Market::OnDemand, price_per_hour: None }];
        Self {
            drain_s: Self::DRAIN_S,
            kinds: ByKind {
                cpu: KindPolicy { min: cpu.0, max: cpu.1, offers: offers() },
                gpu: KindPolicy { min: gpu.0, max: gpu.1, offers: offers() },
            },
            budget: Budget::default(),
            cool_down_s: 15.0,
            launch_s: 2.0,
            patience_s: 60.0,
            slots: 3,
        }
    }

    /// For machines that are rented: minutes until one works.
    pub fn of_machines(cpu: KindPolicy, gpu: KindPolicy) -> Self {
        Self {
            drain_s: Self::DRAIN_S,
            kinds: ByKind { cpu, gpu },
            budget: Budget::default(),
            cool_down_s: Self::COOL_DOWN_S,
            launch_s: 180.0,
            patience_s: 600.0,
            slots: 3,
        }
    }

    /// What is wrong with it, in words.
    pub fn check(&self) -> Result<(), String> {
        let positive = |what: &str, value: f64| match value.is_finite() && value > 0.0 {
            true => Ok(()),
            false => Err(format!("{what} {value}: must be more than 0")),
        };
        positive("--drain-time", self.drain_s)?;
        if !(self.cool_down_s.is_finite() && self.cool_down_s >= 0.0) {
            return Err(format!("--cool-down {}: must be 0 or more", self.cool_down_s));
        }
        for (what, limit) in [("--budget-hours", self.budget.hours), ("--budget-money", self.budget.money)] {
            limit.map_or(Ok(()), |limit| positive(what, limit))?;
        }
        for (name, kind) in [("", &self.kinds.cpu), ("gpu-", &self.kinds.gpu)] {
            if kind.min > kind.max {
                let (min, max) = (kind.min, kind.max);
                return Err(format!("--{name}workers-min {min}: is more than --{name}workers-max {max}"));
            }
            if kind.max > Self::MOST {
                return Err(format!("--{name}workers-max {}: must be {} at most", kind.max, Self::MOST));
            }
            if kind.offers.is_empty() {
                return Err(format!("--{name}markets: must name one at least"));
            }
            for offer in &kind.offers {
                let what = if name.is_empty() { "cpu" } else { "gpu" };
                match offer.price_per_hour {
                    Some(price) if !(price.is_finite() && price >= 0.0) => {
                        return Err(format!("--price {what}-{}={price}: must be 0 or more", offer.market));
                    }
                    None if kind.max > 0 && self.budget.money.is_some() => {
                        return Err(format!(
                            "--budget-money: what an hour costs must be known: give --price {what}-{}=MONEY",
                            offer.market
                        ));
                    }
                    _ => {}
                }
            }
        }
        if self.kinds.cpu.max == 0 && self.kinds.gpu.max == 0 {
            let why = "--workers-max 0, and no --gpu-workers-max: nobody could ever be started; allow one worker at least, or \
                       leave --fleet out";
            return Err(why.into());
        }
        Ok(())
    }

    /// Of each kind.
    pub const MOST: u32 = 10_000;
}

impl KindPolicy {
    pub fn price(&self, market: Market) -> Option<f64> {
        self.offers.iter().find(|offer| offer.market == market)?.price_per_hour
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_policy_that_makes_no_sense_is_told_of_by_its_flag() {
        let wrong = |change: fn(&mut Policy)| {
            let mut policy = Policy::of_here((0, 4), (0, 0));
            policy.check().unwrap();
            change(&mut policy);
            policy.check().unwrap_err()
        };
        assert!(wrong(|policy| policy.drain_s = 0.0).starts_with("--drain-time 0"));
        assert!(wrong(|policy| policy.cool_down_s = -1.0).starts_with("--cool-down -1"));
        assert!(wrong(|policy| policy.kinds.cpu.min = 5).starts_with("--workers-min 5"));
        assert!(wrong(|policy| policy.kinds.gpu.min = 1).starts_with("--gpu-workers-min 1"));
        assert!(wrong(|policy| policy.kinds.cpu.max = 0).starts_with("--workers-max 0"));
        assert!(wrong(|policy| policy.kinds.cpu.max = 20_000).contains("10000 at most"));
        assert!(wrong(|policy| policy.budget.hours = Some(f64::NAN)).starts_with("--budget-hours"));
        assert!(
            wrong(|policy| policy.kinds.cpu.offers[0].price_per_hour = Some(-1.0)).contains("cpu-on-demand")
        );
    }

    #[test]
    fn money_is_no_limit_where_no_price_is_known() {
        let mut policy = Policy::of_here((0, 4), (0, 0));
        policy.budget.money = Some(10.0);
        assert!(policy.check().unwrap_err().contains("--price cpu-on-demand=MONEY"));
        policy.kinds.cpu.offers[0].price_per_hour = Some(0.05);
        policy.check().unwrap();
    }
}
