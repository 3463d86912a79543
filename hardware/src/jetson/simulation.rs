//! A simulated board, for tests only.
//!
//! It implements the agent's protocol and the formats of trtexec and tegrastats, but time is simulated:
//! a minute of it takes milliseconds. Its power is a formula, so that the true energy of an inference is known.

mod power;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::File;
use std::io::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use proptest::prelude::Rng as _;
use proptest::test_runner::{RngAlgorithm, TestRng};
use serde_json::{Value, json};

use self::power::{Load, NS, Power};
use crate::remote::{Channel, RemoteError};
use crate::time::Clock;

pub(super) use self::power::Physics;

/// The truth about one run of trtexec.
#[derive(Debug, Clone, Copy)]
pub(super) struct Truth {
    /// Energy of an inference, and their number.
    pub energy_mj: f64,
    pub inferences: u64,
    /// The result by the method of HW-NAS-Bench: fifty inferences, a reading every 0.1 s, idle power included.
    pub energy_by_fifty_runs_mj: f64,
}

/// The part of a board that a test sees while the board is measured.
#[derive(Debug)]
pub(super) struct Observed {
    pub truths: Vec<Truth>,
    /// Paths of the files that were removed.
    pub removed: Vec<String>,
    /// The simulated time.
    pub clock: Clock,
}

/// The meter of the board's power.
#[derive(Clone, Copy)]
enum Meter {
    Tegrastats,
    /// The monitors' files, by the agent.
    Files,
    /// A program that prints watts.
    Stream,
}

pub(super) struct Simulation {
    power: Power,
    rng: TestRng,
    observed: Arc<Mutex<Observed>>,
    now_ns: &'static AtomicU64,
    /// A supply that writes to a file every 20 ms, with a clock of its own.
    recorder: Option<(File, u64)>,
    /// Lines to send, by time.
    agenda: BTreeMap<(u64, u64), Value>,
    last: u64,
    meter: Option<(u64, Meter, Duration)>,
    /// Time of its next reading.
    due_ns: u64,
    turn: u64,
    files: BTreeMap<String, String>,
}

impl Simulation {
    pub fn new(physics: Physics, seed: u8) -> (Self, Arc<Mutex<Observed>>) {
        let now_ns: &AtomicU64 = Box::leak(Box::new(AtomicU64::new(5_000_000_000)));
        let observed = Observed { truths: Vec::new(), removed: Vec::new(), clock: Clock::simulated(now_ns) };
        let observed = Arc::new(Mutex::new(observed));
        let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &[seed; 32]);
        let mut this = Self {
            power: Power { physics, loads: Vec::new() },
            rng,
            observed: Arc::clone(&observed),
            now_ns,
            recorder: None,
            agenda: BTreeMap::new(),
            last: 0,
            meter: None,
            due_ns: 0,
            turn: 0,
            files: BTreeMap::new(),
        };
        this.say(0, json!({"hello": 1, "folder": "/work", "python": "3.6.9", "machine": "simulated"}));
        (this, observed)
    }

    fn say(&mut self, after_ns: u64, event: Value) {
        self.last += 1;
        self.agenda.insert((self.now_ns() + after_ns, self.last), event);
    }

    fn now_ns(&self) -> u64 {
        self.now_ns.load(Ordering::Relaxed)
    }

    /// The file that a supply writes its power to.
    pub fn record_to(&mut self, mut file: File) {
        writeln!(file, "t,P").unwrap();
        self.recorder = Some((file, self.now_ns()));
    }

    /// Writes all readings of the supply until now.
    fn record(&mut self) {
        const PERIOD_NS: u64 = 20_000_000;
        let Some((mut file, mut due_ns)) = self.recorder.take() else { return };
        while due_ns <= self.now_ns() {
            let watts = self.reading(due_ns) / 1e3;
            // Its clock is a day behind, and fast by 50 ppm.
            let at_s = due_ns as f64 / NS * (1.0 + 50e-6) - 86_400.0;
            writeln!(file, "{at_s:.6},{watts:.3}").unwrap();
            due_ns += PERIOD_NS;
        }
        self.recorder = Some((file, due_ns));
    }

    fn uniform(&mut self) -> f64 {
        (self.rng.next_u64() >> 11) as f64 / (1_u64 << 53) as f64
    }

    fn normal(&mut self) -> f64 {
        (-2.0 * (1.0 - self.uniform()).ln()).sqrt() * (std::f64::consts::TAU * self.uniform()).cos()
    }

    /// The value that a monitor reads.
    fn reading(&mut self, at_ns: u64) -> f64 {
        let conversion = (self.power.physics.conversion_ms * 1e6) as u64;
        let mean = (self.power.energy(at_ns) - self.power.energy(at_ns - conversion)) / (conversion as f64 / NS);
        (mean * (1.0 + self.power.physics.noise * self.normal())).round()
    }

    /// Time of the meter's next reading after an instant: programs sleep, and are up to 2 ms late each time; the agent
    /// reads once in each period, anywhere in it.
    fn schedule_reading(&mut self, at_ns: u64, meter: Meter, period: Duration) {
        let uniform = self.uniform();
        let period_ns = period.as_nanos() as u64;
        if let Meter::Files = meter {
            self.turn = (self.turn + 1).max(at_ns / period_ns);
            let within = (self.turn as f64 * 0.618_033_988_749_894_9) % 1.0;
            self.due_ns = self.turn * period_ns + (period_ns as f64 * within) as u64;
        } else {
            self.due_ns = at_ns + period_ns + (2e6 * uniform) as u64;
        }
    }

    /// The reading of the meter at an instant.
    fn read_power(&mut self, at_ns: u64, id: u64, meter: Meter) {
        let power = self.reading(at_ns);
        let event = match meter {
            Meter::Tegrastats => {
                let line = format!(
                    "RAM 1004/7852MB (lfb 7x2MB) CPU [0%@350,4%@345,2%@499,1%@341,1%@349,0%@345] EMC_FREQ 17%@40 \
                     GR3D_FREQ 0%@1300 APE 150 PLL@34C GPU@32C thermal@33.2C VDD_SYS_GPU 153/153 VDD_IN {power}/{power} \
                     VDD_SYS_CPU 229/229"
                );
                json!({"id": id, "t": at_ns, "line": line})
            }
            Meter::Files => json!({"id": id, "t": at_ns, "values": [power.to_string()]}),
            Meter::Stream => json!({"id": id, "t": at_ns, "line": format!("{:.3}", power / 1e3)}),
        };
        self.last += 1;
        self.agenda.insert((at_ns, self.last), event);
    }

    fn run_engine(&mut self, id: u64, argv: &[String]) {
        let number = |name: &str| {
            let word = argv.iter().find_map(|word| word.strip_prefix(name));
            word.and_then(|word| word.parse::<f64>().ok()).unwrap_or(0.0)
        };
        let (warm_up_s, duration_s) = (number("--warmUp=") / 1e3, number("--duration="));
        let p = self.power.physics.clone();
        let line = |text: String| json!({"id": id, "line": format!("[12/06/2022-15:00:20] [I] {text}")});
        let mut events = vec![(0.4, line("Starting inference".to_owned()))];
        let (warm, count) = ((warm_up_s * 1e3 / p.latency_ms).ceil(), (duration_s * 1e3 / p.latency_ms).ceil() as u64);
        let count = count.max(number("--iterations=") as u64);
        let mut borders = vec![self.now_ns() as f64 / NS + 0.4];
        for run in 0..count as usize + warm as usize {
            borders.push(borders[run] + p.latency_ms / 1e3 * (1.0 + p.jitter * self.normal()).max(0.5));
        }
        let (from_s, to_s) = (borders[warm as usize], borders[borders.len() - 1]);
        let (from, to) = ((from_s * NS) as u64, (to_s * NS) as u64);
        let walltime_s = to_s - from_s;
        // trtexec counts from the transfer of the first input, a whole inference before that is computed.
        let overlap_s = p.latency_ms / 1e3;
        let lengths: Vec<f64> = borders.windows(2).map(|pair| 1e3 * (pair[1] - pair[0])).collect();
        self.power.loads.push(Load { borders });
        let per_inference = |energy: f64| energy / count as f64;
        let energy_mj = per_inference(self.power.energy(to) - self.power.energy(from));
        let fifty: Vec<f64> = (0..)
            .map(|i| from + 37_000_000 + i * 100_000_000)
            .take_while(|at| *at < from + (50.0 * p.latency_ms * 1e6) as u64)
            .map(|at| self.reading(at))
            .collect();
        let energy_by_fifty_runs_mj = fifty.iter().sum::<f64>() / fifty.len() as f64 * p.latency_ms / 1e3;
        let mut times = "[\n".to_owned();
        let mut mean = 0.0;
        let mut start = 0.0;
        for (run, length) in lengths.iter().enumerate() {
            // The remaining time passes between inferences.
            let compute = length - 0.03;
            mean += compute / lengths.len() as f64;
            let _ = writeln!(
                times,
                "{} {{ \"startEnqMs\" : {start}, \"endEnqMs\" : {}, \"startInMs\" : {start}, \"endInMs\" : {}, \
                 \"startComputeMs\" : {start}, \"endComputeMs\" : {}, \"startOutMs\" : {}, \"endOutMs\" : {}, \"inMs\" : \
                 0.01, \"computeMs\" : {compute}, \"outMs\" : 0.01, \"latencyMs\" : {}, \"endToEndMs\" : {} }}",
                if run == 0 { " " } else { "," },
                start + 0.2,
                start + 0.01,
                start + compute,
                start + compute,
                start + compute + 0.01,
                compute + 0.02,
                compute + 0.03
            );
            start += length;
        }
        times.push_str("]\n");
        self.files.insert("times.json".to_owned(), times);
        // trtexec needs a moment for its statistics.
        let end = (to - self.now_ns()) as f64 / NS + 0.012 + p.late_s;
        for text in [
            format!("Warmup completed {warm} queries over {} ms", warm_up_s * 1e3),
            format!("Timing trace has {count} queries over {} s", walltime_s + overlap_s),
            "=== Performance summary ===".to_owned(),
            format!(
                "GPU Compute Time: min = {mean} ms, max = {mean} ms, mean = {mean} ms, median = {mean} ms, percentile(99%) = {mean} ms"
            ),
            format!("Total Host Walltime: {} s", walltime_s + overlap_s),
        ] {
            events.push((end, line(text)));
        }
        events.push((end + 0.1, json!({"id": id, "line": "&&&& PASSED TensorRT.trtexec [TensorRT v8201] # trtexec"})));
        events.push((end + 0.3, json!({"id": id, "exit": 0})));
        for (after_s, mut event) in events {
            let after_ns = (after_s * NS) as u64;
            event["t"] = json!(self.now_ns() + after_ns);
            self.say(after_ns, event);
        }
        let mut observed = self.observed.lock().unwrap();
        observed.truths.push(Truth { energy_mj, inferences: count, energy_by_fifty_runs_mj });
    }

    fn begin_meter(&mut self, id: u64, meter: Meter, period: Duration) {
        self.meter = Some((id, meter, period));
        self.due_ns = self.now_ns();
    }

    fn start(&mut self, id: u64, argv: &[String]) {
        let print = |this: &mut Self, after_ns: u64, lines: &[&str], code: i32| {
            for line in lines {
                let t = this.now_ns() + after_ns;
                this.say(after_ns, json!({"id": id, "t": t, "line": line}));
            }
            this.say(after_ns + 1, json!({"id": id, "t": this.now_ns() + after_ns, "exit": code}));
        };
        let has = |word: &str| argv.iter().any(|other| other.starts_with(word));
        match argv.first().map(String::as_str) {
            Some("/bin/tegrastats") => {
                let interval = argv.last().and_then(|word| word.parse().ok()).unwrap();
                self.begin_meter(id, Meter::Tegrastats, Duration::from_millis(interval));
            }
            Some("/bin/meter") => self.begin_meter(id, Meter::Stream, Duration::from_millis(20)),
            Some("/bin/trtexec") if has("--help") => {
                print(self, 1_000_000, &["&&&& RUNNING TensorRT.trtexec [TensorRT v8201] # trtexec --help"], 0);
            }
            Some("/bin/trtexec") if has("--loadEngine") => self.run_engine(id, argv),
            Some("/bin/trtexec") => {
                let saved = argv.iter().find_map(|word| word.strip_prefix("--saveEngine=")).unwrap();
                self.files.insert(saved.to_owned(), String::new());
                print(self, 2_000_000_000, &["&&&& PASSED TensorRT.trtexec [TensorRT v8201] # trtexec"], 0);
            }
            _ => print(self, 1_000_000, &["NV Power Mode: MAXN", "0"], 0),
        }
    }
}

impl Channel for Simulation {
    fn send(&mut self, line: &str) -> Result<(), RemoteError> {
        let order: Value = serde_json::from_str(line).unwrap();
        let id = order["id"].as_u64().unwrap();
        let text = |name: &str| order[name].as_str().unwrap_or_default().to_owned();
        let mut answer = json!({"id": id, "t": self.now_ns(), "done": true});
        match text("do").as_str() {
            "lock" => answer["locked"] = json!(true),
            "which" => answer["path"] = json!(format!("/bin/{}", text("name"))),
            "exists" => answer["exists"] = json!(self.files.contains_key(&text("path"))),
            // Every file that a test uploads already exists.
            "sha256" => answer["sha256"] = json!(text("path").trim_start_matches("models/").trim_end_matches(".onnx")),
            "look" => {
                let folder = "/sys/bus/i2c/drivers/ina3221x/0-0041/iio:device1";
                answer["files"] =
                    json!([[format!("{folder}/rail_name_0"), "VDD_IN"], [format!("{folder}/in_power0_input"), "1850"]]);
            }
            "rename" => {
                let content = self.files.remove(&text("from")).unwrap();
                self.files.insert(text("to"), content);
            }
            "remove" => {
                self.files.remove(&text("path"));
                self.observed.lock().unwrap().removed.push(text("path"));
            }
            "read" => {
                let content = self.files[&text("path")].clone();
                self.say(0, json!({"id": id, "t": self.now_ns(), "chunk": content}));
            }
            "make room" => answer["bytes"] = json!(self.power.physics.free_bytes),
            "poll" => {
                self.begin_meter(id, Meter::Files, Duration::from_secs_f64(order["period_s"].as_f64().unwrap()));
            }
            "stop" => {
                let job = order["job"].as_u64().unwrap();
                self.meter = self.meter.filter(|(meter, ..)| *meter != job);
                self.say(1, json!({"id": job, "t": self.now_ns(), "exit": 0}));
            }
            "start" => {
                let argv: Vec<String> = serde_json::from_value(order["argv"].clone()).unwrap();
                self.start(id, &argv);
            }
            _ => {}
        }
        self.say(0, answer);
        Ok(())
    }

    fn receive(&mut self, wait: Duration) -> Result<Option<String>, RemoteError> {
        let until = self.now_ns() + wait.as_nanos() as u64;
        loop {
            self.record();
            let event = self.agenda.first_key_value().map(|((at, _), _)| *at);
            match (event, self.meter) {
                (event, Some((id, meter, period)))
                    if self.due_ns <= until && event.is_none_or(|event| self.due_ns < event) =>
                {
                    let at_ns = self.due_ns;
                    self.now_ns.fetch_max(at_ns, Ordering::Relaxed);
                    self.read_power(at_ns, id, meter);
                    self.schedule_reading(at_ns, meter, period);
                }
                (Some(at), _) if at <= until => {
                    self.now_ns.fetch_max(at, Ordering::Relaxed);
                    let (_, mut event) = self.agenda.pop_first().unwrap();
                    let stepped = self.power.loads.first().is_some_and(|load| at as f64 / NS > load.borders[0] + 2.0);
                    if let (true, Some(t)) = (stepped, event["t"].as_u64()) {
                        event["t"] = json!(t.saturating_add_signed((self.power.physics.step_s * NS) as i64));
                    }
                    return Ok(Some(event.to_string()));
                }
                _ => {
                    self.now_ns.fetch_max(until, Ordering::Relaxed);
                    return Ok(None);
                }
            }
        }
    }
}

/// Random boards, the same in each run.
pub(super) fn boards(count: usize, latency_ms: f64) -> Vec<Physics> {
    let mut rng = TestRng::from_seed(RngAlgorithm::ChaCha, &[9; 32]);
    let mut between = |low: f64, high: f64| low + (high - low) * (rng.next_u64() >> 11) as f64 / (1_u64 << 53) as f64;
    (0..count)
        .map(|_| Physics {
            idle_mw: between(1500.0, 6000.0),
            load_mw: between(1000.0, 9000.0),
            // Inferences follow one another; between their kernels, capacitors keep power up.
            duty: between(0.9, 1.0),
            latency_ms: latency_ms * between(0.98, 1.02),
            jitter: between(0.005, 0.03),
            noise: between(0.002, 0.03),
            drift_mw_per_s: between(-5.0, 5.0),
            leak_mw: between(0.0, 300.0),
            warming_s: between(10.0, 60.0),
            late_s: 0.0,
            step_s: 0.0,
            free_bytes: 1 << 40,
            conversion_ms: between(1.0, 10.0),
        })
        .collect()
}
