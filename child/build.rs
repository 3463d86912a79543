//! Links programs with all of LibTorch. It registers its part for GPUs when that is loaded, which `libtorch` does; but no
//! program calls `libtorch` itself, and linkers leave out such a library.

fn main() {
    // The features decide alone, and a change of them runs it anyway. Without any such line, each change of a source would.
    // A line for this file would name none in the package `controller`, which takes it from here: Cargo would compile
    // `controller` again each time.
    println!("cargo::rerun-if-env-changed=CARGO_FEATURE_TCH");
    let is_linux = std::env::var("CARGO_CFG_TARGET_OS").is_ok_and(|system| system == "linux");
    if is_linux && std::env::var_os("CARGO_FEATURE_TCH").is_some() {
        for argument in ["-Wl,--no-as-needed", "-ltorch", "-Wl,--as-needed"] {
            println!("cargo::rustc-link-arg={argument}");
        }
    }
}
