//! Asking a search to stop.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

/// A request to stop a search; all clones share it.
#[derive(Debug, Clone, Default)]
pub struct Stop {
    flag: Arc<AtomicBool>,
    reason: Arc<OnceLock<String>>,
}

impl Stop {
    /// Asks the search to stop.
    pub fn ask(&self) {
        self.flag.store(true, Ordering::Relaxed);
    }

    /// Asks the search to stop because it cannot go on. The first of several reasons is kept.
    pub fn ask_because(&self, reason: String) {
        let _ = self.reason.set(reason);
        self.ask();
    }

    /// Why the search cannot go on; `None` if it can, or was stopped by the user.
    pub fn reason(&self) -> Option<&str> {
        self.reason.get().map(String::as_str)
    }

    /// Whether the search was asked to stop.
    pub fn asked(&self) -> bool {
        self.flag.load(Ordering::Relaxed)
    }
}
