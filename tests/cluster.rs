//! Searches on workers, with a real server and real processes: results are those of one machine, also where workers, search,
//! server or network fail.
//!
//! `KILLS_CLUSTER` is the number of processes that are killed during a search, and `KILLS_SEED` draws other moments:
//!
//! ```text
//! KILLS_CLUSTER=60 cargo test --test cluster kill -- --nocapture
//! ```

#[path = "cluster/client.rs"]
mod client;
#[path = "cluster/clocks.rs"]
mod clocks;
#[path = "cluster/deaths.rs"]
mod deaths;
#[path = "cluster/faults.rs"]
mod faults;
#[path = "cluster/held.rs"]
mod held;
#[path = "cluster/hostile.rs"]
mod hostile;
#[path = "cluster/login.rs"]
mod login;
#[path = "cluster/refusals.rs"]
mod refusals;
#[path = "cluster/scene.rs"]
mod scene;
#[path = "cluster/searches.rs"]
mod searches;
#[path = "cluster/server.rs"]
mod server;
