//! What judging came to, as metrics. Counted once it is committed, by the process that judged: an event is judged once,
//! so the counts of all processes add up.

use chrono::Utc;
use rust_decimal::{Decimal, prelude::ToPrimitive};

use super::Judgement;
use crate::{
    app::App,
    domain::{
        currency,
        event::{Fact, State},
        ids::ApplicationId,
        installation::Installation,
    },
    store::inbox::{Verdict, Waiting},
};

/// A payment or a refund that nobody knew of.
pub(super) struct Taking {
    application: ApplicationId,
    /// As a label.
    currency: &'static str,
    amount: Decimal,
    /// `received` or `refunded`.
    result: &'static str,
}

impl Judgement {
    /// Notes what an event came to.
    pub(super) fn add(&mut self, event: &Waiting, verdict: Verdict) {
        self.applications.push(event.place.application_id);
        self.verdicts.push(verdict);
    }

    /// Notes the money of an event; of one that is no news nothing but the change of the installation.
    pub(super) fn take(&mut self, event: &Waiting, is_news: bool, (before, after): (&Installation, &Installation)) {
        let application = event.place.application_id;
        if after.periods.has_paid && !before.periods.has_paid {
            self.converted.push(application);
        }
        let (payment, result) = match &event.fact {
            Some(Fact::PaymentReceived { payment, .. }) => (payment, "received"),
            Some(Fact::PaymentRefunded { payment, .. }) => (payment, "refunded"),
            _ => return,
        };
        if is_news {
            self.takings.push(Taking {
                application,
                currency: currency::label(payment.currency.as_deref()),
                amount: payment.amount,
                result,
            });
        }
    }

    /// Counts what was committed.
    pub(in crate::workers) fn count(&self, app: &App, events: &[Waiting]) {
        let now = Utc::now();
        for (event, verdict) in events.iter().zip(&self.verdicts) {
            count_state(app, event, verdict.state);
            let lag = (now - event.received_at).to_std().unwrap_or_default();
            app.metrics.event_lag_seconds.observe(lag.as_secs_f64());
        }
        self.count_rulings(app);
        self.count_money(app);
        for (event, from, to) in &self.moves {
            let Some(event) = events.get(*event) else { continue };
            let application = event.place.application_id.to_string();
            let labels = [application.as_str(), from.as_str(), to.as_str(), event.source.as_str()];
            app.metrics
                .installation_transitions_total
                .with_label_values(&labels)
                .inc();
        }
    }

    /// Counts what rules said.
    pub(in crate::workers) fn count_rulings(&self, app: &App) {
        for (application, verdict) in self.applications.iter().zip(&self.verdicts) {
            let application = application.to_string();
            for decision in &verdict.decisions {
                let rule = decision.rule.as_str();
                let labels = [application.as_str(), rule, decision.ruling.as_str()];
                app.metrics.firings_total.with_label_values(&labels).inc();
                if let Some(cause) = decision.cause {
                    let labels = [application.as_str(), rule, cause.as_str()];
                    app.metrics.rule_skips_total.with_label_values(&labels).inc();
                }
            }
        }
    }

    fn count_money(&self, app: &App) {
        for taking in &self.takings {
            let application = taking.application.to_string();
            // What is given back first is seen to grow when it began with zero.
            for result in ["received", "refunded"] {
                let labels = [application.as_str(), taking.currency, result];
                app.metrics.payments_total.with_label_values(&labels);
                app.metrics.payments_amount_total.with_label_values(&labels);
            }
            let labels = [application.as_str(), taking.currency, taking.result];
            app.metrics.payments_total.with_label_values(&labels).inc();
            // A counter cannot fall; nobody was seen to pay less than nothing.
            let amount = taking.amount.max(Decimal::ZERO).to_f64().unwrap_or_default();
            app.metrics
                .payments_amount_total
                .with_label_values(&labels)
                .inc_by(amount);
        }
        for application in &self.converted {
            let labels = [&application.to_string()];
            app.metrics.conversions_total.with_label_values(&labels).inc();
        }
    }
}

/// Counts how an event ended.
pub(in crate::workers) fn count_state(app: &App, event: &Waiting, state: State) {
    let application = event.place.application_id.to_string();
    app.metrics
        .events_judged_total
        .with_label_values(&[&application, state.as_str()])
        .inc();
}
