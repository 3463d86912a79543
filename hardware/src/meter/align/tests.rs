use super::*;

type Series = Vec<Point>;
use crate::energy;
use crate::meter::Point;
use proptest::prelude::*;

/// SplitMix64, and normal numbers by Box and Muller.
struct Chance(u64);

impl Chance {
    fn share(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) >> 11) as f64 / (1u64 << 53) as f64
    }

    fn between(&mut self, from: f64, to: f64) -> f64 {
        from + (to - from) * self.share()
    }

    fn normal(&mut self) -> f64 {
        (-2.0 * (1.0 - self.share()).ln()).sqrt() * (std::f64::consts::TAU * self.share()).cos()
    }
}

/// The load: a coded pattern, then a long window, from one second on.
fn done(unit_s: f64, window_s: f64) -> (Pattern, Window) {
    let ns = |s: f64| (s * 1e9) as u64;
    let from_ns = 1_000_000_000;
    let mut at = from_ns + ns(4.0 * unit_s);
    let mut loads = Vec::new();
    for (number, length) in coded(Duration::from_nanos(ns(unit_s))).into_iter().enumerate() {
        let end = at + length.as_nanos() as u64;
        if number % 2 == 0 {
            loads.push(Window { from_ns: at, to_ns: end });
        }
        at = end;
    }
    at += ns(4.0 * unit_s);
    let window = Window { from_ns: at, to_ns: at + ns(window_s) };
    loads.push(window);
    (Pattern::new(Window { from_ns, to_ns: window.to_ns + ns(4.0 * unit_s) }, &loads).unwrap(), window)
}

/// A meter of that load.
#[derive(Debug, Clone, Copy)]
struct Meter {
    rate: f64,
    offset_s: f64,
    clock_error: f64,
    idle_mw: f64,
    contrast_mw: f64,
    noise_mw: f64,
    step_mw: f64,
    averaging: bool,
}

impl Meter {
    fn any(chance: &mut Chance, rate: f64) -> Self {
        let contrast_mw = chance.between(300.0, 5000.0);
        Self {
            rate,
            offset_s: chance.between(100.0, 10_000.0),
            clock_error: chance.between(-0.01, 0.01),
            idle_mw: chance.between(300.0, 5000.0),
            contrast_mw,
            noise_mw: contrast_mw * chance.between(0.005, 0.1),
            step_mw: contrast_mw * chance.between(0.001, 0.05),
            averaging: chance.share() < 0.5,
        }
    }

    /// Its trace, on its own clock.
    fn watch(&self, pattern: &Pattern, chance: &mut Chance) -> Series {
        let loaded = |from: f64, to: f64| {
            let overlap = |load: &Window| (to.min(load.to_ns as f64) - from.max(load.from_ns as f64)).max(0.0);
            pattern.loads.iter().map(overlap).sum::<f64>() / (to - from)
        };
        let spacing_ns = 1e9 / self.rate;
        let width_ns = if self.averaging { spacing_ns } else { 1.0 };
        let phase_ns = chance.share() * spacing_ns;
        let first_ns = pattern.whole.from_ns as f64 - 0.4e9 - chance.share() * spacing_ns * 2.0;
        let count = ((pattern.whole.seconds() + 1.0) * self.rate) as usize + 4;
        let point = |index: usize| {
            let ours_ns = first_ns + phase_ns + index as f64 * spacing_ns;
            let share = loaded(ours_ns - width_ns / 2.0, ours_ns + width_ns / 2.0);
            let power_mw = self.idle_mw + self.contrast_mw * share + self.noise_mw * chance.normal();
            let power_mw = (power_mw / self.step_mw).round() * self.step_mw;
            Point { at_ns: self.its_ns(ours_ns) as u64, power_mw }
        };
        (0..count).map(point).collect()
    }

    fn its_ns(&self, ours_ns: f64) -> f64 {
        self.offset_s * 1e9 + ours_ns * (1.0 + self.clock_error)
    }
}

/// Mean power of the window without its edges, times its length, in mJ.
fn energy(series: &Series, window: Window, spacing_s: f64) -> f64 {
    let within = window.without_edges((spacing_s * 1e9) as u64);
    energy::mean_power(series, &[within]).unwrap().mean_mw * window.seconds()
}

fn median_and_most(mut values: Vec<f64>) -> (f64, f64) {
    values.sort_unstable_by(f64::total_cmp);
    (crate::statistics::quantile(&values, 0.5), *values.last().unwrap())
}

/// 30 random meters at each rate: noise of 0.5 to 10 % of the contrast, steps of 0.1 to 5 %, clocks wrong by up to 1 %,
/// half of them averaging. Energy has an error with a known clock too, from noise and steps: alignment must add little.
#[test]
fn energy_by_edges_equals_that_with_a_known_clock() {
    const CASES: usize = 30;
    println!(
        "| samples/s | offset, samples | offset by its uncertainty | clock error, ppm | energy, % | with a known clock, % | \
         added by alignment, % |\n|---|---|---|---|---|---|---|"
    );
    // Bounds of the error that alignment adds, in per cent.
    for (rate, window_s, bound) in [(1.0, 40.0, 0.3), (10.0, 10.0, 0.3), (100.0, 10.0, 0.1), (1000.0, 10.0, 0.02)] {
        let mut chance = Chance(rate as u64);
        let mut columns: [Vec<f64>; 6] = Default::default();
        for _ in 0..CASES {
            let meter = Meter::any(&mut chance, rate);
            let (pattern, window) = done(f64::max(2.5 / rate, 0.2), window_s);
            let series = meter.watch(&pattern, &mut chance);
            let found = find(&series, &pattern, 0.01).unwrap_or_else(|error| panic!("{meter:?}: {error}"));
            let pivot_ns = found.pivot_ns as f64;
            let offset_s = (meter.its_ns(pivot_ns) - pivot_ns) / 1e9;
            assert!((found.contrast_to_noise * meter.noise_mw / meter.contrast_mw) < 1.5, "{found:?}");
            let truth = (meter.idle_mw + meter.contrast_mw) * window.seconds();
            let energy = energy(&found.apply(&series), window, 1.0 / rate);
            let ours = |point: &Point| {
                let ours_ns = (point.at_ns as f64 - meter.offset_s * 1e9) / (1.0 + meter.clock_error);
                (ours_ns >= 0.0).then_some(Point { at_ns: ours_ns as u64, ..*point })
            };
            let known = self::energy(&series.iter().filter_map(ours).collect(), window, 1.0 / rate);
            let of_truth = |energy: f64| energy.abs() / truth * 100.0;
            let values = [
                (found.offset_s - offset_s).abs() * rate,
                (found.offset_s - offset_s).abs() / found.offset_uncertainty_s,
                (found.clock_error - meter.clock_error).abs() * 1e6,
                of_truth(energy - truth),
                of_truth(known - truth),
                of_truth(energy - known),
            ];
            // Half a step, and four standard deviations of the mean.
            let noise_mw = 4.0 * meter.noise_mw / (window_s * rate).sqrt();
            let own = of_truth((meter.step_mw / 2.0 + noise_mw) * window.seconds());
            assert!(values[3] < own + bound, "{rate}/s: {values:?}, of the meter's own {own} %");
            columns.iter_mut().zip(values).for_each(|(column, value)| column.push(value));
        }
        let [offset, ratio, clock, energy, known, added] = columns.map(median_and_most);
        println!(
            "| {rate} | {:.3}, {:.3} | {:.1}, {:.1} | {:.0}, {:.0} | {:.2}, {:.2} | {:.2}, {:.2} | {:.3}, {:.3} |",
            offset.0,
            offset.1,
            ratio.0,
            ratio.1,
            clock.0,
            clock.1,
            energy.0,
            energy.1,
            known.0,
            known.1,
            added.0,
            added.1
        );
        assert!(offset.1 < 0.5, "{rate}/s: {offset:?} samples");
        assert!(ratio.1 < 5.0, "{rate}/s: {ratio:?} uncertainties");
        assert!(added.1 < bound, "{rate}/s: {added:?} %");
    }
    println!("Each: median, most, of {CASES} cases.");
}

fn plain(noise_mw: f64) -> Meter {
    Meter {
        rate: 50.0,
        offset_s: 300.0,
        clock_error: 0.0,
        idle_mw: 1000.0,
        contrast_mw: 500.0,
        noise_mw,
        step_mw: 1.0,
        averaging: false,
    }
}

#[test]
fn idle_load_idle_suffices_without_disturbances() {
    let window = |from_s: u64, to_s: u64| Window { from_ns: from_s * 1_000_000_000, to_ns: to_s * 1_000_000_000 };
    let pattern = Pattern::new(window(1, 21), &[window(4, 14)]).unwrap();
    let meter = plain(20.0);
    let found = find(&meter.watch(&pattern, &mut Chance(7)), &pattern, 0.0).unwrap();
    assert!((found.offset_s - 300.0).abs() < 0.02, "{found:?}");
    assert!((found.idle_mw - 1000.0).abs() < 5.0 && (found.load_mw - 1500.0).abs() < 5.0, "{found:?}");
    assert!((found.contrast_to_noise - 25.0).abs() < 5.0, "{found:?}");
    assert_eq!(found.clock_error, 0.0);
    assert_eq!(found.ours_ns(304_000_000_000).map(|ns| ns.abs_diff(4_000_000_000) < 20_000_000), Some(true));
    assert_eq!(found.ours_ns(1), None);
    assert!(found.uncertainty_s(0) >= found.offset_uncertainty_s);
}

/// Effects of real boards: idle power that drifts, a load that warms up, readings at uneven times, occasional spikes.
#[test]
fn a_board_with_more_than_two_levels_is_placed_too() {
    for seed in 0..10 {
        let mut chance = Chance(100 + seed);
        let (pattern, window) = done(0.25, 10.0);
        let meter = Meter { rate: 100.0, clock_error: 0.0004, averaging: seed % 2 == 0, ..plain(15.0) };
        let (series, mut warm) = (meter.watch(&pattern, &mut chance), 0.0);
        let uneven = |(index, point): (usize, &Point)| {
            warm += 0.01 * (f64::from(u8::from(point.power_mw > 1250.0)) - warm);
            let spike = if chance.share() < 0.002 { 1500.0 } else { 0.0 };
            let power_mw = point.power_mw + 60.0 * warm + 0.03 * index as f64 + spike;
            let late_ns = (chance.share() * 4e6) as u64;
            Point { at_ns: point.at_ns + late_ns, power_mw }
        };
        let series: Series = series.iter().enumerate().map(uneven).collect();
        let found = find(&series, &pattern, 0.01).unwrap();
        // Readings are 2 ms late on average.
        let at_window = found.offset_s + found.clock_error * (window.from_ns as f64 - found.pivot_ns as f64) / 1e9;
        let offset_s = (meter.its_ns(window.from_ns as f64) - window.from_ns as f64) / 1e9 + 0.002;
        assert!((at_window - offset_s).abs() < 0.01, "{seed}: {at_window} {offset_s} {found:?}");
    }
}

#[test]
fn noise_alone_and_slow_drift_are_rejected() {
    let (pattern, _) = done(0.3, 10.0);
    let mut chance = Chance(3);
    let meter = Meter { contrast_mw: 1e-9, ..plain(20.0) };
    for seed in 0..5 {
        let error = find(&meter.watch(&pattern, &mut Chance(seed)), &pattern, 0.01).unwrap_err();
        let text = error.to_string();
        assert!(text.contains("does not stand out") || text.contains("at two places"), "{text}");
        let mut walk_mw = 1000.0;
        let walk = |index: u64| {
            walk_mw += chance.normal();
            Point { at_ns: index * 20_000_000, power_mw: walk_mw }
        };
        let error = find(&(0..2000).map(walk).collect::<Series>(), &pattern, 0.01).unwrap_err();
        let text = error.to_string();
        assert!(text.contains("does not stand out") || text.contains("at two places"), "{text}");
    }
    let flat: Series = (0..2000).map(|index| Point { at_ns: index * 20_000_000, power_mw: 5.0 }).collect();
    assert!(find(&flat, &pattern, 0.01).unwrap_err().to_string().contains("does not stand out"));
}

#[test]
fn a_load_of_half_the_noise_is_found_if_it_lasts() {
    let (pattern, _) = done(2.0, 30.0);
    let meter = Meter { rate: 1000.0, contrast_mw: 15.0, ..plain(20.0) };
    let found = find(&meter.watch(&pattern, &mut Chance(5)), &pattern, 0.0).unwrap();
    assert!((found.offset_s - 300.0).abs() < 0.05, "{found:?}");
}

#[test]
fn a_pattern_that_occurs_twice_is_rejected() {
    let (pattern, _) = done(0.3, 10.0);
    let once = plain(20.0).watch(&pattern, &mut Chance(1));
    let later = |point: &Point| Point { at_ns: point.at_ns + 40_000_000_000, ..*point };
    let twice: Series = once.iter().copied().chain(once.iter().map(later)).collect();
    let error = find(&twice, &pattern, 0.001).unwrap_err();
    let text = error.to_string();
    assert!(text.contains("at two places") && (text.contains("40.0") || text.contains("39.9")), "{text}");
}

#[test]
fn a_trace_without_the_whole_pattern_is_rejected() {
    let (pattern, _) = done(0.3, 10.0);
    let series = plain(1.0).watch(&pattern, &mut Chance(1));
    let half: Series = series.iter().copied().take(series.len() / 2).collect();
    assert!(find(&half, &pattern, 0.01).unwrap_err().to_string().contains("the trace lasts"));
    assert!(find(&Series::default(), &pattern, 0.01).unwrap_err().to_string().contains("the trace lasts"));
    let sparse: Series = series.iter().copied().step_by(40).collect();
    let error = find(&sparse, &pattern, 0.01).unwrap_err();
    let text = error.to_string();
    assert!(text.contains("readings are") || text.contains("the trace lasts"), "{text}");
}

#[test]
fn patterns_need_idle_around_and_between_loads() {
    let window = |from_ns: u64, to_ns: u64| Window { from_ns, to_ns };
    let cases: [(&[Window], &str); 5] = [
        (&[], "no load"),
        (&[window(5, 5)], "no time"),
        (&[window(5, 7), window(7, 8)], "between them"),
        (&[window(0, 7)], "before its first"),
        (&[window(5, 10)], "after its last"),
    ];
    for (loads, expected) in cases {
        let error = Pattern::new(window(0, 10), loads).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]
    #[test]
    fn no_input_makes_it_panic(points in prop::collection::vec((any::<u64>(), any::<f64>()), 0..60), close in prop::collection::vec((0u64..30_000_000_000, -1e4..1e4), 0..60), clock_error in any::<f64>()) {
        let (pattern, _) = done(1.0, 5.0);
        for points in [points, close] {
            let mut series: Series = points.into_iter().map(|(at_ns, power_mw)| Point { at_ns, power_mw }).collect();
            series.sort_by_key(|point| point.at_ns);
            let _ = find(&series, &pattern, clock_error);
        }
    }
}
