//! Where a rank stands among the others: what torchrun tells its processes.

use std::net::{IpAddr, ToSocketAddrs, UdpSocket};

use swath_model::{Gang, Patience, Reach, Store};

use crate::error::{Result, TrainError};

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seat {
    pub rank: u32,
    pub size: u32,
    /// Where the store of the first rank is found; its own opens any port if this is 0.
    pub host: String,
    pub port: u16,
    /// The store is kept by whoever started the ranks.
    pub is_kept: bool,
    /// Who starts ranks again may keep the store, and with it what the last ones have left there.
    pub attempt: String,
    /// All ranks are on this machine.
    pub is_local: bool,
}

/// As torchrun names them.
pub(super) const RANK: &str = "RANK";
pub(super) const SIZE: &str = "WORLD_SIZE";
pub(super) const HOST: &str = "MASTER_ADDR";
pub(super) const PORT: &str = "MASTER_PORT";
pub(super) const KEPT: &str = "TORCHELASTIC_USE_AGENT_STORE";
const ATTEMPT: &str = "TORCHELASTIC_RESTART_COUNT";
const SIZE_HERE: &str = "LOCAL_WORLD_SIZE";

impl Seat {
    /// `None` where nothing says that this process is one of several.
    pub fn from_environment() -> Result<Option<Self>> {
        Self::from_variables(|name| std::env::var(name).ok())
    }

    fn from_variables(variable: impl Fn(&str) -> Option<String>) -> Result<Option<Self>> {
        let Some(rank) = variable(RANK) else { return Ok(None) };
        let needed = |name: &str| {
            variable(name).ok_or_else(|| TrainError::config(format!("{RANK} is set, and {name} is not")))
        };
        let (size, host, port) = (needed(SIZE)?, needed(HOST)?, needed(PORT)?);
        let wrong = |name: &str, value: &str| {
            TrainError::config(format!("{name} = {value:?}: must be a whole number"))
        };
        let seat = Self {
            rank: rank.parse().map_err(|_| wrong(RANK, &rank))?,
            size: size.parse().map_err(|_| wrong(SIZE, &size))?,
            port: port.parse().map_err(|_| wrong(PORT, &port))?,
            is_local: is_loopback(&host) || variable(SIZE_HERE).is_some_and(|here| here == size),
            host,
            is_kept: variable(KEPT).is_some_and(|word| word == "True"),
            attempt: variable(ATTEMPT).unwrap_or_default(),
        };
        if seat.rank >= seat.size {
            return Err(TrainError::config(format!(
                "{RANK} = {}: must be below {SIZE} ({})",
                seat.rank, seat.size
            )));
        }
        Ok(Some(seat))
    }

    /// Takes it. `opened` is told the port of a store that was opened here, before the others are waited for.
    pub(super) fn take(&self, patience: Patience, opened: impl FnOnce(u16)) -> Result<Gang> {
        if self.size == 1 {
            return Ok(Gang::alone());
        }
        let store = if self.rank == 0 && !self.is_kept {
            let reach = if self.is_local { Reach::Here } else { Reach::Everywhere };
            let store = Store::serve(self.port, reach, patience)?;
            opened(store.port);
            store
        } else {
            Store::find(&self.host, self.port, patience)?
        };
        let address = match self.is_local {
            true => None,
            false => Some(own_address(&self.host, store.port)?),
        };
        Ok(Gang::meet(store, (self.rank, self.size), address, &self.attempt, patience)?)
    }
}

fn is_loopback(host: &str) -> bool {
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// Of the interface that the other ranks are reached through.
fn own_address(host: &str, port: u16) -> Result<IpAddr> {
    let unknown = |error: std::io::Error| {
        TrainError::config(format!("{HOST} = {host:?}: no way there is known: {error}"))
    };
    let none = || std::io::Error::other("it has no address");
    let there = (host, port).to_socket_addrs().map_err(unknown)?.next().ok_or_else(none).map_err(unknown)?;
    if there.ip().is_loopback() {
        return Err(TrainError::config(format!(
            "{HOST} = {host:?}: means this machine's loopback ({}), where no other machine comes: give an address that \
             the others reach",
            there.ip()
        )));
    }
    // Nothing is sent: the system only chooses the interface.
    let socket = UdpSocket::bind(if there.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" }).map_err(unknown)?;
    socket.connect(there).map_err(unknown)?;
    Ok(socket.local_addr().map_err(unknown)?.ip())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seat(variables: &[(&str, &str)]) -> std::result::Result<Option<Seat>, String> {
        let of =
            |name: &str| variables.iter().find(|(other, _)| *other == name).map(|(_, value)| (*value).into());
        Seat::from_variables(of).map_err(|error| error.to_string())
    }

    #[test]
    fn a_seat_is_what_torchrun_says() {
        assert_eq!(seat(&[]), Ok(None));
        let all = [(RANK, "1"), (SIZE, "4"), (HOST, "node"), (PORT, "29500"), (KEPT, "True")];
        let wanted = Seat {
            rank: 1,
            size: 4,
            host: "node".into(),
            port: 29500,
            is_kept: true,
            attempt: String::new(),
            is_local: false,
        };
        assert_eq!(seat(&all), Ok(Some(wanted.clone())));
        assert_eq!(seat(&all[..4]), Ok(Some(Seat { is_kept: false, ..wanted.clone() })));
        let here = [&all[..], &[(SIZE_HERE, "4"), (ATTEMPT, "2")]].concat();
        assert_eq!(seat(&here), Ok(Some(Seat { is_local: true, attempt: "2".into(), ..wanted })));
        assert_eq!(seat(&all[..3]).unwrap_err(), "RANK is set, and MASTER_PORT is not");
        let text = seat(&[all[0], (SIZE, "many"), all[2], all[3]]).unwrap_err();
        assert_eq!(text, "WORLD_SIZE = \"many\": must be a whole number");
        let text = seat(&[all[0], (SIZE, "1"), all[2], all[3]]).unwrap_err();
        assert_eq!(text, "RANK = 1: must be below WORLD_SIZE (1)");
    }

    #[test]
    fn an_address_that_others_do_not_reach_is_told() {
        let told = |host: &str| own_address(host, 1).unwrap_err().to_string();
        assert!(told("localhost").contains("means this machine's loopback"), "{}", told("localhost"));
        assert!(told("no such host").contains("\"no such host\": no way there is known"));
        assert!(is_loopback("127.0.0.1") && is_loopback("localhost") && !is_loopback("10.0.0.1"));
    }
}
