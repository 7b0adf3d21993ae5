//! Tells the linker where libtorch lies, and hands the folder on (`DEP_SWATH_MODEL_LIBTORCH`), so
//! that programs start without `LD_LIBRARY_PATH`. torch-sys checks no version of a libtorch that it
//! was pointed at, so that is done here.

use std::path::Path;

const WANTED: &str = "2.11.0";

fn main() {
    println!("cargo:rerun-if-env-changed=LIBTORCH");
    let Ok(lib) = std::env::var("DEP_TCH_LIBTORCH_LIB") else {
        panic!(
            "libtorch was not found: run `make setup`, then `eval \"$(setup/env)\"` where you call cargo yourself"
        );
    };
    let version = version(Path::new(&lib)).unwrap_or_else(|| "an unknown version".into());
    assert!(
        version.starts_with(WANTED),
        "libtorch {WANTED} is needed, {lib} holds {version}: run `make setup`"
    );
    println!("cargo:rustc-env=SWATH_LIBTORCH_VERSION={WANTED}");
    println!("cargo:rustc-link-arg=-Wl,--enable-new-dtags,-rpath,{lib}");
    println!("cargo:libtorch={lib}");
}

/// `__version__ = '2.11.0+cu130'` beside the libraries.
fn version(lib: &Path) -> Option<String> {
    let text = std::fs::read_to_string(lib.parent()?.join("version.py")).ok()?;
    let line = text.lines().find(|line| line.starts_with("__version__"))?;
    Some(line.split('\'').nth(1)?.to_owned())
}
