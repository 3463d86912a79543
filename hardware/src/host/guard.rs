//! Calls into the inference engine, whose assertions cost one model and not the program.

use std::any::Any;
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind, set_hook, take_hook};
use std::sync::Once;

thread_local! {
    /// Whether a panic of this thread becomes an error, which says all that its message would.
    static IS_GUARDED: Cell<bool> = const { Cell::new(false) };
}

/// The result of `act`, or the message of the panic that ended it, as the end of a sentence.
pub(super) fn guarded<T>(act: impl FnOnce() -> T) -> Result<T, String> {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let before = take_hook();
        set_hook(Box::new(move |panic| {
            if !IS_GUARDED.get() {
                before(panic);
            }
        }));
    });
    let was_guarded = IS_GUARDED.replace(true);
    let result = catch_unwind(AssertUnwindSafe(act));
    IS_GUARDED.set(was_guarded);
    result.map_err(|panic| format!("the engine of this program breaks down at it ({})", message(&*panic)))
}

fn message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "without a message".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_becomes_an_error_with_its_message() {
        let numbers: Vec<u32> = Vec::new();
        assert!(guarded(|| numbers[7]).unwrap_err().contains("index out of bounds: the len is 0 but the index is 7"));
        assert_eq!(guarded(|| numbers.len()), Ok(0));
        assert!(!IS_GUARDED.get());
    }
}
