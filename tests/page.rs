//! The page of a run: the report, and `controller serve`, in a real browser.

#[path = "page/live.rs"]
mod live;
#[path = "page/report.rs"]
mod report;
#[path = "page/runs.rs"]
mod runs;
#[path = "page/watched.rs"]
mod watched;
