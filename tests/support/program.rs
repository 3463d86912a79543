//! Runs the program.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::{env, fmt};

use super::running::Running;

/// Cargo's variable with the path of the program.
const VARIABLE: &str = "CARGO_BIN_EXE_controller-under-test";

/// The program with some arguments, in a working directory.
#[derive(Debug)]
pub struct Program {
    command: Command,
}

/// The result of a run of the program.
#[derive(Debug)]
pub struct Ended {
    /// Exit code; none if a signal ended it.
    pub code: Option<i32>,
    /// Standard output.
    pub out: String,
    /// Standard error.
    pub err: String,
}

impl Program {
    /// The program, to be run in `directory`.
    ///
    /// # Panics
    /// If the program was not built.
    pub fn new(directory: &Path) -> Self {
        let mut command = Command::new(path());
        command.current_dir(directory).env_remove("RUST_BACKTRACE").stdin(Stdio::null());
        Self { command }
    }

    /// The same program below another one, such as `bash -c 'ulimit …; exec "$0" "$@"'`.
    pub fn below(directory: &Path, wrapper: &[&str]) -> Self {
        let (first, rest) = wrapper.split_first().expect("a wrapper names a program");
        let mut command = Command::new(first);
        command.args(rest).arg(path()).current_dir(directory).env_remove("RUST_BACKTRACE").stdin(Stdio::null());
        Self { command }
    }

    /// With further arguments.
    #[must_use]
    pub fn args<A: AsRef<OsStr>>(mut self, args: impl IntoIterator<Item = A>) -> Self {
        self.command.args(args);
        self
    }

    /// With a variable of the environment.
    #[must_use]
    pub fn variable(mut self, name: &str, value: &str) -> Self {
        self.command.env(name, value);
        self
    }

    /// Starts it and returns at once; its output is dropped.
    ///
    /// # Panics
    /// If it cannot be started.
    pub fn start(mut self) -> Child {
        self.command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("the program starts")
    }

    /// Starts it and returns at once; its output goes to the files `NAME.out` and `NAME.err` of a folder.
    ///
    /// # Panics
    /// If it cannot be started.
    pub fn begin(self, folder: &Path, name: &str) -> Running {
        Running::start(self.command, folder, name)
    }

    /// Runs it to its end.
    ///
    /// # Panics
    /// If it cannot be started, prints bytes that are not text, or panics: no input may cause these.
    pub fn run(mut self) -> Ended {
        let Output { status, stdout, stderr } = self.command.output().expect("the program starts");
        let text = |bytes| String::from_utf8(bytes).expect("the program prints text");
        let ended = Ended { code: status.code(), out: text(stdout), err: text(stderr) };
        assert!(!ended.err.contains("panicked") && ended.code != Some(101), "{:?}\n{ended}", self.command);
        ended
    }

    /// Runs it to its end, and gives its output.
    ///
    /// # Panics
    /// If it does not succeed.
    pub fn succeed(self) -> String {
        let label = format!("{:?}", self.command);
        let ended = self.run();
        assert_eq!(ended.code, Some(0), "{label}\n{ended}");
        ended.out
    }

    /// Runs it to its end, and gives its error message.
    ///
    /// # Panics
    /// If it succeeds, or fails without a message.
    pub fn fail(self) -> String {
        let label = format!("{:?}", self.command);
        let ended = self.run();
        assert!(ended.code.is_some_and(|code| code != 0), "{label}\n{ended}");
        assert!(ended.err.contains("error: "), "{label}\n{ended}");
        ended.err
    }
}

impl fmt::Display for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "exit code {:?}\nstandard output:\n{}\nstandard error:\n{}", self.code, self.out, self.err)
    }
}

fn path() -> PathBuf {
    PathBuf::from(env::var_os(VARIABLE).expect("Cargo sets the path of the program"))
}
