//! Real servers for tests: started by the tests, on free loopback ports, with data in a temporary
//! folder; gone when the test process is.

mod port;
mod process;
pub mod rabbitmq;
pub mod redis;
pub mod s3;

pub use process::Server;
