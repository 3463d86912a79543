//! `controller propose RUN`.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, bail, ensure};
use clap::Args;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use serde_json::{Value, json};

use super::options::{local_path, parse_bound};
use crate::history::History;
use crate::objective::{Bounds, Objective};
use crate::preference::Preference;
use crate::problem::Problem;
use crate::propose::{Proposed, preference_for_unbounded, propose, table};
use crate::report::tidy;
use crate::run::{CHECKPOINT, CONFIG, Checkpoint, Imported, Recorded};
use crate::strategy::Strategy;
use crate::terminal::say;

/// Ask the policy of a run for architectures, for a preference or within bounds. Nothing is evaluated.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  controller propose runs/short --preference 0.6,0.4 -n 5
  controller propose runs/short --bound time_ms=4
  controller propose runs/short --preference 1,0 --bound time_ms=4 --json
  controller propose runs/two-boards --target ncs --bound time_ms=30

Values are predictions of a surrogate fitted to the run's measurements; ± is one standard deviation of the prediction, \
without the noise of a measurement. `measured` shows number and values of the network's evaluation, if there is one. \
Without a preference, the objectives without a bound have equal weights.")]
pub(super) struct Propose {
    /// Run folder of a search with a policy (model-based or policy-gradient), also during the search.
    #[arg(value_parser = local_path())]
    run: PathBuf,
    /// Weight of each objective, in the run's order of objectives; the weights sum to 1.
    #[arg(long, value_name = "WEIGHTS", value_delimiter = ',')]
    preference: Vec<f64>,
    /// Upper bound on an objective, such as time_ms=4, besides the run's own; may be repeated.
    #[arg(long, value_name = "OBJECTIVE=VALUE", value_parser = parse_bound)]
    bound: Vec<(Objective, f64)>,
    /// The target, of a run that has several.
    #[arg(long, value_name = "NAME")]
    target: Option<String>,
    /// Number of architectures.
    #[arg(short = 'n', long, default_value_t = 5, value_name = "N")]
    number: usize,
    /// Seed of the draws of the policy.
    #[arg(long, default_value_t = 0, value_name = "N")]
    seed: u64,
    /// For other programs.
    #[arg(long)]
    json: bool,
}

impl Propose {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        let recorded = Recorded::read(&self.run)?;
        let strategy = self.strategy(&recorded)?;
        let Some(policy) = strategy.policy() else {
            let name = strategy.name();
            bail!("the strategy `{name}` of this run has no policy to ask; model-based and policy-gradient have one")
        };
        let target = self.target.as_ref().and_then(|name| recorded.problem.targets().position(name)).unwrap_or(0);
        let recorded = recorded.of_one_target(self.target.as_deref())?;
        let problem = &recorded.problem;
        let given = Bounds::new(self.bound.iter().copied())?;
        given.check(problem.objectives())?;
        let problem = &problem.clone().with_bounds(problem.bounds().overridden_by(&given))?;
        let mut history = History::of_rows(problem, &recorded.rows)?;
        history.import(&Imported::imports(&self.run, problem)?)?;
        ensure!(
            history.evaluations().iter().any(|evaluation| evaluation.complete().is_some()),
            "no network of {} is trained and measured{} yet, so nothing can be proposed; `controller predict` needs no training",
            self.run.display(),
            self.target.as_ref().map_or_else(String::new, |name| format!(" on {name}"))
        );
        let preference = self.preference(&given, problem)?.on(target);
        let mut rng = ChaCha8Rng::seed_from_u64(self.seed);
        let answers = propose(problem, &history, policy, &preference, self.number, &mut rng)?;
        if self.json {
            say(format_args!("{:#}", json(problem, &history, &preference, &answers)?))?;
        } else {
            say(table(problem, &history, &preference, &answers)?.trim_end())?;
        }
        Ok(ExitCode::SUCCESS)
    }

    /// The strategy in the state of the run's checkpoint.
    fn strategy(&self, recorded: &Recorded) -> anyhow::Result<Box<dyn Strategy>> {
        let Recorded { experiment, problem, .. } = recorded;
        let device = experiment.training.backend.device()?;
        let mut strategy = experiment.strategy.build(experiment.search.seed, problem, &device)?;
        let checkpoint = Checkpoint::load(&self.run.join(CHECKPOINT))?.with_context(|| {
            format!("{} has no checkpoint yet: a search writes one after its first round", self.run.display())
        })?;
        ensure!(
            checkpoint.experiment == experiment.fingerprint()?,
            "{} was changed since the run began: its policy may belong to another experiment",
            self.run.join(CONFIG).display()
        );
        strategy.restore(&checkpoint.strategy)?;
        Ok(strategy)
    }

    fn preference(&self, given: &Bounds, problem: &Problem) -> anyhow::Result<Preference> {
        let objectives = problem.objectives();
        if self.preference.is_empty() {
            return Ok(preference_for_unbounded(given, objectives));
        }
        let (weights, expected) = (self.preference.len(), objectives.len());
        ensure!(
            weights == expected,
            "--preference has {weights} weights, but the run has {expected} objectives: {}",
            objectives.names()
        );
        Preference::new(self.preference.clone()).context("--preference")
    }
}

fn json(
    problem: &Problem,
    history: &History,
    preference: &Preference,
    proposals: &[Proposed],
) -> anyhow::Result<Value> {
    let objectives = problem.objectives();
    let mut answers = Vec::new();
    for proposed in proposals {
        let measured = proposed.measured.as_ref().map(|evaluation| {
            let values = objectives.iter().zip(&evaluation.values);
            values
                .filter_map(|(objective, value)| Some((objective, tidy(objective, (*value)?))))
                .collect::<BTreeMap<_, _>>()
        });
        answers.push(json!({
            "architecture": problem.space().format(&proposed.architecture)?,
            "expected": objectives.iter().zip(proposed.expected.iter().copied()).collect::<BTreeMap<_, _>>(),
            "keeps_bounds": proposed.keeps_bounds,
            "evaluation": proposed.measured.as_ref().map(|evaluation| evaluation.number),
            "measured": measured,
        }));
    }
    Ok(json!({
        "objectives": objectives,
        "preference": preference.weights(),
        "bounds": history.bounds(),
        "evaluations": history.evaluations().len(),
        "proposals": answers,
    }))
}
