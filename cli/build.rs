//! Writes libtorch's folder into the worker's run path, and the commit into the version: `SWATH_COMMIT`, where it is
//! built without its repository.
fn main() {
    if let Ok(lib) = std::env::var("DEP_SWATH_MODEL_LIBTORCH") {
        println!("cargo:rustc-link-arg-bin=swath-worker=-Wl,--enable-new-dtags,-rpath,{lib}");
    }
    println!("cargo:rerun-if-changed=../.git/HEAD");
    println!("cargo:rerun-if-env-changed=SWATH_COMMIT");
    let told = std::env::var("SWATH_COMMIT").ok().filter(|commit| !commit.is_empty());
    let commit = told.unwrap_or_else(head);
    println!("cargo:rustc-env=SWATH_COMMIT={}", commit.trim());
}

fn head() -> String {
    let git = std::process::Command::new("git").args(["rev-parse", "--short=12", "HEAD"]).output();
    let commit = git.ok().filter(|git| git.status.success()).map(|git| git.stdout).unwrap_or_default();
    String::from_utf8_lossy(&commit).into_owned()
}
