//! Tells the linker where libtorch lies, and hands the folder on (`DEP_SWATH_MODEL_LIBTORCH`)
//! so that the binary starts without `LD_LIBRARY_PATH`.
fn main() {
    println!("cargo:rerun-if-env-changed=LIBTORCH");
    let lib = std::env::var("DEP_TCH_LIBTORCH_LIB").expect("torch-sys names libtorch's folder");
    println!("cargo:rustc-link-arg=-Wl,--enable-new-dtags,-rpath,{lib}");
    println!("cargo:libtorch={lib}");
}
