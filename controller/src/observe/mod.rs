//! Observers of a search. They cannot change it.

mod about;
mod event_file;
mod progress;
mod tensorboard;

pub(crate) use about::About;
pub(crate) use progress::Progress;
pub(crate) use tensorboard::TensorBoard;

use hardware::log::Row;

use crate::evaluate::Activity;
use crate::history::History;
use crate::strategy::Diagnostics;

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
    /// The search begins, or resumes with a history; it will have `budget` evaluations.
    fn start(&mut self, _budget: u64, _history: &History) {}

    /// An evaluation enters another stage.
    fn activity(&mut self, _activity: &Activity) {}

    /// An evaluation has ended, and its row is on the disk. The order of rows is arbitrary.
    fn evaluated(&mut self, _row: &Row) {}

    /// An evaluation was entered into the history, in the order of the numbers.
    fn entered(&mut self, _row: &Row, _history: &History) {}

    /// A round is over, and the strategy has learnt from it.
    fn round(&mut self, _history: &History, _diagnostics: &Diagnostics) {}

    /// The search has ended.
    fn end(&mut self, _history: &History) {}
}
