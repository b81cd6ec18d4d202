use bellhop::sandbox::{Origin, Truth};
use sqlx::PgConnection;

use super::complaints;

/// What Bellhop's ledger says about a call.
struct Entry {
    place: (i64, i64),
    kind: String,
    state: String,
    payment: Option<i64>,
    amount: Option<String>,
}

impl Entry {
    /// Whose job was called off while its answer was awaited, that stays open for people.
    fn is_open(&self, kind: &str) -> bool {
        self.kind == kind && self.state == "unknown"
    }

    fn is_done(&self, kind: &str) -> bool {
        self.kind == kind && self.state == "done"
    }
}

/// Both sides tell the same of money: what was reported and given back, each once.
pub(super) async fn books(connection: &mut PgConnection, truth: &Truth) -> Vec<String> {
    let mut found = complaints(
        connection,
        "select format('job %s of %s is completed, and the ledger says %s', j.id, j.rule, coalesce(l.state, 'nothing'))
         from finished_jobs j left join ledger l on l.job_id = j.id
         where j.action in ('report_payment', 'refund_payment') and j.state = 'completed' and l.state is distinct from 'done'
         union all
         select format('payment %s is the answer to %s reports', payment_id, count(*)) from ledger
         where kind = 'payment' and state = 'done' group by application_id, payment_id having count(*) > 1",
    )
    .await;
    let mut entries = entries(connection).await;
    for link in &truth.links {
        let place = (link.application_id, link.location_id);
        let reported = link.link.payments.iter().filter(|paid| paid.origin == Origin::Reported);
        for payment in reported {
            let refund = |entry: &&Entry| entry.payment == Some(payment.id) && entry.kind == "refund";
            let refund = entries.iter().find(refund);
            let contradicts = match refund {
                Some(entry) if entry.is_open("refund") => false,
                Some(entry) => entry.is_done("refund") != payment.is_refunded,
                None => payment.is_refunded,
            };
            if contradicts {
                found.push(format!(
                    "about payment {} both sides disagree whether it was given back",
                    payment.id
                ));
            }
            let sum = payment.payment_sum.to_string();
            let known = entries
                .iter()
                .position(|entry| entry.is_done("payment") && entry.payment == Some(payment.id));
            let open =
                |entry: &Entry| entry.is_open("payment") && entry.place == place && entry.amount.as_ref() == Some(&sum);
            match known.or_else(|| entries.iter().position(open)) {
                Some(at) => drop(entries.swap_remove(at)),
                None => found.push(format!(
                    "payment {} was reported, and Bellhop does not know",
                    payment.id
                )),
            }
        }
    }
    let missing = entries.iter().filter(|entry| entry.is_done("payment"));
    found.extend(missing.map(|entry| {
        format!(
            "{:?} was paid {:?}, and the marketplace has nothing",
            entry.place, entry.amount
        )
    }));
    found
}

async fn entries(connection: &mut PgConnection) -> Vec<Entry> {
    type Row = (i64, i64, String, String, Option<i64>, Option<String>);
    let rows: Vec<Row> = sqlx::query_as(
        "select application_id, location_id, kind, state, payment_id, trim_scale(amount)::text from ledger",
    )
    .fetch_all(connection)
    .await
    .expect("entries");
    let entry = |(application, location, kind, state, payment, amount): Row| Entry {
        place: (application, location),
        kind,
        state,
        payment,
        amount,
    };
    rows.into_iter().map(entry).collect()
}
