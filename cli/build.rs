//! Writes libtorch's folder into the worker's run path, and the commit into the version.
fn main() {
    if let Ok(lib) = std::env::var("DEP_SWATH_MODEL_LIBTORCH") {
        println!("cargo:rustc-link-arg-bin=swath-worker=-Wl,--enable-new-dtags,-rpath,{lib}");
    }
    println!("cargo:rerun-if-changed=../.git/HEAD");
    let git = std::process::Command::new("git").args(["rev-parse", "--short=12", "HEAD"]).output();
    let commit = git.ok().filter(|git| git.status.success()).map(|git| git.stdout).unwrap_or_default();
    println!("cargo:rustc-env=SWATH_COMMIT={}", String::from_utf8_lossy(&commit).trim());
}
