//! Killed at any moment, and killed again while it goes on, a search loses nothing: neither on a log, nor where children
//! are trained here, nor where a board measures them.
//!
//! `KILLS` is the number of kills on a log, for each strategy, and `KILLS_LIVE` that of those where something is really
//! measured; `KILLS_SEED` draws other moments:
//!
//! ```text
//! KILLS=300 KILLS_LIVE=24 cargo test --test kills -- --nocapture
//! ```

#[path = "kills/moment.rs"]
mod moment;
#[path = "kills/scene.rs"]
mod scene;

use std::collections::BTreeMap;
use std::time::Duration;

use end_to_end::{Board, BoardOptions, Journal, Row, SHORT_TRAININGS, SshdOptions};
use moment::Moment;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use scene::{Hit, Scene};
use serde_json::json;

/// What a variable of the environment says.
fn number(variable: &str, fallback: u64) -> u64 {
    let Ok(text) = std::env::var(variable) else { return fallback };
    text.parse().unwrap_or_else(|_| panic!("{variable} is {text:?}, not a number"))
}

/// Kills of a search, and where they hit.
#[derive(Default)]
struct Tally {
    hits: BTreeMap<Hit, u64>,
    half_written: u64,
}

impl Tally {
    fn count(&mut self, hit: Hit, half_written: bool) {
        *self.hits.entry(hit).or_default() += 1;
        self.half_written += u64::from(half_written);
    }

    fn of(&self, hit: Hit) -> u64 {
        self.hits.get(&hit).copied().unwrap_or(0)
    }

    /// Those that hit a process that was still at work.
    fn kills(&self) -> u64 {
        self.hits.iter().filter(|(hit, _)| **hit != Hit::Over).map(|(_, count)| count).sum()
    }

    fn tell(&self, name: &str) {
        let Self { hits, half_written } = self;
        eprintln!("{name}: {} kills survived, {half_written} with a file half written: {hits:?}", self.kills());
    }
}

fn replayed(strategy: &str, settings: &[&str], seed: u64) {
    survives(&Scene::replayed(strategy, settings), strategy, seed);
}

fn survives(scene: &Scene, strategy: &str, seed: u64) {
    let whole = scene.whole();
    let mut rng = ChaCha8Rng::seed_from_u64(seed + number("KILLS_SEED", 0));
    let mut tally = Tally::default();
    let kills = number("KILLS", 6);
    for life in 0.. {
        let run = format!("killed-{life}");
        // Going on may be what is killed.
        for _ in 0..rng.random_range(1..=4) {
            let killed = scene.kill(&run, Moment::draw(&mut rng, &whole));
            let rows = scene.check_opens(&run);
            assert!(whole.journal.starts_with(&scene.whole_lines(&run)), "{strategy}, {run}, {rows} rows");
            tally.count(if killed { scene.hit(&run, rows, &whole) } else { Hit::Over }, scene.is_half_written(&run));
        }
        scene.go_on(&run).succeed();
        assert!(std::fs::read(scene.journal(&run)).unwrap() == whole.journal, "{strategy}, {run}");
        assert!(std::fs::read(scene.path(&run).join("pareto.csv")).unwrap() == whole.pareto, "{strategy}, {run}");
        assert!(!scene.is_half_written(&run) && !scene.scratch(&run).exists(), "{strategy}, {run}");
        std::fs::remove_dir_all(scene.path(&run)).unwrap();
        // Until enough of them hit the search itself, and not what comes before and after it.
        if tally.kills() >= kills && tally.of(Hit::Middle) * 3 >= kills {
            break;
        }
        assert!(tally.kills() < 10 * kills, "hardly any hits the search itself: {:?}", tally.hits);
    }
    tally.tell(strategy);
}

#[test]
fn random_search_on_a_log() {
    replayed("random", &[], 1);
}

#[test]
fn evolution_on_a_log_with_several_jobs_at_a_time() {
    replayed("evolution", &["replay.workers=3"], 2);
}

#[test]
fn policy_gradient_on_a_log_with_several_jobs_at_a_time() {
    replayed("policy-gradient", &["replay.workers=4"], 3);
}

#[test]
fn bayesian_optimisation_on_a_log_with_several_jobs_at_a_time() {
    replayed("bayesian", &["replay.workers=3", "strategy.candidates=300"], 6);
}

#[test]
fn model_based_search_on_a_log() {
    // So few that the surrogate is fitted to a part of them.
    replayed("model-based", &["strategy.fitted=40"], 4);
}

#[test]
fn model_based_search_on_a_log_with_short_trainings_and_several_jobs_at_a_time() {
    let settings = [&SHORT_TRAININGS[..], &["replay.workers=3", "fidelity.measure_ahead=5", "search.evaluations=12"]];
    replayed("model-based", &settings.concat(), 5);
}

#[test]
fn searches_for_two_boards_on_a_log_with_several_jobs_at_a_time() {
    let settings = ["replay.workers=3", "fidelity.measure_ahead=4", "search.evaluations=30"];
    survives(&Scene::replayed_on_two_boards("model-based", &settings), "two boards, model-based", 6);
    survives(&Scene::replayed_on_two_boards("evolution", &["search.evaluations=60"]), "two boards, evolution", 7);
}

/// Rows that were on the disk are the first ones of the end: none is lost, and no job is done again.
fn assert_kept(before: &[Row], after: &[Row], label: &str) {
    assert_eq!(&after[..before.len()], before, "{label}");
    let job = |row: &Row| ["evaluation", "status", "epochs", "target"].map(|column| row.text(column).to_owned());
    let jobs: std::collections::BTreeSet<_> = after.iter().map(job).collect();
    assert_eq!(jobs.len(), after.len(), "{label}: a job is done twice");
}

#[test]
fn children_trained_and_timed_here() {
    let scene = Scene::live();
    let whole = scene.whole();
    let found = |rows: &[Row]| -> Vec<_> {
        // Accuracy too: the same seed trains the same child. Which member of the front is measured again is as the
        // times are.
        let cells = |row: &Row| ["architecture", "status", "accuracy"].map(|column| row.text(column).to_owned());
        rows.iter().filter(|row| row.evaluation() < scene::LIVE_EVALUATIONS).map(cells).collect()
    };
    let expected = found(&Journal::read(&scene.journal("whole")).rows);
    let mut rng = ChaCha8Rng::seed_from_u64(5 + number("KILLS_SEED", 0));
    let mut tally = Tally::default();
    for life in 0.. {
        let run = format!("killed-{life}");
        for _ in 0..rng.random_range(1..=3) {
            let before = scene.rows_on_disk(&run);
            let killed = scene.kill(&run, Moment::draw(&mut rng, &whole));
            let rows = scene.check_opens(&run);
            assert_kept(&before, &scene.rows_on_disk(&run), &run);
            tally.count(if killed { scene.hit(&run, rows, &whole) } else { Hit::Over }, scene.is_half_written(&run));
        }
        let before = scene.rows_on_disk(&run);
        scene.go_on(&run).succeed();
        let after = Journal::read(&scene.journal(&run));
        assert_kept(&before, &after.jobs, &run);
        assert_eq!(found(&after.rows), expected, "{run}");
        assert_eq!(after.ended().len() as u64, scene.evaluations, "{run}");
        assert!(!scene.path(&run).join("checkpoint/trainings").exists(), "{run}");
        assert!(!scene.is_half_written(&run) && !scene.scratch(&run).exists(), "{run}");
        if tally.kills() >= number("KILLS_LIVE", 2) {
            break;
        }
    }
    tally.tell("host");
}

#[test]
fn children_measured_on_a_board() {
    let physics = json!({
        "base_ms": 1.0, "ns_per_byte": 30.0, "load_mw_per_byte": 0.05, "build_s": 0.05, "heat_tau_s": 0.3,
        "heat_c_per_w": 0.2, "needs_sudo": true,
    });
    let Some(board) = Board::start(BoardOptions { physics, sshd: SshdOptions::default() }) else { return };
    let scene = Scene::on(&board);
    let mut rng = ChaCha8Rng::seed_from_u64(6 + number("KILLS_SEED", 0));
    let mut tally = Tally::default();
    // That of an undisturbed run is not waited for: by default there are few kills.
    let whole = scene.guess(Duration::from_secs(15));
    for life in 0.. {
        let run = format!("killed-{life}");
        for kill in 0..rng.random_range(1..=3) {
            let before = scene.rows_on_disk(&run);
            let killed = scene.kill(&run, Moment::draw(&mut rng, &whole));
            let rows = scene.check_opens(&run);
            assert_kept(&before, &scene.rows_on_disk(&run), &run);
            tally.count(if killed { scene.hit(&run, rows, &whole) } else { Hit::Over }, scene.is_half_written(&run));
            // Now and then it goes on before the board has noticed.
            if kill % 2 == 0 {
                assert_clean(&board, &run);
            }
            if tally.kills() >= number("KILLS_LIVE", 1) {
                break;
            }
        }
        let before = scene.rows_on_disk(&run);
        scene.go_on(&run).succeed();
        let after = Journal::read(&scene.journal(&run));
        assert_kept(&before, &after.jobs, &run);
        assert_eq!(after.ended().len() as u64, scene.evaluations, "{run}");
        for row in after.ended() {
            let is_alright = row.text("status") == "ok" || row.text("message").contains("no path leads");
            assert!(is_alright, "{run}: {}", row.text("message"));
        }
        assert_clean(&board, &run);
        if tally.kills() >= number("KILLS_LIVE", 1) {
            break;
        }
    }
    tally.tell("board");
}

/// Nothing runs on the board, nothing lies about, and its clocks are as they were.
fn assert_clean(board: &Board, run: &str) {
    let leftovers = board.leftovers_after(Duration::from_secs(20));
    assert!(leftovers.is_empty(), "{run}: {leftovers:?}");
    assert!(board.stray_files().is_empty(), "{run}: {:?}", board.stray_files());
    assert_ne!(board.state()["clocks"], json!(true), "{run}: the clocks are put back");
}
