//! What a fleet is made of: words that its controller, its providers and those who look at it share.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// Which machine a worker needs, and so which lane it serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WorkerKind {
    Cpu,
    Gpu,
}

impl WorkerKind {
    pub const ALL: [Self; 2] = [Self::Cpu, Self::Gpu];

    /// As in `swath worker --kinds`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Cpu => "cpu",
            Self::Gpu => "gpu",
        }
    }
}

impl fmt::Display for WorkerKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// How a machine is paid for, and whether it may be taken away.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Market {
    Spot,
    OnDemand,
}

impl Market {
    pub const fn name(self) -> &'static str {
        match self {
            Self::Spot => "spot",
            Self::OnDemand => "on-demand",
        }
    }
}

impl fmt::Display for Market {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("'{0}' must be one of: spot, on-demand")]
pub struct BadMarket(String);

impl FromStr for Market {
    type Err = BadMarket;

    fn from_str(s: &str) -> Result<Self, BadMarket> {
        match s {
            "spot" => Ok(Self::Spot),
            "on-demand" => Ok(Self::OnDemand),
            _ => Err(BadMarket(s.to_owned())),
        }
    }
}
