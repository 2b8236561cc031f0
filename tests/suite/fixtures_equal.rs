//! The exporter against the oracle on documents written by LibreChat's own data layer.

use chrono::TimeDelta;
use chrono_tz::Tz;

use crate::exporter::Exporter;
use crate::fixtures;
use crate::mongod::Mongod;

/// Moves the story so far back that "400 days later" is past too: the exporter takes the earlier of its
/// own and mongod's clock.
const LONG_AGO: TimeDelta = TimeDelta::days(-500);

#[tokio::test(flavor = "multi_thread")]
async fn every_family_equals_the_oracle_on_every_fixture() {
    for version in fixtures::VERSIONS {
        let database = Mongod::shared().database().await;
        fixtures::load(&database, version, LONG_AGO).await;
        let end = fixtures::ends(version) + LONG_AGO;
        let mut exporter = Exporter::new(&database, Tz::Europe__Berlin, end);
        for later in [0, 1, 60, 290, 900, 3_600, 86_400, 40 * 86_400] {
            exporter.set_now(end + TimeDelta::seconds(later));
            let context = format!("fixture {version}, {later} seconds later");
            exporter.assert_equals_oracle(&database, &context).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn it_does_not_matter_when_the_exporter_was_started() {
    for version in fixtures::VERSIONS {
        let database = Mongod::shared().database().await;
        fixtures::load(&database, version, LONG_AGO).await;
        let end = fixtures::ends(version) + LONG_AGO;
        for later in [5, 1_000, 5_000, 90_000, 400 * 86_400] {
            let mut exporter = Exporter::new(&database, Tz::UTC, end + TimeDelta::seconds(later));
            let context = format!("fixture {version}, started {later} seconds later");
            exporter.assert_equals_oracle(&database, &context).await;
        }
    }
}
