//! Posting to chats: incoming webhooks as Slack has them, or anything that takes JSON.

use std::collections::BTreeMap;

use async_trait::async_trait;
use reqwest::Method;
use serde_json::Value;

use super::CallError;
use super::web::{Content, Web, WebSettings};

/// A message that is to be posted.
#[derive(Clone, Debug, PartialEq)]
pub struct Post {
    /// Where, by the name that the configuration gives.
    pub place: String,
    /// What it is known by, the same whenever it is posted again: sent as `Idempotency-Key`.
    pub id: String,
    /// What is posted.
    pub body: Value,
}

/// A way to post.
#[async_trait]
pub trait Chat: Send + Sync {
    /// Posts one message.
    ///
    /// # Errors
    /// It was not taken. [`CallError::is_for_good`] tells whether it ever can be.
    async fn post(&self, post: &Post) -> Result<(), CallError>;
}

/// One webhook.
#[derive(Debug)]
pub struct Webhook(Web);

impl Webhook {
    /// Checks the settings; connects to nothing.
    ///
    /// # Errors
    /// The secret is no address, or the file of certificates can't be used.
    pub fn new(settings: WebSettings) -> Result<Self, CallError> {
        Ok(Self(Web::new(settings)?))
    }

    /// Whether the server is there. Posts nothing. Gives the server's certificate (DER), over TLS.
    ///
    /// # Errors
    /// It is not.
    pub async fn check(&self) -> Result<Option<Vec<u8>>, CallError> {
        self.0.reach().await
    }

    /// The server, without what is secret of the address.
    pub fn server(&self) -> &str {
        self.0.server()
    }

    /// Whether what is posted, and the address, can be read on the way.
    pub fn is_open(&self) -> bool {
        self.0.is_open()
    }

    async fn post(&self, post: &Post) -> Result<(), CallError> {
        let bytes = post.body.to_string().into_bytes();
        let content = Content { media_type: "application/json; charset=utf-8", bytes };
        self.0.call(Method::POST, self.0.url(), Some(&content), Some(&post.id)).await
    }
}

/// All places that are configured. One that can't be used fails when something is to be posted there: no night stops for
/// that.
#[derive(Debug, Default)]
pub struct Webhooks(BTreeMap<String, Result<Webhook, String>>);

impl Webhooks {
    /// The webhooks by their places, each with what keeps it from being used, if something does.
    pub fn new(webhooks: impl IntoIterator<Item = (String, Result<Webhook, String>)>) -> Self {
        Self(webhooks.into_iter().collect())
    }
}

#[async_trait]
impl Chat for Webhooks {
    async fn post(&self, post: &Post) -> Result<(), CallError> {
        match self.0.get(&post.place) {
            Some(Ok(webhook)) => webhook.post(post).await,
            Some(Err(why)) => Err(CallError::Settings(why.clone())),
            None => Err(CallError::NoPlace { place: post.place.clone() }),
        }
    }
}
