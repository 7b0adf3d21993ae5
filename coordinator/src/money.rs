//! What rented machines cost: hours that were counted, times prices that people replace by their own. Pure.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context as _, anyhow, ensure};
use serde::Deserialize;
use swath_proto::status::Rented;

/// What stands in for prices of one's own, and says so.
const EXAMPLES: &str = include_str!("../prices.toml");

/// A table of prices.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Prices {
    pub currency: String,
    pub region: String,
    /// When they were so.
    pub date: String,
    /// Who says it.
    pub source: String,
    /// By the kind of machine, an hour.
    pub instances: BTreeMap<String, Price>,
}

#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Price {
    #[serde(default)]
    pub on_demand: Option<f64>,
    #[serde(default)]
    pub spot: Option<f64>,
}

/// Hours of machines, and what they cost as far as the table knows them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Bill {
    pub hours: f64,
    pub money: f64,
    /// Kinds of machines without a price; their hours cost more than nothing, and nobody says how much.
    pub unknown: BTreeSet<String>,
}

impl Prices {
    pub fn examples() -> Self {
        Self::read("prices.toml", EXAMPLES).expect("the table that comes along is right")
    }

    /// `name`: of the file, for what is wrong with it.
    pub fn read(name: &str, text: &str) -> anyhow::Result<Self> {
        let prices: Self = toml::from_str(text).map_err(|error| {
            let line = error.span().map_or(1, |span| 1 + text[..span.start].matches('\n').count());
            anyhow!("{name}, line {line}: {}", error.message())
        })?;
        let wrong = || format!("{name}, [instances]");
        for (kind, price) in &prices.instances {
            for value in price.on_demand.into_iter().chain(price.spot) {
                ensure!(
                    value.is_finite() && value >= 0.0,
                    "{}: {kind}: {value} is no price of an hour",
                    wrong()
                );
            }
            ensure!(
                price.on_demand.is_some() || price.spot.is_some(),
                "{}: {kind} has neither on_demand nor spot",
                wrong()
            );
        }
        Some(prices)
            .filter(|prices| !prices.instances.is_empty())
            .with_context(|| format!("{} is empty", wrong()))
    }

    /// An hour of a machine; a kind that is not in the table has none, and is not guessed.
    pub fn hour(&self, kind: &str, is_spot: bool) -> Option<f64> {
        let price = self.instances.get(kind)?;
        if is_spot { price.spot } else { price.on_demand }
    }

    pub fn bill<'a>(&self, rented: impl IntoIterator<Item = &'a Rented>) -> Bill {
        let mut bill = Bill::default();
        for Rented { kind, is_spot, seconds, .. } in rented {
            let hours = seconds / 3600.0;
            bill.hours += hours;
            match self.hour(kind, *is_spot) {
                Some(price) => bill.money += hours * price,
                None => {
                    bill.unknown.insert(format!("{kind} ({})", if *is_spot { "spot" } else { "on demand" }));
                }
            }
        }
        bill
    }

    /// For people: `about 3.20 USD`.
    pub fn told(&self, money: f64) -> String {
        let digits = match money.abs() {
            x if x >= 100.0 => 0,
            x if x >= 0.1 || x == 0.0 => 2,
            _ => 4,
        };
        format!("{money:.digits$} {}", self.currency)
    }

    /// Whose prices these are.
    pub fn origin(&self) -> String {
        format!("prices of {}, {} ({})", self.region, self.date, self.source)
    }
}

impl Bill {
    /// `None`: of nothing, or at a price that is not known.
    pub fn per_gigapixel(&self, pixels: u64) -> Option<f64> {
        self.per(pixels as f64 / 1e9)
    }

    pub fn per_1000_square_km(&self, square_km: f64) -> Option<f64> {
        self.per(square_km / 1e3)
    }

    fn per(&self, of: f64) -> Option<f64> {
        (of > 0.0 && self.unknown.is_empty()).then(|| self.money / of)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rented(kind: &str, is_spot: bool, hours: f64) -> Rented {
        Rented { kind: kind.into(), is_spot, stage: None, seconds: hours * 3600.0 }
    }

    fn prices() -> Prices {
        let text = "currency = 'EUR'\nregion = 'r'\ndate = 'd'\nsource = 's'\n[instances]\n\
                    'g5.xlarge' = { on_demand = 1.0, spot = 0.25 }\n'c5.large' = { on_demand = 0.1 }\n";
        Prices::read("p.toml", text).unwrap()
    }

    #[test]
    fn hours_cost_what_the_table_says_for_their_market() {
        let all = [
            rented("g5.xlarge", true, 8.0),
            rented("g5.xlarge", false, 1.5),
            rented("c5.large", false, 10.0),
        ];
        let bill = prices().bill(&all);
        assert!((bill.hours - 19.5).abs() < 1e-9);
        assert!((bill.money - (2.0 + 1.5 + 1.0)).abs() < 1e-9, "{bill:?}");
        assert_eq!(bill.per_gigapixel(9_000_000_000), Some(0.5));
        assert_eq!(bill.per_1000_square_km(500.0), Some(9.0));
        assert_eq!(bill.per_gigapixel(0), None);
        assert_eq!(prices().told(bill.money), "4.50 EUR");
    }

    #[test]
    fn a_machine_without_a_price_is_named_and_not_guessed() {
        let bill = prices().bill(&[rented("c5.large", true, 2.0), rented("x9.huge", false, 1.0)]);
        assert_eq!((bill.hours, bill.money), (3.0, 0.0));
        assert_eq!(
            bill.unknown.iter().map(String::as_str).collect::<Vec<_>>(),
            ["c5.large (spot)", "x9.huge (on demand)"]
        );
        assert_eq!(bill.per_gigapixel(1_000_000_000), None, "a sum that lacks something is no price");
    }

    #[test]
    fn the_table_that_comes_along_says_that_it_is_an_example() {
        let prices = Prices::examples();
        assert!(prices.origin().contains("examples, replace by yours"), "{}", prices.origin());
        for (kind, price) in &prices.instances {
            let (on_demand, spot) = (price.on_demand.unwrap(), price.spot.unwrap());
            assert!(spot < on_demand && on_demand < 10.0, "{kind}");
        }
    }

    #[test]
    fn a_wrong_table_says_where_and_what() {
        let head = "currency = 'EUR'\nregion = 'r'\ndate = 'd'\nsource = 's'\n[instances]\n";
        for (rest, word) in [
            ("'a' = { on_demand = -1.0 }\n", "no price"),
            ("'a' = { on_demand = nan }\n", "no price"),
            ("'a' = {}\n", "neither"),
            ("'a' = { demand = 1.0 }\n", "line 6"),
            ("", "empty"),
        ] {
            let words = format!("{:#}", Prices::read("p.toml", &format!("{head}{rest}")).expect_err(rest));
            assert!(words.contains(word) && words.contains("p.toml"), "{words}");
        }
    }
}
