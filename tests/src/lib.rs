//! Real servers for tests: started by the tests, on free loopback ports, with data in a temporary
//! folder; gone when the test process is.

pub mod between;
pub mod certificates;
pub mod faults;
pub mod imds;
pub mod moto;
pub mod moto_batch;
pub mod podman;
mod port;
mod process;
pub mod prometheus;
pub mod proxy;
pub mod rabbitmq;
pub mod redis;
pub mod redis_cluster;
pub mod relay;
pub mod s3;
pub mod s3_faults;
mod s3_request;
pub mod s3_sums;

pub use port::free as free_port;
pub use process::Server;

/// Where `make setup` puts large things.
pub fn cache() -> std::path::PathBuf {
    std::env::var_os("SWATH_CACHE").map(Into::into).unwrap_or_else(|| {
        let home = std::path::PathBuf::from(std::env::var_os("HOME").unwrap_or_default());
        home.join(".cache/swath")
    })
}
