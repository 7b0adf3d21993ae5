//! Writes libtorch's folder into the binary's run path, and the commit into its version.
fn main() {
    if let Ok(lib) = std::env::var("DEP_SWATH_MODEL_LIBTORCH") {
        println!("cargo:rustc-link-arg-bins=-Wl,--enable-new-dtags,-rpath,{lib}");
    }
    println!("cargo:rerun-if-changed=../.git/HEAD");
    let git = std::process::Command::new("git").args(["rev-parse", "--short=12", "HEAD"]).output();
    let commit = git.ok().filter(|git| git.status.success()).map(|git| git.stdout).unwrap_or_default();
    println!("cargo:rustc-env=SWATH_COMMIT={}", String::from_utf8_lossy(&commit).trim());
}
