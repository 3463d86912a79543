//! What a search writes beside its journal, on its page: devices, measurements in full, the energy of all of them.

use std::fs;
use std::time::{SystemTime, UNIX_EPOCH};

use end_to_end::Browser;

use super::live::serve;
use super::report::{check_quiet, replayed};

/// A search that is under way: one device is busy, one away, one waits and one is lost.
fn status() -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let since = now - 90;
    format!(
        r#"{{"at": {now}, "since": {since}, "host": "lab", "version": "0", "ended": false, "done": 40, "all": 60,
        "unit": "evaluations", "eta_seconds": 30, "own_seconds": 1, "cluster": null, "workers": [],
        "jobs": [{{"evaluation": 40, "stage": "measuring", "since": {since}, "epoch": null, "epochs": null, "text": null,
            "device": "board-1"}}],
        "devices": [
            {{"name": "board-1", "state": "busy", "evaluation": 40, "since": {since}, "text": null}},
            {{"name": "board-2", "state": "away", "evaluation": 39, "since": {since}, "text": "it was <b>unplugged</b>"}},
            {{"name": "board-3", "state": "waiting", "evaluation": null, "since": null, "text": null}},
            {{"name": "board-4", "state": "lost", "evaluation": null, "since": {since}, "text": "no route to host"}}
        ]}}"#
    )
}

/// Two measurements of a network, the second of which counts, and one without a meter.
const OBSERVATIONS: &str = r#"
{"measured":{"evaluation":3,"numbers":{"recorded_mj":1.8e9,"recorded_s":600}}}
{"measured":{"evaluation":3,"numbers":{"temperature_before_c":41.5,"temperature_after_c":43,"clock_after_mhz":1300,"mean_power_mw":5312,"power_interval":0.012,"recorded_mj":1.8e9,"recorded_s":600},"rails_mj":[["VDD_GPU",4.25]],"source":"ina3221","warnings":["it was <i>hot</i>"]}}
{"measured":{"evaluation":4,"numbers":{"time_ms_mean":2.5}}}
{"measured":{"evalua"#;

#[test]
fn devices_and_whole_measurements_are_shown() {
    let Some(browser) = Browser::start(400, 900, true) else { return };
    let folder = tempfile::tempdir().unwrap();
    replayed(folder.path(), "run", &[]);
    fs::write(folder.path().join("run/status.json"), status()).unwrap();
    fs::write(folder.path().join("run/observations.jsonl"), OBSERVATIONS).unwrap();
    let server = serve(folder.path(), &["run"]);
    browser.open(&server.address);
    browser.wait_for("window.page && page.ready");
    let text = |selector: &str| {
        let shown = browser.value(&format!("document.querySelector('{selector}').innerText"));
        shown.as_str().unwrap().split_whitespace().collect::<Vec<_>>().join(" ")
    };
    let shown = text("#part-watch");
    for wanted in [
        "measuring on board-1",
        "board-1 busy network 40 1 min 30 s",
        "board-2 away network 39 1 min 30 s it was <b>unplugged</b>",
        "board-3 waiting board-4 lost 1 min 30 s no route to host",
    ] {
        assert!(shown.contains(wanted), "no {wanted} in {shown}");
    }
    let shown = text("#part-cost");
    assert!(shown.contains("recorded 1 kWh in 20 min 0 s of 2 measurements"), "{shown}");
    browser.run("openNetwork(page.model.shown, page.model.shown.places.get(3));");
    browser.wait_for("document.getElementById('network').innerText.includes('temperature')");
    let shown = text("#network");
    for wanted in [
        "temperature (°C) 41.5 before, 43 after",
        "clock (MHz) 1300 after",
        "5312 ± 1.2 %",
        "VDD_GPU 4.25",
        "1800000 J in 600 s",
        "it was <i>hot</i>",
    ] {
        assert!(shown.contains(wanted), "no {wanted} in {shown}");
    }
    let wide = browser.value("document.documentElement.scrollWidth").as_u64().unwrap();
    assert!(wide <= 400, "a phone does not scroll sideways: {wide} pixels");
    check_quiet(&browser, &server.address);
}

#[test]
fn the_third_axis_has_deviations_and_bounds_as_the_other_two() {
    let Some(browser) = Browser::start(1200, 900, false) else { return };
    let folder = tempfile::tempdir().unwrap();
    let objectives = r#"search.objectives=["error", "time_ms", "energy_mj"]"#;
    replayed(folder.path(), "run", &["--set", objectives]);
    let report = folder.path().join("run/report.html").canonicalize().unwrap();
    browser.open(&format!("file://{}", report.display()));
    browser.wait_for("window.page && page.ready");
    browser.run(
        "const { networks, bounds } = page.document.runs[0]; \
         const share = (column) => column.map((value) => value && 0.1 * value); \
         networks.deviations = { time_ms: share(networks.values.time_ms), energy_mj: share(networks.values.energy_mj) }; \
         page.document.runs[0].front.forEach((member) => (member.deviations = {})); \
         bounds.energy_mj = Math.max(...page.document.runs[0].front.map((member) => member.objectives.energy_mj)); \
         view.z = 'energy_mj'; refresh();",
    );
    browser.wait_for("frontPart.turner.state.bars");
    let members = browser.value("page.document.runs[0].front.length").as_u64().unwrap();
    assert_eq!(browser.value("frontPart.turner.state.bars.length"), 2 * members, "along time and energy");
    assert!(browser.value("frontPart.turner.state.planes.includes('energy_mj')").as_bool().unwrap());
    browser.run("view.bars = 0; refresh();");
    browser.wait_for("frontPart.turner.state.bars.length === 0");
    check_quiet(&browser, "file://");
}
