//! The overhead of control on each backend. Not a test but a measurement: `make bench-control` runs it.

use crate::site::{Kind, Site};

fn measure(kind: Kind, items: &str) {
    let site = Site::new(kind);
    let output = site.swath(&["bench", "control", "--items", items], 0);
    print!("{}", String::from_utf8_lossy(&output.stdout));
}

#[test]
#[ignore = "a measurement: make bench-control"]
fn control_on_the_embedded_twins() {
    measure(Kind::Embedded, "20000");
}

#[test]
#[ignore = "a measurement: make bench-control"]
fn control_on_servers() {
    measure(Kind::Servers, "20000");
}
