//! A mail as the journal keeps it until it is sent.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::pictures::Chart;

/// A mail as the journal keeps it until it is sent. Pictures are kept as the data that they are drawn from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MailDraft {
    /// The sender.
    pub from: String,
    /// The readers.
    pub to: Vec<String>,
    /// Where answers go.
    pub reply_to: Option<String>,
    /// The subject.
    pub subject: String,
    /// The text.
    pub text: String,
    /// The HTML.
    pub html: String,
    /// The Message-ID without its angle brackets.
    pub message_id: String,
    /// When the night ran.
    pub date: Timestamp,
    /// The Message-ID of the mail that this one follows, without its angle brackets.
    #[serde(default)]
    pub in_reply_to: Option<String>,
    /// The List-Id without its angle brackets.
    pub list_id: String,
    /// Further headers.
    pub headers: Vec<(String, String)>,
    /// The pictures that the HTML shows.
    #[serde(default)]
    pub pictures: Vec<PictureDraft>,
    /// Files beside it.
    #[serde(default)]
    pub attachments: Vec<AttachmentDraft>,
}

/// A picture that is drawn when the mail is sent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PictureDraft {
    /// The Content-ID without its angle brackets.
    pub content_id: String,
    /// The name under which a reader may save it.
    pub filename: String,
    /// What it shows.
    pub chart: Chart,
}

/// A text file beside the mail.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AttachmentDraft {
    /// Its name.
    pub filename: String,
    /// Its media type.
    pub content_type: String,
    /// Its content.
    pub text: String,
}

/// A drawn picture.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DrawnPicture {
    /// The Content-ID without its angle brackets.
    pub content_id: String,
    /// The name under which a reader may save it.
    pub filename: String,
    /// The PNG.
    pub png: Vec<u8>,
}

impl MailDraft {
    /// Draws the pictures. One that cannot be drawn is taken out of the HTML as well: the words beside it say the same.
    pub fn draw(&mut self) -> Vec<DrawnPicture> {
        let mut drawn = Vec::with_capacity(self.pictures.len());
        for picture in std::mem::take(&mut self.pictures) {
            match picture.chart.draw() {
                Ok(done) => drawn.push(DrawnPicture {
                    content_id: picture.content_id,
                    filename: picture.filename,
                    png: done.png,
                }),
                Err(error) => {
                    tracing::error!("a picture is left out of the mail {:?}: {error}", self.subject);
                    self.html = without_picture(&self.html, &picture.content_id);
                }
            }
        }
        drawn
    }
}

/// The HTML without the `img` that shows `content_id`.
fn without_picture(html: &str, content_id: &str) -> String {
    let Some(at) = html.find(&format!("cid:{content_id}\"")) else { return html.to_owned() };
    let (Some(begin), Some(end)) = (html[..at].rfind("<img"), html[at..].find('>')) else { return html.to_owned() };
    format!("{}{}", &html[..begin], &html[at + end + 1..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_picture_that_is_left_out_leaves_no_hole() {
        let html = "<td><img alt=\"a\" src=\"cid:x@y\" width=\"1\"></td><img src=\"cid:z@y\">";
        assert_eq!(without_picture(html, "x@y"), "<td></td><img src=\"cid:z@y\">");
        assert_eq!(without_picture(html, "other@y"), html);
    }
}
