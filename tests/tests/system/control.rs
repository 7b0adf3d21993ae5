//! The overhead of control on each backend. Not a test but a measurement: `make bench-control` runs it.

use crate::{
    shared_servers::shared,
    site::{Kind, Site},
};

fn measure(site: &Site, items: &str) {
    let output = site.swath(&["bench", "control", "--items", items], 0);
    print!("{}", String::from_utf8_lossy(&output.stdout));
}

#[test]
#[ignore = "a measurement: make bench-control"]
fn control_on_the_embedded_twins() {
    measure(&Site::new(Kind::Embedded), "20000");
}

#[test]
#[ignore = "a measurement: make bench-control"]
fn control_on_servers() {
    measure(&Site::new(Kind::Servers), "20000");
}

/// On LocalStack: what it shows is our side, SQS itself is another matter.
#[test]
#[ignore = "a measurement: make bench-control"]
fn control_on_sqs() {
    measure(&Site::on_sqs(|name| shared().s3.sqs_url(name)), "5000");
}
