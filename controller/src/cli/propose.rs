//! `controller propose RUN`.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, bail, ensure};
use clap::Args;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use serde::Serialize;

use crate::history::History;
use crate::objective::{Bounds, Objective};
use crate::preference::Preference;
use crate::propose::{Expected, Proposed, preference_beside, propose};
use crate::report::proposals_table;
use crate::run::{Checkpoint, Imported, Recorded};
use crate::strategy::{Problem, Strategy};
use crate::terminal::say;

/// Ask the policy of a run for architectures, for a preference or within bounds. Nothing is evaluated.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  controller propose runs/short --preference 0.6,0.4 -n 5
  controller propose runs/short --bound time_ms=4
  controller propose runs/short --preference 1,0 --bound time_ms=4 --json

Values are predictions of a surrogate fitted to the run's measurements; ± is one standard deviation of what it does \
not know, to which the noise of a measurement comes. `measured` names the evaluation of a network that was evaluated, \
with what was found. Without a preference, the objectives that have no bound matter alike.")]
pub(super) struct Propose {
    /// Run folder of a search with a policy (model-based or policy-gradient), also of one that is going on.
    run: PathBuf,
    /// How much each objective matters, in the run's order of objectives; the weights sum to 1.
    #[arg(long, value_name = "WEIGHTS", value_delimiter = ',')]
    preference: Vec<f64>,
    /// Upper bound on an objective, such as time_ms=4, besides the run's own; may be repeated.
    #[arg(long, value_name = "OBJECTIVE=VALUE", value_parser = parse_bound)]
    bound: Vec<(Objective, f64)>,
    /// How many architectures.
    #[arg(short = 'n', long, default_value_t = 5, value_name = "N")]
    number: usize,
    /// Seed of what the policy draws.
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
        let problem = &recorded.problem;
        let given = Bounds::new(self.bound.iter().copied())?;
        given.check(problem.objectives())?;
        let mut history = recorded.history(problem.bounds().overridden_by(&given))?;
        history.import(&Imported::imports(&self.run, problem)?)?;
        ensure!(
            history.evaluations().iter().any(|evaluation| evaluation.complete().is_some()),
            "no evaluation of {} has succeeded yet, so nothing can be predicted",
            self.run.display()
        );
        let preference = self.preference(&given, problem)?;
        let mut rng = ChaCha8Rng::seed_from_u64(self.seed);
        let answers = propose(problem, &history, policy, &preference, self.number, &mut rng)?;
        if self.json {
            say(json(problem, &history, &preference, &answers)?)?;
        } else {
            say(proposals_table(problem, &history, &preference, &answers)?.trim_end())?;
        }
        Ok(ExitCode::SUCCESS)
    }

    /// The strategy as the run's checkpoint holds it.
    fn strategy(&self, recorded: &Recorded) -> anyhow::Result<Box<dyn Strategy>> {
        let Recorded { experiment, problem, .. } = recorded;
        let device = experiment.training.backend.device()?;
        let mut strategy = experiment.strategy.build(experiment.search.seed, problem, &device)?;
        let checkpoint = Checkpoint::load(&self.run.join("checkpoint"))?.with_context(|| {
            format!("{} has no checkpoint yet: a search writes one after its first round", self.run.display())
        })?;
        ensure!(
            checkpoint.experiment == experiment.fingerprint()?,
            "{} was changed since the run began: its policy may be of something else",
            self.run.join("config.toml").display()
        );
        strategy.restore(&checkpoint.strategy)?;
        Ok(strategy)
    }

    fn preference(&self, given: &Bounds, problem: &Problem) -> anyhow::Result<Preference> {
        let objectives = problem.objectives();
        if self.preference.is_empty() {
            return Ok(preference_beside(given, objectives));
        }
        let names: Vec<_> = objectives.iter().map(Objective::name).collect();
        ensure!(
            self.preference.len() == objectives.len(),
            "--preference has {} weights, but the run has {} objectives: {}",
            self.preference.len(),
            objectives.len(),
            names.join(", ")
        );
        Preference::new(self.preference.clone()).context("--preference")
    }
}

fn parse_bound(text: &str) -> Result<(Objective, f64), String> {
    let (name, value) = text.split_once('=').ok_or("expected OBJECTIVE=VALUE, such as time_ms=4")?;
    let objective = name.trim().parse::<Objective>().map_err(|error| error.to_string())?;
    let value = value.trim().parse().map_err(|_| format!("`{}` is not a number", value.trim()))?;
    Ok((objective, value))
}

fn json(problem: &Problem, history: &History, preference: &Preference, answers: &[Proposed]) -> anyhow::Result<String> {
    let objectives = problem.objectives();
    let proposal = |proposed: &Proposed| -> anyhow::Result<Proposal> {
        Ok(Proposal {
            architecture: problem.space().format(&proposed.architecture)?,
            expected: objectives.iter().zip(proposed.expected.iter().copied()).collect(),
            keeps_bounds: proposed.keeps_bounds,
            evaluation: proposed.measured.as_ref().map(|evaluation| evaluation.number),
            measured: proposed.measured.as_ref().map(|evaluation| {
                let values = objectives.iter().zip(&evaluation.values);
                values.filter_map(|(objective, value)| Some((objective, (*value)?))).collect()
            }),
        })
    };
    let bounds = history.bounds();
    let answer = Answer {
        objectives: objectives.as_slice(),
        preference: preference.weights(),
        bounds: objectives.iter().filter_map(|objective| Some((objective, bounds.get(objective)?))).collect(),
        evaluations: history.evaluations().len(),
        proposals: answers.iter().map(proposal).collect::<Result<_, _>>()?,
    };
    Ok(serde_json::to_string_pretty(&answer)?)
}

#[derive(Serialize)]
struct Answer<'a> {
    objectives: &'a [Objective],
    preference: &'a [f64],
    bounds: BTreeMap<Objective, f64>,
    evaluations: usize,
    proposals: Vec<Proposal>,
}

#[derive(Serialize)]
struct Proposal {
    architecture: String,
    expected: BTreeMap<Objective, Expected>,
    keeps_bounds: f64,
    /// Number of its evaluation, where it was evaluated.
    evaluation: Option<u64>,
    measured: Option<BTreeMap<Objective, f64>>,
}
