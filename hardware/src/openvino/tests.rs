use std::path::Path;

use proptest::prelude::*;

use crate::mutation::mutated;

use super::figure::{Figure, Origin};
use super::problem::Kind;
use super::report::parse;
use super::values::Mode;
use crate::statistic::Statistic;

/// A run of 2026.4.1 on a small network; its loop takes a quarter of the time.
const V2026_SMALL: &str = "\
[Step 2/11] Loading OpenVINO Runtime
[ INFO ] OpenVINO:
[ INFO ] Build ................................. 2026.4.1-22982-e213a147257-releases/2026/4
[ INFO ] 
[ INFO ] Device info:
[ INFO ] CPU
[ INFO ] Build ................................. 2026.4.1-22982-e213a147257-releases/2026/4
[Step 5/11] Resizing model to match image sizes and given batch
[ INFO ] Model batch size: 1
[Step 7/11] Loading the model to the device
[ INFO ] Compile model took 63.11 ms
[ INFO ]   INFERENCE_PRECISION_HINT: <Type: 'bfloat16'>
[Step 9/11] Creating infer requests and preparing input tensors
[ WARNING ] No input files were given for input 'images'!. This input will be filled with random values!
[Step 10/11] Measuring performance (Start inference synchronously, limits: 2000 ms duration)
[ INFO ] Benchmarking in inference only mode (inputs filling are not included in measurement loop).
[ INFO ] First inference took 1.88 ms
[Step 11/11] Dumping statistics report
[ INFO ] Execution Devices:['CPU']
[ INFO ] Count:            32491 iterations
[ INFO ] Duration:         2000.03 ms
[ INFO ] Latency:
[ INFO ]    Median:        47.40 us
[ INFO ]    Average:       46.79 us
[ INFO ]    Min:           23.89 us
[ INFO ]    Max:           1539.29 us
[ INFO ] Throughput:   16245.24 FPS
";
const V2022: &str = "\
[ INFO ] Build ................................. 2022.3.2-9279-e2c7e4d7b4d-releases/2022/3
[ INFO ] Model batch size: 1
[Step 10/11] Measuring performance (Start inference synchronously, limits: 2000 ms duration)
[ INFO ] First inference took 0.31 ms
[Step 11/11] Dumping statistics report
[ INFO ] Count:            27972 iterations
[ INFO ] Duration:         2000.06 ms
[ INFO ] Latency:
[ INFO ]    Median:        0.06 ms
[ INFO ]    Average:       0.06 ms
[ INFO ]    Min:           0.05 ms
[ INFO ]    Max:           3.22 ms
[ INFO ] Throughput:   17028.23 FPS
";
const V2021: &str = "\
[Step 2/11] Loading Inference Engine
[ INFO ] InferenceEngine:
         API version............. 2021.4.2-3976-0943ed67223-refs/pull/539/head
[ INFO ] Device info
         CPU
         MKLDNNPlugin............ version 2.1
         Build................... 2021.4.2-3976-0943ed67223-refs/pull/539/head

[Step 5/11] Resizing network to match image sizes and given batch
[ INFO ] Network batch size: 1
[Step 10/11] Measuring performance (Start inference synchronously, limits: 2000 ms duration)
[ INFO ] First inference took 2.79 ms
[Step 11/11] Dumping statistics report
Count:      30501 iterations
Duration:   2000.07 ms
Latency:    0.06 ms
Throughput: 16115.52 FPS
";
const V2018: &str = "\
[Step 7/8] Measuring model performance (1 inference requests, limits: 60000 ms)
[ INFO ] Warming up inference took 45.46 ms
[Step 8/8] Saving statistics report
[ INFO ] Count: 1862 iterations
[ INFO ] Duration: 60002.58 ms
[ INFO ] Latency:
[ INFO ]        Median   34.41 ms
[ INFO ]        Average: 32.22 ms
[ INFO ]        Min:     19.70 ms
[ INFO ]        Max:     84.00 ms
[ INFO ] Throughput: 31.03 FPS
";
const NO_LIBUSB: &str = "\
[Step 2/11] Loading Inference Engine
[ ERROR ] Failed to create plugin /v/libs/libmyriadPlugin.so for device MYRIAD
Please, check your environment
Cannot load library '/v/libs/libmyriadPlugin.so': libusb-1.0.so.0: cannot open shared object file: No such file or directory
Traceback (most recent call last):
  File \"/v/main.py\", line 80, in run
RuntimeError: Failed to create plugin /v/libs/libmyriadPlugin.so for device MYRIAD
";
const ALL: [&str; 5] = [V2026_SMALL, V2022, V2021, V2018, NO_LIBUSB];

fn figure(output: &str) -> Result<Figure, String> {
    parse(output).unwrap().figure()
}

fn close(found: f64, expected: f64) -> bool {
    (found / expected - 1.0).abs() < 1e-9
}

#[test]
fn the_newest_prints_microseconds() {
    let report = parse(V2026_SMALL).unwrap();
    assert_eq!(report.version.as_deref(), Some("2026.4.1-22982-e213a147257-releases/2026/4"));
    assert_eq!(report.precision.as_deref(), Some("bfloat16"));
    assert_eq!((report.batch, report.mode, report.count), (Some(1), Some(Mode::Synchronous), Some(32491)));
    assert_eq!((report.duration_ms, report.first_inference_ms), (Some(2000.03), Some(1.88)));
    assert_eq!((report.throughput_fps, &report.problem), (Some(16245.24), &None));
    assert!(close(report.latency.max_ms.unwrap(), 1.53929) && close(report.latency.median_ms.unwrap(), 0.0474));
    let figure = report.figure().unwrap();
    assert_eq!((figure.statistic, figure.origin), (Statistic::Mean, Origin::Printed));
    assert!(close(figure.ms, 0.04679) && close(figure.rounding_ms, 0.000005), "{figure:?}");
}

#[test]
fn the_median_of_2021_and_2022_has_the_digits_of_the_throughput() {
    let figure_2022 = figure(V2022).unwrap();
    assert_eq!((figure_2022.statistic, figure_2022.origin), (Statistic::Median, Origin::Throughput));
    assert!(close(figure_2022.ms, 1000.0 / 17028.23), "{figure_2022:?}");

    let report = parse(V2021).unwrap();
    assert_eq!(report.version.as_deref(), Some("2021.4.2-3976-0943ed67223-refs/pull/539/head"));
    assert_eq!(report.batch, Some(1));
    assert_eq!((report.latency.mean_ms, report.latency.median_ms), (None, Some(0.06)));
    let mean = report.figure().unwrap();
    assert_eq!((mean.statistic, mean.origin), (Statistic::Mean, Origin::Duration));
    assert!(close(mean.ms, 2000.07 / 30501.0));

    // Under load the mean is far from the median.
    let loaded = V2022.replace("Average:       0.06", "Average:       0.20").replace("27972", "9500");
    let mean = figure(&loaded).unwrap();
    assert_eq!((mean.statistic, mean.origin, mean.ms), (Statistic::Mean, Origin::Printed, 0.2));
    assert!(figure(&V2021.replace("30501", "15000")).unwrap_err().contains("Something else may have been at work"));

    // 24.6 µs with the loop, 21.7 µs without: too far apart to be a mean.
    let smaller = V2021.replace("30501", "81258").replace("0.06 ms", "0.02 ms").replace("16115.52", "46057.48");
    let median = figure(&smaller).unwrap();
    assert_eq!((median.statistic, median.origin), (Statistic::Median, Origin::Throughput));
    assert!(close(median.ms, 1000.0 / 46057.48));
}

#[test]
fn the_median_of_a_busy_machine_is_told_apart_from_its_mean() {
    let figures = |output: &str| parse(output).unwrap().figures(Statistic::Median);
    // Half as many inferences in the same time: the mean is twice the median.
    for (output, median_ms) in [
        (V2021.replace("30501", "15000").replace("16115.52", "16500.12"), 1000.0 / 16500.12),
        (V2022.replace("Average:       0.06", "Average:       0.13").replace("27972", "15000"), 1000.0 / 17028.23),
        (
            V2026_SMALL
                .replace("32491", "15000")
                .replace("16245.24", "7499.89")
                .replace("Average:       46.79", "Average:       120.00"),
            0.0474,
        ),
    ] {
        let found = figures(&output).unwrap();
        assert!(close(found.median_ms.unwrap(), median_ms), "{found:?}");
        assert!((0.11..0.14).contains(&found.mean_ms), "{found:?}");
    }
    let error =
        figures(&V2022.replace("0.06 ms", "0.00 ms").replace("0.05 ms", "0.00 ms").replace("17028.23", "13985.58"))
            .unwrap_err();
    assert!(error.contains("is rounded to"), "{error}");
    // Without a median asked for, all is as before.
    let mean = parse(V2026_SMALL).unwrap().figures(Statistic::Mean).unwrap();
    assert!(close(mean.mean_ms, 0.04679) && mean.median_ms.is_none());
}

#[test]
fn duration_by_count_is_taken_where_it_rounds_to_the_average() {
    let large = V2018.replace("32.22", "32.23").replace("60002.58", "60006.50");
    let mean = figure(&large).unwrap();
    assert_eq!((mean.origin, mean.ms), (Origin::Duration, 60006.50 / 1862.0));
    let report = parse(V2018).unwrap();
    assert_eq!((report.first_inference_ms, report.latency.median_ms), (Some(45.46), Some(34.41)));
    assert_eq!(report.mode, Some(Mode::Asynchronous { requests: Some(1) }));
}

#[test]
fn units_and_old_labels() {
    for (text, expected) in [
        ("Average:       46.79 us", 0.04679),
        ("AVG:  46.79 µs", 0.04679),
        ("Average: 0.05 ms", 0.05),
        ("average 0.00005 s", 0.05),
        ("Average:\t46790 ns", 0.04679),
    ] {
        let output = V2026_SMALL.replace("Average:       46.79 us", text);
        assert!(close(parse(&output).unwrap().latency.mean_ms.unwrap(), expected), "{text}");
    }
    let percentile = V2026_SMALL.replace("Median: ", "90 percentile: ");
    assert_eq!(parse(&percentile).unwrap().latency.median_ms, None);
}

#[test]
fn figures_that_disagree_are_refused_and_both_named() {
    for (from, to) in [("46.79 us", "99.79 us"), ("Duration:         2000.03", "Duration:         9000.03")] {
        let output = V2026_SMALL.replace(from, to).replace("16245.24", "3610.10");
        let output = if from == "46.79 us" { output.replace("3610.10", "16245.24") } else { output };
        let error = figure(&output).unwrap_err();
        assert!(error.contains("Something else may have been at work"), "{to}: {error}");
    }
    let slow = V2018.replace("32.22", "38.00").replace("34.41", "38.00");
    let error = figure(&slow).unwrap_err().to_string();
    assert!(error.contains("mean 38.00 ms as printed") && error.contains("32.22 ms each"), "{error}");
    assert!(figure(&V2018.replace("32.22", "34.00")).is_ok());
    let error = figure(&V2026_SMALL.replace("16245.24", "999.00")).unwrap_err();
    assert!(error.contains("999 FPS is neither"), "{error}");
    let nothing =
        V2026_SMALL.replace("46.79 us", "0.00 ms").replace("47.40 us", "0.00 ms").replace("23.89 us", "0.00 ms");
    assert!(figure(&nothing).unwrap_err().contains("is rounded to"));
    let coarse = V2022.replace("0.06 ms", "0.03 ms").replace("0.05 ms", "0.02 ms").replace("17028.23", "13985.58");
    let error = figure(&coarse).unwrap_err();
    assert!(error.contains("is rounded to") && error.contains("2026"), "{error}");
}

#[test]
fn a_batch_is_one_inference_and_several_requests_are_rejected() {
    let batch = V2021.replace("batch size: 1", "batch size: 128").replace("16115.52", &(16115.52 * 128.0).to_string());
    assert!(close(figure(&batch).unwrap().ms, figure(V2021).unwrap().ms));
    assert!(close(parse(&batch).unwrap().throughput_per_s().unwrap(), 16115.52));
    // Intel's article 000089522 prints neither the batch of 128 nor that four requests run at a time.
    let implied = "Count: 2596 iterations\nDuration: 60141.63 ms\nLatency: 92.60 ms\nThroughput: 5525.09 FPS\n";
    assert!(figure(implied).unwrap_err().contains("contradicts itself"));
    let parallel = V2021.replace("synchronously", "asynchronously, 4 inference requests");
    assert!(figure(&parallel).unwrap_err().contains("4 requests under way"));
}

#[test]
fn a_cut_or_failed_output_has_no_figure() {
    for end in ["Count:", "Duration:", "Latency:"] {
        let cut = &V2021[..V2021.find(end).unwrap()];
        assert!(figure(cut).unwrap_err().contains("has no"), "{end}");
    }
    assert!(figure(NO_LIBUSB).unwrap_err().contains("has no number of inferences"));
    assert!(figure("").unwrap_err().contains("has no number of inferences"));
}

#[test]
fn unknown_text_is_shown_as_it_is() {
    for (from, to, shown) in [
        ("46.79 us", "46.79 jiffies", "46.79 jiffies"),
        ("Average: ", "Expected: ", "Expected:       46.79 us"),
        ("Count:            32491 iterations", "Inferences:       32491 iterations", "Inferences:"),
        ("46.79 us", "-46.79 us", "-46.79 us"),
        ("46.79 us", "nan us", "nan us"),
        ("46.79 us", "1e400 us", "1e400 us"),
        ("32491 iterations", "many iterations", "many iterations"),
        ("16245.24 FPS", "16245.24 per second", "16245.24 per second"),
        ("46.79 us", "2.00 ms", "exclude one another"),
    ] {
        let error = parse(&V2026_SMALL.replacen(from, to, 1)).unwrap_err().to_string();
        assert!(error.contains(shown) && error.contains("line "), "{to}: {error}");
    }
    let twice = V2026_SMALL.to_owned() + &V2026_SMALL.replace("32491", "32492");
    assert!(parse(&twice).unwrap_err().to_string().contains("output of one run"));
}

#[test]
fn causes_of_failures() {
    let cases: [(&str, Kind, &str); 16] = [
        (
            "[ ERROR ] Exception from src/inference/src/cpp/core.cpp:84:\nonnx: Could not open the file: \"/a.onnx\"",
            Kind::Model,
            "path",
        ),
        ("[ ERROR ] Path to the model /a.onnx doesn't exist or it's a directory", Kind::Model, "path"),
        ("FrontEnd API failed with GeneralFailure:\nModel can't be parsed", Kind::Model, "whole"),
        (
            "Unable to read the model: \"junk.onnx\" Please check that model format: \".onnx\" is supported",
            Kind::Model,
            "ONNX",
        ),
        ("[ ERROR ] Unknown model format! Cannot find reader for model format: onnx", Kind::Model, "ONNX"),
        (
            "[ ERROR ] Error during import of ONNX model expected to be in file: /a.onnx\nWhile validating ONNX node \
             '<Node(Unsqueeze): Unsqueeze_16>':\nCheck '!axes.empty()' failed at ngraph/core/src/op/unsqueeze.cpp:63:\n\
             While validating node 'v0::Unsqueeze Unsqueeze_17':\n'axes' input is mandatory.",
            Kind::Model,
            "does not take a node of the model: its operation, or the shapes of its inputs: While validating ONNX node \
             '<Node(Unsqueeze): Unsqueeze_16>': 'axes' input is mandatory. Leave the operation out",
        ),
        ("nGraph does not support the following ONNX operations: Nonsense", Kind::Model, "search space"),
        ("[ ERROR ] Input images is dynamic. Provide data shapes!", Kind::Model, "batch 1"),
        ("[ ERROR ] Device with \"MYRIAD\" name is not registered in the OpenVINO Runtime", Kind::Settings, "2021.4.2"),
        (
            "W: [ncAPI] device_not_found\nE: [ncAPI] ncDeviceOpen:1009\tFailed to find booted device after boot\n[ ERROR ] Can not init Myriad device: NC_ERROR",
            Kind::Away,
            "03e7",
        ),
        (
            "E: [ncAPI] ncDeviceOpen:672\tFailed to find suitable device, rc: X_LINK_DEVICE_NOT_FOUND\n[ ERROR ] Can not init USB device: NC_ERROR",
            Kind::Away,
            "Plug it in",
        ),
        (
            "[ ERROR ] Can not init Myriad device: NC_ERROR\nE: [xLink] X_LINK_DEVICE_ALREADY_IN_USE",
            Kind::Away,
            "one at a time",
        ),
        ("[ ERROR ] Failed to read output from FIFO: NC_ERROR", Kind::Away, "unplugged"),
        (
            "[ ERROR ] Check 'false' failed at src/plugins/intel_gpu/src/plugin/program_builder.cpp:185:\n[GPU] \
             ProgramBuilder build failed!\n[GPU] clEnqueueMapBuffer, error code: -4 CL_MEM_OBJECT_ALLOCATION_FAILURE",
            Kind::Memory,
            "not enough memory",
        ),
        ("[ ERROR ] [Errno 2] No such file or directory: '/nope/benchmark_report.csv'", Kind::Other, "disk full"),
        (
            "usage: benchmark_app [-h]\nbenchmark_app: error: unrecognized arguments: -hint none",
            Kind::Settings,
            "version",
        ),
    ];
    for (output, kind, advice) in cases {
        let problem = parse(output).unwrap().problem.unwrap();
        assert_eq!(problem.kind, kind, "{problem:?}");
        assert!(problem.text.contains(advice), "{problem:?}");
    }
    let missing = parse(NO_LIBUSB).unwrap().problem.unwrap();
    assert!(missing.kind == Kind::Settings && missing.text.contains("libmyriadPlugin.so"), "{missing:?}");
    assert!(missing.text.contains("Install libusb-1.0-0"), "{missing:?}");
    // Before 2022, `-hint` is `-h`, and the exit code 0.
    let usage = parse("usage: benchmark_app [-h [HELP]] [-i PATHS]\n  -t TIME  Time in seconds\n").unwrap();
    assert!(usage.problem.as_ref().unwrap().text.contains("its arguments"), "{usage:?}");
    let other = "[ ERROR ] Exception from src/x.cpp:1:\nCheck 'a' failed at b.cpp:3:\nSomething new\nTraceback:\n";
    assert_eq!(parse(other).unwrap().problem.unwrap().text, "benchmark_app failed: Something new");
    let traceback = "Traceback (most recent call last):\n  File \"a\", line 3\nKeyError: 'b'";
    assert_eq!(parse(traceback).unwrap().problem.unwrap().text, "benchmark_app failed: KeyError: 'b'");
}

#[test]
fn a_failure_after_the_measurement_keeps_its_results() {
    let report =
        parse(&(V2026_SMALL.to_owned() + "[ ERROR ] [Errno 2] No such file: '/n/benchmark_report.csv'\n")).unwrap();
    assert!(report.figure().is_ok() && report.problem.unwrap().text.contains("the report could not be written"));
}

#[test]
fn every_collected_output_is_read() {
    let path = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/samples/benchmark_app.txt"));
    let Ok(samples) = std::fs::read_to_string(path) else {
        println!("skipped: {} is not there", path.display());
        return;
    };
    let (mut outputs, mut sequential) = (0, 0);
    for sample in samples.split("\n### ").skip(1) {
        let report = parse(sample).unwrap_or_else(|error| panic!("{error}: {sample}"));
        outputs += 1;
        assert!(
            report.count.is_some() && report.duration_ms.is_some() && report.latency.median_ms.is_some(),
            "{sample}"
        );
        assert_eq!(report.throughput_fps.is_some(), sample.contains("Throughput"), "{sample}");
        assert_eq!(report.problem, None, "{sample}");
        if sample.contains("sync_benchmark") || sample.contains("Start inference synchronously") {
            sequential += 1;
            assert!(report.figure().is_ok(), "{sample}");
        } else if sample.contains("2 inference requests") || sample.contains("4 inference requests") {
            assert!(report.figure().unwrap_err().contains("under way at once"), "{sample}");
        }
    }
    assert!(outputs >= 13 && sequential >= 2, "{outputs} {sequential}");
}

proptest! {
    #![proptest_config(ProptestConfig {
        failure_persistence: None, cases: ProptestConfig::default().cases * 2, ..ProptestConfig::default()
    })]

    #[test]
    fn no_text_makes_it_panic(text in any::<String>(), lines in "Count: [0-9]{1,20} iterations\n((Duration|Latency|Min|Average|Throughput)[:.0-9 ]{0,9} ?(ms|us|s|FPS)?\n){0,6}") {
        for output in [text, lines] {
            if let Ok(report) = parse(&output) {
                let _ = report.figure().map_err(|error| error.to_string());
            }
        }
    }

    #[test]
    fn damaged_outputs_give_a_sound_figure_or_an_error(output in mutated(&ALL)) {
        if let Ok(report) = parse(&output) {
            prop_assert!(report.count != Some(0));
            match report.figure() {
                Ok(figure) => prop_assert!(figure.ms > 0.0 && figure.ms <= 1e12 && figure.rounding_ms <= 0.11 * figure.ms),
                Err(error) => prop_assert!(!error.to_string().is_empty()),
            }
        }
    }

    /// However an output is cut, what is read is what was there.
    #[test]
    fn a_cut_output_never_gives_another_number(output in prop::sample::select(&ALL[..]), at in any::<prop::sample::Index>()) {
        let whole = parse(output).unwrap();
        let cut = parse(&output[..output.floor_char_boundary(at.index(output.len()))]).unwrap();
        prop_assert!(cut.count.is_none() || cut.count == whole.count);
        prop_assert!(cut.batch.is_none() || cut.batch == whole.batch);
        prop_assert!(cut.version.is_none() || cut.version == whole.version);
        prop_assert!(cut.latency.mean_ms.is_none() || cut.latency.mean_ms == whole.latency.mean_ms);
        prop_assert!(cut.throughput_fps.is_none() || cut.throughput_fps == whole.throughput_fps);
    }
}
