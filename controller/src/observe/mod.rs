//! Those who watch a search. They cannot change it.

mod event_file;
mod progress;
mod tensorboard;

pub use progress::Progress;
pub use tensorboard::TensorBoard;

use hardware::log::Row;

use crate::evaluate::Activity;
use crate::history::History;
use crate::strategy::Diagnostics;

/// Watches a search. Every method does nothing unless it is written.
///
/// ```
/// use controller::history::History;
/// use controller::observe::Observer;
/// use hardware::log::Row;
///
/// /// Counts the evaluations that went well.
/// struct Count(usize);
///
/// impl Observer for Count {
///     fn entered(&mut self, row: &Row, _history: &History) {
///         self.0 += usize::from(row.accuracy.is_some());
///     }
/// }
/// ```
pub trait Observer: Send {
    /// The search begins, or goes on with this history; it will come to `budget` evaluations.
    fn start(&mut self, _budget: u64, _history: &History) {}

    /// An evaluation does something else now.
    fn activity(&mut self, _activity: Activity) {}

    /// An evaluation has ended, and its row is on the disk. Rows come in any order.
    fn evaluated(&mut self, _row: &Row) {}

    /// An evaluation was entered into the history. Rows come in their order.
    fn entered(&mut self, _row: &Row, _history: &History) {}

    /// A round is over, and the strategy has learnt from it.
    fn round(&mut self, _round: u64, _history: &History, _diagnostics: &Diagnostics) {}

    /// The search has ended.
    fn end(&mut self, _history: &History) {}
}
