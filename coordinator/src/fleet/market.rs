//! Where the next workers of a kind are started, and how long nothing is: after launches that failed, and where
//! there is no capacity. Pure.

use std::collections::VecDeque;

use swath_proto::fleet::Market;

use super::policy::{KindPolicy, Offer};

/// The first pause after a failure; the next are twice as long each.
const FIRST_PAUSE_S: f64 = 15.0;
const LONGEST_PAUSE_S: f64 = 900.0;
/// After so long elsewhere the first offer is tried again.
const RETURN_S: f64 = 1800.0;
/// So long are machines remembered that were taken away.
const STORM_S: f64 = 600.0;
const STORM: usize = 3;
/// What the latest launch counts for.
const LATEST: f64 = 0.3;

/// What has become of those that were started.
#[derive(Clone, Debug, PartialEq)]
pub enum News {
    /// It works, so long after it was ordered.
    Came { launch_s: f64 },
    /// Its machine was taken away, or has died.
    Lost,
    /// It has ended before it worked, or the provider says no; and why.
    Failed(String),
    /// There is no machine to be had, or no more than so many; and in whose words.
    NoCapacity(String),
}

#[derive(Clone, Debug, Default)]
pub struct Place {
    offer: usize,
    since_s: f64,
    failures: u32,
    rests_until_s: f64,
    trouble: Option<String>,
    lost_s: VecDeque<f64>,
    pub launch_s: Option<f64>,
}

impl Place {
    /// Of a controller before this one.
    pub fn measured(launch_s: Option<f64>) -> Self {
        Self { launch_s, ..Self::default() }
    }

    /// Where to start the next.
    pub fn offer(&self, policy: &KindPolicy) -> Offer {
        policy.offers[self.offer.min(policy.offers.len() - 1)]
    }

    pub const fn trouble(&self) -> Option<&String> {
        self.trouble.as_ref()
    }

    /// Seconds until anything is started again; none: at once.
    pub fn pause_s(&self, now_s: f64) -> Option<f64> {
        Some(self.rests_until_s - now_s).filter(|left| *left > 0.0)
    }

    pub fn hear(&mut self, news: &[News], crew: usize, policy: &KindPolicy, now_s: f64) {
        if self.offer > 0 && now_s - self.since_s > RETURN_S {
            self.offer = 0;
        }
        // Of ten that fail at once, one failure is heard.
        let mut failed = false;
        for news in news {
            match news {
                News::Came { launch_s } => {
                    let known = self.launch_s.get_or_insert(*launch_s);
                    *known += LATEST * (launch_s - *known);
                    self.failures = 0;
                    self.rests_until_s = now_s;
                    self.trouble = None;
                }
                News::Lost => self.lost_s.push_back(now_s),
                News::Failed(why) if !failed => {
                    failed = true;
                    self.rest(why.clone(), now_s);
                }
                News::NoCapacity(why) if !failed => {
                    failed = true;
                    self.elsewhere(why, policy, now_s);
                }
                News::Failed(_) | News::NoCapacity(_) => {}
            }
        }
        while self.lost_s.front().is_some_and(|lost| now_s - lost > STORM_S) {
            self.lost_s.pop_front();
        }
        let has_next = self.offer + 1 < policy.offers.len();
        if has_next && self.lost_s.len() >= STORM.max(crew.div_ceil(2)) {
            let why = format!("{} machines were taken away within ten minutes", self.lost_s.len());
            self.elsewhere(&why, policy, now_s);
        }
    }

    fn rest(&mut self, why: String, now_s: f64) {
        let pause_s = (FIRST_PAUSE_S * 2.0_f64.powi(self.failures.min(10) as i32)).min(LONGEST_PAUSE_S);
        self.failures += 1;
        self.rests_until_s = now_s + pause_s;
        self.trouble = Some(why);
    }

    /// The next offer, or a pause after the last.
    fn elsewhere(&mut self, why: &str, policy: &KindPolicy, now_s: f64) {
        let here = self.offer(policy).market;
        self.lost_s.clear();
        if self.offer + 1 < policy.offers.len() {
            self.offer += 1;
            self.since_s = now_s;
            self.trouble = Some(format!("{here}: {why}; {} from now on", self.offer(policy).market));
        } else {
            self.offer = 0;
            self.rest(format!("{here}: {why}"), now_s);
        }
    }
}

/// What a job without a machine is told of.
pub fn no_machine(market: Market, patience_s: f64, why: Option<&str>) -> String {
    let why = why.map_or_else(String::new, |why| format!(" ({why})"));
    format!("no {market} machine within {}{why}", super::words::duration(patience_s))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(markets: &[Market]) -> KindPolicy {
        let offers = markets.iter().map(|market| Offer { market: *market, price_per_hour: None }).collect();
        KindPolicy { min: 0, max: 10, offers }
    }

    fn no() -> [News; 2] {
        [News::NoCapacity("none".into()), News::NoCapacity("none".into())]
    }

    #[test]
    fn spot_then_on_demand_then_a_pause_and_spot_again() {
        let policy = policy(&Market::ALL);
        let mut place = Place::default();
        assert_eq!(place.offer(&policy).market, Market::Spot);
        place.hear(&no(), 4, &policy, 0.0);
        assert_eq!((place.offer(&policy).market, place.pause_s(0.0)), (Market::OnDemand, None));
        assert_eq!(place.trouble().unwrap(), "spot: none; on-demand from now on");
        place.hear(&no(), 4, &policy, 100.0);
        assert_eq!((place.offer(&policy).market, place.pause_s(100.0)), (Market::Spot, Some(15.0)));
        assert_eq!(place.pause_s(115.0), None);
    }

    #[test]
    fn whoever_went_elsewhere_comes_back_after_a_while() {
        let policy = policy(&Market::ALL);
        let mut place = Place::default();
        place.hear(&no(), 4, &policy, 0.0);
        place.hear(&[], 4, &policy, 1800.0);
        assert_eq!(place.offer(&policy).market, Market::OnDemand);
        place.hear(&[], 4, &policy, 1801.0);
        assert_eq!(place.offer(&policy).market, Market::Spot);
    }

    #[test]
    fn pauses_grow_to_a_quarter_of_an_hour_and_a_worker_that_comes_ends_them() {
        let policy = policy(&[Market::Spot]);
        let mut place = Place::default();
        let mut pauses = Vec::new();
        for _ in 0..8 {
            place.hear(&[News::Failed("no image".into())], 4, &policy, 0.0);
            pauses.extend(place.pause_s(0.0));
        }
        assert_eq!(pauses, [15.0, 30.0, 60.0, 120.0, 240.0, 480.0, 900.0, 900.0]);
        assert_eq!(place.trouble().unwrap(), "no image");
        place.hear(&[News::Came { launch_s: 100.0 }], 4, &policy, 0.0);
        assert_eq!((place.trouble(), place.launch_s), (None, Some(100.0)));
        place.hear(&[News::Came { launch_s: 200.0 }, News::Failed("again".into())], 4, &policy, 0.0);
        assert_eq!((place.pause_s(0.0), place.launch_s), (Some(15.0), Some(130.0)));
    }

    #[test]
    fn half_of_the_machines_taken_away_is_a_storm() {
        let policy = policy(&Market::ALL);
        let mut place = Place::default();
        place.hear(&[News::Lost, News::Lost, News::Lost, News::Lost], 10, &policy, 0.0);
        assert_eq!(place.offer(&policy).market, Market::Spot);
        // The first are forgotten by then.
        place.hear(&[News::Lost, News::Lost, News::Lost, News::Lost], 10, &policy, 601.0);
        assert_eq!(place.offer(&policy).market, Market::Spot);
        place.hear(&[News::Lost], 10, &policy, 650.0);
        assert_eq!(place.offer(&policy).market, Market::OnDemand);
        assert!(place.trouble().unwrap().contains("5 machines were taken away"));
    }
}
