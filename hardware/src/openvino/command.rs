//! The arguments of benchmark_app for a measurement of latency and nothing else.

use super::options::{OpenVinoOptions, Precision};
use super::support::{Version, is_stick, version};
use crate::input::Input;

/// The first release with `-hint`. From then on the hint is for throughput where none is given.
const FIRST_HINT: Version = (2022, 1);
/// The first release with `-infer_precision`, which took the place of `-enforcebf16`.
const FIRST_PRECISION: Version = (2022, 2);
/// The oldest release whose options are known; older ones get those that all have in common.
const FIRST_KNOWN: Version = (2021, 4);

/// The quantity that a run measures.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Goal {
    /// How long one inference takes when nothing else is asked of the device.
    #[default]
    Latency,
    /// How many inferences a second it does when it may do several at a time.
    Throughput,
}

/// The arguments of a run of at least a second, without the program's name. A build that is not a version is taken for a
/// new one; ONNX does for all devices and versions.
///
/// For latency one request at a time (`-api sync -nireq 1`), without the hint that would trade latency for throughput, in one
/// stream on `CPU`. `-ip` states the input's precision: unasked, an input with three channels is taken for an image of
/// bytes, and a conversion is put in front of the network.
///
/// For `MYRIAD` nothing has to be converted beforehand: its plugin turns a network of FP32, ONNX or IR, into FP16 when
/// it loads it (`ConvertPrecision` in its front end, 2021), and knows no `-infer_precision`. The input is given as FP16,
/// so that half as much goes over the bus, and nothing is converted there.
pub(super) fn arguments(
    options: &OpenVinoOptions,
    build: &str,
    model: &str,
    inputs: &[Input],
    goal: Goal,
    seconds: u32,
) -> Vec<String> {
    let device = options.device.as_str();
    let found = version(build);
    let since = |first: Version| found.is_none_or(|found| found >= first);
    let mut arguments = Vec::new();
    let mut add = |words: &[&str]| arguments.extend(words.iter().map(|&word| word.to_owned()));

    // A path that begins with a hyphen would be taken for an option.
    let model = if model.starts_with('-') { format!("./{model}") } else { model.to_owned() };
    let is_latency = goal == Goal::Latency;
    add(&["-m", &model, "-d", device, "-t", &seconds.max(1).to_string()]);
    add(if is_latency { &["-api", "sync", "-nireq", "1"] } else { &["-api", "async"] });
    if since(FIRST_HINT) {
        add(&["-hint", if is_latency { "none" } else { "throughput" }]);
    }
    let is_cpu = device == "CPU" || device.starts_with("CPU.");
    if is_cpu {
        if is_latency {
            add(&["-nstreams", "1"]);
        }
        // The hint does not go with a number of threads: the tool refuses both together.
        if let Some(threads) = options.threads.filter(|_| is_latency || !since(FIRST_HINT)) {
            add(&["-nthreads", &threads.max(1).to_string()]);
        }
    }
    let is_stick = is_stick(device);
    if since(FIRST_KNOWN) {
        let words = input_precisions(inputs, is_stick, since(FIRST_HINT));
        add(&words.iter().map(String::as_str).collect::<Vec<_>>());
    }
    if !is_stick && since(FIRST_PRECISION) {
        match options.precision {
            Precision::Native => (),
            Precision::Fp32 => add(&["-infer_precision", "f32"]),
            Precision::Fp16 => add(&["-infer_precision", "f16"]),
            Precision::Bf16 => add(&["-infer_precision", "bf16"]),
        }
    } else if is_cpu && since(FIRST_KNOWN) {
        match options.precision {
            Precision::Fp32 => add(&["-enforcebf16", "false"]),
            Precision::Bf16 => add(&["-enforcebf16", "true"]),
            Precision::Native | Precision::Fp16 => (),
        }
    }
    arguments
}

/// The arguments that state the precision of inputs. Unasked, an input that could be an image is taken for one of bytes;
/// any other keeps its own type.
fn input_precisions(inputs: &[Input], is_stick: bool, is_new: bool) -> Vec<String> {
    let of = |input: &Input| precision(input.element, is_stick, is_new);
    let floating = precision("float32", is_stick, is_new).unwrap_or_default();
    let first = inputs.first().map_or(Some(floating), of);
    // Before 2022 the tool takes no other words for all inputs at once.
    let is_accepted = |name: &&str| is_new || matches!(*name, "FP32" | "FP16" | "U8");
    if let Some(name) = first.filter(is_accepted).filter(|name| inputs.iter().all(|input| of(input) == Some(name))) {
        return ["-ip", name].map(str::to_owned).to_vec();
    }
    let could_be_image = |input: &&Input| input.shape.as_ref().is_none_or(|shape| shape.len() >= 3);
    // The tool splits the list there.
    let can_be_named = |input: &&Input| !input.name.contains([',', ' ']);
    let named = inputs.iter().filter(could_be_image).filter(can_be_named);
    let named: Vec<String> = named.filter_map(|input| Some(format!("{}:{}", input.name, of(input)?))).collect();
    if named.is_empty() { Vec::new() } else { vec!["-iop".to_owned(), named.join(",")] }
}

/// A type of elements as the tool names it, before 2022 in capitals.
fn precision(element: &str, is_stick: bool, is_new: bool) -> Option<&'static str> {
    const NAMES: [(&str, &str, &str); 12] = [
        ("float32", "f32", "FP32"),
        ("float16", "f16", "FP16"),
        ("float64", "f64", "FP64"),
        ("bool", "bool", "BOOL"),
        ("int8", "i8", "I8"),
        ("uint8", "u8", "U8"),
        ("int16", "i16", "I16"),
        ("uint16", "u16", "U16"),
        ("int32", "i32", "I32"),
        ("uint32", "u32", "U32"),
        ("int64", "i64", "I64"),
        ("uint64", "u64", "U64"),
    ];
    let element = match (element, is_stick) {
        ("float16" | "float32" | "float64", true) => "float16",
        // Its processors took no FP16.
        ("float16", false) if !is_new => "float32",
        (element, _) => element,
    };
    let (_, new, old) = NAMES.iter().find(|(name, ..)| *name == element)?;
    Some(if is_new { new } else { old })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(version: &str, device: &str, precision: Precision) -> String {
        let options = OpenVinoOptions { device: device.to_owned(), precision, ..OpenVinoOptions::default() };
        arguments(&options, version, "m.onnx", &[], Goal::Latency, 3).join(" ")
    }

    #[test]
    fn each_version_gets_what_it_knows() {
        let common = |device: &str| format!("-m m.onnx -d {device} -t 3 -api sync -nireq 1");
        for (version, device, rest) in [
            ("2020.3.2", "MYRIAD", ""),
            ("2020.3.2", "CPU", " -nstreams 1"),
            ("2021.4.2", "MYRIAD", " -ip FP16"),
            ("2021.4.2", "CPU", " -nstreams 1 -ip FP32 -enforcebf16 false"),
            ("2022.1.0", "CPU", " -hint none -nstreams 1 -ip f32 -enforcebf16 false"),
            ("2022.3.2", "MYRIAD", " -hint none -ip f16"),
            ("2022.3.2", "HETERO:MYRIAD,CPU", " -hint none -ip f16"),
            ("2022.3.2", "CPU", " -hint none -nstreams 1 -ip f32 -infer_precision f32"),
            ("2026.4.1-22982-e213a147257-releases/2026/4", "GPU", " -hint none -ip f32 -infer_precision f32"),
            ("of my own", "CPU", " -hint none -nstreams 1 -ip f32 -infer_precision f32"),
        ] {
            assert_eq!(line(version, device, Precision::Fp32), common(device) + rest, "{version}");
        }
        assert!(!line("2026.4.1", "CPU", Precision::Native).contains("precision"));
    }

    #[test]
    fn inputs_keep_their_own_types() {
        let input =
            |name: &str, element, rank| Input { name: name.to_owned(), element, shape: Some(vec![Some(1); rank]) };
        let words = |inputs: &[Input], is_stick, is_new| input_precisions(inputs, is_stick, is_new).join(" ");
        let image = || input("image", "float32", 4);
        for (inputs, new, old, stick) in [
            (vec![], "-ip f32", "-ip FP32", "-ip f16"),
            (vec![image(), input("b", "float32", 2)], "-ip f32", "-ip FP32", "-ip f16"),
            (vec![input("h", "float16", 4)], "-ip f16", "-ip FP32", "-ip f16"),
            (vec![input("bytes", "uint8", 4)], "-ip u8", "-ip U8", "-ip u8"),
            (vec![input("ids", "int64", 2), input("mask", "int64", 2)], "-ip i64", "", "-ip i64"),
            (vec![input("ids", "int64", 2), image()], "-iop image:f32", "-iop image:FP32", "-iop image:f16"),
            (vec![input("text", "string", 1)], "", "", ""),
        ] {
            assert_eq!(words(&inputs, false, true), new, "{inputs:?}");
            assert_eq!(words(&inputs, false, false), old, "{inputs:?}");
            assert_eq!(words(&inputs, true, true), stick, "{inputs:?}");
        }
    }

    #[test]
    fn requested_options_are_passed_on() {
        let options = OpenVinoOptions {
            device: "CPU".to_owned(),
            precision: Precision::Bf16,
            threads: Some(2),
            ..OpenVinoOptions::default()
        };
        let arguments = arguments(&options, "2026.4.1", "-m.onnx", &[], Goal::Throughput, 0);
        let has = |pair: [&str; 2]| arguments.windows(2).any(|words| words == pair);
        assert!(has(["-m", "./-m.onnx"]) && has(["-t", "1"]), "{arguments:?}");
        assert!(!arguments.contains(&"-nthreads".to_owned()), "{arguments:?}");
        assert!(has(["-api", "async"]) && has(["-hint", "throughput"]), "{arguments:?}");
        assert!(has(["-infer_precision", "bf16"]), "{arguments:?}");
    }
}
