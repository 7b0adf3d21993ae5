//! `/metrics`, for whoever reaches the address that this worker was given; what it shows are numbers and no names of
//! items or scenes.

use std::{
    io,
    net::{IpAddr, SocketAddr},
};

use swath_backends::{
    declared::{TEXT_FORMAT, render},
    door::{self, Page},
};

use super::machine::Machine;

/// A port that is taken, and the address under which Prometheus finds it.
pub struct Door {
    door: door::Door,
    pub address: SocketAddr,
}

impl Door {
    /// Port 0 takes any that is free. `here` is what others call this machine, where it listens on all of its addresses.
    pub async fn open(wanted: SocketAddr, here: impl FnOnce() -> io::Result<IpAddr>) -> io::Result<Self> {
        let door = door::Door::open(wanted).await?;
        let mut address = door.address;
        if address.ip().is_unspecified() {
            address.set_ip(here()?);
        }
        Ok(Self { door, address })
    }

    /// Until it is cut off.
    pub async fn serve(self, machine: Machine) {
        super::begin();
        let page = move || {
            let machine = machine.clone();
            async move {
                // A disk may be slow to say what is left of it.
                let text = tokio::task::spawn_blocking(move || {
                    machine.look();
                    render()
                });
                text.await.map_err(|_| "metrics can't be told: the worker's log says why")
            }
        };
        self.door.serve(vec![Page::new("/metrics", TEXT_FORMAT, page)]).await;
    }
}

#[cfg(test)]
mod tests {
    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _},
        net::TcpStream,
    };

    use super::*;

    #[tokio::test]
    async fn metrics_are_shown_at_the_port_that_was_taken_and_nothing_else_is() {
        let folder = tempfile::tempdir().expect("a folder");
        let unasked = || Err(io::Error::other("nobody has to know this machine's name"));
        let door = Door::open(([127, 0, 0, 1], 0).into(), unasked).await.expect("a free port");
        let address = door.address;
        assert_ne!(address.port(), 0);
        tokio::spawn(door.serve(Machine::of(folder.path())));
        let ask = async |path: &str| {
            let mut stream = TcpStream::connect(address).await.expect("connecting");
            let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
            stream.write_all(request.as_bytes()).await.expect("asking");
            let mut answer = String::new();
            stream.read_to_string(&mut answer).await.expect("an answer");
            answer
        };
        let answer = ask("/metrics").await;
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        assert!(answer.contains("content-type: text/plain; version=0.0.4"), "{answer}");
        for name in ["swath_build_info", "swath_worker_disk_free_bytes", "process_resident_memory_bytes"] {
            assert!(answer.contains(&format!("\n{name}")), "{name}: {answer}");
        }
        assert!(ask("/etc/passwd").await.starts_with("HTTP/1.1 404"));
    }

    #[tokio::test]
    async fn who_listens_everywhere_says_how_this_machine_is_called() {
        let here = || Ok(IpAddr::from([10, 0, 0, 7]));
        let door = Door::open(([0, 0, 0, 0], 0).into(), here).await.expect("a free port");
        assert_eq!(door.address.ip(), IpAddr::from([10, 0, 0, 7]));
    }
}
