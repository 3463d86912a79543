use proptest::prelude::*;

use super::*;
use crate::energy;
use crate::meter::PowerMeter;
use crate::time::Window;

fn gpu(source: Source) -> Nvidia {
    Nvidia { card: cards(&["H200"]).remove(0), source, last: None }
}

fn cards(names: &[&str]) -> Vec<Card> {
    let card = |(index, name): (usize, &&str)| Card {
        index: index as u32,
        name: (*name).to_owned(),
        uuid: format!("GPU-{index}{index}{index}"),
    };
    names.iter().enumerate().map(card).collect()
}

/// A counter that is renewed every 100 ms, polled every 20 ms or so, of power that jumps.
#[test]
fn the_integral_is_that_of_the_counter() {
    let power_mw = |at_ms: u64| if (2000..4500).contains(&at_ms) { 250_000 } else { 60_000 };
    let counted_mj = |at_ms: u64| (0..at_ms / 100 * 100).map(power_mw).sum::<u64>() / 1000;
    let (mut watch, mut points) = (gpu(Source::Counter), Vec::new());
    let mut changes = Vec::new();
    for turn in 0..400u64 {
        let at_ms = turn * 20 + (turn * 7) % 19;
        let before = watch.last.map(|last| last.energy_mj);
        let new = watch.counted(at_ms * 1_000_000, counted_mj(at_ms)).unwrap();
        assert!(new.len() == 2 || new.is_empty());
        if before.is_some_and(|before| before != counted_mj(at_ms)) {
            changes.push((at_ms * 1_000_000, counted_mj(at_ms)));
        }
        points.extend(new);
    }
    assert!(points.is_sorted_by(|a: &Point, b: &Point| a.at_ns < b.at_ns));
    assert!(points.iter().all(|point| (40_000.0..330_000.0).contains(&point.power_mw)), "{points:?}");
    for (from, to) in [(0, 70), (10, 30), (22, 60)] {
        let ((from_ns, from_mj), (to_ns, to_mj)) = (changes[from], changes[to]);
        let window = Window { from_ns, to_ns };
        let measured_mj = energy::mean_power(&points, &[window]).unwrap().mean_mw * window.seconds();
        assert!((measured_mj / (to_mj - from_mj) as f64 - 1.0).abs() < 1e-6, "{measured_mj} {from_mj} {to_mj}");
    }
}

#[test]
fn a_counter_that_stands_still_or_goes_back_is_rejected() {
    let mut watch = gpu(Source::Counter);
    let second = 1_000_000_000;
    assert!(matches!(watch.counted(0, 500), Ok(points) if points.is_empty()));
    assert!(matches!(watch.counted(second, 500), Ok(points) if points.is_empty()));
    assert!(matches!(watch.counted(6 * second, 500), Err(MeterError::Read(why)) if why.contains("6.0 s")));
    assert!(matches!(watch.counted(7 * second, 900), Ok(points) if points.is_empty()));
    assert!(matches!(watch.counted(8 * second, 10), Err(MeterError::Read(_))));
    // The values after it begin anew.
    assert!(matches!(watch.counted(9 * second, 1010), Ok(points) if points.is_empty()));
    let points = watch.counted(10 * second, 3010).unwrap();
    assert_eq!(points.len(), 2);
    assert!((points[0].power_mw - 2000.0).abs() < 1e-9);
    let _ = watch.counted(u64::MAX, u64::MAX);
}

proptest! {
    /// For any values of a driver, in any order, points are in order and powers possible.
    #[test]
    fn no_counter_gives_an_impossible_power(polls in prop::collection::vec((0_u64..8_000_000_000, prop_oneof![0_u64..10, 0_u64..1_000_000, any::<u64>()]), 0..40)) {
        let (mut watch, mut at_ns, mut points) = (gpu(Source::Counter), 0, Vec::<Point>::new());
        for (passed_ns, energy_mj) in polls {
            at_ns += passed_ns;
            if let Ok(new) = watch.counted(at_ns, energy_mj) {
                points.extend(new);
            }
        }
        prop_assert!(points.is_sorted_by(|one, next| one.at_ns < next.at_ns), "{:?}", points);
        prop_assert!(points.iter().all(|point| (0.0..=MOST_MW).contains(&point.power_mw)));
    }
}

#[test]
fn power_is_read_where_energy_is_not_counted() {
    let card = &cards(&["NVIDIA GeForce GTX 1080"])[0];
    let of = |energy: fn() -> Result<u64, NvmlError>, power: fn() -> Result<u64, NvmlError>| {
        source_of(|source| if source == Source::Counter { energy() } else { power() }, card)
    };
    let unsupported = || Err(NvmlError::NotSupported);
    assert_eq!(of(|| Ok(5), || Ok(7)), Ok(Source::Counter));
    assert_eq!(of(unsupported, || Ok(7)), Ok(Source::Power));
    let error = of(unsupported, unsupported).unwrap_err().to_string();
    assert!(error.contains("GTX 1080") && error.contains("Jetson boards are silent"), "{error}");
    assert!(of(unsupported, || Err(NvmlError::Timeout)).is_err());
    let points = gpu(Source::Power).readings(1, Ok(38_250)).unwrap();
    assert_eq!(points[0].power_mw, 38_250.0);
    assert!(matches!(gpu(Source::Power).readings(1, Ok(u32::MAX.into())), Err(MeterError::Read(_))));
}

#[test]
fn a_single_failure_is_rejected_and_a_lost_gpu_is_an_error() {
    let mut gpu = gpu(Source::Counter);
    assert!(matches!(gpu.readings(1, Err(NvmlError::Timeout)), Err(MeterError::Read(_))));
    for lost in [NvmlError::GpuLost, NvmlError::NotSupported] {
        assert!(matches!(gpu.readings(2, Err(lost)), Err(MeterError::Failed(_))));
    }
}

#[test]
fn one_of_several_gpus_must_be_named() {
    let two = cards(&["A100", "H100"]);
    let error = choose(&two, None).unwrap_err().to_string();
    assert!(error.contains("GPU 1 (H100, GPU-111)"), "{error}");
    assert_eq!(choose(&two[..1], None).unwrap().name, "A100");
    assert_eq!(choose(&two, Some(&GpuName::Index(1))).unwrap().name, "H100");
    assert_eq!(choose(&two, Some(&GpuName::Uuid("gpu-000".to_owned()))).unwrap().name, "A100");
    for name in [GpuName::Index(2), GpuName::Uuid("GPU-2".to_owned())] {
        assert!(choose(&two, Some(&name)).unwrap_err().to_string().contains("unknown GPU"));
    }
    assert!(matches!(choose(&[], None), Err(MeterError::Absent(_))));
}

#[test]
fn a_machine_without_a_gpu_gets_an_error_with_advice() {
    let found = NvmlMeter::find(None, Duration::from_millis(PERIOD_MS), Clock::start());
    let Err(error) = found else { return };
    // A machine that has a driver may have several GPUs, or one without power readings.
    if !matches!(error, MeterError::Absent(_)) {
        return;
    }
    let text = error.to_string();
    assert!(text.contains("NVIDIA") && text.contains("is not there"), "{text}");
    for (error, expected) in [
        (NvmlError::DriverNotLoaded, "nvidia-smi"),
        (NvmlError::LibraryNotFound, "container"),
        (NvmlError::NoPermission, "/dev/nvidia"),
        (NvmlError::Unknown, "could not be read"),
    ] {
        let text = meter_error("a GPU of NVIDIA's", &error).to_string();
        assert!(text.contains(expected), "{text}");
    }
}

/// On a machine with a GPU, its counter is read.
#[test]
fn the_gpu_of_this_machine_is_read() {
    let Ok(mut meter) = NvmlMeter::find(Some(&GpuName::Index(0)), Duration::from_millis(PERIOD_MS), Clock::start())
    else {
        return;
    };
    meter.start().unwrap();
    std::thread::sleep(Duration::from_secs(2));
    let trace = meter.stop().unwrap();
    assert!(trace.rail(NAME).iter().any(|point| point.power_mw > 1000.0), "{}", meter.describe());
}
