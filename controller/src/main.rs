//! Finds convolutional networks that are accurate, fast and frugal on the board they will run on.

use std::process::ExitCode;

fn main() -> ExitCode {
    controller::cli::main()
}
