//! Somebody who is logged in, sees pages and presses buttons.

use super::*;

/// A session.
pub(super) struct Desk<'s> {
    stage: &'s Stage,
    cookie: String,
    key: String,
}

impl<'s> Desk<'s> {
    /// Who may do everything.
    pub(super) async fn operator(stage: &'s Stage) -> Self {
        Self::with(stage, OPERATOR_TOKEN).await
    }

    /// Who may look only. The stage needs [`WITH_READ_TOKEN`].
    pub(super) async fn reader(stage: &'s Stage) -> Self {
        Self::with(stage, READ_TOKEN).await
    }

    async fn with(stage: &'s Stage, token: &str) -> Self {
        let cookie = logged_in(stage, token).await;
        let key = open(stage, "/", &[("cookie", &cookie)]).await.form_key();
        Self { stage, cookie, key }
    }

    /// The status of the answer, and the page.
    pub(super) async fn open(&self, path: &str) -> (u16, String) {
        let answer = open(self.stage, path, &[("cookie", &self.cookie)]).await;
        (answer.status, answer.body)
    }

    /// A page that is there.
    pub(super) async fn page(&self, path: &str) -> String {
        let (status, page) = self.open(path).await;
        assert_eq!(status, 200, "{path}: {page}");
        page
    }

    /// Sends a form of a page.
    pub(super) async fn send(&self, path: &str, fields: &[(&str, &str)]) -> Answer {
        let mut fields = fields.to_vec();
        fields.push(("form_key", &self.key));
        send(self.stage, path, &fields, &[("cookie", &self.cookie)]).await
    }

    /// Sends one, and sees the page that it leads to.
    pub(super) async fn follow(&self, path: &str, fields: &[(&str, &str)]) -> String {
        let answer = self.send(path, fields).await;
        assert_eq!(answer.status, 303, "{path}: {}", answer.body);
        self.page(answer.header("location")).await
    }

    /// None of these does anything without the key of the form, or for a reader.
    pub(super) async fn refuses_others(&self, reader: &Desk<'_>, orders: &[&str]) {
        for path in orders {
            let without = send(self.stage, path, &[("number", "1")], &[("cookie", &self.cookie)]).await;
            assert_eq!(without.status, 403, "{path} without a key");
            let refused = reader.send(path, &[("number", "1")]).await;
            assert_eq!(refused.status, 403, "{path} by a reader");
            assert!(refused.body.contains("operator.read_token"), "{}", refused.body);
        }
    }
}

/// Whether a page has a form that changes something, besides that to log out.
pub(super) fn has_orders(page: &str) -> bool {
    page.matches("method=\"post\"").count() > 1
}

/// The page without tags and with single spaces, so that sentences can be looked for.
pub(super) fn words(page: &str) -> String {
    let text = page
        .split('<')
        .map(|part| part.split_once('>').map_or(part, |(_, text)| text));
    let text = text.collect::<Vec<_>>().join(" ");
    let text = text
        .replace("&#x27;", "'")
        .replace("&#x2f;", "/")
        .replace("&quot;", "\"");
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
