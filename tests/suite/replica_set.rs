//! The exporter on a replica set of three: lagging members, a step-down, a killed primary.

use std::path::Path;
use std::time::{Duration, Instant};

use chrono::{TimeDelta, Utc};
use mongodb::bson::oid::ObjectId;
use mongodb::bson::{Document, doc};
use mongodb::options::{Acknowledgment, CollectionOptions, WriteConcern};
use mongodb::{Client, Collection};

use crate::exporter::state_file;
use crate::fixtures;
use crate::mongod::{Mongod, free_port};
use crate::process::Server;
use crate::samples::{Samples, of_page};

struct ReplicaSet {
    members: Vec<Option<Mongod>>,
    ports: [u16; 3],
    client: Client,
}

impl ReplicaSet {
    async fn start() -> ReplicaSet {
        let ports = [free_port(), free_port(), free_port()];
        let arguments =
            ["--replSet", "rs", "--setParameter", "enableTestCommands=1", "--oplogSize", "50"];
        let members: Vec<Option<Mongod>> =
            ports.iter().map(|port| Some(Mongod::start_on(*port, &arguments))).collect();
        let hosts: Vec<Document> = ports
            .iter()
            .zip(0_i32..)
            .map(|(port, id)| doc! { "_id": id, "host": format!("127.0.0.1:{port}") })
            .collect();
        let settings = doc! { "electionTimeoutMillis": 1000, "heartbeatIntervalMillis": 200 };
        let config = doc! { "_id": "rs", "members": hosts, "settings": settings };
        for member in members.iter().flatten() {
            member.client().await;
        }
        let first = direct(ports[0]).await;
        let admin = first.database("admin");
        admin.run_command(doc! { "replSetInitiate": config }).await.expect("a replica set");
        let client = Client::with_uri_str(uri(ports)).await.expect("a URI");
        let set = ReplicaSet { members, ports, client };
        set.messages().insert_one(doc! { "_id": "first" }).await.expect("a primary");
        for member in ports {
            wait_for_documents(member, 1).await;
        }
        set
    }

    /// The collection of messages, in which everything written is on two members.
    fn messages(&self) -> Collection<Document> {
        let majority = WriteConcern::builder().w(Acknowledgment::Majority).build();
        let options = CollectionOptions::builder().write_concern(majority).build();
        self.client.database("LibreChat").collection_with_options("messages", options)
    }

    async fn primary(&self) -> usize {
        let hello = self.client.database("admin").run_command(doc! { "hello": 1 }).await;
        let hello = hello.expect("a primary");
        let me = hello.get_str("me").expect("an address");
        let is_me = |port: &u16| me == format!("127.0.0.1:{port}");
        self.ports.iter().position(is_me).expect("a member")
    }
}

fn uri(ports: [u16; 3]) -> String {
    let hosts = ports.map(|port| format!("127.0.0.1:{port}")).join(",");
    format!("mongodb://{hosts}/?replicaSet=rs&readPreference=secondaryPreferred")
}

async fn direct(port: u16) -> Client {
    let uri = format!("mongodb://127.0.0.1:{port}/?directConnection=true");
    Client::with_uri_str(uri).await.expect("a URI")
}

/// Waits until a member has so many messages.
async fn wait_for_documents(port: u16, count: u64) {
    let messages = direct(port).await.database("LibreChat").collection::<Document>("messages");
    let read = mongodb::options::SelectionCriteria::ReadPreference(
        mongodb::options::ReadPreference::SecondaryPreferred { options: None },
    );
    let began = Instant::now();
    loop {
        let found = messages.count_documents(doc! {}).selection_criteria(read.clone()).await;
        if found.is_ok_and(|found| found >= count) {
            return;
        }
        assert!(began.elapsed() < Duration::from_secs(60), "the member {port} does not catch up");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

fn reply() -> Document {
    let id = ObjectId::new();
    doc! { "_id": id, "messageId": id.to_hex(), "isCreatedByUser": false, "tokenCount": 1, "model": "m" }
}

fn start(uri: &str, state: &Path, further: &[(&str, &str)]) -> Server {
    let mut settings = vec![
        ("MONGODB_URI", uri),
        ("STATE_FILE", state.to_str().expect("text")),
        ("METRICS_CACHE_ENABLED", "false"),
    ];
    settings.extend_from_slice(further);
    Server::start(&settings)
}

fn scrape(server: &Server) -> Samples {
    of_page(&server.get("/metrics"))
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_lagging_member_does_not_have_yet_is_counted_later() {
    let set = ReplicaSet::start().await;
    let lagging = set.ports[(set.primary().await + 1) % 3];
    let uri = format!(
        "mongodb://127.0.0.1:{lagging}/?directConnection=true&readPreference=secondaryPreferred"
    );
    let mut server = start(&uri, &state_file(), &[("SETTLING_TIME", "1")]);
    server.wait_until_complete();
    assert_eq!(scrape(&server)["librechat_messages_total"], 0.0);

    let admin = direct(lagging).await.database("admin");
    let replication = async |mode: &str| {
        let fail_point = doc! { "configureFailPoint": "rsSyncApplyStop", "mode": mode };
        admin.run_command(fail_point).await.expect("a test command");
    };
    replication("alwaysOn").await;
    set.messages().insert_many([reply(), reply()]).await.expect("an insert");
    // Until the settling time has passed for them.
    let inserted = Utc::now();
    while Utc::now() - inserted < TimeDelta::seconds(4) {
        scrape(&server);
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    assert_eq!(scrape(&server)["librechat_messages_total"], 0.0, "the member has not got them");
    replication("off").await;
    wait_for_documents(lagging, 3).await;
    assert_eq!(scrape(&server)["librechat_messages_total"], 2.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_step_down_and_a_killed_primary_lose_and_double_nothing() {
    let mut set = ReplicaSet::start().await;
    let messages = set.messages();
    let shift = Utc::now() - fixtures::ends("current") - TimeDelta::days(60);
    for copy in 0..40 {
        fixtures::load_messages(&set.client.database("LibreChat"), "current", shift, copy).await;
    }
    messages.insert_one(reply()).await.expect("an insert");
    let rate = ("BASELINE_MAX_MESSAGES_PER_SECOND", "200");
    let mut server = start(&uri(set.ports), &state_file(), &[rate]);
    server.wait_for(&["reading the history", "per_second"]);

    // In the middle of the first pass.
    let step_down = doc! { "replSetStepDown": 60, "secondaryCatchUpPeriodSecs": 10 };
    let stepped = set.client.database("admin").run_command(step_down).await;
    stepped.expect("the primary steps down");
    messages.insert_one(reply()).await.expect("a new primary");
    let primary = set.primary().await;
    set.members[primary] = None;
    let refresh = server.begin_scrape();
    messages.insert_one(reply()).await.expect("a new primary");
    refresh.join().expect("a thread").expect("an answer");

    server.wait_until_complete();
    assert_eq!(scrape(&server)["librechat_messages_total"], 40.0 * fixtures::MESSAGES + 3.0);

    // One member is left of three, which can be read but not written.
    let another = (primary + 1) % 3;
    set.members[another] = None;
    let page = scrape(&server);
    assert_eq!(page["librechat_messages_total"], 40.0 * fixtures::MESSAGES + 3.0);
    server.wait_for(&["refreshed", "collector=\"messages\""]);
}
