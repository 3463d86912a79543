use std::path::Path;

use proptest::prelude::*;

use crate::mutation::mutated;

use super::times::Runs;
use super::*;

const VERSION_7: &str = "\
[10/20/2020-19:56:26] [I] Timing trace has 0 queries over 3.00956 s
[10/20/2020-19:56:29] [I] Average on 10 runs - GPU latency: 4.4 ms - Host latency: 4.5 ms (end to end 4.6 ms, enqueue 1 ms)
[10/20/2020-19:56:29] [I] Host Latency
[10/20/2020-19:56:29] [I] min: 4.3 ms (end to end 4.4 ms)
[10/20/2020-19:56:29] [I] max: 7.1 ms (end to end 7.2 ms)
[10/20/2020-19:56:29] [I] mean: 4.6 ms (end to end 4.7 ms)
[10/20/2020-19:56:29] [I] median: 4.5 ms (end to end 4.6 ms)
[10/20/2020-19:56:29] [I] percentile: 5.5 ms at 99% (end to end 6.1 ms at 99%)
[10/20/2020-19:56:29] [I] throughput: 0 qps
[10/20/2020-19:56:29] [I] walltime: 3.009 s
[10/20/2020-19:56:29] [I] Enqueue Time
[10/20/2020-19:56:29] [I] min: 2.4 ms
[10/20/2020-19:56:29] [I] max: 4.9 ms
[10/20/2020-19:56:29] [I] GPU Compute
[10/20/2020-19:56:29] [I] min: 4.2 ms
[10/20/2020-19:56:29] [I] max: 7 ms
[10/20/2020-19:56:29] [I] mean: 4.5 ms
[10/20/2020-19:56:29] [I] median: 4.4 ms
[10/20/2020-19:56:29] [I] percentile: 5.4 ms at 99%
[10/20/2020-19:56:29] [I] total compute time: 2.9 s
&&&& PASSED TensorRT.trtexec # trtexec --onnx=a.onnx
";
const VERSION_8: &str = "\
&&&& RUNNING TensorRT.trtexec [TensorRT v8201] # trtexec --loadEngine=a.engine
[12/06/2022-15:00:16] [I] Warmup completed 50 queries over 200 ms
[12/06/2022-15:00:20] [I] Timing trace has 1200 queries over 3.1 s
[12/06/2022-15:00:20] [I] 
[12/06/2022-15:00:20] [I] === Performance summary ===
[12/06/2022-15:00:20] [I] Throughput: 400 qps
[12/06/2022-15:00:20] [I] Latency: min = 2.6 ms, max = 3.2 ms, mean = 2.75 ms, median = 2.7 ms, percentile(99%) = 3.1 ms
[12/06/2022-15:00:20] [I] End-to-End Host Latency: min = 9 ms, max = 9 ms, mean = 9 ms, median = 9 ms, percentile(99%) = 9 ms
[12/06/2022-15:00:20] [I] Enqueue Time: min = 0.1 ms, max = 0.2 ms, mean = 0.1 ms, median = 0.1 ms, percentile(99%) = 0.2 ms
[12/06/2022-15:00:20] [I] H2D Latency: min = 8 ms, max = 8 ms, mean = 8 ms, median = 8 ms, percentile(99%) = 8 ms
[12/06/2022-15:00:20] [I] GPU Compute Time: min = 2.4 ms, max = 3 ms, mean = 2.5 ms, median = 2.45 ms, percentile(99%) = 2.9 ms
[12/06/2022-15:00:21] [I] Total Host Walltime: 3.1 s
[12/06/2022-15:00:21] [I] Total GPU Compute Time: 3 s
[12/06/2022-15:00:21] [V] GPU Compute Time: the GPU latency to execute the kernels for a query.
[12/06/2022-15:00:21] [V] Latency: the summation of H2D Latency, GPU Compute Time, and D2H Latency.
&&&& PASSED TensorRT.trtexec [TensorRT v8201] # trtexec --loadEngine=a.engine
";
const VERSION_10: &str = "\
[10/03/2024-10:47:59] [I] Latency: min = 5.4 ms, max = 13.4 ms, mean = 7.6 ms, median = 7.2 ms, percentile(90%) = 10.3 ms, percentile(95%) = 10.9 ms, percentile(99%) = 13 ms
[10/03/2024-10:47:59] [I] GPU Compute Time: min = 5.3 ms, max = 13.3 ms, mean = 7.5 ms, median = 7.1 ms, percentile(90%) = 10.2 ms, percentile(95%) = 10.8 ms, percentile(99%) = 12.9 ms
[10/03/2024-10:47:59] [I] Total Host Walltime: 3.0 s
&&&& PASSED TensorRT.trtexec [TensorRT v100300] [b26] # trtexec --onnx=a.onnx
";
const ALL: [&str; 3] = [VERSION_7, VERSION_8, VERSION_10];

const TIMES_8_0: &str = r#"[
  { "startInMs" : 0.5, "endInMs" : 0.6, "startComputeMs" : 0.6, "endComputeMs" : 2.6, "startOutMs" : 2.6, "endOutMs" : 2.7, "inMs" : 0.1, "computeMs" : 2, "outMs" : 0.1, "latencyMs" : 2.2, "endToEndMs" : 2.3 }
, { "startInMs" : 3, "endInMs" : 3.1, "startComputeMs" : 3.1, "endComputeMs" : 6.1, "startOutMs" : 6.1, "endOutMs" : 6.2, "inMs" : 0.1, "computeMs" : 3, "outMs" : 0.1, "latencyMs" : 3.2, "endToEndMs" : 3.3 }
, { "startInMs" : 7, "endInMs" : 7.1, "startComputeMs" : 7.1, "endComputeMs" : 8.1, "startOutMs" : 8.1, "endOutMs" : 8.2, "inMs" : 0.1, "computeMs" : 1, "outMs" : 0.1, "latencyMs" : 1.2, "endToEndMs" : 1.3 }
]
"#;
const TIMES_8_4: &str = r#"[
  { "startEnqMs" : 1, "endEnqMs" : 1.1, "startH2dMs" : 1, "endH2dMs" : 1.5, "startComputeMs" : 1.5, "endComputeMs" : 3.5, "startD2hMs" : 3.5, "endD2hMs" : 4, "h2dMs" : 0.5, "computeMs" : 2, "d2hMs" : 0.5, "latencyMs" : 3 }
]
"#;

#[test]
fn version_7_prints_its_walltime() {
    let report = parse(VERSION_7).unwrap();
    assert_eq!((report.walltime_s, report.queries, report.outcome), (Some(3.009), None, Outcome::Passed));
}

#[test]
fn version_8_prints_its_walltime_and_queries() {
    let report = parse(VERSION_8).unwrap();
    assert_eq!((report.walltime_s, report.queries, report.outcome), (Some(3.1), Some(1200), Outcome::Passed));
    assert_eq!(report.version.as_deref(), Some("8.2.1"));
}

#[test]
fn version_10_prints_its_walltime() {
    let report = parse(VERSION_10).unwrap();
    assert_eq!((report.walltime_s, report.queries, report.outcome), (Some(3.0), None, Outcome::Passed));
    assert_eq!(report.version.as_deref(), Some("10.3.0"));
}

#[test]
fn the_version_is_read_in_every_form() {
    for (text, expected) in [
        ("&&&& RUNNING TensorRT.trtexec [TensorRT v8001] # x", Some("8.0.1")),
        ("&&&& RUNNING TensorRT.trtexec [TensorRT v8503] # x", Some("8.5.3")),
        ("&&&& RUNNING TensorRT.trtexec [TensorRT v101303] [b9] # x", Some("10.13.3")),
        ("[01/01/2022-00:00:00] [I] TensorRT version: 8.2.1", Some("8.2.1")),
        ("[01/01/2022-00:00:00] [I] TensorRT version: 8001", Some("8.0.1")),
        ("&&&& RUNNING TensorRT.trtexec # trtexec", None),
        ("[TensorRT v] [TensorRT v99999999999]", None),
    ] {
        assert_eq!(parse(text).unwrap().version.as_deref(), expected, "{text}");
    }
}

#[test]
fn failures_have_their_cause() {
    let unsupported = "node number 2 [Mish -> \"y\"]: No importer registered for op: Mish".to_owned();
    let cases = [
        (
            "[05/27/2023-17:01:36] [E] [TRT] 1: [defaultAllocator.cpp::allocate::19] Error Code 1: Cuda Runtime (out of memory)\n\
             [05/27/2023-17:01:37] [E] Error[2]: [builder.cpp::build::4] Error Code 2: OutOfMemory (no further information)\n\
             [05/27/2023-17:01:37] [E] Engine could not be created from network",
            Problem::OutOfMemory(
                "1: [defaultAllocator.cpp::allocate::19] Error Code 1: Cuda Runtime (out of memory)".to_owned(),
            ),
        ),
        (
            "ERROR: ../rtSafe/safeRuntime.cpp (25) - Cuda Error in allocate: 2 (out of memory)\n\
             [E] Error[10]: Could not find any implementation for node Conv_1.",
            Problem::OutOfMemory(
                "../rtSafe/safeRuntime.cpp (25) - Cuda Error in allocate: 2 (out of memory)".to_owned(),
            ),
        ),
        ("Cuda failure: out of memory\nAborted", Problem::OutOfMemory("Cuda failure: out of memory".to_owned())),
        (
            "While parsing node number 2 [Mish -> \"y\"]:\nERROR: ModelImporter.cpp:134 In function parseGraph:\n\
             input: \"x\"\n[8] No importer registered for op: Mish\nERROR: could not parse input engine.",
            Problem::Unsupported(unsupported.clone()),
        ),
        (
            "[01/02/2022-00:00:00] [I] [TRT] No importer registered for op: Mish. Attempting to import as plugin.\n\
             [01/02/2022-00:00:00] [E] [TRT] ModelImporter.cpp:773: While parsing node number 2 [Mish -> \"y\"]:\n\
             [01/02/2022-00:00:00] [E] [TRT] ModelImporter.cpp:779: ERROR: builtin_op_importers.cpp:4870 In function f:\n\
             [8] No importer registered for op: Mish\n[01/02/2022-00:00:00] [E] Failed to parse onnx file",
            Problem::Unsupported(unsupported),
        ),
        (
            "[E] [TRT] ModelImporter.cpp:720: While parsing node number 4 [Resize -> \"38\"]:\n\
             [E] [TRT] ModelImporter.cpp:721: --- Begin node ---\n[E] [TRT] ModelImporter.cpp:722: input: \"35\"\n\
             op_type: \"Resize\"\n\n[E] [TRT] ModelImporter.cpp:723: --- End node ---\n\
             [E] [TRT] ModelImporter.cpp:726: ERROR: ModelImporter.cpp:179 In function parseGraph:\n\
             [6] Invalid Node - Resize_4\n\
             This version of TensorRT only supports input K as an initializer.\n\
             [E] Failed to parse onnx file",
            Problem::Unsupported(
                "node number 4 [Resize -> \"38\"]: Invalid Node - Resize_4: This version of TensorRT only supports input \
                 K as an initializer."
                    .to_owned(),
            ),
        ),
        (
            "[E] [TRT] 2: Requested amount of GPU memory (4294967296 bytes) could not be allocated. There may not be enough \
             free memory for allocation to succeed.",
            Problem::OutOfMemory(
                "2: Requested amount of GPU memory (4294967296 bytes) could not be allocated. There may not be enough \
                 free memory for allocation to succeed."
                    .to_owned(),
            ),
        ),
        (
            "[09/28/2025-09:21:51] [E] In node 4 (importTopK): UNSUPPORTED_NODE: Assertion failed: x",
            Problem::Unsupported("In node 4 (importTopK): UNSUPPORTED_NODE: Assertion failed: x".to_owned()),
        ),
        (
            "[05/02/2022-15:17:45] [E] Error[6]: The engine plan file is not compatible with this version of TensorRT, \
             expecting library version 8.2.3 got 8.2.1, please rebuild.\n\
             [05/02/2022-15:17:45] [E] Error[4]: [runtime.cpp::deserializeCudaEngine::50] Error Code 4: Internal Error (Engine deserialization failed.)",
            Problem::BadEngine(
                "Error[6]: The engine plan file is not compatible with this version of TensorRT, expecting library \
                 version 8.2.3 got 8.2.1, please rebuild."
                    .to_owned(),
            ),
        ),
        (
            "[TRT]  ERROR: coreReadArchive.cpp (38) - Serialization Error in verifyHeader: 0 (Version tag does not match)",
            Problem::BadEngine(
                "coreReadArchive.cpp (38) - Serialization Error in verifyHeader: 0 (Version tag does not match)"
                    .to_owned(),
            ),
        ),
        (
            "[TensorRT] ERROR: INVALID_CONFIG: The engine plan file is generated on an incompatible device, expecting \
             compute 6.2 got compute 7.5, please rebuild.",
            Problem::BadEngine(
                "INVALID_CONFIG: The engine plan file is generated on an incompatible device, expecting compute 6.2 \
                 got compute 7.5, please rebuild."
                    .to_owned(),
            ),
        ),
        (
            "[07/18/2024-07:49:33] [E] Error opening engine file: a.engine\n[07/18/2024-07:49:33] [E] Engine set up failed",
            Problem::Other("Error opening engine file: a.engine".to_owned()),
        ),
    ];
    for (output, problem) in cases {
        let report = parse(&format!("{output}\n&&&& FAILED TensorRT.trtexec [TensorRT v8201] # trtexec")).unwrap();
        assert_eq!((report.outcome, report.problem), (Outcome::Failed, Some(problem)), "{output}");
    }
}

#[test]
fn impossible_values_are_rejected_with_line_and_field() {
    for (from, to, field) in [
        ("1200 queries", "-1 queries", "queries"),
        ("Walltime: 3.1 s", "Walltime: x s", "walltime"),
        ("Walltime: 3.1 s", "Walltime: nan s", "walltime"),
        ("Walltime: 3.1 s", "Walltime: -3.1 s", "walltime"),
        ("Walltime: 3.1 s", "Walltime: 1e10 s", "walltime"),
        ("Walltime: 3.1 s", "Walltime: 3.1 ms", "walltime"),
    ] {
        let broken = VERSION_8.replacen(from, to, 1);
        assert_ne!(broken, VERSION_8);
        let error = parse(&broken).unwrap_err().to_string();
        assert!(error.contains(field) && error.starts_with("line "), "{to}: {error}");
    }
    assert!(parse("&&&& PASSED a\n&&&& FAILED a").is_err());
}

#[test]
fn an_output_cut_within_a_number_lacks_that_number() {
    let at = VERSION_8.find("Walltime: 3.1 s").unwrap();
    for length in [at + 14, at + 12, at + 11] {
        let report = parse(&VERSION_8[..length]).unwrap();
        assert_eq!((report.outcome, report.walltime_s, report.queries), (Outcome::Unfinished, None, Some(1200)));
    }
}

#[test]
fn every_collected_output_is_read() {
    let path = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/samples/trtexec.txt"));
    let Ok(samples) = std::fs::read_to_string(path) else {
        println!("skipped: {} is not there", path.display());
        return;
    };
    let mut outputs = 0;
    for sample in samples.split("### ").skip(1) {
        let report = parse(sample).unwrap_or_else(|error| panic!("{error}: {sample}"));
        outputs += 1;
        assert_eq!(report.outcome == Outcome::Passed, sample.contains("&&&& PASSED"), "{sample}");
        assert_eq!(report.problem, None, "{sample}");
        assert_eq!(report.walltime_s.is_some(), sample.to_lowercase().contains("walltime: "), "{sample}");
    }
    assert!(outputs >= 13, "{outputs}");
}

#[test]
fn times_of_old_and_new_versions_are_read() {
    let old = times::parse(TIMES_8_0).unwrap();
    assert_eq!(old.compute_ms, [2.0, 3.0, 1.0]);
    assert_eq!(old.latency_ms.as_deref(), Some(&[2.2, 3.2, 1.2][..]));
    assert_eq!((&old.starts_ms[..], &old.end_ms[..]), (&[0.6, 3.1, 7.1][..], &[2.7, 6.2, 8.2][..]));
    assert!((old.period_ms().unwrap() - 2.75).abs() < 1e-9);
    let new = times::parse(TIMES_8_4).unwrap();
    assert_eq!(new.period_ms(), None);
    assert_eq!((new.starts_ms[0], new.end_ms[0], new.compute_ms[0]), (1.5, 4.0, 2.0));
    let few = r#"[{"startComputeMs": 1, "endComputeMs": 2, "computeMs": 1, "latencyMs": 2},
                  {"startComputeMs": 3, "endComputeMs": 4, "computeMs": 1}]"#;
    let few = times::parse(few).unwrap();
    assert_eq!((few.starts_ms, few.end_ms, few.latency_ms), (vec![1.0, 3.0], vec![2.0, 4.0], None));
}

#[test]
fn warm_up_is_left_out_by_number_or_by_time() {
    let compute_ms = |queries, warm_up_ms| {
        let runs: Runs = times::parse(TIMES_8_0).unwrap().without_warm_up(queries, warm_up_ms);
        assert_eq!(runs.compute_ms.len(), runs.latency_ms.unwrap().len());
        assert_eq!(runs.starts_ms.len(), runs.end_ms.len());
        runs.compute_ms
    };
    assert_eq!(compute_ms(Some(2), 0.0), [3.0, 1.0]);
    assert_eq!(compute_ms(Some(3), 5.0), [2.0, 3.0, 1.0]);
    assert_eq!(compute_ms(Some(30), 5.0), [2.0, 3.0, 1.0]);
    assert_eq!(compute_ms(None, 5.0), [1.0]);
    assert_eq!(compute_ms(None, 0.0), [2.0, 3.0, 1.0]);
    assert_eq!(compute_ms(None, f64::NAN), [2.0, 3.0, 1.0]);
    assert_eq!(compute_ms(None, 100.0), [0.0; 0]);
}

#[test]
fn invalid_times_are_rejected_with_their_place() {
    for (from, to, expected) in [
        ("\"computeMs\" : 3", "\"computeMs\" : 0", "run 2: computeMs is 0"),
        ("\"computeMs\" : 3", "\"computeMs\" : -3", "run 2: computeMs is -3"),
        ("\"computeMs\" : 3", "\"computeMs\" : nan", "line 3 column"),
        ("\"computeMs\" : 3", "\"computeMs\" : 1e999", "line 3 column"),
        ("\"computeMs\" : 3", "\"computeMs\" : 1e300", "run 2: computeMs"),
        ("\"computeMs\" : 3", "\"computeMs\" : \"3\"", "line 3 column"),
        ("\"computeMs\" : 3", "\"c\" : 3", "missing field `computeMs`"),
        ("\"latencyMs\" : 3.2", "\"latencyMs\" : 0", "run 2: latencyMs is 0"),
        ("\"startComputeMs\" : 3.1", "\"startComputeMs\" : 6.5", "before it began"),
        ("\"startComputeMs\" : 3.1", "\"startComputeMs\" : 1e15", "run 2: its start"),
        ("\"inMs\"", "\"computeMs\"", "duplicate field"),
        ("]\n", "", "line 5 column"),
    ] {
        let broken = TIMES_8_0.replacen(from, to, 1);
        assert_ne!(broken, TIMES_8_0);
        let error = times::parse(&broken).unwrap_err().to_string();
        assert!(error.contains(expected) && error.contains(" column "), "{to}: {error}");
    }
    for other in ["", "{}", "3", "null", "[1]", "[[]]", &"[".repeat(100_000), r#"[{"computeMs": 1}]"#] {
        assert!(times::parse(other).is_err());
    }
    assert!(times::parse("[]").unwrap_err().contains("have no run"));
    let long = times::parse(&format!(r#"[{{"computeMs": "{}"}}]"#, "x".repeat(1 << 20))).unwrap_err().to_string();
    assert!(long.len() < 600 && long.contains("line 1 column"), "{} bytes", long.len());
}

fn sound(ms: f64) -> bool {
    (0.0..=1e12).contains(&ms)
}

proptest! {
    #![proptest_config(ProptestConfig {
        failure_persistence: None, cases: ProptestConfig::default().cases * 2, ..ProptestConfig::default()
    })]

    #[test]
    fn no_text_makes_it_panic(text in any::<String>(), list in "(GPU Compute Time: min)?[ =.,a-z0-9%()&\\[\\]\n-]{0,80}") {
        let _ = parse(&text);
        let _ = parse(&list);
        let _ = times::parse(&text);
        let _ = times::parse(&list);
    }

    #[test]
    fn damaged_outputs_give_sound_numbers_or_an_error(output in mutated(&ALL)) {
        if let Ok(report) = parse(&output) {
            prop_assert!(report.walltime_s.is_none_or(sound));
            prop_assert!(report.queries != Some(0));
        }
    }

    #[test]
    fn damaged_times_give_sound_numbers_or_an_error(json in mutated(&[TIMES_8_0, TIMES_8_4])) {
        if let Ok(runs) = times::parse(&json) {
            prop_assert!(runs.compute_ms.iter().all(|&ms| ms > 0.0 && sound(ms)));
            let lengths = [runs.starts_ms.len(), runs.end_ms.len(), runs.latency_ms.map_or(runs.compute_ms.len(), |all| all.len())];
            prop_assert_eq!(lengths, [runs.compute_ms.len(); 3]);
        }
    }

    /// Values that are read from an output that is cut anywhere are those of the whole output.
    #[test]
    fn a_cut_output_never_gives_another_number(output in prop::sample::select(&ALL[..]), at in any::<prop::sample::Index>()) {
        let whole = parse(output).unwrap();
        let cut = parse(&output[..at.index(output.len())]).unwrap();
        prop_assert!(cut.queries.is_none() || cut.queries == whole.queries);
        prop_assert!(cut.walltime_s.is_none() || cut.walltime_s == whole.walltime_s);
    }
}
