//! Where a rank stands among the others: what torchrun tells its processes, or AWS Batch its nodes.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, SocketAddr, ToSocketAddrs, UdpSocket},
    str::FromStr,
};

use swath_model::{Carrier, Gang, Patience, Reach, Store};

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
    /// Which of this machine's cards is this rank's, if it computes on one: its number among the ranks here.
    pub card: u32,
}

/// As torchrun names them.
pub(super) const RANK: &str = "RANK";
pub(super) const SIZE: &str = "WORLD_SIZE";
pub(super) const HOST: &str = "MASTER_ADDR";
pub(super) const PORT: &str = "MASTER_PORT";
pub(super) const KEPT: &str = "TORCHELASTIC_USE_AGENT_STORE";
pub(super) const ATTEMPT: &str = "TORCHELASTIC_RESTART_COUNT";
pub(super) const SIZE_HERE: &str = "LOCAL_WORLD_SIZE";
pub(super) const RANK_HERE: &str = "LOCAL_RANK";

/// Of a multi-node parallel job of AWS Batch. All nodes but the main one are told where that is.
const NODE: &str = "AWS_BATCH_JOB_NODE_INDEX";
const NODES: &str = "AWS_BATCH_JOB_NUM_NODES";
const MAIN_NODE: &str = "AWS_BATCH_JOB_MAIN_NODE_INDEX";
const MAIN_ADDRESS: &str = "AWS_BATCH_JOB_MAIN_NODE_PRIVATE_IPV4_ADDRESS";
/// Of the main node's store: nodes have addresses of their own, and torchrun takes this one too.
const BATCH_PORT: u16 = 29500;

impl Seat {
    /// `None` where nothing says that this process is one of several.
    pub fn from_environment() -> Result<Option<Self>> {
        let variable = |name: &str| std::env::var(name).ok();
        match Self::from_torchrun(variable)? {
            Some(seat) => Ok(Some(seat)),
            None => Self::from_batch(variable),
        }
    }

    /// One rank a node; the main node is the first.
    fn from_batch(variable: impl Fn(&str) -> Option<String>) -> Result<Option<Self>> {
        let Some(nodes) = variable(NODES) else { return Ok(None) };
        let node = needed(&variable, NODE, NODES)?;
        let main = variable(MAIN_NODE).unwrap_or_else(|| "0".into());
        let (size, index): (u32, u32) = (number(NODES, &nodes)?, number(NODE, &node)?);
        let first: u32 = number(MAIN_NODE, &main)?;
        if index >= size || first >= size {
            return Err(TrainError::config(format!(
                "{NODE} = {index}, {MAIN_NODE} = {first}: must be below {NODES} ({size})"
            )));
        }
        let host = match variable(MAIN_ADDRESS) {
            Some(address) => address,
            None if index == first => outward().map_err(|error| {
                TrainError::config(format!("this node has no address that others reach: {error}"))
            })?,
            None => needed(&variable, MAIN_ADDRESS, NODES)?,
        };
        Ok(Some(Self {
            rank: (index + size - first) % size,
            size,
            host,
            port: BATCH_PORT,
            is_kept: false,
            attempt: String::new(),
            is_local: false,
            card: 0,
        }))
    }

    fn from_torchrun(variable: impl Fn(&str) -> Option<String>) -> Result<Option<Self>> {
        let Some(rank) = variable(RANK) else { return Ok(None) };
        let needed = |name: &str| needed(&variable, name, RANK);
        let (size, host, port) = (needed(SIZE)?, needed(HOST)?, needed(PORT)?);
        let seat = Self {
            rank: number(RANK, &rank)?,
            size: number(SIZE, &size)?,
            port: number(PORT, &port)?,
            is_local: is_loopback(&host) || variable(SIZE_HERE).is_some_and(|here| here == size),
            host,
            is_kept: variable(KEPT).is_some_and(|word| word == "True"),
            attempt: variable(ATTEMPT).unwrap_or_default(),
            card: variable(RANK_HERE).map_or(Ok(0), |rank| number(RANK_HERE, &rank))?,
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
    pub(super) fn take(
        &self,
        patience: Patience,
        carrier: &Carrier,
        opened: impl FnOnce(u16),
    ) -> Result<Gang> {
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
        Ok(Gang::meet(store, (self.rank, self.size), address, &self.attempt, patience, carrier)?)
    }
}

fn needed(variable: &impl Fn(&str) -> Option<String>, name: &str, beside: &str) -> Result<String> {
    variable(name).ok_or_else(|| TrainError::config(format!("{beside} is set, and {name} is not")))
}

fn number<T: FromStr>(name: &str, value: &str) -> Result<T> {
    value.parse().map_err(|_| TrainError::config(format!("{name} = {value:?}: must be a whole number")))
}

fn is_loopback(host: &str) -> bool {
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// Of the interface that the other ranks are reached through.
fn own_address(host: &str, port: u16) -> Result<IpAddr> {
    let unknown =
        |error: io::Error| TrainError::config(format!("{HOST} = {host:?}: no way there is known: {error}"));
    let there = resolve(host, port).map_err(unknown)?;
    if there.ip().is_loopback() {
        return Err(TrainError::config(format!(
            "{HOST} = {host:?}: means this machine's loopback ({}), where no other machine comes: give an address that \
             the others reach",
            there.ip()
        )));
    }
    interface_towards(there).map_err(unknown)
}

/// Of this machine, for whoever reaches the same server as it does.
pub fn address_towards(host: &str, port: u16) -> Result<IpAddr> {
    resolve(host, port)
        .and_then(interface_towards)
        .map_err(|error| TrainError::config(format!("{host}: no way there is known: {error}")))
}

fn resolve(host: &str, port: u16) -> io::Result<SocketAddr> {
    (host, port).to_socket_addrs()?.next().ok_or_else(|| io::Error::other("it has no address"))
}

/// Nothing is sent: the system only chooses the interface.
fn interface_towards(there: SocketAddr) -> io::Result<IpAddr> {
    let socket = UdpSocket::bind(if there.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" })?;
    socket.connect(there)?;
    Ok(socket.local_addr()?.ip())
}

/// Of the interface that leads to other networks: towards an address that is nobody's, by RFC 5737.
fn outward() -> io::Result<String> {
    Ok(interface_towards((Ipv4Addr::new(192, 0, 2, 1), 9).into())?.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    type Told = std::result::Result<Option<Seat>, String>;

    fn value(variables: &[(&str, &str)], name: &str) -> Option<String> {
        variables.iter().find(|(other, _)| *other == name).map(|(_, value)| (*value).into())
    }

    fn seat(variables: &[(&str, &str)]) -> Told {
        Seat::from_torchrun(|name| value(variables, name)).map_err(|error| error.to_string())
    }

    fn node(variables: &[(&str, &str)]) -> Told {
        Seat::from_batch(|name| value(variables, name)).map_err(|error| error.to_string())
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
            card: 0,
        };
        assert_eq!(seat(&all), Ok(Some(wanted.clone())));
        assert_eq!(seat(&all[..4]), Ok(Some(Seat { is_kept: false, ..wanted.clone() })));
        let here = [&all[..], &[(SIZE_HERE, "4"), (RANK_HERE, "3"), (ATTEMPT, "2")]].concat();
        assert_eq!(seat(&here), Ok(Some(Seat { is_local: true, card: 3, attempt: "2".into(), ..wanted })));
        let text = seat(&[&all[..], &[(RANK_HERE, "first")]].concat()).unwrap_err();
        assert_eq!(text, "LOCAL_RANK = \"first\": must be a whole number");
        assert_eq!(seat(&all[..3]).unwrap_err(), "RANK is set, and MASTER_PORT is not");
        let text = seat(&[all[0], (SIZE, "many"), all[2], all[3]]).unwrap_err();
        assert_eq!(text, "WORLD_SIZE = \"many\": must be a whole number");
        let text = seat(&[all[0], (SIZE, "1"), all[2], all[3]]).unwrap_err();
        assert_eq!(text, "RANK = 1: must be below WORLD_SIZE (1)");
    }

    #[test]
    fn a_node_of_aws_batch_is_a_rank() {
        assert_eq!(node(&[]), Ok(None));
        let child = [(NODES, "3"), (NODE, "0"), (MAIN_NODE, "1"), (MAIN_ADDRESS, "10.0.0.7")];
        let wanted = Seat {
            rank: 2,
            size: 3,
            host: "10.0.0.7".into(),
            port: 29500,
            is_kept: false,
            attempt: String::new(),
            is_local: false,
            card: 0,
        };
        assert_eq!(node(&child), Ok(Some(wanted.clone())));
        let first_is_main = [child[0], (NODE, "2"), child[3]];
        assert_eq!(node(&first_is_main), Ok(Some(wanted)));
        assert_eq!(
            node(&child[..3]).unwrap_err(),
            "AWS_BATCH_JOB_NUM_NODES is set, and AWS_BATCH_JOB_MAIN_NODE_PRIVATE_IPV4_ADDRESS is not"
        );
        let told = node(&[child[0], (NODE, "3"), child[3]]).unwrap_err();
        assert!(told.contains("must be below AWS_BATCH_JOB_NUM_NODES (3)"), "{told}");
        // The main node knows itself, unless this machine has no network.
        match node(&[(NODES, "2"), (NODE, "0")]) {
            Ok(seat) => assert_eq!(seat.map(|seat| (seat.rank, seat.size)), Some((0, 2))),
            Err(told) => assert!(told.starts_with("this node has no address that others reach"), "{told}"),
        }
    }

    #[test]
    fn an_address_that_others_do_not_reach_is_told() {
        let told = |host: &str| own_address(host, 1).unwrap_err().to_string();
        assert!(told("localhost").contains("means this machine's loopback"), "{}", told("localhost"));
        assert_eq!(address_towards("127.0.0.1", 6379).unwrap(), Ipv4Addr::LOCALHOST);
        assert!(told("no such host").contains("\"no such host\": no way there is known"));
        assert!(is_loopback("127.0.0.1") && is_loopback("localhost") && !is_loopback("10.0.0.1"));
    }
}
