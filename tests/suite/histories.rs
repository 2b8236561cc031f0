//! The exporter against the oracle on random histories: chats, corrections, feedback, imports, deletions
//! and restarts between refreshes, over minutes, days and changes of the clocks.

use chrono::{TimeDelta, TimeZone, Utc};
use chrono_tz::Tz;
use mongodb::Database;
use mongodb::bson::{Document, doc};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use crate::mongod::Mongod;
use crate::past::assert_equals_oracle as assert_past_equals_oracle;
use crate::world::{Event, Kind, ODD_FIELDS, Spending, World};

const HISTORIES: u32 = 256;

/// What happens between two refreshes, and how long it takes.
#[derive(Debug, Clone)]
struct Step {
    seconds: i64,
    events: Vec<Event>,
}

fn event() -> impl Strategy<Value = Event> {
    let kind = prop_oneof![
        4 => Just(Kind::Whole),
        2 => Just(Kind::Unfinished),
        1 => Just(Kind::Failed),
        1 => Just(Kind::FailedInContent),
        2 => Just(Kind::WithTools),
    ];
    let message = any::<usize>();
    prop_oneof![
        6 => (0..6u8, 0..500).prop_map(|(user, tokens)| Event::Ask { user, tokens }),
        6 => (message, 0..4usize, 0..1000, kind).prop_map(|(question, model, tokens, kind)| {
            Event::Reply { question, model, tokens: f64::from(tokens) / 4.0, kind }
        }),
        3 => (message, 0..500).prop_map(|(message, tokens)| Event::Correct { message, tokens }),
        3 => (message, 0..500).prop_map(|(message, tokens)| Event::Finish { message, tokens }),
        3 => (message, any::<bool>(), proptest::option::of(0..3u8))
            .prop_map(|(message, up, tag)| Event::Rate { message, up, tag }),
        1 => message.prop_map(|message| Event::TakeBack { message }),
        1 => (0..6u8, proptest::option::of(0..500i64), any::<bool>()).prop_map(
            |(user, days_ago, reply_first)| Event::Import { user, days_ago, reply_first }
        ),
        1 => (0..ODD_FIELDS.len(), 0..7usize).prop_map(|(field, value)| Event::Odd { field, value }),
        1 => Just(Event::Others),
        3 => (0..6u8, 0..4usize, 0..500, spending()).prop_map(|(user, model, tokens, kind)| {
            Event::Spend { user, model, tokens, kind }
        }),
        1 => message.prop_map(|message| Event::Delete { message }),
        1 => (0..6u8).prop_map(|user| Event::DeleteChat { user }),
        1 => (0..48i64).prop_map(|hours| Event::Expire { hours }),
        1 => Just(Event::DeleteOthers),
        2 => Just(Event::Restart),
        1 => Just(Event::RestartAnew),
        1 => (0..400i64).prop_map(|seconds| Event::ClockBack { seconds }),
    ]
}

fn spending() -> impl Strategy<Value = Spending> {
    prop_oneof![
        3 => Just(Spending::Prompt),
        2 => Just(Spending::Structured),
        3 => Just(Spending::Completion),
        1 => Just(Spending::Credits),
        1 => Just(Spending::Odd),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let seconds = prop_oneof![0..120i64, 0..1200i64, 0..7_200i64, 0..100_000i64];
    (seconds, vec(event(), 0..10)).prop_map(|(seconds, events)| Step { seconds, events })
}

fn history() -> impl Strategy<Value = (i64, usize, Vec<Step>)> {
    // Anywhere in March 2026, in which the clocks change on the 8th in New York and on the 29th in
    // Berlin.
    (0..31 * 86_400i64, 0..3usize, vec(step(), 2..8))
}

async fn play(database: &Database, start: i64, timezone: usize, steps: Vec<Step>) {
    for name in ["messages", "conversations", "users", "files", "transactions"] {
        database.collection::<Document>(name).delete_many(doc! {}).await.expect("a deletion");
    }
    let march = Utc.with_ymd_and_hms(2026, 3, 1, 0, 0, 0).single().expect("a time");
    let begin = march + TimeDelta::seconds(start);
    let timezone = [Tz::UTC, Tz::Europe__Berlin, Tz::America__New_York][timezone];
    let mut world = World::new(database, timezone, begin);
    for (number, step) in steps.into_iter().enumerate() {
        let events = i64::try_from(step.events.len()).expect("a few") + 1;
        for event in step.events {
            world.wait(step.seconds / events);
            world.happen(event).await;
        }
        world.wait(step.seconds / events);
        world.refresh(&format!("after step {number}")).await;
    }
    let day = "1d".parse().expect("a step");
    assert_past_equals_oracle(database, timezone, day, world.now(), 2, "looking back").await;
}

#[test]
fn every_family_equals_the_oracle_on_random_histories() {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let database = runtime.block_on(Mongod::shared().database());
    let config = Config { cases: HISTORIES, failure_persistence: None, ..Config::default() };
    let result = TestRunner::new(config).run(&history(), |(start, timezone, steps)| {
        // A failed comparison panics; proptest takes that for a failed case and shrinks it.
        runtime.block_on(play(&database, start, timezone, steps));
        Ok(())
    });
    if let Err(error) = result {
        panic!("{error}");
    }
}
