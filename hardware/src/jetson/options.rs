//! How a board is reached and used.

use std::time::Duration;

use crate::energy::EnergyOptions;
use crate::meter::MeterOptions;
use crate::remote::problem_of_folder;
use crate::remote::ssh::SshOptions;

/// Settings of a [`Jetson`](super::Jetson).
#[derive(Debug, Clone)]
pub struct JetsonOptions {
    /// How it is reached.
    pub ssh: SshOptions,
    /// Folder on the board that everything lies in; a relative one lies in the user's home.
    pub work_folder: String,
    /// Precision of inference.
    pub precision: Precision,
    /// The power meter; the board's own `tegrastats` by default.
    pub meter: MeterOptions,
    /// How energy is measured.
    pub energy: EnergyOptions,
    /// Whether `tegrastats`, `nvpmodel` and `jetson_clocks` are run by `sudo -n`.
    pub sudo: bool,
    /// Power mode to set by `nvpmodel -m`, and to put back afterwards; the board's own where absent.
    pub power_mode: Option<u32>,
    /// Whether `jetson_clocks` fixes the clocks at their highest, put back afterwards.
    pub fix_clocks: bool,
    /// Whether trtexec waits for the GPU by spinning. Times get steadier, and the processor's power is counted in that
    /// a program which sleeps instead would not draw.
    pub spin_wait: bool,
    /// Path of `trtexec` on the board; found in `PATH` or in TensorRT's folder where absent.
    pub trtexec: Option<String>,
    /// Root of sysfs on the board.
    pub sysfs: String,
    /// How long trtexec may take besides inference, to load an engine and to report, before it is taken to hang.
    pub grace: Duration,
    /// How long to wait for a board that does not answer, or that another program measures on.
    pub patience: Duration,
    /// Most tries of one model.
    pub tries: u32,
}

/// Precision that TensorRT may compute with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Precision {
    /// 32-bit floating point.
    Fp32,
    /// 16-bit floating point where that is faster.
    Fp16,
    /// 8-bit integers where that is faster, else 16-bit floating point. Time and energy need no calibration.
    Int8,
}

impl JetsonOptions {
    /// The settings for a board at an address, all others being the customary ones.
    pub fn new(ssh: SshOptions) -> Self {
        let meter = MeterOptions::TEGRASTATS;
        Self {
            ssh,
            work_folder: "controller-work".to_owned(),
            precision: Precision::Fp16,
            energy: EnergyOptions::usual(&meter),
            meter,
            sudo: false,
            power_mode: None,
            fix_clocks: false,
            spin_wait: false,
            trtexec: None,
            sysfs: "/sys".to_owned(),
            grace: Duration::from_secs(90),
            patience: Duration::from_secs(120),
            tries: 3,
        }
    }

    /// The meter as the board needs it: its `sudo` and `sysfs` are those of the board where the meter has none.
    pub(super) fn meter(&self) -> MeterOptions {
        let mut meter = self.meter.clone();
        match &mut meter {
            MeterOptions::Tegrastats { sudo, .. } => *sudo |= self.sudo,
            MeterOptions::Ina3221 { sysfs, .. } if *sysfs == MeterOptions::sysfs() => sysfs.clone_from(&self.sysfs),
            _ => {}
        }
        meter
    }

    /// The first setting that makes no sense, and why.
    pub(super) fn problem(&self) -> Option<String> {
        if matches!(self.meter, MeterOptions::Auto {}) {
            return Some(
                "a meter of kind \"auto\" is one of this machine's, which does not see the board: leave it out for the \
                 board's own power monitors, or name one by its kind"
                    .to_owned(),
            );
        }
        if let Some(problem) = problem_of_folder(&self.work_folder) {
            return Some(problem);
        }
        if let Some(problem) = self.energy.problem() {
            return Some(format!("energy: {problem}"));
        }
        (self.tries == 0).then(|| "tries must be at least 1".to_owned())
    }
}

impl Precision {
    /// As an experiment file names it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Fp32 => "fp32",
            Self::Fp16 => "fp16",
            Self::Int8 => "int8",
        }
    }

    /// The flags of trtexec.
    pub(super) fn flags(self) -> &'static [&'static str] {
        match self {
            Self::Fp32 => &[],
            Self::Fp16 => &["--fp16"],
            Self::Int8 => &["--int8", "--fp16"],
        }
    }
}
