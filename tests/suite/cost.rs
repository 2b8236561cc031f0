//! What was spent: by LibreChat's own balances, over restarts, deletions and switches.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};
use chrono_tz::Tz;
use mongodb::Database;
use mongodb::bson::oid::ObjectId;
use mongodb::bson::{Document, doc};
use usage_exporter::sources::librechat::groups;
use usage_exporter::sources::librechat::groups::Groups;
use usage_exporter::sources::librechat::settings::NamedBy;

use crate::exporter::{Exporter, general, settings};
use crate::fixtures;
use crate::mongod::Mongod;
use crate::samples::{Samples, family, key};
use crate::seen::stored;

const LONG_AGO: TimeDelta = TimeDelta::days(-100);

const CREDITS: f64 = 1e6;

async fn librechat() -> (Database, DateTime<Utc>) {
    let database = Mongod::shared().database().await;
    fixtures::load(&database, "current", LONG_AGO).await;
    (database, fixtures::ends("current") + LONG_AGO)
}

fn sum(samples: &Samples, name: &str) -> f64 {
    samples.iter().filter(|(key, _)| family(key) == name).map(|(_, value)| value).sum()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_librechat_took_from_balances_is_what_was_counted() {
    let (database, now) = librechat().await;
    let found = Exporter::new(&database, Tz::UTC, now).refresh().await.expect("a refresh");

    let mut granted: BTreeMap<ObjectId, i64> = BTreeMap::new();
    for transaction in stored(&database, "transactions").await {
        if transaction.get_str("tokenType").ok() == Some("credits") {
            let user = transaction.get_object_id("user").expect("a user");
            let amount = transaction.get_i32("rawAmount").expect("a number");
            *granted.entry(user).or_default() += i64::from(amount);
        }
    }
    let mut taken_from_all = 0;
    for balance in stored(&database, "balances").await {
        let user = balance.get_object_id("user").expect("a user");
        let left = i64::from(balance.get_i32("tokenCredits").expect("a number"));
        let taken = granted[&user] - left;
        assert!(taken > 0 && left > 0, "the story spends something of everybody, and not all");
        let cost = found[&key("librechat_user_cost_usd_total", &[("user", &user.to_hex())])];
        assert_eq!((cost * CREDITS).round() as i64, taken);
        assert!((cost * CREDITS - taken as f64).abs() < 1e-6, "{cost} {taken}");
        taken_from_all += taken;
    }
    let cost = sum(&found, "librechat_transaction_cost_usd_total") * CREDITS;
    assert!((cost - taken_from_all as f64).abs() < 1e-6, "{cost} {taken_from_all}");
    let granted = sum(&found, "librechat_credits_granted_usd_total");
    let left = found["librechat_balance_credits_usd"];
    assert!(((granted - left) * CREDITS - taken_from_all as f64).abs() < 1e-6);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_deleted_stays_counted_and_what_comes_late_is_found() {
    let (database, now) = librechat().await;
    let mut exporter = Exporter::new(&database, Tz::UTC, now).with_state();
    let before = exporter.refresh().await.expect("a refresh");
    database
        .collection::<Document>("transactions")
        .delete_many(doc! { "model": "gpt-4o" })
        .await
        .expect("a deletion");
    exporter.restart();
    let name = "librechat_transaction_cost_usd_total";
    let after = exporter.refresh().await.expect("a refresh");
    assert_eq!(sum(&after, name), sum(&before, name));

    // A transaction of a day before, as a restored backup brings it.
    let mut bytes = [9; 12];
    let seconds = u32::try_from((now - TimeDelta::days(1)).timestamp()).expect("a time");
    bytes[..4].copy_from_slice(&seconds.to_be_bytes());
    let late = doc! {
        "_id": ObjectId::from_bytes(bytes), "tokenType": "completion", "model": "late",
        "rawAmount": -7, "tokenValue": -14,
    };
    database.collection("transactions").insert_one(late).await.expect("an insert");
    exporter.set_now(now + TimeDelta::hours(25));
    exporter.refresh().await.expect("a refresh");
    let found = exporter.refresh().await.expect("a refresh");
    let labels = [("model", "late"), ("token_type", "completion")];
    assert_eq!(found[&key("librechat_transaction_tokens_total", &labels)], 7.0);
    let late = key("usage_exporter_audit_late_documents_total", &[("collection", "transactions")]);
    assert_eq!(found[&late], 1.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn people_are_shown_as_the_setting_says() {
    let (database, now) = librechat().await;
    let ada = stored(&database, "users")
        .await
        .into_iter()
        .find(|user| user.get_str("name").ok() == Some("ada"));
    let ada = ada.expect("the story has an Ada").get_object_id("_id").expect("an _id").to_hex();
    for (named_by, name) in [
        (None, None),
        (Some(NamedBy::Id), Some(ada.as_str())),
        (Some(NamedBy::Email), Some("ada@example.org")),
    ] {
        let every = [groups::COST, groups::PER_USER];
        let mut settings =
            settings(&database, Groups::only(&every[..1 + usize::from(named_by.is_some())]));
        settings.per_user = named_by;
        let mut exporter = Exporter::with_settings(&settings, &general(Tz::UTC), now);
        exporter.refresh().await.expect("a refresh");
        let found = exporter.refresh().await.expect("a refresh");
        let shown: Vec<&String> =
            found.keys().filter(|key| family(key) == "librechat_user_cost_usd_total").collect();
        match name {
            Some(name) => {
                let series = key("librechat_user_cost_usd_total", &[("user", name)]);
                assert!(shown.len() == 4 && shown.contains(&&series), "{shown:?}");
            }
            None => assert!(shown.is_empty(), "{shown:?}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_address_of_a_deleted_user_leaves_at_the_next_look() {
    let (database, now) = librechat().await;
    let mut settings = settings(&database, Groups::only(&[groups::COST, groups::PER_USER]));
    settings.per_user = Some(NamedBy::Email);
    let mut exporter = Exporter::with_settings(&settings, &general(Tz::UTC), now).with_state();
    exporter.refresh().await.expect("a refresh");
    let before = exporter.refresh().await.expect("a refresh");
    let address = |key: &String| key.contains("ada@example.org");
    assert!(before.keys().any(address));
    let users = database.collection::<Document>("users");
    users.delete_one(doc! { "email": "ada@example.org" }).await.expect("a deletion");
    exporter.refresh().await.expect("a refresh");
    let after = exporter.refresh().await.expect("a refresh");
    assert!(!after.keys().any(address), "{after:?}");
    let name = "librechat_user_cost_usd_total";
    assert_eq!(sum(&after, name), sum(&before, name));
}

#[tokio::test(flavor = "multi_thread")]
async fn people_can_be_switched_on_later_without_losing_counters() {
    let (database, now) = librechat().await;
    let mut settings = settings(&database, Groups::all());
    settings.per_user = None;
    let mut exporter = Exporter::with_settings(&settings, &general(Tz::UTC), now).with_state();
    let before = exporter.refresh().await.expect("a refresh");
    database.collection::<Document>("messages").delete_many(doc! {}).await.expect("a deletion");
    exporter.name_people_by(NamedBy::Id);
    let after = exporter.refresh().await.expect("a refresh");
    assert_eq!(after["librechat_messages_total"], before["librechat_messages_total"]);
    let cost = "librechat_transaction_cost_usd_total";
    assert!((sum(&after, cost) - sum(&after, "librechat_user_cost_usd_total")).abs() < 1e-9);
}
