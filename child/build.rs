//! Links programs with all of LibTorch. It registers its part for GPUs when that is loaded, which `libtorch` does; but no
//! program calls `libtorch` itself, and linkers leave out such a library.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let is_linux = std::env::var("CARGO_CFG_TARGET_OS").is_ok_and(|system| system == "linux");
    if is_linux && std::env::var_os("CARGO_FEATURE_TCH").is_some() {
        for argument in ["-Wl,--no-as-needed", "-ltorch", "-Wl,--as-needed"] {
            println!("cargo::rustc-link-arg={argument}");
        }
    }
}
