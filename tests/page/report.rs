//! The report of a run: one file, which a browser opens without a server.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use child::space::{Mobile, MobileSettings, SearchSpace as _};
use end_to_end::{Browser, Journal, Program, Table, experiment};
use rand::SeedableRng as _;
use rand_chacha::ChaCha8Rng;
use serde_json::Value;

/// Points of the front's plot: `[across, up, place, …]` of each network.
pub const POINTS: &str =
    "page.charts.front.getOption().series.filter((one) => one.id.startsWith('networks')).flatMap((one) => one.data)";

/// A run that replays a table, with more settings.
pub fn replayed(folder: &Path, out: &str, more: &[&str]) {
    Table::write(folder);
    fs::write(folder.join("experiment.toml"), experiment()).unwrap();
    let fixed =
        ["replay", "table.csv", "--experiment", "experiment.toml", "--evaluations", "40", "--quiet", "--out", out];
    Program::new(folder).args(fixed).args(more).succeed();
}

fn open(browser: &Browser, path: &Path) {
    browser.open(&format!("file://{}", path.canonicalize().unwrap().display()));
    browser.wait_for("window.page && page.ready");
}

/// Checks that nothing went wrong in the page, and that it asked for nothing from elsewhere.
pub fn check_quiet(browser: &Browser, own: &str) {
    assert_eq!(browser.errors(), [""; 0]);
    for request in browser.requests() {
        // The browser begins with a page of its own.
        let is_own = [own, "data:", "chrome:"].iter().any(|begin| request.starts_with(begin));
        assert!(is_own, "a request to {request}");
    }
}

fn numbers(value: &Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(|number| number.as_f64().unwrap_or_else(|| panic!("{number}"))).collect()
}

#[test]
fn plots_show_the_values_of_the_journal() {
    let Some(browser) = Browser::start(1200, 900, false) else { return };
    let folder = tempfile::tempdir().unwrap();
    for (out, objectives) in [
        ("two", r#"["error", "time_ms"]"#),
        ("three", r#"["error", "time_ms", "energy_mj"]"#),
        ("five", r#"["error", "time_ms", "energy_mj", "parameters", "macs"]"#),
    ] {
        replayed(
            folder.path(),
            out,
            &["--set", &format!("search.objectives={objectives}"), "--set", "search.bounds={}"],
        );
        let run = folder.path().join(out);
        open(&browser, &run.join("report.html"));
        let journal = Journal::read(&run.join("measurements.csv"));
        let points = browser.value(POINTS);
        let points: Vec<Vec<f64>> = points.as_array().unwrap().iter().map(numbers).collect();
        assert_eq!(points.len(), journal.ended().len(), "{out}");
        for point in &points {
            let row = &journal.rows[point[2] as usize];
            let wanted = [row.number("time_ms").unwrap(), 1.0 - row.number("accuracy").unwrap()];
            for (found, wanted) in point.iter().zip(wanted) {
                assert!((found - wanted).abs() <= 1e-5 * wanted.abs(), "{out}: {point:?} is not {wanted}");
            }
        }
        let steps = browser.value("page.charts.hypervolume.getOption().series[0].data.length").as_u64().unwrap();
        assert!(steps > 0, "{out} has a curve");
        let members = Journal::read(&run.join("pareto.csv")).rows.len() as u64;
        assert_eq!(browser.value("page.document.runs[0].front.length"), members);
        // Both main plots are there without scrolling.
        for plot in ["front", "hypervolume"] {
            let bottom =
                browser.value(&format!("document.querySelector('[data-plot={plot}]').getBoundingClientRect().bottom"));
            assert!(bottom.as_f64().unwrap() <= 900.0, "{plot} of {out} ends at {bottom}");
        }
        let unnamed =
            "[...document.querySelectorAll('[data-plot]')].filter((one) => one.offsetParent && !one.ariaLabel).length";
        assert_eq!(browser.value(unnamed), 0, "every plot has an alternative text");
        let size = fs::metadata(run.join("report.html")).unwrap().len();
        assert!(size < 5_000_000, "the report of {out} has {size} bytes");
        check_quiet(&browser, "file://");
    }
}

#[test]
fn a_network_is_found_by_mouse_table_and_filter() {
    let Some(browser) = Browser::start(1200, 900, true) else { return };
    let folder = tempfile::tempdir().unwrap();
    replayed(folder.path(), "run", &[]);
    open(&browser, &folder.path().join("run/report.html"));
    let journal = Journal::read(&folder.path().join("run/measurements.csv"));

    // A member of the front, by its place in the window.
    let at = browser.value(
        "(() => { const member = page.document.runs[0].front[0].objectives; const chart = page.charts.front; \
         const place = chart.convertToPixel('grid', [member.time_ms, member.error]); \
         const box = chart.getDom().getBoundingClientRect(); return [place[0] + box.left, place[1] + box.top]; })()",
    );
    let at = numbers(&at);
    browser.point(at[0] - 30.0, at[1] + 30.0, false);
    browser.point(at[0], at[1], false);
    let number = browser.value("page.document.runs[0].front[0].evaluation");
    browser.wait_for(&format!("document.body.innerText.includes('network {number}')"));
    browser.point(at[0], at[1], true);
    browser.wait_for("document.getElementById('network').open");
    let text = browser.value("document.getElementById('network').textContent");
    let text = text.as_str().unwrap();
    let row = journal.rows.iter().find(|row| row.evaluation() == number.as_u64().unwrap()).unwrap();
    for wanted in [row.text("architecture"), "controller train", "convolution"] {
        assert!(text.contains(wanted), "no {wanted} in {text}");
    }
    assert!(
        browser.value("document.querySelectorAll('#network svg').length").as_u64().unwrap() > 0,
        "its cell is drawn"
    );
    browser.key("\u{e00c}");
    browser.wait_for("!document.getElementById('network').open");

    // The table, filtered and sorted.
    browser.run(
        "const input = document.getElementById('filter'); input.value = 'time_ms < 2.5 and status = ok'; \
         input.dispatchEvent(new Event('input', { bubbles: true }));",
    );
    let is_fast =
        |row: &&end_to_end::Row| row.number("time_ms").is_some_and(|time| time < 2.5) && row.text("status") == "ok";
    let mut wanted: Vec<f64> = journal.rows.iter().filter(is_fast).map(|row| row.number("time_ms").unwrap()).collect();
    assert!(wanted.len() > 2, "the filter leaves some");
    browser.wait_for(&format!("tablePart.rows.length === {}", wanted.len()));
    browser.run(
        "[...document.querySelectorAll('table.all th button')].find((one) => one.textContent.startsWith('time_ms')).click();",
    );
    wanted.sort_by(f64::total_cmp);
    let column =
        "[...document.querySelectorAll('table.all th')].findIndex((one) => one.textContent.startsWith('time_ms'))";
    let shown = format!(
        "[...document.querySelectorAll('tr[data-evaluation]')].map((one) => parseFloat(one.cells[{column}].textContent))"
    );
    let shown = numbers(&browser.value(&shown));
    assert!(shown.len() > 1 && shown.iter().zip(&wanted).all(|(a, b)| (a - b).abs() < 0.01), "{shown:?} {wanted:?}");
    check_quiet(&browser, "file://");
}

#[test]
fn texts_of_others_are_shown_as_text() {
    let Some(browser) = Browser::start(1200, 900, false) else { return };
    let folder = tempfile::tempdir().unwrap();
    replayed(folder.path(), "run", &[]);
    let path = folder.path().join("run/measurements.csv");
    let text = fs::read_to_string(&path).unwrap();
    let long = "x".repeat(1_000_000);
    let hostile = [
        "<script>window.hacked=1</script>".to_owned(),
        "<img src=x onerror=window.hacked=1>".to_owned(),
        "\"\"'); window.hacked=1; //".to_owned(),
        "\u{202e}gnissim si drawkcab".to_owned(),
        long,
    ];
    let mut lines = text.lines().map(str::to_owned).collect::<Vec<_>>();
    let header: Vec<&str> = text.lines().next().unwrap().split(',').collect();
    let [device, message] = ["device", "message"].map(|name| header.iter().position(|one| *one == name).unwrap());
    for (line, hostile) in lines.iter_mut().skip(1).zip(hostile.iter().cycle()) {
        let mut reader = csv::ReaderBuilder::new().has_headers(false).from_reader(line.as_bytes());
        let record = reader.records().next().unwrap().unwrap();
        let mut cells: Vec<String> = record.iter().map(str::to_owned).collect();
        cells[device] = hostile.chars().take(300).collect();
        cells[message].clone_from(hostile);
        let mut writer = csv::Writer::from_writer(Vec::new());
        writer.write_record(&cells).unwrap();
        *line = String::from_utf8(writer.into_inner().unwrap()).unwrap().trim_end().to_owned();
    }
    fs::write(&path, lines.join("\n") + "\n").unwrap();
    let server = super::live::serve(folder.path(), &["run"]);
    browser.open(&server.address);
    browser.wait_for("window.page && page.ready && page.charts.front");
    browser.run("openNetwork(page.model.shown, 0);");
    browser.wait_for("document.getElementById('network').open");
    let shown = browser.value("document.getElementById('network').innerText");
    assert!(shown.as_str().unwrap().contains("<script>window.hacked=1</script>"), "{shown}");
    // A live page asks for the layers.
    browser.wait_for("document.getElementById('network').textContent.includes('convolution')");
    assert_eq!(browser.value("window.hacked"), Value::Null);
    check_quiet(&browser, &server.address);
}

#[test]
fn twenty_thousand_networks_are_drawn() {
    let Some(browser) = Browser::start(1200, 900, false) else { return };
    let folder = tempfile::tempdir().unwrap();
    replayed(folder.path(), "run", &[]);
    let (space, mut rng) = (Mobile::new(MobileSettings::default()).unwrap(), ChaCha8Rng::seed_from_u64(1));
    let config = fs::read_to_string(folder.path().join("run/config.toml")).unwrap();
    let mut config: toml::Table = config.parse().unwrap();
    config.insert("space".to_owned(), toml::toml! { name = "mobile" }.into());
    fs::write(folder.path().join("run/config.toml"), config.to_string()).unwrap();
    let header = fs::read_to_string(folder.path().join("run/measurements.csv")).unwrap();
    let header = header.lines().next().unwrap();
    let width = header.split(',').count();
    let mut text = format!("{header}\n");
    for number in 0..20_000_u32 {
        let architecture = space.format(&space.random(&mut rng)).unwrap();
        let (time, energy) = (1.0 + f64::from(number % 977) / 100.0, 2.0 + f64::from(number % 619) / 50.0);
        let accuracy = 0.9 - 1.0 / (1.0 + time) + f64::from(number % 13) / 1000.0;
        let filled = format!("{number},,{architecture},ok,{accuracy:.4},{time:.4},,,{energy:.4}");
        let _ = writeln!(text, "{filled}{}", ",".repeat(width - filled.split(',').count()));
    }
    fs::write(folder.path().join("run/measurements.csv"), text).unwrap();
    let server = super::live::serve(folder.path(), &["run"]);
    browser.open(&server.address);
    browser.wait_for("window.page && page.ready && page.charts.front");
    let shown = browser.value("page.model.shown.size");
    assert_eq!(shown, 20_000);
    let rows = browser.value("document.querySelectorAll('tr[data-evaluation]').length").as_u64().unwrap();
    assert!((1..200).contains(&rows), "only the rows in sight are elements, not {rows}");
    check_quiet(&browser, &server.address);
}
