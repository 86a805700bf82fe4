//! Training: examples and a frozen backbone in, a publishable adapter out.
//!
//! | room | holds |
//! |---|---|
//! | `job`, `session`, `output` | a whole run, from the files to the folder |
//! | `fusion` | members of a composition or of a stack, and what is recorded about them |
//! | `trainer`, `learner`, `probe` | the loop, and what it trains |
//! | `frozen`, `kept_states` | what frozen blocks give, computed once |
//! | `batching`, `adamw`, `schedule` | one step |
//! | `measure`, `history` | how well it goes |
//! | `state` | interrupt and resume |
//! | `observer`, `log`, `report/` | telling people |
//!
//! Everything is a pure function of data, backbone, hyper-parameters and seed: the
//! same run gives the same bytes, whether or not it was interrupted on the way.

pub mod adamw;
pub mod batching;
mod error;
mod evaluate;
mod frozen;
mod fusion;
mod head_choice;
pub mod history;
mod job;
mod kept_states;
mod learner;
mod log;
mod measure;
mod observer;
mod options;
mod output;
mod probe;
mod rank_allocation;
mod rank_budget;
pub mod report;
pub mod schedule;
mod session;
mod stages;
pub mod state;
mod trainer;

pub use error::TrainingError;
pub use evaluate::evaluate;
pub use fusion::{FrozenMember, ON_TOP_OF, dependencies, fuse, recorded};
pub use head_choice::HeadChoice;
pub use job::{Facts, PreparedJob, TrainingJob, open_base};
pub use learner::{ExampleSet, Learner, WholeModel};
pub use log::LOG_FILE;
pub use measure::{Measurement, measure};
pub use observer::{Preparation, TrainingEvent, TrainingObserver, Unobserved};
pub use options::{HyperParameters, Plan};
pub use output::{Existing, REPORT_FILE};
pub use probe::{HeadOnly, features};
pub use session::{FinishedJob, JobOutcome};
pub use trainer::{Outcome, Run};
