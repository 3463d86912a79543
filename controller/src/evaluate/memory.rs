//! Memory for children. A failed allocation ends the whole process, so work that cannot fit is not begun.

use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use anyhow::{Result, bail};
use child::backend::Backend;
use child::graph::Graph;
use child::train::memory_bytes;
use tokio::sync::{Semaphore, SemaphorePermit};

/// Share of the estimate that must be free. For 25 trainings of 5 to 1158 MB in all three spaces, the estimate was
/// between 0.93 and 1.21 times the growth of the process; a child that might fit is tried.
const WANTED_SHARE: f64 = 0.75;

/// Memory that work with a network needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Need {
    bytes: u64,
    /// Images of each step of training; `None` for measuring.
    batch: Option<usize>,
}

impl Need {
    /// Training a network with `batch` images in each step: [`memory_bytes`].
    pub fn of_training(graph: &Graph, backend: Backend, batch: usize) -> Self {
        Self { bytes: memory_bytes(graph, backend, batch), batch: Some(batch) }
    }

    /// Measuring a network: [`Graph::measuring_bytes`].
    pub fn of_measuring(graph: &Graph) -> Self {
        Self { bytes: graph.measuring_bytes(), batch: None }
    }

    /// Checks that the work may fit into the free bytes, if these are known.
    pub fn check(self, free: Option<u64>) -> Result<()> {
        if let Some(free) = free.filter(|free| self.bytes as f64 * WANTED_SHARE > *free as f64) {
            let remedy = match self.batch {
                Some(_) => "training.batch_size or the space's channels",
                None => "the space's channels or the images' size",
            };
            bail!("it needs {self}, {} are free: reduce {remedy}", size(free));
        }
        Ok(())
    }
}

impl std::fmt::Display for Need {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let size = size(self.bytes);
        match self.batch {
            Some(batch) => write!(f, "about {size} to train with a batch of {batch}"),
            None => write!(f, "about {size} to be written as a model and measured"),
        }
    }
}

/// Limits the children that are trained concurrently.
pub(super) struct Trainers {
    permits: Semaphore,
    number: u32,
    /// Bytes reserved for the children in training. Locked while a child is compared with the free memory, so that two do
    /// not find the same bytes free.
    promised: Mutex<u64>,
}

/// The permit to train one child.
pub(super) struct Trainer<'a> {
    _permit: SemaphorePermit<'a>,
    bytes: u64,
    promised: &'a Mutex<u64>,
}

impl Trainers {
    /// `number` trainers, at most as many as a semaphore can count.
    pub fn new(number: usize) -> Self {
        let number = u32::try_from(number.min(Semaphore::MAX_PERMITS)).unwrap_or(u32::MAX);
        Self { permits: Semaphore::new(number as usize), number, promised: Mutex::new(0) }
    }

    /// Waits for a trainer; for all trainers if the child may not fit beside others in training.
    ///
    /// # Errors
    /// If the child does not fit alone either.
    pub async fn acquire(&self, need: Option<Need>) -> Result<Trainer<'_>> {
        let permit = self.permits.acquire().await?;
        if let Ok(bytes) = self.reserve(need) {
            return Ok(Trainer { _permit: permit, bytes, promised: &self.promised });
        }
        drop(permit);
        let permit = self.permits.acquire_many(self.number).await?;
        let bytes = self.reserve(need)?;
        Ok(Trainer { _permit: permit, bytes, promised: &self.promised })
    }

    /// Reserves the memory of a child beside that of others in training, which may not have allocated theirs yet; returns
    /// its bytes.
    fn reserve(&self, need: Option<Need>) -> Result<u64> {
        let Some(need) = need else { return Ok(0) };
        let mut promised = locked(&self.promised);
        let all = promised.saturating_add(need.bytes);
        Need { bytes: all, ..need }.check(free_memory())?;
        *promised = all;
        Ok(need.bytes)
    }
}

/// The bytes, also after a panic: they are changed in one step.
fn locked(promised: &Mutex<u64>) -> MutexGuard<'_, u64> {
    promised.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Drop for Trainer<'_> {
    fn drop(&mut self) {
        let mut promised = locked(self.promised);
        *promised = promised.saturating_sub(self.bytes);
    }
}

/// Bytes that this process can still allocate: the least that the machine, its control groups and its own limit leave.
/// `None` if all are unknown, as on systems other than Linux.
pub fn free_memory() -> Option<u64> {
    let read = |path: &Path| std::fs::read_to_string(path).ok();
    let machine = read(Path::new("/proc/meminfo")).and_then(|text| kilobytes(&text, "MemAvailable:"));
    let groups =
        read(Path::new("/proc/self/cgroup")).and_then(|text| groups(&text, Path::new("/sys/fs/cgroup"), &read));
    let limit = read(Path::new("/proc/self/limits")).and_then(|text| address_space(&text)).and_then(|limit| {
        let used = read(Path::new("/proc/self/status")).and_then(|text| used_addresses(&text))?;
        Some(limit.saturating_sub(used))
    });
    [machine, groups, limit].into_iter().flatten().min()
}

/// Bytes of a line such as `MemAvailable:   7654321 kB`.
fn kilobytes(text: &str, name: &str) -> Option<u64> {
    let value = text.lines().find_map(|line| line.strip_prefix(name))?;
    value.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?.checked_mul(1024)
}

/// The limit of the address space in `/proc/self/limits`, if there is one.
fn address_space(text: &str) -> Option<u64> {
    text.lines().find_map(|line| line.strip_prefix("Max address space"))?.split_whitespace().next()?.parse().ok()
}

/// Addresses that a process uses, from `/proc/self/status`: all but the empty ones of its own data, which the allocator
/// has reserved and can still hand out.
fn used_addresses(status: &str) -> Option<u64> {
    let [all, data, held] = ["VmSize:", "VmData:", "RssAnon:"].map(|name| kilobytes(status, name));
    Some(all?.saturating_sub(data?.saturating_sub(held?)))
}

/// Bytes that the control groups of a process leave, as named by `/proc/self/cgroup`: its group and all groups around it.
/// Pages of files that were read some time ago count as free, as those of the machine do.
fn groups(text: &str, root: &Path, read: &impl Fn(&Path) -> Option<String>) -> Option<u64> {
    let mut least = None;
    for line in text.lines() {
        let mut parts = line.splitn(3, ':').skip(1);
        let (Some(controllers), Some(path)) = (parts.next(), parts.next()) else { continue };
        let (root, names) = match controllers {
            "" => (root.to_owned(), ["memory.max", "memory.current", "inactive_file "]),
            _ if controllers.split(',').any(|controller| controller == "memory") => {
                let names = ["memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file "];
                (root.join("memory"), names)
            }
            _ => continue,
        };
        // In a container the path may be that outside the container: then only the root exists.
        for group in Path::new(path.trim_start_matches('/')).ancestors() {
            let group = root.join(group);
            let number = |name: &str| read(&group.join(name))?.trim().parse::<u64>().ok();
            let (Some(limit), Some(used)) = (number(names[0]), number(names[1])) else { continue };
            let old = read(&group.join("memory.stat")).and_then(|text| {
                text.lines().find_map(|line| line.strip_prefix(names[2])).and_then(|value| value.trim().parse().ok())
            });
            let left = limit.saturating_sub(used.saturating_sub(old.unwrap_or(0)));
            least = Some(least.map_or(left, |least: u64| least.min(left)));
        }
    }
    least
}

/// Bytes in a readable form: `7.1 GB`.
fn size(bytes: u64) -> String {
    match bytes {
        0..1_000_000_000 => format!("{:.0} MB", bytes as f64 / 1e6),
        _ => format!("{:.1} GB", bytes as f64 / 1e9),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_that_clearly_does_not_fit_is_rejected_with_a_remedy() {
        let need = Need { bytes: 12_345_678_901, batch: Some(128) };
        let message = need.check(Some(7_100_000_000)).unwrap_err().to_string();
        let expected = "it needs about 12.3 GB to train with a batch of 128, 7.1 GB are free: reduce training.batch_size \
                        or the space's channels";
        assert_eq!(message, expected);
        assert!(need.check(Some(10_000_000_000)).is_ok(), "it might fit");
        assert!(need.check(None).is_ok());
        let huge = Need { bytes: u64::MAX, batch: None };
        let message = huge.check(Some(1 << 40)).unwrap_err().to_string();
        assert!(message.contains("to be written as a model and measured") && message.contains("images"), "{message}");
        assert_eq!(size(999_999_999), "1000 MB");
    }

    #[test]
    fn files_of_the_kernel_are_parsed() {
        let meminfo = "MemTotal:       16384 kB\nMemFree: 1 kB\nMemAvailable:    8192 kB\n";
        assert_eq!(kilobytes(meminfo, "MemAvailable:"), Some(8 << 20));
        assert_eq!(kilobytes("MemAvailable: x kB", "MemAvailable:"), None);
        let limits =
            "Limit   Soft Limit  Hard Limit  Units\nMax address space         2147483648    unlimited    bytes\n";
        assert_eq!(address_space(limits), Some(1 << 31));
        assert_eq!(address_space("Max address space     unlimited    unlimited    bytes"), None);
        let status = "VmSize:\t 1200000 kB\nVmRSS:\t 90000 kB\nRssAnon:\t 50000 kB\nVmData:\t 1100000 kB\n";
        assert_eq!(used_addresses(status), Some((1_200_000 - 1_050_000) << 10));
        assert_eq!(used_addresses("VmSize: 1 kB"), None);
        assert!(free_memory().is_none_or(|free| free > 1 << 20), "the test itself still runs");
    }

    #[test]
    fn the_tightest_control_group_counts() {
        let files = [
            ("/g/a/memory.max", "max"),
            ("/g/a/b/memory.max", "5000"),
            ("/g/a/b/memory.current", "1500"),
            ("/g/a/b/memory.stat", "anon 1\ninactive_file 500\n"),
            ("/g/memory/memory.limit_in_bytes", "9223372036854771712\n"),
            ("/g/memory/memory.usage_in_bytes", "100\n"),
            ("/g/memory/outside/memory.limit_in_bytes", "3000"),
            ("/g/memory/outside/memory.usage_in_bytes", "1000"),
        ];
        let read = |path: &Path| {
            let found = files.iter().find(|(name, _)| Path::new(name) == path);
            found.map(|(_, text)| (*text).to_owned())
        };
        let groups = |text: &str| groups(text, Path::new("/g"), &read);
        assert_eq!(groups("0::/a/b\n"), Some(4000));
        assert_eq!(groups("0::/a\n"), None, "without a limit");
        assert_eq!(groups("4:cpu,memory:/outside\n1:cpu:/\n"), Some(2000));
        assert_eq!(groups("4:memory:/docker/0123\n"), Some(9_223_372_036_854_771_612));
        assert_eq!(groups("nonsense"), None);
    }

    #[tokio::test]
    async fn a_child_that_does_not_fit_beside_others_waits_and_one_that_never_fits_is_rejected() {
        let Some(free) = free_memory() else { return };
        let bytes = |share: f64| (free as f64 / WANTED_SHARE * share) as u64;
        let need = |share: f64| Some(Need { bytes: bytes(share), batch: Some(8) });
        let trainers = Trainers::new(2);
        let first = trainers.acquire(need(0.5)).await.unwrap();
        let second = trainers.acquire(need(0.001)).await.unwrap();
        drop(second);
        let soon = std::time::Duration::from_millis(50);
        let waiting = trainers.acquire(need(0.7));
        tokio::pin!(waiting);
        assert!(tokio::time::timeout(soon, &mut waiting).await.is_err(), "there is no room beside the first");
        drop(first);
        let alone = tokio::time::timeout(soon, waiting).await.unwrap().unwrap();
        drop(alone);
        let Err(message) = trainers.acquire(need(4.0)).await else { panic!("it is four times too large") };
        assert!(message.to_string().contains("reduce training.batch_size"), "{message}");
        assert!(trainers.acquire(need(0.5)).await.is_ok() && trainers.acquire(None).await.is_ok());
    }
}
