//! Test programs find libtorch as the program does.
fn main() {
    if let Ok(lib) = std::env::var("DEP_SWATH_MODEL_LIBTORCH") {
        println!("cargo:rustc-link-arg=-Wl,--enable-new-dtags,-rpath,{lib}");
    }
}
