//! What jobs are called: `FLEET_KIND_MARKET_TOKEN`, so that a name alone tells whose a job is and for which order it
//! was started. Batch lists jobs by the beginning of their names, whatever their letters' case.

use std::collections::BTreeMap;

use swath_proto::fleet::{Market, WorkerKind};

/// One job is an array of so many at most, and of two at least.
pub const MOST_CHILDREN: u32 = 10_000;
/// Letters of a tag's value.
const LONGEST_TAG: usize = 256;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    Worker(WorkerKind),
    /// A machine of a gang that trains.
    Trainer,
}

impl Role {
    const fn name(self) -> &'static str {
        match self {
            Self::Worker(kind) => kind.name(),
            Self::Trainer => "train",
        }
    }

    fn of_name(name: &str) -> Option<Self> {
        let kind = WorkerKind::ALL.into_iter().find(|kind| kind.name() == name);
        kind.map(Self::Worker).or((name == Self::Trainer.name()).then_some(Self::Trainer))
    }
}

/// What a name tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Named {
    pub role: Role,
    pub market: Market,
    pub token: String,
}

/// One job to submit: plain, or an array.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    pub name: String,
    pub n: u32,
}

/// How the names of a fleet's jobs begin.
pub fn beginning(fleet: &str) -> String {
    format!("{fleet}_")
}

/// The jobs of an order: one, unless it is larger than an array can be. The same order has the same names for ever.
pub fn parts(fleet: &str, named: &Named, n: u32) -> Vec<Part> {
    let Named { role, market, token } = named;
    let name = format!("{}{}_{market}_{token}", beginning(fleet), role.name());
    if n <= MOST_CHILDREN {
        return vec![Part { name, n }];
    }
    let starts = (0..n).step_by(MOST_CHILDREN as usize);
    let part = |(number, start): (usize, u32)| Part {
        name: format!("{name}_{number}"),
        n: (n - start).min(MOST_CHILDREN),
    };
    starts.enumerate().map(part).collect()
}

/// `None`: it is no job of this fleet.
pub fn read(fleet: &str, name: &str) -> Option<Named> {
    let mut words = name.strip_prefix(&beginning(fleet))?.split('_');
    let role = Role::of_name(words.next()?)?;
    let market = words.next()?.parse().ok()?;
    let token = words.next().filter(|token| !token.is_empty())?.to_owned();
    let is_part = words.next().is_none_or(|number| number.parse::<u32>().is_ok());
    (is_part && words.next().is_none()).then_some(Named { role, market, token })
}

/// For those who look at bills and consoles. AWS takes few letters in them; what it does not take is replaced.
pub fn tags<'a>(of: impl IntoIterator<Item = (&'static str, Option<&'a str>)>) -> BTreeMap<String, String> {
    let is_taken =
        |c: char| c.is_alphanumeric() || matches!(c, ' ' | '_' | '.' | ':' | '/' | '=' | '+' | '-' | '@');
    let safe = |value: &str| -> String {
        value.chars().map(|c| if is_taken(c) { c } else { '-' }).take(LONGEST_TAG).collect()
    };
    of.into_iter()
        .filter_map(|(key, value)| {
            Some((format!("swath:{key}"), safe(value.filter(|value| !value.is_empty())?)))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(token: &str) -> Named {
        Named { role: Role::Worker(WorkerKind::Gpu), market: Market::OnDemand, token: token.into() }
    }

    #[test]
    fn a_name_tells_what_it_was_made_of() {
        for role in [Role::Worker(WorkerKind::Cpu), Role::Worker(WorkerKind::Gpu), Role::Trainer] {
            for market in [Market::Spot, Market::OnDemand] {
                let named = Named { role, market, token: "f-17-ab".into() };
                for part in parts("swath-0123", &named, 25_000).iter().chain(&parts("swath-0123", &named, 1))
                {
                    assert_eq!(read("swath-0123", &part.name), Some(named.clone()), "{}", part.name);
                }
            }
        }
        assert_eq!(parts("maps", &named("t1"), 3)[0].name, "maps_gpu_on-demand_t1");
    }

    #[test]
    fn the_longest_name_is_one_that_batch_takes() {
        let (fleet, token) = ("f".repeat(50), "t".repeat(40));
        for Part { name, .. } in parts(&fleet, &named(&token), 100_000) {
            assert!(name.len() <= 128, "{name}");
            assert!(name.starts_with(|c: char| c.is_ascii_alphanumeric()), "{name}");
            assert!(name.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_'), "{name}");
        }
    }

    #[test]
    fn an_order_larger_than_an_array_is_several_and_no_more_than_it_says() {
        let n = |n| parts("f", &named("t"), n).into_iter().map(|part| part.n).collect::<Vec<_>>();
        assert_eq!(n(1), [1]);
        assert_eq!(n(10_000), [10_000]);
        assert_eq!(n(10_001), [10_000, 1], "the last is a plain job");
        assert_eq!(n(25_000), [10_000, 10_000, 5_000]);
    }

    #[test]
    fn jobs_of_others_are_none_of_ours() {
        for name in [
            "maps_gpu_spot",
            "maps_gpu_spot_",
            "maps_tpu_spot_t",
            "maps_gpu_stolen_t",
            "maps2_gpu_spot_t",
            "Maps_gpu_spot_t",
            "maps_gpu_spot_t_x",
            "maps_gpu_spot_t_1_2",
            "",
        ] {
            assert_eq!(read("maps", name), None, "{name}");
        }
    }

    #[test]
    fn tags_hold_what_aws_takes_and_nothing_that_is_not_known() {
        let tags = tags([
            ("run", Some("coast-1")),
            ("root", Some("s3://b/p?x#y")),
            ("owner", None),
            ("stage", Some("")),
        ]);
        let told: Vec<_> = tags.iter().map(|(key, value)| format!("{key}={value}")).collect();
        assert_eq!(told, ["swath:root=s3://b/p-x-y", "swath:run=coast-1"]);
        assert_eq!(super::tags([("root", Some(&*"x".repeat(300)))])["swath:root"].len(), 256);
    }
}
