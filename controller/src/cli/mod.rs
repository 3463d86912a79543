//! The command line: one file for each verb.

mod compare;
mod doctor;
mod export;
mod extend;
mod finish;
mod front;
mod import;
mod inherit;
mod load_images;
mod measure;
mod options;
mod predict;
mod prepare;
mod propose;
mod replay;
mod run;
mod search;
mod serve;
mod study;
mod train;
mod training_progress;
mod worker;
mod workers;

use std::io::ErrorKind;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::terminal::note;

/// Finds convolutional networks that are at once accurate, fast and frugal on the board they will run on.
///
/// Without a verb it searches; without an experiment file it runs the quickstart: children trained on small real
/// images, timed on this machine.
#[derive(Debug, Parser)]
#[command(version, args_conflicts_with_subcommands = true, after_help = search::EXAMPLES)]
struct Cli {
    #[command(subcommand)]
    verb: Option<Verb>,
    #[command(flatten)]
    search: search::Search,
}

#[derive(Debug, Subcommand)]
enum Verb {
    Search(search::Search),
    Replay(replay::Replay),
    Measure(measure::Measure),
    Train(train::Train),
    Export(export::Export),
    Front(front::Front),
    Serve(serve::Serve),
    Propose(propose::Propose),
    Predict(predict::Predict),
    Import(import::Import),
    Compare(compare::Compare),
    Study(study::Study),
    Extend(extend::Extend),
    Doctor(doctor::Doctor),
    Worker(worker::Worker),
    Workers(workers::ListWorkers),
}

/// Exit code of a search that was interrupted, as shells use it for Ctrl-C.
const INTERRUPTED: u8 = 130;

/// Exit code of a wrong command line, as clap has it.
const MISUSED: u8 = 2;

/// Runs the program.
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        // A mistyped verb is taken for an experiment file, which no word may follow.
        Err(error) => match std::env::args_os().nth(1).and_then(|word| search::mistyped_verb(word.as_ref())) {
            Some(problem) => {
                note(format_args!("error: {problem}"));
                return ExitCode::from(MISUSED);
            }
            None => error.exit(),
        },
    };
    let result = match cli.verb.unwrap_or(Verb::Search(cli.search)) {
        Verb::Search(verb) => verb.run(),
        Verb::Replay(verb) => verb.run(),
        Verb::Measure(verb) => verb.run(),
        Verb::Train(verb) => verb.run(),
        Verb::Export(verb) => verb.run(),
        Verb::Front(verb) => verb.run(),
        Verb::Serve(verb) => verb.run(),
        Verb::Propose(verb) => verb.run(),
        Verb::Predict(verb) => verb.run(),
        Verb::Import(verb) => verb.run(),
        Verb::Compare(verb) => verb.run(),
        Verb::Study(verb) => verb.run(),
        Verb::Extend(verb) => verb.run(),
        Verb::Doctor(verb) => verb.run(),
        Verb::Worker(verb) => verb.run(),
        Verb::Workers(verb) => verb.run(),
    };
    result.unwrap_or_else(|error| {
        // A closed pipe means that its reader has read enough.
        if error.downcast_ref::<std::io::Error>().is_some_and(|error| error.kind() == ErrorKind::BrokenPipe) {
            return ExitCode::SUCCESS;
        }
        note(format_args!("error: {}{}", describe(&error), advice(&error)));
        ExitCode::FAILURE
    })
}

/// An error and its causes, without causes that the message before them contains already.
fn describe(error: &anyhow::Error) -> String {
    let mut text = String::new();
    for cause in error.chain().map(ToString::to_string) {
        if text.is_empty() {
            text = cause;
        } else if !text.contains(&cause) {
            text = format!("{text}: {cause}");
        }
    }
    text
}

/// A remedy for errors of the system with unclear messages.
fn advice(error: &anyhow::Error) -> &'static str {
    // EMFILE and ENFILE of Linux and macOS: the standard library has no kind for them.
    let too_many = [24, 23].map(Some);
    let mut causes = error.chain().filter_map(|cause| cause.downcast_ref::<std::io::Error>());
    let is_out_of_files = causes.any(|cause| too_many.contains(&cause.raw_os_error()))
        // A library may pass on the message only.
        || error.chain().any(|cause| cause.to_string().contains("(os error 24)"));
    if is_out_of_files {
        "\n  this process may not open so many files: allow more with `ulimit -n 1024`, then try again"
    } else {
        ""
    }
}
