//! Observers of a search. They cannot change it.

mod about;
mod devices;
mod event_file;
mod progress;
mod tensorboard;
mod watch;

pub(crate) use about::About;
pub(crate) use progress::Progress;
pub(crate) use tensorboard::TensorBoard;
pub(crate) use watch::{Observation, Status, Watch};

use hardware::log::Row;

use crate::evaluate::{Activity, Workload};
use crate::history::History;
use crate::plan::Plan;
use crate::strategy::Diagnostics;

/// Seconds since 1970, to the millisecond.
fn now_s() -> f64 {
    (event_file::now().as_secs_f64() * 1e3).round() / 1e3
}

/// Observes a search. By default, every method does nothing.
///
/// ```
/// use controller::history::History;
/// use controller::observe::Observer;
/// use hardware::log::Row;
///
/// /// Counts the trained children.
/// struct Count(usize);
///
/// impl Observer for Count {
///     fn entered(&mut self, row: &Row, _history: &History) {
///         self.0 += usize::from(row.accuracy.is_some());
///     }
/// }
/// ```
pub trait Observer: Send {
    /// The search begins, or resumes with a history.
    fn start(&mut self, _plan: &Plan, _history: &History) {}

    /// A job enters another stage.
    fn activity(&mut self, _activity: &Activity) {}

    /// What the workers of a cluster do, every few seconds.
    fn workload(&mut self, _workload: &Workload, _history: &History) {}

    /// A job has ended, its row is on the disk and in the history.
    fn entered(&mut self, _row: &Row, _history: &History) {}

    /// The strategy has learnt.
    fn learnt(&mut self, _history: &History, _diagnostics: &Diagnostics) {}

    /// The search has ended.
    fn end(&mut self, _history: &History) {}
}
