//! The night as data, and the mails made from it.
//!
//! A report is built once from what was recorded; mail, page and `--output json` show the same numbers and the same
//! sentences. Nothing here decides, looks anything up or reads a clock.
//!
//! ```text
//! NightReport → letters (who reads what) → cards and lines (views) → templates → MailDraft → journal
//! ```
//!
//! A [`MailDraft`] has its pictures as data; they are drawn when it is sent.

mod attach;
mod chat;
mod circulation;
mod compose;
mod draft;
mod follow;
mod night;
mod pictures;
pub mod site;
mod specimen;
mod stationery;
mod view;
mod words;

pub use attach::{Attach, csv_of};
pub use chat::{Channel, ChatDraft, ChatForm, Mood, chat_draft};
pub use circulation::{About, ActionKind, Letter, Readers, Role, Wants, action_id, letters, matches};
pub use compose::{draft, mails_of, pictured, render_html, render_text};
pub use draft::{AttachmentDraft, DrawnPicture, MailDraft, PictureDraft};
pub use follow::{FollowUp, follow_up};
pub use night::{
    Before, BeforeMetric, CandidateReport, ExperimentReport, Incident, NightReport, Restatement, Standing,
    WouldHaveBeen,
};
pub use pictures::{Chart, Past, PastNight, Pasts, pictures_of};
pub use stationery::{Stationery, StationeryFault};
pub use view::{Bar, CandidateCard, Card, Command, Digest, Foot, Line, MetricRow, Part, PictureView, SplitView, Tone};
pub use words::{TEXT_FILE, Words};

#[cfg(test)]
mod tests;
